"""JPEG (ITU-T T.81); other data may follow the end marker."""

from __future__ import annotations

import io
from typing import IO

import imagecodecs
import numpy as np
import PIL.Image

from girder_zarr.errors import UnsupportedFormatError
from girder_zarr.image.chunk.jpeg_header import read_jpeg

from .info import PatchInfo, info_of

_CMYK = 4


def inspect_jpeg(stream: IO[bytes]) -> PatchInfo:
    """Return what the frame header of a JPEG announces; CMYK counts as the 3 bands it is decoded to.

    :raises UnsupportedFormatError: it has no end marker, or is lossless, arithmetic or of other than 8 or 12
        bits.
    :raises ValueError: it has no frame header, several, or too many scans.
    :raises EOFError: the file ends before its pixels.
    """
    header = read_jpeg(stream)
    if not header.is_decoded or (header.precision != 8 and header.bands == _CMYK):
        msg = (
            f'The jpeg is of a rare kind ({header.precision} bits, frame type {header.frame:#x}); '
            'expected 8 or 12 bits.'
        )
        raise UnsupportedFormatError(msg)
    if not header.is_complete:
        msg = 'The jpeg ends too early: it has no end marker.'
        raise UnsupportedFormatError(msg)
    info = info_of('jpeg', header)
    if header.bands == _CMYK:
        height, width, _ = info.shape
        return PatchInfo('jpeg', (height, width, 3), info.dtype, info.orientation)
    return info


def decode_jpeg(stream: IO[bytes], info: PatchInfo) -> np.ndarray:
    """Return the pixels of a JPEG as stored: ``(y, x)`` if gray, else ``(y, x, 3)``; CMYK becomes RGB.

    Those of 8 bits are uint8; those of 12 are uint16 from 0 to 4095.

    :param info: what :func:`inspect_jpeg` returned.
    """
    data = stream.read()
    if read_jpeg(io.BytesIO(data)).bands == _CMYK:
        with PIL.Image.open(io.BytesIO(data), formats=['JPEG']) as image:
            return np.asarray(image.convert('RGB'))
    out = np.empty(info.shape if info.shape[2] > 1 else info.shape[:2], info.dtype)
    return np.asarray(imagecodecs.jpeg8_decode(data, out=out))
