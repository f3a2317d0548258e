"""A canvas as the reading half sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .canvas import Canvas
    from .form import CanvasExtent


@dataclass(frozen=True, slots=True)
class CanvasLevel:
    """The full resolution of a new image, with the axes (frame axes, y, x, s). See `series.LevelReader`.

    :param extent: of the canvas when this view was made. Pixels added within it later are visible.
    """

    canvas: Canvas
    extent: CanvasExtent

    @property
    def shape(self) -> tuple[int, ...]:
        """Pixels along each axis."""
        return (*self.extent.sizes, self.extent.height, self.extent.width, self.extent.bands)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of a pixel."""
        return self.extent.dtype

    @property
    def chunks(self) -> tuple[int, ...]:
        """What lies together."""
        return (*[1] * len(self.extent.sizes), self.canvas.side, self.canvas.side, self.extent.bands)

    def read(self, region: tuple[slice, ...]) -> np.ndarray:
        """Return the pixels of a region; see `series.LevelReader`."""
        starts = [part.indices(size)[:2] for part, size in zip(region, self.shape, strict=True)]
        result = np.zeros([stop - start for start, stop in starts], self.dtype)
        *frames, (top, bottom), (left, right), (first, last) = starts
        for where in np.ndindex(*result.shape[:-3]):
            position = {
                axis: start + index
                for axis, (start, _), index in zip(self.extent.axes, frames, where, strict=True)
            }
            plane = self.canvas.read(
                position, self.extent.top + top, self.extent.left + left, bottom - top, right - left
            )
            if plane is not None:
                result[where] = plane[..., first:last]
        return result


@dataclass(frozen=True, slots=True)
class ArrayLevel:
    """An array in memory as a `series.LevelReader`."""

    pixels: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Pixels along each axis."""
        return self.pixels.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of a pixel."""
        return self.pixels.dtype

    @property
    def chunks(self) -> tuple[int, ...]:
        """What lies together."""
        return self.pixels.shape

    def read(self, region: tuple[slice, ...]) -> np.ndarray:
        """Return the pixels of a region; see `series.LevelReader`."""
        return np.array(self.pixels[region])
