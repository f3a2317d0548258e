"""Raw pixels with a declared layout, and gzip and zstd expanded within a bound."""

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
#: The first bytes of gzip (RFC 1952) and of a zstd frame (RFC 8878).
GZIP, ZSTD = b'\x1f\x8b', b'\x28\xb5\x2f\xfd'
#: Bytes that are read and expanded at a time.
_PIECE = 2**16
_SHAPE = re.compile(r'\d{1,9}(,\d{1,9}){1,2}')
_TYPES = '|'.join(sorted(DTYPES | set(PROMOTED)))
_DTYPE = re.compile(rf'[<>]?({_TYPES})')


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of raw pixels, as the client declares it.

    >>> Layout.parse('512,512,3', '>uint16', None)
    Layout(shape=(512, 512, 3), dtype='>uint16', compression=None)

    :param shape: ``(y, x)`` or ``(y, x, bands)``, C order.
    :param dtype: the numpy name, with ``<`` (the default) or ``>`` before it for the order of bytes.
    :param compression: of the bytes, or None.
    """

    shape: tuple[int, ...]
    dtype: str
    compression: Compression | None = None

    @classmethod
    def parse(cls, shape: str | None, dtype: str | None, compression: str | None) -> Layout | None:
        """Return the layout that query parameters declare, or None if all are None.

        :param shape: ``y,x`` or ``y,x,bands``.
        :param dtype: the numpy name, with ``<`` or ``>`` before it.
        :param compression: ``gzip`` or ``zstd``.
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
        """Bytes of the pixels, uncompressed."""
        return math.prod(self.shape) * self.stored.itemsize

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that :meth:`from_json` reads."""
        return {'shape': list(self.shape), 'dtype': self.dtype, 'compression': self.compression}

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None) -> Layout | None:
        """Return the layout that :meth:`to_json` wrote; None stays None."""
        if document is None:
            return None
        return cls(tuple(document['shape']), document['dtype'], document['compression'])


def info_of(layout: Layout) -> PatchInfo:
    """Return the info of raw pixels from their layout."""
    bands = layout.shape[2] if len(layout.shape) == 3 else 1
    return make_info('raw', layout.shape[0], layout.shape[1], bands, layout.stored.name)


def check_raw(stream: IO[bytes], layout: Layout) -> None:
    """Check that a stream holds exactly the bytes that its layout needs; pixels are expanded to count them.

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
    """Return raw pixels as ``(y, x)`` or ``(y, x, bands)`` in the byte order of their layout."""
    stream.seek(0)
    data = stream.read() if layout.compression is None else expand(stream, layout.compression, layout.nbytes)
    return np.frombuffer(data, layout.stored).reshape(layout.shape)


def compression_of(head: bytes) -> Compression | None:
    """Return the compression that the first bytes of a file announce, or None."""
    if head.startswith(GZIP):
        return 'gzip'
    return 'zstd' if head.startswith(ZSTD) else None


def expand(stream: IO[bytes], compression: Compression, limit: int) -> bytes:
    """Return the expanded bytes of a stream, allocating at most ``limit`` bytes for them.

    :raises LimitExceededError: it holds more.
    :raises UnsupportedFormatError: it is damaged.
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
    """Expand a zstd frame without a content size, which streaming compressors write, with growing buffers."""
    size = min(limit, max(len(data) * 4, _PIECE))
    while True:
        try:
            return bytes(imagecodecs.zstd_decode(data, out=bytearray(size)))
        except imagecodecs.ZstdError:
            if size >= limit:
                raise
        size = min(size * 4, limit)


def _zstd_size(data: bytes) -> int | None:
    """Return the content size of a zstd frame (RFC 8878, 3.1.1.1), or None if it has none."""
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
    """Yield the expanded bytes of a gzip file of one or more members, in pieces."""
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
    """Return the expanded bytes of a stream as a new stream; see :func:`expand`."""
    return io.BytesIO(expand(stream, compression, limit))
