"""Which axes become bands and which become frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import girder_zarr.image as gz
from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.ngff.metadata import DEFAULT_AXIS_TYPES, Axis, Channel, Level, Multiscale
from girder_zarr.image.series.frames import channel_names, frame_records, frame_values, lay_out
from girder_zarr.image.series.series import LevelReader, Series
from support.images import write

if TYPE_CHECKING:
    from pathlib import Path


class Pixels:
    """An array in memory as a level."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels
        self.shape, self.dtype, self.chunks = pixels.shape, pixels.dtype, pixels.shape

    def read(self, region: tuple[slice, ...]) -> np.ndarray:
        return self.pixels[region]


def series_of(
    names: str,
    shape: tuple[int, ...],
    channels: list[Channel] | None = None,
    values: dict[str, tuple[Any, ...]] | None = None,
    **extra: Any,
) -> Series:
    axes = tuple(Axis(n, DEFAULT_AXIS_TYPES.get(n, 'custom'), None, (values or {}).get(n)) for n in names)
    level = Level('0', (1.0,) * len(axes), (0.0,) * len(axes))
    multiscale = Multiscale(
        axes, (level,), channels=None if channels is None else tuple(channels), extra=extra
    )
    pixels = Pixels(np.arange(int(np.prod(shape))).reshape(shape))
    assert isinstance(pixels, LevelReader)
    return Series(multiscale, (pixels,))


RGB = [Channel('R', 'FF0000'), Channel('G', '00FF00'), Channel('B', '0000FF')]


@pytest.mark.parametrize(
    ('series', 'bands', 'frames'),
    [
        (series_of('yx', (5, 6)), 1, 1),
        (series_of('cyx', (3, 5, 6)), 3, 1),
        (series_of('cyx', (4, 5, 6)), 4, 1),
        (series_of('cyx', (2, 5, 6)), 1, 2),
        (series_of('cyx', (5, 5, 6)), 1, 5),
        (series_of('cyx', (3, 5, 6), RGB), 3, 1),
        (series_of('cyx', (3, 5, 6), RGB[::-1]), 1, 3),
        (series_of('cyx', (3, 5, 6), [Channel('a'), Channel('b'), Channel('c')]), 1, 3),
        (series_of('cyx', (4, 5, 6), [*RGB, Channel('Alpha', 'FFFFFF')]), 4, 1),
        (series_of('cyx', (4, 5, 6), [*RGB, Channel('Cy5', 'FFFFFF')]), 1, 4),
        (series_of('cyx', (6, 5, 6), None, None, bands=3), 3, 2),
        (series_of('cyx', (3, 5, 6), RGB, None, bands=1), 1, 3),
        (series_of('cyx', (7, 5, 6), None, None, bands=3), 1, 7),
        (series_of('cyx', (2, 5, 6), None, None, bands=2), 2, 1),
        (series_of('yxs', (5, 6, 3)), 3, 1),
        (series_of('yxs', (5, 6, 7)), 7, 1),
        (series_of('cyxs', (4, 5, 6, 3)), 3, 4),
        (series_of('tczyx', (2, 3, 4, 5, 6)), 3, 8),
        (series_of('tczyxq', (2, 2, 4, 5, 6, 3)), 1, 48),
    ],
)
def test_bands_and_frames(series: Series, bands: int, frames: int) -> None:
    layout = lay_out([series])
    assert (layout.bands, layout.count) == (bands, frames)


