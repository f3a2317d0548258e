"""The size of a pixel: what the file gives validly, and nothing else."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

import girder_zarr.image as gz
from girder_zarr.errors import EditError
from girder_zarr.image.ngff.units import from_millimeters, to_millimeters

if TYPE_CHECKING:
    from pathlib import Path

#: Its types say that an array may be a group, and JSON anything.
ZARR: Any = zarr

pytestmark = pytest.mark.usefixtures('temporary_directory')
KINDS = {'t': 'time', 'c': 'channel'}


def stored(
    path: Path, names: str, transforms: Any, units: dict[str, str] | None = None, outer: Any = None
) -> Path:
    """Write an image of NGFF 0.4 with zarr-python."""
    units = dict.fromkeys('zyx', 'micrometer') if units is None else units
    group = ZARR.open_group(path, mode='w', zarr_format=2)
    shape = tuple({'y': 40, 'x': 50}.get(name, 3) for name in names)
    group.create_array('0', data=np.zeros(shape, np.uint8), chunks=shape)
    axes = [
        {'name': name, 'type': KINDS.get(name, 'space'), **({'unit': units[name]} if name in units else {})}
        for name in names
    ]
    dataset = {'path': '0', **({} if transforms is None else {'coordinateTransformations': transforms})}
    item: dict[str, Any] = {'version': '0.4', 'axes': axes, 'datasets': [dataset]}
    if outer is not None:
        item['coordinateTransformations'] = outer
    group.attrs['multiscales'] = [item]
    return path


def scale(*numbers: Any) -> list[dict[str, Any]]:
    return [{'type': 'scale', 'scale': list(numbers)}]


def sizes(path: Path) -> tuple[Any, Any, Any, Any]:
    source = gz.open(str(path))
    found = source.getMetadata()
    return found['mm_x'], found['mm_y'], source.mm_z, found['magnification']


def test_as_many_numbers_as_space_axes_apply_to_these(tmp_path: Path) -> None:
    path = stored(tmp_path / 'a.zarr', 'tczyx', scale(2, 0.25, 0.5))
    assert sizes(path) == (0.0005, 0.00025, 0.002, 20)
    path = stored(tmp_path / 'b.zarr', 'cyx', scale(0.25, 0.5))
    assert sizes(path)[:2] == (0.0005, 0.00025)


@pytest.mark.parametrize(
    'transforms',
    [
        None,
        [],
        'scale',
        [{'type': 'translation', 'translation': [0, 0, 0]}],
        scale(1, 2),
        scale(1, 1, 1, 1, 1),
        scale(0, 0, 0),
        scale(math.nan, math.inf, None),
        scale('0.5', '0.5', '0.5'),
        scale(True, True, True),
        [{'type': 'scale', 'path': 'sizes'}],
        [{'type': 'affine', 'affine': [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]}],
    ],
)
def test_a_size_that_is_not_given_validly_is_none(tmp_path: Path, transforms: Any) -> None:
    path = stored(tmp_path / 'image.zarr', 'zyx', transforms)
    assert sizes(path) == (None, None, None, None)
    frames = gz.open(str(path)).getMetadata()['frames']
    assert not any('ValueZ' in frame for frame in frames)
    source = gz.open(str(path), editable=True)
    source.addTile(np.ones((5, 5), np.uint8), z=0)
    source.write(path)
    assert sizes(path) == (None, None, None, None), 'an edit claims nothing either'


def test_one_bad_number_leaves_the_others(tmp_path: Path) -> None:
    path = stored(tmp_path / 'image.zarr', 'zyx', scale(0, 0.5, 0.25))
    assert sizes(path) == (0.00025, 0.0005, None, 40)


def test_transforms_of_the_multiscale_count_up_to_0_5(tmp_path: Path) -> None:
    path = stored(tmp_path / 'image.zarr', 'zyx', scale(1, 1, 1), outer=scale(2, 0.5, 0.5))
    assert sizes(path)[:3] == (0.0005, 0.0005, 0.002)


@pytest.mark.parametrize('name', ['intrinsic', 'physical', 'zz'])
def test_systems_beyond_the_intrinsic_one_do_not_count(tmp_path: Path, name: str) -> None:
    axes = [{'name': one, 'type': 'space', 'unit': 'micrometer'} for one in 'yx']
    further = {'name': 'array', 'axes': [{'name': one, 'type': 'space'} for one in 'yx']}
    ends = {'input': {'name': name}, 'output': {'name': 'array'}}
    transforms = [{'type': 'scale', 'scale': [2, 2], **ends}]
    level = {'input': {'path': '0'}, 'output': {'name': name}}
    item = {
        'coordinateSystems': [further, {'name': name, 'axes': axes}],
        'datasets': [{'path': '0', 'coordinateTransformations': [{**scale(0.5, 0.25)[0], **level}]}],
        'coordinateTransformations': transforms,
    }
    path = tmp_path / 'image.zarr'
    group = ZARR.open_group(path, mode='w', zarr_format=3)
    group.create_array('0', data=np.zeros((40, 50), np.uint8))
    group.attrs['ome'] = {'version': '0.6', 'multiscales': [item]}
    assert sizes(path)[:2] == (0.00025, 0.0005)
    source = gz.open(str(path), editable=True)
    source.addTile(np.ones((5, 5), np.uint8))
    source.write(path)
    assert sizes(path)[:2] == (0.00025, 0.0005)
    found = ZARR.open_group(path, mode='r').attrs['ome']['multiscales'][0]
    assert found['coordinateTransformations'] == transforms
    assert sorted(one['name'] for one in found['coordinateSystems']) == sorted([name, 'array'])


@pytest.mark.parametrize('names', ['cyx', 'zyx'])
def test_a_negative_scale_is_a_size_all_the_same(tmp_path: Path, names: str) -> None:
    path = stored(tmp_path / 'image.zarr', names, scale(1, -0.5, 0.5))
    source = gz.open(str(path))
    assert (source.getMetadata()['mm_x'], source.getMetadata()['mm_y']) == (0.0005, 0.0005)
    box = {'left': 0, 'top': 0, 'right': 0.01, 'bottom': 0.01, 'units': 'mm'}
    assert source.getRegion(region=box, format='numpy')[0].shape[:2] == (20, 20)
    assert source.getRegion(scale={'mm_x': 0.001, 'mm_y': 0.001}, format='numpy')[0].shape[:2] == (20, 25)
    source = gz.open(str(path), editable=True)
    source.addTile(np.ones((5, 5), np.uint8))
    source.write(path)
    found = ZARR.open_group(path, mode='r').attrs['multiscales'][0]['datasets'][0]
    assert found['coordinateTransformations'][0]['scale'][-2:] == [-0.5, 0.5]


@pytest.mark.parametrize(
    'units',
    [
        {'z': 'nanometer', 'y': 'micrometer', 'x': 'millimeter'},
        {'z': 'micrometer', 'y': 'inch', 'x': 'meter'},
        {'y': 'pixel', 'x': 'um', 't': 'second'},
    ],
)
def test_an_edit_keeps_units_and_sizes_of_all_axes(tmp_path: Path, units: dict[str, str]) -> None:
    path = stored(tmp_path / 'image.zarr', 'tzyx', scale(3, 2.5, 0.1, 0.325), units)
    before = ZARR.open_group(path, mode='r').attrs['multiscales'][0]
    source = gz.open(str(path), editable=True)
    source.addTile(np.ones((5, 5), np.uint8), z=1)
    source.write(path)
    after = ZARR.open_group(path, mode='r').attrs['multiscales'][0]
    assert after['axes'] == before['axes']
    assert after['datasets'][0] == before['datasets'][0]


def test_a_size_that_is_set_goes_into_the_unit_of_the_file(tmp_path: Path) -> None:
    path = stored(tmp_path / 'image.zarr', 'zyx', scale(1, 1, 1), {'z': 'nanometer', 'x': 'meter'})
    source = gz.open(str(path), editable=True)
    source.mm_x, source.mm_y, source.mm_z = 0.5, 0.000325, 0.002
    source.write(path)
    after = ZARR.open_group(path, mode='r').attrs['multiscales'][0]
    assert [axis['unit'] for axis in after['axes']] == ['nanometer', 'micrometer', 'meter']
    assert after['datasets'][0]['coordinateTransformations'][0]['scale'] == [2000, 0.325, 0.0005]
    assert sizes(path)[:3] == (0.5, 0.000325, 0.002)


@pytest.mark.parametrize('size', [0.000325, 0.0001625, 0.00025, 1 / 3000, 0.1, 7])
def test_new_images_are_written_in_micrometers(tmp_path: Path, size: float) -> None:
    source = gz.new()
    source.addTile(np.zeros((40, 50), np.uint8), z=2)
    source.mm_x = source.mm_y = source.mm_z = size
    assert source.mm_z == size
    source.write(tmp_path / 'image.zarr')
    item = ZARR.open_group(tmp_path / 'image.zarr', mode='r').attrs['ome']['multiscales'][0]
    assert [axis['unit'] for axis in item['axes']] == ['micrometer'] * 3
    assert item['datasets'][0]['coordinateTransformations'][0]['scale'] == pytest.approx([size * 1000] * 3)
    assert sizes(tmp_path / 'image.zarr')[:3] == (size, size, size)


@pytest.mark.parametrize('value', [0, -1, math.nan, math.inf, 'far'])
def test_mm_z_is_positive_or_none(value: Any) -> None:
    with pytest.raises(EditError, match='mm_z must be positive or None'):
        gz.new().mm_z = value


def test_equal_steps_become_scale_and_translation(tmp_path: Path) -> None:
    source = gz.new()
    for z in range(4):
        for t in range(3):
            tile = np.zeros((40, 50), np.uint8)
            source.addTile(tile, z=z, t=t, z_value=10 + z * 0.5, t_value=round(0.1 + 0.1 * t, 1))
    source.frameUnits = {'z': 'micrometer', 't': 'second'}
    source.write(tmp_path / 'image.zarr')
    item = ZARR.open_group(tmp_path / 'image.zarr', mode='r').attrs['ome']['multiscales'][0]
    assert [axis['name'] for axis in item['axes']] == ['t', 'z', 'y', 'x']
    for dataset in item['datasets']:
        steps, first = dataset['coordinateTransformations'][:2]
        assert steps['scale'][:2] == [0.1, 0.5]
        assert first['translation'][:2] == [0.1, 10]
    found = gz.open(str(tmp_path / 'image.zarr'))
    assert found.mm_z == 0.0005
    frame = found.getMetadata()['frames'][-1]
    assert (frame['ValueZ'], frame['ValueT']) == (11.5, 0.3)


@pytest.mark.parametrize('values', [[0, 1, 3], [3, 2, 1], [1, 1, 1], ['a', 'b', 'c']])
def test_other_values_are_no_steps(tmp_path: Path, values: list[Any]) -> None:
    source = gz.new()
    for z, value in enumerate(values):
        source.addTile(np.zeros((40, 50), np.uint8), z=z, z_value=value)
    source.write(tmp_path / 'image.zarr')
    item = ZARR.open_group(tmp_path / 'image.zarr', mode='r').attrs['ome']['multiscales'][0]
    assert item['datasets'][0]['coordinateTransformations'] == scale(1, 1, 1)
    frames = gz.open(str(tmp_path / 'image.zarr')).getMetadata()['frames']
    assert [frame['ValueZ'] for frame in frames] == values


def test_values_are_read_from_the_scale(tmp_path: Path) -> None:
    transforms = [*scale(0.1, 1, 2.5, 1, 1), {'type': 'translation', 'translation': [0.1, 0, 7, 0, 0]}]
    path = stored(tmp_path / 'image.zarr', 'tczyx', transforms, {'z': 'micrometer', 't': 'second'})
    frames = gz.open(str(path)).getMetadata()['frames']
    assert {frame['ValueZ'] for frame in frames} == {7, 9.5, 12}
    assert {frame['ValueT'] for frame in frames} == {0.1, 0.2, 0.3}
    assert not any('ValueC' in frame for frame in frames)
    plain = stored(tmp_path / 'plain.zarr', 'tzyx', scale(1, 1, 1, 1), {})
    assert not any(key.startswith('Value') for key in gz.open(str(plain)).getMetadata()['frames'][1])


@pytest.mark.parametrize('unit', ['micrometer', 'nanometer', 'millimeter', 'meter', 'inch', 'um'])
def test_lengths_come_back_as_they_were(unit: str) -> None:
    for size in (0.000325, 0.00025, 0.0001625, 12.5):
        assert to_millimeters(from_millimeters(size, unit), unit) == size
    assert to_millimeters(from_millimeters(1 / 7, unit), unit) == pytest.approx(1 / 7, rel=1e-15)
    assert to_millimeters(1, 'second') is None


@pytest.mark.parametrize(
    'wrong',
    [
        scale(1, 0, 0.5),
        scale(1, '0.5', 0.5),
        scale(1, None, 0.5),
        scale(1, True, 0.5),
        scale(0.5),
        [{'type': 'scale', 'path': 'sizes'}],
        [{'type': 'scale', 'scale': 0.5}],
    ],
)
def test_what_follows_a_size_that_is_not_valid_makes_it_no_size(tmp_path: Path, wrong: Any) -> None:
    """The transform of the multiscale multiplies what the level does not say."""
    path = stored(tmp_path / 'image.zarr', 'cyx', wrong, outer=scale(1, 2, 2))
    found = gz.open(str(path)).getMetadata()
    assert found['mm_y'] is None
    assert found['mm_x'] in {None, 0.001}
    assert gz.open(str(stored(tmp_path / 'outer.zarr', 'cyx', None, outer=scale(1, 2, 2)))).mm_y == 0.002
