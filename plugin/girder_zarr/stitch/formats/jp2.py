"""JPEG 2000 (ISO/IEC 15444-1): JP2 files and codestreams, decoded in a process with limits."""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING

from girder_zarr.errors import UnsupportedFormatError
from girder_zarr.image.chunk.decoder_process import decode_apart
from girder_zarr.image.chunk.headers import read_jpeg2k
from girder_zarr.image.chunk.picture_header import PictureHeader, exactly

from .info import PatchInfo, info_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

#: How a JP2 file (annex I) and a codestream (annex A) begin.
CONTAINER, CODESTREAM = b'\0\0\0\x0cjP  \r\n\x87\n', b'\xff\x4f\xff\x51'
_SOT, _EOC = b'\xff\x90', b'\xff\xd9'
_MAX_BANDS = 4
#: Bytes of the header of a tile-part and of the mark behind it.
_TILE_BYTES = 14


def inspect_jp2(stream: IO[bytes]) -> PatchInfo:
    """Return what the size marker of a JPEG 2000 announces, having followed its tile-parts to their end.

    :raises UnsupportedFormatError: it has a palette, components that differ, more than 16 bits, or ends too
        early.
    :raises ValueError, EOFError, struct.error: it is damaged.
    """
    start = _codestream(stream)
    header = _size(stream, start)
    if read_jpeg2k(stream).values != header.values:
        msg = 'it states its size twice.'
        raise ValueError(msg)
    _check_end(stream, start)
    return info_of('jp2', header)


def decode_jp2(stream: IO[bytes], info: PatchInfo) -> np.ndarray:
    """Return the pixels of a JPEG 2000, integers: ``(y, x)`` if gray, else ``(y, x, bands)``.

    :param info: what :func:`inspect_jp2` returned.
    :raises ValueError: it holds something else, or takes more memory or time than its size explains.
    """
    stream.seek(0)
    shape = info.shape if info.shape[2] > 1 else info.shape[:2]
    return decode_apart('jpeg2k', stream.read(), shape, info.dtype)


def _codestream(stream: IO[bytes]) -> int:
    """Return the byte at which the codestream begins.

    :raises UnsupportedFormatError: the file has a palette. :raises ValueError: it has no codestream.
    """
    stream.seek(0)
    if exactly(stream, 4) == CODESTREAM:
        return 0
    end = stream.seek(0, 2)
    for kind, start, length in _boxes(stream, 0, end):
        if kind == b'jp2h':
            if any(inner == b'pclr' for inner, _, _ in _boxes(stream, start, start + length)):
                msg = 'The jp2 has a palette; expected gray, RGB or RGBA.'
                raise UnsupportedFormatError(msg)
        elif kind == b'jp2c':
            return start
    msg = 'it has no codestream.'
    raise ValueError(msg)


def _boxes(stream: IO[bytes], place: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each box, and where its contents begin and how long they are."""
    while place + 8 <= end:
        stream.seek(place)
        length, kind = struct.unpack('>I4s', exactly(stream, 8))
        head = 8
        if length == 1:
            (length,) = struct.unpack('>Q', exactly(stream, 8))
            head = 16
        elif length == 0:
            length = end - place
        if length < head or place + length > end:
            msg = 'The jp2 ends too early, or a box in it is damaged.'
            raise UnsupportedFormatError(msg)
        yield kind, place + head, length - head
        place += length


def _size(stream: IO[bytes], start: int) -> PictureHeader:
    """Return what the size marker (A.5.1) says."""
    stream.seek(start)
    if exactly(stream, 4) != CODESTREAM:
        msg = 'its codestream does not begin with its size.'
        raise ValueError(msg)
    right, bottom, left, top, bands = struct.unpack('>4x4I16xH', exactly(stream, 38))
    if not 1 <= bands <= _MAX_BANDS or right <= left or bottom <= top:
        msg = f'The jp2 has {bands} components; expected 1 to {_MAX_BANDS}, and a size.'
        raise UnsupportedFormatError(msg)
    parts = {exactly(stream, 3) for _ in range(bands)}
    bits, across, down = parts.pop()
    depth = 1 + (bits & 0x7F)
    if parts or (across, down) != (1, 1) or depth > 16:
        msg = 'The jp2 has components that differ in bits or size, or more than 16 bits.'
        raise UnsupportedFormatError(msg)
    sign = '' if bits & 0x80 else 'u'
    return PictureHeader(bottom - top, right - left, bands, f'{sign}int{8 if depth <= 8 else 16}')


def _check_end(stream: IO[bytes], start: int) -> None:
    """Follow the tile-parts (A.4.2) to the end of the codestream: decoders make up what is missing."""
    size, place = stream.seek(0, 2), _first_tile(stream, start)
    while True:
        stream.seek(place)
        mark = stream.read(2)
        if mark == _EOC:
            return
        if mark != _SOT:
            msg = 'The jp2 ends too early: its codestream has no end marker.'
            raise UnsupportedFormatError(msg)
        _, _, length = struct.unpack('>HHI', exactly(stream, 8))
        if length and (length < _TILE_BYTES or place + length > size):
            msg = 'The jp2 ends too early: a tile reaches beyond the end of the file.'
            raise UnsupportedFormatError(msg)
        # 0: up to the end marker, which is the last
        place = place + length if length else max(size - 2, place + _TILE_BYTES)


def _first_tile(stream: IO[bytes], start: int) -> int:
    """Return the byte at which the first tile-part begins."""
    place = start + 2
    while True:
        stream.seek(place)
        mark, length = struct.unpack('>2sH', exactly(stream, 4))
        if mark == _SOT:
            return place
        if mark[:1] != b'\xff' or length < 2:
            msg = 'it has a damaged marker ahead of its tiles.'
            raise ValueError(msg)
        place += 2 + length
