"""Chunks at addresses: whether there are any, and how they are handed on, each at few small requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

import girder_zarr.image as gz
from girder_zarr.image.store import remote
from girder_zarr.image.store.stores import open_store
from girder_zarr.image.validate.hierarchy import validate

if TYPE_CHECKING:
    from support.web import Served

pytest.importorskip('urllib3')


@pytest.mark.parametrize('shards', [None, (256, 256)])
def test_an_image_without_any_chunk_says_so_at_few_requests(web: Served, shards: Any) -> None:
    """zarr stores no chunk that holds nothing but the fill value."""
    path = web.folder / 'image.zarr'
    axes = [{'name': name, 'type': 'space'} for name in 'yx']
    datasets = [
        {'path': str(at), 'coordinateTransformations': [{'type': 'scale', 'scale': [2**at, 2**at]}]}
        for at in range(2)
    ]
    multiscales: Any = [{'axes': axes, 'datasets': datasets}]
    group = zarr.open_group(
        path, mode='w', attributes={'ome': {'version': '0.5', 'multiscales': multiscales}}
    )
    arrays = [
        group.create_array(
            str(at), shape=(1000 >> at, 1200 >> at), chunks=(64, 64), shards=shards, dtype='u1', fill_value=9,
            dimension_names=['y', 'x'],
        )
        for at in range(2)
    ]  # fmt: skip
    source = gz.open(f'{web.address}/image.zarr', noCache=True)
    before = len(web.asked)
    found = [one for one in source.getInternalMetadata()['zarr']['problems'] if 'chunk' in one]
    assert len(found) == 1
    assert found[0].startswith('No chunk was found where 6 were looked for, such as ')
    assert 'fill value 9' in found[0]
    assert len(web.asked) - before <= 12, web.asked[before:]
    hints = validate(f'{web.address}/image.zarr').hints
    assert any('No chunk was found where 3' in one for one in hints), hints
    for array in arrays:
        array[-1, -1] = 200
    source = gz.open(f'{web.address}/image.zarr', noCache=True)
    before = len(web.asked)
    assert not [one for one in source.getInternalMetadata()['zarr']['problems'] if 'chunk' in one]
    assert len(web.asked) - before <= 3
    assert not any('chunk' in one for one in validate(f'{web.address}/image.zarr').hints)


def test_large_values_are_handed_on_by_ranges(web: Served) -> None:
    """As `/zarr` gives the chunks of an image that a link names: never a whole one in memory."""
    folder = web.folder / 'image.zarr'
    folder.mkdir()
    (folder / 'zarr.json').write_text('{}')
    (folder / 'empty').write_bytes(b'')
    large = np.random.default_rng(0).bytes(10 * 2**20 + 5)
    (folder / 'large').write_bytes(large)
    store = open_store(f'{web.address}/image.zarr')
    web.asked.clear()
    entry = store.entry('large')
    assert entry is not None
    assert entry.size == len(large)
    assert b''.join(bytes(block) for block in entry.blocks(0, entry.size)) == large
    assert b''.join(bytes(block) for block in entry.blocks(len(large) - 7, len(large))) == large[-7:]
    ranges = [asked.removeprefix('bytes=').split('-') for _, asked in web.asked if asked is not None]
    assert len(ranges) == len(web.asked) == 5
    assert max(int(last) - int(first) + 1 for first, last in ranges) <= remote.STREAM_BYTES
    small, empty = store.entry('zarr.json'), store.entry('empty')
    assert small is not None
    assert empty is not None
    assert (small.size, empty.size, store.entry('nothing')) == (2, 0, None)
    assert small.identity != entry.identity
    web.ranges = False
    whole = store.entry('large')
    assert whole is not None
    assert b''.join(bytes(block) for block in whole.blocks(0, whole.size)) == large
