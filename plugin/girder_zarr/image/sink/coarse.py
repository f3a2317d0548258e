"""Tiles of coarser levels that a program adds itself: shown until the full resolution changes.

What is written has levels that are made from the full resolution, as in large-image-source-zarr 1.35.6.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from girder_zarr.image.canvas.canvas import Canvas
from girder_zarr.image.canvas.canvas_level import CanvasLevel

if TYPE_CHECKING:
    from girder_zarr.image.canvas.scratch import Scratch
    from girder_zarr.image.ngff.metadata import Level, Multiscale
    from girder_zarr.image.series.series import LevelReader

    from .tiles import NewTile

#: Bytes of pixels of a level in memory; further ones go to a temporary file.
MEMORY = 2**24


class CoarseTiles:
    """The tiles that were added for levels from 1 on.

    :param scratch: the folder for temporary data of the image.
    """

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch
        self._canvases: dict[int, Canvas] = {}

    def add(self, tile: NewTile) -> None:
        """Put a tile down in its level.

        :raises EditError: no type holds both its values and those of the level.
        """
        canvas = self._canvases.setdefault(tile.level, Canvas(self._scratch, memory=MEMORY))
        canvas.add(tile.pixels, tile.axes, tile.start, mask=tile.mask, band=tile.band)

    def clear(self) -> bool:
        """Forget all tiles; return whether there were any."""
        found = bool(self._canvases)
        self._canvases = {}
        return found

    def levels(self) -> dict[int, CanvasLevel]:
        """Return what was added, by the number of the level."""
        extents = {number: canvas.extent() for number, canvas in sorted(self._canvases.items())}
        return {
            number: CanvasLevel(self._canvases[number], extent)
            for number, extent in extents.items()
            if extent is not None
        }

    def shown_with(
        self, multiscale: Multiscale, levels: tuple[LevelReader, ...]
    ) -> tuple[Multiscale, tuple[LevelReader, ...]]:
        """Return the metadata and the levels of the image with those that were added and cover it.

        A level takes the place of one of its size. One that is not as large as the image over 2, 4, 8, ...
        (it is not complete, for example), or has other bands, another type or further frames is not shown.

        :param levels: of the image, the full resolution first; a canvas.
        """
        full = levels[0]
        assert isinstance(full, CanvasLevel)
        found: list[tuple[Level, LevelReader]] = list(zip(multiscale.levels, levels, strict=True))
        for number, level in self.levels().items():
            reader = _fitted(level, full, 2**number)
            if reader is None:
                continue
            base = multiscale.levels[0]
            scale = tuple(
                size * 2**number if axis.name in {'x', 'y'} else size
                for size, axis in zip(base.scale, multiscale.axes, strict=True)
            )
            others = [one for one in found if one[1].shape != reader.shape]
            found = [*others, (replace(base, path=str(number), scale=scale), reader)]
        found.sort(key=lambda one: one[1].shape, reverse=True)
        return (
            replace(multiscale, levels=tuple(level for level, _ in found)),
            tuple(reader for _, reader in found),
        )


def _fitted(level: CanvasLevel, full: CanvasLevel, step: int) -> CanvasLevel | None:
    """Return a level with the frames of the full resolution, or None where it is no level of it."""
    own, whole = level.extent, full.extent
    sides = (own.height, whole.height), (own.width, whole.width)
    if any(abs(side - size / step) >= 1 for side, size in sides):
        return None
    if (own.bands, own.dtype) != (whole.bands, whole.dtype):
        return None
    sizes = dict(zip(whole.axes, whole.sizes, strict=True))
    if any(size > sizes.get(axis, 1) for axis, size in zip(own.axes, own.sizes, strict=True)):
        return None
    return CanvasLevel(level.canvas, replace(own, axes=whole.axes, sizes=whole.sizes))
