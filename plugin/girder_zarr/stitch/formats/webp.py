"""WebP (RFC 9649): still images, lossy or lossless."""

from __future__ import annotations

from typing import IO

import imagecodecs
import numpy as np

from girder_zarr.image.chunk.webp_header import read_webp

from .info import PatchInfo, info_of


def inspect_webp(stream: IO[bytes]) -> PatchInfo:
    """Return what the chunks of a WebP up to its frame announce.

    :raises ValueError: it is animated, ends too early, or its canvas differs from its frame.
    :raises EOFError: it ends before its frame.
    """
    return info_of('webp', read_webp(stream))


def decode_webp(stream: IO[bytes], info: PatchInfo) -> np.ndarray:
    """Return the pixels of a WebP, uint8 ``(y, x, bands)``: 4 bands if it announces alpha, else 3.

    :param info: what :func:`inspect_webp` returned.
    """
    out = np.empty(info.shape, np.uint8)
    return np.asarray(imagecodecs.webp_decode(stream.read(), hasalpha=info.shape[2] == 4, out=out))
