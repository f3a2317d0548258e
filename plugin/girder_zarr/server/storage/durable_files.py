"""Durable files in assetstores on the file system: what was acknowledged survives a crash of the machine.

Girder writes such files without a sync to the disk, and by way of an upload document that is
written five times. The patches of sessions go in here in one step instead. What must not happen:

- that a file document names contents which another request removes at the same moment: contents are shared by
  all documents of one hash, and Girder removes them with the last of these. So the document is there first;
- that half of anything has its final name: contents are written under another name, and moved.

Other assetstores (S3) are durable once they confirm a write; for them Girder's own upload is used.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import hashlib
import os
import re
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from girder.constants import AssetstoreType
from girder.exceptions import ValidationException
from girder.models.assetstore import Assetstore
from girder.models.file import File
from girder.models.upload import Upload
from girder.utility import _hash_state, assetstore_utilities
from girder.utility.filesystem_assetstore_adapter import DEFAULT_PERMS, FilesystemAssetstoreAdapter

from girder_zarr.errors import CancelledError, NoSpaceError, NotFoundError
from girder_zarr.image.write.outlet import sync_path
from girder_zarr.image.write.pack import is_full
from girder_zarr.server.common.database import update_and_find

from .stream_hash import hash_stream

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from bson import ObjectId

    from girder_zarr.image.write.file_digest import FileDigest
    from girder_zarr.server.common.names import Document

_PIECE = 2**20
#: How the two levels of folders of an assetstore are called.
_HEX = '[0-9a-f]' * 2
_REMOVED = 'The session was removed while the patch was stored.'
#: Directories whose own entries this process has synced to the disk.
_synced: set[Path] = set()
#: Threads that wait for the disk while others wait for the database.
_syncing = ThreadPoolExecutor(16, thread_name_prefix='syncing')


def adapter_of(assetstore: Document) -> FilesystemAssetstoreAdapter | None:
    """Return the adapter of an assetstore on the file system, None for others."""
    adapter = assetstore_utilities.getAssetstoreAdapter(assetstore)
    # A subclass of another package may store its files in another way.
    return adapter if type(adapter) is FilesystemAssetstoreAdapter else None


def check_space(adapter: FilesystemAssetstoreAdapter, nbytes: int) -> None:
    """Check that the assetstore has space for more bytes, with Girder's reserve.

    :raises NoSpaceError: it has not.
    """
    free = adapter.capacityInfo()['free']
    # None: the file system does not report its free space.
    if free is not None and free <= nbytes:
        raise no_space(adapter, nbytes)


def no_space(adapter: FilesystemAssetstoreAdapter, nbytes: int) -> NoSpaceError:
    """Return the error of an assetstore that has no space for so many bytes."""
    reserved = adapter.capacityInfo().get('reserved', 0)
    return NoSpaceError(
        f'There is no space for it: {nbytes} bytes are needed, and of the '
        f'{shutil.disk_usage(adapter.assetstore["root"]).free} bytes that are free in the assetstore '
        f'{reserved:.0f} are reserved (GIRDER_FILESYSTEMASSETSTORE_RESERVED_MBYTES).'
    )


def store(
    adapter: FilesystemAssetstoreAdapter,
    file: Document,
    stream: IO[bytes],
    session_id: ObjectId,
    hashed: Future[str] | None = None,
) -> tuple[Document, Future[None]]:
    """Store a stream, from its beginning, as the contents of a file that is saved here too.

    The disk takes its time while the database has its own work.

    :param file: a new document without ``_id``.
    :param hashed: the sha512 of the stream, see `stream_hash.hash_ahead`.
    :returns: the document, and what has to be waited for until contents and document are there to stay. After
        an error neither is there.
    :raises NoSpaceError: the assetstore has no space for it.
    :raises ValidationException: the assetstore is not there.
    :raises NotFoundError: the session is being removed.
    """
    check_space(adapter, int(file['size']))
    if adapter.unavailable:
        msg = 'The assetstore is not available.'
        raise ValidationException(msg)
    root = Path(adapter.assetstore['root'])
    handle, name = tempfile.mkstemp(dir=adapter.tempDir, prefix=_prefix(session_id))
    temporary = Path(name)
    try:
        with os.fdopen(handle, 'wb') as target:
            digest = _copy(stream, target, hashed)
            written = _syncing.submit(os.fsync, target.fileno())
            try:
                temporary.chmod(adapter.assetstore.get('perms', DEFAULT_PERMS))
                path = Path(digest[0:2], digest[2:4], digest)
                # Its events are about files that users have: thumbnails, large images.
                stored = {**file, 'sha512': digest, 'path': str(path), 'created': dt.datetime.now(dt.UTC)}
                file = File().save(stored, triggerEvents=False)
            finally:
                wait((written,))
        try:
            written.result()
            is_own = _place(temporary, root / path)
            kept = _syncing.submit(_keep, root / path, root, is_own=is_own)
        except BaseException:
            remove_file(file)
            raise
    except FileNotFoundError as error:
        raise NotFoundError(_REMOVED) from error
    finally:
        temporary.unlink(missing_ok=True)
    return file, kept


def _keep(path: Path, root: Path, *, is_own: bool) -> None:
    """Sync to the disk that contents have their name, and those of another file, which may be just as new."""
    try:
        if not is_own:
            sync_path(path)
        _sync_entries(path, root)
    except FileNotFoundError as error:
        raise NotFoundError(_REMOVED) from error


def take_file(
    adapter: FilesystemAssetstoreAdapter,
    upload: Document,
    path: Path,
    check: Callable[[], None] | None = None,
    digest: FileDigest | None = None,
) -> Document:
    """Let a file be all the bytes of an upload that has none yet; return the Girder file.

    It is moved where that can be done: copying takes several times longer than reading it once.

    :param path: it is not there any more when this returns.
    :param check: called now and then; raises to stop.
    :param digest: sha512, made while the file was written.
    :raises CancelledError: the upload was removed.
    :raises NoSpaceError: it is on another disk, and the assetstore has no space for it.
    """
    known = _hash_of(path, check, digest)
    fields = {'sha512state': _hash_state.serializeHex(known), 'received': upload['size']}
    updated = update_and_find(Upload().collection, {'_id': upload['_id'], 'received': 0}, {'$set': fields})
    if updated is None:
        msg = 'What was to be stored is not wanted any more.'
        raise CancelledError(msg)
    try:
        path.replace(updated['tempFile'])
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_whole(adapter, path, updated['tempFile'])
    file: Document = Upload().finalizeUpload(updated, adapter.assetstore)
    return file


def store_path(
    adapter: FilesystemAssetstoreAdapter,
    file: Document,
    path: Path,
    check: Callable[[], None] | None = None,
    digest: FileDigest | None = None,
) -> Document:
    """Let a file be the contents of a Girder file that is saved here too, without a sync to the disk.

    An upload would do the same with a dozen commands to the database.

    :param file: a new document without ``_id``.
    :param path: it is moved where that can be done.
    :param check: called now and then; raises to stop.
    :param digest: sha512, made while the file was written.
    :returns: the document; after an error neither document nor contents are there.
    :raises NoSpaceError: it is on another disk, and the assetstore has no space for it.
    """
    known = _hash_of(path, check, digest)
    name, root = known.hexdigest(), Path(adapter.assetstore['root'])
    place = Path(name[0:2], name[2:4], name)
    path.chmod(adapter.assetstore.get('perms', DEFAULT_PERMS))
    stored = {**file, 'sha512': name, 'path': str(place), 'created': dt.datetime.now(dt.UTC)}
    document: Document = File().save(stored, triggerEvents=False)
    try:
        _move(adapter, path, root / place)
    except BaseException:
        remove_file(document)
        raise
    return document


def _move(adapter: FilesystemAssetstoreAdapter, path: Path, final: Path) -> None:
    """Give a file its final name, from whichever disk."""
    try:
        if not _place(path, final):
            path.unlink()
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    handle, name = tempfile.mkstemp(dir=adapter.tempDir, prefix=_prefix(None))
    os.close(handle)
    try:
        _copy_whole(adapter, path, name)
        shutil.copymode(path, name)
        _place(Path(name), final)
    finally:
        Path(name).unlink(missing_ok=True)


def _copy_whole(adapter: FilesystemAssetstoreAdapter, path: Path, target: str) -> None:
    """Copy a file into the assetstore. :raises NoSpaceError: there is no space for it."""
    try:
        shutil.copyfile(path, target)
    except OSError as full:
        if not is_full(full):
            raise
        raise no_space(adapter, path.stat().st_size) from full


def _hash_of(path: Path, check: Callable[[], None] | None, known: FileDigest | None) -> Any:
    """Return the sha512 object of a file: the one that was made while it was written, or one made now."""
    if known is not None and known.covers(path):
        return known.hash
    digest = hashlib.sha512()
    with path.open('rb') as stream:
        while piece := stream.read(_PIECE):
            if check is not None:
                check()
            digest.update(piece)
    return digest


def _copy(stream: IO[bytes], target: IO[bytes], hashed: Future[str] | None) -> str:
    """Write a stream; return its sha512, by which the assetstore names contents."""
    if hashed is None:
        digest = hash_stream(stream, target)
    else:
        digest = hashed.result()
        stream.seek(0)
        shutil.copyfileobj(stream, target, _PIECE)
    target.flush()
    return digest


def _place(temporary: Path, final: Path) -> bool:
    """Give contents their name, unless the same are there already; return whether these are used."""
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():
        # Girder removes the last file of these contents under this lock.
        with FileLock(f'{final}.deleteLock'):
            there = final.is_file() and final.stat().st_size == temporary.stat().st_size
        if there:
            return False
    temporary.replace(final)
    return True


def _sync_entries(path: Path, root: Path) -> None:
    """Sync the directory entries of a file, and of its directories below the assetstore's, to the disk."""
    if not path.is_relative_to(root):
        return
    above = path.relative_to(root).parts[:-1]
    directories = [root.joinpath(*above[:count]) for count in range(len(above), -1, -1)]
    # Girder never removes the 256 directories of the root: each is synced once.
    is_known = len(above) == 2 and directories[1] in _synced
    for directory in directories[: 2 if is_known else None]:
        sync_path(directory)
    if len(above) == 2:
        _synced.add(directories[1])


