"""TIFF of types that large_image_converter would change: every pixel and its type, read by others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import pytest
import tifffile

import girder_zarr.image as gz
from girder_zarr.errors import EditError

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ['bool', 'int8', 'int16', 'uint32', 'int32', 'uint64', 'int64']


def values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Pixels with the smallest and largest values of their type."""
    random = np.random.default_rng(0)
    if name == 'bool':
        return random.random(shape) > 0.5
    limits = np.iinfo(name)
    found = random.integers(limits.min, limits.max, shape, name, endpoint=True)
    found.flat[:2] = limits.min, limits.max
    return found


def image(pixels: np.ndarray, **kwargs: Any) -> Any:
    source = gz.new()
    source.addTile(pixels, **kwargs)
    return source


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('bands', [1, 2, 3, 4, 5])
def test_every_value_is_kept(tmp_path: Path, name: str, bands: int) -> None:
    pixels = values(name, (300, 1100, bands))
    image(pixels).write(tmp_path / 'image.tiff', exact=True)
    with tifffile.TiffFile(tmp_path / 'image.tiff') as tiff:
        page: Any = tiff.pages[0]
        found = page.asarray()
        levels = [level.shape for level in tiff.series[0].levels]
        assert page.is_tiled
    assert found.dtype == ('uint8' if name == 'bool' else name)
    assert (found.reshape(pixels.shape) == pixels).all()
    assert [level[:2] for level in levels] == [(300, 1100), (150, 550), (75, 275)]
    assert [path.name for path in tmp_path.iterdir()] == ['image.tiff']


@pytest.mark.parametrize('options', [{}, {'compression': 'lzw'}, {'compression': 'none', 'tileSize': 64}])
@pytest.mark.parametrize('size', [(5, 7), (512, 512), (513, 1)])
def test_any_size_and_compression(tmp_path: Path, size: tuple[int, int], options: dict[str, Any]) -> None:
    pixels = values('int16', size)
    image(pixels).write(tmp_path / 'image.tif', exact=True, **options)
    assert (tifffile.imread(tmp_path / 'image.tif') == pixels).all()


def test_pillow_reads_it(tmp_path: Path) -> None:
    pixels = values('int32', (300, 400))
    image(pixels).write(tmp_path / 'image.tiff', exact=True, compression='lzw')
    with PIL.Image.open(tmp_path / 'image.tiff') as picture:
        assert (np.asarray(picture) == pixels).all()


def test_frames_sizes_and_associated_images(tmp_path: Path) -> None:
    source = gz.new()
    frames = {(z, c): values('int32', (600, 400)) // (z + c + 1) for z in range(2) for c in range(3)}
    for (z, c), pixels in frames.items():
        source.addTile(pixels, z=z, c=c, z_value=z * 1.5)
    source.channelNames = ['DAPI', 'GFP', 'Cy5']
    source.mm_x = source.mm_y = 0.0005
    label = np.full((50, 60, 3), 7, np.uint8)
    source.addAssociatedImage(label, 'label')
    source.write(tmp_path / 'image.tiff', exact=True)
    with tifffile.TiffFile(tmp_path / 'image.tiff') as tiff:
        pages: list[Any] = list(tiff.pages)
        assert len(pages) == 7
        found = [json.loads(page.description) for page in pages[:6]]
        for page, described in zip(pages, found, strict=False):
            place = described['frame']
            assert (page.asarray() == frames[place['IndexZ'], place['IndexC']]).all()
        assert found[0]['channels'] == ['DAPI', 'GFP', 'Cy5']
        assert (pages[6].asarray() == label).all()
        assert pages[6].description == 'label'
        assert pages[0].tags['XResolution'].value[0] / pages[0].tags['XResolution'].value[1] == 20_000


@pytest.mark.parametrize('name', NAMES)
def test_what_cannot_be_written_exactly_is_refused_before_anything_is_done(tmp_path: Path, name: str) -> None:
    source = image(values(name, (9, 9)))
    for suffix, options, message in (
        ('svs', {}, f'cannot hold {name} pixels'),
        ('tiff', {'compression': 'jpeg'}, 'compression must be one of'),
        ('tiff', {'quality': 90}, 'with quality'),
        ('tiff', {'tileSize': 50}, 'multiple of 16'),
    ):
        path = tmp_path / f'image.{suffix}'
        path.write_bytes(b'old')
        with pytest.raises(EditError, match=message):
            source.write(path, exact=True, **options)
        assert path.read_bytes() == b'old'
