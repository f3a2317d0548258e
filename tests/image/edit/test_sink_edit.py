"""Opening a written image to add to it and to write it again."""

from __future__ import annotations

import pickle
import shutil
from typing import TYPE_CHECKING, Any

import large_image
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from large_image.exceptions import TileSourceError

import girder_zarr.image as gz
from girder_zarr.errors import EditError
from girder_zarr.image.ngff.metadata import Axis
from girder_zarr.image.write.encode import Codec
from girder_zarr.image.write.output_spec import OutputSpec
from girder_zarr.image.write.pyramid import write_image

if TYPE_CHECKING:
    from pathlib import Path

RGB = np.random.default_rng(0).integers(1, 256, (1100, 700, 3), np.uint8)
SUFFIXES = ['.zarr', '.zip', '.ozx', '.db']


pytestmark = pytest.mark.usefixtures('temporary_directory')


def pixels_of(source: Any, **kwargs: Any) -> np.ndarray:
    return np.asarray(source.getRegion(format=large_image.constants.TILE_FORMAT_NUMPY, **kwargs)[0])


def written(path: Path, pixels: np.ndarray = RGB, **properties: Any) -> Path:
    source = gz.new()
    source.addTile(pixels)
    for name, value in properties.items():
        setattr(source, name, value)
    source.write(path)
    return path


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_adding_to_a_written_image_and_writing_it_again(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f'image{suffix}')
    source = large_image.open(str(path), editable=True)
    source.addTile(RGB[:100, :90], 20, 600)
    source.addTile(RGB[:50, :60], 1200, -30)
    expected = np.zeros((1130, 1260, 3), np.uint8)
    expected[30:, :700] = RGB
    expected[630:730, 20:110] = RGB[:100, :90]
    expected[:50, 1200:] = RGB[:50, :60]
    assert (pixels_of(source) == expected).all()
    assert (pixels_of(large_image.open(str(path))) == RGB).all(), 'nothing has changed in the file'
    source.write(path)
    assert (pixels_of(large_image.open(str(path))) == expected).all()
    assert (pixels_of(source) == expected).all()
    source.addTile(RGB[:9, :9], 0, 0)
    expected[30:39, :9] = RGB[:9, :9]
    source.write(path)
    assert (pixels_of(gz.open(str(path))) == expected).all()
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ('options', 'kept'),
    [
        ({}, {}),
        ({'chunk': 128, 'codec': 'zstd'}, {}),
        ({'chunk': 128, 'shard': 256, 'codec': Codec('blosc', 5, 'bitshuffle')}, {}),
        ({'version': '0.4', 'chunk': 64, 'codec': 'none'}, {}),
        ({'version': '0.4', 'chunk': 64, 'codec': 'jpeg'}, {'codec': 'blosc'}),
        ({'chunk': 2048}, {'chunk': 512}),
    ],
)
def test_how_it_was_stored_is_kept(tmp_path: Path, options: dict[str, Any], kept: dict[str, Any]) -> None:
    source = gz.new()
    source.addTile(RGB)
    source.write(tmp_path / 'first.zarr', **options)
    edited = large_image.open(str(tmp_path / 'first.zarr'), editable=True)
    edited.addTile(RGB, 900, 700)
    edited.write(tmp_path / 'edited.zarr')
    source.addTile(RGB, 900, 700)
    source.write(tmp_path / 'expected.zarr', **(options | kept))
    found, expected = (zarr.open_array(tmp_path / f'{name}.zarr' / '0') for name in ('edited', 'expected'))
    for name in ('shape', 'chunks', 'shards', 'compressors', 'serializer'):
        if name != 'serializer' or found.metadata.zarr_format == 3:
            assert getattr(found, name) == getattr(expected, name)
    if 'jpeg' not in options.values():
        assert (np.asarray(found[:]) == np.asarray(expected[:])).all()
    assert found.metadata.zarr_format == (2 if 'version' in options else 3)
    edited.write(tmp_path / 'edited.zarr', chunk=256, version='0.4', codec='blosc')
    assert zarr.open_array(tmp_path / 'edited.zarr' / '0').chunks == (3, 256, 256)


