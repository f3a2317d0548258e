"""What programs written for large-image-source-zarr 1.35.6 rely on."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from large_image.exceptions import TileSourceError

import girder_zarr.image as gz

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures('temporary_directory')
TILE = np.arange(60 * 80, dtype=np.uint8).reshape(60, 80)


def new(**place: Any) -> gz.ZarrFileTileSource:
    source = gz.new()
    source.addTile(TILE, 0, 0, **place)
    return source


def test_channels_have_names_wherever_there_is_a_channel_axis(tmp_path: Path) -> None:
    source = new(c=2)
    metadata = source.getMetadata()
    assert metadata['channels'] == ['Band 1', 'Band 2', 'Band 3']
    assert metadata['channelmap'] == {'Band 1': 0, 'Band 2': 1, 'Band 3': 2}
    assert 'channels' not in new(z=2).getMetadata()


def test_positions_that_were_never_written_have_the_value_0() -> None:
    source = new(z=2, z_value=1.5)
    assert [frame['ValueZ'] for frame in source.getMetadata()['frames']] == [0, 0, 1.5]
    assert source.frameValues is not None
    assert source.frameValues[..., 0].tolist() == [0, 0, 1.5]


@pytest.mark.parametrize('order', ['tzd', 'tdz', 'dzt', 'dtz', 'ztd', 'zdt'])
def test_frames_without_a_tile_have_the_value_0_for_every_axis(order: str) -> None:
    """The order of frames is the one in which a tile names its axes, new ones among the known."""
    source = gz.new()
    tiles: list[dict[str, Any]] = [
        {'t': 0, 't_value': 'sunday'},
        {'t': 5, 't_value': 'friday', 'z': 1, 'z_value': 0.1, 'axes': order.replace('d', '') + 'yxs'},
        {
            't': 6,
            't_value': 'saturday',
            'z': 2,
            'z_value': 0.2,
            'd': 1,
            'd_value': 100,
            'axes': order + 'yxs',
        },
    ]
    for tile in tiles:
        source.addTile(np.ones((4, 4, 4)), x=20, y=20, **tile)
    metadata = source.getMetadata()
    strides, sizes = metadata['IndexStride'], {'t': 7, 'z': 3, 'd': 2}
    expected, stride = {}, 1
    for axis in reversed(order):
        expected[f'Index{axis.upper()}'] = stride
        stride *= sizes[axis]
    assert strides == expected
    given = {0: tiles[0], strides['IndexT'] * 5 + strides['IndexZ']: tiles[1], 41: tiles[2]}
    for number, frame in enumerate(metadata['frames']):
        tile = given.get(number, {})
        assert [frame[f'Value{axis.upper()}'] for axis in 'tzd'] == [
            tile.get(f'{axis}_value', 0) for axis in 'tzd'
        ]
        assert (source.getRegion(frame=number, format='numpy')[0][20:, 20:] == bool(tile)).all()


def test_equal_steps_of_an_image_with_missing_frames_are_a_scale(tmp_path: Path) -> None:
    source = gz.new()
    for z in range(3):
        source.addTile(TILE, z=z, t=z, z_value=10 + z / 2)
    source.write(tmp_path / 'image.zarr')
    item = json.loads((tmp_path / 'image.zarr' / 'zarr.json').read_bytes())['attributes']['ome'][
        'multiscales'
    ][0]
    transforms = item['datasets'][0]['coordinateTransformations']
    assert (transforms[0]['scale'][1], transforms[1]['translation'][1]) == (0.5, 10)


OTHER = """
import sys, numpy as np, large_image
image = large_image.open(sys.argv[1])
image.addTile(np.ones((1, 1, 1)), x=247, y=247, t=5, z=2, t_value='thursday', z_value=0.2)
image.addTile(np.full((1, 2, 3, 3, 1), 2.0), x=100, y=100, t=1)
image.addAssociatedImage(np.ones((70, 80, 3), np.uint8), 'label')
"""


@pytest.mark.parametrize('opened', ['large_image', 'large_image_source_zarr'])
def test_another_process_opens_the_path_of_a_new_image_and_adds_to_it(opened: str) -> None:
    sink = gz.new()
    sink.addTile(np.zeros((1, 1, 1, 1, 1)), axes='ztyxs')
    code = OTHER.replace('large_image', opened)
    subprocess.run([sys.executable, '-c', code, sink.largeImagePath], check=True, capture_output=True)
    sink.addTile(np.ones((1, 1, 1)), x=500, y=409, t=0, z=4, t_value='sunday', z_value=0.4)
    metadata = sink.getMetadata()
    assert metadata['IndexRange'] == {'IndexZ': 5, 'IndexT': 6}
    frames = {(one['IndexT'], one['IndexZ']): one for one in metadata['frames']}
    assert [frames[5, 2][f'Value{axis}'] for axis in 'TZ'] == ['thursday', 0.2]
    assert [frames[0, 4][f'Value{axis}'] for axis in 'TZ'] == ['sunday', 0.4]
    assert [frames[3, 3][f'Value{axis}'] for axis in 'TZ'] == [0, 0]
    for place, frame, value in (((247, 247), (5, 2), 1), ((500, 409), (0, 4), 1), ((101, 101), (2, 0), 2)):
        pixels = sink.getRegion(frame=frames[frame]['Frame'], format='numpy')[0]
        assert pixels[place[1], place[0], 0] == value
    assert sink.sizeX == 501
    assert sink.getAssociatedImagesList() == ['label']


def test_the_path_of_a_new_image_is_the_image_itself_where_it_was_made() -> None:
    sink = gz.new()
    assert gz.open(sink.largeImagePath) is sink
    path = sink.largeImagePath
    sink.close()
    assert gz.open(path) is not sink


def test_the_module_has_the_names_of_the_one_whose_place_it_takes() -> None:
    import large_image_source_zarr

    sink = large_image_source_zarr.new()
    assert isinstance(sink, large_image_source_zarr.ZarrFileTileSource)
    assert large_image_source_zarr.canRead(sink.largeImagePath)
    assert large_image_source_zarr.open is gz.open


@pytest.mark.parametrize('bands', [1, 3])
@pytest.mark.parametrize('name', ['image.zarr', 'image.tiff'])
def test_channels_without_names_are_counted_as_bands_in_files_too(
    tmp_path: Path, bands: int, name: str
) -> None:
    import large_image

    source = gz.new()
    source.addTile(np.zeros((4, 60, 80, bands), np.uint8), axes='cyxs')
    source.write(tmp_path / name, lossy=False)
    names = [f'Band {number}' for number in range(1, 5)]
    written = large_image.open(str(tmp_path / name))
    assert written.getMetadata()['channels'] == names
    if name == 'image.zarr':
        assert written.channelNames == names
        edited = gz.open(str(tmp_path / name), editable=True)
        edited.write(tmp_path / name)
        assert gz.open(str(tmp_path / name)).getMetadata()['channels'] == names
        edited.channelNames = ['a', 'b', 'c', 'd']
        edited.write(tmp_path / name)
        assert gz.open(str(tmp_path / name)).getMetadata()['channels'] == ['a', 'b', 'c', 'd']


@pytest.mark.parametrize('axes', [5, 'yz', 'ys'])
def test_axes_that_cannot_be_are_value_errors_as_well(axes: Any) -> None:
    with pytest.raises(ValueError, match=r'Invalid (type|value) for axes'):
        gz.new().addTile(TILE, axes=axes)


@pytest.mark.parametrize('name', ['minWidth', 'minHeight', 'mm_x', 'mm_y'])
def test_messages_of_sizes(name: str) -> None:
    with pytest.raises(TileSourceError) as found:
        setattr(gz.new(), name, -1)
    assert str(found.value) == f'{name} must be positive or None'


@pytest.mark.parametrize(
    'given', [[(1, 2, 3, 4), (5, 6, 7, 8)], [[1.5, 2, 3, 4], [5, 6, 7, 8]], [(1, 2, 3, 4), [5, 6, 7, 8]]]
)
def test_control_points_come_back_as_they_were_given(given: Any) -> None:
    source = gz.new()
    source.gcps = given
    assert source.gcps == given
    source.gcps = '1 2 3 4 5 6 7 8'
    assert source.gcps == [[1, 2, 3, 4], [5, 6, 7, 8]]


@pytest.mark.parametrize('version', ['0.4', '0.5', '0.6'])
def test_internal_metadata_is_at_the_same_place_in_every_version(tmp_path: Path, version: str) -> None:
    source = new()
    source.imageDescription = 'a mouse'
    source.additionalMetadata = {'a': [1, 2]}
    expected = {'description': 'a mouse', 'additionalMetadata': {'a': [1, 2]}}
    source.write(tmp_path / 'image.zarr', version=version)
    for one in (source, gz.open(str(tmp_path / 'image.zarr'))):
        base = one.getInternalMetadata()['zarr']['base']
        assert base['multiscales'][0]['metadata']['description'] == expected
        json.dumps(base)


@pytest.mark.parametrize('version', ['0.4', '0.5'])
@pytest.mark.parametrize('name', ['.zattrs', '.zgroup', 'zarr.json'])
def test_any_file_of_metadata_opens_the_image(tmp_path: Path, version: str, name: str) -> None:
    new().write(tmp_path / 'image.zarr', version=version)
    source = gz.open(str(tmp_path / 'image.zarr' / name))
    assert (source.getRegion(format='numpy')[0][..., 0] == TILE).all()


def test_the_group_of_a_new_image_can_be_read() -> None:
    source = gz.new()
    assert not list(source._zarr.arrays())
    source.addTile(TILE, 0, 0)
    assert (source._zarr['0'][..., 0] == TILE).all()
    source.addTile(TILE, 80, 0)
    assert source._zarr['0'].shape == (60, 160, 1)
    source.addTile(np.stack([TILE] * 3, -1), 0, 0, z=2)
    assert source._zarr['0'].shape == (3, 60, 160, 3)
    assert (source._zarr['0'][2, :, :80, 1] == TILE).all()
    assert source._zarr.attrs['multiscales'][0]['axes'][0]['name'] == 'z'


def test_keywords_that_a_format_does_not_know_are_passed_over(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match='passes over colour'):
        new().write(tmp_path / 'image.zarr', colour='red', compression='lzw')
    with pytest.warns(UserWarning, match='does not know chunk'):
        new().write(tmp_path / 'image.tiff', chunk=256, lossy=False)


@pytest.mark.parametrize('name', ['projection', 'gcps'])
def test_half_a_georeference_is_said_after_the_file_was_written(tmp_path: Path, name: str) -> None:
    source = new()
    setattr(source, name, 'EPSG:3857' if name == 'projection' else [[1, 2, 3, 4], [5, 6, 7, 8]])
    with pytest.raises(TileSourceError, match='Cannot write georeferenced file'):
        source.write(tmp_path / 'image.tiff', lossy=False)
    assert (tmp_path / 'image.tiff').is_file()


@pytest.mark.parametrize('top', [1, 255, 65535, 1e9])
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('name', ['image.zarr', 'image.zip', 'image.tiff'])
def test_a_float_image_is_not_white(tmp_path: Path, top: float, dtype: Any, name: str) -> None:
    import io

    import large_image
    import PIL.Image

    ramp = np.tile(np.linspace(0, top, 300)[None, :, None], (200, 1, 3)).astype(dtype)
    source = gz.new()
    source.addTile(ramp)
    source.write(tmp_path / name, lossy=False)
    data = large_image.open(str(tmp_path / name)).getThumbnail(encoding='PNG')[0]
    assert 115 < np.asarray(PIL.Image.open(io.BytesIO(data)).convert('RGB')).mean() < 135
