"""WebP (RFC 9649): still images, lossy or lossless; the size is in the header of the one frame.

The header is read here because Pillow, which opens other formats lazily, hands a WebP to libwebp's animation
decoder, which allocates two canvases at once: a file of 34 bytes reserves 2 GiB before its size is known.
"""

from __future__ import annotations

import struct
from typing import IO

import imagecodecs
import numpy as np

from girder_zarr.errors import UnsupportedFormatError

from .info import PatchInfo, exactly, make_info

#: Flags of a VP8X chunk (RFC 9649, 2.7).
_ALPHA, _ANIMATION = 0x10, 0x02


def inspect_webp(stream: IO[bytes]) -> PatchInfo:
    """Return what the chunks of a WebP up to its frame announce.

    :raises UnsupportedFormatError: it is animated, ends too early, or its canvas differs from its frame.
    """
    size = stream.seek(0, 2)
    stream.seek(4)
    (announced,) = struct.unpack('<I', exactly(stream, 4))
    if announced + 8 > size:
        msg = f'The webp ends too early: it announces {announced + 8} bytes and has {size}.'
        raise UnsupportedFormatError(msg)
    stream.seek(12)
    canvas: tuple[int, int] | None = None
    alpha = False
    while True:
        name, length = struct.unpack('<4sI', exactly(stream, 8))
        start = stream.tell()
        if name == b'VP8X':
            flags, width, height = _canvas(exactly(stream, 10))
            if flags & _ANIMATION:
                msg = 'The webp is animated; a patch is one image.'
                raise UnsupportedFormatError(msg)
            canvas, alpha = (width, height), bool(flags & _ALPHA)
        elif name in {b'VP8 ', b'VP8L'}:
            width, height, own_alpha = _frame(stream, lossless=name == b'VP8L')
            if canvas not in {None, (width, height)}:
                msg = f'The webp has a canvas of {canvas} and a frame of {(width, height)} pixels.'
                raise UnsupportedFormatError(msg)
            return make_info('webp', height, width, 4 if alpha or own_alpha else 3, 'uint8')
        # chunks are padded to even lengths
        stream.seek(start + length + length % 2)


def _canvas(data: bytes) -> tuple[int, int, int]:
    return data[0], int.from_bytes(data[4:7], 'little') + 1, int.from_bytes(data[7:10], 'little') + 1


def _frame(stream: IO[bytes], *, lossless: bool) -> tuple[int, int, bool]:
    """Return width, height and whether the frame itself holds alpha."""
    if lossless:
        signature, bits = struct.unpack('<BI', exactly(stream, 5))
        if signature != 0x2F:
            msg = 'The webp has a damaged lossless frame.'
            raise UnsupportedFormatError(msg)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
    tag, start, width, height = struct.unpack('<3s3sHH', exactly(stream, 10))
    if tag[0] & 1 or start != b'\x9d\x01\x2a':
        msg = 'The webp has a damaged lossy frame.'
        raise UnsupportedFormatError(msg)
    return width & 0x3FFF, height & 0x3FFF, False


def decode_webp(stream: IO[bytes]) -> np.ndarray:
    """Return the pixels of a WebP, uint8 ``(y, x, bands)``: 4 bands if it announces alpha, else 3."""
    bands = inspect_webp(stream).shape[2]
    stream.seek(0)
    return np.asarray(imagecodecs.webp_decode(stream.read(), hasalpha=bands == 4))
