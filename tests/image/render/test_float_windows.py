"""Floats whose window says 0 to 1 and whose values do not: a default that somebody wrote, not a person's."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import pytest
import zarr

import girder_zarr.image as gz

if TYPE_CHECKING:
    from pathlib import Path

#: Its types say that an array may be a group, and JSON anything.
ZARR: Any = zarr

pytestmark = pytest.mark.usefixtures('temporary_directory')
RAMP = np.tile(np.linspace(0, 1, 400), (300, 1))
DEFAULT: dict[str, float] = {'min': 0, 'max': 1, 'start': 0, 'end': 1}


def stored(path: Path, pixels: np.ndarray, window: dict[str, float], version: str) -> Path:
    """An image as the first releases of this package wrote floats, and others do."""
    group = ZARR.open_group(path, mode='w', zarr_format=2 if version == '0.4' else 3)
    names = ['c', 'y', 'x'] if pixels.ndim == 3 else ['y', 'x']
    group.create_array('0', data=pixels, chunks=pixels.shape)
    ones = [1] * len(names)
    item = {
        'axes': [{'name': name, 'type': 'channel' if name == 'c' else 'space'} for name in names],
        'datasets': [{'path': '0', 'coordinateTransformations': [{'type': 'scale', 'scale': ones}]}],
    }
    count = len(pixels) if pixels.ndim == 3 else 1
    channels = [{'label': f'c{index}', 'color': 'FFFFFF', 'window': window} for index in range(count)]
    omero = {'omero': {'channels': channels}}
    if version == '0.4':
        group.attrs.update({'multiscales': [{**item, 'version': version}], **omero})
    else:
        group.attrs['ome'] = {'version': version, 'multiscales': [item], **omero}
    return path


def shown(path: Path, frame: int = 0) -> float:
    data = gz.open(str(path)).getThumbnail(encoding='PNG', frame=frame)[0]
    return float(np.asarray(PIL.Image.open(io.BytesIO(data)).convert('RGB')).mean())


@pytest.mark.parametrize('version', ['0.4', '0.5'])
@pytest.mark.parametrize('top', [255, 4000, 65535])
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_the_window_of_what_is_in_the_data_counts(
    tmp_path: Path, version: str, top: float, dtype: Any
) -> None:
    pixels = (RAMP * top).astype(dtype)
    assert 110 < shown(stored(tmp_path / 'image.zarr', pixels, DEFAULT, version)) < 130


@pytest.mark.parametrize('low', [0, -100])
def test_each_channel_is_looked_at_by_itself(tmp_path: Path, low: float) -> None:
    pixels = np.stack([RAMP, low + RAMP * (200 - low)]).astype(np.float32)
    path = stored(tmp_path / 'image.zarr', pixels, DEFAULT, '0.5')
    assert 126 < shown(path, 0) < 129
    assert 95 < shown(path, 1) < 130


@pytest.mark.parametrize('top', [1, 1.5])
def test_values_of_0_to_1_keep_it(tmp_path: Path, top: float) -> None:
    path = stored(tmp_path / 'image.zarr', RAMP * top, DEFAULT, '0.5')
    assert shown(path) == pytest.approx(np.clip(RAMP * top, 0, 1).mean() * 255, abs=1)


@pytest.mark.parametrize(
    'window', [{**DEFAULT, 'max': 255}, {**DEFAULT, 'end': 0.5}, {**DEFAULT, 'start': 0.1}]
)
def test_a_window_that_somebody_chose_counts(tmp_path: Path, window: dict[str, float]) -> None:
    assert shown(stored(tmp_path / 'image.zarr', RAMP * 255, window, '0.5')) > 250


@pytest.mark.parametrize('version', ['0.4', '0.5', '0.6'])
def test_a_window_that_was_given_when_writing_counts(tmp_path: Path, version: str) -> None:
    source = gz.new()
    for c in range(2):
        source.addTile(RAMP * 255, c=c)
    source.write(tmp_path / 'given.zarr', windows=[(0, 1), (0, 255)], version=version)
    source.write(tmp_path / 'data.zarr', version=version)
    assert shown(tmp_path / 'given.zarr', 0) > 250
    assert 126 < shown(tmp_path / 'given.zarr', 1) < 129
    assert 126 < shown(tmp_path / 'data.zarr', 0) < 129
    edited = gz.open(str(tmp_path / 'given.zarr'), editable=True)
    edited.write(tmp_path / 'given.zarr')
    assert shown(tmp_path / 'given.zarr', 0) > 250


def test_an_edit_does_not_make_a_default_a_window_that_was_given(tmp_path: Path) -> None:
    path = stored(tmp_path / 'image.zarr', np.stack([RAMP * 255] * 2), DEFAULT, '0.5')
    edited = gz.open(str(path), editable=True)
    edited.addTile(np.zeros((2, 2)), c=0)
    edited.write(path)
    assert 110 < shown(path) < 130
