"""New images as a user of large_image makes them: addTile, properties, write, and reading back."""

from __future__ import annotations

import gc
import importlib
import io
import os
import subprocess
import sys
import threading
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

if TYPE_CHECKING:
    from pathlib import Path

RGB = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)


@pytest.fixture(autouse=True)
def temporary_directory(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp('tmpdir')
    monkeypatch.setenv('TMPDIR', str(folder))
    monkeypatch.setattr('tempfile.tempdir', None)
    return folder


def pixels_of(source: Any, **kwargs: Any) -> np.ndarray:
    """The whole image as large_image gives it, (y, x, band)."""
    return np.asarray(source.getRegion(format=large_image.constants.TILE_FORMAT_NUMPY, **kwargs)[0])


def ome_of(path: Path) -> Any:
    return dict(zarr.open_group(path, mode='r').attrs)['ome']


def level_0(path: Path) -> np.ndarray:
    store: Any = path if path.is_dir() else zarr.storage.ZipStore(path, mode='r')
    group: Any = zarr.open_group(store, mode='r')
    result = np.asarray(group['0'][:])
    if path.is_file():
        store.close()
    return result


def test_large_image_makes_new_images_with_this_source() -> None:
    source = large_image.new()
    assert isinstance(source, gz.ZarrFileTileSource)
    source.addTile(RGB, 10, 20)
    assert (source.sizeX, source.sizeY) == (410, 320)


def test_an_empty_image_says_so(tmp_path: Path) -> None:
    source = gz.new()
    assert source.getMetadata()['sizeX'] == 0
    with pytest.raises(EditError, match='empty'):
        source.write(tmp_path / 'image.zarr')
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('form', ['numpy', 'pillow', 'png', 'tiff'])
def test_a_tile_may_be_an_array_an_image_or_a_file(form: str) -> None:
    picture = PIL.Image.fromarray(RGB)
    content = io.BytesIO()
    if form in {'png', 'tiff'}:
        picture.save(content, form)
    tile = {'numpy': RGB, 'pillow': picture}.get(form, content.getvalue())
    source = gz.new()
    source.addTile(tile, 5, 7)
    assert (pixels_of(source)[7:, 5:] == RGB).all()


@pytest.mark.parametrize(
    ('mode', 'dtype', 'bands'),
    [
        ('L', 'uint8', 1),
        ('I;16', 'uint16', 1),
        ('F', 'float32', 1),
        ('P', 'uint8', 3),
        ('1', 'uint8', 1),
        ('CMYK', 'uint8', 3),
        ('LA', 'uint8', 2),
    ],
)
def test_pillow_modes_keep_their_type(mode: str, dtype: str, bands: int) -> None:
    source = gz.new()
    source.addTile(PIL.Image.new(mode, (8, 6)))
    assert (source.dtype, source.bandCount) == (dtype, bands)


def test_negative_positions_move_the_origin() -> None:
    source = gz.new()
    source.addTile(RGB, 0, 0)
    source.addTile(RGB[:50, :60], -700, -30)
    whole = pixels_of(source)
    assert whole.shape == (330, 1100, 3)
    assert (whole[30:, 700:] == RGB).all()
    assert (whole[:50, :60] == RGB[:50, :60]).all()


def test_crop_counts_from_the_most_negative_position(tmp_path: Path) -> None:
    source = gz.new()
    source.addTile(RGB, -100, -100)
    source.crop = (50, 60, 200, 1000)
    source.write(tmp_path / 'image.zarr')
    assert (np.moveaxis(level_0(tmp_path / 'image.zarr'), 0, -1) == RGB[60:, 50:250]).all()


def test_gaps_cost_nothing_and_read_as_zero(tmp_path: Path) -> None:
    source = gz.new()
    source.addTile(RGB, 0, 0)
    source.addTile(RGB, 29_000, 29_000)
    source.write(tmp_path / 'image.zip')
    assert (tmp_path / 'image.zip').stat().st_size < 2_000_000
    assert not pixels_of(source, region={'left': 10_000, 'top': 10_000, 'width': 600, 'height': 600}).any()
    reopened = gz.open(str(tmp_path / 'image.zip'))
    region = {'left': 29_000, 'top': 29_000, 'width': 400, 'height': 300}
    assert (pixels_of(reopened, region=region) == RGB).all()


def test_the_image_shows_what_has_been_added_so_far() -> None:
    source = gz.new()
    source.addTile(RGB, 0, 0)
    assert (source.getTile(0, 0, 0, numpyAllowed=True)[:300, :400] == RGB).all()
    source.addTile(255 - RGB, 0, 0)
    assert (source.getTile(0, 0, 0, numpyAllowed=True)[:300, :400] == 255 - RGB).all()
    assert source.getThumbnail()[0]


def test_masks_keep_what_was_there() -> None:
    mask = np.zeros((300, 400), bool)
    mask[:, ::2] = True
    expected = np.where(mask[..., None], 255 - RGB, RGB)
    for given in (mask, mask[..., None]):
        source = gz.new()
        source.addTile(RGB)
        source.addTile(255 - RGB, mask=given)
        assert (pixels_of(source) == expected).all()


def test_a_flat_mask_serves_every_frame_and_is_never_transposed() -> None:
    mask = np.array([[1, 1, 1], [0, 0, 0], [0, 0, 0]], bool)
    source = gz.new()
    source.addTile(np.zeros((3, 3, 3), np.uint8), t=1)
    source.addTile(np.full((3, 3, 3), 9, np.uint8), mask=mask, t=1)
    assert (pixels_of(source, frame=1)[..., 0] == mask * 9).all()
    stack = np.full((2, 4, 5), 3, np.uint8)
    source = gz.new()
    source.addTile(stack, axes='tyx', mask=np.ones((4, 5), bool))
    source.addTile(stack * 2, axes='tyx', mask=np.arange(40).reshape(2, 4, 5) % 2 == 0)
    assert pixels_of(source, frame=1)[0, :, 0].tolist() == [6, 3, 6, 3, 6]


def test_a_wider_type_widens_the_image() -> None:
    source = gz.new()
    source.addTile(np.full((4, 4), 200, np.uint8))
    source.addTile(np.full((4, 4), 1000, np.uint16), 4, 0)
    source.addTile(np.full((4, 4), 0.5, np.float32), 8, 0)
    assert source.dtype == np.float32
    assert pixels_of(source)[0, ::4, 0].tolist() == [200, 1000, 0.5]
    with pytest.raises(EditError, match='does not fit'):
        source.addTile(np.full((4, 4), 2**60, np.int64))


def test_gray_tiles_and_colour_tiles_share_an_image() -> None:
    source = gz.new()
    source.addTile(np.full((4, 4), 77, np.uint8))
    source.addTile(RGB, 4, 0)
    source.addTile(np.full((4, 4), 88, np.uint8), 0, 4)
    whole = pixels_of(source)
    assert (whole[:4, :4] == 77).all()
    assert (whole[4:8, :4] == 88).all()
    assert (whole[:, 4:] == RGB).all()


def test_axes_may_come_late_be_left_out_or_be_in_another_order() -> None:
    source = gz.new()
    source.addTile(np.full((8, 8), 1, np.uint8), z=0)
    source.addTile(np.full((8, 8), 2, np.uint8), z=1)
    source.addTile(np.full((8, 8), 3, np.uint8), t=1, z=1)
    source.addTile(np.full((8, 8), 4, np.uint8))
    source.addTile(
        np.arange(8, dtype=np.uint8).reshape(8, 1, 1) * np.ones((1, 8, 1), np.uint8), axes='xyz', t=1
    )
    values = {}
    for frame in source.getMetadata()['frames']:
        values[frame['IndexT'], frame['IndexZ']] = pixels_of(source, frame=frame['Frame'])[..., 0]
    assert (values[0, 0] == 4).all()
    assert (values[0, 1] == 2).all()
    assert (values[1, 1] == 3).all()
    assert (values[1, 0] == np.arange(8)).all()


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


def test_threads_add_in_parallel() -> None:
    source = gz.new()
    expected = np.random.default_rng(1).integers(1, 255, (1000, 1000, 3), np.uint8)

    def add(start: int) -> None:
        for y in range(start * 50, 1000, 200):
            for x in range(0, 1000, 50):
                source.addTile(expected[y : y + 50, x : x + 50], x, y)

    threads = [threading.Thread(target=add, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (pixels_of(source) == expected).all()


def test_temporary_data_goes_away(temporary_directory: Path) -> None:
    for end in ('close', 'collect'):
        source = gz.new(memory=0, noCache=True)
        source.addTile(RGB)
        assert any(temporary_directory.iterdir())
        if end == 'close':
            source.close()
            with pytest.raises(EditError, match='Not an editable image'):
                source.addTile(RGB)
        del source
        gc.collect()
        assert not any(temporary_directory.iterdir()), end


def test_temporary_data_goes_away_on_exit(temporary_directory: Path) -> None:
    code = 'import numpy as np, girder_zarr.image as gz; s = gz.new(memory=0); s.addTile(np.ones((9, 9)))'
    subprocess.run(
        [sys.executable, '-c', code], check=True, env={**os.environ, 'TMPDIR': str(temporary_directory)}
    )
    assert not any(temporary_directory.iterdir())


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'tile': np.zeros(5)}, 'at least the axes y and x'),
        ({'tile': np.zeros((0, 5))}, 'must have pixels'),
        ({'tile': np.zeros((2, 2), complex)}, 'booleans, integers or floats'),
        ({'tile': np.array([['a']])}, 'booleans, integers or floats'),
        ({'tile': 'a.png'}, 'numpy array, a Pillow image or the bytes'),
        ({'tile': b'no image'}, 'not an image that can be decoded'),
        ({'x': 1.5}, 'position along x must be a whole number'),
        ({'y': 'top'}, 'position along y must be a whole number'),
        ({'x': float('nan')}, 'position along x must be a whole number'),
        ({'x': 2**60}, 'position along x must be a whole number'),
        ({'t': -1}, 'position along t must be a whole number from 0 on'),
        ({'level': 'abc'}, 'level must be 0'),
        ({'axes': 'zz'}, 'axes must hold y and x'),
        ({'axes': 5}, 'axes must be a string or a list'),
        ({'axes': 'yx', 'tile': np.zeros((2, 2, 2, 2))}, '4 dimensions, but its axes'),
        ({'tile': np.zeros((2, 2, 2, 2))}, 'axes must name the axes'),
        ({'mask': np.ones((3, 5))}, 'mask must have the shape'),
    ],
)
def test_bad_tiles_are_refused_and_change_nothing(arguments: dict[str, Any], message: str) -> None:
    source = gz.new()
    with pytest.raises(EditError, match=message):
        source.addTile(**{'tile': np.zeros((4, 4)), **arguments})
    assert source.sizeX == 0
    source.addTile(RGB)
    with pytest.raises(EditError, match=message):
        source.addTile(**{'tile': np.zeros((4, 4)), **arguments})
    assert (pixels_of(source) == RGB).all()


