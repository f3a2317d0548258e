"""Attributes of OME-NGFF 0.4 where 0.5 has them, and the other way: below ``ome``, with one version.

https://ngff.openmicroscopy.org/0.5/ changed nothing else in plates, wells, labels and images of 0.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What belongs to OME-NGFF in the attributes of a group of 0.4.
NAMES = ('multiscales', 'omero', 'plate', 'well', 'labels', 'image-label', 'bioformats2raw.layout', 'series')
#: Those of them that have a version of their own in 0.4.
_VERSIONED = ('plate', 'well', 'image-label')
OWN = 'girder_zarr'


def needs_parsing(content: Mapping[str, Any]) -> bool:
    """Whether images are of a version that has its axes and transformations otherwise than 0.4 and 0.5."""
    found = content.get('multiscales')
    for one in found if isinstance(found, list) else ():
        axes = one.get('axes') if isinstance(one, dict) else None
        levels = one.get('datasets') if isinstance(one, dict) else None
        if not isinstance(axes, list) or not all(isinstance(axis, dict) for axis in axes):
            return True
        if not isinstance(levels, list) or not all(
            isinstance(level, dict) and 'coordinateTransformations' in level for level in levels
        ):
            return True
    return False


def moved_attributes(
    attributes: Mapping[str, Any], content: Mapping[str, Any], version: str
) -> dict[str, Any]:
    """Return the attributes of a group in 0.4 or 0.5.

    :param attributes: all of them as they are stored; what is not OME-NGFF's stays as it is.
    :param content: those of OME-NGFF, of 0.4 or 0.5.
    """
    others = {name: value for name, value in attributes.items() if name not in (*NAMES, 'ome', OWN)}
    inner = {name: content[name] for name in (*NAMES, OWN) if name in content}
    inner = {name: _of_version(name, value, version) for name, value in inner.items()}
    if not inner or version == '0.4':
        return {**others, **inner}
    return {**others, 'ome': {'version': version, **inner}}


def _of_version(name: str, value: Any, version: str) -> Any:
    if name == 'multiscales' and isinstance(value, list):
        return [_with_version(one, version) for one in value]
    if name in _VERSIONED:
        return _with_version(value, version)
    if name == 'omero' and isinstance(value, dict):
        return {key: inner for key, inner in value.items() if key != 'version'}
    return value


def _with_version(value: Any, version: str) -> Any:
    """Return an object with its version, or without where the attributes have one for all."""
    if not isinstance(value, dict):
        return value
    rest = {name: inner for name, inner in value.items() if name != 'version'}
    return {**rest, 'version': version} if version == '0.4' else rest
