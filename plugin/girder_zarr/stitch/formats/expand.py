"""gzip (RFC 1952) and zstd (RFC 8878) expanded piece by piece, in memory that does not grow with the file."""

from __future__ import annotations

import io
import sys
import zlib
from typing import IO, TYPE_CHECKING, Any

from girder_zarr.errors import LimitExceededError, UnsupportedFormatError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from .info import Compression

COMPRESSIONS: tuple[Compression, ...] = ('gzip', 'zstd')
#: The first bytes of gzip (RFC 1952) and of a zstd frame (RFC 8878).
GZIP, ZSTD = b'\x1f\x8b', b'\x28\xb5\x2f\xfd'
#: Bytes that are read and expanded at a time.
_PIECE = 2**16
_EXPANDED_PIECE = 2**20


def compression_of(head: bytes) -> Compression | None:
    """Return the compression that the first bytes of a file announce, or None."""
    if head.startswith(GZIP):
        return 'gzip'
    return 'zstd' if head.startswith(ZSTD) else None


class _Gunzip:
    """zlib's decompressor with the interface of zstd's."""

    def __init__(self) -> None:
        self._engine = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._engine.eof

    @property
    def needs_input(self) -> bool:
        return not self._engine.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._engine.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._engine.decompress(self._engine.unconsumed_tail + data, max_length)


class _Expanded(io.RawIOBase):
    """The expanded bytes of a compressed stream of one or more members or frames."""

    def __init__(self, stream: IO[bytes], compression: Compression, limit: int) -> None:
        super().__init__()
        stream.seek(0)
        self._stream = stream
        self._kind = compression
        self._limit = self._left = limit
        self._engine: Any = self._new()
        self._begun = False

    def _new(self) -> Any:
        return _Gunzip() if self._kind == 'gzip' else zstd.ZstdDecompressor()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._next(min(len(buffer), _EXPANDED_PIECE))
        self._left -= len(data)
        if self._left < 0:
            msg = f'The patch holds more than {self._limit} bytes once expanded, which is the limit.'
            raise LimitExceededError(msg)
        buffer[: len(data)] = data
        return len(data)

    def _next(self, most: int) -> bytes:
        """Return some of the expanded bytes; none at the end."""
        try:
            while True:
                if self._engine.eof:
                    data = self._engine.unused_data or self._stream.read(_PIECE)
                    if not data:
                        return b''
                    self._engine = self._new()
                elif self._engine.needs_input:
                    data = self._stream.read(_PIECE)
                    if not data:
                        msg = 'it ends too early'
                        raise EOFError(msg)
                else:
                    data = b''
                if found := self._engine.decompress(data, most):
                    return bytes(found)
        except (zlib.error, zstd.ZstdError, EOFError) as error:
            msg = f'The {self._kind} cannot be expanded: {error}'
            raise UnsupportedFormatError(msg) from error


def expanded(stream: IO[bytes], compression: Compression, limit: int) -> IO[bytes]:
    """Return the expanded bytes of a stream, to be read from the beginning to the end; no seeking.

    Reading raises LimitExceededError once more than ``limit`` bytes have come out, and UnsupportedFormatError
    if the stream is damaged or, for zstd, needs a window of more than 128 MiB.
    """
    return io.BufferedReader(_Expanded(stream, compression, limit), _PIECE)


def count(stream: IO[bytes]) -> int:
    """Return how many bytes a stream has from here on; they are read and dropped."""
    total, piece = 0, bytearray(_EXPANDED_PIECE)
    while found := stream.readinto(piece):  # type: ignore[attr-defined]
        total += found
    return total
