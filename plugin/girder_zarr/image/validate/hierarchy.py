"""A whole hierarchy: images, labels, plates, wells and collections, each against the specification.

Source: https://ngff.openmicroscopy.org, versions 0.1 to 0.6; the official schemas by `image.ngff.schemas`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.hierarchy.groups import read_group
from girder_zarr.image.limits import DEFAULT, check_relative_path, load_json
from girder_zarr.image.ngff.parse import Parsed, ome_attributes, parse_attributes
from girder_zarr.image.ngff.schemas import check_schemas, schema_version
from girder_zarr.image.store.stores import open_store
from girder_zarr.image.store.zarr_names import METADATA_KEYS, ROOT_KEYS

from .findings import Bounds, Findings
from .levels import check_levels, check_scales, check_transforms, number_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.image.chunk.arrays import ArrayInfo
    from girder_zarr.image.ngff.metadata import Multiscale
    from girder_zarr.image.store.keystore import KeyStore

#: What makes a group one of OME-Zarr.
KINDS = ('multiscales', 'plate', 'well', 'image-label', 'labels', 'bioformats2raw.layout', 'series', 'scene')
#: The order of axes by type in 0.4 and 0.5: time, then channel or custom, then space.
_ORDER = {'time': 0, 'channel': 1, 'custom': 1, 'space': 2}
#: Groups below which images lie in each other: a collection, a plate, a well, an image, its labels.
MAX_DEPTH = 8


def validate(location: Any, bounds: Bounds | None = None) -> Findings:
    """Return what is wrong with what lies at a path or an address.

    :param location: a hierarchy as `open_store` takes it, or the path of a JSON file of attributes.
    :raises MissingImageError: there is nothing. :raises UnreadableImageError: it is neither.
    """
    document = _document(location)
    if document is not None:
        return validate_attributes(document, bounds)
    return validate_store(open_store(location, follow_links=True), bounds)


def _document(location: Any) -> dict[str, Any] | None:
    """Return the attributes in a JSON file, or None: it is something else."""
    if not isinstance(location, (str, os.PathLike)) or '://' in os.fspath(location):
        return None
    path = Path(location)
    if path.suffix != '.json' or path.name in ROOT_KEYS or not path.is_file():
        return None
    with path.open('rb') as stream:
        return load_json(stream.read(DEFAULT.json_bytes + 1), path.name)


def is_document_alone(location: Any) -> bool:
    """Return whether a folder holds nothing but metadata of its root, as cases of the official suite do."""
    path = Path(location)
    return path.is_dir() and {one.name for one in path.iterdir()} <= set(METADATA_KEYS)


def validate_alone(location: Any, bounds: Bounds | None = None) -> Findings:
    """Return what is wrong with the metadata of the root of a hierarchy; nothing below it is looked at.

    :raises UnreadableImageError: it has none that can be read.
    """
    attributes = read_group(open_store(location, follow_links=True), '')
    if attributes is None:
        raise UnreadableImageError(f'{location} is no zarr group.')
    return validate_attributes(attributes, bounds)


def validate_attributes(attributes: dict[str, Any], bounds: Bounds | None = None) -> Findings:
    """Return what is wrong with the attributes of one group, of which nothing else is there."""
    report = Findings(bounds or Bounds())
    _Check(None, report).attributes('', attributes)
    return report


def validate_store(store: KeyStore, bounds: Bounds | None = None) -> Findings:
    """Return what is wrong with a hierarchy."""
    report = Findings(bounds or Bounds())
    check = _Check(store, report)
    attributes = check.read('')
    if attributes is None:
        if not report.errors:
            report.error('', 'there is no zarr group.')
        return report
    check.group('', attributes)
    return report


class _Check:
    """One validation.

    :param store: None where only attributes are at hand.
    """

    def __init__(self, store: KeyStore | None, report: Findings) -> None:
        self._store, self._report = store, report

    def read(self, path: str) -> dict[str, Any] | None:
        """Return the attributes of a group; None, perhaps with an error noted, where there is none."""
        assert self._store is not None
        try:
            return read_group(self._store, path)
        except UnreadableImageError as error:
            self._report.error(path, str(error))
            return None

    def group(self, path: str, attributes: dict[str, Any], depth: int = 0) -> None:
        """Check a group and what its metadata names below it."""
        report = self._report
        if report.groups >= report.bounds.groups or depth > MAX_DEPTH:
            report.hint('', f'only {report.groups} groups were looked at.')
            return
        report.groups += 1
        parsed = self.attributes(path, attributes)
        if parsed is None or self._store is None:
            return
        content = ome_attributes(attributes)
        for multiscale in parsed.multiscales:
            self._image(path, multiscale, is_label='image-label' in content)
        if 'plate' in content:
            self._plate(path, parsed, depth)
        if 'well' in content:
            self._well(path, parsed, depth)
        if parsed.multiscales:
            self._labels(path, depth)
        if 'bioformats2raw.layout' in content or 'series' in content:
            self._collection(path, parsed, depth)

    def _image(self, path: str, multiscale: Multiscale, *, is_label: bool) -> None:
        assert self._store is not None
        infos = check_levels(self._store, path, multiscale, self._report)
        check_scales(path, multiscale, infos, self._report)
        _check_channels(path, multiscale, infos, self._report)
        for info in infos:
            if is_label and info.dtype.kind not in 'iu':
                self._report.error(info.path, f'is {info.dtype}; labels are integers.')

    def attributes(self, path: str, attributes: dict[str, Any]) -> Parsed | None:
        """Check the attributes of a group by themselves."""
        report = self._report
        content = ome_attributes(attributes)
        if not any(key in content for key in KINDS):
            report.error(path, 'there is no OME-Zarr metadata.')
            return None
        try:
            parsed = parse_attributes(attributes)
        except UnreadableImageError as error:
            report.error(path, str(error))
            parsed = None
        version = parsed.version if parsed is not None else _version(content)
        for value in _versions(content):
            if not isinstance(value, str) or re.match(r'0\.\d', value) is None:
                report.error(path, f'expected a version of OME-NGFF such as "0.5"; found {value!r:.50}.')
        self._schemas(path, attributes, version)
        if version is None:
            # Below "ome" there has to be one; before 0.5 it was only advised.
            note = report.error if 'ome' in attributes else report.hint
            note(path, 'names no version of OME-NGFF.')
        if parsed is None:
            return None
        for problem in parsed.problems:
            report.hint(path, problem)
        for number, multiscale in enumerate(parsed.multiscales):
            _check_axes(path, multiscale, report)
            raw = content['multiscales'][number]
            check_transforms(path, raw, len(multiscale.axes), report)
        return parsed

    def _schemas(self, path: str, attributes: dict[str, Any], version: str | None) -> None:
        found, sentence = check_schemas(attributes, schema_version(attributes, version))
        for problem in found:
            self._report.error(path, problem)
        if sentence.startswith('Not checked') and version is not None:
            self._report.hint(path, sentence)

    def _below(self, path: str, name: object, kind: str, what: str, depth: int) -> dict[str, Any] | None:
        """Check a group that another one names; return its attributes.

        :param kind: the key that makes it what it should be.
        """
        try:
            where = '/'.join(part for part in (path, check_relative_path(name, what)) if part)
        except UnreadableImageError as error:
            self._report.error(path, str(error))
            return None
        before = len(self._report.errors)
        found = self.read(where)
        if found is None:
            if len(self._report.errors) == before:
                self._report.error(where, f'is missing; {path or "the root"} names it as {what}.')
            return None
        content = ome_attributes(found)
        if kind not in content:
            self._report.error(where, f'is not {what}: there is no {kind} in its metadata.')
            return None
        self.group(where, found, depth + 1)
        return content

    def _labels(self, path: str, depth: int) -> None:
        where = f'{path}/labels'.strip('/')
        found = self.read(where)
        names = None if found is None else ome_attributes(found).get('labels')
        for name in names if isinstance(names, list) else ():
            content = self._below(where, name, 'multiscales', 'a label', depth)
            if content is not None and 'image-label' not in content:
                self._report.hint(f'{where}/{name}', 'is a label without image-label in its metadata.')
        if found is not None and not isinstance(names, list):
            self._report.hint(where, 'does not list the labels in it.')

    def _plate(self, path: str, parsed: Parsed, depth: int) -> None:
        plate = parsed.plate or {}
        rows, columns = _names(plate.get('rows')), _names(plate.get('columns'))
        acquisitions = plate.get('acquisitions')
        known = {
            one.get('id') for one in acquisitions or () if isinstance(one, dict) and _plain(one.get('id'))
        }
        for names, what in ((rows, 'rows'), (columns, 'columns')):
            if len(set(names)) != len(names):
                self._report.error(path, f'two {what} of the plate have one name.')
        wells = plate.get('wells')
        for well in wells if isinstance(wells, list) else ():
            if not isinstance(well, dict):
                continue
            _check_place(path, well, rows, columns, self._report)
            content = self._below(path, well.get('path'), 'well', 'a well', depth)
            fields = content['well'].get('images') if content and isinstance(content['well'], dict) else None
            for field in fields if isinstance(fields, list) else ():
                used = field.get('acquisition') if isinstance(field, dict) else None
                if used is not None and known and _plain(used) and used not in known:
                    where = f'{path}/{well.get("path")}'.strip('/')
                    self._report.error(where, f'names the acquisition {used}, which the plate has not.')

    def _well(self, path: str, parsed: Parsed, depth: int) -> None:
        images = (parsed.well or {}).get('images')
        for image in images if isinstance(images, list) else ():
            if isinstance(image, dict):
                self._below(path, image.get('path'), 'multiscales', 'a field', depth)

    def _collection(self, path: str, parsed: Parsed, depth: int) -> None:
        series = parsed.series
        if series is None and parsed.layout is not None:
            found = self.read(f'{path}/OME'.strip('/'))
            listed = ome_attributes(found).get('series') if found else None
            series = tuple(listed) if isinstance(listed, list) else None
            if series is None and parsed.plate is None:
                self._report.hint(path, 'OME names no series; images are looked for at 0, 1 and so on.')
                series = self._numbered(path)
                if not series:
                    self._report.error(path, 'says that it is a collection, and holds no image at 0.')
        for name in series or ():
            self._below(path, name, 'multiscales', 'an image of the collection', depth)

    def _numbered(self, path: str) -> tuple[str, ...]:
        found: list[str] = []
        while len(found) < self._report.bounds.groups and self.read(f'{path}/{len(found)}'.strip('/')):
            found.append(str(len(found)))
        return tuple(found)


def _versions(content: dict[str, Any]) -> list[Any]:
    """Return the versions that attributes name, whatever they are: at their top, and in what may have one."""
    found = [content]
    for key in ('multiscales', 'plate', 'well', 'image-label'):
        value = content.get(key)
        found += [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]
    return [one['version'] for one in found if 'version' in one]


def _version(content: dict[str, Any]) -> str | None:
    version = content.get('version')
    return version if isinstance(version, str) else None


def _names(entries: object) -> list[str]:
    return (
        [str(one.get('name')) for one in entries or () if isinstance(one, dict)]
        if isinstance(entries, list)
        else []
    )


def _plain(value: object) -> bool:
    return isinstance(value, (str, int, float))


def _check_place(
    path: str, well: dict[str, Any], rows: Sequence[str], columns: Sequence[str], report: Findings
) -> None:
    """Check that the indices of a well are those of the names in its path (0.4 and later)."""
    row, column, name = well.get('rowIndex'), well.get('columnIndex'), well.get('path')
    if not isinstance(row, int) or not isinstance(column, int) or not isinstance(name, str):
        return
    said = f'the well {name[:80]!r} is said to lie at row {row}, column {column}'
    if not (0 <= row < len(rows) and 0 <= column < len(columns)):
        report.error(path, f'{said}, outside of the plate.')
    elif name != f'{rows[row]}/{columns[column]}':
        report.error(path, f'{said}, which is {rows[row]}/{columns[column]}.')


def _check_axes(path: str, multiscale: Multiscale, report: Findings) -> None:
    version = number_of(multiscale.version)
    if version is None or not (0, 4) <= version < (0, 6):
        return
    order = [_ORDER[axis.type] for axis in multiscale.axes]
    shown = ', '.join(f'{axis.name} ({axis.type})' for axis in multiscale.axes)
    if order != sorted(order):
        report.error(path, f'axes are ordered time, channel, space; found {shown}.')
    if not 2 <= order.count(2) <= 3:
        report.error(path, f'expected two or three axes of space; found {shown}.')
    if len([axis for axis in multiscale.axes if axis.type == 'time']) > 1:
        report.error(path, f'expected at most one axis of time; found {shown}.')


def _check_channels(path: str, multiscale: Multiscale, infos: Sequence[ArrayInfo], report: Findings) -> None:
    at = next((at for at, axis in enumerate(multiscale.axes) if axis.type == 'channel'), None)
    if multiscale.channels is None or not infos or len(infos[0].shape) != len(multiscale.axes):
        return
    count = 1 if at is None else infos[0].shape[at]
    if len(multiscale.channels) != count:
        report.hint(path, f'omero names {len(multiscale.channels)} channels; the image has {count}.')
