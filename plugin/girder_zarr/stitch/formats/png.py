"""PNG (ISO/IEC 15948), decoded from the chunks alone that its pixels depend on.

Three quarters of the time of a decoder go into its inflate. So the lines of pixels are inflated by
libdeflate, which takes two thirds of the time of what libpng is built with, half of libspng's, and handed to
libpng as a PNG whose data is stored, not compressed: it undoes the filters and knows all types of colour.
"""

from __future__ import annotations

import contextlib
import struct
from typing import IO

import imagecodecs
import numpy as np

from girder_zarr.image.chunk.png_header import BANDS, SIGNATURE, chunks_of, needed_chunks, read_png

from .info import PatchInfo, info_of

#: Gray, RGB and RGBA; see `inspect_png`.
_GRAY, _RGB, _PALETTE, _RGBA = 0, 2, 3, 6
#: The head of a zlib stream (RFC 1950) that says nothing of how it was compressed, and the largest stored
#: block of deflate (RFC 1951, 3.2.4).
_ZLIB_HEAD, _STORED_BYTES = b'\x78\x01', 0xFFFF
_LONGEST = 2**31 - 1


def inspect_png(stream: IO[bytes]) -> PatchInfo:
    """Return what the chunks of a PNG announce.

    :raises ValueError: the first chunk is not IHDR, or there are several.
    :raises EOFError: the file ends before IEND.
    """
    return info_of('png', read_png(stream))


def decode_png(stream: IO[bytes], info: PatchInfo) -> np.ndarray:
    """Return the pixels of a PNG, uint8 or uint16: ``(y, x)`` if gray, else ``(y, x, bands)``.

    :param info: what :func:`inspect_png` returned.
    """
    data = needed_chunks(stream.read())
    out = np.empty(info.shape if info.shape[2] > 1 else info.shape[:2], info.dtype)
    inflated = inflated_png(data, info.shape[:2])
    if inflated is not None:
        with contextlib.suppress(imagecodecs.PngError):
            return np.asarray(imagecodecs.png_decode(inflated, out=out))
    depth, color = data[24], data[25]
    # spng decodes only gray, RGB and RGBA of 8 bits without tRNS
    if depth == 8 and (color == _RGBA or (color in {_GRAY, _RGB} and info.shape[2] in {1, 3})):
        return np.asarray(imagecodecs.spng_decode(data, out=out))
    return np.asarray(imagecodecs.png_decode(data, out=out))


def inflated_png(data: bytes, shape: tuple[int, ...]) -> bytearray | None:
    """Return a PNG with the same lines of pixels, stored instead of compressed; None where that is no use.

    None is returned for interlaced pictures, for what libdeflate does not inflate to exactly the bytes that
    the header announces, and where a checksum is wrong: decoders say what is the matter with those.

    :param data: as `image.chunk.png_header.needed_chunks` returns it.
    :param shape: its height and width.
    """
    depth, color, interlaced = data[24], data[25], data[28]
    bands = 1 if color == _PALETTE else BANDS[color]
    nbytes = shape[0] * (1 + (shape[1] * bands * depth + 7) // 8)
    if interlaced or nbytes > _LONGEST // 2 or not imagecodecs.DEFLATE.available:
        return None
    before: list[bytes | memoryview] = [SIGNATURE]
    compressed: list[memoryview] = []
    for name, chunk in chunks_of(data):
        if name == b'IEND':
            break
        if name != b'IDAT' and not compressed:
            before.append(chunk)
            continue
        if name != b'IDAT' or imagecodecs.deflate_crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:]):
            return None
        compressed.append(chunk[8:-4])
    packed = b''.join(compressed)
    try:
        lines = memoryview(imagecodecs.deflate_decode(packed, out=nbytes))
    except imagecodecs.DeflateError:
        return None
    return _stored(before, lines, packed[-4:]) if len(lines) == nbytes else None


def _stored(before: list[bytes | memoryview], lines: memoryview, adler: bytes) -> bytearray:
    """Return a PNG with lines of pixels as stored blocks.

    :param before: the signature and the chunks before the data.
    :param adler: the checksum of the lines, which they have been held against.
    """
    parts = [*before, b'', b'IDAT', _ZLIB_HEAD]
    for at in range(0, len(lines), _STORED_BYTES):
        block = lines[at : at + _STORED_BYTES]
        is_last = at + _STORED_BYTES >= len(lines)
        parts += [struct.pack('<BHH', is_last, len(block), len(block) ^ 0xFFFF), block]
    parts.append(adler)
    head = len(before)
    length = sum(map(len, parts[head + 2 :]))
    parts[head] = length.to_bytes(4)
    png = bytearray().join(parts)
    png += imagecodecs.deflate_crc32(memoryview(png)[-length - 4 :]).to_bytes(4)
    png += b'\0\0\0\0IEND\xaeB`\x82'
    return png
