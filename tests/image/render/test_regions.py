"""Regions, thumbnails and histograms read at once equal what large_image puts together from tiles."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from large_image.exceptions import TileSourceError
from large_image.tilesource import FileTileSource

import girder_zarr.image as gz
from girder_zarr.image.chunk.memory import MAX_POOLED_BYTES, MIN_POOLED_BYTES, allocate

if TYPE_CHECKING:
    from pathlib import Path

TYPES = ('uint8', 'uint16', 'int16', 'int8', 'uint32', 'float32')


def pixels(dtype: str, bands: int) -> np.ndarray:
    random = np.random.default_rng(5)
    values = random.normal(100, 30, (700, 900, bands)).clip(1, 126)
    return values.astype(dtype)


@pytest.fixture(scope='module')
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Path]:
    found = {}
    for dtype in TYPES:
        for bands in (1, 3):
            path = tmp_path_factory.mktemp('images') / f'{dtype}-{bands}.zarr'
            sink = gz.new()
            sink.addTile(pixels(dtype, bands), x=0, y=0)
            sink.write(str(path), lossy=False)
            found[dtype, bands] = path
    return found


BOXES: list[dict[str, Any]] = [
    {},
    {'region': {'left': 100, 'top': 50, 'width': 333, 'height': 217}},
    {'region': {'left': 0.1, 'top': 0.2, 'right': 0.8, 'bottom': 0.9, 'units': 'fraction'}},
    {'region': {'left': 650, 'top': 600, 'width': 800, 'height': 800}},
    {'output': {'maxWidth': 300, 'maxHeight': 300}},
    {'output': {'maxWidth': 111}, 'region': {'left': 13, 'top': 77, 'width': 500, 'height': 400}},
    {'output': {'maxWidth': 450}},
]


@pytest.mark.parametrize('dtype', TYPES)
@pytest.mark.parametrize('bands', [1, 3])
@pytest.mark.parametrize('box', BOXES)
def test_region_as_array(
    images: dict[tuple[str, int], Path], dtype: str, bands: int, box: dict[str, Any]
) -> None:
    source = gz.open(images[dtype, bands])
    found, kind = source.getRegion(format='numpy', **box)
    expected, _ = FileTileSource.getRegion(source, format='numpy', **box)
    assert kind == 'numpy'
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    if 'output' not in box:
        found[:] = 0  # it is the caller's
    np.testing.assert_array_equal(source.getRegion(format='numpy', **box)[0], expected)


@pytest.mark.parametrize('box', BOXES)
@pytest.mark.parametrize('encoding', ['JPEG', 'PNG', 'TIFF'])
def test_region_as_picture(images: dict[tuple[str, int], Path], box: dict[str, Any], encoding: str) -> None:
    source = gz.open(images['uint8', 3])
    data, kind = source.getRegion(encoding=encoding, **box)
    expected, _ = FileTileSource.getRegion(source, encoding=encoding, **box)
    assert kind == f'image/{encoding.lower()}'
    with PIL.Image.open(io.BytesIO(data)) as found, PIL.Image.open(io.BytesIO(expected)) as wanted:
        pairs = np.asarray(found.convert('RGB'), int), np.asarray(wanted.convert('RGB'), int)
        np.testing.assert_allclose(*pairs, atol=2)


def test_region_of_nothing(images: dict[tuple[str, int], Path]) -> None:
    source = gz.open(images['uint8', 3])
    for region in ({'left': 5000, 'top': 0, 'width': 5, 'height': 5}, {'width': 0, 'height': 0}):
        found = source.getRegion(region=region, format='numpy')[0]
        expected = FileTileSource.getRegion(source, region=region, format='numpy')[0]
        assert found.shape == expected.shape


@pytest.mark.parametrize('frame', [1, 5, -1])
def test_a_frame_that_does_not_exist(images: dict[tuple[str, int], Path], frame: int) -> None:
    source = gz.open(images['uint8', 3])
    for options in ({'format': 'numpy'}, {}):
        with pytest.raises(TileSourceError, match='Frame does not exist'):
            source.getRegion(frame=frame, **options)
    with pytest.raises(TileSourceError, match='Frame does not exist'):
        source.getThumbnail(frame=frame)


@pytest.mark.parametrize('bands', [1, 3])
def test_thumbnail(images: dict[tuple[str, int], Path], bands: int) -> None:
    source = gz.open(images['uint8', bands])
    data, kind = source.getThumbnail(width=200, height=200)
    assert kind == 'image/jpeg'
    with PIL.Image.open(io.BytesIO(data)) as found:
        assert found.size == (200, 155)
        wanted = np.squeeze(pixels('uint8', bands)[:698, :900])
        coarse = PIL.Image.fromarray(wanted).resize((20, 15), PIL.Image.Resampling.BOX)
        small = found.resize((20, 15), PIL.Image.Resampling.BOX)
        np.testing.assert_allclose(np.asarray(small, int), np.asarray(coarse, int), atol=6)
    with pytest.raises(ValueError, match='width'):
        source.getThumbnail(width=1)


@pytest.mark.parametrize('dtype', TYPES)
@pytest.mark.parametrize(
    'options',
    [
        {},
        {'bins': 10},
        {'range': 'round', 'bins': 30},
        {'range': (0, 300), 'bins': 16, 'density': True},
        {'onlyMinMax': True},
        {'dtype': 'uint16'},
        {'region': {'left': 10, 'top': 20, 'width': 100, 'height': 99}},
        {'output': {'maxWidth': 300}},
    ],
)
def test_histogram(images: dict[tuple[str, int], Path], dtype: str, options: dict[str, Any]) -> None:
    source = gz.open(images[dtype, 3])
    found = source.histogram(**options)
    expected = FileTileSource.histogram(source, **options)
    assert found.keys() == expected.keys()
    # large_image adds up float32 as float32.
    close = 1e-5 if dtype == 'float32' else 1e-9
    for name in expected.keys() - {'histogram'}:
        np.testing.assert_allclose(found[name], expected[name], rtol=close)
    if not options:
        pixels = np.asarray(source.getRegion(format='numpy')[0], np.float64)
        np.testing.assert_allclose(found['mean'], pixels.mean(axis=(0, 1)), rtol=1e-12)
    for one, other in zip(found.get('histogram', []), expected.get('histogram', []), strict=True):
        assert one.keys() == other.keys()
        for name, value in other.items():
            # A value at the edge of a bin may fall to either side of it.
            edge = 1 if (dtype, name) == ('float32', 'hist') else 0
            np.testing.assert_allclose(one[name], value, rtol=close, atol=edge)


def test_style_and_edge_are_large_images(images: dict[tuple[str, int], Path]) -> None:
    style = {'bands': [{'band': 1, 'palette': ['#000', '#0f0'], 'min': 0, 'max': 200}]}
    source = gz.open(images['uint8', 3], style=style)
    region = source.getRegion(format='numpy', region={'width': 50, 'height': 50})[0]
    assert not region[..., 0].any()
    assert region[..., 1].any()
    edged = gz.open(images['uint8', 3], edge='crop')
    level, across = edged.levels - 1, (edged.sizeX - 1) // edged.tileWidth
    tile = edged.getTile(across, 0, level, numpyAllowed='always')
    assert tile.shape[1] == edged.sizeX - across * edged.tileWidth


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, MAX_POOLED_BYTES + 10), min_size=2, max_size=6))
def test_memory_is_not_handed_out_twice(sizes: list[int]) -> None:
    blocks = [allocate(size) for size in sizes]
    for number, block in enumerate(blocks):
        assert block.shape == (sizes[number],)
        block[:] = number
    for number, block in enumerate(blocks):
        assert (block == number).all()
    part = allocate(2 * MIN_POOLED_BYTES)
    part[:] = 7
    view = part[5:1000].reshape(5, -1)
    del part
    others = [allocate(2 * MIN_POOLED_BYTES) for _ in range(20)]
    for other in others:
        other[:] = 9
    assert (view == 7).all()