def test_large_associated_images_are_carried_over_strip_by_strip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('girder_zarr.image.export.associated._MAX_IN_MEMORY', 1000)
    overview = np.random.default_rng(3).integers(0, 9999, (1300, 900, 2), np.uint16)
    source = gz.new()
    source.addTile(RGB)
    source.addAssociatedImage(overview, 'overview')
    source.addAssociatedImage(RGB[:10, :10], 'small')
    source.write(tmp_path / 'image.zarr')
    edited = large_image.open(str(tmp_path / 'image.zarr'), editable=True)
    assert edited._newAssociated['overview'].shape == (1300, 900, 2)
    edited.addTile(RGB, 700, 0)
    for _ in range(2):
        edited.write(tmp_path / 'image.zarr')
        stored = zarr.open_group(tmp_path / 'image.zarr' / 'associated', mode='r')
        assert (np.asarray(stored['overview/0']) == np.moveaxis(overview, -1, 0)).all()
        assert (np.asarray(stored['small/0']) == np.moveaxis(RGB[:10, :10], -1, 0)).all()
        assert edited.getAssociatedImage('overview')[0]


def test_low_zooms_read_the_levels_of_the_file_where_nothing_was_added(tmp_path: Path) -> None:
    big = np.random.default_rng(1).integers(1, 255, (2, 3008, 2048), np.uint16)
    source = gz.new()
    for t in range(2):
        source.addTile(big[t], t=t)
    source.write(tmp_path / 'image.zarr', chunk=256)
    for chunk in (tmp_path / 'image.zarr' / '0' / 'c').rglob('*'):
        # of the full resolution, only what is touched can be read
        if chunk.is_file() and [int(part) for part in chunk.parts[-3:]] not in (
            [1, y, x] for y in range(4) for x in range(4)
        ):
            chunk.write_bytes(b'broken')
    edited = large_image.open(str(tmp_path / 'image.zarr'), editable=True)
    edited.addTile(np.full((300, 400), 60_000, np.uint16), 100, 600, t=1)
    expected = big.copy()
    expected[1, 600:900, 100:500] = 60_000
    group = zarr.open_group(tmp_path / 'image.zarr', mode='r')
    for level in (1, 2, 3):
        for t in range(2):
            stored = np.asarray(group[str(level)])[t]
            found, _ = edited.getRegion(
                frame=t, format='numpy', output={'maxWidth': 2048 >> level, 'maxHeight': 4000 >> level}
            )
            assert found.shape[:2] == stored.shape
            if t == 0:
                assert (found[..., 0] == stored).all()
                continue
            rows = columns = slice(0, 1024 >> level)
            mean = expected[1, :1024, :1024].reshape(1024 >> level, 1 << level, 1024 >> level, 1 << level)
            assert np.abs(found[rows, columns, 0] - mean.mean(axis=(1, 3))).max() <= level
            found[rows, columns, 0] = stored[rows, columns]
            assert (found[..., 0] == stored).all()


def test_writing_to_another_file_leaves_the_first(tmp_path: Path) -> None:
    path = written(tmp_path / 'image.zip')
    content = path.read_bytes()
    source = gz.open(str(path), editable=True)
    source.addTile(RGB[:10, :10])
    source.crop = (0, 0, 300, 200)
    source.write(tmp_path / 'other.zarr')
    assert path.read_bytes() == content
    expected = RGB.copy()
    expected[:10, :10] = RGB[:10, :10]
    assert (pixels_of(gz.open(str(tmp_path / 'other.zarr'))) == expected[:200, :300]).all()


def test_a_crop_written_over_the_file_keeps_the_rest_in_the_editor(tmp_path: Path) -> None:
    path = written(tmp_path / 'image.zarr')
    source = gz.open(str(path), editable=True)
    source.crop = (100, 600, 50, 40)
    source.write(path)
    assert (pixels_of(gz.open(str(path))) == RGB[600:640, 100:150]).all()
    source.crop = None
    source.write(path)
    assert (pixels_of(gz.open(str(path))) == RGB).all()


