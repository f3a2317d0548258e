"""A new image as a zarr group, as programs reach for it that know large-image-source-zarr's ``_zarr``."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from girder_zarr.image.canvas.canvas_level import CanvasLevel


def group_of(levels: Mapping[str, CanvasLevel], attributes: Mapping[str, Any], path: Path) -> Any:
    """Return a group with an array ``(*frame axes, y, x, band)`` for each level, opened for reading.

    :param levels: by the names of the arrays.
    :param path: where it is written, unless it is there.
    """
    import zarr

    if not path.exists():
        group = zarr.open_group(path, mode='w', zarr_format=2, attributes=dict(attributes))
        for name, level in levels.items():
            array = group.create_array(name, shape=level.shape, dtype=level.dtype, chunks=_chunks(level))
            for region in _regions(level):
                array[region] = level.read(region)
    return zarr.open_group(path, mode='r')


def _chunks(level: CanvasLevel) -> tuple[int, ...]:
    return tuple(max(1, min(side, size)) for side, size in zip(level.chunks, level.shape, strict=True))


def _regions(level: CanvasLevel) -> Any:
    """Iterate over the chunks that may hold pixels; all bands of a pixel lie in one."""
    sides = [
        [slice(start, min(start + side, size)) for start in range(0, size, side)]
        for side, size in zip(_chunks(level), level.shape, strict=True)
    ]
    for region in itertools.product(*sides):
        *frames, rows, columns, _ = region
        position = {axis: part.start for axis, part in zip(level.extent.axes, frames, strict=True)}
        top, left = level.extent.top + rows.start, level.extent.left + columns.start
        if level.canvas.occupied(position, top, left, rows.stop - rows.start, columns.stop - columns.start):
            yield region
