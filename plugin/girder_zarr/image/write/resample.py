"""Halving a block of pixels: the default mean, nearest for labels, and large_image's named methods.

All functions take planes with the last two axes y and x (``(..., y, x)``), and give ``ceil(size / 2)`` along
both. Where a size is odd, the last row or column is its own neighbour: the mean is that of real pixels only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import cv2
import numpy as np
import PIL.Image
from large_image.tilesource.resample import ResampleMethod, downsampleTileHalfRes

from girder_zarr.errors import EditError

if TYPE_CHECKING:
    from collections.abc import Callable

Resample: TypeAlias = ResampleMethod | Literal['area', 'nearest']

AREA: Literal['area'] = 'area'
NEAREST: Literal['nearest'] = 'nearest'

#: cv2.resize with INTER_AREA and a factor of two is the exact mean for these (integers rounded half up).
_CV2_EXACT = {np.dtype(name) for name in ('uint8', 'uint16', 'int16', 'float32')}
#: Rows that are given to OpenCV at a time.
_MAX_ROWS = 2**15
#: Methods whose kernel reaches beyond the 2 x 2 pixels of the result, and by how many source pixels.
MARGINS: dict[ResampleMethod, int] = {
    ResampleMethod.PIL_LANCZOS: 6,
    ResampleMethod.PIL_BICUBIC: 4,
    ResampleMethod.PIL_BILINEAR: 2,
    ResampleMethod.PIL_HAMMING: 2,
}
#: What Pillow resizes without a change of type.
_PIL_TYPES = {np.dtype(name) for name in ('uint8', 'uint16', 'float32')}
#: What it resizes as another type that holds every value.
_PIL_VIA = {
    np.dtype(name): np.dtype(way)
    for name, way in {'int8': 'int32', 'int16': 'int32', 'float16': 'float32', 'bool': 'float32'}.items()
}


def margin(method: Resample) -> int:
    """Return how many pixels around a block its reduction needs to be free of seams."""
    return MARGINS.get(method, 0) if isinstance(method, ResampleMethod) else 0


def is_pillow(method: Resample) -> bool:
    """Whether large_image lets Pillow do this."""
    return isinstance(method, ResampleMethod) and method.value <= ResampleMethod.PIL_MAX_ENUM.value


def check_method(method: Resample, dtype: np.dtype[Any]) -> None:
    """Check that :func:`halve` knows a method for pixels of a type.

    :raises EditError: it does not; the message names what works.
    """
    if method in {AREA, NEAREST}:
        return
    if not isinstance(method, ResampleMethod):
        raise EditError(f"resample must be 'area', 'nearest' or a ResampleMethod, not {method!r}")
    if is_pillow(method) and method != ResampleMethod.PIL_NEAREST and dtype not in _PIL_TYPES | {*_PIL_VIA}:
        known = ', '.join(sorted(one.name for one in _PIL_TYPES | {*_PIL_VIA}))
        raise EditError(
            f'{method.name} would round {dtype}: use area or nearest, or pixels of one of the types {known}'
        )


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
    return _halve_named(block, method, bands=bands, alpha=alpha)


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
    quads = _quads(even)
    if even.dtype == bool:
        return np.ascontiguousarray(sum(quad.astype(np.uint8) for quad in quads) >= 2)
    if np.issubdtype(even.dtype, np.floating):
        wide = np.float32 if even.dtype.itemsize == 2 else even.dtype.type
        quarter = wide(0.25)
        total = sum(quad.astype(wide) * quarter for quad in quads)
        return np.ascontiguousarray(total, dtype=even.dtype)
    return _mean_of_integers(quads)


def _quads(even: np.ndarray) -> list[np.ndarray]:
    """Return the four pixels of every result, as four arrays."""
    return [even[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]


def _halve_cv2(even: np.ndarray) -> np.ndarray:
    height, width = even.shape[-2:]
    result = np.empty((*even.shape[:-2], height // 2, width // 2), even.dtype)
    # Heights are even: planes one below the other do not mix. Each call gives the interpreter's lock away and
    # waits until it has it again, which takes longer than the pixels of a chunk.
    together = max(1, _MAX_ROWS // height) * height
    rows, halves = even.reshape(-1, width), result.reshape(-1, width // 2)
    for top in range(0, len(rows), together):
        part, target = rows[top : top + together], halves[top // 2 : (top + together) // 2]
        size = (width // 2, len(target))
        cv2.resize(part, size, dst=target, interpolation=cv2.INTER_AREA)
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
    long = block.dtype.kind in 'iu' and block.dtype.itemsize == 8
    wide = np.longdouble if long else np.float64
    # less than clear would weigh against its neighbours
    weights = _quads(np.maximum(_even(opacity).astype(wide), 0))
    values = _quads(_even(colour).astype(wide))
    weight = sum(weights)
    total = sum(value * part for value, part in zip(values, weights, strict=True))
    mean = np.divide(total, weight, out=np.zeros_like(total), where=np.asarray(weight) > 0)
    if block.dtype.kind in 'iu':
        mean = np.floor(mean + 0.5)
    return np.concatenate([from_wide(mean, block.dtype), _halve_area(opacity)], axis=-3)


def opacity_of(dtype: np.dtype[Any]) -> int | float:
    """Return the value of a fully opaque alpha band: the largest integer, or 1 for floats and booleans."""
    return int(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else 1


def _halve_named(block: np.ndarray, method: ResampleMethod, *, bands: bool, alpha: bool) -> np.ndarray:
    """Halve as large_image's own function does, which knows fewer types and takes odd sizes in other ways."""
    if is_pillow(method):
        even = _even(block)
        if alpha:
            return _pillow_with_alpha(even, method)
        if bands and even.shape[-3] == 3 and even.dtype == np.uint8:
            return _pillow_together(even, method)
        return _by_plane(even, lambda plane: _pillow_plane(plane, method))
    if method in {ResampleMethod.NP_MODE, ResampleMethod.NP_MAX_COLOR, ResampleMethod.NP_MIN_COLOR}:
        count = block.shape[-3] if bands else 1
        flat = np.moveaxis(block.reshape(-1, count, *block.shape[-2:]), 1, -1)
        halved = np.stack([downsampleTileHalfRes(image, method) for image in flat])
        return np.ascontiguousarray(np.moveaxis(halved, -1, 1)).reshape(*block.shape[:-2], *halved.shape[1:3])
    if block.dtype.itemsize == 8 and block.dtype.kind in 'iu':
        exact = {ResampleMethod.NP_MEAN: _mean_of_long, ResampleMethod.NP_MEDIAN: _median_of_long}.get(method)
        if exact is not None:
            return exact(_quads(_even(block)))
    return _by_plane(block, lambda plane: np.asarray(downsampleTileHalfRes(plane, method)))


