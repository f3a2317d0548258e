"""How much of an image its patches cover, and where the holes are, on a grid of bounded size."""

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

#: Squares of the grid along y and x at most.
GRID = 1024
#: Holes are looked for in so many frames, and the largest are named.
MAX_FRAMES = 64
MAX_HOLES = 50


@dataclass(frozen=True, slots=True)
class Hole:
    """A connected part of one frame that no patch covers.

    :param x: the columns of the box around it, first and end; ``y``: its rows. Positions as those of patches.
    :param pixels: how many pixels it has.
    """

    frame: Frame
    x: tuple[int, int]
    y: tuple[int, int]
    pixels: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """What is covered.

    :param share: covered pixels of all frames, from 0 to 1.
    :param cell: the side in pixels of what is looked at as one; with 1 the rest is exact.
    :param frames: how many frames there are from index 0 to the largest along each axis.
    :param empty_frames: how many of them have no patch at all.
    :param holes: the largest first.
    """

    share: float
    cell: int
    frames: int
    empty_frames: int
    holes: tuple[Hole, ...]


def cover(patches: Sequence[Patch], spec: StitchSpec) -> Coverage:
    """Return what at least one patch covers of the image that they make."""
    extent = Extent.of(patches).declared(spec)
    origin, size = extent.origin(spec), extent.size(spec)
    cell = -(-max(size) // GRID)
    by_frame: defaultdict[Frame, list[Patch]] = defaultdict(list)
    for patch in patches:
        by_frame[patch.placement.frame].append(patch)
    covered, holes = 0.0, []
    for number, (frame, own) in enumerate(sorted(by_frame.items())):
        grid = _grid(own, origin, size, cell)
        covered += float(grid.mean())
        if number < MAX_FRAMES:
            holes += _holes(frame, grid, origin, size, cell)
    holes.sort(key=lambda hole: -hole.pixels)
    frames = math.prod(extent.frame.values())
    return Coverage(covered / frames, cell, frames, frames - len(by_frame), tuple(holes[:MAX_HOLES]))


def _grid(patches: Sequence[Patch], origin: tuple[int, int], size: tuple[int, int], cell: int) -> np.ndarray:
    """Return which squares have their middle in a patch."""
    grid = np.zeros((-(-size[0] // cell), -(-size[1] // cell)), bool)
    for patch in patches:
        place = patch.placement.y - origin[0], patch.placement.x - origin[1]
        ends = place[0] + patch.shape[0], place[1] + patch.shape[1]
        rows = slice(_first(place[0], cell), _first(ends[0], cell))
        grid[rows, _first(place[1], cell) : _first(ends[1], cell)] = True
    return grid


def _first(position: int, cell: int) -> int:
    """Return the first square whose middle is not before a position."""
    return max(0, -(-(2 * position - cell + 1) // (2 * cell)))


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
