"""Why a tile source opens a file: what each source answers, in the order of `ranking`."""

from __future__ import annotations

from typing import Any

from girder.exceptions import FilePathException
from girder_large_image import girder_tilesource

from girder_zarr.server.common.hidden_paths import without_paths
from girder_zarr.server.settings.source_priorities import DEFAULT, OFF, is_mime_type

from . import priorities
from .plain_words import summary
from .ranking import Candidate, Facts, priority_name, rank


def explain(
    item: dict[str, Any], file: dict[str, Any], *, probe: bool = True, show_paths: bool = False
) -> dict[str, Any]:
    """Say which source would open the file of an item and why.

    :param probe: ask each source whether it can read the file, which opens the file once for each.
    :param show_paths: leave paths of the server in the sources' own sentences.
    """
    facts = Facts.of(file)
    candidates = rank(facts)
    if probe:
        subject = {**item, 'largeImage': {**item.get('largeImage', {}), 'fileId': file['_id']}}
        for candidate in candidates:
            if candidate.considered:
                _probe(candidate, subject, None if show_paths else facts)
    chosen = _first_that_reads(candidates) if probe else None
    current = item.get('largeImage', {}).get('sourceName')
    ids = {'itemId': item['_id'], 'fileId': file['_id']}
    return {**ids, **_described(facts, candidates, probe=probe, current=current, chosen=chosen)}


def explain_name(name: str, mime_type: str | None) -> dict[str, Any]:
    """Say which sources would be asked for a file of that name and MIME type; opens nothing."""
    facts = Facts.named(name, mime_type)
    return _described(facts, rank(facts), probe=False, current=None, chosen=None)


def _described(
    facts: Facts, candidates: list[Candidate], *, probe: bool, current: str | None, chosen: str | None
) -> dict[str, Any]:
    return {
        'fileName': facts.name,
        'extensions': list(facts.extensions),
        'mimeType': facts.mime_type,
        'current': current,
        'wouldChoose': chosen,
        'summary': summary(facts, candidates, probed=probe, current=current, chosen=chosen),
        'sources': [candidate.described(current, chosen) for candidate in candidates],
    }


def _probe(candidate: Candidate, item: dict[str, Any], hide: Facts | None) -> None:
    """Ask a source whether it can read the item's file, and why not."""
    source = girder_tilesource.AvailableGirderTileSources[candidate.source]
    try:
        candidate.canRead = bool(source.canRead(item, noCache=True))
    except Exception as exception:  # noqa: BLE001  whatever a source raises is the answer to give
        # The search stops here as well, unless only a file on this machine is missing.
        candidate.canRead, candidate.failed = False, not isinstance(exception, FilePathException)
        candidate.reason = sentence_of(exception, hide)
        return
    if not candidate.canRead:
        try:
            source(item, noCache=True)
        except Exception as exception:  # noqa: BLE001
            candidate.reason = sentence_of(exception, hide)
        else:
            candidate.reason = 'The source declines this file.'


def sentence_of(exception: Exception, hide: Facts | None) -> str:
    """Return what a source says, on one line and not too long.

    :param hide: the file whose path, and all others of the server, are taken out; None leaves them.
    """
    text = ' '.join(str(exception).split()) or type(exception).__name__
    if hide is not None and hide.path:
        text = text.replace(hide.path, hide.name)
    if hide is not None:
        text = without_paths(text)
    return text if len(text) <= 500 else text[:497] + '...'


def _first_that_reads(candidates: list[Candidate]) -> str | None:
    for candidate in candidates:
        if candidate.canRead:
            return candidate.source
        if candidate.failed:
            return None
    return None


def list_sources() -> list[dict[str, Any]]:
    """Give every source with its own and its effective priorities, by name.

    A source that the setting names and this server does not have is listed as not installed.
    """
    settings = priorities.overrides()
    registry = girder_tilesource.AvailableGirderTileSources
    if not registry:
        girder_tilesource.loadGirderTileSources()
    return [_listed(name, registry.get(name), settings) for name in sorted({*registry, *settings})]


def _listed(name: str, source: type | None, settings: priorities.Settings) -> dict[str, Any]:
    return {
        'name': name,
        'installed': source is not None,
        'off': settings.get(name) == OFF,
        'extensions': _rows(name, source, settings, 'extensions', 'extension'),
        'mimeTypes': _rows(name, source, settings, 'mimeTypes', 'mimeType'),
    }


def _rows(
    name: str, source: type | None, settings: priorities.Settings, attribute: str, label: str
) -> list[dict[str, Any]]:
    """Give each extension or MIME type of a source, the default first, with its own and effective priority.

    large_image looks at no default of MIME types.
    """
    own = priorities.own_values(source, attribute) if source else {}
    effective = priorities.apply_overrides(settings, name, attribute, own) if source else {}
    changes = settings.get(name, {})
    named = {} if changes == OFF else changes
    of_types = attribute == 'mimeTypes'
    keys = {key or DEFAULT for key in own} | {key for key in named if is_mime_type(key) == of_types}
    if of_types:
        keys.discard(DEFAULT)
    return [
        {
            label: key,
            'default': _described_priority(own.get(None if key == DEFAULT else key)),
            'effective': _described_priority(effective.get(None if key == DEFAULT else key)),
            'override': named.get(key),
        }
        for key in sorted(keys, key=lambda key: (key != DEFAULT, key))
    ]


def _described_priority(value: int | None) -> dict[str, Any] | None:
    return None if value is None else {'value': int(value), 'name': priority_name(value)}
