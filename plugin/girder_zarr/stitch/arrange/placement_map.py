"""A look at an image before it is made: size, overlaps, gaps, duplicates, outliers and what stays empty."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Squares along the longer side by which it is counted what is covered.
GRID = 1024
#: Frames that are counted one by one; what these cover stands for the others.
MAX_FRAMES = 32
MAX_SHOWN = 20
#: An image of which less is covered is hardly meant: two places of a stage, or a wrong unit.
MIN_COVERED = 0.01


def _counted(count: int, one: str, several: str) -> str:
    return f'{count} {one if count == 1 else several}'


@dataclass(frozen=True, slots=True)
class MapTile:
    """One patch on the map, in pixels of the image."""

    key: str
    x: int
    y: int
    width: int
    height: int
    file: str = ''
    frame: tuple[tuple[str, int], ...] = ()


@dataclass
class PlacementMap:
    """Facts of an image that follow from the positions and sizes of its patches.

    :param tiles: all of them.
    :param origin: position ``(x, y)`` of the left upper corner, in pixels.
    :param size: ``(x, y)`` of the result.
    :param axes: how many positions there are along each other axis.
    :param covered: the share of the result that has a patch, over all its frames.
    :param overlaps: of neighbours along x and y, in pixels; below 0 is a gap.
    :param duplicates: groups of keys of patches of one frame and one place.
    :param outliers: keys of patches that lie farther than a tile from all others of their frame.
    """

    tiles: Sequence[MapTile]
    origin: tuple[int, int] = (0, 0)
    size: tuple[int, int] = (0, 0)
    axes: dict[str, int] = field(default_factory=dict)
    covered: float = 0.0
    overlaps: dict[str, list[int]] = field(default_factory=dict)
    duplicates: list[list[str]] = field(default_factory=list)
    outliers: list[str] = field(default_factory=list)
    empty_frames: int = 0

    @property
    def warnings(self) -> list[str]:
        """Warnings to read before the image is made, one sentence each."""
        found = []
        if self.covered < MIN_COVERED:
            size = f'{self.size[0]} x {self.size[1]} pixels for {len(self.tiles)} patches'
            found.append(
                f'Only {self.covered:.2%} of the image would be covered: {size}. '
                'Are the unit, the pixel size and the positions right?'
            )
        if self.duplicates:
            keys = ', '.join(self.duplicates[0][:3])
            places = _counted(len(self.duplicates), 'place has', 'places have')
            found.append(f'{places} more than one patch, such as {keys}.')
        if self.outliers:
            keys = ', '.join(self.outliers[:3])
            patches = _counted(len(self.outliers), 'patch lies', 'patches lie')
            found.append(f'{patches} apart from all others, such as {keys}.')
        gaps = sum(one < 0 for ones in self.overlaps.values() for one in ones)
        if gaps:
            pairs = _counted(gaps, 'pair of neighbours has', 'pairs of neighbours have')
            found.append(f'{pairs} a gap between them.')
        if self.empty_frames:
            planes = _counted(self.empty_frames, 'plane or channel has', 'planes or channels have')
            found.append(f'{planes} no patch at all.')
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the document of ``POST stitch_session/plan``, without the tiles themselves."""
        sizes = {(tile.width, tile.height) for tile in self.tiles}
        return {
            'patches': len(self.tiles),
            'origin': {'x': self.origin[0], 'y': self.origin[1]},
            'size': {'x': self.size[0], 'y': self.size[1]},
            'axes': dict(self.axes),
            'tileSizes': [{'x': x, 'y': y} for x, y in sorted(sizes)[:MAX_SHOWN]],
            'covered': round(self.covered, 6),
            'emptyFrames': self.empty_frames,
            'overlap': {axis: summary(ones) for axis, ones in self.overlaps.items()},
            'gaps': sum(one < 0 for ones in self.overlaps.values() for one in ones),
            'duplicates': self.duplicates[:MAX_SHOWN],
            'duplicateCount': len(self.duplicates),
            'outliers': self.outliers[:MAX_SHOWN],
            'outlierCount': len(self.outliers),
            'warnings': self.warnings,
        }


def summary(values: Sequence[int]) -> dict[str, float] | None:
    """Return smallest, middle and largest of overlaps, None where there are no neighbours."""
    if not values:
        return None
    return {'min': min(values), 'median': float(np.median(values)), 'max': max(values)}


