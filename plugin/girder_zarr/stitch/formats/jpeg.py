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

    :raises UnsupportedFormatError: it has no end marker, or is lossless, arithmetic or of other than 8 bits.
    :raises ValueError: it has no frame header, several, or too many scans.
    :raises EOFError: the file ends before its pixels.
    """
    header = read_jpeg(stream)
    if not header.is_common:
        msg = (
            f'The jpeg is of a rare kind ({header.precision} bits, frame type {header.frame:#x}); '
            'expected 8 bits.'
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
    """Return the pixels of a JPEG as stored, uint8: ``(y, x)`` if gray, else ``(y, x, 3)``; CMYK becomes RGB.

    :param info: what :func:`inspect_jpeg` returned.
    """
    data = stream.read()
    if read_jpeg(io.BytesIO(data)).bands == _CMYK:
        with PIL.Image.open(io.BytesIO(data), formats=['JPEG']) as image:
            return np.asarray(image.convert('RGB'))
    out = np.empty(info.shape if info.shape[2] > 1 else info.shape[:2], np.uint8)
    return np.asarray(imagecodecs.jpeg8_decode(data, out=out))
