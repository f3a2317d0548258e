"""Channels in the colours of the file, added up: against sums made here, of a file that zarr wrote."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from large_image.exceptions import TileSourceError

from girder_zarr.errors import StyleError
from girder_zarr.image import new
from girder_zarr.image.render.composite import add_up
from support import channel_images
from support.images import decoded, opened

if TYPE_CHECKING:
    from pathlib import Path

    import girder_zarr.image as gz

PIXELS = channel_images.channels_of()


@pytest.fixture(scope='module')
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp('channels') / 'channels.zarr.zip'
    channel_images.channels_zarr(found, PIXELS)
    return found


def style(**more: Any) -> str:
    bands = [
        {'framedelta': number, 'palette': f'#{color}', 'min': low, 'max': high, 'composite': 'add', **more}
        for number, (_, color, (low, high), _) in enumerate(channel_images.CHANNELS)
    ]
    return json.dumps({'bands': bands})


def picture(source: gz.ZarrFileTileSource) -> np.ndarray:
    """The tiles of full resolution, put together."""
    out = np.zeros((source.sizeY, source.sizeX, 3), np.uint8)
    for row in range(-(-source.sizeY // source.tileHeight)):
        for column in range(-(-source.sizeX // source.tileWidth)):
            tile = decoded(source.getTile(column, row, source.levels - 1))
            top, left = row * source.tileHeight, column * source.tileWidth
            part = out[top : top + source.tileHeight, left : left + source.tileWidth]
            part[:] = tile[: part.shape[0], : part.shape[1], :3]
    return out


def test_four_channels_have_the_colours_of_the_file(path: Path) -> None:
    expected = channel_images.added_up(PIXELS)
    found = picture(opened(path, style=style(), encoding='PNG'))
    assert np.abs(found.astype(int) - expected).max() <= 1
    # Where the lightest of the channels counts, as in large_image's own styles, colours are others.
    lighten = picture(opened(path, style=style(composite='lighten'), encoding='PNG'))
    assert np.abs(lighten.astype(int) - expected).max() > 50


def test_a_region_is_put_together_likewise(path: Path) -> None:
    source = opened(path, style=style())
    data, _ = source.getRegion(region={'left': 50, 'top': 30, 'width': 200, 'height': 150}, encoding='PNG')
    expected = channel_images.added_up(PIXELS)[30:180, 50:250]
    assert np.abs(decoded(data)[..., :3].astype(int) - expected).max() <= 1


def test_a_thumbnail_shows_the_channels_as_the_file_says(path: Path) -> None:
    source = opened(path)
    data, _ = source.getThumbnail(width=200, height=150, encoding='PNG')
    means = channel_images.added_up(PIXELS).reshape(150, 2, 200, 2, 3).mean(axis=(1, 3))
    # The file has a level of every second pixel.
    assert np.abs(decoded(data)[..., :3] - means).mean() < 2
    # A frame or a style that is asked for is what is shown.
    data, _ = source.getThumbnail(width=200, height=150, encoding='PNG', frame=0)
    assert decoded(data).ndim == 2 or np.ptp(decoded(data).astype(int), axis=-1).max() == 0
    tile = source.getTile(0, 0, source.levels - 1, numpyAllowed='always')
    assert tile.dtype == np.uint16


def test_the_window_of_the_source_where_a_style_names_none(path: Path) -> None:
    bands = [{'frame': 1, 'palette': '#00FF00', 'composite': 'add'}]
    found = picture(opened(path, style=json.dumps({'bands': bands}), encoding='PNG'))
    expected = np.clip(PIXELS[1] / 4000, 0, 1) * 255
    assert np.abs(found[..., 1] - expected).max() <= 1
    assert not found[..., [0, 2]].any()


def thumbnail(source: gz.ZarrFileTileSource) -> np.ndarray:
    return decoded(source.getThumbnail(width=64, height=64, encoding='PNG')[0])[..., :3]


def test_a_thumbnail_of_channels_that_are_all_white_is_the_first_of_them() -> None:
    source = new()
    for channel, value in enumerate((100, 200)):
        source.addTile(np.full((64, 64, 1), value, np.uint8), x=0, y=0, c=channel)
    assert set(np.unique(thumbnail(source))) == {100}


def test_a_thumbnail_of_8_bits_has_the_values_of_the_file(tmp_path: Path) -> None:
    source = new()
    for channel, value in enumerate((100, 200)):
        source.addTile(np.full((64, 64, 1), value, np.uint8), x=0, y=0, c=channel)
    source.channelNames = ['red', 'green']
    source.channelColors = ['#FF0000', '#00FF00']
    source.write(str(tmp_path / 'a.zarr.zip'), lossy=False)
    assert thumbnail(opened(tmp_path / 'a.zarr.zip'))[5, 5].tolist() == [100, 200, 0]


def test_what_is_not_finite_is_black() -> None:
    plane = np.array([[np.nan, np.inf, -np.inf, 0.5]], np.float32)
    assert add_up([plane], [(0, 1)], [(255, 100, 0)]).tolist() == [
        [[0, 0, 0], [255, 100, 0], [0, 0, 0], [128, 50, 0]]
    ]


@pytest.mark.parametrize(
    'wrong',
    [
        {'palette': 'red'},
        {'palette': ['#000', '#fff']},
        {'min': 'low'},
        {'max': True},
        {'band': 0},
        {'band': 9},
        {'frame': 99},
        {'framedelta': -1},
        {'frame': 1.5},
        {'scheme': 'discrete'},
    ],
)
def test_a_style_that_cannot_be_added_up_is_refused(path: Path, wrong: dict[str, Any]) -> None:
    source = opened(path, style=style(**wrong))
    with pytest.raises(TileSourceError, match=r'style|Frame'):
        source.getTile(0, 0, 0)


def test_no_more_channels_than_a_picture_needs(path: Path) -> None:
    bands = [{'palette': '#FFFFFF', 'composite': 'add'}] * 65
    with pytest.raises(StyleError, match='at most 64 bands'):
        opened(path, style=json.dumps({'bands': bands})).getTile(0, 0, 0)
