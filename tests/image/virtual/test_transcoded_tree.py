"""Versions of OME-NGFF that have axes and transformations otherwise are rewritten, with all that counts."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaozarrs
import zarr

import girder_zarr.image as gz
from girder_zarr.image.ngff.moved import moved_attributes, needs_parsing
from girder_zarr.image.ngff.schemas import check_schemas
from girder_zarr.image.store.stores import open_store
from girder_zarr.image.virtual.served_form import ServedForm
from girder_zarr.image.virtual.transcoded_tree import TranscodedTree

if TYPE_CHECKING:
    from pathlib import Path


def value(tree: TranscodedTree, key: str) -> Any:
    entry = tree.entry(key)
    return None if entry is None else b''.join(bytes(block) for block in entry.blocks(0, entry.size))


def copy(tree: TranscodedTree, folder: str, path: Path) -> None:
    """Write the keys of a tree, metadata and chunks of two axes or more, to a directory."""
    above = folder + '/' if folder else ''
    for one in tree.listed(folder):
        if one.name.endswith('/'):
            copy(tree, above + one.name[:-1], path)
        else:
            target = path / (above + one.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(value(tree, above + one.name))


def test_0_6_becomes_0_4(tmp_path: Path) -> None:
    sink = gz.new()
    sink.addTile(np.arange(64 * 80, dtype=np.uint16).reshape(64, 80, 1))
    sink.mm_x = sink.mm_y = 0.002
    sink.write(tmp_path / 'image.zarr', version='0.6')
    store = open_store(tmp_path / 'image.zarr')
    assert b'coordinateSystems' in (store.read('zarr.json') or b'')
    tree = TranscodedTree(store, ServedForm('0.4'))
    attributes = json.loads(value(tree, '.zattrs'))
    assert check_schemas(attributes, '0.4')[0] == []
    multiscale = attributes['multiscales'][0]
    assert multiscale['datasets'][0]['coordinateTransformations'][0]['scale'][-2:] == [2, 2]
    copy(tree, '', tmp_path / 'copy.zarr')
    level: Any = zarr.open_group(tmp_path / 'copy.zarr', mode='r')['0']
    assert level.shape[-2:] == (64, 80)
    assert gz.open(tmp_path / 'copy.zarr').getMetadata()['mm_x'] == pytest.approx(0.002)


def test_0_2_becomes_0_5(tmp_path: Path) -> None:
    """Its axes are those of the specification, which does not write them down."""
    pixels = np.arange(2 * 3 * 32 * 48, dtype=np.uint8).reshape(1, 2, 3, 32, 48)
    content: Any = {'multiscales': [{'version': '0.2', 'name': 'old', 'datasets': [{'path': '0'}]}]}
    group = zarr.open_group(tmp_path / 'old.zarr', mode='w', zarr_format=2, attributes=content)
    group.create_array('0', data=pixels, chunks=(1, 1, 1, 32, 48))
    tree = TranscodedTree(open_store(tmp_path / 'old.zarr'), ServedForm('0.5'))
    root = value(tree, 'zarr.json')
    yaozarrs.validate_ome_json(root.decode())
    multiscale = json.loads(root)['attributes']['ome']['multiscales'][0]
    assert [axis['name'] for axis in multiscale['axes']] == ['t', 'c', 'z', 'y', 'x']
    assert multiscale['name'] == 'old'
    assert value(tree, '0/c/0/1/2/0/0') is not None
    assert value(tree, '0/0/1/2/0/0') is None


def test_what_is_not_ome_ngff_stays() -> None:
    attributes: dict[str, Any] = {
        'own': {'version': 1},
        'plate': {'version': '0.4', 'wells': []},
        'omero': {'version': '0.4'},
    }
    moved = moved_attributes(attributes, attributes, '0.5')
    assert moved == {
        'own': {'version': 1},
        'ome': {'version': '0.5', 'plate': {'wells': []}, 'omero': {}},
    }
    back = moved_attributes(moved, {**moved, **moved['ome']}, '0.4')
    assert back == {'own': {'version': 1}, 'plate': {'version': '0.4', 'wells': []}, 'omero': {}}
    assert moved_attributes({'own': 1}, {'own': 1}, '0.5') == {'own': 1}
    strange: dict[str, Any]
    for strange in ({'multiscales': 5}, {'multiscales': [7]}, {'multiscales': [{'axes': ['y', 'x']}]}, {}):
        assert needs_parsing(strange) == (isinstance(strange.get('multiscales'), list))
        moved_attributes(strange, strange, '0.5')


def test_arrays_that_are_no_images_are_handed_on(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / 'image.zarr', mode='w', zarr_format=3)
    group.create_array('complex', data=np.ones(3, np.complex64))
    store = open_store(tmp_path / 'image.zarr')
    tree = TranscodedTree(store, ServedForm())
    for key in ('complex/zarr.json', 'complex/c/0'):
        assert value(tree, key) == store.read(key)
    assert value(tree, 'complex/c/7') is None


def test_sharing_a_store_needs_no_lock(tmp_path: Path) -> None:
    sink = gz.new()
    sink.addTile(np.random.default_rng(1).integers(0, 255, (500, 700, 3), np.uint8))
    sink.write(tmp_path / 'image.zarr')
    tree = TranscodedTree(open_store(tmp_path / 'image.zarr'), ServedForm('0.4', 'blosc'))
    level = json.loads(value(tree, '0/.zarray'))
    grid = [-(-size // side) for size, side in zip(level['shape'], level['chunks'], strict=True)]
    keys = ['0/' + '/'.join(map(str, place)) for place in np.ndindex(*grid)] * 8
    with ThreadPoolExecutor(8) as pool:
        bodies: dict[str, Any] = dict.fromkeys(keys)
        for key, body in zip(keys, pool.map(lambda key: value(tree, key), keys), strict=True):
            assert bodies[key] in (None, body)
            bodies[key] = body
    assert None not in bodies.values()