def make_durable(file: Document) -> None:
    """Sync the contents of a file that Girder has stored to the disk, unless it was imported.

    :raises NoSpaceError: the disk turns out to have no space for it.
    """
    assetstore = Assetstore().load(file['assetstoreId']) if file.get('assetstoreId') else None
    adapter = adapter_of(assetstore) if assetstore else None
    if adapter is None or file.get('imported'):
        return
    with contextlib.suppress(FileNotFoundError):  # reading it raises the error
        path = Path(adapter.fullPath(file))
        try:
            sync_path(path)
            _sync_entries(path, Path(adapter.assetstore['root']))
        except OSError as error:
            if not is_full(error):
                raise
            raise no_space(adapter, int(file['size'])) from error


def remove_temporary(session_id: ObjectId | None = None, older_than: float = 0) -> int:
    """Remove temporary files of patches that crashed servers left; return their number.

    :param session_id: the session of the patches; None: all sessions, removed ones too.
    :param older_than: seconds; what is younger may still be written.
    """
    removed = 0
    for assetstore in Assetstore().find({'type': AssetstoreType.FILESYSTEM}):
        for path in Path(assetstore['root'], 'temp').glob(f'{_prefix(session_id)}*'):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime >= older_than:
                    path.unlink()
                    removed += 1
    return removed


