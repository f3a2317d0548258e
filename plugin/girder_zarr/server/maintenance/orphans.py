"""Orphans of crashed servers: files that no patch names, stale locks, unfinished uploads, wrong counts.

None of it was acknowledged to a client. A file younger than ``ORPHAN_SECONDS`` may belong to a request under
way; a request that takes half as long fails by itself (`keyed.KeyedModel.check_fresh`).

A server looks at all that sessions hold when it starts and once a day. In between it looks at the files that
were stored lately, and at the whole of a session in which a lock was left: a sweep costs what was stored
since the last one, however large the sessions are into which it was stored.
"""

from __future__ import annotations

import datetime as dt
import itertools
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from bson import ObjectId
from girder.models.file import File

from girder_zarr.server.common.database import find_named
from girder_zarr.server.common.names import ATTACHED_TO, Document, now
from girder_zarr.server.patches.document import COUNTED, bytes_once
from girder_zarr.server.patches.files import remove_uploads
from girder_zarr.server.patches.keyed import ORPHAN_SECONDS
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.patches.references import StitchReference
from girder_zarr.server.patches.session_extent import extent_of
from girder_zarr.server.preview.block_store import PreviewBlock
from girder_zarr.server.sessions import quota
from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.server.sessions.states import EDITABLE, FINALIZING
from girder_zarr.server.storage import durable_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

logger = logging.getLogger(__name__)

#: Seconds between two sweeps of a server, and between two of whole sessions.
INTERVAL_SECONDS, WHOLE_SECONDS = 600, 86400
#: No sweep begins before so many times what the last one took.
_SHARE = 20
_AT_ONCE = 1000
#: What a sweep reads of a file.
_FIELDS = {
    'attachedToType': 1,
    'attachedToId': 1,
    'created': 1,
    'stitchPartOf': 1,
    'size': 1,
    quota.COUNTED_IN: 1,
}
#: No document has it: all are greater.
_FIRST_ID = ObjectId(bytes(12))

_lock = threading.Lock()
_due = _whole_due = float('-inf')
_swept: dt.datetime | None = None


def sweep_orphans(session: Document, older_than: float = ORPHAN_SECONDS) -> int:
    """Remove what dead servers left in a session, and set its counts right; return how much was removed.

    :param older_than: seconds; what is younger is left alone, as it may belong to a request under way. Give 0
        only where there can be none.
    """
    removed = _release(session) + remove_uploads(session, older_than)
    removed += _sweep_files(session, _files_of(session['_id'], older_than))
    removed += durable_files.remove_temporary(session['_id'], older_than)
    _mend_counts(session)
    if removed:
        logger.info('Removed %d things that were left behind in stitch session %s', removed, session['_id'])
    return removed


def _sweep_recent(session: Document, files: Iterable[Document], older_than: float) -> int:
    """Remove what nothing names of some files of a session; return how much was removed.

    A server that dies in the middle of a change leaves a lock: then all of the session is swept.
    """
    released = _release(session)
    if released:
        return released + sweep_orphans(session, older_than)
    return remove_uploads(session, older_than) + _sweep_files(session, files)


def _release(session: Document) -> int:
    return StitchPatch().release_stale(session) + StitchReference().release_stale(session)


def _sweep_files(session: Document, files: Iterable[Document]) -> int:
    """Remove those of the files of a session that nothing names, and count the others in sizes.

    Parts of a result go where their attempt is over; those of the running one belong to its workers.
    """
    current = StitchSession().findOne({'_id': session['_id']}) or {}
    running = current.get('attempt') if current.get('state') == FINALIZING else None
    removed = 0
    for some in _batches(files):
        parts = {file['_id']: file['stitchPartOf']['attempt'] for file in some if 'stitchPartOf' in file}
        ids = {file['_id'] for file in some if file['_id'] not in parts}
        for model in (StitchPatch(), StitchReference()):
            named = find_named(model.collection.find, 'fileId', ids, projection={'fileId': 1})
            ids = ids - {document['fileId'] for document in named}
        ids |= {file_id for file_id, attempt in parts.items() if attempt != running}
        removed += _remove(ids)
        for file in some:
            if file['_id'] not in ids and quota.COUNTED_IN not in file:
                quota.count(file, session['folderId'])
    return removed


def _holders() -> set[ObjectId]:
    """Return the sessions that have files."""
    files = File().collection.find(
        {'attachedToId': {'$gt': _FIRST_ID}}, {'attachedToType': 1, 'attachedToId': 1}
    )
    return {file['attachedToId'] for file in files if file.get('attachedToType') == ATTACHED_TO}


