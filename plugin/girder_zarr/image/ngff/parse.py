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

from .metadata import DEFAULT_AXIS_TYPES, Axis, AxisType, Channel, Level, Multiscale, Window
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
    attributes: dict[str, Any], axes_of: Callable[[str], int | None] = lambda _: None
) -> Parsed:
    """Parse the attributes of a group.

    :param attributes: of the group, as stored.
    :param axes_of: takes the path of an array in the group and returns how many axes it has, or None; asked
        where the metadata names no axes (0.1 and 0.2).
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
            _multiscale(item, content, version, axes_of, notes) for item in multiscales[: DEFAULT.series]
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
    notes: _Notes,
) -> Multiscale:
    datasets = item.get('datasets')
    if not isinstance(datasets, list) or not datasets or len(datasets) > DEFAULT.levels:
        msg = f'A multiscale should have 1 to {DEFAULT.levels} datasets; found {str(datasets)[:100]}.'
        raise UnreadableImageError(msg)
    if not all(isinstance(dataset, dict) for dataset in datasets):
        msg = f'datasets should hold objects; found {str(datasets)[:200]}.'
        raise UnreadableImageError(msg)
    paths = [check_relative_path(dataset.get('path'), 'The path of a dataset') for dataset in datasets]
    axes = _axes(item, datasets[0], lambda: axes_of(paths[0]), notes)
    outer = Transform.none(len(axes))
    if not isinstance(item.get('coordinateSystems'), list):
        # from 0.6 on these lead from the intrinsic system to others, and its units count alone
        outer = read_transforms(item.get('coordinateTransformations'), _spaces(axes), notes.add)
    levels = tuple(
        _level(path, dataset.get('coordinateTransformations'), outer, axes, notes)
        for path, dataset in zip(paths, datasets, strict=True)
    )
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


def _axes(
    item: dict[str, Any], dataset: dict[str, Any], count: Callable[[], int | None], notes: _Notes
) -> tuple[Axis, ...]:
    raw = item.get('axes')
    if raw is None:
        raw = _system_axes(item, dataset)
    if raw is None:
        length = count()
        length = 5 if length is None or length > len(IMPLICIT_AXES) else length
        raw = list(IMPLICIT_AXES[-length:])
    if not isinstance(raw, list) or not 1 <= len(raw) <= DEFAULT.axes:
        msg = f'axes should be a list of 2 to {DEFAULT.axes} axes; found {str(raw)[:200]}.'
        raise UnreadableImageError(msg)
    axes = tuple(_axis(axis) for axis in raw)
    if len({axis.name for axis in axes}) != len(axes):
        msg = f'The names of axes have to differ; found {", ".join(axis.name for axis in axes)}.'
        raise UnreadableImageError(msg)
    if any(axis.type == 'space' and axis.name in 'xy' and not axis.unit for axis in axes):
        notes.add('The axes x and y have no unit, so the size of a pixel is not known.')
    return axes


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


def _axis(axis: object) -> Axis:
    name = axis.get('name') if isinstance(axis, dict) else axis
    if not isinstance(name, str) or not name or len(name) > 100:
        msg = f'An axis should have a name; found {str(axis)[:200]}.'
        raise UnreadableImageError(msg)
    lower = name.lower()
    name = lower if lower in DEFAULT_AXIS_TYPES else name
    stored = axis.get('type') if isinstance(axis, dict) else None
    kind: AxisType = DEFAULT_AXIS_TYPES.get(name, 'custom')
    if stored in ('space', 'time', 'channel'):
        kind = stored
    if not isinstance(axis, dict):
        return Axis(name, kind)
    unit, values = axis.get('unit'), axis.get('values')
    return Axis(
        name,
        kind,
        unit if isinstance(unit, str) and unit else None,
        tuple(values) if isinstance(values, list) else None,
    )


def _level(path: str, transforms: object, outer: Transform, axes: Sequence[Axis], notes: _Notes) -> Level:
    if transforms is None:
        notes.add('Some levels have no coordinateTransformations, so where their pixels lie is not known.')
    found = read_transforms(transforms, _spaces(axes), notes.add).then(outer)
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
