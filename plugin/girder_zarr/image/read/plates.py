"""Plates and wells: every field is a series, opened when it is first read.

Specification: https://ngff.openmicroscopy.org/0.4/#plate-md and #well-md; rows and columns are also found
where ``rowIndex`` and ``columnIndex`` (new in 0.4) are missing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.chunk.arrays import read_array
from girder_zarr.image.chunk.chunks import StoredLevel
from girder_zarr.image.limits import DEFAULT, check_relative_path
from girder_zarr.image.ngff.parse import Parsed, ome_attributes
from girder_zarr.image.store.keystore import KeyStore

from .series import LevelReader, Series

if TYPE_CHECKING:
    from collections.abc import Iterator

ReadGroup = Callable[[KeyStore, str], dict[str, Any] | None]

#: How many wells are tried until one can be read.
WELLS_TRIED = 20


class Field(NamedTuple):
    """One field of view.

    :param path: of its group; where the well has not been read, as if it were like the first one.
    :param place: what is shown of it.
    :param find: returns the path by the well's own metadata, or None where the well has no such field.
    :param cell: row and column of the well, counted in wells from the upper left one, and the field's number.
    """

    path: str
    place: dict[str, Any]
    find: Callable[[], str | None]
    cell: tuple[int, int, int]


class Well:
    """A well, whose metadata is read when it is first needed.

    :param path: of its group.
    """

    def __init__(self, store: KeyStore, path: str, read_group: ReadGroup) -> None:
        self.path = path
        self._store = store
        self._read_group = read_group
        self._lock = threading.Lock()
        self._images: list[tuple[str, dict[str, Any]]] | None = None

    def images(self) -> list[tuple[str, dict[str, Any]]]:
        """Return path and place of each of its fields.

        :raises UnreadableImageError: its metadata is not valid, or a path leads out of the store.
        """
        with self._lock:
            if self._images is None:
                attributes = self._read_group(self._store, self.path)
                found = [] if attributes is None else well_images(attributes, self.path)
                self._images = found or _listed_fields(self._store, self.path)
            return self._images

    def find(self, number: int) -> str | None:
        """Return the path of a field, or None where there are fewer."""
        images = self.images()
        return images[number][0] if number < len(images) else None


def well_images(attributes: dict[str, Any], path: str = '') -> list[tuple[str, dict[str, Any]]]:
    """Return path and place of each field that a well names.

    :param path: of the well's group.
    :raises UnreadableImageError: a field's path leads out of the store.
    """
    well = ome_attributes(attributes).get('well')
    images = well.get('images') if isinstance(well, dict) else None
    prefix = path + '/' if path else ''
    fields: list[tuple[str, dict[str, Any]]] = []
    for image in images[: DEFAULT.series] if isinstance(images, list) else []:
        if isinstance(image, dict):
            name = check_relative_path(image.get('path'), 'The path of a field')
            found: dict[str, Any] = {'Field': len(fields)}
            if isinstance(image.get('acquisition'), (int, str)):
                found['Acquisition'] = image['acquisition']
            fields.append((prefix + name, found))
    return fields


def well_fields(store: KeyStore, attributes: dict[str, Any], read_group: ReadGroup) -> list[Field]:
    """Return the fields of a well that is opened by itself.

    :raises UnreadableImageError: a path leads out of the store.
    """
    well = Well(store, '', read_group)
    return [
        Field(path, place, partial(well.find, number), (0, 0, number))
        for number, (path, place) in enumerate(well_images(attributes))
    ]


def plate_fields(store: KeyStore, parsed: Parsed, read_group: ReadGroup) -> list[Field]:
    """Return the fields of all wells of a plate, in the order of its wells.

    Where the plate tells the ``field_count``, only its first well is read; all others are taken to have so
    many fields until one of them is looked at. Otherwise each well's metadata is read.

    :raises UnreadableImageError: a path leads out of the store.
    """
    plate = parsed.plate or {}
    rows, columns = _names(plate.get('rows')), _names(plate.get('columns'))
    listed = plate.get('wells')
    wells: list[tuple[Well, dict[str, Any]]] = []
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, dict):
            path = check_relative_path(item.get('path'), 'The path of a well')
            row, _, column = path.partition('/')
            place = {
                'Row': _name(rows, item.get('rowIndex'), row),
                'Column': _name(columns, item.get('columnIndex'), column),
            }
            wells.append((Well(store, path, read_group), place))
    count = plate.get('field_count')
    like: list[tuple[str, dict[str, Any]]] = []
    if isinstance(count, int) and 0 < count <= DEFAULT.series:
        like = _template(wells, count)
    cells = _cells(wells, rows, columns)
    fields: list[Field] = []
    for (well, place), cell in zip(wells, cells, strict=True):
        images = [(f'{well.path}/{name}', found) for name, found in like] or well.images()
        for number, (path, found) in enumerate(images):
            fields.append(
                Field(path, {**place, **found}, partial(well.find, number), (*cell, number))
            )
        if len(fields) > DEFAULT.series:
            msg = f'A plate may have at most {DEFAULT.series} fields.'
            raise UnreadableImageError(msg)
    return fields


def _template(wells: Sequence[tuple[Well, dict[str, Any]]], count: int) -> list[tuple[str, dict[str, Any]]]:
    """Return name and place of the fields of each well, after the first well that has any."""
    for well, _ in wells[:WELLS_TRIED]:
        images = well.images()
        if images:
            found = [(path.removeprefix(well.path + '/'), place) for path, place in images]
            taken = {name for name, _ in found}
            spare = (str(number) for number in range(count + len(taken)) if str(number) not in taken)
            found += [(next(spare), {'Field': number}) for number in range(len(found), count)]
            return found
    return []


def _cells(
    wells: Sequence[tuple[Well, dict[str, Any]]], rows: list[str], columns: list[str]
) -> list[tuple[int, int]]:
    """Return where each well lies among those that there are."""
    found = []
    for key, names in (('Row', rows), ('Column', columns)):
        used = {place[key] for _, place in wells}
        order = [name for name in dict.fromkeys(names) if name in used]
        order += sorted(used.difference(order), key=lambda name: (len(name), name))
        places = {name: number for number, name in enumerate(order)}
        found.append([places[place[key]] for _, place in wells])
    return list(zip(*found, strict=True))


def _listed_fields(store: KeyStore, path: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the groups in a well that lacks its metadata."""
    names = [name.rstrip('/') for name in store.names(path) if name.endswith('/')]
    names.sort(key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))
    prefix = path + '/' if path else ''
    return [(prefix + name, {'Field': number}) for number, name in enumerate(names)]


