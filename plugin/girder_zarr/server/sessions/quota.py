"""Sizes and quotas: the bytes of sessions count in Girder's sizes, and an exceeded quota is a limit error.

Girder adds the size of an item's files to its folder and to the user or collection above, which the plugin
user_quota reads. It does not count files that are attached to other documents, such as sessions; so they are
counted here, when they are stored and when they are removed.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime as dt
import importlib.util
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

from girder import events
from girder.exceptions import ValidationException
from girder.models.file import File
from girder.models.folder import Folder
from girder.utility.model_importer import ModelImporter

from girder_zarr.errors import LimitExceededError
from girder_zarr.server.common.costly import CostlyAnswers
from girder_zarr.server.common.database import find_named, in_parts
from girder_zarr.server.common.names import ATTACHED_TO, HANDLER, Document

from .model import StitchSession

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bson import ObjectId

#: The name under which the plugin user_quota binds its handlers.
_QUOTA_HANDLER = 'userQuota'
#: Field of a file: the id of the folder whose size includes it; None while the file is being removed.
COUNTED_IN = 'countedIn'
#: The name of our handlers: its own, since other handlers of ours are bound to the same events.
_COUNTER = f'{HANDLER}.quota'
#: Seconds after which sizes have what was stored, where no quota looks at them.
DELAY_SECONDS = 1.0
#: Seconds for which it is known whether one does: as old as the settings that a server follows.
MAX_AGE = 1.0
#: Bytes that no quota allows.
_NO_QUOTA_ALLOWS = 2**62

_lock = threading.Lock()
_flushing = threading.Lock()
#: Sizes of files by folder and file, not counted yet.
_pending: dict[ObjectId, dict[ObjectId, int]] = {}
_timer: threading.Timer | None = None
#: By folder, whether a quota limits what is stored there.
_limited = CostlyAnswers(share=0.0, least=MAX_AGE)


def bind() -> None:
    """Count the files of sessions, in servers and in workers: both store and remove them."""
    events.bind('model.file.finalizeUpload.after', _COUNTER, _stored)
    events.bind('model.file.remove', _COUNTER, _removed)
    for changed in ('user', 'collection', 'setting'):
        events.bind(f'model.{changed}.save.after', _COUNTER, forget)


def bind_check() -> None:
    """Count them again after Girder's consistency check, which sets sizes by items alone (servers)."""
    events.bind('rest.put.system/check.after', _COUNTER, lambda _: recount())


def install_in_worker() -> None:
    """Let the quota plugin decide in a worker too what may be stored, and in which assetstore.

    Girder loads its plugins in servers only, so a worker needs the package, and this.
    """
    if not _is_installed():
        return
    from girder_user_quota.quota import QuotaPolicy

    policy = QuotaPolicy()
    events.bind('model.upload.assetstore', _QUOTA_HANDLER, policy.getUploadAssetstore)
    events.bind('model.upload.save', _QUOTA_HANDLER, policy.checkUploadStart)
    events.bind('model.upload.finalize', _QUOTA_HANDLER, policy.checkUploadFinalize)


@contextlib.contextmanager
def as_limit() -> Iterator[None]:
    """Turn the error of a quota that refuses an upload inside the ``with`` block into one of ours.

    :raises LimitExceededError: a quota would be exceeded; the message names it.
    """
    try:
        yield
    except ValidationException as error:
        # Quotas blame the size of an upload; anything else is not about them.
        if error.field != 'size':
            raise
        msg = f'There is no space for it: {str(error).rstrip(".")}.'
        raise LimitExceededError(msg) from error


def check_size(folder: Document, user: Document | None, size: int) -> None:
    """Check that the quotas of a folder and user allow a file of a size in bytes.

    :raises LimitExceededError: a quota would be exceeded; the message names it.
    """
    if may_wait(folder['_id']):
        return
    if _pending:
        # Of before there was a quota.
        flush()
    with as_limit():
        _ask(folder['_id'], user, size)


def _ask(folder_id: ObjectId, user: Document | None, size: int) -> None:
    """Let quotas look at an upload of a size in bytes, as they do before one begins.

    :raises ValidationException: one has no room for it.
    """
    now = dt.datetime.now(dt.UTC)
    upload = {
        'name': 'patch',
        'parentType': 'folder',
        'parentId': folder_id,
        'userId': user['_id'] if user else None,
        'size': size,
        'received': 0,
        'mimeType': 'application/octet-stream',
        'created': now,
        'updated': now,
    }
    events.trigger('model.upload.save', upload)


def recount() -> None:
    """Add the files of all sessions to sizes that count none of them."""
    query = [
        {'$match': {COUNTED_IN: {'$ne': None}}},
        {'$group': {'_id': f'${COUNTED_IN}', 'size': {'$sum': '$size'}}},
    ]
    for found in File().collection.aggregate(query):
        _count(found['_id'], found['size'])


