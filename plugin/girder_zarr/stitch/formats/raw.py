"""Raw pixels with a declared layout, and what is compressed with gzip or zstd, expanded within a bound."""

from __future__ import annotations

import io
import math
import re
import struct
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import imagecodecs
import numpy as np

from girder_zarr.errors import InvalidInputError, LimitExceededError, UnsupportedFormatError

from .info import DTYPES, PROMOTED, PatchInfo, make_info

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .info import Compression

COMPRESSIONS: tuple[Compression, ...] = ('gzip', 'zstd')
GZIP, ZSTD = b'\x1f\x8b', b'\x28\xb5\x2f\xfd'
_PIECE = 2**16
_SHAPE = re.compile(r'\d{1,9}(,\d{1,9}){1,2}')
_TYPES = '|'.join(sorted(DTYPES | set(PROMOTED)))
_DTYPE = re.compile(rf'[<>]?({_TYPES})')


@dataclass(frozen=True, slots=True)
class Layout:
    """What a client declares of raw pixels.

    :param shape: ``(y, x)`` or ``(y, x, bands)``, C order.
    :param dtype: the numpy name, with ``<`` (the default) or ``>`` before it for the order of bytes.
    :param compression: what the bytes are compressed with, or None.
    """

    shape: tuple[int, ...]
    dtype: str
    compression: Compression | None = None

    @classmethod
    def parse(cls, shape: str | None, dtype: str | None, compression: str | None) -> Layout | None:
        """Return the layout that query parameters declare, or None where they declare none.

        :raises InvalidInputError: one is malformed or missing; the message names it.
        """
        if shape is None and dtype is None and compression is None:
            return None
        if shape is None or not _SHAPE.fullmatch(shape):
            msg = f'shape: expected y,x or y,x,bands of raw pixels, found {shape!r:.80}.'
            raise InvalidInputError(msg)
        if dtype is None or not _DTYPE.fullmatch(dtype):
            msg = f'dtype: expected one of {_TYPES.replace("|", ", ")}, found {dtype!r:.80}.'
            raise InvalidInputError(msg)
        known = next((one for one in COMPRESSIONS if one == compression), None)
        if compression is not None and known is None:
            msg = f'compression: expected gzip or zstd, found {compression!r:.80}.'
            raise InvalidInputError(msg)
        return cls(tuple(int(side) for side in shape.split(',')), dtype, known)

    @property
    def stored(self) -> np.dtype[Any]:
        """The dtype of the bytes, byte order included."""
        native = np.dtype(self.dtype.lstrip('<>'))
        return native.newbyteorder('>' if self.dtype.startswith('>') else '<')

    @property
    def nbytes(self) -> int:
        """The number of bytes of the pixels, not compressed."""
        return math.prod(self.shape) * self.stored.itemsize

    def to_json(self) -> dict[str, Any]:
        """Return the document of :meth:`from_json`."""
        return {'shape': list(self.shape), 'dtype': self.dtype, 'compression': self.compression}

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None) -> Layout | None:
        """Return what :meth:`to_json` was made from; None stays None."""
        if document is None:
            return None
        return cls(tuple(document['shape']), document['dtype'], document['compression'])


def info_of(layout: Layout) -> PatchInfo:
    """Return the info of the pixels that a layout declares."""
    bands = layout.shape[2] if len(layout.shape) == 3 else 1
    return make_info('raw', layout.shape[0], layout.shape[1], bands, layout.stored.name)


def check_raw(stream: IO[bytes], layout: Layout) -> None:
    """Check that a stream holds as many bytes as its layout needs.

    :raises UnsupportedFormatError: it holds more or fewer, or cannot be expanded.
    """
    if layout.compression is None:
        found: int | str = stream.seek(0, 2)
    elif layout.compression == 'gzip':
        found = sum(len(piece) for piece in _gunzip(stream, layout.nbytes))
    else:
        found = len(expand(stream, 'zstd', layout.nbytes))
    if found != layout.nbytes:
        msg = (
            f'The raw pixels of shape {layout.shape} and dtype {layout.dtype} take {layout.nbytes} bytes; '
            f'found {found}.'
        )
        raise UnsupportedFormatError(msg)


