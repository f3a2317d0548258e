"""Which tiles of a far image a viewer will probably ask for next; ``common/read_ahead.py`` asks for them.

Tiles that somebody is shown, one by one, are followed: those that are asked for as pictures. Pixels for a
program, regions, thumbnails, histograms and pictures by IIIF are read in one pass and need nothing beside.
"""

from __future__ import annotations

import math
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from girder_zarr.common.cache import LRU
from girder_zarr.common.read_ahead import AHEAD
from girder_zarr.image.chunk.chunks import StoredLevel
from girder_zarr.image.limits import is_bounded
from girder_zarr.image.series.reduce import choose_level

from .picture import region_in, sides_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping

    from girder_zarr.common.read_ahead import AheadRequest
    from girder_zarr.image.series.frames import FrameAxis, FrameLayout
    from girder_zarr.image.series.reduce import Choice
    from girder_zarr.image.series.series import Series

#: The axes along which people step, and the one that they are taken to step along until they do.
STEPPED = ('z', 't')
#: The tiles of one view that are followed: a screen of 1920 x 1080 has 40 of 256 x 256, in each channel.
MAX_TILES = 160
#: A tile that is made from more chunks than this, such as one of an image without a pyramid, is not followed.
MAX_TILE_CHUNKS = 64
#: Chunks that an image remembers as asked for, so that none is asked for again ahead of need: what was made
#: of them is mostly in large_image's cache of tiles.
MAX_REMEMBERED = 8192

#: Who follows the tile that is being read; None: it is read in one pass. Nothing: no tile is being read.
_following: ContextVar[NextTiles | None] = ContextVar('following')
_NOTHING = object()


@contextmanager
def one_pass() -> Iterator[None]:
    """Follow no tile that is read in this context."""
    token = _following.set(None)
    try:
        yield
    finally:
        _following.reset(token)


class Tile(NamedTuple):
    """A tile by its column, its row, large_image's level and the frame."""

    x: int
    y: int
    z: int
    frame: int


class Grid(NamedTuple):
    """The tiles of an image.

    :param sides: width and height of the full resolution. :param tile: of a tile, in pixels of its level.
    :param levels: how many there are. :param choices: the stored level that serves each step.
    """

    sides: tuple[int, int]
    tile: tuple[int, int]
    levels: int
    choices: Mapping[int, Choice]


class _Move(NamedTuple):
    """A step along an axis, forward (1) or back (-1)."""

    axis: FrameAxis
    step: int
    was_made: bool

    def after(self, frame: int, thickness: int = 1) -> int | None:
        """Return the next frame, or None at the end.

        :param thickness: of a chunk along the axis in frames; more than 1: the nearest frame of the next one.
        """
        place = frame // self.axis.stride % self.axis.count
        first = place // thickness * thickness
        found = first + thickness if self.step > 0 else first - 1
        return frame + (found - place) * self.axis.stride if 0 <= found < self.axis.count else None


