"""Tiles that a program adds to coarser levels: shown until the full resolution changes."""

from __future__ import annotations

import numpy as np
import pytest

import girder_zarr.image as gz

pytestmark = pytest.mark.usefixtures('temporary_directory')


def arrays(source: gz.ZarrFileTileSource) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in source._zarr.arrays()}


def test_the_array_of_a_level_is_there_until_the_base_changes() -> None:
    source = gz.new()
    source.addTile(np.zeros((100, 100)), 0, 0)
    source.addTile(np.ones((10, 10)), 0, 0, level=1)
    assert arrays(source) == {'0': (100, 100, 1), '1': (10, 10, 1)}
    assert (source._zarr['1'][...] == 1).all()
    source.addTile(np.zeros((100, 100)), 0, 100)
    assert arrays(source) == {'0': (200, 100, 1)}


def test_a_whole_level_is_shown_at_its_zoom() -> None:
    source = gz.new()
    for z in range(2):
        source.addTile(np.full((1500, 2001, 3), 5, np.uint8), 0, 0, z=z)
    for x in (0, 512):
        source.addTile(np.full((750, 512 if x == 0 else 489, 3), 9, np.uint8), x, 0, z=1, level='1')
    shown = [
        [int(source.getTile(0, 0, zoom, frame=z, numpyAllowed=True).max()) for zoom in range(3)]
        for z in (0, 1)
    ]
    assert shown == [[0, 0, 5], [9, 9, 5]]
    assert source._nonemptyLevelsList() == [None, True, True]
    assert source.sizeX == 2001
    source.addTile(np.full((1, 1, 3), 6, np.uint8), 0, 0, z=1)
    assert source.getTile(0, 0, 1, frame=1, numpyAllowed=True).max() in {5, 6}


@pytest.mark.parametrize(
    'tile',
    [np.ones((40, 50), np.uint8), np.ones((50, 50), np.uint16), np.ones((50, 50, 3), np.uint8)],
    ids=['not the whole', 'another type', 'other bands'],
)
def test_what_is_no_level_of_the_image_is_not_shown(tile: np.ndarray) -> None:
    source = gz.new()
    source.addTile(np.full((100, 100), 5, np.uint8))
    source.addTile(tile, level=1)
    assert source._nonemptyLevelsList() == [True]
    assert len(source.getInternalMetadata()['zarr']['levels']) == 1
    assert sorted(arrays(source)) == ['0', '1']
