"""One resolution of a preview, as the tile source reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .index import BLOCK

if TYPE_CHECKING:
    from collections.abc import Callable

    from girder_zarr.stitch.plan import Plan

    from .index import Frame

    #: Level, frame, first row and column (in pixels of the level, from position 0), and (bands, y, x).
    Read = Callable[[int, Frame, int, int, tuple[int, int, int]], np.ndarray]


class PreviewLevel:
    """One resolution of a preview; an `image.series.series.LevelReader`.

    :param read: returns pixels ``(bands, y, x)`` of one frame of a level; see `PreviewImage.read`.
    :param plan: the geometry of the image.
    :param level: the number of the level; 0 is the full resolution, each further one half of it.
    :param shape: of the level, along the axes of the plan.
    """

    def __init__(self, read: Read, plan: Plan, level: int, shape: tuple[int, ...]) -> None:
        self._read = read
        self._plan = plan
        self._level = level
        self.shape = shape
        self.dtype = np.dtype(plan.dtype)
        bands = [plan.bands if axis == 'c' else 1 for axis in plan.axes[:-2]]
        self.chunks = (*bands, BLOCK, BLOCK)

    @property
    def origin(self) -> tuple[int, int]:
        """The position ``(y, x)`` of the image's first pixel, in full-resolution pixels."""
        return self._plan.origin

    def read(self, region: tuple[slice, ...]) -> np.ndarray:
        """Return the pixels of a region, one slice an axis of the plan; see `LevelReader.read`."""
        out = np.empty(tuple(part.stop - part.start for part in region), self.dtype)
        shape = (self._plan.bands, *out.shape[-2:])
        top, left = (start >> self._level for start in self.origin)
        corner = top + region[-2].start, left + region[-1].start
        frames: dict[Frame, np.ndarray] = {}
        for place in np.ndindex(out.shape[:-2]):
            frame, band = self._frame(place, region)
            if frame not in frames:
                frames[frame] = self._read(self._level, frame, *corner, shape)
            out[place] = frames[frame][band]
        return out

    def _frame(self, place: tuple[int, ...], region: tuple[slice, ...]) -> tuple[Frame, int]:
        """Return frame and band of a plane of a region."""
        indices, band = {}, 0
        for axis, offset, part in zip(self._plan.axes, place, region, strict=False):
            index = part.start + offset
            if axis == 'c':
                index, band = divmod(index, self._plan.bands)
            indices[axis] = index
        named = self._plan.extent.frame
        # blocks are kept by the numbers that patches give
        starts = self._plan.starts
        frame = ((axis, index + starts.get(axis, 0)) for axis, index in indices.items() if axis in named)
        return tuple(sorted(frame)), band
