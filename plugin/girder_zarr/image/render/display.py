"""How pixels that are not 8 bit are rendered without a style.

large_image shows uint16 divided by 256 and floats cut to 0 to 255, so that most microscope images are black.
A picture is shown here in the window that its omero metadata gives or, without one, in the bits that its
values use. Arrays are never changed: this is for JPEG, PNG and PIL images alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.image.ngff.metadata import Window

#: Types of up to this many bytes are shown by looking each value up.
LOOKUP_BYTES = 2


def usable_window(window: Window | None, dtype: np.dtype[Any]) -> tuple[float, float] | None:
    """Return the start and end of an omero window, or None where it has no range.

    Many programs write the whole range of the type for want of anything better.
    """
    if window is None or not window.start < window.end:
        return None
    if dtype.kind in 'iu':
        info = np.iinfo(dtype)
        if window.start <= info.min and window.end >= info.max:
            return None
    return window.start, window.end


def is_default(window: Window | None) -> bool:
    """Return whether a window is what writers put on floats for want of anything better: 0 to 1 of 0 to 1."""
    return window is not None and (window.min, window.max, window.start, window.end) == (0, 1, 0, 1)


def lies_beyond(sample: np.ndarray) -> bool:
    """Return whether floats are not those of 0 to 1: some lie further out than it is wide.

    NGFF has the least and the greatest value of the data as a window's ``min`` and ``max``.
    """
    values = sample[np.isfinite(sample)]
    return bool(values.size) and bool(values.min() < -1 or values.max() > 2)


def guess_window(sample: np.ndarray) -> tuple[float, float]:
    """Return what to show of an image from a sample of its pixels.

    Zero to the largest number of as many bits as the values need; with negative values, least to greatest.
    """
    if sample.dtype == bool:
        return 0.0, 1.0
    values = sample[np.isfinite(sample)] if sample.dtype.kind == 'f' else sample
    if not values.size:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    if low < 0:
        return low, high if high > low else low + 1
    if high <= 1:
        return 0.0, 1.0
    # larger values have as many bits as they have digits for: what floats hold beyond is shown as it is
    return 0.0, 2.0 ** math.ceil(math.log2(high + 1)) - 1 if high < 2.0**64 else high


def to_uint8(pixels: np.ndarray, windows: Sequence[tuple[float, float]]) -> np.ndarray:
    """Return pixels rendered in a window, as uint8.

    :param pixels: (y, x, band).
    :param windows: for each band, what becomes 0 and 255.
    """
    out = np.empty(pixels.shape, np.uint8)
    for band, window in enumerate(windows):
        plane = pixels[..., band]
        if pixels.dtype.kind in 'iu' and pixels.dtype.itemsize <= LOOKUP_BYTES:
            info = np.iinfo(pixels.dtype)
            table = _scale(np.arange(info.min, info.max + 1, dtype=np.float32), window)
            out[..., band] = table[plane.astype(np.int32) - int(info.min)]
        else:
            out[..., band] = _scale(plane, window)
    return out


def _scale(values: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    low, high = window
    values = values.astype(np.float64)
    if not math.isfinite(high - low):
        # the range itself is more than floats hold
        low, high, values = low / 2, high / 2, values / 2
    finite = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    scaled = (np.clip(finite, low, high) - low) * (255 / (high - low))
    return np.rint(scaled).astype(np.uint8)


def encode_jpeg(pixels: np.ndarray, quality: int, subsampling: int) -> bytes | None:
    """Return a picture as JPEG, or None where it is not gray or RGB of 8 bits.

    :param pixels: (y, x, band).
    :param subsampling: 0 for full chroma, 1 for half, 2 for a quarter, as large_image counts.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        return None
    if not pixels.shape[0] or not pixels.shape[1]:
        return None
    chroma = ('444', '422', '420')[subsampling] if 0 <= subsampling <= 2 else '444'
    picture = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    return bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(picture), level=quality, subsampling=chroma))
