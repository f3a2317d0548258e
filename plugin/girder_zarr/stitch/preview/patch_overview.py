"""Overviews of patches: a patch at a quarter and at an eighth of its resolution, stored beside it.

Coarse levels of a preview read them by the thousand. The pixels of an overview lie on the grid of the whole
image: at an eighth, pixel (i, j) is the mean of the patch's pixels in rows ``8 i`` to ``8 i + 7`` and columns
``8 j`` to ``8 j + 7`` of the image. So overviews of neighbours meet without a seam wherever the patches lie.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import imagecodecs
import numpy as np

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.series.reduce import reduce_whole
from girder_zarr.stitch.patch import Placement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from girder_zarr.stitch.patch import Patch

#: The levels of a preview that are blended from overviews: level 2 (a quarter) only for itself, level 3 (an
#: eighth) for all levels above as well.
LEVELS = (2, 3)
MIN_LEVEL, MAX_LEVEL = LEVELS
#: Larger overviews, compressed, are not stored: a document of MongoDB holds 16 MiB, and a preview reads many
#: at once. It takes patches of some 20 million pixels at a quarter, four times as many at an eighth.
MAX_BYTES = 4 * 2**20
_RGBA = 4
#: Pixels of which sums of bytes are exact as float32, with their square; and the bytes that these take.
_EXACT = (1, 2, 4, 8)
_FLOAT_BYTES = 2**24


def overview_patch(patch: Patch, level: int = MAX_LEVEL) -> Patch:
    """Return the overview of a patch as a patch: its placement and shape in pixels of the level."""
    place, (height, width, bands) = patch.placement, patch.shape
    factor = 2**level
    top, left = place.y // factor, place.x // factor
    bottom, right = -(-(place.y + height) // factor), -(-(place.x + width) // factor)
    return replace(
        patch, placement=Placement(left, top, place.frame), shape=(bottom - top, right - left, bands)
    )


def make_overview(patch: Patch, pixels: np.ndarray, level: int = MAX_LEVEL) -> np.ndarray:
    """Return the overview of a patch for a level.

    :param pixels: ``(y, x, bands)`` of the patch, with its mask as one more band if ``patch.alpha``.
    :param level: one of ``LEVELS``.
    :returns: ``(y, x, bands)`` in the dtype of the patch and the shape of :func:`overview_patch`, with the
        mask as one more band likewise.
    """
    weighted = patch.alpha or patch.shape[2] == _RGBA
    rows = _split(patch.placement.y, patch.shape[0], 2**level)
    columns = _split(patch.placement.x, patch.shape[1], 2**level)
    lines = []
    for top, bottom, down in rows:
        parts = (pixels[top:bottom, left:right] for left, right, _ in columns)
        factors = ((down, across) for _, _, across in columns)
        line = [_reduced(part, factor, weighted) for part, factor in zip(parts, factors, strict=True)]
        lines.append(np.concatenate(line, axis=1))
    return np.ascontiguousarray(np.concatenate(lines))


def make_overviews(patch: Patch, pieces: Iterable[np.ndarray]) -> dict[int, np.ndarray]:
    """Return the overviews of a patch for all ``LEVELS``, made from one piece of its rows after the other.

    :param pieces: as the pixels of :func:`make_overview`, cut into whole rows from the first to the last.
    """
    found: dict[int, list[np.ndarray]] = {level: [] for level in LEVELS}
    for top, rows in _on_grid(pieces, patch.placement.y):
        place = replace(patch.placement, y=patch.placement.y + top)
        part = replace(patch, placement=place, shape=(len(rows), *patch.shape[1:]))
        for level, parts in found.items():
            parts.append(make_overview(part, rows, level))
    return {level: np.concatenate(parts) for level, parts in found.items()}


def _on_grid(pieces: Iterable[np.ndarray], start: int) -> Iterator[tuple[int, np.ndarray]]:
    """Cut rows anew, at places that are whole pixels of the coarsest level, and count them.

    :param start: where the first row lies in the image.
    """
    factor, top = 2**MAX_LEVEL, 0
    rest: np.ndarray | None = None
    for piece in pieces:
        rows = piece if rest is None else np.concatenate([rest, piece])
        whole = max(0, (start + top + len(rows)) // factor * factor - start - top)
        if whole:
            yield top, rows[:whole]
        top, rest = top + whole, rows[whole:].copy() if whole else rows
    if rest is not None and len(rest):
        yield top, rest


def _split(start: int, length: int, factor: int) -> list[tuple[int, int, int]]:
    """Cut a length into the part that fills whole pixels of the overview and the incomplete ends.

    :param start: the position of the patch along the axis.
    :returns: start and end of each part, and how many pixels of the patch make one of the overview there.
    """
    first = min(-start % factor, length)
    last = first + (length - first) // factor * factor
    parts = [(0, first, first), (first, last, factor), (last, length, length - last)]
    return [part for part in parts if part[1] > part[0]]


def _reduced(pixels: np.ndarray, factor: tuple[int, int], weighted: bool) -> np.ndarray:
    """Return the means of ``factor`` (y, x) pixels, weighted by the last band if ``weighted``."""
    if not weighted:
        return reduce_whole(pixels, factor)
    opacity = reduce_whole(pixels[..., -1:], factor)
    if pixels.dtype == np.uint8 and all(side in _EXACT for side in factor) and math.prod(factor) > 1:
        color, total = _byte_sums(pixels, factor)
    else:
        weights = pixels[..., -1:].astype(np.float64)
        total = _sums(weights, factor)
        color = _sums(pixels[..., :-1] * weights, factor)
    mean = np.divide(color, total, out=np.zeros_like(color), where=total > 0)
    if pixels.dtype.kind in 'iu':
        mean = np.floor(mean + 0.5)
    return np.concatenate([mean.astype(pixels.dtype), opacity], axis=2)


def _byte_sums(pixels: np.ndarray, factor: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of ``factor`` (y, x) pixels times the last band, and of that band, as float64.

    As float32, in which cv2 adds many times faster, they are exact: 255 * 255 * 64 is less than 2**24, and
    dividing by a power of two and multiplying again changes nothing.
    """
    down, across = factor
    area = math.prod(factor)
    size = pixels.shape[1] // across, pixels.shape[0] // down
    color = np.empty((size[1], size[0], pixels.shape[2] - 1))
    total = np.empty((size[1], size[0], 1))
    lines = max(1, _FLOAT_BYTES // (4 * down * math.prod(pixels.shape[1:])))
    for top in range(0, size[1], lines):
        part = pixels[top * down : (top + lines) * down].astype(np.float32)
        part[..., :-1] *= part[..., -1:]
        small = cv2.resize(part, (size[0], len(part) // down), interpolation=cv2.INTER_AREA)
        small = small.reshape(-1, size[0], pixels.shape[2])
        color[top : top + lines] = small[..., :-1]
        total[top : top + lines] = small[..., -1:]
    return color * area, total * area


def _sums(values: np.ndarray, factor: tuple[int, int]) -> np.ndarray:
    height, width, bands = values.shape
    blocks = values.reshape(height // factor[0], factor[0], width // factor[1], factor[1], bands)
    sums: np.ndarray = blocks.sum(axis=(1, 3))
    return sums


def encode_pixels(pixels: np.ndarray) -> bytes:
    """Return an overview or a block as bytes (zstd, C order, little-endian), without its shape and dtype."""
    little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder('<'))
    return bytes(imagecodecs.zstd_encode(little.tobytes(), level=1))


def decode_overview(patch: Patch, data: bytes, level: int = MAX_LEVEL) -> np.ndarray:
    """Return the overview of a patch from the bytes of :func:`encode_pixels`.

    :raises UnreadableImageError: the bytes are damaged or of another shape.
    """
    small = overview_patch(patch, level)
    shape = (*small.shape[:2], small.shape[2] + patch.alpha)
    return _decode(data, small.dtype, shape, f'The overview of patch {patch.key}')


def decode_block(data: bytes, dtype: str, shape: Sequence[int]) -> np.ndarray:
    """Return a block of a preview from the bytes of :func:`encode_pixels`.

    :param dtype: its numpy name.
    :param shape: ``(bands, y, x)``.
    :raises UnreadableImageError: the bytes are damaged or of another shape.
    """
    return _decode(data, dtype, shape, 'The block of a preview')


def _decode(data: bytes, name: str, shape: Sequence[int], what: str) -> np.ndarray:
    dtype = np.dtype(name)
    expected = math.prod(shape) * dtype.itemsize
    try:
        raw = imagecodecs.zstd_decode(data, out=expected)
    except RuntimeError as error:
        msg = f'{what} cannot be decompressed: {error}'
        raise UnreadableImageError(msg) from error
    if len(raw) != expected:
        msg = f'{what} should have {expected} bytes; found {len(raw)}.'
        raise UnreadableImageError(msg)
    return np.frombuffer(raw, dtype.newbyteorder('<')).astype(dtype, copy=False).reshape(shape)