def decode_raw(stream: IO[bytes], layout: Layout) -> np.ndarray:
    """Return raw pixels as ``(y, x)`` or ``(y, x, bands)`` in the byte order in which they were sent."""
    stream.seek(0)
    data = stream.read() if layout.compression is None else expand(stream, layout.compression, layout.nbytes)
    return np.frombuffer(data, layout.stored).reshape(layout.shape)


def compression_of(head: bytes) -> Compression | None:
    """Return what the first bytes of a file say that it is compressed with."""
    if head.startswith(GZIP):
        return 'gzip'
    return 'zstd' if head.startswith(ZSTD) else None


def expand(stream: IO[bytes], compression: Compression, limit: int) -> bytes:
    """Return what a compressed stream holds; never more than ``limit`` bytes are made.

    :raises LimitExceededError: it holds more. :raises UnsupportedFormatError: it is damaged.
    """
    if compression == 'gzip':
        return b''.join(_gunzip(stream, limit))
    stream.seek(0)
    data = stream.read()
    size = _zstd_size(data)
    if size is not None and size > limit:
        raise _too_much(limit)
    try:
        if size is None:
            return _zstd_unsized(data, limit)
        return bytes(imagecodecs.zstd_decode(data, out=size))
    except imagecodecs.ZstdError as error:
        msg = f'The zstd cannot be expanded into at most {limit} bytes: {error}'
        raise UnsupportedFormatError(msg) from error


def _zstd_unsized(data: bytes, limit: int) -> bytes:
    """Expand a frame that does not say its size, as programs write that compress a stream."""
    room = min(limit, max(len(data) * 4, _PIECE))
    while True:
        try:
            return bytes(imagecodecs.zstd_decode(data, out=bytearray(room)))
        except imagecodecs.ZstdError:
            if room >= limit:
                raise
        room = min(room * 4, limit)


def _zstd_size(data: bytes) -> int | None:
    """Return the size that a zstd frame announces (RFC 8878, 3.1.1.1), or None where it does not."""
    if len(data) < 6 or not data.startswith(ZSTD):
        msg = 'The zstd does not begin with a frame.'
        raise UnsupportedFormatError(msg)
    descriptor = data[4]
    single, flag = descriptor >> 5 & 1, descriptor >> 6
    width = (single, 2, 4, 8)[flag]
    start = 5 + (1 - single) + (0, 1, 2, 4)[descriptor & 3]
    if not width or len(data) < start + width:
        return None
    size = int.from_bytes(data[start : start + width], 'little')
    return size + 256 if width == 2 else size


def _gunzip(stream: IO[bytes], limit: int) -> Any:
    """Yield what a gzip file of one or more members holds, piece by piece."""
    stream.seek(0)
    total, engine, data = 0, zlib.decompressobj(wbits=31), stream.read(_PIECE)
    try:
        while data or not engine.eof:
            if not data:
                msg = 'it ends too early'
                raise zlib.error(msg)
            if engine.eof:
                engine = zlib.decompressobj(wbits=31)
            piece = engine.decompress(data, _PIECE * 4)
            total += len(piece)
            if total > limit:
                raise _too_much(limit)
            yield piece
            data = engine.unconsumed_tail or engine.unused_data or stream.read(_PIECE)
    except (zlib.error, struct.error) as error:
        msg = f'The gzip cannot be expanded: {error}'
        raise UnsupportedFormatError(msg) from error


def _too_much(limit: int) -> LimitExceededError:
    return LimitExceededError(f'The patch holds more than {limit} bytes once expanded, which is the limit.')


def expanded(stream: IO[bytes], compression: Compression, limit: int) -> IO[bytes]:
    """Return what a compressed stream holds as a stream of its own; see :func:`expand`."""
    return io.BytesIO(expand(stream, compression, limit))
