"""Halving a block of pixels: the default mean, nearest for labels, and large_image's named methods.

All functions take planes with the last two axes y and x (``(..., y, x)``), and give ``ceil(size / 2)`` along
both. Where a size is odd, the last row or column is its own neighbour: the mean is that of real pixels only.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
from large_image.tilesource.resample import ResampleMethod, downsampleTileHalfRes

from girder_zarr.errors import EditError

Resample: TypeAlias = ResampleMethod | Literal['area', 'nearest']

AREA: Literal['area'] = 'area'
NEAREST: Literal['nearest'] = 'nearest'

#: cv2.resize with INTER_AREA and a factor of two is the exact mean for these (integers rounded half up).
_CV2_EXACT = {np.dtype(name) for name in ('uint8', 'uint16', 'int16', 'float32')}
#: Methods whose kernel reaches beyond the 2 x 2 pixels of the result, and by how many source pixels.
MARGINS: dict[ResampleMethod, int] = {
    ResampleMethod.PIL_LANCZOS: 6,
    ResampleMethod.PIL_BICUBIC: 4,
    ResampleMethod.PIL_BILINEAR: 2,
    ResampleMethod.PIL_HAMMING: 2,
}
#: What Pillow resizes without a change of type.
_PIL_TYPES = {np.dtype(name) for name in ('uint8', 'float32')}


def margin(method: Resample) -> int:
    """Return how many pixels around a block its reduction needs to be free of seams."""
    return MARGINS.get(method, 0) if isinstance(method, ResampleMethod) else 0


def check_method(method: Resample) -> None:
    """Raise EditError unless ``method`` is one that :func:`halve` knows."""
    if method in {AREA, NEAREST}:
        return
    if not isinstance(method, ResampleMethod):
        raise EditError(f"resample must be 'area', 'nearest' or a ResampleMethod, not {method!r}")


def halve(
    block: np.ndarray, method: Resample = AREA, *, bands: bool = False, alpha: bool = False
) -> np.ndarray:
    """Return ``block`` at half its resolution.

    :param block: ``(..., y, x)``.
    :param method: how four pixels become one; see docs/format.md.
    :param bands: the axis before y holds the bands of one pixel.
    :param alpha: the last of these bands is opacity: colours are weighted with it.
    :returns: a C-contiguous array of the same dtype, y and x halved and rounded up.
    """
    if method == AREA:
        return _halve_with_alpha(block) if alpha else _halve_area(block)
    if method == NEAREST or method in {ResampleMethod.NP_NEAREST, ResampleMethod.PIL_NEAREST}:
        return _halve_nearest(block, method)
    assert isinstance(method, ResampleMethod)
    return _halve_named(block, method, bands=bands)


def _even(block: np.ndarray) -> np.ndarray:
    """Repeat the last row and column where their number is odd."""
    height, width = block.shape[-2:]
    if height % 2 == 0 and width % 2 == 0:
        return block
    pad = [(0, 0)] * (block.ndim - 2) + [(0, height % 2), (0, width % 2)]
    return np.pad(block, pad, mode='edge')


def _halve_nearest(block: np.ndarray, method: Resample) -> np.ndarray:
    first = 1 if method == ResampleMethod.PIL_NEAREST else 0
    if not first:
        return np.ascontiguousarray(block[..., ::2, ::2])
    even = _even(block)
    return np.ascontiguousarray(even[..., 1::2, 1::2])


def _halve_area(block: np.ndarray) -> np.ndarray:
    even = _even(block)
    if even.dtype in _CV2_EXACT:
        half = _halve_cv2(even)
        # the sum of four large floats may overflow there; below they are divided first
        if even.dtype.kind != 'f' or np.isfinite(half).all():
            return half
    quads = [even[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]
    if even.dtype == bool:
        return np.ascontiguousarray(sum(quad.astype(np.uint8) for quad in quads) >= 2)
    if np.issubdtype(even.dtype, np.floating):
        wide = np.float32 if even.dtype.itemsize == 2 else even.dtype.type
        quarter = wide(0.25)
        total = sum(quad.astype(wide) * quarter for quad in quads)
        return np.ascontiguousarray(total, dtype=even.dtype)
    return _mean_of_integers(quads)


def _halve_cv2(even: np.ndarray) -> np.ndarray:
    height, width = even.shape[-2:]
    result = np.empty((*even.shape[:-2], height // 2, width // 2), even.dtype)
    planes = even.reshape(-1, height, width)
    for index, target in enumerate(result.reshape(-1, height // 2, width // 2)):
        cv2.resize(planes[index], (width // 2, height // 2), dst=target, interpolation=cv2.INTER_AREA)
    return result


def _mean_of_integers(quads: list[np.ndarray]) -> np.ndarray:
    """Return the mean rounded half up, without a wider type than int64 or uint64."""
    dtype = quads[0].dtype
    if dtype.itemsize < 8:
        total = sum(quad.astype(np.int64) for quad in quads)
        return np.ascontiguousarray((total + 2) >> 2, dtype=dtype)
    two, three = dtype.type(2), dtype.type(3)
    whole = sum(quad >> two for quad in quads)
    rest = sum(quad & three for quad in quads)
    return np.ascontiguousarray(whole + ((rest + two) >> two), dtype=dtype)


def _halve_with_alpha(block: np.ndarray) -> np.ndarray:
    """Halve ``(..., bands, y, x)`` with colours weighted by the last band; clear pixels count for nothing."""
    colour, opacity = block[..., :-1, :, :], block[..., -1:, :, :]
    full = opacity_of(block.dtype)
    if not np.any(opacity != full):
        return _halve_area(block)
    even = _even(opacity).astype(np.float64)
    weights = [even[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]
    bands = _even(colour).astype(np.float64)
    values = [bands[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]
    weight = sum(weights)
    total = sum(value * part for value, part in zip(values, weights, strict=True))
    mean = np.divide(total, weight, out=np.zeros_like(total), where=np.asarray(weight) > 0)
    if np.issubdtype(block.dtype, np.integer):
        mean = np.floor(mean + 0.5)
    return np.concatenate([mean.astype(block.dtype), _halve_area(opacity)], axis=-3)


def opacity_of(dtype: np.dtype[Any]) -> int | float:
    """Return the value of a fully opaque alpha band: the largest integer, or 1 for floats and booleans."""
    return int(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else 1


def _halve_named(block: np.ndarray, method: ResampleMethod, *, bands: bool) -> np.ndarray:
    """Halve with large_image's own function, plane by plane where the method looks at one band only."""
    pil = method.value <= ResampleMethod.PIL_MAX_ENUM.value
    by_colour = method in {ResampleMethod.NP_MODE, ResampleMethod.NP_MAX_COLOR, ResampleMethod.NP_MIN_COLOR}
    if by_colour:
        count = block.shape[-3] if bands else 1
        flat = np.moveaxis(block.reshape(-1, count, *block.shape[-2:]), 1, -1)
        halved = np.stack([downsampleTileHalfRes(image, method) for image in flat])
        return np.ascontiguousarray(np.moveaxis(halved, -1, 1)).reshape(*block.shape[:-2], *halved.shape[1:3])
    planes = block.reshape(-1, *block.shape[-2:])
    halved = np.stack(
        [_pil_plane(plane, method) if pil else downsampleTileHalfRes(plane, method) for plane in planes]
    )
    return np.ascontiguousarray(halved).reshape(*block.shape[:-2], *halved.shape[-2:])


def _pil_plane(plane: np.ndarray, method: ResampleMethod) -> np.ndarray:
    """Resize one plane with Pillow, through float32 where it does not know the type; refuse larger types."""
    plane = np.ascontiguousarray(plane)
    if plane.dtype in _PIL_TYPES:
        return np.asarray(downsampleTileHalfRes(plane, method))
    if plane.dtype.itemsize > 2 or plane.dtype.kind not in 'iufb':
        raise EditError(
            f'{method.name} is exact for 8 and 16 bit integers and float32 only, not for {plane.dtype}'
        )
    resized = np.asarray(downsampleTileHalfRes(plane.astype(np.float32), method))
    if plane.dtype.kind in 'iu':
        limits = np.iinfo(plane.dtype)
        resized = np.clip(np.floor(resized + np.float32(0.5)), limits.min, limits.max)
    elif plane.dtype.kind == 'b':
        resized = resized >= np.float32(0.5)
    return resized.astype(plane.dtype)
