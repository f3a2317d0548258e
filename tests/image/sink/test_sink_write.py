"""Writing new images as a user of large_image does: what others read, what survives a round trip."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import large_image
import numpy as np
import PIL.Image
import pytest
import tifffile
import zarr
from large_image.exceptions import TileSourceError
from large_image.tilesource.resample import ResampleMethod

import girder_zarr.image as gz
from girder_zarr.errors import EditError
from support.images import level_0, ome_of
from support.images import region as pixels_of

if TYPE_CHECKING:
    from pathlib import Path

RGB = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)


pytestmark = pytest.mark.usefixtures('temporary_directory')


def test_frames_of_named_axes_survive_a_round_trip(tmp_path: Path) -> None:
    source = gz.new()
    expected = {}
    for t in range(2):
        for c in range(3):
            for z in range(2):
                tile = np.full((70, 80), 100 * t + 10 * c + z, np.uint16)
                source.addTile(tile, t=t, c=c, z=z, z_value=z * 1.5, t_value=f'day {t}')
                expected[t, c, z] = tile
    source.channelNames = ['DAPI', 'GFP', 'Cy5']
    source.channelColors = ['#0000ff', '00FF00', 'red']
    source.frameUnits = {'z': 'micrometer'}
    for path in (tmp_path / 'image.zarr', tmp_path / 'image.zip'):
        source.write(path)
        reopened = gz.open(str(path))
        metadata = reopened.getMetadata()
        assert metadata['channels'] == ['DAPI', 'GFP', 'Cy5']
        for frame in metadata['frames']:
            key = frame['IndexT'], frame['IndexC'], frame['IndexZ']
            assert (pixels_of(reopened, frame=frame['Frame'])[..., 0] == expected[key]).all()
            assert (frame['ValueZ'], frame['ValueT']) == (key[2] * 1.5, f'day {key[0]}')
    omero = ome_of(tmp_path / 'image.zarr')['omero']
    assert [channel['color'] for channel in omero['channels']] == ['0000FF', '00FF00', 'FF0000']


def test_values_that_differ_from_frame_to_frame_are_kept(tmp_path: Path) -> None:
    source = gz.new()
    for c in range(2):
        for z in range(3):
            source.addTile(np.full((8, 8), 1, np.uint8), c=c, z=z, c_value=c, z_value=z + c / 10)
    source.write(tmp_path / 'image.zarr')
    for one in (source, gz.open(str(tmp_path / 'image.zarr'))):
        for frame in one.getMetadata()['frames']:
            assert frame['ValueZ'] == frame['IndexZ'] + frame['IndexC'] / 10


def test_channels_with_bands_survive_a_round_trip(tmp_path: Path) -> None:
    source = gz.new()
    for c in range(2):
        source.addTile(RGB // (c + 1), c=c)
    source.channelNames = ['one', 'two']
    source.write(tmp_path / 'image.zarr')
    assert level_0(tmp_path / 'image.zarr').shape == (6, 300, 400)
    reopened = gz.open(str(tmp_path / 'image.zarr'))
    assert reopened.getMetadata()['bandCount'] == 3
    assert (pixels_of(reopened, frame=0) == RGB).all()
    assert (pixels_of(reopened, frame=1) == RGB // 2).all()


@pytest.mark.parametrize('suffix', ['.zarr', '.zip', '.zarr.zip', '.ozx'])
@pytest.mark.parametrize('version', ['0.4', '0.5', '0.6'])
def test_what_is_written_is_read_by_zarr_and_by_us(tmp_path: Path, suffix: str, version: str) -> None:
    source = gz.new()
    source.addTile(RGB, -20, 600)
    source.mm_x = source.mm_y = 0.0005
    path = tmp_path / f'image{suffix}'
    if (suffix, version) == ('.ozx', '0.4'):
        with pytest.raises(EditError, match=r'\.ozx'):
            source.write(path, version=version)
        return
    source.write(path, version=version)
    assert (np.moveaxis(level_0(path), 0, -1) == pixels_of(source)).all()
    reopened = gz.open(str(path))
    assert (pixels_of(reopened) == pixels_of(source)).all()
    metadata = reopened.getMetadata()
    assert (metadata['mm_x'], metadata['mm_y'], metadata['magnification']) == (0.0005, 0.0005, 20)


def test_one_band_is_written_as_one_picture(tmp_path: Path) -> None:
    source = gz.new()
    source.addTile(np.full((700, 900), 4242, np.uint16))
    source.write(tmp_path / 'image.zip')
    assert level_0(tmp_path / 'image.zip').shape == (700, 900)
    metadata = gz.open(str(tmp_path / 'image.zip')).getMetadata()
    assert (metadata['sizeX'], metadata['sizeY'], metadata['bandCount']) == (900, 700, 1)


def test_writing_twice_and_adding_in_between(tmp_path: Path) -> None:
    source = gz.new()
    source.addTile(RGB)
    source.write(tmp_path / 'image.zarr')
    source.write(tmp_path / 'image.zarr')
    source.addTile(RGB, 400, 0)
    source.write(tmp_path / 'image.zarr')
    assert level_0(tmp_path / 'image.zarr').shape == (3, 300, 800)
    assert [path.name for path in tmp_path.iterdir()] == ['image.zarr']


def test_min_size_pads_and_never_cuts(tmp_path: Path) -> None:
    source = gz.new()
    source.addTile(RGB)
    source.minWidth, source.minHeight = 100, 650
    source.write(tmp_path / 'image.zarr')
    pixels = level_0(tmp_path / 'image.zarr')
    assert pixels.shape == (3, 650, 400)
    assert (np.moveaxis(pixels, 0, -1)[:300] == RGB).all()
    assert not pixels[:, 300:].any()
    source.crop = (0, 0, 100, 100)
    source.minWidth = 200
    source.write(tmp_path / 'image.zarr')
    pixels = level_0(tmp_path / 'image.zarr')
    assert pixels.shape == (3, 650, 200)
    assert not pixels[:, :, 100:].any()


def test_a_crop_keeps_everything_that_is_known_about_the_image(tmp_path: Path) -> None:
    source = gz.new()
    for c in range(2):
        source.addTile(RGB[..., 0], c=c, c_value=f'value {c}')
    source.channelNames = ['one', 'two']
    source.mm_x = source.mm_y = 0.001
    source.imageDescription = 'a description'
    source.crop = (10, 10, 50, 50)
    source.write(tmp_path / 'image.zarr')
    reopened = gz.open(str(tmp_path / 'image.zarr'))
    metadata = reopened.getMetadata()
    assert (metadata['sizeX'], metadata['mm_x'], metadata['channels']) == (50, 0.001, ['one', 'two'])
    assert [frame['ValueC'] for frame in metadata['frames']] == ['value 0', 'value 1']
    entry = ome_of(tmp_path / 'image.zarr')['multiscales'][0]
    assert entry['metadata']['description'] == 'a description'
    source.crop = (1000, 0, 5, 5)
    with pytest.raises(EditError, match='outside the image'):
        source.write(tmp_path / 'image.zarr')
    assert gz.open(str(tmp_path / 'image.zarr')).sizeX == 50


def test_an_existing_file_is_not_touched_unless_allowed(tmp_path: Path) -> None:
    path = tmp_path / 'image.zip'
    path.write_bytes(b'precious')
    source = gz.new()
    source.addTile(RGB)
    with pytest.raises(TileSourceError, match='may not be replaced'):
        source.write(path, overwriteAllowed=False)
    assert path.read_bytes() == b'precious'

    def stop() -> None:
        raise EditError('stopped')

    with pytest.raises(EditError, match='stopped'):
        source.write(path, check=stop)
    assert path.read_bytes() == b'precious'
    assert [one.name for one in tmp_path.iterdir()] == ['image.zip']
    source.write(path)
    assert (np.moveaxis(level_0(path), 0, -1) == RGB).all()


KILLED = """
import sys, numpy as np, girder_zarr.image as gz
source = gz.new()
source.addTile(np.random.default_rng(0).integers(0, 255, (3000, 3000, 3), np.uint8))
count = 0
def check():
    global count
    count += 1
    if count == int(sys.argv[2]):
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
source.write(sys.argv[1], check=check)
"""


@pytest.mark.parametrize('chunks', [1, 20])
def test_a_killed_write_leaves_the_old_file(tmp_path: Path, chunks: int) -> None:
    path = tmp_path / 'image.zip'
    path.write_bytes(b'old')
    done = subprocess.run([sys.executable, '-c', KILLED, str(path), str(chunks)], check=False)
    assert done.returncode == -9
    assert path.read_bytes() == b'old'


def test_associated_images_may_come_first_and_twice(tmp_path: Path) -> None:
    source = gz.new()
    source.addAssociatedImage(RGB[..., 0], 'gray')
    source.addAssociatedImage(RGB[:20, :30], 'label')
    source.addAssociatedImage(RGB[:10, :30], 'label')
    source.addAssociatedImage(PIL.Image.fromarray(RGB))
    source.addTile(RGB)
    source.write(tmp_path / 'image.zarr')
    group: Any = zarr.open_group(tmp_path / 'image.zarr', mode='r')
    assert (np.moveaxis(group['associated/label/0'][:], 0, -1) == RGB[:10, :30]).all()
    assert (group['associated/gray/0'][:][0] == RGB[..., 0]).all()
    assert set(group['associated'].group_keys()) == {'gray', 'label', 'image_3'}
    for one in (source, gz.open(str(tmp_path / 'image.zarr'))):
        assert sorted(one.getAssociatedImagesList()) == ['gray', 'image_3', 'label']
        label = one.getAssociatedImage('label', format=large_image.constants.TILE_FORMAT_NUMPY)[0]
        assert (label == RGB[:10, :30]).all()
    for key in ('../up', '', 'a/b'):
        with pytest.raises(EditError, match='name of an associated image'):
            source.addAssociatedImage(RGB, key)


def test_properties_survive_a_round_trip(tmp_path: Path) -> None:
    source = gz.new()
    source.addTile(RGB)
    source.magnification = 33
    source.mm_x = source.mm_y = 0.002
    source.imageDescription = {'a': ['description']}
    source.additionalMetadata = {'further': 1}
    source.write(tmp_path / 'image.zip')
    reopened = gz.open(str(tmp_path / 'image.zip'))
    assert reopened.getMetadata()['magnification'] == 33
    assert (reopened.mm_x, reopened.mm_y) == (0.002, 0.002)
    assert reopened.imageDescription == {'a': ['description']}
    assert reopened.additionalMetadata == {'further': 1}


def test_labels_are_not_averaged_and_a_method_can_be_named(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 2**31, (600, 600), np.int32)
    source = gz.new()
    source.addTile(labels)
    source.write(tmp_path / 'image.zarr')
    group: Any = zarr.open_group(tmp_path / 'image.zarr', mode='r')
    assert (group['1'][:] == labels[::2, ::2]).all()
    source.write(tmp_path / 'image.zarr', resample=ResampleMethod.NP_MAX, maxLevels=2)
    group = zarr.open_group(tmp_path / 'image.zarr', mode='r')
    assert (group['1'][:] == labels.reshape(300, 2, 300, 2).max(axis=(1, 3))).all()


def test_options_of_the_output(tmp_path: Path) -> None:
    source = gz.new()
    source.addTile(np.dstack([RGB, RGB[..., 0]]), c=0)
    source.write(
        tmp_path / 'image.zarr',
        alpha=False,
        chunk=64,
        shard=256,
        codec='zstd',
        windows=[(10, 20)],
        name='named',
    )
    group: Any = zarr.open_group(tmp_path / 'image.zarr', mode='r')
    array = group['0']
    assert (array.shape, array.chunks, array.shards) == ((3, 300, 400), (3, 64, 64), (3, 256, 256))
    assert (np.moveaxis(array[:], 0, -1) == RGB).all()
    ome = dict(group.attrs)['ome']
    assert ome['multiscales'][0]['name'] == 'named'
    assert ome['omero']['channels'][0]['window'] == {'min': 0, 'max': 255, 'start': 10, 'end': 20}
    with pytest.warns(UserWarning, match='passes over chunks'):
        source.write(tmp_path / 'image.zarr', chunks=64)


def test_other_formats_go_through_the_converter(tmp_path: Path) -> None:
    source = gz.new()
    source.addTile(RGB)
    try:
        importlib.import_module('pyvips')
    except (ImportError, OSError):
        with pytest.raises(EditError, match='large_image_converter, which cannot be used here'):
            source.write(tmp_path / 'image.tiff')
        assert list(tmp_path.iterdir()) == []
        pytest.skip('needs libvips')
    source.write(tmp_path / 'image.tiff', lossy=False)
    with tifffile.TiffFile(tmp_path / 'image.tiff') as tiff:
        assert (tiff.pages[0].asarray() == RGB).all()
    assert [path.name for path in tmp_path.iterdir()] == ['image.tiff']


def test_georeference_needs_control_points(tmp_path: Path) -> None:
    pytest.importorskip('pyproj', reason='needs pyproj')
    source = gz.new()
    source.addTile(RGB)
    source.projection = 'epsg:3857'
    with pytest.raises(EditError, match='GCPs were not specified'):
        source.write(tmp_path / 'image.tiff')
    source.gcps = '1 2 0 0 3 4 10 10'
    assert source.gcps == [[1, 2, 0, 0], [3, 4, 10, 10]]
    with pytest.warns(UserWarning, match='Removed duplicate GCPs'):
        source.gcps = [(1, 2, 0, 0), '1 2 5 5', [3, 4, 10, 10]]
