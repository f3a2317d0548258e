"""Files of other formats, written by way of large_image_converter; types that it keeps."""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

import girder_zarr.image as gz
from girder_zarr.errors import EditError

if TYPE_CHECKING:
    from pathlib import Path

RGB = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)


@pytest.fixture(scope='module', autouse=True)
def converter() -> None:
    """Skip where the extra `converter` is not installed; import it once with its own warnings silenced."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        for name in ('pyvips', 'pyproj', 'large_image_converter'):
            try:
                importlib.import_module(name)
            except (ImportError, OSError) as exc:
                pytest.skip(f'needs the extra converter: {exc}')


def page(path: Path, index: int = 0) -> np.ndarray:
    with tifffile.TiffFile(path) as tiff:
        return np.asarray(tiff.pages[index].asarray())


def image(pixels: np.ndarray, **kwargs: Any) -> Any:
    source = gz.new()
    source.addTile(pixels, **kwargs)
    return source


@pytest.mark.parametrize('name', ['uint8', 'uint16', 'float16', 'float32', 'float64'])
@pytest.mark.parametrize('lossy', [True, False])
def test_types_that_tiff_output_keeps(tmp_path: Path, name: str, lossy: bool) -> None:
    pixels = (np.random.default_rng(1).random((300, 400)) * 200 - (100 if name[0] == 'f' else 0)).astype(name)
    image(pixels).write(tmp_path / 'image.tiff', lossy=lossy, exact=name[0] == 'f')
    found = page(tmp_path / 'image.tiff')
    if lossy and name == 'uint8':
        assert np.abs(found.astype(int) - pixels).mean() < 20
    else:
        assert found.dtype == ('float32' if name == 'float16' else name)
        assert (found == pixels).all()
    assert [path.name for path in tmp_path.iterdir()] == ['image.tiff']


def test_frames_and_bands(tmp_path: Path) -> None:
    source = gz.new()
    for c in range(3):
        source.addTile(RGB[..., c].astype(np.uint16) * 100, c=c)
    source.write(tmp_path / 'image.tiff', lossy=False)
    for c in range(3):
        with tifffile.TiffFile(tmp_path / 'image.tiff') as tiff:
            pages = [one.asarray() for one in tiff.pages if one.shape[:2] == (300, 400)]
        assert (pages[c] == RGB[..., c].astype(np.uint16) * 100).all()


def test_projection_and_control_points(tmp_path: Path) -> None:
    source = image(RGB)
    source.projection = 'epsg:3857'
    with pytest.raises(EditError, match='GCPs were not specified'):
        source.write(tmp_path / 'image.tiff')
    source.gcps = '1 2 0 0 3 4 10 10'
    source.write(tmp_path / 'image.tiff', lossy=False)
    assert (page(tmp_path / 'image.tiff') == RGB).all()
    with tifffile.TiffFile(tmp_path / 'image.tiff') as tiff:
        first: Any = tiff.pages[0]
        tags = {tag.name: tag.value for tag in first.tags.values()}
    # pixel column and row, 0, then the point on the map
    assert tags['ModelTiepointTag'] == (0, 0, 0, 1, 2, 0, 10, 10, 0, 3, 4, 0)
    assert 3857 in tags['GeoKeyDirectoryTag']


def test_what_exists_is_kept_where_it_must_be(tmp_path: Path) -> None:
    path = tmp_path / 'image.tiff'
    path.write_bytes(b'old')
    with pytest.raises(EditError, match='may not be replaced'):
        image(RGB).write(path, overwriteAllowed=False)
    assert path.read_bytes() == b'old'
    image(RGB).write(path, compression='lzw')
    assert (page(path) == RGB).all()
    assert [one.name for one in tmp_path.iterdir()] == ['image.tiff']


def test_a_suffix_of_no_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EditError, match='must end in'):
        image(RGB).write(tmp_path / 'nowhere' / 'image.jpg')
    assert not list(tmp_path.iterdir())
