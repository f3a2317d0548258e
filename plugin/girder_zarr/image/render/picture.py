"""One frame of a series, or a part of it, as an array of y, x and bands."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import TYPE_CHECKING

import cv2
import numpy as np
import PIL.Image

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.chunk.chunks import StoredLevel
from girder_zarr.image.hierarchy.labels import Palette, is_label
from girder_zarr.image.limits import DEFAULT
from girder_zarr.image.ngff.metadata import GIVEN
from girder_zarr.image.series.frames import FrameLayout, lay_out
from girder_zarr.image.series.reduce import BLOCK_BYTES, SMALL_BLOCK_BYTES, Choice, choose_level, read_reduced
from girder_zarr.image.series.series import Sampling

from .display import guess_window, is_default, lies_beyond, to_uint8, usable_window

if TYPE_CHECKING:
    from girder_zarr.image.series.series import LevelReader, Series

#: The longest side of an associated image in pixels: viewers show it whole, and it is one PIL image.
MAX_PICTURE_SIDE = 2048
#: The side of the part that is looked at to find the range of an image that has only one, large level.
SAMPLE_SIDE = 1024
MERGED_TYPES = frozenset({'uint8', 'uint16', 'int16', 'float32'})


def sides_of(series: Series, layout: FrameLayout) -> list[tuple[int, int]]:
    """Return height and width of each level of a series."""
    return [(level.shape[layout.y], level.shape[layout.x]) for level in series.levels]


def read_part(
    level: LevelReader,
    layout: FrameLayout,
    region: tuple[slice, ...],
    box: tuple[int, int, int, int],
) -> np.ndarray:
    """Return a part of one frame as (y, x, band).

    :param region: of the frame; see :meth:`.frames.FrameLayout.fixed`.
    :param box: top, left, bottom, right in pixels of the level.
    """
    parts = list(region)
    parts[layout.y], parts[layout.x] = slice(box[0], box[2]), slice(box[1], box[3])
    return layout.picture(level.read(tuple(parts)))


def region_in(
    series: Series, layout: FrameLayout, region: tuple[slice, ...], number: int
) -> tuple[slice, ...]:
    """Return the region of a frame in a level, which may have fewer slices along z as well.

    :param number: of the level. The slice is the one that lies nearest by the metadata's scale and
        translation; where these do not fit the lengths, slices are taken to be equally far apart.
    """
    level, parts = series.levels[number], list(region)
    for axis in layout.axes:
        index = axis.index
        if index is None or index == layout.band_axis or level.shape[index] >= axis.count:
            continue
        place = _nearest(series, number, index, parts[index].start, axis.count)
        parts[index] = slice(place, place + 1)
    return tuple(parts)


def _nearest(series: Series, number: int, index: int, position: int, count: int) -> int:
    """Return the slice of a level that lies nearest to a position along an axis of the full resolution."""
    length = series.levels[number].shape[index]
    step, shift = count / length, (count / length - 1) / 2
    described = series.multiscale.levels
    if number < len(described):
        full, low = described[0], described[number]
        size, own = full.size(index), low.size(index)
        # what rounding a length up or down may leave is less than a slice
        if size and own and abs(own / size * length - count) < max(own / size, 1):
            step, shift = own / size, (low.translation[index] - full.translation[index]) / size
    return min(max(0, math.ceil((position - shift) / step - 0.5)), length - 1)


def read_frame(
    series: Series,
    layout: FrameLayout,
    region: tuple[slice, ...],
    corners: tuple[int, int, int, int],
    choice: Choice,
    *,
    smooth: bool = True,
) -> np.ndarray:
    """Return a part of one frame at a lower resolution as (y, x, band), bands next to each other in memory.

    :param corners: left, top, right, bottom in pixels of the output.
    :param choice: the level to read; see :func:`.reduce.choose_level`.
    :returns: what lies inside the image; it may be empty.
    :raises UnreadableImageError: it would have to be made from too many chunks.
    """
    level = series.levels[choice.level]
    left, top, right, bottom = corners
    height, width = level.shape[layout.y], level.shape[layout.x]
    if choice.exact:
        right, bottom = min(right, width), min(bottom, height)
        if right <= left or bottom <= top:
            return np.zeros((0, 0, layout.bands), level.dtype)
        own = region_in(series, layout, region, choice.level)
        return interleave(read_part(level, layout, own, (top, left, bottom, right)))
    # A smaller series beside a larger one ends earlier.
    right = min(right, int(np.ceil(width / choice.ratio[1])))
    bottom = min(bottom, int(np.ceil(height / choice.ratio[0])))
    if right <= left or bottom <= top:
        return np.zeros((0, 0, layout.bands), level.dtype)
    _check_work(level, layout, (bottom - top, right - left), choice.ratio)
    region = region_in(series, layout, region, choice.level)
    large = level if isinstance(level, StoredLevel) and level.is_large else None
    with nullcontext() if large is None else large.several_reads():
        return read_reduced(
            lambda *box: read_part(level, layout, region, box),
            (height, width),
            (top, left),
            (bottom - top, right - left),
            choice.ratio,
            smooth=smooth,
            block_bytes=BLOCK_BYTES if large is None else SMALL_BLOCK_BYTES,
        )


def _check_work(
    level: LevelReader, layout: FrameLayout, size: tuple[int, int], ratio: tuple[float, float]
) -> None:
    """Refuse pictures that would be made from too many chunks.

    :param size: rows and columns of the output.
    :param ratio: pixels of the level to one of the output, along y and x.
    """
    count = math.prod(
        math.ceil(min(level.shape[axis], length * factor) / level.chunks[axis])
        for axis, length, factor in zip((layout.y, layout.x), size, ratio, strict=True)
    )
    if count > DEFAULT.tile_chunks:
        of = f'the array {level.info.path!r}' if isinstance(level, StoredLevel) else 'the image'
        msg = f'At this resolution {count} chunks of {of} would have to be read for one tile; at most '
        msg += f'{DEFAULT.tile_chunks} are. It needs levels of lower resolution.'
        raise UnreadableImageError(msg)


def interleave(pixels: np.ndarray) -> np.ndarray:
    """Return (y, x, band) pixels that lie in memory in this order; planes of bands are merged."""
    if pixels.flags.c_contiguous or pixels.shape[2] not in (2, 3, 4) or not any(pixels.strides):
        return pixels
    if pixels.dtype.name in MERGED_TYPES and pixels.strides[2] != pixels.itemsize:
        return cv2.merge([pixels[..., band] for band in range(pixels.shape[2])])
    return np.ascontiguousarray(pixels)


def frame_windows(
    series: Series, layout: FrameLayout, region: tuple[slice, ...], channel: int
) -> tuple[tuple[float, float], ...]:
    """Return for each band of a frame what is shown as black and white; see ``display.py``.

    :param channel: the position along the channel axis.
    """
    channels = series.multiscale.channels or ()
    dtype = series.levels[0].dtype
    found = []
    for band in range(layout.bands):
        place = channel * layout.bands + band
        found.append(usable_window(channels[place].window if place < len(channels) else None, dtype))
    places = range(channel * layout.bands, (channel + 1) * layout.bands)
    unset = [place < len(channels) and is_default(channels[place].window) for place in places]
    doubtful = dtype.kind == 'f' and any(unset) and series.multiscale.extra.get('windows') != GIVEN
    if not doubtful and all(window is not None for window in found):
        return tuple(window for window in found if window is not None)
    sample = _sample(series, layout, region)
    if doubtful and lies_beyond(sample):
        found = [None if default else window for window, default in zip(found, unset, strict=True)]
    guessed = guess_window(sample)
    # One window for all bands keeps the colors of a picture.
    return tuple(window or guessed for window in found)


def _sample(series: Series, layout: FrameLayout, region: tuple[slice, ...]) -> np.ndarray:
    """Return the lowest level of a frame, or the middle of it where it is large."""
    level = series.levels[-1]
    if isinstance(level, Sampling):
        return level.sample(region)
    height, width = level.shape[layout.y], level.shape[layout.x]
    top, left = max(0, (height - SAMPLE_SIDE) // 2), max(0, (width - SAMPLE_SIDE) // 2)
    box = top, left, min(height, top + SAMPLE_SIDE), min(width, left + SAMPLE_SIDE)
    return read_part(level, layout, region_in(series, layout, region, len(series.levels) - 1), box)


def associated_picture(series: Series) -> PIL.Image.Image:
    """Return an image's first frame, at most 2048 pixels on a side; the values of labels become colors.

    :raises UnreadableImageError: a chunk cannot be read.
    """
    layout = lay_out([series])
    sides = sides_of(series, layout)
    step = 1
    while max(sides[0]) / step > MAX_PICTURE_SIDE:
        step *= 2
    labels = is_label(series)
    corners = 0, 0, -(-sides[0][1] // step), -(-sides[0][0] // step)
    region = layout.fixed(0)
    pixels = read_frame(series, layout, region, corners, choose_level(sides, step), smooth=not labels)
    if labels and layout.bands == 1:
        palette = Palette(series.attributes.get('image-label'))
        return PIL.Image.fromarray(palette.color(pixels[..., 0]))
    if pixels.dtype != np.uint8:
        pixels = to_uint8(pixels, frame_windows(series, layout, region, 0))
    if pixels.shape[2] not in (1, 3, 4):
        pixels = pixels[..., :1]
    return PIL.Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
