"""Every kind of compressed picture that is decoded, held against the size that is wanted of it."""

from __future__ import annotations

import io
import struct
from typing import IO, TYPE_CHECKING, Any

from .jpeg_header import read_jpeg
from .jxl_header import read_jxl
from .picture_header import PictureHeader, exactly
from .png_header import read_png
from .webp_header import read_webp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Where a lossless JPEG (ISO/IEC 10918-1, B.2.2) states its size: width and height behind these marks.
_JPEG_FRAMES = tuple((b'\xff' + bytes([code]), '>5x2H') for code in (0xC0, 0xC1, 0xC2, 0xC3))
#: ISO/IEC 15444-1, A.5.1: start of codestream, then the size of the grid, its offset, tiles, components.
_JPEG2K, _SIZ = b'\xff\x4f\xff\x51', struct.Struct('>8x8I H')
#: The tiles of a JPEG 2000: decoders make room for each of them. A slide of 2**17 pixels has as many of 512.
_MAX_TILES = 2**16
#: The numpy names of the types of LERC 2 (https://github.com/Esri/lerc, Lerc2.h), by their number.
_LERC_TYPES = ('int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32', 'float32', 'float64')


def read_qoi(stream: IO[bytes]) -> PictureHeader:
    """Return the header of a QOI (qoiformat.org)."""
    stream.seek(0)
    mark, width, height, bands = struct.unpack('>4s2IB', exactly(stream, 13))
    if mark != b'qoif':
        msg = 'it does not begin as a qoi.'
        raise ValueError(msg)
    return PictureHeader(height, width, bands)


def read_lerc(stream: IO[bytes]) -> PictureHeader:
    """Return what the blobs of a LERC 2 hold together; those of several bands follow each other.

    :raises ValueError: it is no LERC 2, or its blobs differ.
    :raises EOFError: it ends too early.
    """
    size = stream.seek(0, 2)
    place, found = 0, PictureHeader(0, 0, 0)
    while place < size:
        stream.seek(place)
        mark, version = struct.unpack('<6si', exactly(stream, 10))
        if mark != b'Lerc2 ' or not 1 <= version <= 6:
            if found.bands and not mark.startswith((b'Lerc', b'CntZ')):
                break  # padding after the last blob
            msg = 'it is not a LERC of version 2.'
            raise ValueError(msg)
        exactly(stream, 4 if version >= 3 else 0)
        height, width = struct.unpack('<2i', exactly(stream, 8))
        (depth,) = struct.unpack('<i', exactly(stream, 4)) if version >= 4 else (1,)
        _, _, length, kind = struct.unpack('<4i', exactly(stream, 16))
        if min(height, width, depth) < 1 or not 0 <= kind < len(_LERC_TYPES) or length < 50:
            msg = 'its header is damaged.'
            raise ValueError(msg)
        one = PictureHeader(height, width, depth + found.bands, _LERC_TYPES[kind])
        if found.bands and (height, width, one.dtype) != (found.height, found.width, found.dtype):
            msg = 'it has pictures of several sizes.'
            raise ValueError(msg)
        found, place = one, place + length
    return found


def read_jpeg2k(stream: IO[bytes]) -> PictureHeader:
    """Return the largest size that a JPEG 2000 states anywhere, so that none can be hidden behind another.

    :raises ValueError: it states none, or has more tiles than are decoded.
    """
    stream.seek(0)
    data = stream.read()
    largest = PictureHeader(0, 0, 0)
    for place in _places(data, _JPEG2K):
        if place + _SIZ.size + 1 > len(data):
            continue
        right, bottom, left, top, across, down, _, _, bands = _SIZ.unpack_from(data, place)
        bits = 1 + (data[place + _SIZ.size] & 0x7F)
        one = PictureHeader(max(0, bottom - top), max(0, right - left), bands, _unsigned(bits))
        if not across or not down or -(-right // across) * -(-bottom // down) > _MAX_TILES:
            msg = f'it has more than {_MAX_TILES} tiles.'
            raise ValueError(msg)
        largest = max(largest, one, key=lambda header: header.values)
    if not largest.values:
        msg = 'it does not say its size, which a picture in jpeg2k does'
        raise ValueError(msg)
    return largest


def _unsigned(bits: int) -> str:
    return 'uint8' if bits <= 8 else 'uint16' if bits <= 16 else 'uint32'


def read_any_jpeg(stream: IO[bytes]) -> PictureHeader:
    """Return the largest frame that a file of several JPEGs states anywhere; ULTRA HDR has two of them.

    :raises ValueError: it states none.
    """
    stream.seek(0)
    data = stream.read()
    largest = PictureHeader(0, 0, 0)
    for mark, form in _JPEG_FRAMES:
        for place in _places(data, mark):
            if place + 10 <= len(data):
                height, width = struct.unpack_from(form, data, place)
                largest = max(largest, PictureHeader(height, width, data[place + 9]), key=_pixels)
    if not _pixels(largest):
        msg = 'it does not say its size, which a picture in JPEG does'
        raise ValueError(msg)
    return largest


def _pixels(header: PictureHeader) -> int:
    return header.height * header.width


def _places(data: bytes, mark: bytes) -> Iterator[int]:
    place = data.find(mark)
    while place >= 0:
        yield place
        place = data.find(mark, place + 1)


#: How the header of each codec of imagecodecs is read. That of JPEG XR is not: it is decoded in a process.
READERS: dict[str, Callable[[IO[bytes]], PictureHeader]] = {
    'jpeg': read_jpeg,
    'mozjpeg': read_jpeg,
    'jpegls': read_jpeg,
    'png': read_png,
    'webp': read_webp,
    'jpegxl': read_jxl,
    'jpeg2k': read_jpeg2k,
    'lerc': read_lerc,
    'qoi': read_qoi,
    'ljpeg': read_any_jpeg,
    'ultrahdr': read_any_jpeg,
}
#: Decoders that make room for more pixels than bands: they are held against width x height alone.
_BANDLESS = frozenset(('ljpeg', 'ultrahdr', 'webp', 'qoi', 'jpeg', 'mozjpeg', 'png'))


def check_stated_size(codec: str, data: Any, max_values: int) -> None:
    """Refuse a picture that says it is larger than its chunk.

    :param codec: a name of :data:`.limits.IMAGE_CODECS`.
    :param data: the compressed picture.
    :param max_values: the numbers (width x height x bands) that the chunk has.
    :raises ValueError: it is larger, or its header cannot be read.
    :raises EOFError: it ends in its header.
    """
    read = READERS.get(codec)
    if read is None or codec == 'jpegxl':  # which may hold a stack of pictures, and is decoded in a process
        return
    header = read(io.BytesIO(data))
    found = _pixels(header) if codec in _BANDLESS else header.values
    if found > max_values:
        msg = f'it says that it has {found} pixels; at most {max_values} were expected'
        raise ValueError(msg)


def check_segment(codec: str, data: bytes, height: int, width: int) -> PictureHeader:
    """Refuse a picture in a larger file, such as a strip of a TIFF, that says another size than its place.

    :param height: the most rows that there is room for; a decoder may have fewer, as in the last strip.
    :returns: what it announces.
    :raises ValueError: it is higher or of another width. :raises EOFError: it ends in its header.
    """
    header = READERS[codec](io.BytesIO(data))
    if header.width != width or not 0 < header.height <= height:
        msg = (
            f'a {codec} in it says {header.width} x {header.height} pixels; '
            f'expected {width} x {height} at most.'
        )
        raise ValueError(msg)
    return header
