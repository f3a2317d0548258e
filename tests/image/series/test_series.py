"""One image of several by the option ``series``: collections, plates, whatever lies beside an image."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from large_image.exceptions import TileSourceError

import girder_zarr.image as gz
from support.images import level_tile, opened, region, write
from support.plates import SIDE, value, write_plate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def images() -> dict[str, np.ndarray]:
    """Images that share neither size nor type nor axes, by path."""
    random = np.random.default_rng(5)
    return {
        '0': random.integers(0, 255, (300, 400)).astype('uint8'),
        '1': random.integers(0, 60_000, (2, 500, 200)).astype('uint16'),
        '2': random.random((3, 4, 100, 90)).astype('float32'),
        '3': random.integers(0, 255, (250, 380)).astype('uint8'),
    }


AXES = {'0': 'yx', '1': 'cyx', '2': 'tzyx', '3': 'yx'}


@pytest.fixture(params=[2, 3])
def collection(request: pytest.FixtureRequest, tmp_path: Path, images: dict[str, np.ndarray]) -> Path:
    zarr_format: Any = request.param
    layout: Any = {'bioformats2raw.layout': 3}
    order: Any = {'series': ['3', '1', '0', '2']}
    if zarr_format == 3:
        layout, order = {'ome': {'version': '0.5', **layout}}, {'ome': {'version': '0.5', **order}}
    folder = tmp_path / 'collection.zarr'
    zarr.open_group(folder, mode='w', zarr_format=zarr_format, attributes=layout)
    zarr.open_group(folder / 'OME', mode='w', zarr_format=zarr_format, attributes=order)
    for path, pixels in images.items():
        write(folder / path, [pixels], AXES[path], zarr_format=zarr_format)
    labels: Any = {'labels': ['cells']}
    zarr.open_group(
        folder / '1' / 'labels', mode='w', zarr_format=zarr_format,
        attributes=labels if zarr_format == 2 else {'ome': {'version': '0.5', **labels}},
    )  # fmt: skip
    write(folder / '1' / 'labels' / 'cells', [np.ones((500, 200), 'uint32')], 'yx', zarr_format=zarr_format)
    return folder


def test_every_series_of_a_collection_is_to_be_had(collection: Path, images: dict[str, np.ndarray]) -> None:
    listed = opened(collection).getInternalMetadata()['zarr']
    assert [(one['series'], one['path'], one['shape'], one['dtype']) for one in listed['choices'][:4]] == [
        (number, path, list(images[path].shape), str(images[path].dtype))
        for number, path in enumerate(['3', '1', '0', '2'])
    ]
    assert listed['chosen'] is None
    for number, path in enumerate(['3', '1', '0', '2']):
        for wanted in (number, str(number)):
            source = opened(collection, series=wanted)
            pixels = images[path]
            assert (source.sizeY, source.sizeX) == pixels.shape[-2:]
            assert source.dtype == pixels.dtype
            assert source.getInternalMetadata()['zarr']['chosen'] == path
            frames = source.getMetadata().get('frames', [{}])
            assert len(frames) == pixels[..., 0, 0].size
            for frame, record in enumerate(frames):
                places = tuple(record['Index' + name.upper()] for name in AXES[path][:-2])
                np.testing.assert_array_equal(region(source, frame=frame)[..., 0], pixels[places])
    chosen = opened(collection, series=1, labels=True)
    assert 'label_cells' in chosen.getAssociatedImagesList()
    assert chosen.getMetadata()['IndexRange'] == {'IndexC': 2, 'IndexLABEL': 2}
    assert (region(chosen, frame=2) == 1).all()


def test_sources_of_different_series_are_kept_apart(collection: Path, images: dict[str, np.ndarray]) -> None:
    shapes = [gz.open(str(collection), series=number).sizeX for number in (0, 1, 2, 0)]
    assert shapes == [380, 200, 400, 380]
    tiles = [
        gz.open(str(collection), series=number).getTile(0, 0, 0, numpyAllowed='always') for number in (0, 2)
    ]
    assert tiles[0].shape != tiles[1].shape
    again = pickle.loads(pickle.dumps(gz.open(str(collection), series=1)))
    np.testing.assert_array_equal(region(again)[..., 0], images['1'][0])


@pytest.mark.parametrize('series', [4, -1, '4', 'nothing', '../collection.zarr', 1.5, True, '/etc', '9' * 50])
def test_what_is_not_there_is_refused(collection: Path, series: Any) -> None:
    with pytest.raises(TileSourceError, match='series'):
        opened(collection, series=series)
    assert not gz.canRead(str(collection), series=series)


def test_others_beside_an_image_by_name(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / 'a', mode='w', zarr_format=2, attributes={'bioformats2raw.layout': 3})
    large, small = np.full((400, 500), 7, 'uint8'), np.full((60, 50), 9, 'uint8')
    write(tmp_path / 'a' / '0', [large], 'yx', zarr_format=2)
    write(tmp_path / 'a' / '1', [small], 'yx', zarr_format=2)
    source = opened(tmp_path / 'a', series=0)
    assert source.getAssociatedImagesList() == ['1']  # the label of a slide stays beside it
    assert (region(opened(tmp_path / 'a', series=1)) == 9).all()
    plain = zarr.open_group(tmp_path / 'b', mode='w', zarr_format=2)
    for name, pixels in (('large', large), ('mask', small)):
        plain.create_array(name, shape=pixels.shape, chunks=pixels.shape, dtype='uint8')[...] = pixels
    assert (region(opened(tmp_path / 'b', series='mask')) == 9).all()


def test_a_field_of_a_plate_by_itself(tmp_path: Path) -> None:
    folder = write_plate(tmp_path / 'p', 2, 3, 4, count=4)
    for wanted in (17, '17', 'B/2/1', '/B/2/1/'):
        source = opened(folder, series=wanted)
        assert (source.frames, source.sizeX, source.levels) == (1, SIDE, 1)
        assert (region(source) == value(1, 1, 1)).all()
    listed = opened(folder).getInternalMetadata()['zarr']['choices']
    assert {key: listed[17][key] for key in ('series', 'path', 'Row', 'Column', 'Field')} == {
        'series': 17, 'path': 'B/2/1', 'Row': 'B', 'Column': '2', 'Field': 1,
    }  # fmt: skip
    assert listed[-1]['series'] == 'overview'


def test_a_second_much_smaller_multiscale(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (200, 300)).astype('uint8')
    folder = write(tmp_path / 'a.zarr', [pixels], 'yx', zarr_format=2)
    group = zarr.open_group(folder, mode='r+')
    described: Any = dict(group.attrs)
    group.create_array('other', shape=(40, 30), chunks=(40, 30), dtype='uint8')[...] = 5
    second = {**described['multiscales'][0], 'name': 'other', 'datasets': [{'path': 'other'}]}
    group.attrs['multiscales'] = [described['multiscales'][0], second]
    assert opened(folder).getAssociatedImagesList() == ['other']
    source = opened(folder, series='other')
    assert (source.sizeX, source.sizeY) == (30, 40)
    np.testing.assert_array_equal(level_tile(opened(folder, series=0), 1)[..., 0], pixels)
