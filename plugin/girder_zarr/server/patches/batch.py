"""Patches that are stored together: one Girder file, one change of the session, a few writes for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from girder.exceptions import AccessException, GirderException, ValidationException

from girder_zarr.errors import GirderZarrError
from girder_zarr.server.common.names import Document
from girder_zarr.server.sessions.model import StitchSession

from .document import is_page
from .files import store_pack
from .incoming import CREATED, UNCHANGED, NewPatch, check_fits, decide
from .model import StitchPatch
from .session_extent import grown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.server.settings.session_limits import StitchLimits

#: What became of a patch: what is stored of it and its status, or why it was refused.
Result = tuple[Document, str] | Exception


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """A patch to be stored, and whether it may take the place of another one."""

    new: NewPatch
    replace: bool


def put_together(
    session: Document,
    entries: Sequence[BatchEntry],
    user: Document,
    limits: StitchLimits,
    *,
    whole: bool = False,
) -> list[Result]:
    """Store patches of different keys; return for each what became of it.

    Those whose keys are free go together. What needs more care is put one by one: keys that are taken, and
    everything where the session changes meanwhile. Pages of one file have one stream, and are stored as one
    file unless the session has it already.

    :param whole: raise the first refusal that is known beforehand, before anything is stored.
    """
    results, fresh, single, holders = _sort(session, entries, limits)
    if whole:
        refusal = next((one for one in results.values() if isinstance(one, Exception)), None)
        if refusal is not None:
            raise refusal
    held = [at for at in fresh if _holder(entries[at], holders)]
    single += held
    fresh = [at for at in fresh if at not in set(held)]
    if len(fresh) > 1:
        stored = _store(session, [entries[at].new for at in fresh], user)
        for at in fresh:
            result = stored.get(entries[at].new.key)
            if result is not None:
                results[at] = result
            else:
                single.append(at)
    else:
        single += fresh
    for result in results.values():
        _remember(result, holders)
    for at in sorted(single):
        results[at] = _put(session, entries[at], user, _holder(entries[at], holders))
        _remember(results[at], holders)
    return [results[at] for at in range(len(entries))]


def _remember(result: Result, holders: dict[str, Document]) -> None:
    """Note the file of a page that is stored, by its digest."""
    if not isinstance(result, Exception):
        document, _ = result
        if is_page(document) and not document.get('shared'):
            holders.setdefault(document['digest'], document)


def _holder(entry: BatchEntry, holders: dict[str, Document]) -> Document | None:
    """Return a stored page of the same file, if there is one."""
    return holders.get(entry.new.digest) if entry.new.options.page is not None else None


def _sort(
    session: Document, entries: Sequence[BatchEntry], limits: StitchLimits
) -> tuple[dict[int, Result], list[int], list[int], dict[str, Document]]:
    """Return what is decided already, what is to be stored together and one by one, by number, and files.

    :returns: at last the documents of pages that are there already, by the digest of their file.
    """
    keys = [entry.new.key for entry in entries]
    there = {document['key']: document for document in StitchPatch().list_named(session['_id'], keys)}
    holders: dict[str, Document] = {}
    for document in there.values():
        if document['stored']:
            _remember((document, UNCHANGED), holders)
    results: dict[int, Result] = {}
    fresh: list[int] = []
    single: list[int] = []
    for at, entry in enumerate(entries):
        existing = there.get(entry.new.key)
        try:
            check_fits(session, entry.new, limits)
            if existing is None:
                session = _with(session, entry.new)
                fresh.append(at)
            elif existing['stored'] and decide(existing, entry.new, replace=entry.replace) == UNCHANGED:
                results[at] = existing, UNCHANGED
            else:
                single.append(at)
        except GirderZarrError as error:
            results[at] = error
    return results, fresh, single, holders


def _with(session: Document, new: NewPatch) -> Document:
    """Return the session as it will be with a patch, with the fields that the check of the next one reads."""
    return {**session, **new.kind, 'extent': grown(session['extent'], new.box)}


def _put(session: Document, entry: BatchEntry, user: Document, held: Document | None) -> Result:
    try:
        fresh = StitchSession().get(session['_id'])
        if held is not None:
            return StitchPatch().put_held(fresh, entry.new, held, replace=entry.replace)
        return StitchPatch().put(fresh, entry.new, user, replace=entry.replace)
    except (GirderZarrError, ValidationException, AccessException, GirderException) as error:
        return error


def _store(session: Document, patches: Sequence[NewPatch], user: Document) -> dict[str, Result]:
    """Store patches in one file; return those for which this was possible, by key."""
    try:
        file, offsets = store_pack(session, patches, user)
    except (GirderZarrError, ValidationException, AccessException, GirderException):
        # Too much for a quota, maybe; one by one those that fit are stored, and the others get the reason.
        return {}
    try:
        stored = StitchPatch().put_together(session, patches, file, offsets)
    except GirderZarrError:
        return {}
    return {
        key: result if isinstance(result, Exception) else (result, CREATED) for key, result in stored.items()
    }
