"""PNG (ISO/IEC 15948): chunks from IHDR, which holds the size, to IEND; a tRNS chunk adds alpha."""

from __future__ import annotations

import struct
from typing import IO

import imagecodecs
import numpy as np

from girder_zarr.errors import UnsupportedFormatError

from .info import PatchInfo, exactly, make_info

#: Bands by the color type in IHDR (ISO/IEC 15948, 11.2.2): gray, RGB, palette (becomes RGB), gray and alpha,
#: RGBA.
_BANDS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}


def inspect_png(stream: IO[bytes]) -> PatchInfo:
    """Return what the chunks of a PNG announce, reading their headers from the signature to IEND.

    :raises UnsupportedFormatError: the first chunk is not IHDR.
    :raises EOFError: the file ends before IEND.
    """
    stream.seek(8)
    bands = 0
    while True:
        length, name = struct.unpack('>I4s', exactly(stream, 8))
        if name == b'IHDR':
            width, height, depth, color = struct.unpack('>IIBB', exactly(stream, 10))
            bands = _BANDS[color]
            stream.seek(length - 10 + 4, 1)
        elif not bands:
            msg = 'The png does not begin with IHDR.'
            raise UnsupportedFormatError(msg)
        elif name == b'tRNS':
            bands = 4 if bands > 1 else 2
            stream.seek(length + 4, 1)
        elif name == b'IEND':
            return make_info('png', height, width, bands, 'uint16' if depth == 16 else 'uint8')
        else:
            stream.seek(length + 4, 1)


def decode_png(stream: IO[bytes]) -> np.ndarray:
    """Return the pixels of a PNG, uint8 or uint16: ``(y, x)`` if gray, else ``(y, x, bands)``."""
    data = stream.read()
    depth, color = data[24], data[25]
    # spng is a third faster, but decodes only gray, RGB and RGBA of 8 bits without tRNS
    if depth == 8 and color in {0, 2, 6} and (color == 6 or inspect_png(stream).shape[2] in {1, 3}):
        return np.asarray(imagecodecs.spng_decode(data))
    return np.asarray(imagecodecs.png_decode(data))