def count(file: Document, folder_id: ObjectId) -> None:
    """Count a file that was stored and attached to a session, unless it has been removed by now.

    Where no quota looks at sizes, the files of a moment are counted together. What a server that dies has not
    counted, the sweep counts.
    """
    if not may_wait(folder_id):
        _count_now(file, folder_id)
        return
    global _timer  # noqa: PLW0603 - one for the process
    with _lock:
        _pending.setdefault(folder_id, {})[file['_id']] = file['size']
        if _timer is None:
            _timer = threading.Timer(DELAY_SECONDS, flush)
            _timer.daemon = True
            _timer.start()


def may_wait(folder_id: ObjectId) -> bool:
    """Return whether the size of a folder may lag behind: no quota compares it with uploads.

    As it was `MAX_AGE` seconds ago at most, and whatever this process has changed since.
    """
    return not _is_installed() or not _limited.fetch(folder_id, lambda: _is_limited(folder_id))


@cache
def _is_installed() -> bool:
    return importlib.util.find_spec('girder_user_quota') is not None


def _is_limited(folder_id: ObjectId) -> bool:
    try:
        _ask(folder_id, None, _NO_QUOTA_ALLOWS)
    except Exception:  # noqa: BLE001 - whoever stores something is told by the check itself
        return True
    return False


def forget(*_: object) -> None:
    """Ask anew whether quotas limit anything, since this process may have changed one."""
    _limited.forget()


def flush() -> None:
    """Count what was stored until now, with three writes for a folder."""
    with _flushing:
        _flush(_take_pending())


def _take_pending() -> dict[ObjectId, dict[ObjectId, int]]:
    global _timer  # noqa: PLW0603
    with _lock:
        taken = dict(_pending)
        _pending.clear()
        if _timer is not None:
            _timer.cancel()
        _timer = None
    return taken


def _flush(taken: dict[ObjectId, dict[ObjectId, int]]) -> None:
    for folder_id, sizes in taken.items():
        change, changed = {'$set': {COUNTED_IN: folder_id}}, 0
        for some in in_parts(sizes):
            query = {'_id': {'$in': some}, COUNTED_IN: {'$exists': False}}
            changed += File().collection.update_many(query, change).modified_count
        if changed != len(sizes):
            # Another process has removed some of them.
            mine = find_named(File().collection.find, '_id', sizes, projection={COUNTED_IN: 1})
            there = [file['_id'] for file in mine if file.get(COUNTED_IN) == folder_id]
            sizes = {file_id: sizes[file_id] for file_id in there}  # noqa: PLW2901
        if sizes:
            _count(folder_id, sum(sizes.values()))


def drop_pending() -> None:
    """Count nothing of what was stored since the last time: the sweep does."""
    _take_pending()


def _flush_at_exit() -> None:
    with contextlib.suppress(Exception):  # the sweep of another server counts them
        if _pending:
            flush()


atexit.register(_flush_at_exit)


def _count_now(file: Document, folder_id: ObjectId) -> None:
    query = {'_id': file['_id'], COUNTED_IN: {'$exists': False}}
    if File().collection.update_one(query, {'$set': {COUNTED_IN: folder_id}}).modified_count:
        _count(folder_id, file['size'])


def _stored(event: Any) -> None:
    file = event.info['file']
    if 'fileId' in event.info['upload'] or file.get('attachedToType') != ATTACHED_TO:
        return
    session = StitchSession().findOne({'_id': file['attachedToId']}, fields=['folderId'])
    if session is not None:
        _count_now(file, session['folderId'])


def _removed(event: Any) -> None:
    if event.info.get('attachedToType') != ATTACHED_TO:
        return
    with _lock:
        for sizes in _pending.values():
            sizes.pop(event.info['_id'], None)
    if not _uncount(event.info['_id']) and not _close(event.info['_id']):
        _uncount(event.info['_id'])  # it was counted between the two


def _uncount(file_id: ObjectId) -> bool:
    """Take a file that is counted out of the sizes; return whether it was.

    Two requests may remove it at the same time, such as one that fails while its session is deleted.
    """
    counted = File().collection.find_one({'_id': file_id})
    if counted is None or counted.get(COUNTED_IN) is None:
        return False
    query = {'_id': file_id, COUNTED_IN: counted[COUNTED_IN]}
    if not File().collection.update_one(query, {'$set': {COUNTED_IN: None}}).matched_count:
        return False
    _count(counted[COUNTED_IN], -counted['size'])
    return True


def _close(file_id: ObjectId) -> bool:
    """Mark a file as never to be counted; return True if it had not been counted yet."""
    query = {'_id': file_id, COUNTED_IN: {'$exists': False}}
    return bool(File().collection.update_one(query, {'$set': {COUNTED_IN: None}}).modified_count)


def _count(folder_id: ObjectId, nbytes: int) -> None:
    """Add to the size of a folder, and of the user or collection that it belongs to."""
    folder = Folder().load(folder_id, force=True)
    if folder is None:
        return
    Folder().increment({'_id': folder['_id']}, field='size', amount=nbytes, multi=False)
    root = ModelImporter.model(folder['baseParentType'])
    root.increment({'_id': folder['baseParentId']}, field='size', amount=nbytes, multi=False)