def remove_file(file: Document) -> None:
    """Remove a file, and its contents if no other file has them.

    Girder asks for other files of the same contents while the file itself is still there. Of two files that
    are removed at the same moment each would leave the contents to the other: so they are asked for again.
    """
    File().remove(file)
    if not file.get('imported'):
        drop_contents(file)


def drop_contents(document: Document, upload_id: Any = None) -> None:
    """Remove contents that no file has, and no upload but the given one.

    :param document: a removed file or an upload, with ``sha512`` and ``assetstoreId``.
    """
    digest = document.get('sha512')
    if not digest or not document.get('assetstoreId'):
        return
    adapter = adapter_of(Assetstore().load(document['assetstoreId']))
    if adapter is None:
        return
    path = Path(adapter.assetstore['root'], digest[0:2], digest[2:4], digest)
    if not path.is_file():
        return
    same = {'sha512': digest, 'assetstoreId': document['assetstoreId']}
    # As Girder does it: a request that will use the contents saves its document before it takes this lock.
    with FileLock(f'{path}.deleteLock'):
        others = Upload().findOne({**same, '_id': {'$ne': upload_id}})
        if others is None and File().findOne(same) is None:
            path.unlink(missing_ok=True)


def remove_unnamed(older_than: float) -> int:
    """Remove temporary files of Girder without an upload document; return their number.

    It makes the temporary file first. A server that dies before the upload's document is saved leaves a file
    that nothing names.

    :param older_than: seconds; what is younger may be about to be named.
    """
    removed = 0
    for assetstore in Assetstore().find({'type': AssetstoreType.FILESYSTEM}):
        for path in Path(assetstore['root'], 'temp').glob('tmp*'):
            with contextlib.suppress(OSError):
                # By its end, as the assetstore may have been moved since.
                named = {'tempFile': {'$regex': f'{re.escape(path.name)}$'}}
                if time.time() - path.stat().st_mtime >= older_than and Upload().findOne(named) is None:
                    path.unlink()
                    removed += 1
    return removed


def remove_locks(older_than: float) -> int:
    """Remove the lock files that removals of contents leave beside them; return how many that were.

    One is taken first and its contents are looked for under it, so that nobody holds it, and nobody who waits
    for it finds contents that are about to be removed.

    :param older_than: seconds since it was taken last.
    """
    removed = 0
    for assetstore in Assetstore().find({'type': AssetstoreType.FILESYSTEM}):
        for path in Path(assetstore['root']).glob(f'{_HEX}/{_HEX}/*.deleteLock'):
            with contextlib.suppress(OSError, Timeout):
                if path.with_suffix('').exists() or time.time() - path.stat().st_mtime < older_than:
                    continue
                with FileLock(path, timeout=0):
                    path.unlink()
                removed += 1
    return removed


def _prefix(session_id: ObjectId | None) -> str:
    return 'girder-zarr-' if session_id is None else f'girder-zarr-{session_id}-'
