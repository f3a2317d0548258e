"""How much of an image its patches cover and where the holes are, on a grid of bounded size."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from girder_zarr.stitch.extent import Extent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.stitch.patch import Patch
    from girder_zarr.stitch.spec.model import StitchSpec

    from .index import Frame

#: Squares of the grid along y and x at most: one byte each, so a megabyte a frame.
MAX_SQUARES = 1024
#: Holes are searched in so many frames, since each takes some milliseconds, and so many are listed: as many
#: as a person looks at.
MAX_FRAMES = 64
MAX_HOLES = 50


@dataclass(frozen=True, slots=True)
class Hole:
    """A connected area of one frame that no patch covers.

    :param frame: index along each frame axis that patches name, as `Placement.frame`.
    :param x: columns of its bounding box, first and end (exclusive), in the coordinates of patches.
    :param y: rows of the same.
    :param pixels: its area, exact if ``PatchCoverage.cell`` is 1.
    """

    frame: Frame
    x: tuple[int, int]
    y: tuple[int, int]
    pixels: int


@dataclass(frozen=True, slots=True)
class PatchCoverage:
    """How much of an image is covered.

    :param share: covered pixels over the pixels of all frames, from 0 to 1.
    :param cell: the side in pixels of the squares of the grid; with 1 everything is exact.
    :param frames: the number of frames, from index 0 to the largest along each axis.
    :param empty_frames: how many of them have no patch.
    :param holes: at most ``MAX_HOLES``, the largest first.
    """

    share: float
    cell: int
    frames: int
    empty_frames: int
    holes: tuple[Hole, ...]


def cover(patches: Sequence[Patch], spec: StitchSpec) -> PatchCoverage:
    """Return how much of the image of a spec at least one patch covers.

    :param patches: at least one.
    :raises ConflictError: they do not fit into the sizes that the spec declares.
    """
    extent = Extent.of(patches).declared(spec)
    origin, size = extent.origin(spec), extent.size(spec)
    cell = -(-max(size) // MAX_SQUARES)
    by_frame: defaultdict[Frame, list[Patch]] = defaultdict(list)
    for patch in patches:
        by_frame[patch.placement.frame].append(patch)
    covered, holes = 0.0, []
    for number, (frame, own) in enumerate(sorted(by_frame.items())):
        grid = _grid(own, origin, size, cell)
        covered += _share(grid, size, cell)
        if number < MAX_FRAMES:
            holes += _holes(frame, grid, origin, size, cell)
    holes.sort(key=lambda hole: -hole.pixels)
    frames = math.prod(extent.frame.values())
    return PatchCoverage(covered / frames, cell, frames, frames - len(by_frame), tuple(holes[:MAX_HOLES]))


def _grid(patches: Sequence[Patch], origin: tuple[int, int], size: tuple[int, int], cell: int) -> np.ndarray:
    """Return which squares ``(row, column)`` have their centre in a patch, as bool."""
    grid = np.zeros((-(-size[0] // cell), -(-size[1] // cell)), bool)
    for patch in patches:
        place = patch.placement.y - origin[0], patch.placement.x - origin[1]
        ends = place[0] + patch.shape[0], place[1] + patch.shape[1]
        rows, columns = (
            slice(_first(start, cell, length), _first(end, cell, length))
            for start, end, length in zip(place, ends, size, strict=True)
        )
        grid[rows, columns] = True
    return grid


def _first(position: int, cell: int, size: int) -> int:
    """Return the first square whose centre is not before a position, or their number.

    :param size: of the image along the axis: the last square ends there, and its centre is that of the rest.
    """
    count = -(-size // cell)
    if 2 * position > (count - 1) * cell + size - 1:
        return count
    return min(max(0, -(-(2 * position - cell + 1) // (2 * cell))), count - 1)


def _share(grid: np.ndarray, size: tuple[int, int], cell: int) -> float:
    """Return the part of a frame's pixels that lie in covered squares."""
    tall, wide = (np.diff(np.minimum(np.arange(0, side + cell, cell), side)) for side in size)
    return float(tall @ grid @ wide) / (size[0] * size[1])


def _holes(
    frame: Frame, grid: np.ndarray, origin: tuple[int, int], size: tuple[int, int], cell: int
) -> list[Hole]:
    found = []
    _, _, boxes, _ = cv2.connectedComponentsWithStats((~grid).astype(np.uint8), connectivity=4)
    for left, top, width, height, area in boxes[1:].tolist():
        x = origin[1] + left * cell, origin[1] + min((left + width) * cell, size[1])
        y = origin[0] + top * cell, origin[0] + min((top + height) * cell, size[0])
        found.append(Hole(frame, x, y, min(area * cell**2, (x[1] - x[0]) * (y[1] - y[0]))))
    found.sort(key=lambda hole: -hole.pixels)
    return found[:MAX_HOLES]
