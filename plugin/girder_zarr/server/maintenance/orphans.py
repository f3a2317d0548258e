"""Orphans of crashed servers: files that no patch names, stale locks, unfinished uploads, wrong counts.

None of it was acknowledged to a client. A file younger than ``ORPHAN_SECONDS`` may belong to a request under
way; a request that takes half as long fails by itself (`keyed.KeyedModel.check_fresh`).
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

#: Seconds between two sweeps of a server.
INTERVAL_SECONDS = 600
#: Seconds after which one of them looks at all sessions again. The others look at those that have new files,
#: and so at what a request leaves that stores; one that only removes may lose the database before the file.
ALL_SECONDS = 24 * 3600
_AT_ONCE = 1000
#: No document has it: all are greater.
_FIRST_ID = ObjectId(bytes(12))

_lock = threading.Lock()
_due = float('-inf')
_all_due = float('-inf')
_swept: dt.datetime | None = None


def sweep_orphans(session: Document, older_than: float = ORPHAN_SECONDS) -> int:
    """Remove what dead servers left in a session, and set its counts right; return how much was removed.

    :param older_than: seconds; what is younger is left alone, as it may belong to a request under way. Give 0
        only where there can be none.
    """
    removed = StitchPatch().release_stale(session) + StitchReference().release_stale(session)
    removed += remove_uploads(session, older_than)
    removed += _remove_parts(session, older_than)
    for some in _batches(_files_of(session['_id'], older_than)):
        ids = {file['_id'] for file in some if 'stitchPartOf' not in file}
        for model in (StitchPatch(), StitchReference()):
            named = model.collection.find({'fileId': {'$in': list(ids)}}, {'fileId': 1})
            ids -= {document['fileId'] for document in named}
        removed += _remove(ids)
        for file in some:
            if file['_id'] not in ids and quota.COUNTED_IN not in file:
                quota.count(file, session['folderId'])
    removed += durable_files.remove_temporary(session['_id'], older_than)
    _mend_counts(session)
    if removed:
        logger.info('Removed %d things that were left behind in stitch session %s', removed, session['_id'])
    return removed


def _stored_into(since: dt.datetime | None) -> set[ObjectId]:
    """Return the sessions that have files, or into which some were stored since a moment."""
    query = {'attachedToId': {'$gt': _FIRST_ID}} if since is None else {'created': {'$gte': since}}
    files = File().collection.find(query, {'attachedToType': 1, 'attachedToId': 1})
    return {file['attachedToId'] for file in files if file.get('attachedToType') == ATTACHED_TO}


def _files_of(session_id: ObjectId, older_than: float) -> Iterator[Document]:
    """Yield the files that are attached to a session, or were when there was one, and are old enough.

    Filtered here, since no index has more than the session.
    """
    limit = now() - dt.timedelta(seconds=older_than)
    fields = {'created': 1, 'stitchPartOf': 1, 'size': 1, quota.COUNTED_IN: 1}
    for file in File().collection.find({'attachedToId': session_id}, fields):
        if not older_than or file['created'] < limit:
            yield file


def _remove_parts(session: Document, older_than: float) -> int:
    """Remove parts of a result whose attempt is over; those of the running one belong to its workers."""
    current = StitchSession().findOne({'_id': session['_id']}) or {}
    running = current.get('attempt') if current.get('state') == FINALIZING else None
    over = {
        file['_id']
        for file in _files_of(session['_id'], older_than)
        if 'stitchPartOf' in file and file['stitchPartOf']['attempt'] != running
    }
    return _remove(over)


def sweep_all(older_than: float = ORPHAN_SECONDS, *, everything: bool = False) -> int:
    """Sweep the sessions into which something was stored since this process did so; return how much went.

    What was stored for sessions that are gone is found as well.

    :param everything: look at all sessions, as the first sweep of a process and one a day do.
    """
    global _swept, _all_due  # noqa: PLW0603 - one time for the process
    begun, started = now(), time.monotonic()
    everything = everything or _swept is None or started >= _all_due
    removed = durable_files.remove_temporary(older_than=older_than) + durable_files.remove_unnamed(older_than)
    removed += PreviewBlock().remove_lost()
    durable_files.remove_locks(older_than)
    for session_id in _stored_into(None if everything else _swept):
        session = StitchSession().findOne({'_id': session_id})
        if session is not None:
            removed += sweep_orphans(session, older_than)
        else:
            removed += _remove({file['_id'] for file in _files_of(session_id, older_than)})
    # Files that were too young are looked at again.
    _swept = begun - dt.timedelta(seconds=2 * older_than)
    if everything:
        _all_due = started + ALL_SECONDS
    return removed


def sweep_if_due() -> None:
    """Sweep all sessions, if that was long ago."""
    global _due  # noqa: PLW0603 - one time for the process
    with _lock:
        if time.monotonic() < _due:
            return
        _due = time.monotonic() + INTERVAL_SECONDS
    sweep_all()


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
