"""Bytes into Girder's uploads, in pieces that every assetstore takes."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from girder.models.assetstore import Assetstore
from girder.models.file import File
from girder.models.upload import Upload
from girder.utility import RequestBodyStream

from . import durable_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bson import ObjectId

    from girder_zarr.image.write.file_digest import FileDigest
    from girder_zarr.server.common.names import Document

#: Files go to the assetstore in pieces of this size: Girder's S3 adapter takes no smaller ones but the last.
UPLOAD_PIECE = 64 * 2**20


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


def send_path(
    upload: Document,
    path: Path,
    check: Callable[[], None] | None = None,
    digest: FileDigest | None = None,
) -> Document:
    """Send a file into an upload, which may take it away from where it is; return the Girder file.

    :param check: called now and then; raises to stop.
    :param digest: sha512, made while the file was written.
    :raises CancelledError: the upload was removed.
    """
    adapter = durable_files.adapter_of(Assetstore().load(upload['assetstoreId']))
    if adapter is not None:
        return durable_files.take_file(adapter, upload, path, check, digest)
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


def remove_file(file_id: ObjectId | None) -> None:
    """Remove a file, if it is still there."""
    file = File().load(file_id, force=True) if file_id else None
    if file is not None:
        durable_files.remove_file(file)
