"""JPEG XL (ISO/IEC 18181-1 and -2), decoded in a process with limits on memory and time."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from girder_zarr.image.chunk.decoder_process import decode_apart
from girder_zarr.image.chunk.jxl_header import read_jxl

from .info import PatchInfo, info_of

if TYPE_CHECKING:
    import numpy as np


def inspect_jxl(stream: IO[bytes]) -> PatchInfo:
    """Return what the size header and image metadata of a JPEG XL announce.

    :raises ValueError: it is animated, has an orientation or a preview, or channels besides gray or RGB and
        alpha.
    :raises EOFError: the file ends in its header.
    """
    return info_of('jxl', read_jxl(stream))


def decode_jxl(stream: IO[bytes], info: PatchInfo) -> np.ndarray:
    """Return the pixels of a JPEG XL, ``(y, x)`` if gray, else ``(y, x, bands)``: integers or floats.

    :param info: what :func:`inspect_jxl` returned.
    :raises ValueError: it holds something else, or takes more memory or time than its size explains.
    """
    stream.seek(0)
    dtype = read_jxl(stream).dtype  # before promotion
    stream.seek(0)
    shape = info.shape if info.shape[2] > 1 else info.shape[:2]
    return decode_apart('jpegxl', stream.read(), shape, dtype, {'index': 0})
