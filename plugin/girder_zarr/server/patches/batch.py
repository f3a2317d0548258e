"""Patches that are stored together: one Girder file, one change of the session, a few writes for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from girder.exceptions import AccessException, GirderException, ValidationException

from girder_zarr.errors import GirderZarrError
from girder_zarr.server.common.names import Document
from girder_zarr.server.sessions.model import StitchSession

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
    session: Document, entries: Sequence[BatchEntry], user: Document, limits: StitchLimits
) -> list[Result]:
    """Store patches of different keys; return for each what became of it.

    Those whose keys are free go together. What needs more care is put one by one: keys that are taken, and
    everything where the session changes meanwhile.
    """
    results, fresh, single = _sort(session, entries, limits)
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
    for at in sorted(single):
        results[at] = _put(session, entries[at], user)
    return [results[at] for at in range(len(entries))]


def _sort(
    session: Document, entries: Sequence[BatchEntry], limits: StitchLimits
) -> tuple[dict[int, Result], list[int], list[int]]:
    """Return what is decided already, and what is to be stored together and one by one, by number."""
    keys = [entry.new.key for entry in entries]
    there = {
        document['key']: document
        for document in StitchPatch().find({'sessionId': session['_id'], 'key': {'$in': keys}})
    }
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
    return results, fresh, single


def _with(session: Document, new: NewPatch) -> Document:
    """Return the session as it will be with a patch, with the fields that the check of the next one reads."""
    return {**session, **new.kind, 'extent': grown(session['extent'], new.box)}


def _put(session: Document, entry: BatchEntry, user: Document) -> Result:
    try:
        fresh = StitchSession().get(session['_id'])
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
