"""Plates and wells: every field is a series, opened when it is first read.

Specification: https://ngff.openmicroscopy.org/0.4/#plate-md and #well-md; rows and columns are also found
where ``rowIndex`` and ``columnIndex`` (new in 0.4) are missing.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.errors import UnreadableImageError

from .arrays import read_array
from .chunks import StoredLevel
from .limits import DEFAULT, check_relative_path
from .series import LevelReader, Series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .keystore import KeyStore
    from .ngff.parse import Parsed

#: A field: the path of its group and what is shown of its place.
Field = tuple[str, dict[str, Any]]


def well_fields(parsed: Parsed, path: str = '', place: dict[str, Any] | None = None) -> list[Field]:
    """Return the fields of a well.

    :param path: of the well's group.
    :param place: what is known of the well.
    :raises UnreadableImageError: an image's path leads out of the store.
    """
    images = (parsed.well or {}).get('images')
    prefix = path + '/' if path else ''
    fields = []
    for number, image in enumerate(images if isinstance(images, list) else []):
        if isinstance(image, dict):
            name = check_relative_path(image.get('path'), 'The path of a field')
            found = {**(place or {}), 'Field': number}
            if isinstance(image.get('acquisition'), (int, str)):
                found['Acquisition'] = image['acquisition']
            fields.append((prefix + name, found))
    return fields[: DEFAULT.series]


def plate_fields(
    store: KeyStore, parsed: Parsed, read_group: Callable[[KeyStore, str], dict[str, Any] | None]
) -> list[Field]:
    """Return the fields of all wells of a plate, in the order of its wells.

    :raises UnreadableImageError: a path leads out of the store.
    """
    from .ngff.parse import parse_attributes

    plate = parsed.plate or {}
    rows, columns = _names(plate.get('rows')), _names(plate.get('columns'))
    fields: list[Field] = []
    wells = plate.get('wells')
    for well in wells if isinstance(wells, list) else []:
        if not isinstance(well, dict):
            continue
        path = check_relative_path(well.get('path'), 'The path of a well')
        row, _, column = path.partition('/')
        place = {
            'Row': _name(rows, well.get('rowIndex'), row),
            'Column': _name(columns, well.get('columnIndex'), column),
        }
        attributes = read_group(store, path)
        if attributes is not None:
            found = well_fields(parse_attributes(attributes), path, place)
            fields.extend(found or _listed_fields(store, path, place))
        if len(fields) > DEFAULT.series:
            msg = f'A plate may have at most {DEFAULT.series} fields.'
            raise UnreadableImageError(msg)
    return fields


def _listed_fields(store: KeyStore, path: str, place: dict[str, Any]) -> list[Field]:
    """Return the groups in a well that lacks its metadata."""
    names = [name.rstrip('/') for name in store.names(path) if name.endswith('/')]
    names.sort(key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))
    return [(f'{path}/{name}', {**place, 'Field': number}) for number, name in enumerate(names)]


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
    lock = threading.Lock()
    likes = [
        (level.path, reader) for level, reader in zip(first.multiscale.levels, first.levels, strict=True)
    ]
    for field, place in fields:
        levels: Sequence[LevelReader] = first.levels
        if field != path:
            levels = [LaterLevel(store, f'{field}/{name}', reader, lock) for name, reader in likes]
        yield Series(first.multiscale, levels, field, first.attributes, place)


class LaterLevel:
    """An array that is opened when it is first read; until then it is taken to be like one beside it.

    Where it is missing or smaller, zeros are read.

    :param path: of the array.
    :param like: the reader whose shape, type and chunks it is taken to have.
    :param lock: held while an array is opened; one for all fields.
    """

    def __init__(self, store: KeyStore, path: str, like: LevelReader, lock: threading.Lock) -> None:
        self.shape, self.dtype, self.chunks = like.shape, like.dtype, like.chunks
        self._store = store
        self._path = path
        self._lock = lock
        self._opened = False
        self._level: StoredLevel | None = None

    def _open(self) -> StoredLevel | None:
        if not self._opened:
            with self._lock:
                if not self._opened:
                    info = read_array(self._store, self._path)
                    if info is not None and len(info.shape) != len(self.shape):
                        axes = len(info.shape), len(self.shape)
                        msg = f'The array {self._path!r} has {axes[0]} axes; {axes[1]} were expected.'
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
