"""What is known of an opened image, as plain JSON for people and programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from girder_zarr.image.chunk.chunks import StoredLevel
from girder_zarr.image.ngff.emit import image_attributes
from girder_zarr.image.ngff.schemas import check_schemas

from .absent import missing_chunks
from .selection import choices, labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.image.series.frames import FrameLayout
    from girder_zarr.image.series.series import Series
    from girder_zarr.image.store.keystore import KeyStore

    from .opening import Opened

#: How many series and levels are described one by one: the page of an item shows all of it.
MAX_LISTED = 100


def describe(
    opened: Opened | None,
    series: Sequence[Series],
    layout: FrameLayout,
    store: KeyStore | None = None,
    properties: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the internal metadata.

    :param opened: None for an image that is being written.
    :param store: that it was opened from.
    :param properties: ``description`` and ``additionalMetadata`` of the image.
    :returns: ``base`` and ``main`` are the attributes of the root and of the image as stored, as
        large-image-source-zarr gives them; the other keys are what was read from them.
    """
    first = series[0]
    result: dict[str, Any] = {
        'base': _base(opened, first, properties or {}),
        'main': first.attributes,
        'kind': opened.kind if opened is not None else 'new',
        'version': first.multiscale.version,
        'multiscale': asdict(first.multiscale),
        'levels': [_level(level) for level in first.levels],
        'bands': layout.bands,
        'series': [{'name': one.name, **one.place} for one in series[:MAX_LISTED]],
        'seriesCount': len(series),
    }
    if opened is not None:
        result['others'] = [
            {'name': name, 'shape': list(one.levels[0].shape), 'dtype': str(one.levels[0].dtype)}
            for name, one in list(opened.others.items())[:MAX_LISTED]
        ]
        result['choices'] = choices(opened, MAX_LISTED)
        result['chosen'] = opened.chosen
        result['labels'] = labels(opened, MAX_LISTED)
        result['problems'] = opened.problems[:MAX_LISTED]
        missing = missing_chunks(store, first.levels)
        if missing is not None and missing not in result['problems']:
            result['problems'].append(missing)
        result['schemas'] = _by_schemas(opened, first, result['problems'])
    return result


def _base(opened: Opened | None, first: Series, properties: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of the root, with what large-image-source-zarr 1.35.6 has at the same places.

    ``multiscales`` and ``omero`` lie at the top in every version, and where there is additional metadata, it
    and the description are in ``multiscales[0].metadata.description``.
    """
    attributes = image_attributes(first.multiscale, '0.4') if opened is None else opened.attributes
    inner = attributes.get('ome')
    found = {**(inner if isinstance(inner, dict) else {}), **attributes}
    items = found.get('multiscales')
    described = {name: value for name, value in properties.items() if value is not None}
    if not described or not isinstance(items, list) or not items or not isinstance(items[0], dict):
        return found
    metadata = items[0].get('metadata')
    text: Any = described.get('description', '')
    if 'additionalMetadata' in described:
        text = {'description': text or None, 'additionalMetadata': described['additionalMetadata']}
    item = {**items[0], 'metadata': {**(metadata if isinstance(metadata, dict) else {}), 'description': text}}
    return {**found, 'multiscales': [item, *items[1:]]}


def _by_schemas(opened: Opened, first: Series, problems: list[str]) -> str:
    """Add to the problems what the official schemas find; return a sentence on what they were asked."""
    said = []
    documents = [opened.attributes]
    if first.attributes and first.attributes.get('multiscales') != _content(opened.attributes):
        documents.append(first.attributes)
    for document in documents:
        found, sentence = check_schemas(document, first.multiscale.version)
        problems.extend(one for one in found if one not in problems)
        if sentence not in said:
            said.append(sentence)
    done = [sentence for sentence in said if sentence.startswith('Checked')]
    return ' '.join(done or said)


def _content(attributes: dict[str, Any]) -> object:
    inner = attributes.get('ome')
    return (inner if isinstance(inner, dict) else attributes).get('multiscales')


def _level(level: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        'shape': list(level.shape),
        'dtype': str(level.dtype),
        'chunks': list(level.chunks),
    }
    if isinstance(level, StoredLevel):
        found['path'] = level.info.path
        found['zarr_format'] = level.info.zarr_format
        found['codecs'] = level.info.codecs
        if level.info.sharding is not None:
            grid = level.info.sharding.grid
            found['shards'] = [count * side for count, side in zip(grid, level.chunks, strict=True)]
    return found
