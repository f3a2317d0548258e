"""Axes by their type, whatever they are called; and axes that the metadata leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

import girder_zarr.image as gz
from girder_zarr.image.ngff.axis_types import read_axes

if TYPE_CHECKING:
    from pathlib import Path

#: Its types say that an array may be a group, and JSON anything.
ZARR: Any = zarr

pytestmark = pytest.mark.usefixtures('temporary_directory')
S, T, C = 'space', 'time', 'channel'


def named(*axes: tuple[str, str | None]) -> list[str]:
    raw = [{'name': name, **({} if kind is None else {'type': kind})} for name, kind in axes]
    return [axis.name for axis in read_axes(raw)]


@pytest.mark.parametrize(
    ('axes', 'expected'),
    [
        ([('z', S), ('row', S), ('col', S)], 'zyx'),
        ([('channel', C), ('row', S), ('col', S)], 'cyx'),
        ([('frame', T), ('stain', C), ('depth', S), ('v', S), ('u', S)], 'tczyx'),
        ([('a', S), ('b', S), ('c', S)], 'zyx'),
        ([('t', S), ('x', S), ('y', S)], 'zxy'),
        ([('C', C), ('Y', S), ('X', S)], 'cyx'),
        ([('x', C), ('row', S), ('col', S)], 'cyx'),
        ([('t', C), ('c', T), ('y', S), ('x', S)], 'ctyx'),
        ([('depth', S), ('y', S), ('x', S)], 'zyx'),
        ([('row', None), ('col', None)], 'yx'),
        ([('c', None), ('row', None), ('col', None)], 'cyx'),
        ([('y', S), ('x', S), ('s', C)], 'yxs'),
    ],
)
def test_types_tell_which_axis_is_which(axes: list[tuple[str, str | None]], expected: str) -> None:
    assert named(*axes) == list(expected)


def test_names_stay_different() -> None:
    assert named(('c', C), ('z', C), ('y', S), ('x', S)) == ['c', 'z_', 'y', 'x']
    assert named(('angle', None), ('y', S), ('x', S)) == ['angle', 'y', 'x']
    assert len(set(named(*[(name, S) for name in 'abcde']))) == 5


def stored(
    path: Path, axes: list[Any], shape: tuple[int, ...], names: Any = None, numbers: Any = None
) -> np.ndarray:
    pixels = np.random.default_rng(0).integers(1, 255, shape, np.uint8)
    group = ZARR.open_group(path, mode='w', zarr_format=3)
    group.create_array('0', data=pixels, dimension_names=names)
    numbers = numbers or [1] * len(axes)
    datasets = [{'path': '0', 'coordinateTransformations': [{'type': 'scale', 'scale': numbers}]}]
    group.attrs['ome'] = {'version': '0.5', 'multiscales': [{'axes': axes, 'datasets': datasets}]}
    return pixels


def test_an_image_of_other_names_is_read_and_edited_under_them(tmp_path: Path) -> None:
    path = tmp_path / 'image.zarr'
    axes = [
        {'name': name, 'type': kind, **({'unit': 'micrometer'} if kind == S else {})}
        for name, kind in (('stain', C), ('plane', S), ('row', S), ('col', S))
    ]
    pixels = stored(path, axes, (2, 3, 60, 80), ['stain', 'plane', 'row', 'col'], [1, 2, 0.5, 0.25])
    source = gz.open(str(path), editable=True)
    metadata = source.getMetadata()
    assert (metadata['sizeX'], metadata['sizeY'], metadata['IndexRange']) == (
        80,
        60,
        {'IndexC': 2, 'IndexZ': 3},
    )
    assert (metadata['mm_x'], metadata['mm_y'], source.mm_z) == (0.00025, 0.0005, 0.002)
    source.addTile(np.zeros((5, 5), np.uint8), c=1, z=2)
    source.write(path)
    group = ZARR.open_group(path, mode='r')
    assert group.attrs['ome']['multiscales'][0]['axes'] == axes
    assert group['0'].metadata.dimension_names == ('stain', 'plane', 'row', 'col')
    pixels[1, 2, :5, :5] = 0
    assert (group['0'][...] == pixels).all()


@pytest.mark.parametrize('names', [('t', 'c', 'y', 'x'), None])
def test_axes_that_are_not_declared_come_from_the_array(tmp_path: Path, names: Any) -> None:
    path = tmp_path / 'image.zarr'
    axes = [{'name': name, 'type': S, 'unit': 'micrometer'} for name in 'yx']
    pixels = stored(path, axes, (3, 2, 60, 80), names, [0.5, 0.25])
    source = gz.open(str(path))
    metadata = source.getMetadata()
    assert (metadata['sizeX'], metadata['sizeY'], len(metadata['frames'])) == (80, 60, 6)
    assert (metadata['mm_x'], metadata['mm_y']) == (0.00025, 0.0005)
    if names:
        assert metadata['IndexRange'] == {'IndexC': 2, 'IndexT': 3}
        assert (source.getRegion(format='numpy', frame=3)[0][..., 0] == pixels[1, 1]).all()
    assert any('declares 2 axes' in one for one in source.getInternalMetadata()['zarr']['problems'])


@pytest.mark.parametrize(
    ('way', 'nearest'),
    [
        ('every other', [0, 0, 1, 1, 2, 2, 3, 3, 4]),
        ('mean of two', [0, 0, 1, 1, 2, 2, 3, 3, 4]),
        ('every third', [0, 0, 1, 1, 1, 2, 2, 2, 2]),
    ],
)
def test_the_nearest_slice_of_a_level_with_fewer(tmp_path: Path, way: str, nearest: list[int]) -> None:
    factor = 3 if way == 'every third' else 2
    shift = 0.5 if way == 'mean of two' else 0
    count = -(-9 // factor)
    group = ZARR.open_group(tmp_path / 'image.zarr', mode='w', zarr_format=3)
    full = np.repeat(np.arange(9, dtype=np.uint8)[:, None, None] * 20, 600, 1).repeat(700, 2)
    low = np.repeat(np.arange(count, dtype=np.uint8)[:, None, None], 300, 1).repeat(350, 2)
    group.create_array('0', data=full, chunks=(1, 256, 256))
    group.create_array('1', data=low, chunks=(1, 256, 256))
    steps = [
        [{'type': 'scale', 'scale': [2, 1, 1]}],
        [
            {'type': 'scale', 'scale': [2 * factor, 2, 2]},
            {'type': 'translation', 'translation': [2 * shift, 0.5, 0.5]},
        ],
    ]
    axes = [{'name': name, 'type': S, 'unit': 'micrometer'} for name in 'zyx']
    datasets = [{'path': str(at), 'coordinateTransformations': one} for at, one in enumerate(steps)]
    group.attrs['ome'] = {'version': '0.5', 'multiscales': [{'axes': axes, 'datasets': datasets}]}
    source = gz.open(str(tmp_path / 'image.zarr'))
    output = {'maxWidth': 350, 'maxHeight': 300}
    found = [int(source.getRegion(format='numpy', frame=z, output=output)[0].max()) for z in range(9)]
    assert found == nearest
