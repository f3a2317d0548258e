"""The model of `metadata.py` as the metadata documents of NGFF 0.4 (zarr v2), 0.5 and 0.6 (zarr v3).

Specifications: https://ngff.openmicroscopy.org/0.4/, /0.5/ and /0.6/; zarr v2 and v3 core at https://zarr-specs.readthedocs.io.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import EditError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from .carried import Carried
    from .metadata import Axis, Channel, Level, Multiscale, Version

#: The name of the coordinate system that all levels map to (NGFF 0.6).
PHYSICAL = 'physical'


def document(content: Mapping[str, Any], *, finite: bool = True) -> bytes:
    """Return a metadata document as the bytes of its JSON file.

    :param finite: refuse NaN and infinities; only what a file already had is written again with them.

    :raises EditError: a value is not JSON.
    """
    try:
        return json.dumps(content, allow_nan=not finite, indent=1).encode()
    except (TypeError, ValueError) as exc:
        raise EditError(f'The metadata must be JSON: {exc}') from exc


def image_attributes(multiscale: Multiscale, version: Version, *, method: str = 'mean') -> dict[str, Any]:
    """Return the attributes of an image's group.

    :param multiscale: with all its levels.
    :param method: how the levels were made, in a word.
    :returns: for 0.4 ``multiscales``, ``omero`` and ``girder_zarr``; from 0.5 on the same under ``ome``.
    """
    carried = multiscale.carried
    entry: dict[str, Any] = {**carried.multiscale, 'name': multiscale.name or 'image'}
    if version == '0.4':
        entry['version'] = version
    if version == '0.6':
        entry |= _systems_06(multiscale)
    else:
        entry['axes'] = [_axis(axis, carried) for axis in multiscale.axes]
        entry['datasets'] = [
            {
                **carried.dataset(index),
                'path': level.path,
                'coordinateTransformations': _transforms(level),
            }
            for index, level in enumerate(multiscale.levels)
        ]
    entry['type'] = method
    entry['metadata'] = _metadata(multiscale, method)
    content: dict[str, Any] = {**carried.ome, 'multiscales': [entry]}
    if multiscale.channels is not None:
        content['omero'] = _omero(multiscale, version)
    if multiscale.extra:
        content['girder_zarr'] = dict(multiscale.extra)
    own = content if version == '0.4' else {'ome': {'version': version, **content}}
    return {**carried.attributes, **own}


def _metadata(multiscale: Multiscale, method: str) -> object:
    """Return the ``metadata`` of a multiscale: what the file had, or how the levels were made."""
    stored = multiscale.carried.multiscale.get('metadata')
    if stored is None:
        return {'description': multiscale.description or '', 'method': method}
    if not isinstance(stored, dict) or (not multiscale.description and 'description' not in stored):
        return stored
    return {**stored, 'description': multiscale.description or ''}


def _axis(axis: Axis, carried: Carried) -> dict[str, Any]:
    found: dict[str, Any] = {'name': axis.label or axis.name, 'type': axis.type, **carried.axis(axis.name)}
    if axis.unit:
        found['unit'] = axis.unit
    if axis.values is not None:
        found['values'] = list(axis.values)
    return found


def _transforms(level: Level) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{'type': 'scale', 'scale': list(level.scale)}]
    if any(level.translation):
        found.append({'type': 'translation', 'translation': list(level.translation)})
    return found


def _systems_06(multiscale: Multiscale) -> dict[str, Any]:
    datasets, carried = [], multiscale.carried
    name = carried.intrinsic or PHYSICAL
    for index, level in enumerate(multiscale.levels):
        steps = _transforms(level)
        ends = {'input': {'path': level.path}, 'output': {'name': name}}
        whole = steps[0] | ends if len(steps) == 1 else {'type': 'sequence', 'transformations': steps} | ends
        datasets.append({**carried.dataset(index), 'path': level.path, 'coordinateTransformations': [whole]})
    axes = [_axis(axis, carried) for axis in multiscale.axes]
    found = {'coordinateSystems': [{'name': name, 'axes': axes}, *carried.systems], 'datasets': datasets}
    return found | ({'coordinateTransformations': list(carried.transforms)} if carried.transforms else {})


def _omero(multiscale: Multiscale, version: Version) -> dict[str, Any]:
    carried = multiscale.carried
    channels = [
        _channel(channel, index, carried.channel(index))
        for index, channel in enumerate(multiscale.channels or ())
    ]
    found: dict[str, Any] = {'id': 1, 'name': multiscale.name or 'image', 'channels': channels}
    colored = any(channel['color'] != 'FFFFFF' for channel in channels)
    found['rdefs'] = {'defaultT': 0, 'defaultZ': 0, 'model': 'color' if colored else 'greyscale'}
    found |= carried.omero
    return found | ({'version': version} if version == '0.4' else {})


def _channel(channel: Channel, index: int, carried: Mapping[str, Any]) -> dict[str, Any]:
    window = channel.window
    shown: dict[str, float] = {'min': 0, 'max': 1, 'start': 0, 'end': 1}
    if window is not None:
        shown = {key: _number(getattr(window, key)) for key in shown}
    return {
        'active': channel.active,
        'coefficient': 1,
        'family': 'linear',
        'inverted': False,
        **carried,
        'label': channel.label or f'Channel {index + 1}',
        'color': (channel.color or 'FFFFFF').upper(),
        'window': {**carried.get('window', {}), **shown},
    }


def _number(value: float) -> int | float:
    """Whole numbers are written as such: 255 rather than 255.0."""
    return int(value) if float(value).is_integer() else value


def group_documents(
    attributes: Mapping[str, Any], zarr_format: int, *, finite: bool = True
) -> dict[str, bytes]:
    """Return the files of a group with these attributes, by name; see :func:`document`."""
    if zarr_format == 2:
        return {
            '.zgroup': document({'zarr_format': 2}),
            '.zattrs': document(attributes, finite=finite),
        }
    content = {'zarr_format': 3, 'node_type': 'group', 'attributes': dict(attributes)}
    return {'zarr.json': document(content, finite=finite)}


def array_documents_v2(
    shape: Sequence[int],
    chunks: Sequence[int],
    dtype: np.dtype[Any],
    compressor: Mapping[str, Any] | None,
    fill: float,
    order: str = 'C',
    attributes: Mapping[str, Any] | None = None,
) -> dict[str, bytes]:
    """Return the files of a zarr v2 array with chunk keys ``0/0/0``."""
    content = {
        'zarr_format': 2,
        'shape': list(shape),
        'chunks': list(chunks),
        'dtype': dtype.newbyteorder('<').str if dtype.itemsize > 1 else dtype.str,
        'compressor': compressor,
        'fill_value': _fill(fill, dtype),
        'order': order,
        'filters': None,
        'dimension_separator': '/',
    }
    found = {'.zarray': document(content)}
    return found | ({'.zattrs': document(attributes, finite=False)} if attributes else {})


def array_documents_v3(
    shape: Sequence[int],
    blocks: Sequence[int],
    dtype: np.dtype[Any],
    codecs: Sequence[Mapping[str, Any]],
    fill: float,
    names: Sequence[str],
    attributes: Mapping[str, Any] | None = None,
) -> dict[str, bytes]:
    """Return the files of a zarr v3 array with chunk keys ``c/0/0/0`` and its dimensions' names."""
    content = {
        'zarr_format': 3,
        'node_type': 'array',
        'shape': list(shape),
        'data_type': dtype.name,
        'chunk_grid': {'name': 'regular', 'configuration': {'chunk_shape': list(blocks)}},
        'chunk_key_encoding': {'name': 'default', 'configuration': {'separator': '/'}},
        'fill_value': _fill(fill, dtype),
        'codecs': list(codecs),
        'dimension_names': list(names),
        'attributes': dict(attributes or {}),
    }
    return {'zarr.json': document(content, finite=not attributes)}


def _fill(value: float, dtype: np.dtype[Any]) -> Any:
    if dtype.kind == 'b':
        return bool(value)
    if dtype.kind != 'f':
        return int(value)
    if math.isfinite(value):
        return float(value)
    return 'NaN' if math.isnan(value) else ('Infinity' if value > 0 else '-Infinity')
