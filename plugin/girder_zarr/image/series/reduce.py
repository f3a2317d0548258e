"""Pixels at a lower resolution than any that is stored, in bounded memory and the same for every tile."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Bytes of stored pixels in memory at once while they are reduced; the second beside a large chunk. With
#: a chunk of 176 MiB (``limits.max_work_bytes``) a tile stays below 300 MB.
BLOCK_BYTES, SMALL_BLOCK_BYTES = 32 * 2**20, 4 * 2**20
#: How far two numbers of stored pixels to one may be from a whole number to count as such.
TOLERANCE = 1e-9
CV2_TYPES = frozenset({'uint8', 'uint16', 'int16', 'float32', 'float64'})
BOOL = np.dtype(bool)


class Choice(NamedTuple):
    """Which level to read for a step, and how many of its pixels make one.

    :param level: its index.
    :param exact: its pixels are those asked for.
    :param ratio: pixels of the level to one of the output, along y and x.
    """

    level: int
    exact: bool
    ratio: tuple[float, float]


def choose_level(sides: Sequence[tuple[int, int]], step: float) -> Choice:
    """Return which level serves a step of ``step`` full-resolution pixels.

    :param sides: height and width of each level, the full resolution first.
    """
    height, width = sides[0]
    best = Choice(0, step == 1, (float(step), float(step)))
    for index, (rows, columns) in enumerate(sides[1:], 1):
        if _near(height, rows, step) and _near(width, columns, step):
            return Choice(index, True, (1.0, 1.0))
        ratio = _ratio(height, rows, step), _ratio(width, columns, step)
        if min(ratio) >= 1 and max(ratio) < max(best.ratio):
            best = Choice(index, False, ratio)
    return best


def _near(whole: int, part: int, step: float) -> bool:
    """Return whether ``part`` is ``whole / step``, rounded in whichever way."""
    return abs(part - whole / step) < 1


def _ratio(whole: int, part: int, step: float) -> float:
    """Return how many pixels of a level make one of the output; rounded sides count as exact."""
    factor = whole / part
    if _near(whole, part, max(1, round(factor))):
        factor = round(factor)
    return step / factor


def read_reduced(
    read: Callable[[int, int, int, int], np.ndarray],
    sides: tuple[int, int],
    corner: tuple[int, int],
    size: tuple[int, int],
    ratio: tuple[float, float],
    *,
    smooth: bool = True,
    block_bytes: int = BLOCK_BYTES,
) -> np.ndarray:
    """Return output pixels, each made from ``ratio`` pixels of a level.

    :param read: takes top, left, bottom, right in the level and returns the pixels as (y, x, band).
    :param sides: height and width of the level.
    :param corner: the first row and column of the output, in pixels of the output.
    :param size: rows and columns of the output.
    :param smooth: average; otherwise take the nearest, as labels need it.
    :param block_bytes: of the level's pixels, the most to hold at once.
    :returns: an array of (rows, columns, bands) in the level's type.
    """
    whole = tuple(max(1, math.floor(value + TOLERANCE)) for value in ratio)
    rest = tuple(value / factor for value, factor in zip(ratio, whole, strict=True))
    if all(abs(value - 1) < TOLERANCE for value in rest):
        return _read_blocks(read, sides, corner, size, (whole[0], whole[1]), block_bytes, smooth=smooth)
    limits = tuple(-(-side // factor) for side, factor in zip(sides, whole, strict=True))
    places = [
        np.clip((first + np.arange(count) + 0.5) * value - 0.5, 0, limit - 1)
        for first, count, value, limit in zip(corner, size, rest, limits, strict=True)
    ]
    first = (int(places[0][0]), int(places[1][0]))
    count = tuple(math.ceil(place[-1]) + 1 - start for place, start in zip(places, first, strict=True))
    factor = whole[0], whole[1]
    pixels = _read_blocks(read, sides, first, (count[0], count[1]), factor, block_bytes, smooth=smooth)
    rows, columns = (place - start for place, start in zip(places, first, strict=True))
    if not smooth:
        nearest: np.ndarray = pixels[np.rint(rows).astype(int)][:, np.rint(columns).astype(int)]
        return nearest
    mixed = _mix(_mix(pixels, rows, 0), columns, 1)
    return _back(mixed, pixels.dtype)


def _mix(pixels: np.ndarray, places: np.ndarray, axis: int) -> np.ndarray:
    """Interpolate linearly at fractional places along an axis."""
    low = np.floor(places).astype(int)
    high = np.minimum(low + 1, pixels.shape[axis] - 1)
    weight = (places - low).astype(np.float32 if pixels.dtype.itemsize < 4 else np.float64)
    weight = weight.reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    mixed: np.ndarray = pixels.take(low, axis) * (1 - weight) + pixels.take(high, axis) * weight
    return mixed


def _back(pixels: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    if dtype.kind == 'f':
        return pixels.astype(dtype)
    result: np.ndarray = pixels >= 0.5 if dtype == BOOL else np.rint(pixels).astype(dtype)
    return result


def _read_blocks(
    read: Callable[[int, int, int, int], np.ndarray],
    sides: tuple[int, int],
    corner: tuple[int, int],
    size: tuple[int, int],
    factor: tuple[int, int],
    block_bytes: int,
    *,
    smooth: bool,
) -> np.ndarray:
    """Reduce by whole numbers, as many rows and columns at once as fit the bound."""
    sample = read(0, 0, 1, 1)
    out = np.zeros((*size, sample.shape[2]), sample.dtype)
    most = max(1, block_bytes // (sample.nbytes * factor[0] * factor[1]))
    # Powers of two often end where chunks do.
    columns = min(size[1], 1 << (max(math.isqrt(most), most // max(1, size[0]), 1).bit_length() - 1))
    rows = min(size[0], 1 << (max(1, most // max(1, columns)).bit_length() - 1))
    for row in range(0, size[0], rows):
        for column in range(0, size[1], columns):
            top, left = (corner[0] + row) * factor[0], (corner[1] + column) * factor[1]
            bottom = min(sides[0], (corner[0] + min(row + rows, size[0])) * factor[0])
            right = min(sides[1], (corner[1] + min(column + columns, size[1])) * factor[1])
            if top < bottom and left < right:
                block = reduce_whole(read(top, left, bottom, right), factor, smooth=smooth)
                out[row : row + block.shape[0], column : column + block.shape[1]] = block
    return out


def reduce_whole(pixels: np.ndarray, factor: tuple[int, int], *, smooth: bool = True) -> np.ndarray:
    """Return pixels reduced by whole numbers; what is left at the edges makes a pixel of its own.

    :param pixels: (y, x, band).
    :param factor: along y and x.
    """
    if factor == (1, 1):
        return pixels
    height, width = (-(-side // step) for side, step in zip(pixels.shape, factor, strict=False))
    if not any(pixels.strides):  # one value throughout
        return pixels[:height, :width]
    if not smooth:
        return pixels[:: factor[0], :: factor[1]]
    missing = height * factor[0] - pixels.shape[0], width * factor[1] - pixels.shape[1]
    if any(missing):
        pixels = np.pad(pixels, ((0, missing[0]), (0, missing[1]), (0, 0)), mode='edge')
    if pixels.dtype.name in CV2_TYPES and pixels.shape[2] <= 4:
        small = cv2.resize(np.ascontiguousarray(pixels), (width, height), interpolation=cv2.INTER_AREA)
        return small.reshape(height, width, pixels.shape[2])
    blocks = pixels.reshape(height, factor[0], width, factor[1], -1)
    return _back(blocks.mean(axis=(1, 3), dtype=np.float64), pixels.dtype)
