"""Fields of a plate or well: each is opened when it is first read, and fits a cell that all share."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.chunk.arrays import read_array
from girder_zarr.image.chunk.chunks import StoredLevel
from girder_zarr.image.series.reduce import choose_level, read_reduced
from girder_zarr.image.series.series import LevelReader, Series

if TYPE_CHECKING:
    from girder_zarr.image.store.keystore import KeyStore

#: Finds the path of a field's group by the well's own metadata; None where the well has no such field.
Find = Callable[[], str | None]
#: How many sentences on fields that differ are listed: a plate may have hundreds of thousands.
MAX_NOTES = 100
#: The most bytes of stored pixels that one pixel is made from.
MAX_REDUCED_BYTES = 32 * 2**20


class Alike:
    """What the fields of a plate share, taken from the first one that could be read.

    :param first: that field.
    :param names: of its arrays, in its group.
    :param cell: height and width that are taken for each field: the largest of those that were looked at.
    :param open_series: takes the path of a group; returns its image, or None where there is none.
    :param problems: where sentences on fields that turn out to differ are added.
    """

    def __init__(
        self,
        store: KeyStore,
        first: Series,
        names: Sequence[str],
        cell: tuple[int, int],
        open_series: Callable[[str], Series | None],
        problems: list[str],
    ) -> None:
        axes = first.multiscale.axes
        y, x = first.multiscale.picture_axes()
        self.store, self.names, self.cell = store, tuple(names), cell
        self.y, self.x = y, x
        self.axes = tuple(axis.name for axis in axes)
        self.like = tuple(first.levels)
        self.open_series = open_series
        self.lock = threading.RLock()
        self._problems = problems
        base = self.like[0].shape
        #: For each level, how many full-resolution pixels one of its pixels is, along y and x.
        self.ratios = tuple(
            (_ratio(base[y], level.shape[y]), _ratio(base[x], level.shape[x])) for level in self.like
        )
        self.shapes = tuple(self._shape(level, number) for number, level in enumerate(self.like))

    def _shape(self, level: LevelReader, number: int) -> tuple[int, ...]:
        shape, base = list(level.shape), self.like[0].shape
        for axis, side, ratio in zip((self.y, self.x), self.cell, self.ratios[number], strict=True):
            if side != base[axis]:
                shape[axis] = max(1, math.ceil(side / ratio))
        return tuple(shape)

    def note(self, text: str) -> None:
        """Add a sentence to what is wrong with the image."""
        with self.lock:
            if text not in self._problems and len(self._problems) < MAX_NOTES:
                self._problems.append(text)


def _ratio(whole: int, part: int) -> float:
    """Return how many pixels of the full resolution one of a level is; rounded sides count as exact."""
    step = max(1, round(whole / part))
    return float(step) if abs(part - whole / step) < 1 else whole / part


class LaterField(Sequence[LevelReader]):
    """The levels of a field that has not been looked at; of the shapes that ``Alike`` says.

    There are thousands of these, so that they hold as little as can be. What is outside the field, and all of
    a field that does not exist, is zero. A field that differs from the others is opened by its own metadata.

    :param own: the field, where it has been opened already.
    """

    __slots__ = ('_alike', '_direct', '_find', '_own')

    def __init__(self, alike: Alike, find: Find, own: Series | None = None) -> None:
        self._alike = alike
        self._find = find
        #: By level: its array where it is like the others, None where it is not.
        self._direct: dict[int, StoredLevel | None] | None = None
        self._own: tuple[Series | None] | None = None if own is None else (own,)

    def __len__(self) -> int:
        return len(self._alike.names)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(index)
        return FieldLevel(self, self._alike, number)

    def read(self, number: int, region: tuple[slice, ...], *, fit: bool = False) -> np.ndarray:
        """Return the pixels of a region of a level; see :class:`.series.LevelReader`.

        :param fit: show a field that is larger than the cell as large as the cell, instead of a part of it.
        :raises UnreadableImageError: the field's metadata cannot be read or it is no image of this kind.
        """
        level = self._level(number)
        dtype = self._alike.like[0].dtype
        if level is not None:
            pixels = level.read(region)
        else:
            own = self.series()
            if own is None:
                shape = tuple(part.stop - part.start for part in region)
                return np.broadcast_to(np.zeros((), dtype), shape)
            pixels = self._fitted(own, number, region, fit=fit)
        return pixels if pixels.dtype == dtype else pixels.astype(dtype)

    def _level(self, number: int) -> StoredLevel | None:
        direct = self._direct
        if direct is not None and number in direct:
            return direct[number]
        alike = self._alike
        with alike.lock:
            direct = self._direct = {} if self._direct is None else self._direct
            if number not in direct:
                group = self._find()
                info = None if group is None else read_array(alike.store, f'{group}/{alike.names[number]}')
                same = info is not None and info.shape == alike.shapes[number]
                direct[number] = StoredLevel(alike.store, info) if same and info is not None else None
            return direct[number]

    def series(self) -> Series | None:
        """Return the field by its own metadata, or None where there is none."""
        alike = self._alike
        with alike.lock:
            if self._own is None:
                group = self._find()
                series = None if group is None else alike.open_series(group)
                if series is not None:
                    self._check(series, str(group))
                elif group is not None:
                    alike.note(f'There is no image at {group!r}.')
                self._own = (series,)
            return self._own[0]

    def _check(self, series: Series, path: str) -> None:
        alike = self._alike
        axes = tuple(axis.name for axis in series.multiscale.axes)
        if axes != alike.axes:
            msg = f'The field {path!r} has the axes {", ".join(axes)}; {", ".join(alike.axes)} were expected.'
            raise UnreadableImageError(msg)
        shape, base = series.levels[0].shape, alike.like[0].shape
        found, cell = (shape[alike.y], shape[alike.x]), alike.cell
        if found[0] > cell[0] or found[1] > cell[1]:
            alike.note(
                f'The field {path!r} has {found[1]} x {found[0]} pixels, more than the {cell[1]} x {cell[0]} '
                'of a frame, which shows a part of it; opened as a series of its own it is shown in full.'
            )
        others = [axis for axis in range(len(axes)) if axis not in (alike.y, alike.x)]
        if any(shape[axis] > base[axis] for axis in others):
            names = ', '.join(axes[axis] for axis in others if shape[axis] > base[axis])
            alike.note(
                f'The field {path!r} is longer along {names} than the first one; the rest is shown where it '
                'is opened as a series of its own.'
            )

    def _fitted(self, own: Series, number: int, region: tuple[slice, ...], *, fit: bool) -> np.ndarray:
        """Read a field that differs from the others: in size, or in the levels that it has."""
        alike = self._alike
        y, x = alike.y, alike.x
        step = max(alike.ratios[number])
        sides = [(level.shape[y], level.shape[x]) for level in own.levels]
        if fit:
            step *= max(1.0, sides[0][0] / alike.cell[0], sides[0][1] / alike.cell[1])
        choice = choose_level(sides, step)
        level = own.levels[choice.level]
        height, width = sides[choice.level]
        limits = [level.shape[axis] for axis in range(len(region))]
        limits[y], limits[x] = math.ceil(height / choice.ratio[0]), math.ceil(width / choice.ratio[1])
        shape = tuple(part.stop - part.start for part in region)
        out = np.zeros(shape, level.dtype)
        whole = alike.shapes[number]
        inside = list(region)
        for axis, limit in enumerate(limits):
            part = region[axis]
            if axis not in (y, x) and own.levels[0].shape[axis] == alike.like[0].shape[axis]:
                inside[axis] = _place(part, whole[axis], limit)
                continue
            inside[axis] = slice(part.start, min(part.stop, limit))
        if any(part.stop <= part.start for part in inside):
            return out
        pixels = read_scaled(level, tuple(inside), (y, x), choice.ratio)
        out[tuple(slice(0, side) for side in pixels.shape)] = pixels
        return out


def _place(part: slice, whole: int, length: int) -> slice:
    """Return the part of an axis in a level where it may have fewer positions, as where z is halved."""
    if whole == length:
        return part
    first = part.start * length // whole
    return slice(first, max(first + 1, (part.stop - 1) * length // whole + 1))


def check_reduction(level: LevelReader, pixel_bytes: int, ratio: tuple[float, float]) -> None:
    """Refuse to make one pixel from more than can be held in memory at once.

    :param level: what it would be made from, for the message.
    :param pixel_bytes: of one stored pixel, all its bands.
    :param ratio: stored pixels to one of the output, along y and x.
    :raises UnreadableImageError: it would be.
    """
    if max(1.0, ratio[0]) * max(1.0, ratio[1]) * pixel_bytes > MAX_REDUCED_BYTES:
        count = f'{ratio[1]:.0f} x {ratio[0]:.0f}'
        info = getattr(level, 'info', None)
        of = '' if info is None else f' of the array {info.path!r}'
        msg = f'One pixel would be made from {count}{of}; levels of lower resolution are missing.'
        raise UnreadableImageError(msg)


def read_scaled(
    level: LevelReader, region: tuple[slice, ...], axes: tuple[int, int], ratio: tuple[float, float]
) -> np.ndarray:
    """Return a region of a level that is ``ratio`` times smaller along y and x, in bounded memory.

    :param region: one slice an axis of the level; y and x in pixels of what is returned.
    :param axes: which axes y and x are.
    :param ratio: pixels of the level to one that is returned, along y and x.
    :raises UnreadableImageError: one would be made from too many.
    """
    if ratio == (1.0, 1.0):
        return level.read(region)
    y, x = axes
    others = tuple(part.stop - part.start for axis, part in enumerate(region) if axis not in axes)
    check_reduction(level, level.dtype.itemsize * math.prod(others), ratio)

    def read(top: int, left: int, bottom: int, right: int) -> np.ndarray:
        parts = list(region)
        parts[y], parts[x] = slice(top, bottom), slice(left, right)
        pixels = np.moveaxis(level.read(tuple(parts)), (y, x), (0, 1))
        return pixels.reshape(bottom - top, right - left, -1)

    size = region[y].stop - region[y].start, region[x].stop - region[x].start
    sides = level.shape[y], level.shape[x]
    small = read_reduced(read, sides, (region[y].start, region[x].start), size, ratio)
    return np.moveaxis(small.reshape(*size, *others), (0, 1), (y, x))


class FieldLevel:
    """One level of a :class:`LaterField`, as a LevelReader."""

    __slots__ = ('_field', '_number', 'chunks', 'dtype', 'shape')

    def __init__(self, field: LaterField, alike: Alike, number: int) -> None:
        self._field = field
        self._number = number
        self.shape = alike.shapes[number]
        self.dtype = alike.like[number].dtype
        self.chunks = alike.like[number].chunks

    def read(self, region: tuple[slice, ...]) -> np.ndarray:
        """Return the pixels of a region; see :class:`.series.LevelReader`."""
        return self._field.read(self._number, region)
