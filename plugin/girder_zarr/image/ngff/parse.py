"""OME-NGFF attributes of any version (0.1 to 0.6, development versions included) to the one model.

Specifications: https://ngff.openmicroscopy.org, and RFC-5 for the coordinate systems of 0.6. What is merely
wrong or missing is noted in ``problems`` and read as well as can be; what cannot be read is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.limits import DEFAULT, check_relative_path

from .axis_types import completed, read_axes
from .metadata import Axis, Channel, Level, Multiscale, Window
from .transforms import Transform, read_transforms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

IMPLICIT_AXES = 'tczyx'


@dataclass(frozen=True)
class Parsed:
    """The OME metadata of one group.

    :param multiscales: the images; usually one.
    :param version: as stored, or None.
    :param series: ``OME/series`` of a bioformats2raw collection, or None.
    :param layout: ``bioformats2raw.layout``, or None.
    :param plate: the raw ``plate`` object, or None; ``well`` likewise.
    :param labels: the names in a ``labels`` group.
    :param problems: sentences on what is wrong or missing.
    """

    multiscales: tuple[Multiscale, ...] = ()
    version: str | None = None
    series: tuple[str, ...] | None = None
    layout: int | None = None
    plate: dict[str, Any] | None = None
    well: dict[str, Any] | None = None
    labels: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass
class _Notes:
    """Problems found on the way."""

    found: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        if text not in self.found and len(self.found) < 100:
            self.found.append(text)


def ome_attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes with what lies under ``ome`` (0.5 and later) at the top."""
    inner = attributes.get('ome')
    return {**attributes, **inner} if isinstance(inner, dict) else attributes


def parse_attributes(
    attributes: dict[str, Any],
    axes_of: Callable[[str], int | None] = lambda _: None,
    names_of: Callable[[str], Sequence[str | None] | None] = lambda _: None,
) -> Parsed:
    """Parse the attributes of a group.

    :param attributes: of the group, as stored.
    :param axes_of: takes the path of an array in the group and returns how many axes it has, or None.
    :param names_of: takes such a path and returns its dimension names, or None; asked where the metadata
        names fewer axes than the array has.
    :raises UnreadableImageError: there is an image, but it cannot be read.
    """
    notes = _Notes()
    content = ome_attributes(attributes)
    version = _version(content)
    multiscales = content.get('multiscales')
    found: list[Multiscale] = []
    if multiscales is not None:
        if not isinstance(multiscales, list) or not all(isinstance(item, dict) for item in multiscales):
            msg = f'multiscales should be a list of objects; found {str(multiscales)[:200]}.'
            raise UnreadableImageError(msg)
        found = [
            _multiscale(item, content, version, axes_of, names_of, notes)
            for item in multiscales[: DEFAULT.series]
        ]
        if version is None:
            notes.add('The metadata does not say which version of OME-NGFF it follows.')
        if 'omero' not in content:
            notes.add('There is no omero metadata, so channels have no names, colors or windows.')
    series = content.get('series')
    layout = content.get('bioformats2raw.layout')
    labels = content.get('labels')
    return Parsed(
        multiscales=tuple(found),
        version=version,
        series=_paths(series, 'An entry of OME/series') if isinstance(series, list) else None,
        layout=layout if isinstance(layout, int) else None,
        plate=_object(content.get('plate')),
        well=_object(content.get('well')),
        labels=_paths(labels, 'An entry of labels') if isinstance(labels, list) else (),
        problems=tuple(notes.found),
    )


def _object(value: object) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def _paths(values: list[Any], what: str) -> tuple[str, ...]:
    return tuple(check_relative_path(value, what) for value in values[: DEFAULT.series])


def _version(content: dict[str, Any]) -> str | None:
    candidates = [content.get('version')]
    for key in ('multiscales', 'plate', 'well', 'image-label'):
        value = content.get(key)
        value = value[0] if isinstance(value, list) and value else value
        candidates.append(value.get('version') if isinstance(value, dict) else None)
    return next((str(value)[:50] for value in candidates if isinstance(value, (str, float))), None)


def _multiscale(
    item: dict[str, Any],
    content: dict[str, Any],
    version: str | None,
    axes_of: Callable[[str], int | None],
    names_of: Callable[[str], Sequence[str | None] | None],
    notes: _Notes,
) -> Multiscale:
    datasets = item.get('datasets') or []
    if not isinstance(datasets, list) or len(datasets) > DEFAULT.levels:
        msg = f'A multiscale should have 1 to {DEFAULT.levels} datasets; found {str(datasets)[:100]}.'
        raise UnreadableImageError(msg)
    if not all(isinstance(dataset, dict) for dataset in datasets):
        msg = f'datasets should hold objects; found {str(datasets)[:200]}.'
        raise UnreadableImageError(msg)
    paths = [_dataset_path(dataset.get('path')) for dataset in datasets]
    axes, declared, places = _axes(
        item,
        datasets[0] if datasets else {},
        lambda: axes_of(paths[0]) if paths else None,
        notes,
        lambda: names_of(paths[0]) if paths else None,
    )
    outer = Transform.none(len(declared))
    if not isinstance(item.get('coordinateSystems'), list):
        # from 0.6 on these lead from the intrinsic system to others, and its units count alone
        outer = read_transforms(item.get('coordinateTransformations'), _spaces(declared), notes.add)
    levels = tuple(
        _level(path, dataset.get('coordinateTransformations'), outer, declared, notes)
        for path, dataset in zip(paths, datasets, strict=True)
    )
    if len(declared) < len(axes):
        levels = tuple(level.spread(places, len(axes)) for level in levels)
    metadata = _object(item.get('metadata')) or {}
    omero = content.get('omero', metadata.get('omero'))
    description = metadata.get('description')
    extra = content.get('girder_zarr')
    extra = extra if isinstance(extra, dict) else {}
    if isinstance(description, dict):
        # large-image-source-zarr keeps both there
        extra = {key: description[key] for key in ('additionalMetadata',) if key in description} | extra
        description = description.get('description')
        if description is not None and not isinstance(description, str):
            extra = {'description': description} | extra
    name = item.get('name')
    return Multiscale(
        axes=axes,
        levels=levels,
        name=str(name) if name else None,
        channels=parse_channels(omero, notes),
        version=version,
        description=str(description) if description else None,
        extra=extra,
    )


