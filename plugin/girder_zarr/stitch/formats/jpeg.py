"""JPEG (ITU-T T.81): a start-of-frame marker holds the size; other data may follow the end marker."""

from __future__ import annotations

import struct
from typing import IO

import imagecodecs
import numpy as np
import PIL.Image

from girder_zarr.errors import UnsupportedFormatError

from .info import PatchInfo, exactly, make_info

#: The end marker is searched in so many last bytes: cameras append metadata after it, rarely more than this.
_TAIL_BYTES = 2**16


def inspect_jpeg(stream: IO[bytes]) -> PatchInfo:
    """Return what the frame header of a JPEG announces; CMYK counts as the 3 bands it is decoded to.

    :raises UnsupportedFormatError: it has no frame header or no end marker, or is lossless, arithmetic or
        of other than 8 bits.
    :raises EOFError: the file ends before the frame header.
    """
    stream.seek(2)
    while True:
        byte = exactly(stream, 1)
        if byte != b'\xff':
            msg = 'The jpeg has no frame header.'
            raise UnsupportedFormatError(msg)
        while byte == b'\xff':
            byte = exactly(stream, 1)
        marker = byte[0]
        (length,) = struct.unpack('>H', exactly(stream, 2))
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            precision, height, width, components = struct.unpack('>BHHB', exactly(stream, 6))
            if precision != 8 or marker not in {0xC0, 0xC1, 0xC2}:
                msg = (
                    f'The jpeg is of a rare kind ({precision} bits, frame type {marker:#x}); expected 8 bits.'
                )
                raise UnsupportedFormatError(msg)
            _check_end(stream)
            # Four components are CMYK, which becomes RGB.
            return make_info('jpeg', height, width, 3 if components == 4 else components, 'uint8')
        stream.seek(length - 2, 1)


def _check_end(stream: IO[bytes]) -> None:
    size = stream.seek(0, 2)
    stream.seek(max(size - _TAIL_BYTES, 0))
    if b'\xff\xd9' not in stream.read():
        msg = 'The jpeg ends too early: it has no end marker.'
        raise UnsupportedFormatError(msg)


def decode_jpeg(stream: IO[bytes]) -> np.ndarray:
    """Return the pixels of a JPEG, uint8: ``(y, x)`` if gray, else ``(y, x, 3)``; CMYK becomes RGB."""
    pixels = np.asarray(imagecodecs.jpeg8_decode(stream.read()))
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        stream.seek(0)
        with PIL.Image.open(stream, formats=['JPEG']) as image:
            return np.asarray(image.convert('RGB'))
    return pixels
