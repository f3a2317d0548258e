"""Axes that NGFF has no room for: what is written is valid, and our reader restores it exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import large_image
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import girder_zarr.image as gz
from girder_zarr.image.hierarchy.opening import open_hierarchy
from girder_zarr.image.store.stores import open_store

if TYPE_CHECKING:
    from pathlib import Path

ngff_validate = pytest.importorskip('ngff_zarr.validate', reason='needs ngff-zarr for the official schemas')
yaozarrs = pytest.importorskip('yaozarrs', reason='needs yaozarrs')


def pixels_of(source: Any, **kwargs: Any) -> np.ndarray:
    return np.asarray(source.getRegion(format=large_image.constants.TILE_FORMAT_NUMPY, **kwargs)[0])


def attributes_of(path: Path) -> Any:
    return dict(zarr.open_group(path, mode='r').attrs)


def spectral(bands: int = 3) -> tuple[Any, dict[tuple[int, int, int], np.ndarray]]:
    """An image with a custom axis (wavelength), channels, time and bands, and its frames."""
    source = gz.new()
    expected = {}
    rng = np.random.default_rng(0)
    for t in range(2):
        for wave in range(3):
            for c in range(2):
                tile = rng.integers(0, 255, (70, 90, bands), np.uint8)
                source.addTile(tile, t=t, c=c, wave=wave, wave_value=450 + 50 * wave, t_value=t * 0.5)
                expected[t, wave, c] = tile
    source.channelNames = ['DAPI', 'GFP']
    source.frameUnits = {'wave': 'nanometer'}
    return source, expected


@pytest.mark.parametrize('version', ['0.4', '0.5', '0.6'])
def test_a_custom_axis_beside_channels_and_bands(tmp_path: Path, version: str) -> None:
    source, expected = spectral()
    path = tmp_path / 'image.zarr'
    source.write(path, version=version, chunk=32)
    attributes = attributes_of(path)
    ngff_validate.validate(attributes, version=version, strict=version == '0.4')
    if version != '0.6':
        yaozarrs.validate_zarr_store(str(path))
    array: Any = zarr.open_group(path, mode='r')['0']
    assert array.shape == (2, 3 * 2 * 3, 70, 90)
    assert (array[1, 9:12] == np.moveaxis(expected[1, 1, 1], -1, 0)).all(), 'wave slowest, then c, then bands'
    omero = attributes.get('ome', attributes)['omero']
    labels = [channel['label'] for channel in omero['channels']]
    assert labels[:4] == [
        'wave 450, DAPI Red', 'wave 450, DAPI Green', 'wave 450, DAPI Blue', 'wave 450, GFP Red',
    ]  # fmt: skip
    assert labels[-1] == 'wave 550, GFP Blue'
    reopened = gz.open(str(path))
    metadata = reopened.getMetadata()
    assert metadata['IndexRange'] == {'IndexC': 2, 'IndexT': 2, 'IndexWAVE': 3}
    assert (metadata['channels'], metadata['bandCount']) == (['DAPI', 'GFP'], 3)
    assert reopened.frameUnits == {'wave': 'nanometer'}
    for frame in metadata['frames']:
        key = frame['IndexT'], frame['IndexWAVE'], frame['IndexC']
        assert (pixels_of(reopened, frame=frame['Frame']) == expected[key]).all()
        assert (frame['ValueWAVE'], frame['ValueT']) == (450 + 50 * key[1], key[0] * 0.5)
    assert reopened.getTile(0, 0, 0, frame=5, numpyAllowed=True).shape[2] == 3


def test_many_custom_axes_without_channels(tmp_path: Path) -> None:
    source = gz.new()
    stack = np.random.default_rng(0).integers(0, 60_000, (2, 3, 2, 2, 4, 20, 30), np.uint16)
    source.addTile(stack, axes=['angle', 'phase', 'run', 't', 'z', 'y', 'x'])
    source.write(tmp_path / 'image.zarr')
    ngff_validate.validate(attributes_of(tmp_path / 'image.zarr'), version='0.5')
    yaozarrs.validate_zarr_store(str(tmp_path / 'image.zarr'))
    array: Any = zarr.open_group(tmp_path / 'image.zarr', mode='r')['0']
    assert array.shape == (2, 12, 4, 20, 30)
    channels = attributes_of(tmp_path / 'image.zarr')['ome']['omero']['channels']
    assert channels[-1]['label'] == 'angle 1, phase 2, run 1'
    reopened = gz.open(str(tmp_path / 'image.zarr'))
    metadata = reopened.getMetadata()
    assert 'channels' not in metadata
    assert 'IndexC' not in metadata['IndexRange']
    for frame in metadata['frames']:
        where = tuple(frame[f'Index{axis}'] for axis in ('ANGLE', 'PHASE', 'RUN', 'T', 'Z'))
        assert (pixels_of(reopened, frame=frame['Frame'])[..., 0] == stack[where]).all()


def test_one_custom_axis_alone_stays_an_axis(tmp_path: Path) -> None:
    source = gz.new()
    source.addTile(np.arange(2 * 3 * 20 * 30).reshape(2, 3, 20, 30).astype(np.uint16), axes='wzyx')
    source.write(tmp_path / 'image.zarr')
    entry = attributes_of(tmp_path / 'image.zarr')['ome']['multiscales'][0]
    assert [axis['name'] for axis in entry['axes']] == ['w', 'z', 'y', 'x']
    ngff_validate.validate(attributes_of(tmp_path / 'image.zarr'), version='0.5')
    yaozarrs.validate_zarr_store(str(tmp_path / 'image.zarr'))


def test_values_that_differ_from_frame_to_frame_survive_folding(tmp_path: Path) -> None:
    source = gz.new()
    for c in range(2):
        for w in range(3):
            source.addTile(np.full((8, 8), 1, np.uint8), c=c, w=w, c_value=c, w_value=w + c / 10)
    source.write(tmp_path / 'image.zarr')
    for one in (source, gz.open(str(tmp_path / 'image.zarr'))):
        for frame in one.getMetadata()['frames']:
            assert frame['ValueW'] == frame['IndexW'] + frame['IndexC'] / 10


def test_a_folded_image_can_be_edited_and_written_again(tmp_path: Path) -> None:
    source, expected = spectral(bands=1)
    path = tmp_path / 'image.zip'
    source.write(path)
    edited = gz.open(str(path), editable=True)
    edited.addTile(np.full((70, 90), 7, np.uint8), t=1, c=1, wave=3, wave_value=600)
    edited.write(path)
    reopened = gz.open(str(path))
    metadata = reopened.getMetadata()
    assert metadata['IndexRange'] == {'IndexC': 2, 'IndexT': 2, 'IndexWAVE': 4}
    assert metadata['channels'] == ['DAPI', 'GFP']
    for frame in metadata['frames']:
        key = frame['IndexT'], frame['IndexWAVE'], frame['IndexC']
        new = 7 if key == (1, 3, 1) else 0
        pixels = pixels_of(reopened, frame=frame['Frame'])
        assert (pixels == expected[key]).all() if key in expected else (pixels == new).all()
        assert frame['ValueWAVE'] == 450 + 50 * key[1]


@pytest.mark.parametrize(
    'folded',
    [
        None, [], 'wave', [{}], [{'name': 'w'}], [{'name': 'w', 'size': 0}], [{'name': 'w', 'size': 7}],
        [{'name': 'y', 'size': 2}], [{'name': 'c', 'size': 2}, {'name': 'w', 'size': 3}],
        [{'name': 'w', 'size': 2}, {'name': 'w', 'size': 3}], [{'name': 'w', 'size': '2'}],
        [{'name': 'w', 'size': 2**39}, {'name': 'v', 'size': 2**39}],
    ],
)  # fmt: skip
def test_what_does_not_fit_is_shown_as_it_is_stored(tmp_path: Path, folded: object) -> None:
    source, _ = spectral(bands=1)
    source.write(tmp_path / 'image.zarr')
    group: Any = zarr.open_group(tmp_path / 'image.zarr', mode='a')
    ome = dict(group.attrs['ome'])
    ome['girder_zarr'] = {'folded': folded}
    group.attrs['ome'] = ome
    assert gz.open(str(tmp_path / 'image.zarr')).getMetadata()['IndexRange'] == {'IndexC': 6, 'IndexT': 2}


@given(
    st.lists(st.sampled_from(['t', 'c', 'z', 'u', 'v', 'w']), unique=True, max_size=6),
    st.integers(1, 4),
    st.data(),
)
@settings(max_examples=25, deadline=None)
def test_any_axes_and_bands_come_back(
    tmp_path_factory: pytest.TempPathFactory, axes: list[str], bands: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp('fold') / 'image.zarr'
    sizes = [data.draw(st.integers(1, 3)) for _ in axes]
    stack = np.random.default_rng(0).integers(0, 255, (*sizes, 6, 7, bands), np.uint8)
    source = gz.new()
    source.addTile(stack, axes=[*axes, 'y', 'x', 's'])
    source.write(path)
    ngff_validate.validate(attributes_of(path), version='0.5')
    reopened = gz.open(str(path))
    metadata = reopened.getMetadata()
    assert metadata['bandCount'] == bands
    for frame in metadata.get('frames', [{'Frame': 0}]):
        where = tuple(frame.get(f'Index{axis.upper()}', 0) for axis in axes)
        np.testing.assert_array_equal(pixels_of(reopened, frame=frame['Frame']), stack[where])
    # any region of the array as our reader shows it, not only whole frames
    level = open_hierarchy(open_store(path)).series[0].levels[0]
    whole = level.read(tuple(slice(0, size) for size in level.shape))
    starts = [data.draw(st.integers(0, size - 1)) for size in level.shape]
    region = tuple(
        slice(start, data.draw(st.integers(start + 1, size)))
        for start, size in zip(starts, level.shape, strict=True)
    )
    np.testing.assert_array_equal(level.read(region), whole[region])