def _by_plane(block: np.ndarray, work: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    halved = np.stack([work(np.ascontiguousarray(plane)) for plane in block.reshape(-1, *block.shape[-2:])])
    return halved.reshape(*block.shape[:-2], *halved.shape[-2:])


def _mean_of_long(quads: list[np.ndarray]) -> np.ndarray:
    """Return the mean without its fraction, as large_image's does, of 64 bit integers that no float holds."""
    dtype = quads[0].dtype
    two, three = dtype.type(2), dtype.type(3)
    down = sum(quad >> two for quad in quads) + (sum(quad & three for quad in quads) >> two)
    left = sum(quad & three for quad in quads) & three
    return np.asarray(np.where((down < 0) & (left > 0), down + dtype.type(1), down), dtype=dtype)


def _median_of_long(quads: list[np.ndarray]) -> np.ndarray:
    """Return the mean of the middle two of four, without its fraction."""
    ranked = np.sort(np.stack(quads), axis=0)
    one, low, high = ranked.dtype.type(1), ranked[1], ranked[2]
    down = (low >> one) + (high >> one) + (low & high & one)
    return np.asarray(np.where((down < 0) & (((low ^ high) & one) > 0), down + one, down), dtype=low.dtype)


def _pillow_together(even: np.ndarray, method: ResampleMethod) -> np.ndarray:
    """Resize bytes ``(..., bands, y, x)``, the bands of a pixel at once; the last of 2 or 4 is opacity."""
    *outer, bands, height, width = even.shape
    result = np.empty((*outer, bands, height // 2, width // 2), even.dtype)
    planes = result.reshape(-1, bands, height // 2, width // 2)
    for index, image in enumerate(even.reshape(-1, bands, height, width)):
        half = _pillow(cv2.merge(list(image)), method)
        for band in range(bands):
            cv2.extractChannel(half, band, dst=planes[index, band])
    return result


def _pillow_with_alpha(even: np.ndarray, method: ResampleMethod) -> np.ndarray:
    """Resize ``(..., bands, y, x)`` with colours weighted by the last band."""
    if even.dtype == np.uint8:
        return _pillow_together(even, method)
    full = np.float32(opacity_of(even.dtype))  # weights from 0 to 1, so that no product overflows
    opacity = even[..., -1:, :, :].astype(np.float32) / full
    planes = np.concatenate([even[..., :-1, :, :].astype(np.float32) * opacity, opacity], axis=-3)
    halved = _by_plane(planes, lambda plane: _pillow(plane, method))
    total, weight = halved[..., :-1, :, :], halved[..., -1:, :, :]
    colour = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    return from_wide(np.concatenate([colour, weight * full], axis=-3), even.dtype)


def _pillow(even: np.ndarray, method: ResampleMethod) -> np.ndarray:
    """Halve ``(y, x)`` or ``(y, x, band)`` with Pillow, lines before columns.

    Pillow rounds in between and takes the columns first where an image is more than twice as high as wide.
    Blocks of all shapes must be rounded alike to fit together.
    """
    height, width = even.shape[:2]
    if height <= 2 * width:
        return np.asarray(downsampleTileHalfRes(even, method))
    image = PIL.Image.fromarray(even)
    weighted = image.convert({'LA': 'La', 'RGBA': 'RGBa'}.get(image.mode, image.mode))
    lines = weighted.resize((width // 2, height), method.value)
    return np.asarray(lines.resize((width // 2, height // 2), method.value).convert(image.mode))


def _pillow_plane(plane: np.ndarray, method: ResampleMethod) -> np.ndarray:
    """Resize one plane of even sides, of a type that :func:`check_method` let pass."""
    if plane.dtype in _PIL_TYPES:
        return _pillow(plane, method)
    return from_wide(_pillow(plane.astype(_PIL_VIA[plane.dtype]), method), plane.dtype)


def from_wide(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Return values of a wider type as ``dtype``.

    Integers are rounded half away from zero and cut off at the limits of the type; booleans are true from
    one half on.
    """
    if dtype.kind == 'b':
        return np.asarray(values >= 0.5)
    if dtype.kind in 'iu':
        limits = np.iinfo(dtype)
        if values.dtype.kind == 'f':
            half = values.dtype.type(0.5)
            values = np.sign(values) * np.floor(np.abs(values) + half)
        values = values.clip(limits.min, limits.max)
    return np.ascontiguousarray(values).astype(dtype)
