"""PNG (ISO/IEC 15948), decoded from the chunks alone that its pixels depend on."""

from __future__ import annotations

from typing import IO

import imagecodecs
import numpy as np

from girder_zarr.image.chunk.png_header import needed_chunks, read_png

from .info import PatchInfo, info_of

#: Gray, RGB and RGBA; see `inspect_png`.
_GRAY, _RGB, _RGBA = 0, 2, 6


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
    depth, color = data[24], data[25]
    out = np.empty(info.shape if info.shape[2] > 1 else info.shape[:2], info.dtype)
    # spng is a third faster, but decodes only gray, RGB and RGBA of 8 bits without tRNS
    if depth == 8 and (color == _RGBA or (color in {_GRAY, _RGB} and info.shape[2] in {1, 3})):
        return np.asarray(imagecodecs.spng_decode(data, out=out))
    return np.asarray(imagecodecs.png_decode(data, out=out))
