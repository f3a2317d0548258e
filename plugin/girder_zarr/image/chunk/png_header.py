"""PNG (ISO/IEC 15948): chunks from IHDR, which holds the size, to IEND; a tRNS chunk adds alpha."""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING

from .picture_header import MAX_EXIF_BYTES, PictureHeader, exactly, exif_orientation

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNATURE = b'\x89PNG\r\n\x1a\n'
#: Bands by the color type in IHDR (ISO/IEC 15948, 11.2.2): gray, RGB, palette (becomes RGB), gray and alpha,
#: RGBA.
BANDS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
#: The chunks that pixels depend on. Others, such as compressed texts and profiles, each of which decoders
#: expand to megabytes, are not handed on.
_NEEDED = frozenset((b'IHDR', b'PLTE', b'tRNS', b'IDAT', b'IEND'))


def read_png(stream: IO[bytes]) -> PictureHeader:
    """Return what the chunks of a PNG announce, reading their headers from the signature to IEND.

    :raises ValueError: the first chunk is not IHDR, or there are several.
    :raises EOFError: the file ends before IEND.
    """
    stream.seek(0)
    if exactly(stream, 8) != SIGNATURE:
        msg = 'it does not begin as a png.'
        raise ValueError(msg)
    bands = width = height = depth = 0
    orientation = 1
    while True:
        length, name = struct.unpack('>I4s', exactly(stream, 8))
        if name == b'IHDR':
            if bands or length != 13:
                msg = 'it has several IHDR chunks, or one of another length than 13.'
                raise ValueError(msg)
            width, height, depth, color = struct.unpack('>IIBB', exactly(stream, 10))
            if color not in BANDS:
                msg = f'its color type is {color}.'
                raise ValueError(msg)
            bands = BANDS[color]
            stream.seek(length - 10 + 4, 1)
        elif not bands:
            msg = 'the png does not begin with IHDR.'
            raise ValueError(msg)
        elif name == b'tRNS':
            bands = 4 if bands > 1 else 2
            stream.seek(length + 4, 1)
        elif name == b'eXIf' and length <= MAX_EXIF_BYTES:
            orientation = exif_orientation(exactly(stream, length))
            stream.seek(4, 1)
        elif name == b'IEND':
            return PictureHeader(height, width, bands, 'uint16' if depth == 16 else 'uint8', orientation)
        else:
            stream.seek(length + 4, 1)


def chunks_of(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the name of each chunk of a PNG, and the chunk with its length, name and CRC, up to IEND."""
    view, place = memoryview(data), len(SIGNATURE)
    while place + 12 <= len(data):
        length, name = struct.unpack_from('>I4s', data, place)
        yield name, view[place : place + length + 12]
        place += length + 12
        if name == b'IEND':
            break


def needed_chunks(data: bytes) -> bytes:
    """Return a PNG, which :func:`read_png` has read, without the chunks that its pixels do not depend on."""
    parts = [chunk for name, chunk in chunks_of(data) if name in _NEEDED]
    if sum(map(len, parts)) + len(SIGNATURE) == len(data):
        return data
    return b''.join([SIGNATURE, *parts])
