"""All fields of a plate or well laid out as one picture at low resolution.

It is the last of the images that follow each other along ``xy`` (so that field n stays frame n), no larger
than one field (all frames of an image have one size), and also the associated image ``overview``. Wells lie
as on the plate, rows and columns without any image left out; the fields of a well fill a square in their
order.
"""

from __future__ import annotations

import math
import os
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import cv2
import numpy as np

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.ngff.model import Level, Multiscale

from .series import LevelReader, Series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .plates import Field

LARGEST_SIDE = 4096
#: Bytes of finished pictures that one overview keeps.
KEPT_BYTES = 64 * 2**20
#: The types that are averaged; others are sampled.
AVERAGED = frozenset({'uint8', 'uint16', 'int16', 'float32', 'float64'})


def overview_series(series: Sequence[Series], fields: Sequence[Field], kind: str) -> Series:
    """Return the overview of the fields.

    :param series: one for each field, all alike.
    :param kind: plate or well.
    """
    first = series[0].multiscale
    level = Overview(series, [field.cell for field in fields])
    y, x = first.axis_index('y'), first.axis_index('x')
    scale = list(first.levels[0].scale)
    for axis in (y, x):
        if axis is not None:
            scale[axis] *= level.ratio
    multiscale = Multiscale(
        axes=first.axes,
        levels=(Level('', tuple(scale), (0.0,) * len(scale)),),
        name=first.name,
        channels=first.channels,
        version=first.version,
        extra=first.extra,
    )
    return Series(multiscale, (level,), 'overview', series[0].attributes, {'Overview': kind})


class Overview:
    """A LevelReader over the fields; a frame of it is put together when it is first read, and kept.

    :param cells: for each field the row and column of its well and its number in the well.
    :raises UnreadableImageError: the fields have no y or no x axis.
    """

    def __init__(self, series: Sequence[Series], cells: Sequence[tuple[int, int, int]]) -> None:
        multiscale = series[0].multiscale
        y, x = multiscale.axis_index('y'), multiscale.axis_index('x')
        if y is None or x is None:
            names = ', '.join(axis.name for axis in multiscale.axes)
            msg = f'Expected an image with an x and a y axis; found the axes {names}.'
            raise UnreadableImageError(msg)
        self._series = list(series)
        self._cells = list(cells)
        self._y, self._x = y, x
        self._side = max(1, math.ceil(math.sqrt(1 + max(number for *_, number in cells))))
        whole = series[0].levels[0].shape
        rows = (1 + max(row for row, *_ in cells)) * self._side
        columns = (1 + max(column for _, column, _ in cells)) * self._side
        tall, wide = rows * whole[y], columns * whole[x]
        #: Full-resolution pixels along a side of one pixel of the overview.
        self.ratio = max(
            1.0, tall / min(whole[y], LARGEST_SIDE), wide / min(whole[x], LARGEST_SIDE)
        )
        self._cell = max(1, int(whole[y] / self.ratio)), max(1, int(whole[x] / self.ratio))
        shape = list(whole)
        shape[y] = min(rows * self._cell[0], whole[y])
        shape[x] = min(columns * self._cell[1], whole[x])
        self.shape = tuple(shape)
        self.dtype = series[0].levels[0].dtype
        self.chunks = tuple(side if axis in (y, x) else 1 for axis, side in enumerate(shape))
        self._level = self._fitting(series[0].levels)
        self._kept: OrderedDict[tuple[tuple[int, int], ...], np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def _fitting(self, levels: Sequence[LevelReader]) -> int:
        """Return the smallest level that is at least as large as a cell."""
        fits = [
            number
            for number in range(len(levels))
            if levels[number].shape[self._y] >= self._cell[0]
            and levels[number].shape[self._x] >= self._cell[1]
        ]
        return fits[-1] if fits else 0

    def read(self, region: tuple[slice, ...]) -> np.ndarray:
        """Return the pixels of a region; see :class:`.series.LevelReader`."""
        key = tuple(
            (0, 0) if axis in (self._y, self._x) else (part.start, part.stop)
            for axis, part in enumerate(region)
        )
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                found = self._kept[key] = self._draw(region)
                while len(self._kept) > 1 and sum(one.nbytes for one in self._kept.values()) > KEPT_BYTES:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
        inside = [slice(None)] * len(region)
        inside[self._y], inside[self._x] = region[self._y], region[self._x]
        return found[tuple(inside)]

    def _draw(self, region: tuple[slice, ...]) -> np.ndarray:
        shape = [
            self.shape[axis] if axis in (self._y, self._x) else part.stop - part.start
            for axis, part in enumerate(region)
        ]
        out = np.zeros(shape, self.dtype)
        planes = np.moveaxis(out, (self._y, self._x), (-2, -1))
        height, width = self._cell

        def draw(number: int) -> None:
            row, column, field = self._cells[number]
            top = (row * self._side + field // self._side) * height
            left = (column * self._side + field % self._side) * width
            target = planes[..., top : top + height, left : left + width]
            if target.size:
                target[...] = self._small(self._series[number], region)[
                    ..., : target.shape[-2], : target.shape[-1]
                ]

        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            for _ in pool.map(draw, range(len(self._cells))):
                pass
        out.flags.writeable = False
        return out

    def _small(self, series: Series, region: tuple[slice, ...]) -> np.ndarray:
        """Return one field at the size of a cell, y and x last."""
        level = series.levels[self._level]
        parts = []
        for axis, part in enumerate(region):
            side = level.shape[axis]
            if axis in (self._y, self._x):
                parts.append(slice(0, side))
            elif side < self.shape[axis]:  # levels may be halved along z as well
                place = part.start * side // self.shape[axis]
                parts.append(slice(place, place + 1))
            else:
                parts.append(part)
        pixels = np.moveaxis(level.read(tuple(parts)), (self._y, self._x), (-2, -1))
        height, width = self._cell
        if pixels.shape[-2:] == (height, width):
            return pixels
        if level.dtype.name not in AVERAGED:
            rows = np.arange(height) * pixels.shape[-2] // height
            columns = np.arange(width) * pixels.shape[-1] // width
            return pixels[..., rows[:, None], columns]
        out = np.empty((*pixels.shape[:-2], height, width), pixels.dtype)
        for place in np.ndindex(pixels.shape[:-2]):
            plane = np.ascontiguousarray(pixels[place])
            cv2.resize(plane, (width, height), dst=out[place], interpolation=cv2.INTER_AREA)
        return out
