"""The coarser levels of an edited image: as they are stored where nothing was added, made anew elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.image.canvas.underlay import Underlay
from girder_zarr.image.write.resample import AREA, NEAREST, halve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.image.canvas.canvas import Canvas
    from girder_zarr.image.canvas.canvas_level import CanvasLevel
    from girder_zarr.image.canvas.form import CanvasExtent
    from girder_zarr.image.ngff.metadata import Multiscale
    from girder_zarr.image.series.frames import FrameLayout
    from girder_zarr.image.series.series import LevelReader

#: The side in pixels of what is read from the file, or made from the level below, at once: that of chunks.
_SIDE = 512


@dataclass(frozen=True, slots=True)
class EditedLevel:
    """A level with the axes (frame axes, y, x, s). See `series.LevelReader`.

    :param number: how often the full resolution was halved.
    :param stored: this level in the file.
    :param below: the level of twice the resolution.
    """

    canvas: Canvas
    extent: CanvasExtent
    number: int
    stored: Underlay
    below: LevelReader

    @property
    def shape(self) -> tuple[int, ...]:
        """Pixels along each axis."""
        *outer, height, width, bands = self.below.shape
        return (*outer, -(-height // 2), -(-width // 2), bands)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of a pixel."""
        return self.extent.dtype

    @property
    def chunks(self) -> tuple[int, ...]:
        """What lies together."""
        return (*[1] * len(self.extent.sizes), _SIDE, _SIDE, self.extent.bands)

    def read(self, region: tuple[slice, ...]) -> np.ndarray:
        """Return the pixels of a region; see `series.LevelReader`."""
        starts = [part.indices(size)[:2] for part, size in zip(region, self.shape, strict=True)]
        result = np.zeros([stop - start for start, stop in starts], self.dtype)
        *frames, (top, bottom), (left, right), (first, last) = starts
        for where in np.ndindex(*result.shape[:-3]):
            place = [start + index for (start, _), index in zip(frames, where, strict=True)]
            for y in range(top, bottom, _SIDE):
                for x in range(left, right, _SIDE):
                    rows, columns = slice(y, min(y + _SIDE, bottom)), slice(x, min(x + _SIDE, right))
                    block = self._block(place, rows, columns)
                    if block is not None:
                        inside = slice(y - top, rows.stop - top), slice(x - left, columns.stop - left)
                        result[where][inside] = block[..., first:last]
        return result

    def _block(self, place: Sequence[int], rows: slice, columns: slice) -> np.ndarray | None:
        """Return the pixels ``(y, x, band)`` of a part of one frame, or None: all are zero."""
        position = dict(zip(self.extent.axes, place, strict=True))
        area = [
            (part.start << self.number, (part.stop - part.start) << self.number) for part in (rows, columns)
        ]
        (top, height), (left, width) = area
        if self.canvas.touched(position, top, left, height, width):
            return self._made(place, rows, columns)
        inside = self.stored.inside(position, rows, columns)
        pixels = None if inside is None else self.stored.read(position, *inside)
        if pixels is None or inside == (rows, columns):
            return pixels
        block = np.zeros((rows.stop - rows.start, columns.stop - columns.start, pixels.shape[-1]), self.dtype)
        block[: pixels.shape[0], : pixels.shape[1]] = pixels
        return block

    def _made(self, place: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        height, width, bands = self.below.shape[-3:]
        pairs = (rows, height), (columns, width)
        twice = tuple(slice(2 * part.start, min(2 * part.stop, size)) for part, size in pairs)
        frame = (slice(at, at + 1) for at in place)
        block = self.below.read((*frame, *twice, slice(0, bands)))
        planes = np.ascontiguousarray(np.moveaxis(block.reshape(block.shape[-3:]), -1, 0))
        labels = self.dtype.kind == 'b' or (self.dtype.kind in 'iu' and self.dtype.itemsize >= 4)
        half = halve(planes, NEAREST if labels else AREA, bands=True, alpha=bands in {2, 4})
        return np.moveaxis(half, 0, -1)


def edited_levels(
    full: CanvasLevel, stored: Sequence[LevelReader], layout: FrameLayout, multiscale: Multiscale
) -> tuple[Multiscale, tuple[LevelReader, ...]]:
    """Return the metadata of an edited image with all its levels, and these, the full resolution first.

    Levels of the file are used where each is half of the one before, and where the corner of the image, its
    type and its bands are as they were.

    :param stored: the levels of the file, the full resolution first.
    :param layout: of the file.
    :param multiscale: of the full resolution.
    """
    extent = full.extent
    found: list[LevelReader] = [full]
    kept = [multiscale.levels[0]]
    base = Underlay(stored[0], layout)
    same = (extent.dtype, extent.bands, extent.top, extent.left) == (base.dtype, layout.bands, 0, 0)
    height, width = base.height, base.width
    for number, level in enumerate(stored[1:] if same else (), 1):
        half = Underlay(level, layout)
        height, width = -(-height // 2), -(-width // 2)
        if (half.height, half.width, half.dtype) != (height, width, extent.dtype):
            break
        found.append(EditedLevel(full.canvas, extent, number, half, found[-1]))
        scale = tuple(
            size * 2**number if axis.name in {'x', 'y'} else size
            for size, axis in zip(kept[0].scale, multiscale.axes, strict=True)
        )
        kept.append(replace(kept[0], path=str(number), scale=scale))
    return replace(multiscale, levels=tuple(kept)), tuple(found)
