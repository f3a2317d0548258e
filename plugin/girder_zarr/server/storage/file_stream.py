"""A Girder file in whichever assetstore, or a part of one, as a stream."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from girder_zarr.image.store.bytesource import ByteSource


class FileStream(io.RawIOBase):
    """A Girder file in whichever assetstore, or a part of one, as a stream that can be sought.

    :param source: the bytes of the file, see `file_bytes.open_bytes`.
    :param first: where in it the stream begins.
    :param size: of the stream; None: up to the end of the file.
    """

    def __init__(self, source: ByteSource, first: int = 0, size: int | None = None) -> None:
        self._source, self._first, self._at = source, first, 0
        self._size = source.size - first if size is None else size

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def seekable(self) -> bool:
        """Return that it is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position and return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as there are bytes; return how many."""
        length = max(0, min(len(buffer), self._size - self._at))
        buffer[:length] = self._source.read(self._first + self._at, length) if length else b''
        self._at += length
        return length