def _names(value: object) -> list[str]:
    items = value if isinstance(value, list) else []
    return [str(item.get('name')) if isinstance(item, dict) else '' for item in items]


def _name(names: Sequence[str], index: object, fallback: str) -> str:
    if isinstance(index, int) and 0 <= index < len(names) and names[index]:
        return names[index]
    return fallback


def field_series(store: KeyStore, first: Series, path: str, fields: Sequence[Field]) -> Iterator[Series]:
    """Return one series a field, all with the metadata of the field that has been read.

    :param first: that field, and ``path`` its group.
    """
    names = [level.path for level in first.multiscale.levels]
    alike = Alike(store, names, first.levels, threading.Lock())
    for field in fields:
        levels: Sequence[LevelReader] = first.levels
        if field.path != path:
            levels = LaterLevels(alike, field.find)
        yield Series(first.multiscale, levels, field.path, first.attributes, field.place)


@dataclass(frozen=True)
class Alike:
    """What the fields of a plate share: names of their arrays, and what these are taken to be like."""

    store: KeyStore
    names: Sequence[str]
    like: Sequence[LevelReader]
    lock: threading.Lock


class LaterLevels(Sequence[LevelReader]):
    """The levels of a field that has not been looked at: each is made when it is asked for.

    There are thousands of these, so that they hold as little as can be.

    :param find: returns the path of the field's group, or None where there is none.
    """

    __slots__ = ('_alike', '_find', '_made')

    def __init__(self, alike: Alike, find: Callable[[], str | None]) -> None:
        self._alike = alike
        self._find = find
        self._made: dict[int, LaterLevel] | None = None

    def __len__(self) -> int:
        return len(self._alike.names)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if self._made is None:
            self._made = {}
        number = index + len(self) if index < 0 else index
        found = self._made.get(number)
        if found is None:
            alike = self._alike
            found = self._made[number] = LaterLevel(
                alike.store, self._find, alike.names[number], alike.like[number], alike.lock
            )
        return found


class LaterLevel:
    """An array that is opened when it is first read; until then it is taken to be like one beside it.

    Where it is missing or smaller, zeros are read.

    :param find: returns the path of its group, or None where there is none; ``name`` is its own.
    :param like: the reader whose shape, type and chunks it is taken to have.
    :param lock: held while an array is opened; one for all fields.
    """

    __slots__ = (
        '_find', '_level', '_lock', '_name', '_opened', '_store', 'chunks', 'dtype', 'shape',
    )  # fmt: skip

    def __init__(
        self,
        store: KeyStore,
        find: Callable[[], str | None],
        name: str,
        like: LevelReader,
        lock: threading.Lock,
    ) -> None:
        self.shape, self.dtype, self.chunks = like.shape, like.dtype, like.chunks
        self._store = store
        self._find = find
        self._name = name
        self._lock = lock
        self._opened = False
        self._level: StoredLevel | None = None

    def _open(self) -> StoredLevel | None:
        if not self._opened:
            with self._lock:
                if not self._opened:
                    group = self._find()
                    path = f'{group}/{self._name}'
                    info = None if group is None else read_array(self._store, path)
                    if info is not None and len(info.shape) != len(self.shape):
                        axes = len(info.shape), len(self.shape)
                        msg = f'The array {path!r} has {axes[0]} axes; {axes[1]} were expected.'
                        raise UnreadableImageError(msg)
                    self._level = None if info is None else StoredLevel(self._store, info)
                    self._opened = True
        return self._level

    def read(self, region: tuple[slice, ...]) -> np.ndarray:
        """Return the pixels of a region; see :class:`.series.LevelReader`."""
        level = self._open()
        shape = tuple(part.stop - part.start for part in region)
        if level is None:
            return np.broadcast_to(np.zeros((), self.dtype), shape)
        if level.shape == self.shape and level.dtype == self.dtype:
            return level.read(region)
        stops = [min(part.stop, side) for part, side in zip(region, level.shape, strict=True)]
        inside = tuple(slice(part.start, stop) for part, stop in zip(region, stops, strict=True))
        out = np.zeros(shape, self.dtype)
        if all(part.stop > part.start for part in inside):
            target = tuple(slice(0, part.stop - part.start) for part in inside)
            out[target] = level.read(inside).astype(self.dtype, casting='unsafe', copy=False)
        return out
