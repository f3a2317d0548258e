"""What is known about a new image: properties under a crop, restored from a file, and as 1.35.6 had them."""

from __future__ import annotations

import itertools
import json
import sys
import threading
from typing import TYPE_CHECKING, Any

import large_image
import numpy as np
import PIL.Image
import pytest
import zarr

import girder_zarr.image as gz
from girder_zarr.errors import EditError
from girder_zarr.image.ngff.parse import parse_attributes

if TYPE_CHECKING:
    from pathlib import Path

RGB = np.random.default_rng(0).integers(1, 256, (300, 400, 3), np.uint8)


pytestmark = pytest.mark.usefixtures('temporary_directory')


def pixels_of(source: Any, **kwargs: Any) -> np.ndarray:
    return np.asarray(source.getRegion(format=large_image.constants.TILE_FORMAT_NUMPY, **kwargs)[0])


def attributes_of(path: Path) -> Any:
    return dict(zarr.open_group(path, mode='r').attrs)


def test_a_crop_keeps_associated_images_values_and_everything_else(tmp_path: Path) -> None:
    """Fault 9 of 1.35.6."""
    source = gz.new()
    source.addAssociatedImage(RGB[:20, :30], 'label')
    source.addAssociatedImage(PIL.Image.fromarray(RGB[:9, :8, 0]), 'gray')
    for t, z in itertools.product(range(2), range(3)):
        source.addTile(RGB[..., 0] // (1 + t + z), t=t, z=z, t_value=f'day {t}', z_value=z * 0.5 + t)
    source.mm_x, source.mm_y, source.magnification = 0.001, 0.002, 12
    source.channelColors = ['00FF00']
    source.imageDescription = 'about it'
    source.additionalMetadata = {'more': True}
    source.frameUnits = {'z': 'micrometer'}
    source.gcps = '1 2 0 0 3 4 100 50'
    source.crop = (40, 30, 200, 100)
    for path in (tmp_path / 'image.zarr', tmp_path / 'image.zip'):
        source.write(path)
        found = gz.open(str(path))
        metadata = found.getMetadata()
        assert (metadata['sizeX'], metadata['sizeY']) == (200, 100)
        assert (metadata['mm_x'], metadata['mm_y'], metadata['magnification']) == (0.001, 0.002, 12)
        assert (found.imageDescription, found.additionalMetadata) == ('about it', {'more': True})
        assert found.frameUnits == {'z': 'micrometer'}
        assert sorted(found.getAssociatedImagesList()) == ['gray', 'label']
        label = found.getAssociatedImage('label', format=large_image.constants.TILE_FORMAT_NUMPY)[0]
        assert (label == RGB[:20, :30]).all()
        gray = found.getAssociatedImage('gray', format=large_image.constants.TILE_FORMAT_NUMPY)[0]
        assert (gray[..., 0] == RGB[:9, :8, 0]).all()
        for frame in metadata['frames']:
            t, z = frame['IndexT'], frame['IndexZ']
            expected = (RGB[..., 0] // (1 + t + z))[30:130, 40:240]
            assert (pixels_of(found, frame=frame['Frame'])[..., 0] == expected).all()
            assert (frame['ValueT'], frame['ValueZ']) == (f'day {t}', z * 0.5 + t)
        assert found.gcps == [[1, 2, -40, -30], [3, 4, 60, 20]], 'in pixels of what was written'
    assert source.gcps == [[1, 2, 0, 0], [3, 4, 100, 50]]


def test_threads_lose_no_frame_and_no_value() -> None:
    """Fault 12 of 1.35.6: growing axes from several threads."""
    source: Any = gz.new()
    start = threading.Barrier(4)

    def add(worker: int) -> None:
        start.wait()
        for t in range(worker, 40, 4):
            source.addTile(np.full((30, 30), t + 1, np.uint8), worker * 30, 0, t=t, t_value=t * 1.5)

    threads = [threading.Thread(target=add, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    frames = source.getMetadata()['frames']
    assert [frame['ValueT'] for frame in frames] == [t * 1.5 for t in range(40)]
    for t, frame in enumerate(frames):
        left = t % 4 * 30
        assert (pixels_of(source, frame=frame['Frame'])[:, left : left + 30] == t + 1).all()
    assert source.frameValues.shape == (40, 1)


def test_the_metadata_is_in_order_and_no_other_file_is_left(tmp_path: Path) -> None:
    """Fault 15 of 1.35.6: levels in the order 0, 1, 10, 2, and a lock file."""
    source = gz.new()
    source.addTile(np.full((10, 10, 3), 9, np.uint8), 200_000, 5)
    source.write(tmp_path / 'image.zarr', chunk=64)
    entry = attributes_of(tmp_path / 'image.zarr')['ome']['multiscales'][0]
    paths = [dataset['path'] for dataset in entry['datasets']]
    assert paths == [str(level) for level in range(13)]
    for dataset in entry['datasets']:
        assert all(size > 0 for size in dataset['coordinateTransformations'][0]['scale'])
    names = {path.name for path in (tmp_path / 'image.zarr').iterdir()}
    assert names == {'zarr.json', *paths}


def test_values_have_the_axes_order_of_1_35_6() -> None:
    """The axis that was named last is the slowest, also where it comes later than the others."""
    source: Any = gz.new()
    for c, z in itertools.product(range(2), range(3)):
        source.addTile(np.full((4, 4), 1, np.uint8), c=c, z=z, c_value=f'dye {c}', z_value=z * 10)
    assert source.frameAxes == ['z', 'c']
    assert source.frameValues.shape == (3, 2, 2)
    assert source.frameValues[2, 1].tolist() == [20, 'dye 1']
    source.addTile(np.full((4, 4), 1, np.uint8), c=0, z=0, t=1, t_value='later')
    assert source.frameAxes == ['t', 'z', 'c']
    assert source.frameValues[0, 2, 1].tolist() == [0, 20, 'dye 1']
    assert source.frameValues[1, 0, 0].tolist() == ['later', 0, 0]
    assert source.getMetadata()['frames'][5]['ValueZ'] == 20


def test_values_may_be_given_as_an_array(tmp_path: Path) -> None:
    source: Any = gz.new()
    source.addTile(np.ones((2, 3, 8, 8), np.uint8), axes='tzyx')
    source.frameAxes = ['z', 't']
    values = np.zeros((3, 2, 2))
    values[..., 0] = np.arange(3)[:, None] + np.arange(2) / 10
    values[..., 1] = np.arange(2)
    source.frameValues = values
    source.frameUnits = {'z': 'mm', 't': 's'}
    source.write(tmp_path / 'image.zarr')
    for one in (source, gz.open(str(tmp_path / 'image.zarr'))):
        for frame in one.getMetadata()['frames']:
            z, t = frame['IndexZ'], frame['IndexT']
            assert (frame['ValueZ'], frame['ValueT']) == (z + t / 10, t)
            assert json.dumps(frame)
        assert one.frameUnits == {'z': 'mm', 't': 's'}


def test_channel_colours_are_a_list_in_every_image(tmp_path: Path) -> None:
    source = gz.new()
    assert source.channelColors == []
    source.addTile(np.ones((2, 8, 8), np.uint8), axes='cyx')
    source.channelColors = ['#f00', 'blue']
    assert source.channelColors == ['#f00', 'blue']
    source.write(tmp_path / 'image.zarr')
    assert gz.open(str(tmp_path / 'image.zarr')).channelColors == ['FF0000', '0000FF']
    rgb = gz.new()
    rgb.addTile(RGB)
    rgb.write(tmp_path / 'rgb.zarr')
    assert gz.open(str(tmp_path / 'rgb.zarr')).channelColors == [], 'bands are no channels'


def test_names_of_channels_with_bands_come_back(tmp_path: Path) -> None:
    source = gz.new()
    for c in range(2):
        source.addTile(RGB, c=c)
    source.channelNames = ['one', 'two']
    source.write(tmp_path / 'image.zarr')
    labels = [
        channel['label'] for channel in attributes_of(tmp_path / 'image.zarr')['ome']['omero']['channels']
    ]
    assert labels == ['one Red', 'one Green', 'one Blue', 'two Red', 'two Green', 'two Blue']
    reopened = gz.open(str(tmp_path / 'image.zarr'))
    assert reopened.channelNames == ['one', 'two']
    assert reopened.getMetadata()['channels'] == ['one', 'two']


def test_a_projection_needs_pyproj_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    source = gz.new()
    monkeypatch.setitem(sys.modules, 'pyproj', None)
    with pytest.raises(EditError, match='A projection needs pyproj, which is not installed'):
        source.projection = 'epsg:3857'
    assert source.projection is None


def test_projection_and_control_points_come_back(tmp_path: Path) -> None:
    source = gz.new()
    source.addTile(RGB)
    source.gcps = [(1, 2, 0, 0), '3 4 10 10']
    source.write(tmp_path / 'image.zarr')
    # as it is written where pyproj is installed
    document = tmp_path / 'image.zarr' / 'zarr.json'
    content = json.loads(document.read_bytes())
    content['attributes']['ome']['girder_zarr']['projection'] = 'epsg:3857'
    document.write_text(json.dumps(content))
    found = gz.open(str(tmp_path / 'image.zarr'))
    assert (found.projection, found.gcps) == ('epsg:3857', [[1, 2, 0, 0], [3, 4, 10, 10]])
    edited = gz.open(str(tmp_path / 'image.zarr'), editable=True)
    edited.write(tmp_path / 'again.zip')
    again = gz.open(str(tmp_path / 'again.zip'))
    assert (again.projection, again.gcps) == (found.projection, found.gcps)


def test_projection_with_pyproj(tmp_path: Path) -> None:
    pytest.importorskip('pyproj', reason='needs pyproj')
    source = gz.new()
    source.addTile(RGB)
    source.projection = 'epsg:3857'
    source.gcps = '1 2 0 0 3 4 10 10'
    source.write(tmp_path / 'image.zarr')
    assert gz.open(str(tmp_path / 'image.zarr')).projection == 'epsg:3857'


@pytest.mark.parametrize(
    ('stored', 'description', 'further'),
    [
        ('words', 'words', None),
        ({'description': 'words', 'additionalMetadata': {'a': 1}}, 'words', {'a': 1}),
        ({'description': {'b': 2}, 'additionalMetadata': None}, {'b': 2}, None),
        ({'description': None, 'additionalMetadata': [1]}, None, [1]),
    ],
)
def test_descriptions_that_1_35_6_wrote(
    tmp_path: Path, stored: object, description: object, further: object
) -> None:
    """It keeps description and additional metadata in one object."""
    source = gz.new()
    source.addTile(RGB)
    source.write(tmp_path / 'image.zarr', version='0.4')
    document = tmp_path / 'image.zarr' / '.zattrs'
    content = json.loads(document.read_bytes())
    content['multiscales'][0]['metadata']['description'] = stored
    document.write_text(json.dumps(content))
    found = gz.open(str(tmp_path / 'image.zarr'))
    assert (found.imageDescription, found.additionalMetadata) == (description, further)
    parsed = parse_attributes(content).multiscales[0]
    assert parsed.description is None or isinstance(parsed.description, str)
