"""The bytes of patches and results as Girder files, in whichever assetstore."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from girder.models.file import File
from girder.models.folder import Folder
from girder.models.upload import Upload
from girder.utility import RequestBodyStream

from .sessions import ATTACHED_TO, Document

if TYPE_CHECKING:
    from bson import ObjectId

    from .new_patch import NewPatch

#: Files go to the assetstore in pieces of this size; S3 adapters accept no smaller ones.
UPLOAD_PIECE = 64 * 2**20
_MIME_TYPES = {
    'png': 'image/png',
    'jpeg': 'image/jpeg',
    'tiff': 'image/tiff',
    'npy': 'application/octet-stream',
}


def store_file(session: Document, new: NewPatch, user: Document) -> Document:
    """Store the bytes of a patch as a Girder file attached to the session; on any error nothing remains.

    The upload is made into the folder, which is what quotas look at; `attach_upload` ties it to the session.
    """
    folder = Folder().load(session['folderId'], force=True)
    name, mime_type = f'patch.{new.info.format}', _MIME_TYPES[new.info.format]
    upload = Upload().createUpload(
        user, name, 'folder', folder, new.size, mimeType=mime_type, attachParent=True, save=False
    )
    upload['stitchSessionId'] = session['_id']
    upload = Upload().save(upload)
    try:
        return send_file(upload, new.stream)
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


class _Piece:
    """The next ``length`` bytes of a stream, as a stream of its own."""

    def __init__(self, stream: IO[bytes], length: int) -> None:
        self._stream, self._left = stream, length

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(self._left if size is None or size < 0 else min(size, self._left))
        self._left -= len(data)
        return data


def attach_upload(event: Any) -> None:
    """Tie an upload of :func:`store_file` to its session before the file is saved (an event handler)."""
    session_id = event.info['upload'].get('stitchSessionId')
    if session_id is not None:
        event.info['file'].update(attachedToType=list(ATTACHED_TO), attachedToId=session_id)


def remove_file(file_id: ObjectId | None) -> None:
    """Remove a file, if it is still there."""
    file = File().load(file_id, force=True) if file_id else None
    if file is not None:
        File().remove(file)
