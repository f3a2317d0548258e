"""Fields laid out as one image: where each lies, and levels that are put together from the fields' own.

A level takes each field from the field's level of the same resolution, only where it is asked for, so that
the memory is that of what is asked for. Levels below the lowest that the fields have are reduced from that
one; those small pictures are cached.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from girder_zarr.common.cache import LRU
from girder_zarr.image.limits import spend
from girder_zarr.image.series.reduce import BLOCK_BYTES

from .damaged import DamagedFields
from .plate_fields import Alike, LaterField, read_scaled

#: Bytes of reduced fields that one mosaic caches, and the most that one of them may have: 64 of the
#: largest, or 384 wells of 256 x 256 pixels of 16 bits with room to spare.
MAX_CACHE_BYTES, MAX_CACHED_FIELD_BYTES = 64 * 2**20, 2**20
#: How many fields, and which side of each in pixels, are looked at to find the range of values: 12 reads of a
#: chunk or a few, whatever the size of the plate.
SAMPLED_FIELDS, SAMPLE_SIDE = 12, 512
#: Up to so many fields are read one after the other: threads cost more than they save.
MAX_SERIAL_FIELDS = 4
#: Wells of several fields are 1/24 of their own side apart, so that wells can be seen.
WELL_GAP = 24
#: A field's place may be wider by 1/32 of the field, so that it begins on a pixel of every level.
MAX_PADDING = 32
#: Of two fields of a well, at most this part may be covered by each other, else their positions are not used:
#: microscopes overlap fields by 5 to 20 %, positions in a wrong unit put them on top of each other.
MAX_COVERED = 0.5
#: A well may be this many times as large as its fields together, else their positions are not used: those in
#: a wrong unit lie far apart, and the mosaic would be empty space.
MAX_SPREAD = 9
#: The lowest level of a mosaic is no longer than this, in pixels: a thumbnail reads little more.
MAX_LOWEST_SIDE = 256

Offsets = Mapping[int, tuple[int, int]]


@dataclass(frozen=True)
class Places:
    """Where fields lie, in full-resolution pixels from the upper left corner.

    :param tops: of each field, as int64; ``lefts`` likewise.
    """

    tops: np.ndarray
    lefts: np.ndarray
    height: int
    width: int


def place_fields(
    cells: Sequence[tuple[int, int, int]],
    cell: tuple[int, int],
    steps: Sequence[int],
    offsets: Offsets | None = None,
) -> Places:
    """Return where fields lie.

    :param cells: for each field row and column of its well and its number in the well.
    :param cell: height and width of a field.
    :param steps: full-resolution pixels to one of each level.
    :param offsets: top and left of the fields of a well, by number; without them they fill a square.
    """
    numbers = range(1 + max(number for *_, number in cells))
    pitch = tuple(_aligned(side, steps) for side in cell)
    if offsets is None or not set(numbers) <= set(offsets):
        across = math.ceil(math.sqrt(len(numbers)))
        offsets = {number: (number // across * pitch[0], number % across * pitch[1]) for number in numbers}
        well = math.ceil(len(numbers) / across) * pitch[0], min(across, len(numbers)) * pitch[1]
    else:
        well = (
            max(offsets[number][0] for number in numbers) + cell[0],
            max(offsets[number][1] for number in numbers) + cell[1],
        )
    gap = max(well) // WELL_GAP if len(numbers) > 1 else 0
    whole = max(steps) if well[0] % max(steps) == well[1] % max(steps) == 0 else 1
    gap = -(-gap // whole) * whole
    rows, columns, number = (np.array(part, np.int64) for part in zip(*cells, strict=True))
    within = np.array([offsets[one] for one in numbers], np.int64)[number]
    return Places(
        rows * (well[0] + gap) + within[:, 0],
        columns * (well[1] + gap) + within[:, 1],
        int(np.max(rows)) * (well[0] + gap) + well[0],
        int(np.max(columns)) * (well[1] + gap) + well[1],
    )


def _aligned(side: int, steps: Sequence[int]) -> int:
    """Return a side, enlarged so that what comes next begins on a pixel of as low a level as can be."""
    for step in sorted(steps, reverse=True):
        found = -(-side // step) * step
        if (found - side) * MAX_PADDING <= side:
            return found
    return side


def offsets_from(positions: Mapping[int, tuple[float, float]], cell: tuple[int, int]) -> Offsets | None:
    """Return top and left of the fields of a well from their positions, or None where these cannot be meant.

    :param positions: y and x in pixels, by number.
    """
    if len(positions) < 2:
        return None
    first = [min(place[axis] for place in positions.values()) for axis in (0, 1)]
    found = {
        number: (round(place[0] - first[0]), round(place[1] - first[1]))
        for number, place in positions.items()
    }
    places = np.array(list(found.values()), np.int64)
    spread = (int(np.max(places[:, 0])) + cell[0]) * (int(np.max(places[:, 1])) + cell[1])
    if spread > MAX_SPREAD * len(places) * cell[0] * cell[1]:
        return None
    apart = np.abs(places[:, None] - places[None])
    shared = np.clip(1 - apart / np.array(cell), 0, 1).prod(axis=-1)
    np.fill_diagonal(shared, 0)
    return None if np.max(shared) > MAX_COVERED else found


class Mosaic:
    """The fields and where they lie; makes the levels.

    :param paths: of the fields.
    :param find_offsets: returns the offsets of the fields in a well, or None; asked when first needed.
    """

    def __init__(
        self,
        alike: Alike,
        fields: Sequence[LaterField],
        cells: Sequence[tuple[int, int, int]],
        paths: Sequence[str],
        find_offsets: Callable[[], Offsets | None],
    ) -> None:
        self.damaged = DamagedFields(alike, paths)
        self.alike, self.fields, self._cells = alike, fields, cells
        self._find_offsets = find_offsets
        self._places: Places | None = None
        self._cache: LRU[tuple[object, ...], np.ndarray] = LRU(
            max_bytes=MAX_CACHE_BYTES, size_of=lambda pixels: pixels.nbytes
        )
        #: Levels that the fields have, by the full-resolution pixels to one of theirs.
        self.stored: dict[int, int] = {}
        for number, (down, across) in enumerate(alike.ratios):
            if down == across == int(down):
                self.stored.setdefault(int(down), number)

    @property
    def places(self) -> Places:
        """Return where the fields lie."""
        with self.alike.lock:
            if self._places is None:
                cell, steps = self.alike.cell, tuple(self.stored)
                self._places = place_fields(self._cells, cell, steps, self._find_offsets())
            return self._places

    def levels(self) -> tuple[MosaicLevel, ...]:
        """Return the levels: those of the fields, and lower ones until one is small."""
        steps = sorted(self.stored)
        side = max(self.places.height, self.places.width)
        while side / steps[-1] > MAX_LOWEST_SIDE:
            steps.append(steps[-1] * 2)
        return tuple(MosaicLevel(self, step) for step in steps)

    def level_below(self, step: int) -> int:
        """Return the lowest level of the fields that is no lower than a step."""
        return self.stored[max(one for one in self.stored if one <= step)]

    def sample(self, region: tuple[slice, ...]) -> np.ndarray:
        """Return the middles of a few fields, one after the other."""
        alike = self.alike
        number = len(alike.names) - 1
        shape, y, x = alike.shapes[number], alike.y, alike.x
        whole = alike.shapes[0]
        parts = [part if whole[axis] == shape[axis] else slice(0, 1) for axis, part in enumerate(region)]
        for axis in (y, x):
            start = max(0, shape[axis] - SAMPLE_SIDE) // 2
            parts[axis] = slice(start, min(shape[axis], start + SAMPLE_SIDE))
        count = len(self.fields)
        chosen = range(0, count, max(1, count // SAMPLED_FIELDS))
        read = self.damaged.guarded(lambda one: self.fields[one].read(number, tuple(parts), fit=True))
        found = [pixels for one in chosen if (pixels := read(one)) is not None]
        shape = tuple(part.stop - part.start for part in parts)
        return np.stack(found) if found else np.zeros((1, *shape), alike.like[0].dtype)

    def small(self, number: int, step: int, region: tuple[slice, ...]) -> np.ndarray:
        """Return a part of a field at a resolution that it does not have.

        :param region: one slice an axis; y and x in pixels of the result.
        """
        alike = self.alike
        y, x = alike.y, alike.x
        size = tuple(math.ceil(side / step) for side in alike.cell)
        others = tuple((p.start, p.stop) for axis, p in enumerate(region) if axis not in (y, x))
        count = math.prod(stop - start for start, stop in others)
        if math.prod(size) * count * alike.like[0].dtype.itemsize > MAX_CACHED_FIELD_BYTES:
            return self._reduced(number, step, region)
        whole = list(region)
        whole[y], whole[x] = slice(0, size[0]), slice(0, size[1])
        found = self._cache.fetch((number, step, others), lambda: self._reduced(number, step, tuple(whole)))
        inside = [slice(None)] * len(region)
        inside[y], inside[x] = region[y], region[x]
        return found[tuple(inside)]

    def _reduced(self, number: int, step: int, region: tuple[slice, ...]) -> np.ndarray:
        alike = self.alike
        level = self.level_below(step)
        reader = _Whole(self.fields[number], alike, level)
        axes = alike.y, alike.x
        ratio = step / alike.ratios[level][0]
        limits = [math.ceil(reader.shape[axis] / ratio) for axis in axes]
        parts = list(region)
        for axis, limit in zip(axes, limits, strict=True):
            parts[axis] = slice(min(region[axis].start, limit - 1), min(region[axis].stop, limit))
        found = read_scaled(reader, tuple(parts), axes, (ratio, ratio))
        shape = tuple(part.stop - part.start for part in region)
        if found.shape == shape:
            return found
        out = np.zeros(shape, found.dtype)
        out[tuple(slice(0, side) for side in found.shape)] = found
        return out


class _Whole:
    """A level of a field that is shown in full where it is larger than its cell, as a LevelReader.

    A small level is read once, however many parts of it are asked for.
    """

    def __init__(self, field: LaterField, alike: Alike, number: int) -> None:
        self._field, self._number = field, number
        self.shape, self.dtype = alike.shapes[number], alike.like[0].dtype
        self.chunks = alike.like[number].chunks
        self._axes = alike.y, alike.x
        self._read: np.ndarray | None = None

    def read(self, region: tuple[slice, ...]) -> np.ndarray:
        sides = [self.shape[axis] for axis in self._axes]
        count = math.prod(p.stop - p.start for axis, p in enumerate(region) if axis not in self._axes)
        if math.prod(sides) * count * self.dtype.itemsize > BLOCK_BYTES:
            return self._field.read(self._number, region, fit=True)
        if self._read is None:
            whole = list(region)
            for axis, side in zip(self._axes, sides, strict=True):
                whole[axis] = slice(0, side)
            self._read = self._field.read(self._number, tuple(whole), fit=True)
        inside = [slice(None)] * len(region)
        for axis in self._axes:
            inside[axis] = region[axis]
        return self._read[tuple(inside)]


class MosaicLevel:
    """The fields at one resolution, as a LevelReader; see :class:`.series.LevelReader`.

    :param step: full-resolution pixels along a side of one of its pixels.
    """

    def __init__(self, mosaic: Mosaic, step: int) -> None:
        self._mosaic, self.step = mosaic, step
        self._exact = mosaic.stored.get(step)
        alike = mosaic.alike
        self.axes = alike.y, alike.x
        like = alike.like[mosaic.level_below(step)]
        places = mosaic.places
        shape = list(like.shape)
        shape[alike.y], shape[alike.x] = (math.ceil(side / step) for side in (places.height, places.width))
        self.shape, self.dtype, self.chunks = tuple(shape), alike.like[0].dtype, like.chunks
        self._tops, self._lefts = places.tops // step, places.lefts // step
        if self._exact is None:
            self._cell = tuple(math.ceil(side / step) for side in alike.cell)
        else:
            self._cell = tuple(alike.shapes[self._exact][axis] for axis in self.axes)

    def read(self, region: tuple[slice, ...]) -> np.ndarray:
        """Return the pixels of a region."""
        found = self._inside(region)
        shape = tuple(part.stop - part.start for part in region)
        spend(len(found), self._stored_pixels(len(found), shape))
        read = self._mosaic.damaged.guarded(lambda one: self._field(one, self._overlap(one, region)[0]))
        if len(found) == 1:
            source, _ = self._overlap(int(found[0]), region)
            if all(part.stop - part.start == side for part, side in zip(source, shape, strict=True)):
                pixels = read(int(found[0]))
                if pixels is not None:
                    return pixels
                found = found[:0]
        if not len(found):
            return np.broadcast_to(np.zeros((), self.dtype), shape)
        out = np.zeros(shape, self.dtype)
        # Fields may overlap: they are drawn in their order, whichever is read first.
        with contextlib.ExitStack() as stack:
            parts: Iterator[np.ndarray | None] = map(read, found.tolist())
            if len(found) > MAX_SERIAL_FIELDS:
                pool = stack.enter_context(ThreadPoolExecutor(min(4, os.cpu_count() or 1)))
                parts = pool.map(read, found.tolist())
            for one, pixels in zip(found.tolist(), parts, strict=True):
                if pixels is not None:
                    out[self._overlap(one, region)[1]] = pixels
        return out

    def sample(self, region: tuple[slice, ...]) -> np.ndarray:
        """Return some pixels of a few fields; see :class:`.series.Sampling`."""
        return self._mosaic.sample(region)

    def look_for_damage(self) -> int:
        """Note the fields that cannot be read; see :meth:`.damaged.DamagedFields.look`."""
        fields, damaged = self._mosaic.fields, self._mosaic.damaged
        spend(*damaged.cost(len(fields)))
        return damaged.look(fields)

    def cost(self, box: tuple[int, int, int, int]) -> tuple[int, int]:
        """Return how many fields, and stored pixels of them at most, are read for a part of one frame.

        :param box: top, left, bottom, right in pixels of this level.
        """
        region = [slice(0, 1)] * len(self.shape)
        for axis, start, stop in zip(self.axes, box[:2], box[2:], strict=True):
            region[axis] = slice(start, min(stop, self.shape[axis]))
        fields = len(self._inside(tuple(region)))
        return fields, self._stored_pixels(fields, tuple(part.stop - part.start for part in region))

    def _inside(self, region: tuple[slice, ...]) -> np.ndarray:
        """Return the numbers of the fields of which a part lies in a region."""
        rows, columns = (region[axis] for axis in self.axes)
        height, width = self._cell
        return np.flatnonzero(
            (self._tops < rows.stop)
            & (self._tops + height > rows.start)
            & (self._lefts < columns.stop)
            & (self._lefts + width > columns.start)
        )

    def _stored_pixels(self, fields: int, shape: tuple[int, ...]) -> int:
        """Return how many stored pixels are read at most for a region in which so many fields lie."""
        if self._exact is not None:
            return math.prod(shape)
        alike, below = self._mosaic.alike, self._mosaic.level_below(self.step)
        ratio = self.step / alike.ratios[below][0]
        planes = math.prod(side for axis, side in enumerate(shape) if axis not in self.axes)
        whole = math.prod(alike.shapes[below][axis] for axis in self.axes) * planes
        small = math.prod(self._cell) * planes * self.dtype.itemsize <= MAX_CACHED_FIELD_BYTES
        return fields * whole if small else min(fields * whole, round(math.prod(shape) * ratio**2))

    def _field(self, number: int, region: tuple[slice, ...]) -> np.ndarray:
        if self._exact is None:
            return self._mosaic.small(number, self.step, region)
        return self._mosaic.fields[number].read(self._exact, region, fit=True)

    def _overlap(self, number: int, region: tuple[slice, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """Return the part of a field that lies in the region, in the field and in the region."""
        source = list(region)
        target = [slice(0, part.stop - part.start) for part in region]
        corner = int(self._tops[number]), int(self._lefts[number])
        for axis, first, side in zip(self.axes, corner, self._cell, strict=True):
            start, stop = max(region[axis].start, first), min(region[axis].stop, first + side)
            source[axis] = slice(start - first, stop - first)
            target[axis] = slice(start - region[axis].start, stop - region[axis].start)
        return tuple(source), tuple(target)
