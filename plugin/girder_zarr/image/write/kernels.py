"""Pillow's resampling at exactly half the size, for types of pixels that Pillow itself would round.

Pillow keeps bytes, 16 bit and 32 bit integers, and float32; 64 bit floats it takes for float32, and sums of
32 bit integers may overflow in it. Here the same kernels run in float64, or for 64 bit integers in numpy's
long double.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from large_image.tilesource.resample import ResampleMethod

from girder_zarr.errors import EditError

if TYPE_CHECKING:
    from collections.abc import Callable


def _sinc(x: float) -> float:
    return 1.0 if x == 0 else math.sin(math.pi * x) / (math.pi * x)


def _cubic(x: float) -> float:
    """Return the cubic of Keys with a = -1/2."""
    x = abs(x)
    return 1.5 * x**3 - 2.5 * x**2 + 1 if x < 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2


def _hamming(x: float) -> float:
    """Return a sinc in a Hamming window, whose factors Pillow holds as float32."""
    return _sinc(x) * (float(np.float32(0.54)) + float(np.float32(0.46)) * math.cos(math.pi * x))


#: The kernel of a method at a distance in pixels of the result, and how far it reaches.
_KERNELS: dict[ResampleMethod, tuple[Callable[[float], float], float]] = {
    ResampleMethod.PIL_BOX: (lambda _: 1.0, 0.5),
    ResampleMethod.PIL_BILINEAR: (lambda x: 1 - abs(x), 1),
    ResampleMethod.PIL_HAMMING: (_hamming, 1),
    ResampleMethod.PIL_BICUBIC: (_cubic, 2),
    ResampleMethod.PIL_LANCZOS: (lambda x: _sinc(x) * _sinc(x / 3), 3),
}


@functools.lru_cache(maxsize=64)
def _taps(method: ResampleMethod, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which pixels of a line make one of the result, and their weights: two arrays (result, tap).

    At the ends of the line the kernel is cut off, and its weights still add up to one.
    """
    kernel, reach = _KERNELS[method]
    taps = int(4 * reach)
    offsets = np.arange(taps) - taps // 2 + 1
    places = 2 * np.arange(size // 2)[:, None] + offsets
    weights = np.tile([kernel((offset - 0.5) / 2) for offset in offsets], (size // 2, 1))
    weights[(places < 0) | (places >= size)] = 0
    exact = weights.astype(np.longdouble)
    return places.clip(0, size - 1), exact / exact.sum(axis=1, keepdims=True)


def halve_exactly(even: np.ndarray, method: ResampleMethod) -> np.ndarray:
    """Return ``(..., y, x)`` at half its resolution as float64, or as long double for 64 bit integers.

    Integers of 32 bits are rounded after the lines, as Pillow does it.

    :param even: of even sides.
    :raises EditError: 64 bit integers on a machine that has no type for their sums.
    """
    wide: np.dtype[Any] = np.dtype(np.float64)
    base: Any = 0
    if even.dtype.kind in 'iu' and even.dtype.itemsize == 8:
        wide = np.dtype(np.longdouble)
        # counted from some pixel, so that what is flat stays so to the last of 64 bits
        base = even.flat[0].astype(wide) if even.size else 0
        if np.finfo(wide).nmant < 63:
            raise EditError(f'{method.name} cannot be exact for {even.dtype} on this machine')
    values = _half_of_lines(even.astype(wide) - base, method)
    if even.dtype.kind in 'iu':
        values = _rounded(values + base, even.dtype) - base
    return np.asarray(_half_of_lines(values.swapaxes(-1, -2), method).swapaxes(-1, -2) + base)


def _half_of_lines(values: np.ndarray, method: ResampleMethod) -> np.ndarray:
    places, weights = _taps(method, values.shape[-1])
    result = np.zeros((*values.shape[:-1], len(places)), values.dtype)
    for tap in range(places.shape[1]):
        result += values[..., places[:, tap]] * weights[:, tap].astype(values.dtype)
    return result


def _rounded(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Round half away from zero, inside the limits of an integer type."""
    if values.dtype.kind != 'f':
        return values.clip(np.iinfo(dtype).min, np.iinfo(dtype).max)
    limits = np.iinfo(dtype)
    half = values.dtype.type(0.5)
    return np.asarray((np.sign(values) * np.floor(np.abs(values) + half)).clip(limits.min, limits.max))


def from_wide(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Return values as a type: integers rounded and cut off at its limits, booleans from one half on."""
    if dtype.kind == 'b':
        return np.asarray(values >= 0.5)
    if dtype.kind in 'iu':
        values = _rounded(values, dtype)
    return np.ascontiguousarray(values).astype(dtype)
