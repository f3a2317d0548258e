"""Patches that are stored together: one Girder file, one change of the session, a few writes for all."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from girder.exceptions import AccessException, GirderException, ValidationException
from girder.models.file import File
from pymongo.errors import BulkWriteError

from girder_zarr.errors import ConflictError, GirderZarrError
from girder_zarr.server.common.names import Document, now
from girder_zarr.server.sessions.model import StitchSession

from . import hooks
from .document import make
from .files import store_pack
from .incoming import CREATED, UNCHANGED, NewPatch, check_fits, decide, edges_of
from .model import StitchPatch, check_young

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.server.settings.session_limits import StitchLimits

#: What became of a patch: what is stored of it and its status, or why it was refused.
Result = tuple[Document, str] | Exception


@dataclass(frozen=True, slots=True)
class Entry:
    """A patch to be stored, and whether it may take the place of another one."""

    new: NewPatch
    replace: bool


def put_together(
    session: Document, entries: Sequence[Entry], user: Document, limits: StitchLimits
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
                if not isinstance(result, Exception):
                    hooks.notify(hooks.stored, session['_id'], result[0])
            else:
                single.append(at)
    else:
        single += fresh
    for at in sorted(single):
        results[at] = _put(session, entries[at], user)
    return [results[at] for at in range(len(entries))]


def _sort(
    session: Document, entries: Sequence[Entry], limits: StitchLimits
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
    """Return what the session will be with a patch, as far as the next one is held against it."""
    extent = dict(session['extent'])
    for axis, (low, high) in edges_of(new).items():
        extent[axis + '0'] = min(low, extent.get(axis + '0', low))
        extent[axis + '1'] = max(high, extent.get(axis + '1', high))
    return {**session, **new.kind, 'extent': extent}


def _put(session: Document, entry: Entry, user: Document) -> Result:
    try:
        fresh = StitchSession().get(session['_id'])
        return StitchPatch().put(fresh, entry.new, user, replace=entry.replace)
    except (GirderZarrError, ValidationException, AccessException, GirderException) as error:
        return error


def _store(session: Document, news: Sequence[NewPatch], user: Document) -> dict[str, Result]:
    """Store patches in one file; return those for which this was possible, by key.

    The steps are those of `patches`: hold, commit, settle, with one write for all in each.
    """
    try:
        file, offsets = store_pack(session, news, user)
    except (GirderZarrError, ValidationException, AccessException, GirderException):
        # Too much for a quota, maybe; one by one those that fit are stored, and the others get the reason.
        return {}
    held = uuid.uuid4().hex
    documents = [
        {**make(session, new.key, new.fields, held), 'fileId': file['_id'], 'offset': offset, 'arrival': at}
        for at, (new, offset) in enumerate(zip(news, offsets, strict=True))
    ]
    mine = {'sessionId': session['_id'], 'held': held}
    try:
        inserted = _insert(documents)
        news = [new for new in news if new.key in inserted]
        if news:
            nbytes = sum(new.size for new in news)
            check_young(file)
            changed = StitchPatch().commit(session, news, len(news), nbytes)
    except BaseException as error:
        StitchPatch().collection.delete_many(mine)
        File().remove(file)
        StitchPatch().measure(session)
        if isinstance(error, GirderZarrError):
            return {}
        raise
    if not news:
        File().remove(file)
        return {}
    return _settle(mine, inserted, changed['revision'] - len(news) + 1)


def _insert(documents: list[Document]) -> dict[str, Document]:
    """Insert the documents whose keys are still free; return them by key."""
    try:
        StitchPatch().collection.insert_many(documents, ordered=False)
        taken = set()
    except BulkWriteError as error:
        taken = {failure['index'] for failure in error.details['writeErrors']}
    return {document['key']: document for at, document in enumerate(documents) if at not in taken}


def _settle(mine: Document, inserted: dict[str, Document], first: int) -> dict[str, Result]:
    fields = {'stored': True, 'held': None, 'updated': now()}
    ids = [document['_id'] for document in inserted.values()]
    update = {'$set': fields, '$inc': {'arrival': first}}
    # By the index of holds: with ids as well the embedded database would look at all patches of the session.
    changed = StitchPatch().collection.update_many(mine, update)
    kept = set(inserted)
    if changed.modified_count != len(inserted):
        query = {'_id': {'$in': ids}, 'stored': True}
        kept = {document['key'] for document in StitchPatch().find(query, fields=['key'])}
    taken = ConflictError('The patch was taken over by another request; try again.')
    return {
        key: ({**document, **fields}, CREATED) if key in kept else taken for key, document in inserted.items()
    }