def make_map(
    tiles: Sequence[MapTile], *, origin: tuple[int, int] | None = None, size: tuple[int, int] | None = None
) -> PlacementMap:
    """Return the map of at least one tile.

    :param origin: of the result, where it is not the smallest position.
    :param size: of the result, where it does not end with the farthest patch.
    """
    left, top = origin or (min(tile.x for tile in tiles), min(tile.y for tile in tiles))
    if size is None:
        size = (
            max(tile.x + tile.width for tile in tiles) - left,
            max(tile.y + tile.height for tile in tiles) - top,
        )
    found = PlacementMap(tiles, (left, top), (max(size[0], 1), max(size[1], 1)))
    frames: defaultdict[tuple[tuple[str, int], ...], list[MapTile]] = defaultdict(list)
    for tile in tiles:
        frames[tile.frame].append(tile)
    axes = sorted({axis for frame in frames for axis, _ in frame})
    found.axes = {axis: 1 + max(dict(frame).get(axis, 0) for frame in frames) for axis in axes}
    count = math.prod(found.axes.values())
    found.empty_frames = max(count - len(frames), 0)
    shares = [_share(own, found) for own in list(frames.values())[:MAX_FRAMES]]
    found.covered = sum(shares) / len(shares) * len(frames) / max(count, 1)
    _neighbours(frames.values(), found)
    return found


def _share(tiles: Iterable[MapTile], image: PlacementMap) -> float:
    """Return the share of a frame that tiles cover, exact for whole squares of the grid."""
    width, height = image.size
    cell = max(1, -(-max(width, height) // GRID))
    grid = np.zeros((-(-height // cell), -(-width // cell)), bool)
    small = 0
    for tile in tiles:
        x, y = tile.x - image.origin[0], tile.y - image.origin[1]
        # a square counts where its middle is covered
        rows = slice(_first(y, cell), _first(y + tile.height, cell))
        columns = slice(_first(x, cell), _first(x + tile.width, cell))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            small += tile.width * tile.height
        grid[rows, columns] = True
    return min(1.0, float(grid.mean()) + small / (width * height))


def _first(position: int, cell: int) -> int:
    return max(0, -(-(2 * position - cell + 1) // (2 * cell)))


def _neighbours(frames: Iterable[Sequence[MapTile]], found: PlacementMap) -> None:
    """Fill in overlaps, duplicates and outliers; patches of one place in several frames count once."""
    pairs: dict[str, list[int]] = {'x': [], 'y': []}
    seen: set[tuple[int, int, int, int]] = set()
    for tiles in frames:
        places: defaultdict[tuple[int, int], list[MapTile]] = defaultdict(list)
        for tile in tiles:
            places[tile.x, tile.y].append(tile)
        found.duplicates += [[one.key for one in ones] for ones in places.values() if len(ones) > 1]
        width, height = max(tile.width for tile in tiles), max(tile.height for tile in tiles)
        cells: defaultdict[tuple[int, int], list[MapTile]] = defaultdict(list)
        for ones in places.values():
            cells[ones[0].x // width, ones[0].y // height].append(ones[0])
        for ones in places.values():
            tile = ones[0]
            near = _near(tile, cells, width, height)
            if not near and len(places) > 1:
                found.outliers.append(tile.key)
            for axis, other in _next(tile, near).items():
                pair = (tile.x, tile.y, other.x, other.y)
                if pair not in seen:
                    seen.add(pair)
                    shared = tile.x + tile.width - other.x if axis == 'x' else tile.y + tile.height - other.y
                    pairs[axis].append(shared)
    found.overlaps = pairs


def _near(
    tile: MapTile, cells: dict[tuple[int, int], list[MapTile]], width: int, height: int
) -> list[MapTile]:
    """Return the tiles that are at most a tile away."""
    column, row = tile.x // width, tile.y // height
    found = []
    for across in range(column - 2, column + 4):
        for down in range(row - 2, row + 4):
            for other in cells.get((across, down), ()):
                apart_x = max(other.x - tile.x - tile.width, tile.x - other.x - other.width)
                apart_y = max(other.y - tile.y - tile.height, tile.y - other.y - other.height)
                if other is not tile and apart_x < width and apart_y < height:
                    found.append(other)
    return found


def _next(tile: MapTile, near: Iterable[MapTile]) -> dict[str, MapTile]:
    """Return the nearest tile to the right and the nearest below, each beside it by more than half."""
    found: dict[str, MapTile] = {}
    for other in near:
        right, down = other.x - tile.x, other.y - tile.y
        if abs(down) < tile.height / 2 and right >= tile.width / 4:
            if 'x' not in found or other.x < found['x'].x:
                found['x'] = other
        elif (
            abs(right) < tile.width / 2
            and down >= tile.height / 4
            and ('y' not in found or other.y < found['y'].y)
        ):
            found['y'] = other
    return found