def test_everything_that_is_known_carries_over(tmp_path: Path) -> None:
    source = gz.new()
    for t in range(2):
        for c in range(3):
            tile = np.full((70, 80), 10 * t + c + 1, np.uint16)
            source.addTile(tile, t=t, c=c, t_value=t * 2.5, c_value=f'dye {c}')
    source.channelNames = ['DAPI', 'GFP', 'Cy5']
    source.channelColors = ['0000FF', '00FF00', 'FF00FF']
    source.frameUnits = {'t': 'second'}
    source.mm_x, source.mm_y, source.magnification = 0.0005, 0.00025, 40
    source.imageDescription = 'about it'
    source.additionalMetadata = {'more': [1, 2]}
    source.gcps = '1 2 0 0 3 4 10 10'
    source.addAssociatedImage(RGB[:20, :30], 'label')
    first, second = tmp_path / 'first.zarr', tmp_path / 'second.zarr'
    source.write(first, windows=[(0, 10), (1, 20), (2, 30)], name='the name', version='0.4')
    edited = gz.open(str(first), editable=True)
    edited.addTile(np.full((70, 80), 77, np.uint16), t=2, c=1, t_value=9)
    edited.addAssociatedImage(RGB[:5, :6], 'overview')
    edited.write(second)
    before, after = (dict(zarr.open_group(path, mode='r').attrs) for path in (first, second))
    assert after['omero'] == before['omero']
    reopened = gz.open(str(second))
    for one in (edited, reopened):
        metadata = one.getMetadata()
        assert metadata['channels'] == ['DAPI', 'GFP', 'Cy5']
        assert (metadata['mm_x'], metadata['mm_y'], metadata['magnification']) == (0.0005, 0.00025, 40)
        assert (one.imageDescription, one.additionalMetadata) == ('about it', {'more': [1, 2]})
        assert one.gcps == [[1, 2, 0, 0], [3, 4, 10, 10]]
        assert sorted(one.getAssociatedImagesList()) == ['label', 'overview']
        label = one.getAssociatedImage('label', format=large_image.constants.TILE_FORMAT_NUMPY)[0]
        assert (label == RGB[:20, :30]).all()
        assert one.frameUnits == {'t': 'second'}
        found = {(frame['IndexT'], frame['IndexC']): frame for frame in metadata['frames']}
        assert len(found) == 9
        for (t, c), frame in found.items():
            value = 77 if (t, c) == (2, 1) else 0 if t == 2 else 10 * t + c + 1
            assert (pixels_of(one, frame=frame['Frame']) == value).all(), (t, c)
            assert frame['ValueC'] == f'dye {c}'
            assert frame['ValueT'] == (9 if t == 2 else t * 2.5)


def test_pixel_sizes_of_other_axes_and_the_place_in_space_carry_over(tmp_path: Path) -> None:
    spec = OutputSpec.create(
        (4, 60, 50), 'uint8', axes=[Axis('z', 'space', 'micrometer'), Axis('y', 'space', 'micrometer'),
        Axis('x', 'space', 'micrometer')], scale={'z': 2.5, 'y': 0.5, 'x': 0.25},
        translation={'z': 7, 'y': 10, 'x': 20},
    )  # fmt: skip
    path = tmp_path / 'image.zarr'
    path.mkdir()
    write_image(path, spec, lambda region: np.full([part.stop - part.start for part in region], 5, np.uint8))
    edited = gz.open(str(path), editable=True)
    edited.addTile(np.full((10, 10), 6, np.uint8), -8, 0, z=4)
    edited.write(path)
    attributes: Any = dict(zarr.open_group(path, mode='r').attrs)
    entry = attributes['ome']['multiscales'][0]
    assert [(axis['name'], axis.get('unit')) for axis in entry['axes']] == [
        ('z', 'micrometer'), ('y', 'micrometer'), ('x', 'micrometer'),
    ]  # fmt: skip
    scale, translation = entry['datasets'][0]['coordinateTransformations']
    np.testing.assert_allclose(scale['scale'], [2.5, 0.5, 0.25])
    np.testing.assert_allclose(translation['translation'], [7, 10, 20 - 8 * 0.25])