def test_a_tile_for_a_coarser_level_is_not_dropped_without_a_word(tmp_path: Path) -> None:
    source = gz.new()
    source.addTile(RGB, level='0')
    with pytest.warns(UserWarning, match='tile for level 1 is not kept'):
        source.addTile(RGB[:150, :200] // 2, level=1)
    source.write(tmp_path / 'image.zarr', chunk=256, resample='nearest')
    assert (level_0(tmp_path / 'image.zarr') == np.moveaxis(RGB, -1, 0)).all()
    group = zarr.open_group(tmp_path / 'image.zarr', mode='r')
    assert (np.asarray(group['1']) == np.moveaxis(RGB[::2, ::2], -1, 0)).all()


def test_positions_may_be_any_kind_of_whole_number() -> None:
    source = gz.new()
    source.addTile(RGB, np.uint8(250), 40.0, t=np.int64(0))
    source.addTile(RGB, np.uint8(255), np.float32(40))
    assert (source.sizeX, source.sizeY) == (655, 340)


def test_properties_check_what_they_are_given() -> None:
    source = gz.new()
    for name, value in [
        ('crop', (-1, 0, 5, 5)), ('crop', (0, 0, 0, 5)), ('crop', 'all'), ('minWidth', 0), ('minHeight', -3),
        ('mm_x', 0), ('mm_y', 'wide'), ('magnification', -1), ('imageDescription', object()),
        ('additionalMetadata', {1, 2}), ('channelColors', ['no colour']), ('channelNames', 'DAPI'),
        ('projection', 'nowhere'), ('gcps', 5), ('gcps', ['1 2 3']), ('gcps', ['1 2 3 4']),
    ]:  # fmt: skip
        with pytest.raises(TileSourceError):
            setattr(source, name, value)
    with pytest.raises(ValueError, match='frameAxes must be set first'):
        source.frameUnits = {'z': 'mm'}
    source.frameAxes = ['z']
    with pytest.raises(ValueError, match='keys that exist in frameAxes'):
        source.frameUnits = {'q': 'mm'}
    with pytest.raises(ValueError, match='must have 2 dimensions'):
        source.frameValues = np.zeros(3)


def test_an_opened_image_is_not_editable(tmp_path: Path) -> None:
    source = gz.new()
    source.addTile(RGB)
    source.write(tmp_path / 'image.zarr')
    reopened = gz.open(str(tmp_path / 'image.zarr'))
    with pytest.raises(TileSourceError, match='Not an editable image'):
        reopened.addTile(RGB)
    with pytest.raises(TileSourceError, match='Not an editable image'):
        reopened.crop = (0, 0, 5, 5)


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
    with pytest.raises(EditError, match='no parameter chunks'):
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
