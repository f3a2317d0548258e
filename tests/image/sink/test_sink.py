"""New images as a user of large_image makes them: addTile, properties, write, and reading back."""

from __future__ import annotations

import gc
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
import zarr
from large_image.exceptions import TileSourceError

import girder_zarr.image as gz
from girder_zarr.errors import EditError
from support.images import level_0
from support.images import region as pixels_of

if TYPE_CHECKING:
    from pathlib import Path

RGB = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)


pytestmark = pytest.mark.usefixtures('temporary_directory')


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
        ({'axes': 'zz'}, 'Must contain "y" and "x"'),
        ({'axes': 5}, 'Must be str or list'),
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


def test_what_is_written_has_levels_of_the_full_resolution(tmp_path: Path) -> None:
    source = gz.new()
    source.addTile(RGB, level='0')
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


@pytest.mark.parametrize('axes', ['yxs', 'xys', 'syx', 'zyxs', 'yx'])
def test_a_mask_of_the_tiles_own_shape(axes: str) -> None:
    """large-image-source-zarr takes it, as ``numpy.where`` does: each sample by itself."""
    rng = np.random.default_rng(0)
    shape = [{'y': 60, 'x': 80, 's': 3, 'z': 2}[name] for name in axes]
    base, tile = (rng.integers(1, 256, shape, np.uint8) for _ in range(2))
    mask = rng.random(shape) < 0.4
    source = large_image.new()
    source.addTile(base, 0, 0, axes=axes)
    source.addTile(tile, 0, 0, mask=mask, axes=axes)
    expected = np.where(mask, tile, base)
    order = [axes.index(name) for name in 'zyxs' if name in axes]
    expected = expected.transpose(order).reshape(-1, 60, 80, 3 if 's' in axes else 1)
    for frame, pixels in enumerate(expected):
        assert (source.getRegion(format='numpy', frame=frame)[0] == pixels).all()


def test_a_mask_of_a_tile_with_fewer_bands_counts_for_whole_pixels() -> None:
    source = large_image.new()
    source.addTile(np.zeros((40, 50, 3), np.uint8))
    mask = np.zeros((40, 50, 1), bool)
    mask[:10] = True
    source.addTile(np.full((40, 50, 1), 9, np.uint8), mask=mask)
    assert (source.getRegion(format='numpy')[0] == np.where(mask, 9, 0)).all()