def _stored_since(since: dt.datetime, older_than: float) -> dict[ObjectId, list[Document]]:
    """Return what was stored since a moment and is old enough, by session."""
    found: dict[ObjectId, list[Document]] = {}
    limit = now() - dt.timedelta(seconds=older_than)
    for file in File().collection.find({'created': {'$gte': since}}, _FIELDS):
        if file.get('attachedToType') == ATTACHED_TO:
            some = found.setdefault(file['attachedToId'], [])
            if not older_than or file['created'] < limit:
                some.append(file)
    return found


def _files_of(session_id: ObjectId, older_than: float) -> Iterator[Document]:
    """Yield the files that are attached to a session, or were when there was one, and are old enough.

    Filtered here, since no index has more than the session.
    """
    limit = now() - dt.timedelta(seconds=older_than)
    for file in File().collection.find({'attachedToId': session_id}, _FIELDS):
        if not older_than or file['created'] < limit:
            yield file


def sweep_all(older_than: float = ORPHAN_SECONDS, *, whole: bool = True, everything: bool = False) -> int:
    """Sweep the sessions into which something was stored since this process did so; return how much went.

    What was stored for sessions that are gone is found as well.

    :param whole: look at all that these sessions hold, not only at what was stored since.
    :param everything: look at all of all sessions, as the first sweep of a process does. A request that only
        removes, and loses the database before the file, leaves what no new file leads to.
    """
    global _swept  # noqa: PLW0603 - one time for the process
    begun = now()
    if everything:
        _swept = None
    removed = durable_files.remove_temporary(older_than=older_than) + durable_files.remove_unnamed(older_than)
    durable_files.remove_locks(older_than)
    recent = _stored_since(_swept, older_than) if _swept is not None else dict.fromkeys(_holders(), ())
    is_whole = whole or _swept is None
    if is_whole:
        removed += PreviewBlock().remove_lost()
    for session_id, files in recent.items():
        session = StitchSession().findOne({'_id': session_id})
        if session is None:
            removed += _remove({file['_id'] for file in _files_of(session_id, older_than)})
        elif is_whole:
            removed += sweep_orphans(session, older_than)
        else:
            removed += _sweep_recent(session, files, older_than)
    # Files that were too young are looked at again.
    _swept = begun - dt.timedelta(seconds=2 * older_than)
    return removed


def sweep_if_due() -> None:
    """Sweep, if that was long ago; once a day whatever sessions hold."""
    global _due, _whole_due, _swept  # noqa: PLW0603 - one time for the process
    with _lock:
        begun = time.monotonic()
        if begun < _due:
            return
        _due = begun + INTERVAL_SECONDS
        is_whole = begun >= _whole_due
        if is_whole:
            _whole_due, _swept = begun + WHOLE_SECONDS, None
    sweep_all(whole=is_whole)
    ended = time.monotonic()
    with _lock:
        _due = max(_due, ended + _SHARE * (ended - begun))


def _remove(ids: Iterable[ObjectId]) -> int:
    removed = 0
    for file_id in ids:
        file = File().load(file_id, force=True)
        if file is not None:
            durable_files.remove_file(file)
            removed += 1
    return removed


def _batches(documents: Iterable[Any]) -> Iterator[list[Any]]:
    source = iter(documents)
    while some := list(itertools.islice(source, _AT_ONCE)):
        yield some


def _mend_counts(session: Document) -> None:
    """Set counts and extent of an editable session from its patches, unless something goes on in it.

    A server that dies between the change of the session and that of the patch leaves them wrong.
    """
    current = StitchSession().find_there(session['_id'])
    if current is None or current['state'] not in EDITABLE:
        return
    own = {'sessionId': session['_id']}
    if StitchPatch().findOne({**own, 'lockedBy': {'$gt': ''}}, fields=['_id']) is not None:
        return
    documents = list(StitchPatch().find(own, fields=COUNTED))
    nbytes = sum(document['size'] for document in StitchReference().list_session(session))
    seen: set[tuple[ObjectId, int]] = set()
    nbytes += sum(bytes_once(document, seen) for document in documents)
    counts = {'patches': len(documents), 'bytes': nbytes}
    extent = extent_of(documents)
    if (current['counts'], current['extent']) == (counts, extent):
        return
    # A request that changes the session meanwhile raises its revision: then the next sweep does it.
    query = {'revision': current['revision'], 'state': {'$in': EDITABLE}}
    update = {'$set': {'counts': counts, 'extent': extent}, '$inc': {'revision': 1}}
    StitchSession().change(session['_id'], query, update)
