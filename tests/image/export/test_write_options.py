"""What can be asked of write: lossy chunks, windows, the factor and depth of the pyramid."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pytest
import zarr
from large_image.tilesource.resample import ResampleMethod

import girder_zarr.image as gz
from girder_zarr.errors import EditError
from girder_zarr.image.store.stores import open_store

if TYPE_CHECKING:
    from pathlib import Path

V3_CODECS = bool(importlib.metadata.entry_points(group='zarr.codecs', name='imagecodecs_jpeg'))


def smooth(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows % 200, columns % 200, (rows + columns) % 200], axis=-1).astype(np.uint8)


def image(pixels: np.ndarray, **kwargs: Any) -> Any:
    source = gz.new()
    source.addTile(pixels, **kwargs)
    return source


def levels_of(path: Path) -> list[np.ndarray]:
    group: Any = zarr.open_group(open_store(path), mode='r')
    attributes = dict(group.attrs)
    datasets = attributes.get('ome', attributes)['multiscales'][0]['datasets']
    return [np.asarray(group[one['path']][:]) for one in datasets]


@pytest.mark.parametrize('codec', ['jpeg', 'jpegxl'])
@pytest.mark.parametrize('version', ['0.4', '0.5'])
@pytest.mark.parametrize('resample', [None, ResampleMethod.PIL_LANCZOS])
def test_lossy_chunks_are_smaller_and_close(tmp_path: Path, codec: str, version: str, resample: Any) -> None:
    pixels = smooth(700, 900)
    source = image(pixels)
    path = tmp_path / 'image.zarr'
    if version != '0.4' and not V3_CODECS:
        with pytest.raises(EditError, match=r"Python 3\.12 or later: write version='0\.4'"):
            source.write(path, codec=codec, version=version, resample=resample)
        assert list(tmp_path.iterdir()) == []
        return
    source.write(path, codec=codec, version=version, resample=resample)
    group: Any = zarr.open_group(path, mode='r')
    for index, level in enumerate((group['0'][:], group['1'][:])):
        difference = np.abs(np.moveaxis(level, 0, -1).astype(int) - pixels[:: index + 1, :: index + 1])
        assert np.median(difference) <= 3
    reopened = gz.open(str(path), noCache=True)
    assert reopened.getMetadata()['bandCount'] == 3
    region = reopened.getRegion(format='numpy')[0]
    assert (region == np.moveaxis(group['0'][:], 0, -1)).all()
    size = sum(file.stat().st_size for file in (path / '0').rglob('*'))
    source.write(tmp_path / 'rough.zarr', codec=codec, version=version, quality=20)
    rough = sum(file.stat().st_size for file in (tmp_path / 'rough.zarr' / '0').rglob('*'))
    assert rough < size < pixels.nbytes / 4


@pytest.mark.parametrize('codec', ['jpeg', 'jpegxl'])
@pytest.mark.parametrize(
    ('version', 'options'), [('0.4', {}), ('0.5', {}), ('0.5', {'shard': 512}), ('0.6', {'chunk': 128})]
)
def test_chunks_of_three_bands_are_pictures_in_colour(
    tmp_path: Path, codec: str, version: str, options: dict[str, Any]
) -> None:
    if version != '0.4' and not V3_CODECS:
        pytest.skip('zarr v3 has these codecs from Python 3.12 on')
    pixels = smooth(700, 520)
    source = gz.new()
    for t in range(2):
        for z in range(2):
            source.addTile(np.roll(pixels, 50 * t + 20 * z, axis=1), t=t, z=z)
    source.write(tmp_path / 'image.zarr', codec=codec, version=version, **({'chunk': 256} | options))
    array: Any = zarr.open_group(tmp_path / 'image.zarr', mode='r')['0']
    assert array.shape == (2, 3, 2, 700, 520)
    assert array.chunks[1] == 3
    found = np.asarray(array[:])
    for t in range(2):
        for z in range(2):
            expected = np.moveaxis(np.roll(pixels, 50 * t + 20 * z, axis=1), -1, 0)
            assert np.median(np.abs(found[t, :, z].astype(int) - expected)) <= 3
    reopened = gz.open(str(tmp_path / 'image.zarr'), noCache=True)
    region = reopened.getRegion(format='numpy', frame=3)[0]
    assert (region == np.moveaxis(found[1, :, 1], 0, -1)).all()
    if not options:
        chunk = next(
            path for path in (tmp_path / 'image.zarr' / '0').rglob('*') if path.is_file() and path.name == '0'
        )
        decode = imagecodecs.jpeg8_decode if codec == 'jpeg' else imagecodecs.jpegxl_decode
        assert decode(chunk.read_bytes()).shape == (256, 256, 3)


def test_a_lossy_codec_is_refused_where_it_would_do_harm(tmp_path: Path) -> None:
    rgb = image(smooth(50, 60))
    with pytest.raises(EditError, match='jpeg loses detail, but lossy is False'):
        rgb.write(tmp_path / 'image.zarr', lossy=False, codec='jpeg', version='0.4')
    with pytest.raises(EditError, match='jpeg holds uint8, not uint16'):
        image(np.ones((5, 5), np.uint16)).write(tmp_path / 'image.zarr', codec='jpeg', version='0.4')
    with pytest.raises(EditError, match='hold no opacity'):
        image(np.ones((5, 5, 4), np.uint8)).write(tmp_path / 'image.zarr', codec='jpegxl', version='0.4')
    with pytest.raises(EditError, match='quality of jpeg'):
        rgb.write(tmp_path / 'image.zarr', codec='jpeg', version='0.4', quality=0)
    assert list(tmp_path.iterdir()) == []


def test_without_being_asked_nothing_is_lost(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 80, 3), np.uint8)
    image(pixels).write(tmp_path / 'image.zarr', lossy=True)
    assert (np.moveaxis(levels_of(tmp_path / 'image.zarr')[0], 0, -1) == pixels).all()


@pytest.mark.parametrize('version', ['0.4', '0.5', '0.6'])
def test_windows_of_the_data(tmp_path: Path, version: str) -> None:
    source = gz.new()
    source.addTile(np.linspace(100, 4000, 600 * 700).astype(np.uint16).reshape(600, 700), c=0)
    source.addTile(np.full((600, 700), 7, np.uint16), c=1)
    source.write(tmp_path / 'image.zarr', windows='data', version=version)
    attributes = dict(zarr.open_group(tmp_path / 'image.zarr', mode='r').attrs)
    channels: Any = attributes.get('ome', attributes)
    first, second = (channel['window'] for channel in channels['omero']['channels'])
    assert first == {'min': 0, 'max': 65535, 'start': 100, 'end': 4000}
    assert second == {'min': 0, 'max': 65535, 'start': 0, 'end': 65535}


def test_windows_of_floats_go_beyond_what_is_usual(tmp_path: Path) -> None:
    pixels = np.linspace(-3, 8, 100, dtype=np.float32).reshape(10, 10)
    pixels[0, 1] = np.nan
    pixels[0, 2] = np.inf
    image(pixels, c=0).write(tmp_path / 'image.zarr', windows='data')
    ome: Any = dict(zarr.open_group(tmp_path / 'image.zarr', mode='r').attrs)['ome']
    assert ome['omero']['channels'][0]['window'] == {'min': -3, 'max': 8, 'start': -3, 'end': 8}
    with pytest.raises(EditError, match="or 'data'; found 'auto'"):
        image(pixels).write(tmp_path / 'image.zarr', windows='auto')


@pytest.mark.parametrize(('factor', 'depth'), [(2, None), (4, None), (8, None), (4, 2), (2, 3), (2, 1)])
def test_factor_and_depth(tmp_path: Path, factor: int, depth: int | None) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (1000, 1300), np.uint8)
    source = image(pixels)
    source.mm_x = source.mm_y = 0.5
    source.write(
        tmp_path / 'image.zarr', factor=factor, maxLevels=depth, chunk=64, resample=ResampleMethod.NP_MAX
    )
    levels = levels_of(tmp_path / 'image.zarr')
    sizes = [(1000, 1300)]
    while max(sizes[-1]) > 64 and len(sizes) != depth:
        sizes.append((-(-sizes[-1][0] // factor), -(-sizes[-1][1] // factor)))
    assert [level.shape for level in levels] == sizes
    for index, level in enumerate(levels):
        step = factor**index
        padded = np.pad(pixels, [(0, -size % step) for size in pixels.shape], mode='edge')
        shape = (padded.shape[0] // step, step, padded.shape[1] // step, step)
        assert (level == padded.reshape(shape).max(axis=(1, 3))).all()
    ome: Any = dict(zarr.open_group(tmp_path / 'image.zarr', mode='r').attrs)['ome']
    for index, dataset in enumerate(ome['multiscales'][0]['datasets']):
        scale, *translation = dataset['coordinateTransformations']
        assert scale['scale'] == [500 * factor**index] * 2
        if index:
            assert translation[0]['translation'] == [(factor**index - 1) * 250] * 2
    assert gz.open(str(tmp_path / 'image.zarr')).sizeX == 1300


def test_a_factor_that_cannot_be_is_refused(tmp_path: Path) -> None:
    source = image(smooth(100, 100))
    for factor in (3, 1, 0, 2.5, 'two'):
        with pytest.raises(EditError, match='factor must be a power of two'):
            source.write(tmp_path / 'image.zarr', factor=factor)
    with pytest.raises(EditError, match='need every level'):
        source.write(tmp_path / 'image.zarr', factor=4, resample=ResampleMethod.PIL_LANCZOS)


@pytest.mark.parametrize('version', ['0.5', '0.6'])
@pytest.mark.parametrize('suffix', ['.zarr', '.zip', '.ozx', '.db'])
def test_shards_in_every_container(tmp_path: Path, version: str, suffix: str) -> None:
    pixels = smooth(500, 700)
    path = tmp_path / f'image{suffix}'
    image(pixels).write(path, version=version, chunk=64, shard=256)
    assert (np.moveaxis(levels_of(path)[0], 0, -1) == pixels).all()
    group: Any = zarr.open_group(open_store(path), mode='r')
    assert (group['0'].chunks, group['0'].shards) == ((3, 64, 64), (3, 256, 256))
