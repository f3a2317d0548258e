"""A Girder file as ranged reads, in whichever assetstore it lies."""

from __future__ import annotations

from typing import Any

from girder.exceptions import FilePathException, GirderException
from girder.models.file import File

from girder_zarr.errors import MissingImageError, UnreadableImageError
from girder_zarr.image.bytesource import ByteSource, FileBytes


class GirderFileBytes:
    """One Girder file through its assetstore's adapter, a request a read. Safe under many threads.

    :param file: the file document.
    :raises MissingImageError: the file is a link, or its assetstore is gone.
    """

    def __init__(self, file: dict[str, Any]) -> None:
        self._file = file
        self.name = str(file['name'])
        self._adapter = File().getAssetstoreAdapter(file)
        if self._adapter is None:
            msg = f'{self.name} is not stored here; it is a link to another place.'
            raise MissingImageError(msg)
        self.size = int(file['size'])
        version = file.get('sha512') or file.get('updated') or file.get('created')
        self.identity = f'girder:{file["_id"]}:{self.size}:{version}'

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly ``length`` bytes from ``offset``.

        :raises UnreadableImageError: there are not that many, or the assetstore does not give them.
        """
        if offset < 0 or length < 0 or offset + length > self.size:
            msg = f'{self.name} ends at byte {self.size}; bytes {offset} to {offset + length} were asked for.'
            raise UnreadableImageError(msg)
        if length == 0:
            return b''
        try:
            stream = self._adapter.downloadFile(
                self._file, offset=offset, headers=False, endByte=offset + length
            )()
            data = b''.join(piece if isinstance(piece, bytes) else piece.encode() for piece in stream)
        except (OSError, GirderException) as error:
            msg = f'{self.name} cannot be read from its assetstore: {error}'
            raise UnreadableImageError(msg) from error
        if len(data) != length:
            msg = f'{self.name}: the assetstore gave {len(data)} of {length} bytes from {offset}.'
            raise UnreadableImageError(msg)
        return data


def local_path(file: dict[str, Any]) -> str | None:
    """Return where a file lies on this machine, or None."""
    adapter = File().getAssetstoreAdapter(file)
    if adapter is None:
        return None
    try:
        return str(adapter.getLocalFilePath(file))
    except (FilePathException, AttributeError, NotImplementedError):
        return None


def open_bytes(file: dict[str, Any]) -> ByteSource:
    """Return a file's bytes, straight from the disk where it lies on this machine.

    :raises MissingImageError: there is no such file.
    """
    path = local_path(file)
    return FileBytes(path) if path is not None else GirderFileBytes(file)
