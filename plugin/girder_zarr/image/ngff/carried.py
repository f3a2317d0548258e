"""What a file's metadata holds beyond the model of `metadata.py`, carried over when the image is edited."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Keys that NGFF puts at the top of the attributes up to 0.4 and under ``ome`` from 0.5 on.
_OF_NGFF = frozenset(
    {'bioformats2raw.layout', 'labels', 'image-label', 'plate', 'well', 'series', '_creator', 'table'}
)
#: What `emit.py` makes anew at each level of the metadata.
_OWN = frozenset({'ome', 'multiscales', 'omero', 'girder_zarr', 'version'})
_OWN_MULTISCALE = frozenset(
    {'version', 'name', 'axes', 'datasets', 'coordinateSystems', 'coordinateTransformations', 'type'}
)
_OWN_AXIS = frozenset({'name', 'unit', 'values'})
_OWN_DATASET = frozenset({'path', 'coordinateTransformations'})
_OWN_OMERO = frozenset({'channels'})
_OWN_CHANNEL = frozenset({'label', 'color'})
_OWN_WINDOW = frozenset({'min', 'max', 'start', 'end'})
_AXIS_TYPES = frozenset({'space', 'time', 'channel'})


@dataclass(frozen=True, slots=True)
class Carried:
    """Everything that is not understood, by where it stands.

    :param attributes: of the group, other programs' keys; ``ome``: those that NGFF defines, or under ``ome``.
    :param multiscale: keys of the entry of ``multiscales``, ``metadata`` as a whole among them.
    :param axes: keys of an axis by the name that it has here.
    :param datasets: keys of each dataset, the full resolution first.
    :param systems: of NGFF 0.6, the coordinate systems that the levels do not map to, and ``transforms``
        between systems; ``intrinsic`` is the name of the one that they map to.
    :param omero: keys of ``omero``, ``rdefs`` among them; ``channels``: of each channel.
    :param arrays: the attributes of each level's array.
    """

    attributes: dict[str, Any] = field(default_factory=dict)
    ome: dict[str, Any] = field(default_factory=dict)
    multiscale: dict[str, Any] = field(default_factory=dict)
    axes: dict[str, dict[str, Any]] = field(default_factory=dict)
    datasets: tuple[dict[str, Any], ...] = ()
    systems: tuple[dict[str, Any], ...] = ()
    transforms: tuple[Any, ...] = ()
    intrinsic: str | None = None
    omero: dict[str, Any] = field(default_factory=dict)
    channels: tuple[dict[str, Any], ...] = ()
    arrays: tuple[dict[str, Any], ...] = ()

    def axis(self, name: str) -> dict[str, Any]:
        """Return the keys of an axis."""
        return self.axes.get(name, {})

    def dataset(self, index: int) -> dict[str, Any]:
        """Return the keys of a dataset."""
        return self.datasets[index] if index < len(self.datasets) else {}

    def channel(self, index: int) -> dict[str, Any]:
        """Return the keys of a channel."""
        return self.channels[index] if index < len(self.channels) else {}

    def array(self, index: int, axes: int) -> dict[str, Any]:
        """Return the attributes of a level's array.

        :param axes: how many it has now; names for another number of them (xarray's) are left out.
        """
        found = self.arrays[index] if index < len(self.arrays) else {}
        names = found.get('_ARRAY_DIMENSIONS')
        if isinstance(names, list) and len(names) != axes:
            found = _without(found, {'_ARRAY_DIMENSIONS'})
        return found


def carried_of(
    attributes: Mapping[str, Any], names: Sequence[str], arrays: Sequence[dict[str, Any]] = ()
) -> Carried:
    """Return what of the attributes of an image's group is carried over.

    :param attributes: of the group, as stored in any version.
    :param names: of the axes as they are called here, in their order.
    :param arrays: the attributes of the arrays, the full resolution first.
    """
    inner = attributes.get('ome')
    content = inner if isinstance(inner, dict) else attributes
    outer = {key: value for key, value in attributes.items() if key not in _OWN}
    ome = {key: value for key, value in outer.items() if key in _OF_NGFF}
    if content is inner:
        ome |= _without(inner, _OWN)
    items = content.get('multiscales') or attributes.get('multiscales')
    item = _object(items[0]) if isinstance(items, list) and items else {}
    omero = _object(content.get('omero') or attributes.get('omero'))
    channels = omero.get('channels')
    datasets = item.get('datasets')
    intrinsic, systems, raw_axes = _systems(item)
    return Carried(
        attributes=_without(outer, _OF_NGFF),
        ome=ome,
        multiscale=_without(item, _OWN_MULTISCALE),
        axes={
            name: _axis(axis)
            for name, axis in zip(names, raw_axes if isinstance(raw_axes, list) else (), strict=False)
        },
        datasets=tuple(
            _without(_object(one), _OWN_DATASET) for one in (datasets if isinstance(datasets, list) else ())
        ),
        systems=systems,
        transforms=tuple(item.get('coordinateTransformations') or ()) if systems or intrinsic else (),
        intrinsic=intrinsic,
        omero=_without(omero, _OWN_OMERO),
        channels=tuple(_channel(_object(one)) for one in (channels if isinstance(channels, list) else ())),
        arrays=tuple(arrays),
    )


def _systems(item: dict[str, Any]) -> tuple[str | None, tuple[dict[str, Any], ...], object]:
    """Return the name of the system that the first level maps to, all others, and the axes of the image."""
    systems = item.get('coordinateSystems')
    if not isinstance(systems, list):
        return None, (), item.get('axes')
    name = intrinsic_name(item)
    known = [one for one in systems if isinstance(one, dict)]
    own = next((one for one in known if one.get('name') == name), known[0] if known else {})
    return own.get('name'), tuple(one for one in known if one is not own), own.get('axes')


def intrinsic_name(item: Mapping[str, Any]) -> str | None:
    """Return the name of the coordinate system that the first dataset maps to (NGFF 0.6), or None."""
    datasets = item.get('datasets')
    first = _object(datasets[0]) if isinstance(datasets, list) and datasets else {}
    transforms = first.get('coordinateTransformations')
    for transform in transforms if isinstance(transforms, list) else ():
        output = _object(transform).get('output')
        output = output.get('name') if isinstance(output, dict) else output
        if isinstance(output, str):
            return output
    return None


def _axis(raw: object) -> dict[str, Any]:
    found = _without(_object(raw), _OWN_AXIS)
    if str(found.get('type')).lower() in _AXIS_TYPES or not isinstance(found.get('type'), str):
        found.pop('type', None)
    return found


def _channel(raw: dict[str, Any]) -> dict[str, Any]:
    found = _without(raw, _OWN_CHANNEL)
    window = found.pop('window', None)
    further = _without(window, _OWN_WINDOW) if isinstance(window, dict) else {}
    return found | ({'window': further} if further else {})


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _without(content: Mapping[str, Any], names: frozenset[str] | set[str]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in names}
