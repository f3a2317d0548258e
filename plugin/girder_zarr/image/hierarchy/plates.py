"""Plates and wells: which fields there are, and where on the plate.

Specification: https://ngff.openmicroscopy.org/0.4/#plate-md and #well-md; rows and columns are also found
where ``rowIndex`` and ``columnIndex`` (new in 0.4) are missing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.limits import DEFAULT, check_relative_path
from girder_zarr.image.ngff.parse import Parsed, ome_attributes
from girder_zarr.image.store.keystore import KeyStore
from girder_zarr.image.store.zarr_names import GROUP_KEYS

if TYPE_CHECKING:
    from .plate_fields import Find

ReadGroup = Callable[[KeyStore, str], dict[str, Any] | None]

#: How many wells are tried until one can be read: a plate that lost its first rows still opens, and one of
#: which nothing can be read fails after a few requests.
WELLS_TRIED = 20


class Field(NamedTuple):
    """One field of view.

    :param path: of its group; where the well has not been read, as if it were like the first one.
    :param place: its row, column, field ... as they are listed with its frames.
    :param find: returns the path by the well's own metadata, or None where the well has no such field.
    :param cell: row and column of the well, counted in wells from the upper left one, and the field's number.
    """

    path: str
    place: dict[str, Any]
    find: Find
    cell: tuple[int, int, int]


class Well:
    """A well, whose metadata is read when it is first needed.

    :param path: of its group.
    :param problems: takes the sentence that it has more fields than ``max_fields``; only so many become
        frames.
    """

    def __init__(
        self, store: KeyStore, path: str, read_group: ReadGroup, problems: list[str] | None = None
    ) -> None:
        self.path = path
        self.max_fields = DEFAULT.series
        self._problems = problems
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
                if len(self._images) > self.max_fields and self._problems is not None:
                    self._problems.append(
                        f'The well {self.path!r} has {len(self._images)} fields, more than the plate says; '
                        f'the first {self.max_fields} are frames, the others can be opened as series by path.'
                    )
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


def plate_fields(store: KeyStore, parsed: Parsed, read_group: ReadGroup, problems: list[str]) -> list[Field]:
    """Return the fields of all wells of a plate, in the order of its wells.

    The metadata of one well is read, and of those wells that hold other groups than it. Where looking for a
    key takes long, as over a network, that is not known: there the wells in the middle and at the end are
    read as well, and all others are taken to have as many fields as the ``field_count`` or the largest of
    those three says, until one of them is looked at. Without a ``field_count`` each well's metadata is read
    there.

    :param problems: takes the sentence that the ``field_count`` is wrong.
    :raises UnreadableImageError: a path leads out of the store.
    """
    plate = parsed.plate or {}
    rows, columns = axis_names(plate.get('rows')), axis_names(plate.get('columns'))
    wells = [(Well(store, path, read_group, problems), place) for path, place in listed_wells(plate)]
    count = plate.get('field_count')
    if not isinstance(count, int) or isinstance(count, bool) or not 0 < count <= DEFAULT.series:
        count = None
    images = _all_images(store, [well for well, _ in wells], count)
    cells = _cells(wells, rows, columns)
    fields: list[Field] = []
    for (well, place), cell, found in zip(wells, cells, images, strict=True):
        for number, (path, one) in enumerate(found):
            fields.append(Field(path, {**place, **one}, partial(well.find, number), (*cell, number)))
    most = max(map(len, images), default=0)
    if count is not None and (most > count or (most < count and store.has_fast_lookup)):
        problems.append(f'The field_count of the plate is {count}, but a well has up to {most} fields.')
    return fields


def listed_wells(plate: dict[str, Any]) -> list[tuple[str, dict[str, str]]]:
    """Return the path and the place (``Row`` and ``Column``, by name) of each well that a plate lists.

    :raises UnreadableImageError: they are too many, or a path leads out of the store.
    """
    rows, columns = axis_names(plate.get('rows')), axis_names(plate.get('columns'))
    listed = plate.get('wells')
    listed = listed if isinstance(listed, list) else []
    if len(listed) > DEFAULT.wells:
        msg = f'The plate has {len(listed)} wells; at most {DEFAULT.wells} are read.'
        raise UnreadableImageError(msg)
    wells = []
    for item in listed:
        if isinstance(item, dict):
            path = check_relative_path(item.get('path'), 'The path of a well')
            row, _, column = path.partition('/')
            place = {
                'Row': _name(rows, item.get('rowIndex'), row),
                'Column': _name(columns, item.get('columnIndex'), column),
            }
            wells.append((path, place))
    return wells


Images = list[tuple[str, dict[str, Any]]]


def _all_images(store: KeyStore, wells: Sequence[Well], count: int | None) -> list[Images]:
    """Return path and place of the fields of each well, with as few reads as can be."""
    first = next((well for well in wells[:WELLS_TRIED] if well.images()), None)
    if first is None or not (store.has_fast_lookup or count):
        return _bounded(well.images() for well in wells)
    like = [(path.removeprefix(first.path + '/'), place) for path, place in first.images()]
    if not store.has_fast_lookup:
        return _assumed(wells, like, count or 0)
    is_alike = _comparison(store, first, [name for name, _ in like])

    def fields() -> Iterator[Images]:
        for well in wells:
            alike = well is first or is_alike(well.path)
            yield [(f'{well.path}/{name}', place) for name, place in like] if alike else well.images()

    return _bounded(fields())


def _bounded(images: Iterable[Images]) -> list[Images]:
    """Return the fields of wells.

    :raises UnreadableImageError: they are more than are listed; those that follow are not looked at.
    """
    found, left = [], DEFAULT.series
    for one in images:
        left -= len(one)
        if left < 0:
            msg = f'A plate may have at most {DEFAULT.series} fields.'
            raise UnreadableImageError(msg)
        found.append(one)
    return found


def _comparison(store: KeyStore, first: Well, names: list[str]) -> Callable[[str], bool]:
    """Return a function of a well's path: whether its fields are named as those of the first well."""
    if names == [str(number) for number in range(len(names))]:
        # Looking for two keys is faster than listing a folder, above all in a large zip.
        last, after = f'{len(names) - 1}/', f'{len(names)}/'
        key = next((key for key in GROUP_KEYS if store.has(f'{first.path}/{last}{key}')), None)
        if key is not None:
            return lambda path: store.has(f'{path}/{last}{key}') and not store.has(f'{path}/{after}{key}')
    groups = [name for name in store.names(first.path) if name.endswith('/')]
    return lambda path: [name for name in store.names(path) if name.endswith('/')] == groups


def _assumed(wells: Sequence[Well], like: Images, count: int) -> list[Images]:
    """Return the fields of wells that are taken to be like the first one, as far as three of them show it."""
    known = {at: wells[at].images() for at in {len(wells) // 2, len(wells) - 1}}
    most = max(count, len(like), *(len(images) for images in known.values()))
    taken = {name for name, _ in like}
    spare = (str(number) for number in range(most + len(taken)) if str(number) not in taken)
    like = like + [(next(spare), {'Field': number}) for number in range(len(like), most)]
    for well in wells:
        well.max_fields = most
    return _bounded([(f'{well.path}/{name}', place) for name, place in like] for well in wells)


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


def axis_names(value: object) -> list[str]:
    """Return the names of the rows or of the columns that a plate lists."""
    items = value if isinstance(value, list) else []
    return [str(item.get('name')) if isinstance(item, dict) else '' for item in items]


def _name(names: Sequence[str], index: object, fallback: str) -> str:
    if isinstance(index, int) and 0 <= index < len(names) and names[index]:
        return names[index]
    return fallback
