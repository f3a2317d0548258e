"""Why a tile source opens a file, in sentences for people who know no priorities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from girder_zarr.server.settings.source_priorities import DEFAULT

from .ranking import priority_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .ranking import Candidate, Facts

#: Sources that one sentence names; the table below it has all of them.
MAX_NAMED = 6


def summary(
    facts: Facts, candidates: Sequence[Candidate], *, probed: bool, current: str | None, chosen: str | None
) -> list[str]:
    """Return what decides which source opens a file, a sentence each.

    :param candidates: all sources in the order of `ranking.rank`, probed or not.
    :param current: the source that is recorded in the item. :param chosen: the one that would be today.
    """
    asked = [candidate for candidate in candidates if candidate.considered]
    found = [_what_counts(facts)]
    found += _probed(asked, chosen) if probed else _ranked(asked)
    found += _off(candidates)
    if probed and current is not None:
        found.append(_registered(asked, current, chosen))
    return found


def _what_counts(facts: Facts) -> str:
    extensions = ' and '.join(f'.{extension}' for extension in facts.extensions)
    by_name = f'its extension {extensions}' if len(facts.extensions) == 1 else f'its extensions {extensions}'
    if facts.extensions and facts.mime_type:
        return f'What counts: {by_name} and its MIME type {facts.mime_type}.'
    if facts.extensions:
        return f'What counts: {by_name}; it has no MIME type.'
    if facts.mime_type:
        return f'What counts: its MIME type {facts.mime_type}; it has no extension.'
    return 'It has neither an extension nor a MIME type that could count.'


def _ranked(asked: Sequence[Candidate]) -> list[str]:
    if not asked:
        return ['No source would be asked, so none opens it.']
    first, rest = asked[0], [candidate.source for candidate in asked[1:]]
    found = [f'{first.source} is asked first, {_because(first)}.']
    if rest:
        found.append(f'Where it cannot read the file, the next are asked: {_listed(rest)}.')
    found.append('The first that can read the file opens it.')
    return found


def _probed(asked: Sequence[Candidate], chosen: str | None) -> list[str]:
    broken = next((candidate for candidate in asked if candidate.failed), None)
    by_name = {candidate.source: candidate for candidate in asked}
    if chosen is None:
        if broken is not None:
            return [f'{broken.source} broke when it was asked, which ends the search: no source opens it.']
        return ['No source that may be asked can read it.']
    winner = by_name[chosen]
    before = [candidate.source for candidate in asked[: asked.index(winner)]]
    if not before:
        return [f'{chosen} opens it: it is asked first, {_because(winner)}, and can read it.']
    verb = 'was' if len(before) == 1 else 'were'
    return [
        f'{_listed(before)} {verb} asked before and cannot read it.',
        f'{chosen} is the first that can, and is asked {_because(winner)}.',
    ]


def _because(candidate: Candidate) -> str:
    """Say by what a source has its place."""
    level = f'{priority_name(candidate.priority)}, {int(candidate.priority)}'
    if candidate.clash:
        return f'among those that are for other kinds of maps or pictures ({level})'
    if candidate.fallback or candidate.matched == DEFAULT:
        return f'among those that try any file ({level})'
    kind, _, what = candidate.matched.partition(' ')
    what = candidate.matched.removeprefix('MIME type ') if kind == 'MIME' else what
    thing = {'extension': 'extension', 'MIME': 'MIME type', 'name': 'pattern of names'}[kind]
    return f'because it knows the {thing} {what} ({level})'


def _off(candidates: Sequence[Candidate]) -> list[str]:
    off = [one.source for one in candidates if not one.considered and 'turned' in (one.reason or '')]
    if not off:
        return []
    return [f'{_listed(off)} {"is" if len(off) == 1 else "are"} not asked, because an administrator said so.']


def _registered(asked: Sequence[Candidate], current: str, chosen: str | None) -> str:
    if current == chosen:
        return f'The item is registered with {current} as well.'
    names = [candidate.source for candidate in asked]
    if current not in names:
        return f'The item is registered with {current}, which would not be asked today; it stays with it.'
    return f'The item is registered with {current}, and stays with it until its source is chosen again.'


def _listed(names: Sequence[str]) -> str:
    shown, more = list(names[:MAX_NAMED]), len(names) - MAX_NAMED
    if more > 0:
        return f'{", ".join(shown)} and {more} more'
    return shown[0] if len(shown) == 1 else f'{", ".join(shown[:-1])} and {shown[-1]}'