def _dataset_path(path: object) -> str:
    """Return the path of a dataset; one that begins with a slash counts from the image as well."""
    return check_relative_path(path.strip('/') if isinstance(path, str) else path, 'The path of a dataset')


def _axes(
    item: dict[str, Any],
    dataset: dict[str, Any],
    count: Callable[[], int | None],
    notes: _Notes,
    names: Callable[[], Sequence[str | None] | None],
) -> tuple[tuple[Axis, ...], tuple[Axis, ...], list[int]]:
    """Return the axes, those of them that the metadata declares, and where these are."""
    raw = item.get('axes') or None
    if raw is None:
        raw = _system_axes(item, dataset)
    if raw is None:
        length = count()
        length = 5 if length is None or length > len(IMPLICIT_AXES) else length
        raw = list(IMPLICIT_AXES[-length:])
    if not isinstance(raw, list) or not 1 <= len(raw) <= DEFAULT.axes:
        msg = f'axes should be a list of 2 to {DEFAULT.axes} axes; found {str(raw)[:200]}.'
        raise UnreadableImageError(msg)
    declared, length = raw, count()
    places = list(range(len(raw)))
    if length is not None and len(raw) < length <= DEFAULT.axes:
        raw, places = completed(declared, names(), length)
        notes.add(
            f'The metadata declares {len(declared)} axes, and the arrays have {length}; the others are taken '
            "from the arrays' dimension names, or come first."
        )
    axes = read_axes(raw)
    if len({axis.name for axis in axes}) != len(axes):
        msg = f'The names of axes have to differ; found {", ".join(axis.name for axis in axes)}.'
        raise UnreadableImageError(msg)
    if any(axis.type == 'space' and axis.name in 'xy' and not axis.unit for axis in axes):
        notes.add('The axes x and y have no unit, so the size of a pixel is not known.')
    return axes, tuple(axes[place] for place in places), places


def _system_axes(item: dict[str, Any], dataset: dict[str, Any]) -> list[Any] | None:
    """Return the axes of the coordinate system that a dataset maps to (0.6), or None."""
    systems = item.get('coordinateSystems')
    if not isinstance(systems, list):
        return None
    by_name = {
        system.get('name'): system.get('axes')
        for system in systems
        if isinstance(system, dict) and isinstance(system.get('name'), str)
    }
    transforms = dataset.get('coordinateTransformations')
    for transform in transforms if isinstance(transforms, list) else []:
        output = transform.get('output') if isinstance(transform, dict) else None
        output = output.get('name') if isinstance(output, dict) else output
        if isinstance(output, str) and isinstance(by_name.get(output), list):
            return by_name[output]
    return next((axes for axes in by_name.values() if isinstance(axes, list)), None)


def _level(path: str, transforms: object, outer: Transform, axes: Sequence[Axis], notes: _Notes) -> Level:
    if transforms is None:
        notes.add('Some levels have no coordinateTransformations, so where their pixels lie is not known.')
    found = read_transforms(transforms, _spaces(axes), notes.add).then(outer).valid()
    return Level(path, found.scale, found.translation, () if all(found.given) else found.given)


def _spaces(axes: Sequence[Axis]) -> list[bool]:
    return [axis.type == 'space' for axis in axes]


def parse_channels(omero: object, notes: _Notes | None = None) -> tuple[Channel, ...] | None:
    """Return the channels of an omero object, or None where it has none."""
    channels = omero.get('channels') if isinstance(omero, dict) else None
    if not isinstance(channels, list) or not channels:
        return None
    if notes is not None and any(_window(_object(item) or {}) is None for item in channels):
        notes.add('Some omero channels have no complete window.')
    return tuple(_channel(_object(item) or {}) for item in channels[: DEFAULT.series])


def _channel(item: dict[str, Any]) -> Channel:
    label, color = item.get('label', item.get('name')), item.get('color')
    match = re.fullmatch(r'#?([0-9a-fA-F]{6})([0-9a-fA-F]{2})?', color) if isinstance(color, str) else None
    return Channel(
        label=None if label is None or label == '' else str(label)[:1000],
        color=match[1].upper() if match else None,
        window=_window(item),
        active=item.get('active') is not False,
    )


def _window(item: dict[str, Any]) -> Window | None:
    window = item.get('window')
    if not isinstance(window, dict):
        return None
    start, end = (_number(window.get(key)) for key in ('start', 'end'))
    low, high = (_number(window.get(key)) for key in ('min', 'max'))
    start, end = (low if start is None else start), (high if end is None else end)
    if start is None or end is None:
        return None
    return Window(start if low is None else low, end if high is None else high, start, end)


def _number(value: object) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300:
        return float(value)
    return None
