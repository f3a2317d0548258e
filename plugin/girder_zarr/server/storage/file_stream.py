"""A Girder file in whichever assetstore as a stream."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from .file_bytes import open_bytes

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document


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
