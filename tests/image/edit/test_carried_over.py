"""Whatever an edited file holds beyond the pixels is there after the edit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

import girder_zarr.image as gz
from girder_zarr.errors import EditError

if TYPE_CHECKING:
    from pathlib import Path

#: Its types say that an array may be a group, and JSON anything.
ZARR: Any = zarr

pytestmark = pytest.mark.usefixtures('temporary_directory')
PIXELS = np.random.default_rng(0).integers(0, 4000, (2, 3, 100, 130)).astype(np.uint16)
CHANNELS = [
    {
        'label': f'c{index}',
        'color': 'FF8000',
        'active': index == 0,
        'inverted': index == 1,
        'coefficient': 0.5,
        'family': 'exponential',
        'wavelength_id': f'A0{index}_C01',
        'window': {'min': 3, 'max': 4095, 'start': 10, 'end': 400},
    }
    for index in range(2)
]
AXES: list[dict[str, Any]] = [
    {'name': 'c', 'type': 'channel', 'longName': 'stain'},
    {
        'name': 'z',
        'type': 'space',
        'unit': 'micrometer',
        'orientation': {'type': 'anatomical', 'value': 'i-s'},
    },
    {'name': 'y', 'type': 'space', 'unit': 'micrometer'},
    {'name': 'x', 'type': 'space', 'unit': 'nanometer'},
]
MULTISCALE: dict[str, Any] = {
    'name': 'an image',
    'axes': AXES,
    'datasets': [
        {
            'path': 's0',
            'coordinateTransformations': [{'type': 'scale', 'scale': [1, 2.5, 0.5, 500]}],
            'note': 'full',
        }
    ],
    'metadata': {'description': 'mouse', 'method': 'skimage.transform.rescale', 'args': [1]},
    'acquisition': {'id': 7},
}
OMERO: dict[str, Any] = {
    'id': 5,
    'channels': CHANNELS,
    'rdefs': {'defaultT': 0, 'defaultZ': 2, 'model': 'greyscale', 'projection': 'normal'},
    'pixel_size': [0.5],
}


def stored(folder: Path, version: str) -> tuple[Path, Any]:
    """Write an image with all kinds of things beside it; return its path and its group."""
    path = folder / 'image.zarr'
    group = ZARR.open_group(path, mode='w', zarr_format=2 if version == '0.4' else 3)
    array = group.create_array('s0', data=PIXELS, chunks=(1, 1, 64, 64))
    array.attrs.update({'scanner': 'B', '_ARRAY_DIMENSIONS': ['c', 'z', 'y', 'x']})
    content = {'multiscales': [MULTISCALE], 'omero': OMERO, 'custom': {'a': 1}}
    if version == '0.4':
        own = {**MULTISCALE, 'version': '0.4'}
        group.attrs.update({**content, 'multiscales': [own], 'bioformats2raw.layout': 3})
    else:
        group.attrs.update({'ome': {'version': version, **content}, 'other program': [1, 2]})
    tables = group.require_group('tables')
    tables.attrs['tables'] = ['nuclei']
    tables.require_group('nuclei').create_array('X', data=np.ones((3, 2), np.float32))
    group.create_array('0', data=np.arange(7))  # the name that a new level would have
    (path / 'OME').mkdir()
    (path / 'OME' / 'METADATA.ome.xml').write_text('<OME/>')
    (path / 'ro-crate-metadata.json').write_text('{"@graph": []}')
    return path, group


def edit(path: Path, target: Path | None = None, **options: Any) -> Path:
    source = gz.open(str(path), editable=True)
    source.addTile(np.full((9, 9), 1, np.uint16), 0, 0, c=0, z=0)
    source.write(target or path, **options)
    return target or path


@pytest.mark.parametrize('version', ['0.4', '0.5'])
@pytest.mark.parametrize('name', ['image.zarr', 'edited.zarr', 'edited.zip'])
def test_everything_is_there_after_an_edit(tmp_path: Path, version: str, name: str) -> None:
    path, _ = stored(tmp_path, version)
    place = edit(path, tmp_path / name)
    group = ZARR.open_group(
        ZARR.storage.ZipStore(place, mode='r') if name.endswith('zip') else place, mode='r'
    )
    attributes = group.attrs.asdict()
    content = attributes if version == '0.4' else attributes['ome']
    multiscale, omero = content['multiscales'][0], content['omero']
    assert content['custom'] == {'a': 1}
    assert attributes['bioformats2raw.layout' if version == '0.4' else 'other program']
    for key in ('name', 'metadata', 'acquisition', 'axes'):
        assert multiscale[key] == MULTISCALE[key], key
    assert multiscale['datasets'][0] == MULTISCALE['datasets'][0]
    assert [one['path'] for one in multiscale['datasets']] == ['s0', 's1', 's2']
    assert omero['channels'] == CHANNELS
    assert {key: omero[key] for key in ('id', 'rdefs', 'pixel_size')} == {
        key: OMERO[key] for key in ('id', 'rdefs', 'pixel_size')
    }
    expected = PIXELS.copy()
    expected[0, 0, :9, :9] = 1
    assert (group['s0'][...] == expected).all()
    assert group['s0'].attrs['scanner'] == 'B'
    assert (group['0'][...] == np.arange(7)).all()
    assert (group['tables/nuclei/X'][...] == 1).all()
    assert group['tables'].attrs['tables'] == ['nuclei']
    if place.is_dir():
        assert (place / 'OME' / 'METADATA.ome.xml').read_text() == '<OME/>'
        assert json.loads((place / 'ro-crate-metadata.json').read_text()) == {'@graph': []}


def test_what_lies_beside_can_be_left_out_but_is_not_lost_silently(tmp_path: Path) -> None:
    path, _ = stored(tmp_path, '0.4')
    before = sorted(one.name for one in path.iterdir())
    with pytest.raises(EditError, match='cannot be kept: it is zarr v2'):
        edit(path, version='0.5')
    assert sorted(one.name for one in path.iterdir()) == before
    other = edit(path, tmp_path / 'other.zarr', version='0.5', others=False)
    assert sorted(one.name for one in other.iterdir()) == ['s0', 's1', 's2', 'zarr.json']


def test_levels_get_free_names(tmp_path: Path) -> None:
    path = tmp_path / 'image.zarr'
    source = gz.new()
    source.addTile(np.zeros((40, 50), np.uint8))
    source.write(path)
    group = ZARR.open_group(path)
    group.create_array('1', data=np.arange(5))
    source = gz.open(str(path), editable=True)
    source.addTile(np.full((600, 700), 9, np.uint8))
    source.write(path)
    group = ZARR.open_group(path, mode='r')
    paths = [one['path'] for one in group.attrs['ome']['multiscales'][0]['datasets']]
    assert len(paths) > 1
    assert len(set(paths)) == len(paths)
    assert '1' not in paths
    assert (group['1'][...] == np.arange(5)).all()
    assert [group[one].ndim for one in paths] == [2] * len(paths)


def test_colors_and_labels_of_bands_stay(tmp_path: Path) -> None:
    path = tmp_path / 'image.zarr'
    source = gz.new()
    source.addTile(np.zeros((40, 50, 3), np.uint8))
    source.write(path)
    group = ZARR.open_group(path)
    ome = group.attrs['ome']
    for channel, label in zip(ome['omero']['channels'], 'rgb', strict=True):
        channel |= {'label': label, 'window': {'min': 0, 'max': 200, 'start': 5, 'end': 90}}
    group.attrs['ome'] = ome
    source = gz.open(str(path), editable=True)
    source.addTile(np.full((5, 5, 3), 9, np.uint8))
    source.write(path)
    assert ZARR.open_group(path, mode='r').attrs['ome']['omero']['channels'] == ome['omero']['channels']


@pytest.mark.parametrize('version', ['0.4', '0.5'])
def test_the_name_of_the_channel_axis_and_what_omero_says_of_itself(tmp_path: Path, version: str) -> None:
    """Three channels without names are the bands of a pixel, which become an axis again."""
    path = tmp_path / 'image.zarr'
    group = ZARR.open_group(path, mode='w', zarr_format=2 if version == '0.4' else 3)
    names = ['channel', 'row', 'col']
    group.create_array(
        '0', data=np.ones((3, 40, 50), np.uint8), **({'dimension_names': names} if version == '0.5' else {})
    )
    item = {
        'axes': [{'name': one, 'type': 'channel' if one == 'channel' else 'space'} for one in names],
        'datasets': [{'path': '0', 'coordinateTransformations': [{'type': 'scale', 'scale': [1, 1, 1]}]}],
    }
    omero = {'id': 7, 'name': 'as the microscope calls it', 'version': version}
    if version == '0.4':
        group.attrs.update({'multiscales': [{**item, 'version': version}], 'omero': omero})
    else:
        group.attrs['ome'] = {'version': version, 'multiscales': [item], 'omero': omero}
    source = gz.open(str(path), editable=True)
    source.addTile(np.full((9, 9, 3), 2, np.uint8))
    source.write(path)
    edited = ZARR.open_group(path, mode='r')
    content = edited.attrs['ome'] if version == '0.5' else edited.attrs
    assert [axis['name'] for axis in content['multiscales'][0]['axes']] == names
    assert {key: content['omero'][key] for key in omero} == omero
    if version == '0.5':
        assert list(edited['0'].metadata.dimension_names) == names
