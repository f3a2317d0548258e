"""All fields of a plate or well as one picture: small, beside the fields, or an image of its own.

Beside the fields it is the last of the images that follow each other along ``xy`` (so that field n stays
frame n), no larger than one field (all frames of an image have one size), and also the associated image
``overview``. As an image of its own (the series ``overview``) it has the full resolution of every field.
Wells lie as on the plate, rows and columns without any image left out; see ``mosaic.py``.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.chunk.arrays import read_array
from girder_zarr.image.ngff.metadata import Level
from girder_zarr.image.series.series import Series

from .groups import find_image
from .mosaic import Mosaic, MosaicLevel, offsets_from
from .plate_fields import Alike, LaterField

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from girder_zarr.image.series.series import LevelReader
    from girder_zarr.image.store.keystore import KeyStore

    from .mosaic import Offsets
    from .plates import Field

#: Wells of more fields than this are laid out as squares: their translations are compared in pairs, and each
#: is a document to read.
MAX_POSITIONED = 1000
#: How far a field may be from the origin, in pixels: the limit of an image's side.
MAX_DISTANCE = 2**40
#: The longest side of an overview, in pixels: what a browser shows, 16 MiB for a band of bytes.
MAX_OVERVIEW_SIDE = 4096
NAME = 'overview'


def overview_series(first: Series, mosaic: Mosaic, kind: str) -> Series:
    """Return the overview of a plate as an image beside its fields, no larger than one of them.

    How large its pixels are is known when it is first read, so that its axes have no unit.

    :param first: a field.
    :param kind: plate or well.
    """
    axes = tuple(replace(axis, unit=None) for axis in first.multiscale.axes)
    level = Level('', (1.0,) * len(axes), (0.0,) * len(axes))
    multiscale = replace(first.multiscale, axes=axes, levels=(level,))
    return Series(multiscale, (Overview(mosaic),), NAME, first.attributes, {'Overview': kind})


def mosaic_series(first: Series, mosaic: Mosaic, kind: str) -> Series:
    """Return all fields as one image with all their levels and lower ones."""
    levels = mosaic.levels()
    stored = first.multiscale.levels
    described = []
    for level in levels:
        below = stored[mosaic.level_below(level.step)]
        scale = list(below.scale)
        for axis in (mosaic.alike.y, mosaic.alike.x):
            scale[axis] = stored[0].scale[axis] * level.step
        described.append(Level('', tuple(scale), (0.0,) * len(scale), stored[0].given))
    multiscale = replace(first.multiscale, levels=tuple(described))
    return Series(multiscale, levels, NAME, first.attributes, {'Overview': kind})


class Overview:
    """A LevelReader: the mosaic at the highest resolution that is no larger than a field.

    Where the fields lie is found when it is first read.
    """

    def __init__(self, mosaic: Mosaic) -> None:
        alike = mosaic.alike
        self._mosaic = mosaic
        self._axes = alike.y, alike.x
        shape = list(alike.like[0].shape)
        for axis, side in zip(self._axes, alike.cell, strict=True):
            shape[axis] = min(side, MAX_OVERVIEW_SIDE)
        self.shape = tuple(shape)
        self.dtype = alike.like[0].dtype
        self.chunks = tuple(side if axis in self._axes else 1 for axis, side in enumerate(shape))
        self._level: MosaicLevel | None = None
        self._lock = threading.Lock()

    def level(self) -> MosaicLevel:
        """Return the level of the mosaic that is shown."""
        with self._lock:
            if self._level is None:
                places = self._mosaic.places
                room = [self.shape[axis] for axis in self._axes]
                step = max(1, -(-places.height // room[0]), -(-places.width // room[1]))
                self._level = MosaicLevel(self._mosaic, step)
            return self._level

    def sample(self, region: tuple[slice, ...]) -> np.ndarray:
        """Return some pixels of a few fields; see :class:`.series.Sampling`."""
        return self._mosaic.sample(region)

    def read(self, region: tuple[slice, ...]) -> np.ndarray:
        """Return the pixels of a region; see :class:`.series.LevelReader`."""
        level = self.level()
        inside = list(region)
        for axis, whole in enumerate(self.shape):
            part, length = region[axis], level.shape[axis]
            if axis in self._axes:
                inside[axis] = slice(min(part.start, length), min(part.stop, length))
            elif length < whole:  # levels may be halved along z as well
                place = part.start * length // whole
                inside[axis] = slice(place, place + 1)
        shape = tuple(part.stop - part.start for part in region)
        out = np.zeros(shape, self.dtype)
        if all(part.stop > part.start for part in inside):
            pixels = level.read(tuple(inside))
            out[tuple(slice(0, side) for side in pixels.shape)] = pixels
        return out


def fields_cost(level: LevelReader, box: tuple[int, int, int, int], step: float) -> tuple[int, int]:
    """Return how many fields, and stored pixels of them, are read for a part of a picture; 0, 0 for others.

    :param box: left, top, right, bottom in pixels of the full resolution of the picture.
    :param step: of these pixels along a side of one of the level.
    """
    if isinstance(level, Overview):
        level = level.level()
        return level.cost((0, 0, level.shape[level.axes[0]], level.shape[level.axes[1]]))
    if not isinstance(level, MosaicLevel):
        return 0, 0
    left, top, right, bottom = (round(side / step) for side in box)
    return level.cost((top, left, bottom, right))


def make_mosaic(
    store: KeyStore, first: Series, fields: Sequence[Field], number: int, problems: list[str]
) -> Mosaic:
    """Return the fields laid out.

    :param first: the field that has been read, and ``number`` which one it is.
    :param problems: takes a sentence on each field that differs.
    """
    y, x = first.multiscale.axis_index('y'), first.multiscale.axis_index('x')
    names = [level.path for level in first.multiscale.levels]
    base = first.levels[0].shape
    cell = (0, 0) if y is None or x is None else (base[y], base[x])
    for index in {len(fields) // 2, len(fields) - 1} - {number}:
        shape = _shape(store, fields[index], names[0])
        if shape is not None and len(shape) == len(base) and y is not None and x is not None:
            cell = max(cell[0], shape[y]), max(cell[1], shape[x])
    alike = Alike(store, first, names, cell, partial(find_image, store), problems)
    laters = [LaterField(alike, field.find) for field in fields]
    laters[number] = LaterField(alike, fields[number].find, first)
    well = fields[number].cell[:2]
    pairs = zip(fields, laters, strict=True)
    beside = {field.cell[2]: later for field, later in pairs if field.cell[:2] == well}
    cells, paths = [field.cell for field in fields], [field.path for field in fields]
    return Mosaic(alike, laters, cells, paths, partial(well_offsets, alike, beside))


def _shape(store: KeyStore, field: Field, name: str) -> tuple[int, ...] | None:
    """Return the full-resolution shape of a field if it is easily found."""
    try:
        path = field.find()
        info = None if path is None else read_array(store, f'{path}/{name}')
    except UnreadableImageError:
        return None  # the error is raised when it is read
    return None if info is None else info.shape


def well_offsets(alike: Alike, fields: Mapping[int, LaterField]) -> Offsets | None:
    """Return top and left of the fields of a well by their translations, or None where those give no layout.

    :param fields: of the well, by number. Two are looked at; the others only where these two lie apart.
    """
    y, x = alike.y, alike.x
    positions: dict[int, tuple[float, float]] = {}
    scales = set()
    for number in sorted(fields) if 1 < len(fields) <= MAX_POSITIONED else ():
        try:
            series = fields[number].series()
        except UnreadableImageError:
            return None
        if series is None:
            return None
        level = series.multiscale.levels[0]
        scales.add((level.scale[y], level.scale[x]))
        positions[number] = level.translation[y] / level.scale[y], level.translation[x] / level.scale[x]
        if len(scales) > 1 or len(set(positions.values())) < len(positions):
            return None
        if not all(abs(value) < MAX_DISTANCE for value in positions[number]):
            return None
    return offsets_from(positions, alike.cell)


def field_series(first: Series, mosaic: Mosaic, fields: Sequence[Field], number: int) -> list[Series]:
    """Return one series a field, all with the metadata of the field that has been read.

    :param first: that field, and ``number`` which one it is.
    """
    base, alike = first.levels[0].shape, mosaic.alike
    same = (base[alike.y], base[alike.x]) == alike.cell
    return [
        Series(
            first.multiscale,
            first.levels if same and index == number else later,
            field.path,
            first.attributes,
            field.place,
            field.path,
        )
        for index, (field, later) in enumerate(zip(fields, mosaic.fields, strict=True))
    ]
