"""Axes beyond those of NGFF, as positions of its channel axis; see 'Axes and bands' in docs/format.md.

NGFF allows at most five axes, and of channel and custom axes at most one. Where an image has more, its custom
axes, its channels and its bands become one axis ``c``, bands fastest, then channels, then the custom axes.
The attribute ``girder_zarr.folded`` says how, so that our reader sees the axes that there were.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.image.limits import DEFAULT
from girder_zarr.image.ngff.metadata import Axis, Level

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .series import LevelReader, Series


@dataclass(frozen=True, slots=True)
class Folding:
    """The axes that the positions of the axis ``c`` of a file stand for.

    :param axes: the slowest first: custom axes, and ``c`` as the last where the image has channels.
    :param sizes: positions along each.
    """

    axes: tuple[Axis, ...] = ()
    sizes: tuple[int, ...] = ()

    @property
    def customs(self) -> int:
        """How many of the axes are not ``c``."""
        return sum(axis.name != 'c' for axis in self.axes)

    @property
    def blocks(self) -> int:
        """How many times the channels and bands of the image follow each other."""
        return math.prod(self.sizes[: self.customs])

    def positions(self, index: int) -> dict[str, int]:
        """Return the position along each axis.

        :param index: along ``c``, bands left out.
        """
        found = {}
        for axis, size in zip(reversed(self.axes), reversed(self.sizes), strict=True):
            index, found[axis.name] = divmod(index, size)
        return found

    def prefix(self, block: int) -> str:
        """Return what the labels of a block begin with: names of the custom axes with values or positions."""
        words = []
        customs = list(zip(self.axes, self.sizes, strict=True))[: self.customs]
        for axis, size in reversed(customs):
            block, at = divmod(block, size)
            values = axis.values or ()
            known = len(values) == size and values[at] is not None
            words.append(f'{axis.name} {values[at] if known else at}')
        return ', '.join(reversed(words))

    def attribute(self) -> list[dict[str, Any]] | None:
        """Return what is stored of it, or None where nothing is folded."""
        if not self.customs:
            return None
        found = []
        for axis, size in zip(self.axes, self.sizes, strict=True):
            entry: dict[str, Any] = {'name': axis.name, 'size': size}
            if axis.unit:
                entry['unit'] = axis.unit
            if axis.values is not None:
                entry['values'] = list(axis.values)
            found.append(entry)
        return found


def fold(axes: Sequence[Axis], sizes: Mapping[str, int], bands: int) -> tuple[list[Axis], Folding]:
    """Return the axes of the file before y and x, and what its ``c`` stands for.

    :param axes: the frame axes of the image in the order of NGFF.
    :param sizes: positions along them.
    """
    customs = [axis for axis in axes if axis.type == 'custom']
    channel = [axis for axis in axes if axis.name == 'c']
    if not customs or (len(customs) == 1 and not channel and bands == 1):
        return list(axes), Folding(tuple(channel), tuple(sizes[axis.name] for axis in channel))
    folded = (*customs, *channel)
    remaining = [axis for axis in axes if axis not in folded]
    first = next((index for index, axis in enumerate(remaining) if axis.type == 'space'), len(remaining))
    remaining.insert(first, Axis('c', 'channel'))
    return remaining, Folding(folded, tuple(sizes[axis.name] for axis in folded))


def unfold(series: Series) -> Series:
    """Return an image with the axes that it had before it was written.

    What another program has changed so that it no longer fits is shown as it is.
    """
    multiscale, shape = series.multiscale, series.levels[0].shape
    at = multiscale.axis_index('c')
    found = _stored(multiscale.extra.get('folded'))
    if found is None or at is None or shape[at] % math.prod(found.sizes):
        return series
    others = {axis.name for axis in multiscale.axes if axis.name != 'c'}
    if any(axis.name in others for axis in found.axes):
        return series
    customs, rest = found.customs, shape[at] // found.blocks
    keeps = customs < len(found.axes) or rest > 1
    channel = found.axes[customs:] or (Axis('c', 'channel'),)
    middle = (*found.axes[:customs], *(channel if keeps else ()))
    count = len(middle)
    levels = tuple(
        Level(
            level.path,
            (*level.scale[:at], *(1.0,) * count, *level.scale[at + 1 :]),
            (*level.translation[:at], *(0.0,) * count, *level.translation[at + 1 :]),
            (*level.given[:at], *(False,) * count, *level.given[at + 1 :]) if level.given else (),
        )
        for level in multiscale.levels
    )
    channels = multiscale.channels[:rest] if multiscale.channels is not None and keeps else None
    prefix = f'{found.prefix(0)}, '
    unfolded = replace(
        multiscale,
        axes=(*multiscale.axes[:at], *middle, *multiscale.axes[at + 1 :]),
        levels=levels,
        channels=None
        if channels is None
        else tuple(replace(one, label=(one.label or '').removeprefix(prefix) or None) for one in channels),
    )
    readers = tuple(UnfoldedLevel(reader, at, found.sizes[:customs], rest, keeps) for reader in series.levels)
    return replace(series, multiscale=unfolded, levels=readers)


def _stored(entries: object) -> Folding | None:
    """Return what the attribute says, or None where it is not as we write it."""
    if not isinstance(entries, list) or not 1 <= len(entries) <= DEFAULT.axes:
        return None
    axes, sizes = [], []
    for number, entry in enumerate(entries):
        name, size = (entry.get('name'), entry.get('size')) if isinstance(entry, dict) else (None, None)
        if not isinstance(name, str) or not name or not isinstance(size, int) or not 0 < size < 2**40:
            return None
        if name == 'c' and number < len(entries) - 1:
            return None
        unit, values = entry.get('unit'), entry.get('values')
        axes.append(
            Axis(
                name,
                'channel' if name == 'c' else 'custom',
                unit if isinstance(unit, str) else None,
                tuple(values) if isinstance(values, list) else None,
            )
        )
        sizes.append(size)
    found = Folding(tuple(axes), tuple(sizes))
    return found if found.customs and len({axis.name for axis in axes}) == len(axes) else None


@dataclass(frozen=True, slots=True)
class UnfoldedLevel:
    """An array whose axis ``c`` is shown as several; see `series.LevelReader`.

    :param at: which axis of the array that is.
    :param sizes: positions along the custom axes in it, the slowest first.
    :param rest: positions of the channels and bands of each.
    :param keeps: whether there is an axis for those.
    """

    level: LevelReader
    at: int
    sizes: tuple[int, ...]
    rest: int
    keeps: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Pixels along each axis."""
        return self._replaced(self.level.shape, (*self.sizes, self.rest))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of a pixel."""
        return self.level.dtype

    @property
    def chunks(self) -> tuple[int, ...]:
        """What lies together."""
        own = self.level.chunks
        return self._replaced(own, (*[1] * len(self.sizes), min(own[self.at], self.rest)))

    def _replaced(self, values: tuple[int, ...], middle: tuple[int, ...]) -> tuple[int, ...]:
        return (*values[: self.at], *(middle if self.keeps else middle[:-1]), *values[self.at + 1 :])

    def read(self, region: tuple[slice, ...]) -> np.ndarray:
        """Return the pixels of a region; see `series.LevelReader`."""
        count = len(self.sizes)
        middle = region[self.at : self.at + count]
        inner = region[self.at + count] if self.keeps else slice(0, 1)
        after = region[self.at + count + self.keeps :]
        parts = []
        for where in np.ndindex(*(part.stop - part.start for part in middle)):
            places = [part.start + step for part, step in zip(middle, where, strict=True)]
            start = int(np.ravel_multi_index(places, self.sizes)) * self.rest
            own = slice(start + inner.start, start + inner.stop)
            parts.append(self.level.read((*region[: self.at], own, *after)))
        shape = tuple(part.stop - part.start for part in region)
        if len(parts) == 1:
            return parts[0].reshape(shape)
        return np.stack(parts, axis=self.at).reshape(shape)
