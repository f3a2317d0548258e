"""The bytes of patches and results as Girder files, in whichever assetstore."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import shutil
from typing import IO, TYPE_CHECKING, Any

from bson import ObjectId
from girder.models.assetstore import Assetstore
from girder.models.file import File
from girder.models.folder import Folder
from girder.models.upload import Upload
from girder.utility import RequestBodyStream

from girder_zarr.errors import InvalidInputError, LimitExceededError, NotFoundError, UnsupportedFormatError
from girder_zarr.server.sessions import quota
from girder_zarr.server.sessions.model import ATTACHED_TO, Document
from girder_zarr.server.storage import durable_files
from girder_zarr.server.storage.file_bytes import open_bytes
from girder_zarr.stitch.formats import registry as formats
from girder_zarr.stitch.patch import format_digest

from .incoming import NewPatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from girder_zarr.image.store.bytesource import ByteSource
    from girder_zarr.server.ingest.fields import PatchFields
    from girder_zarr.server.settings.session_limits import StitchLimits
    from girder_zarr.stitch.patch import Patch

#: Files go to the assetstore in pieces of this size; S3 adapters accept no smaller ones.
UPLOAD_PIECE = 64 * 2**20
_MIME_TYPES = {
    'png': 'image/png',
    'jpeg': 'image/jpeg',
    'tiff': 'image/tiff',
    'webp': 'image/webp',
    'jxl': 'image/jxl',
    'npy': 'application/octet-stream',
    'raw': 'application/octet-stream',
}


def store_file(session: Document, new: NewPatch, user: Document) -> Document:
    """Store the bytes of a patch as a Girder file attached to the session; on any error nothing remains.

    When it returns, they are there to stay, whatever happens to the server or its machine.
    """
    name, mime_type = f'patch.{new.info.format}', _MIME_TYPES[new.info.format]
    return _store(session, name, mime_type, new.size, new.stream, user)


def store_pack(session: Document, news: Sequence[NewPatch], user: Document) -> tuple[Document, list[int]]:
    """Store the bytes of patches one after the other in one Girder file attached to the session.

    :returns: the file, and where in it each patch begins. It is held in memory: keep it small.
    """
    pack, offsets = io.BytesIO(), []
    for new in news:
        offsets.append(pack.tell())
        new.stream.seek(0)
        shutil.copyfileobj(new.stream, pack, 2**20)
    return _store(session, 'patches.bin', _MIME_TYPES['raw'], pack.tell(), pack, user), offsets


def _store(
    session: Document, name: str, mime_type: str, size: int, stream: IO[bytes], user: Document
) -> Document:
    folder = Folder().load(session['folderId'], force=True)
    if folder is None:
        msg = 'The folder of the session is gone.'
        raise NotFoundError(msg)
    assetstore = Upload().getTargetAssetstore('folder', folder)
    adapter = durable_files.adapter_of(assetstore)
    if adapter is None:
        return _upload(session, folder, assetstore, user, (name, mime_type, size), stream)
    quota.check_room(folder, user, size)
    file = File().createFile(user, None, name, size, assetstore, mimeType=mime_type, saveFile=False)
    file.update(attachedToType=list(ATTACHED_TO), attachedToId=session['_id'])
    file = durable_files.store(adapter, file, stream, session['_id'])
    quota.count(file, folder['_id'])
    return file


def _upload(
    session: Document,
    folder: Document,
    assetstore: Document,
    user: Document,
    described: tuple[str, str, int],
    stream: IO[bytes],
) -> Document:
    """Store a file in the way that every assetstore knows.

    The upload is made into the folder, which is what quotas look at; `attach_upload` ties it to the session.

    :param described: name, type and size.
    """
    name, mime_type, size = described
    with quota.as_limit():
        upload = Upload().createUpload(
            user,
            name,
            'folder',
            folder,
            size,
            mimeType=mime_type,
            assetstore=assetstore,
            attachParent=True,
            save=False,
        )
        try:
            upload['stitchSessionId'] = session['_id']
            upload = Upload().save(upload)
            return send_file(upload, stream)
        except BaseException:
            Upload().cancelUpload(upload)
            raise


def send_file(upload: Document, stream: IO[bytes], check: Any = None) -> Document:
    """Send a stream into an upload, from its beginning; return the Girder file.

    :param check: called before each piece; raises to stop.
    """
    stream.seek(0)
    left, result = upload['size'], upload
    while left > 0:
        if check is not None:
            check()
        length = min(UPLOAD_PIECE, left)
        result = Upload().handleChunk(result, RequestBodyStream(_Piece(stream, length), length))
        left -= length
    return result


def send_path(upload: Document, path: Path, check: Callable[[], None] | None = None) -> Document:
    """Send a file into an upload, which may take it away from where it is; return the Girder file.

    :param check: called now and then; raises to stop.
    :raises CancelledError: somebody has removed the upload.
    """
    adapter = durable_files.adapter_of(Assetstore().load(upload['assetstoreId']))
    if adapter is not None:
        return durable_files.take_file(adapter, upload, path, check)
    with path.open('rb') as stream:
        return send_file(upload, stream, check)


class _Piece:
    """The next ``length`` bytes of a stream, as a stream of its own."""

    def __init__(self, stream: IO[bytes], length: int) -> None:
        self._stream, self._left = stream, length

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(self._left if size is None or size < 0 else min(size, self._left))
        self._left -= len(data)
        return data


def attach_upload(event: Any) -> None:
    """Tie an upload of :func:`_upload` to its session before the file is saved (an event handler)."""
    session_id = event.info['upload'].get('stitchSessionId')
    if session_id is not None:
        event.info['file'].update(attachedToType=list(ATTACHED_TO), attachedToId=session_id)


def open_file(file_id: str) -> ByteSource | None:
    """Return the bytes of a file, or None where it is gone."""
    file = File().load(ObjectId(file_id), force=True)
    return None if file is None else open_bytes(file)


def read_source(patch: Patch, find: Callable[[str], ByteSource | None] = open_file) -> bytes:
    """Return the bytes of a patch.

    :param find: returns the bytes of a file by its id, as :func:`open_file`.
    :raises UnsupportedFormatError: they are gone or not what they were; the message says so.
    """
    file_id, *part = patch.source.split(':')
    source = find(file_id)
    if source is None:
        msg = f'Patch {patch.key}: its file is gone{" from Girder" if part[2:] else ""}.'
        raise UnsupportedFormatError(msg)
    if not part:
        return source.read(0, source.size)
    offset, size = int(part[0]), int(part[1])
    if not part[2:]:
        return source.read(offset, size)
    data = source.read(0, size) if source.size == size else b''
    if format_digest(hashlib.sha256(data).digest()) != patch.digest:
        msg = f'Patch {patch.key}: file {file_id} in Girder is not what it was when it became a patch.'
        raise UnsupportedFormatError(msg)
    return data


class FileStream(io.RawIOBase):
    """A Girder file in whichever assetstore as a stream that can be sought."""

    def __init__(self, file: Document) -> None:
        self._source, self._at = open_bytes(file), 0

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def seekable(self) -> bool:
        """Return that it is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position and return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._source.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as there are bytes; return how many."""
        length = max(0, min(len(buffer), self._source.size - self._at))
        buffer[:length] = self._source.read(self._at, length) if length else b''
        self._at += length
        return length


def patch_of_file(file: Document, fields: PatchFields, limits: StitchLimits) -> NewPatch:
    """Return the patch that a Girder file is.

    :raises LimitExceededError: it is too large. :raises InvalidInputError: it is empty, or not what was said.
    :raises UnsupportedFormatError: it is no image of a known format.
    """
    if file['size'] > limits.patchBytes:
        msg = f'The file has {file["size"]} bytes; the limit is {limits.patchBytes}.'
        raise LimitExceededError(msg)
    if not file['size'] or not file.get('assetstoreId'):
        msg = f'The file {file["name"][:80]} is empty or only a link; expected an image.'
        raise InvalidInputError(msg)
    stream = io.BufferedReader(FileStream(file), 2**18)
    digest = format_digest(hashlib.file_digest(stream, 'sha256').digest())
    if fields.digest not in {None, digest}:
        msg = f'digest: announced {fields.digest}, the file has {digest}.'
        raise InvalidInputError(msg)
    info = formats.inspect(stream, limits.for_formats, **fields.options.for_formats)
    return NewPatch(
        fields.key, fields.placement, fields.order, digest, file['size'], info, stream, fields.options
    )


def remove_uploads(session: Document, older_than: float = 0) -> int:
    """Remove what is half uploaded for a session; return how many uploads that were.

    :param older_than: seconds without a new piece; what is younger may still be going on.
    """
    reference = {'$regex': f'"stitchSession" *: *"{session["_id"]}"'}
    limit = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=older_than)
    query: Document = {'$or': [{'stitchSessionId': session['_id']}, {'reference': reference}]}
    found = list(Upload().find({**query, 'updated': {'$lt': limit}}))
    for upload in found:
        Upload().cancelUpload(upload)
    return len(found)


def remove_file(file_id: ObjectId | None) -> None:
    """Remove a file, if it is still there."""
    file = File().load(file_id, force=True) if file_id else None
    if file is not None:
        File().remove(file)
