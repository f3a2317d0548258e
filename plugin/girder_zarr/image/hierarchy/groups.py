"""One group of a hierarchy: its attributes, and the images that they describe."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.chunk.arrays import ArrayInfo, read_array
from girder_zarr.image.chunk.chunks import StoredLevel
from girder_zarr.image.limits import DEFAULT, load_json
from girder_zarr.image.ngff.metadata import Multiscale
from girder_zarr.image.ngff.parse import Parsed, ome_attributes, parse_attributes
from girder_zarr.image.series.folding import unfold
from girder_zarr.image.series.series import Series

from .absent import arrays_instead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.image.store.keystore import KeyStore


def read_group(store: KeyStore, path: str) -> dict[str, Any] | None:
    """Return the attributes of a group, or None where there is no group.

    :raises UnreadableImageError: its metadata is not valid.
    """
    prefix = path + '/' if path else ''
    data = store.read(prefix + 'zarr.json', DEFAULT.json_bytes)
    if data is not None:
        document = load_json(data, f'{prefix}zarr.json')
        if document.get('node_type') != 'group':
            return None
        attributes = document.get('attributes')
        return attributes if isinstance(attributes, dict) else {}
    data = store.read(prefix + '.zattrs', DEFAULT.json_bytes)
    if data is None:
        return {} if store.has(prefix + '.zgroup') else None
    is_group = store.has(prefix + '.zgroup') or not store.has(prefix + '.zarray')
    return load_json(data, f'{prefix}.zattrs') if is_group else None


def read_image(store: KeyStore, path: str, attributes: dict[str, Any]) -> tuple[Parsed, list[Series]]:
    """Return the metadata and the images of a group that has ``multiscales``.

    :raises UnreadableImageError: its metadata or its arrays cannot be read.
    """
    prefix = path + '/' if path else ''
    infos: dict[str, ArrayInfo | None] = {}

    def info(name: str) -> ArrayInfo | None:
        if name not in infos:
            infos[name] = read_array(store, (prefix + name).rstrip('/'))
        return infos[name]

    def axes(name: str) -> int | None:
        found = info(name)
        return None if found is None else len(found.shape)

    def names(name: str) -> Sequence[str | None] | None:
        found = info(name)
        return None if found is None else found.dimension_names or _xarray_names(store, prefix + name)

    parsed = parse_attributes(attributes, axes, names)
    store.prefetch_metadata(
        (prefix + level.path).rstrip('/') for one in parsed.multiscales for level in one.levels
    )
    series = []
    for multiscale in parsed.multiscales:
        infos_of = [info(level.path) for level in multiscale.levels]
        found = None if any(infos_of) else arrays_instead(store, multiscale, path)
        if found is None:
            series.append(_series(store, multiscale, infos_of, path, attributes))
            lost = [level.path for level, one in zip(multiscale.levels, infos_of, strict=True) if one is None]
            if lost:
                names_of_lost = ', '.join(repr(name) for name in lost)
                text = f'Levels that the metadata names do not exist: {names_of_lost}.'
                parsed = replace(parsed, problems=(*parsed.problems, text))
            continue
        shown = replace(
            found[0],
            name=multiscale.name or path or None,
            attributes=ome_attributes(attributes),
            path=path,
        )
        series.append(shown)
        parsed = replace(parsed, problems=(*parsed.problems, found[1]))
    return parsed, series


def _xarray_names(store: KeyStore, path: str) -> list[str] | None:
    """Return the names that xarray keeps of the dimensions of an array of zarr v2, or None."""
    data = store.read(f'{path}/.zattrs'.lstrip('/'), DEFAULT.json_bytes)
    names = None if data is None else load_json(data, f'{path}/.zattrs').get('_ARRAY_DIMENSIONS')
    return [str(name) for name in names] if isinstance(names, list) else None


def _series(
    store: KeyStore,
    multiscale: Multiscale,
    infos: Sequence[ArrayInfo | None],
    path: str,
    attributes: dict[str, Any],
) -> Series:
    levels = [
        (level, info)
        for level, info in zip(multiscale.levels, infos, strict=True)
        if info is not None and len(info.shape) == len(multiscale.axes) and 0 not in info.shape
    ]
    if not multiscale.levels:
        msg = f'A multiscale should have 1 to {DEFAULT.levels} datasets; found none, and no array beside it.'
        raise UnreadableImageError(msg)
    if not levels:
        found = next((info for info in infos if info is not None), None)
        names = ', '.join(axis.name for axis in multiscale.axes)
        what = 'no array' if found is None else f'an array of {found.shape}'
        msg = f'Expected an array with the axes {names} at {multiscale.levels[0].path!r}; found {what}.'
        raise UnreadableImageError(msg)
    levels = [item for item in levels if item[1].dtype == levels[0][1].dtype]
    levels.sort(key=lambda item: math.prod(item[1].shape), reverse=True)
    kept = Multiscale(
        axes=multiscale.axes,
        levels=tuple(level for level, _ in levels),
        name=multiscale.name,
        channels=multiscale.channels,
        version=multiscale.version,
        description=multiscale.description,
        extra=multiscale.extra,
    )
    readers = tuple(StoredLevel(store, info) for _, info in levels)
    name = multiscale.name or path or None
    return unfold(Series(kept, readers, name, ome_attributes(attributes), path=path))


def find_image(store: KeyStore, path: str) -> Series | None:
    """Return the first image of a group, or None where there is none.

    :raises UnreadableImageError: its metadata or its arrays cannot be read.
    """
    group = read_group(store, path)
    if group is None or not ome_attributes(group).get('multiscales'):
        return None
    return read_image(store, path, group)[1][0]


def open_image(store: KeyStore, path: str) -> Series:
    """Return the first image of a group.

    :raises UnreadableImageError: there is none, or it cannot be read.
    """
    found = find_image(store, path)
    if found is None:
        msg = f'There is no image at {path!r} in {store.name}.'
        raise UnreadableImageError(msg)
    return found


def open_label(store: KeyStore, path: str) -> Series:
    """Return the image of a group among the labels, also where its metadata lacks ``image-label``.

    :raises UnreadableImageError: there is none, or it cannot be read.
    """
    found = open_image(store, path)
    return replace(found, attributes={'image-label': {}, **found.attributes})
