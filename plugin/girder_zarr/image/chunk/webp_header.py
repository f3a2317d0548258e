"""WebP (RFC 9649): still images, lossy or lossless; the size is in the header of the one frame.

The header is read here because Pillow, which opens other formats lazily, hands a WebP to libwebp's animation
decoder, which allocates two canvases at once: a file of 34 bytes reserves 2 GiB before its size is known.
"""

from __future__ import annotations

import struct
from typing import IO

from .picture_header import MAX_EXIF_BYTES, PictureHeader, exactly, exif_orientation

#: Flags of a VP8X chunk (RFC 9649, 2.7).
_ALPHA, _ANIMATION = 0x10, 0x02


def read_webp(stream: IO[bytes]) -> PictureHeader:
    """Return what the chunks of a WebP up to its frame announce.

    :raises ValueError: it is animated, ends too early, or its canvas differs from its frame.
    :raises EOFError: it ends before its frame.
    """
    size = stream.seek(0, 2)
    stream.seek(0)
    riff, announced, form = struct.unpack('<4sI4s', exactly(stream, 12))
    if riff != b'RIFF' or form != b'WEBP':
        msg = 'it does not begin as a webp.'
        raise ValueError(msg)
    if announced + 8 > size:
        msg = f'the webp ends too early: it announces {announced + 8} bytes and has {size}.'
        raise ValueError(msg)
    canvas: tuple[int, int] | None = None
    alpha = False
    while True:
        name, length = struct.unpack('<4sI', exactly(stream, 8))
        start = stream.tell()
        if name == b'VP8X':
            flags, width, height = _canvas(exactly(stream, 10))
            if flags & _ANIMATION or canvas is not None:
                msg = 'the webp is animated or has two canvases; expected one image.'
                raise ValueError(msg)
            canvas, alpha = (width, height), bool(flags & _ALPHA)
        elif name in {b'VP8 ', b'VP8L'}:
            width, height, own_alpha = _frame(stream, lossless=name == b'VP8L')
            if canvas not in {None, (width, height)}:
                msg = f'the webp has a canvas of {canvas} and a frame of {(width, height)} pixels.'
                raise ValueError(msg)
            stream.seek(start + length + length % 2)
            orientation = _orientation(stream) if canvas else 1
            return PictureHeader(height, width, 4 if alpha or own_alpha else 3, 'uint8', orientation)
        # chunks are padded to even lengths
        stream.seek(start + length + length % 2)


def _orientation(stream: IO[bytes]) -> int:
    """Return the orientation from an EXIF chunk behind the frame."""
    while len(head := stream.read(8)) == 8:
        name, length = struct.unpack('<4sI', head)
        if name == b'EXIF' and length <= MAX_EXIF_BYTES:
            return exif_orientation(stream.read(length))
        stream.seek(length + length % 2, 1)
    return 1


def _canvas(data: bytes) -> tuple[int, int, int]:
    return data[0], int.from_bytes(data[4:7], 'little') + 1, int.from_bytes(data[7:10], 'little') + 1


def _frame(stream: IO[bytes], *, lossless: bool) -> tuple[int, int, bool]:
    """Return width, height and whether the frame itself holds alpha."""
    if lossless:
        signature, bits = struct.unpack('<BI', exactly(stream, 5))
        if signature != 0x2F:
            msg = 'the webp has a damaged lossless frame.'
            raise ValueError(msg)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
    tag, start, width, height = struct.unpack('<3s3sHH', exactly(stream, 10))
    if tag[0] & 1 or start != b'\x9d\x01\x2a':
        msg = 'the webp has a damaged lossy frame.'
        raise ValueError(msg)
    return width & 0x3FFF, height & 0x3FFF, False