class NextTiles:
    """What comes after the tiles of an image that somebody is shown. Safe under many threads.

    :param source: what requests to its store are counted for.
    """

    def __init__(self, series: list[Series], layout: FrameLayout, grid: Grid, source: Hashable) -> None:
        self._series, self._layout, self._grid, self._source = series, layout, grid, source
        self._lock = threading.Lock()
        self._view: tuple[int, dict[str, int]] | None = None
        #: The tiles of the view, the last one last.
        self._tiles: dict[Tile, None] = {}
        axes = {axis.name: axis for axis in layout.axes if axis.index is not None and axis.count > 1}
        self._axes = {name: axes[name] for name in STEPPED if name in axes}
        self._move = next((_Move(axis, 1, was_made=False) for axis in self._axes.values()), None)
        self._known: LRU[Hashable, bool] = LRU(max_items=MAX_REMEMBERED)
        self._left = 0

    def note(self, tile: Tile) -> None:
        """Take note of a tile when it is asked for; those of labels are not followed."""
        if tile.frame >= self._layout.count:
            return
        places = self._layout.positions(tile.frame)
        places.pop('c', None)  # channels are shown together
        view = tile.z, places
        with self._lock:
            if view != self._view:
                if self._view is not None:
                    self._turn(self._view[1], places)
                self._tiles.clear()
                self._view = view
            self._tiles.pop(tile, None)
            self._tiles[tile] = None
            if len(self._tiles) > MAX_TILES:
                del self._tiles[next(iter(self._tiles))]
        for level, chunk in self._chunks_of(tile):
            self._known.put(level.cache_key(chunk), value=True)

    def _turn(self, before: dict[str, int], after: dict[str, int]) -> None:
        """Take note of a step along one axis."""
        moved = [axis for name, axis in self._axes.items() if before[name] != after[name]]
        if len(moved) == 1:
            step = 1 if after[moved[0].name] > before[moved[0].name] else -1
            self._move = _Move(moved[0], step, was_made=True)

    def offer(self) -> None:
        """Let be read what comes next, once nothing else is."""
        self._left = AHEAD.max_chunks()
        if self._left:
            AHEAD.offer(self, self._source)

    def next_requests(self) -> list[AheadRequest]:
        """Return the requests for the chunks that will probably be needed next; see `AheadReader`."""
        chunks: dict[StoredLevel, dict[tuple[int, ...], None]] = {}
        left = self._left
        for level, chunk in self._next_chunks():
            if left <= 0:
                break
            found = chunks.setdefault(level, {})
            if chunk not in found and level.cache_key(chunk) not in self._known:
                found[chunk] = None
                left -= 1
        wanted = [
            request
            for level, numbers in chunks.items()
            for request in level.requests_ahead(numbers)
            if not all(key in self._known for key in request.keys)
        ]
        self._left -= sum(len(request.keys) for request in wanted)
        known = self._known
        return [replace(request, run=partial(_remembered, known, request)) for request in wanted]

    def _next_chunks(self) -> Iterator[tuple[StoredLevel, tuple[int, ...]]]:
        for tile in self._next_tiles():
            yield from self._chunks_of(tile)

    def _chunks_of(self, tile: Tile) -> Iterator[tuple[StoredLevel, tuple[int, ...]]]:
        place = self._place(tile)
        if place is not None:
            level, region = place
            for chunk in level.chunks_in(region):
                yield level, chunk

    def _next_tiles(self) -> Iterator[Tile]:
        """Iterate over tiles that may be asked for next, the most probable first."""
        with self._lock:
            tiles, move = list(reversed(self._tiles)), self._move
        if move is not None:
            yield from _in_frames(tiles, [move.after(tile.frame) for tile in tiles])
        known = set(tiles)
        for tile in tiles:
            beside = ((1, 0), (-1, 0), (0, 1), (0, -1))
            around = (tile._replace(x=tile.x + right, y=tile.y + down) for right, down in beside)
            yield from (one for one in around if one not in known)
        if move is not None and move.was_made:
            # Frames that are stored in the same chunks are here already.
            yield from _in_frames(
                tiles, [move.after(tile.frame, self._thickness(tile, move)) for tile in tiles]
            )

    def _thickness(self, tile: Tile, move: _Move) -> int:
        """Return how many frames along the axis of a move lie in one chunk."""
        place = self._place(tile)
        if place is None or move.axis.index is None:
            return 1
        level = place[0]
        return max(1, level.chunks[move.axis.index] * move.axis.count // level.shape[move.axis.index])

    def _place(self, tile: Tile) -> tuple[StoredLevel, tuple[slice, ...]] | None:
        """Return the level and the region of it that a tile is made of, or None where it is not followed."""
        x, y, z, frame = tile
        step = 2 ** (self._grid.levels - 1 - z)
        each = self._layout.count // len(self._series)
        series, choice, layout = self._series[frame // each], self._grid.choices[step], self._layout
        if series.levels is not self._series[0].levels:
            choice = choose_level(sides_of(series, layout), step)
        level = series.levels[choice.level]
        if not isinstance(level, StoredLevel):
            return None
        parts = list(region_in(series, layout, layout.fixed(frame % each), choice.level))
        ratios = (1.0, 1.0) if choice.exact else choice.ratio
        for number, axis, place, ratio in ((1, layout.y, y, ratios[0]), (0, layout.x, x, ratios[1])):
            length = self._grid.tile[number]
            stop = min((place + 1) * length, -(-self._grid.sides[number] // step))
            parts[axis] = slice(
                math.floor(place * length * ratio), min(level.shape[axis], math.ceil(stop * ratio))
            )
            if not 0 <= parts[axis].start < parts[axis].stop:
                return None
        region = tuple(parts)
        count = math.prod(
            (part.stop - 1) // side - part.start // side + 1
            for part, side in zip(region, level.chunks, strict=True)
        )
        return (level, region) if count <= MAX_TILE_CHUNKS else None


def _remembered(known: LRU[Hashable, bool], request: AheadRequest) -> Mapping[Hashable, bytes | None]:
    """Carry a request out and remember it, which does not keep the image alive that it is for.

    Not before: what is dropped may be offered again.
    """
    for key in request.keys:
        known.put(key, value=True)
    return request.run()


def _in_frames(tiles: Iterable[Tile], frames: Iterable[int | None]) -> Iterator[Tile]:
    """Yield tiles in other frames, without those that have none."""
    for tile, frame in zip(tiles, frames, strict=True):
        if frame is not None:
            yield tile._replace(frame=frame)


class FollowedMixin:
    """Follows the tiles that somebody is shown; `source.py` mixes it into ZarrFileTileSource."""

    #: None: a near image, of which nothing is read ahead.
    _nextTiles: NextTiles | None = None

    @contextmanager
    def _followed(self, tile: Tile, *, is_picture: bool) -> Iterator[None]:
        """Let what comes after a tile be read once it has been read in this context.

        :param is_picture: it is asked for as somebody is shown it. What is read for it inside counts as well,
            such as its other channels.
        """
        following, outer = self._nextTiles, _following.get(_NOTHING)
        is_first = outer is _NOTHING
        if following is None or outer is None or is_bounded() or (is_first and not is_picture):
            yield
            return
        following.note(tile)
        token = _following.set(following)
        try:
            yield
        finally:
            _following.reset(token)
        if outer is not following:
            following.offer()
