"""The pixels that an image had before it was edited, read from its file a chunk at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from girder_zarr.image.series.frames import FrameLayout
    from girder_zarr.image.series.series import LevelReader


@dataclass(frozen=True, slots=True)
class Underlay:
    """The full resolution of an opened image, read in the form of the canvas.

    :param level: the array; safe under many threads.
    :param layout: where x, y, bands and frames lie in it.
    """

    level: LevelReader
    layout: FrameLayout

    @property
    def sizes(self) -> dict[str, int]:
        """Positions along the frame axes, the slowest first, so that frames keep their numbers."""
        return {axis.name: axis.count for axis in reversed(self.layout.axes)}

    @property
    def height(self) -> int:
        """In pixels."""
        return self.level.shape[self.layout.y]

    @property
    def width(self) -> int:
        """In pixels."""
        return self.level.shape[self.layout.x]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of a pixel, in native byte order."""
        return self.level.dtype.newbyteorder('=')

    def inside(self, position: Mapping[str, int], rows: slice, columns: slice) -> tuple[slice, slice] | None:
        """Return the part of a rectangle that the file has pixels for, or None where there is none.

        :param position: along all frame axes of the canvas, of which the file may not have all.
        """
        sizes = self.sizes
        if any(at >= sizes.get(axis, 1) for axis, at in position.items()):
            return None
        top, bottom = max(rows.start, 0), min(rows.stop, self.height)
        left, right = max(columns.start, 0), min(columns.stop, self.width)
        return (slice(top, bottom), slice(left, right)) if top < bottom and left < right else None

    def read(self, position: Mapping[str, int], rows: slice, columns: slice) -> np.ndarray | None:
        """Return the pixels of a rectangle inside the file's image.

        :returns: ``(y, x, band)``; None where all of them are 0, which counts as never set.
        :raises UnreadableChunkError: a chunk exists and cannot be decoded.
        """
        frame = sum(position.get(axis.name, 0) * axis.stride for axis in self.layout.axes)
        region = list(self.layout.fixed(frame))
        region[self.layout.y], region[self.layout.x] = rows, columns
        pixels = self.layout.picture(self.level.read(tuple(region)))
        return pixels.astype(self.dtype, copy=False) if pixels.any() else None
