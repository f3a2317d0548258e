"""NaN and infinity: statistics count what is finite, and JSON has null in their place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from large_image.tilesource.base import TileSource

import girder_zarr.image as gz

if TYPE_CHECKING:
    from pathlib import Path

#: Its types say that an array may be a group, and JSON anything.
ZARR: Any = zarr


def stored(path: Path, pixels: np.ndarray, **ome: Any) -> gz.ZarrFileTileSource:
    group = ZARR.open_group(path, mode='w', zarr_format=3)
    group.create_array('0', data=pixels, chunks=(100, 100))
    axes = [{'name': name, 'type': 'space'} for name in 'yx']
    datasets = [{'path': '0', 'coordinateTransformations': [{'type': 'scale', 'scale': [1, 1]}]}]
    group.attrs['ome'] = {'version': '0.5', 'multiscales': [{'axes': axes, 'datasets': datasets}], **ome}
    return gz.open(str(path))


def strict(value: Any) -> Any:
    """Return a value as it arrives through JSON that knows no NaN."""
    return json.loads(json.dumps(value, allow_nan=False, default=lambda one: one.tolist()))


@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64])
@pytest.mark.parametrize('odd', [np.nan, np.inf, -np.inf])
def test_statistics_count_what_is_finite(tmp_path: Path, dtype: Any, odd: float) -> None:
    pixels = np.random.default_rng(0).normal(5, 2, (300, 410)).astype(dtype)
    pixels[:50] = odd
    source = stored(tmp_path / 'image.zarr', pixels)
    finite = pixels[50:].astype(np.float64)
    found = strict(source.histogram()['histogram'][0])
    assert (found['min'], found['max']) == (finite.min(), finite.max())
    assert found['mean'] == pytest.approx(finite.mean())
    assert found['stdev'] == pytest.approx(finite.std())
    assert found['samples'] == finite.size
    expected = np.histogram(finite, 256, (finite.min(), finite.max() + 1))[0]
    assert found['hist'] == expected.tolist()
    band = strict(source.getBandInformation(statistics=True))['1']
    assert (band['min'], band['max']) == (finite.min(), finite.max())
    assert band['stdev'] == pytest.approx(finite.std())
    density = source.histogram(density=True, bins=10, range=(0, 10))['histogram'][0]
    assert density['hist'].sum() == pytest.approx(1)
    assert strict(source.getPixel(region={'left': 5, 'top': 5}))['value'] == [None]
    assert strict(source.getPixel(region={'left': 5, 'top': 60}))['value'] == [float(pixels[60, 5])]


def test_finite_images_have_the_statistics_of_large_image(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((300, 410)) * 1e5
    source = stored(tmp_path / 'image.zarr', pixels)
    ours, theirs = source.histogram(bins=50), TileSource.histogram(source, bins=50)
    for key in ('min', 'max', 'mean', 'stdev'):
        assert ours[key] == pytest.approx(theirs[key])
    one, two = ours['histogram'][0], theirs['histogram'][0]
    assert (one['hist'] == two['hist']).all()
    assert one['bin_edges'] == pytest.approx(two['bin_edges'])
    assert (one['samples'], one['range']) == (two['samples'], two['range'])


@pytest.mark.parametrize('odd', [np.nan, np.inf])
def test_a_band_without_any_finite_value(tmp_path: Path, odd: float) -> None:
    source = stored(tmp_path / 'image.zarr', np.full((100, 120), odd, np.float32))
    band = strict(source.getBandInformation(statistics=True))['1']
    assert [band[key] for key in ('min', 'max', 'mean', 'stdev')] == [None] * 4
    found = source.histogram()['histogram'][0]
    assert found['samples'] == 0
    assert float(found['min']) == 0
    assert strict(found)['mean'] is None
    assert source.getThumbnail()[0]
    styled = gz.open(str(tmp_path / 'image.zarr'), style={'min': 'auto', 'max': 'auto'})
    assert styled.getThumbnail()[0]


@pytest.mark.parametrize('scale', [1e300, 1e-300, 1e17])
def test_numbers_at_the_ends_of_the_type(tmp_path: Path, scale: float) -> None:
    source = stored(tmp_path / 'image.zarr', np.linspace(-1, 1, 100 * 120).reshape(100, 120) * scale)
    found = strict(source.histogram()['histogram'][0])
    assert (found['min'], found['max']) == (-scale, scale)
    assert found['samples'] == 12000


def test_metadata_holds_null(tmp_path: Path) -> None:
    channels = [{'label': 'a', 'window': {'start': np.nan, 'end': 5, 'min': 0, 'max': np.inf}}]
    source = stored(
        tmp_path / 'image.zarr', np.zeros((100, 120)), quality=np.nan, omero={'channels': channels}
    )
    found = json.loads(json.dumps(source.getInternalMetadata(), allow_nan=False, default=str))['zarr']
    assert found['main']['quality'] is None
    assert found['main']['omero']['channels'][0]['window']['start'] is None
    strict(source.getMetadata())


@pytest.mark.parametrize('ends', [(0, 1e308), (-1.7e308, 1.7e308), (1e300, 1e308), (-1e308, -1e300)])
def test_a_range_that_is_more_than_floats_hold(tmp_path: Path, ends: tuple[float, float]) -> None:
    low, high = ends
    share = np.tile(np.linspace(0, 1, 410), (300, 1))
    pixels = low * (1 - share) + high * share
    source = stored(tmp_path / 'image.zarr', pixels)
    found = strict(source.histogram()['histogram'][0])
    assert (found['min'], found['max']) == (low, high)
    assert found['mean'] / 1e308 == pytest.approx((low / 2 + high / 2) / 1e308, abs=1e-6)
    assert sum(found['hist']) == found['samples'] == pixels.size
    assert max(found['hist']) < 2 * pixels.size / 256
    assert np.diff(np.array(found['bin_edges']) / 1e308).min() > 0
    assert strict(source.getBandInformation(statistics=True))['1']['max'] == high
    assert source.getThumbnail(encoding='PNG')[0]
    if high < 1.7e308:  # a style over a range that floats do not hold is beyond large_image
        for style in ({'min': 'auto', 'max': 'auto'}, {'min': 'min', 'max': 'max'}):
            assert gz.open(str(tmp_path / 'image.zarr'), style={'bands': [style]}).getThumbnail()[0]