@pytest.mark.parametrize(
    ('first', 'second'),
    [('0.4', '0.4'), ('0.5', '0.5'), ('0.4', '0.5'), ('0.6', '0.4')],
)
def test_attributes_of_other_programs_carry_over(tmp_path: Path, first: str, second: str) -> None:
    source = gz.new()
    source.addTile(RGB[:20, :30])
    source.write(tmp_path / 'image.zarr', version=first)
    group: Any = zarr.open_group(tmp_path / 'image.zarr', mode='a')
    group.attrs['other'] = {'program': [1, 2]}
    edited = gz.open(str(tmp_path / 'image.zarr'), editable=True)
    edited.write(tmp_path / 'again.zarr', version=second)
    attributes: Any = dict(zarr.open_group(tmp_path / 'again.zarr', mode='r').attrs)
    own = {'multiscales', 'omero', 'girder_zarr'} if second == '0.4' else {'ome'}
    assert set(attributes) == own | {'other'}
    assert attributes['other'] == {'program': [1, 2]}


def test_only_what_is_touched_is_read_and_the_rest_is_not_held(tmp_path: Path) -> None:
    path = written(tmp_path / 'image.zarr')
    for chunk in (path / '0' / 'c').rglob('*'):
        if chunk.is_file() and chunk.relative_to(path / '0' / 'c').parts[1:] == ('2', '1'):
            chunk.write_bytes(b'broken')
    source = gz.open(str(path), editable=True)
    source.addTile(RGB[:512, :512] // 2)
    region = {'left': 0, 'top': 0, 'width': 512, 'height': 512}
    assert (pixels_of(source, region=region) == RGB[:512, :512] // 2).all()
    with pytest.raises(TileSourceError, match='2/1'):
        source.write(path)
    assert (pixels_of(gz.open(str(path)), region=region) == RGB[:512, :512]).all()


def test_an_image_opened_for_reading_stays_so(tmp_path: Path) -> None:
    path = written(tmp_path / 'image.zarr')
    reader = large_image.open(str(path))
    with pytest.raises(TileSourceError, match='Not an editable image'):
        reader.addTile(RGB)
    editor = large_image.open(str(path), editable=True)
    assert editor is not large_image.open(str(path), editable=True)
    assert large_image.open(str(path)) is reader
    editor.close()
    with pytest.raises(TileSourceError, match='Not an editable image'):
        editor.addTile(RGB)


def test_values_types_bands_and_axes_grow_as_in_a_new_image(tmp_path: Path) -> None:
    path = written(tmp_path / 'image.zarr', np.full((40, 40), 200, np.uint8))
    source = gz.open(str(path), editable=True)
    source.addTile(np.full((40, 40, 3), 1000, np.uint16), 40, 0)
    source.addTile(np.full((10, 10), 7, np.uint8), t=1)
    source.write(path)
    reopened = gz.open(str(path))
    assert (reopened.dtype, reopened.bandCount, reopened.getMetadata()['IndexRange']) == (
        np.uint16, 3, {'IndexT': 2},
    )  # fmt: skip
    assert (pixels_of(reopened, frame=0)[:, :40] == 200).all()
    assert (pixels_of(reopened, frame=0)[:, 40:] == 1000).all()
    assert (pixels_of(reopened, frame=1)[:10, :10] == 7).all()


def test_labels_stay_where_they_belong(tmp_path: Path) -> None:
    path = written(tmp_path / 'image.zarr', RGB[:64, :64])
    mask = np.random.default_rng(1).integers(0, 9, (64, 64), np.int32)
    (path / 'labels').mkdir()
    written(path / 'labels' / 'cells.zarr', mask)
    group: Any = zarr.open_group(path / 'labels', mode='a', zarr_format=3)
    group.attrs['ome'] = {'version': '0.5', 'labels': ['cells.zarr']}
    source = gz.open(str(path), editable=True)
    source.addTile(RGB[:8, :8], 8, 8)
    target = tmp_path / 'copy.zip'
    source.write(target)
    reopened = gz.open(str(target))
    assert reopened.getAssociatedImagesList() == ['label_cells.zarr']
    store = zarr.storage.ZipStore(target, mode='r')
    found: Any = zarr.open_group(store, mode='r')['labels/cells.zarr/0']
    assert (found[:] == mask).all()
    store.close()
    with pytest.raises(EditError, match=r'NGFF 0\.5, and 0\.4 was asked for'):
        source.write(tmp_path / 'old.zarr', version='0.4')
    source.addTile(RGB[:8, :8], 60, 60)
    with pytest.raises(EditError, match='labels of the image cannot be kept'):
        source.write(path)
    source.write(target, labels=False)
    assert gz.open(str(target)).getAssociatedImagesList() == []


def test_collections_cannot_be_edited(tmp_path: Path) -> None:
    path = tmp_path / 'many.zarr'
    path.mkdir()
    for name in '01':
        written(tmp_path / f'{name}.zarr', RGB[:20, :20])
        shutil.move(tmp_path / f'{name}.zarr', path / name)
    group: Any = zarr.open_group(path, mode='a', zarr_format=3)
    group.attrs['ome'] = {'version': '0.5', 'bioformats2raw.layout': 3}
    assert gz.open(str(path)).frames == 2
    with pytest.raises(EditError, match='Only a single image can be edited; found 2 images'):
        gz.open(str(path), editable=True)


def test_an_edited_image_may_be_pickled_to_where_it_is(tmp_path: Path) -> None:
    source = gz.open(str(written(tmp_path / 'image.zarr', RGB[:9, :9])), editable=True)
    assert pickle.loads(pickle.dumps(source)) is source


tiles = st.fixed_dictionaries(
    {
        'y': st.integers(-60, 130),
        'x': st.integers(-60, 130) | st.sampled_from([0, 64]),
        'height': st.integers(1, 70) | st.just(64),
        'width': st.integers(1, 70) | st.just(64),
        'z': st.integers(0, 3),
        'masked': st.booleans(),
    }
)


@given(st.lists(tiles, max_size=5), st.lists(tiles, max_size=5), st.sampled_from([0, 10**9]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_editing_gives_what_one_image_would_have_been(
    tmp_path_factory: pytest.TempPathFactory,
    before: list[dict[str, Any]],
    after: list[dict[str, Any]],
    memory: int,
    between: bool,
) -> None:
    """Two images: all tiles in one, and the same tiles with the image written and opened in between."""
    folder = tmp_path_factory.mktemp('edit')
    rng = np.random.default_rng(0)
    whole, first = gz.new(), gz.new(memory=memory)

    def add(sources: list[Any], tile: dict[str, Any], shift: tuple[int, int]) -> None:
        shape = tile['height'], tile['width']
        pixels = rng.integers(1, 255, shape, np.uint8)
        mask = rng.random(shape) > 0.5 if tile['masked'] else None
        for source, (left, top) in zip(sources, [(0, 0), shift], strict=True):
            source.addTile(pixels, tile['x'] - left, tile['y'] - top, mask=mask, z=tile['z'])

    base = {'y': 0, 'x': 0, 'height': 130, 'width': 100, 'z': 1, 'masked': False}
    for tile in [base, *before]:
        add([whole, first], tile, (0, 0))
    path = folder / 'image.zarr'
    first.write(path, chunk=64)
    # positions count from the upper left pixel of the file
    shift = min(tile['x'] for tile in [base, *before]), min(tile['y'] for tile in [base, *before])
    edited = gz.open(str(path), editable=True, memory=memory)
    for tile in after:
        add([whole, edited], tile, shift)
        if between:
            edited.getMetadata()
            pixels_of(edited, frame=1)
    edited.write(path)
    reopened = gz.open(str(path))
    frames = max(tile['z'] for tile in [base, *before, *after]) + 1
    for frame in range(frames):
        expected = pixels_of(whole, frame=frame)
        np.testing.assert_array_equal(pixels_of(edited, frame=frame), expected)
        np.testing.assert_array_equal(pixels_of(reopened, frame=frame), expected)
    edited.close()
