"""What programs written for large-image-source-zarr 1.35.6 rely on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from large_image.exceptions import TileSourceError

import girder_zarr.image as gz

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures('temporary_directory')
TILE = np.arange(60 * 80, dtype=np.uint8).reshape(60, 80)


def new(**place: Any) -> gz.ZarrFileTileSource:
    source = gz.new()
    source.addTile(TILE, 0, 0, **place)
    return source


def test_channels_have_names_wherever_there_is_a_channel_axis(tmp_path: Path) -> None:
    source = new(c=2)
    metadata = source.getMetadata()
    assert metadata['channels'] == ['Band 1', 'Band 2', 'Band 3']
    assert metadata['channelmap'] == {'Band 1': 0, 'Band 2': 1, 'Band 3': 2}
    assert 'channels' not in new(z=2).getMetadata()


def test_positions_that_were_never_written_have_the_value_0() -> None:
    source = new(z=2, z_value=1.5)
    assert [frame['ValueZ'] for frame in source.getMetadata()['frames']] == [0, 0, 1.5]
    assert source.frameValues is not None
    assert source.frameValues[..., 0].tolist() == [0, 0, 1.5]


@pytest.mark.parametrize('name', ['minWidth', 'minHeight', 'mm_x', 'mm_y'])
def test_messages_of_sizes(name: str) -> None:
    with pytest.raises(TileSourceError) as found:
        setattr(gz.new(), name, -1)
    assert str(found.value) == f'{name} must be positive or None'


@pytest.mark.parametrize(
    'given', [[(1, 2, 3, 4), (5, 6, 7, 8)], [[1.5, 2, 3, 4], [5, 6, 7, 8]], [(1, 2, 3, 4), [5, 6, 7, 8]]]
)
def test_control_points_come_back_as_they_were_given(given: Any) -> None:
    source = gz.new()
    source.gcps = given
    assert source.gcps == given
    source.gcps = '1 2 3 4 5 6 7 8'
    assert source.gcps == [[1, 2, 3, 4], [5, 6, 7, 8]]


@pytest.mark.parametrize('version', ['0.4', '0.5', '0.6'])
def test_internal_metadata_is_at_the_same_place_in_every_version(tmp_path: Path, version: str) -> None:
    source = new()
    source.imageDescription = 'a mouse'
    source.additionalMetadata = {'a': [1, 2]}
    expected = {'description': 'a mouse', 'additionalMetadata': {'a': [1, 2]}}
    source.write(tmp_path / 'image.zarr', version=version)
    for one in (source, gz.open(str(tmp_path / 'image.zarr'))):
        base = one.getInternalMetadata()['zarr']['base']
        assert base['multiscales'][0]['metadata']['description'] == expected
        json.dumps(base)


@pytest.mark.parametrize('version', ['0.4', '0.5'])
@pytest.mark.parametrize('name', ['.zattrs', '.zgroup', 'zarr.json'])
def test_any_file_of_metadata_opens_the_image(tmp_path: Path, version: str, name: str) -> None:
    new().write(tmp_path / 'image.zarr', version=version)
    source = gz.open(str(tmp_path / 'image.zarr' / name))
    assert (source.getRegion(format='numpy')[0][..., 0] == TILE).all()


def test_the_group_of_a_new_image_can_be_read() -> None:
    source = gz.new()
    assert not list(source._zarr.arrays())
    source.addTile(TILE, 0, 0)
    assert (source._zarr['0'][...] == TILE).all()
    source.addTile(TILE, 80, 0)
    assert source._zarr['0'].shape == (60, 160)


def test_keywords_that_a_format_does_not_know_are_passed_over(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match='passes over colour'):
        new().write(tmp_path / 'image.zarr', colour='red', compression='lzw')
    with pytest.warns(UserWarning, match='does not know chunk'):
        new().write(tmp_path / 'image.tiff', chunk=256, lossy=False)


@pytest.mark.parametrize('name', ['projection', 'gcps'])
def test_half_a_georeference_is_said_after_the_file_was_written(tmp_path: Path, name: str) -> None:
    source = new()
    setattr(source, name, 'EPSG:3857' if name == 'projection' else [[1, 2, 3, 4], [5, 6, 7, 8]])
    with pytest.raises(TileSourceError, match='Cannot write georeferenced file'):
        source.write(tmp_path / 'image.tiff', lossy=False)
    assert (tmp_path / 'image.tiff').is_file()


@pytest.mark.parametrize('top', [1, 255, 65535, 1e9])
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('name', ['image.zarr', 'image.zip', 'image.tiff'])
def test_a_float_image_is_not_white(tmp_path: Path, top: float, dtype: Any, name: str) -> None:
    import io

    import large_image
    import PIL.Image

    ramp = np.tile(np.linspace(0, top, 300)[None, :, None], (200, 1, 3)).astype(dtype)
    source = gz.new()
    source.addTile(ramp)
    source.write(tmp_path / name, lossy=False)
    data = large_image.open(str(tmp_path / name)).getThumbnail(encoding='PNG')[0]
    assert 115 < np.asarray(PIL.Image.open(io.BytesIO(data)).convert('RGB')).mean() < 135
