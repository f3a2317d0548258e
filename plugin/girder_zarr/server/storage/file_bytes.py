"""A Girder file as ranged reads, in whichever assetstore it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from girder.exceptions import FilePathException, GirderException
from girder.models.file import File

from girder_zarr.errors import MissingImageError, UnreadableImageError
from girder_zarr.image.store.buffered import BufferedBytes
from girder_zarr.image.store.bytesource import ByteSource, FileBytes

from .s3_store import bucket_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class GirderFileBytes:
    """One Girder file through its assetstore's adapter, a request a read. Safe under many threads.

    :param file: the file document.
    :param adapter: that of its assetstore, where it is known.
    :raises MissingImageError: the file is a link, or its assetstore is gone.
    """

    def __init__(self, file: dict[str, Any], adapter: Any = None) -> None:
        self._file = file
        self.name = str(file['name'])
        self._adapter = adapter or File().getAssetstoreAdapter(file)
        if self._adapter is None:
            msg = f'{self.name} is not stored here; it is a link to another place.'
            raise MissingImageError(msg)
        self.size = int(file['size'])
        self._bucket = bucket_of(self._adapter)
        self._key = file.get('s3Key')
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
        if self._bucket is not None and self._key:
            found = self._bucket.get(self._key, offset, length)
            if found is None:
                msg = f'{self.name} is gone from its bucket.'
                raise UnreadableImageError(msg)
            return found
        try:
            stream = self._adapter.downloadFile(
                self._file, offset=offset, headers=False, endByte=offset + length
            )()
            data = _first(stream, length)
        except (OSError, GirderException) as error:
            msg = f'{self.name} cannot be read from its assetstore: {error}'
            raise UnreadableImageError(msg) from error
        if len(data) != length:
            msg = f'{self.name}: the assetstore gave {len(data)} of {length} bytes from {offset}.'
            raise UnreadableImageError(msg)
        return data

    def stream(self, offset: int, length: int, block: int) -> Iterator[bytes]:
        """Iterate over bytes in pieces of at most ``block``, by one request where that is possible."""
        if self._bucket is not None and self._key:
            yield from self._bucket.stream(self._key, offset, length, block)
            return
        for at in range(offset, offset + length, block):
            yield self.read(at, min(block, offset + length - at))


def _first(stream: Iterable[bytes | str], length: int) -> bytes:
    """Return the first bytes of a stream; one that goes on is not read to its end."""
    data = bytearray()
    for piece in stream:
        data += piece if isinstance(piece, bytes) else piece.encode()
        if len(data) >= length:
            break
    return bytes(data[:length])


def local_path(file: dict[str, Any], adapter: Any = None) -> str | None:
    """Return where a file lies on this machine, or None.

    :param adapter: that of its assetstore, where it is known.
    """
    adapter = adapter or File().getAssetstoreAdapter(file)
    if adapter is None:
        return None
    try:
        return str(adapter.getLocalFilePath(file))
    except (FilePathException, AttributeError, NotImplementedError):
        return None


def open_bytes(file: dict[str, Any], adapter: Any = None) -> ByteSource:
    """Return a file's bytes, straight from the disk where it lies on this machine.

    :param adapter: that of its assetstore, where it is known.
    :raises MissingImageError: there is no such file.
    """
    path = local_path(file, adapter)
    return (
        FileBytes(path, name=str(file['name']))
        if path is not None
        else BufferedBytes(GirderFileBytes(file, adapter))
    )