@pytest.mark.parametrize('names', ['tczyx', 'xyzct', 'zxcyt', 'czyxt'])
def test_frames_count_c_then_z_then_t_whatever_the_stored_order(names: str) -> None:
    sizes = {'t': 2, 'c': 5, 'z': 4, 'y': 6, 'x': 7}
    series = series_of(names, tuple(sizes[name] for name in names))
    layout = lay_out([series])
    pixels = series.levels[0].read((slice(None),) * 5)
    moved = np.moveaxis(pixels, [names.index(name) for name in 'tzcyx'], range(5)).reshape(-1, 6, 7)
    assert layout.count == 40
    for frame in range(40):
        region = list(layout.fixed(frame))
        region[layout.y], region[layout.x] = slice(0, 6), slice(0, 7)
        np.testing.assert_array_equal(layout.picture(pixels[tuple(region)])[..., 0], moved[frame])
        assert layout.positions(frame) == {'c': frame % 5, 'z': frame // 5 % 4, 't': frame // 20}


def test_a_growing_image_counts_its_last_axis_fastest() -> None:
    layout = lay_out([series_of('ctyxs', (2, 3, 5, 6, 3))], stored_order=True)
    assert layout.positions(1) == {'t': 1, 'c': 0}


def test_channels_and_bands_split() -> None:
    series = series_of('cyx', (6, 5, 6), [Channel(label) for label in 'abcdef'], None, bands=3)
    layout = lay_out([series])
    assert layout.fixed(1)[0] == slice(3, 6)
    assert channel_names(series.multiscale, layout) == ['a', 'd']


def test_names_differ_and_gaps_are_filled() -> None:
    labels = [Channel('DAPI'), Channel('DAPI'), Channel(None)]
    series = series_of('cyx', (5, 5, 6), labels)
    names = channel_names(series.multiscale, lay_out([series]))
    assert names == ['DAPI', 'DAPI (1)', 'Channel 2', 'Channel 3', 'Channel 4']
    assert channel_names(series_of('cyx', (5, 5, 6)).multiscale, lay_out([series])) is None


def test_values_of_axes() -> None:
    series = series_of('zyx', (3, 5, 6), None, {'z': (0.5, 1.5, 2.5)})
    layout = lay_out([series])
    assert [record['ValueZ'] for record in frame_records([series], layout)] == [0.5, 1.5, 2.5]
    axes, _, values = frame_values(series.multiscale, layout)
    assert axes == ['z']
    assert values is not None
    assert values[:, 0].tolist() == [0.5, 1.5, 2.5]
    varying = series_of('tzyx', (2, 2, 5, 6), None, {'t': (1, 2, 3, 4)})
    records = frame_records([varying], lay_out([varying]))
    assert [record['ValueT'] for record in records] == [1, 2, 3, 4]


def test_series_are_xy() -> None:
    one = series_of('zyx', (3, 5, 6))
    layout = lay_out([one, one])
    assert layout.count == 6
    assert layout.positions(4) == {'z': 1, 'xy': 1}


@pytest.mark.parametrize('names', ['zy', 'zx', 'ab'])
def test_without_x_or_y(names: str) -> None:
    with pytest.raises(UnreadableImageError, match='x and a y'):
        lay_out([series_of(names, (5, 6))])


def test_the_frame_list_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    channels = {'label': 'DAPI', 'color': '0000FF', 'window': {'min': 0, 'max': 9, 'start': 0, 'end': 9}}
    pixels = np.zeros((3, 2, 8, 8), 'uint8')
    folder = write(tmp_path / 'a.zarr', [pixels], 'tcyx', omero={'channels': [channels, dict(channels)]})
    made: list[object] = []

    def counted(*arguments: Any) -> Any:
        made.append(arguments)
        return frame_records(*arguments)

    monkeypatch.setattr('girder_zarr.image.source.frame_records', counted)
    source = gz.open(folder, noCache=True)
    first, again = source.getMetadata(), source.getMetadata()
    assert first == again
    assert len(first['frames']) == 6
    again['frames'][1]['Window']['max'] = -1
    again['frames'][2]['Channel'] = 'mine'
    again['IndexRange']['IndexC'] = -1
    del again['channels'][0]
    assert source.getMetadata() == first
    assert len(made) == 1


def test_the_frame_list_of_an_image_that_is_written_is_that_of_now() -> None:
    source = gz.new()
    tile = np.zeros((8, 8), 'uint8')
    source.addTile(tile, 0, 0, z=0)
    source.addTile(tile, 0, 0, z=1)
    assert len(source.getMetadata()['frames']) == 2
    source.addTile(tile, 0, 0, z=2)
    assert [frame['IndexZ'] for frame in source.getMetadata()['frames']] == [0, 1, 2]
