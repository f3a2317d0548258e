"""Where an edited file lies: links, permissions, zips and databases with more in them, groups above."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import zipfile
from typing import TYPE_CHECKING, Any

import large_image
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
PIXELS = np.random.default_rng(0).integers(0, 60, (2, 100, 130), np.uint8)


def image_in(group: Any, version: str | None = '0.5') -> None:
    """Write an image into a group with zarr-python.

    :param version: None: the metadata does not say.
    """
    group.create_array('0', data=PIXELS, chunks=(1, 64, 64))
    axes = [{'name': name, 'type': 'channel' if name == 'c' else 'space'} for name in 'cyx']
    item: dict[str, Any] = {
        'axes': axes,
        'datasets': [{'path': '0', 'coordinateTransformations': [{'type': 'scale', 'scale': [1, 1, 1]}]}],
    }
    if group.metadata.zarr_format == 3:
        group.attrs['ome'] = {'version': '0.5', 'multiscales': [item]}
    else:
        group.attrs['multiscales'] = [item if version is None else {**item, 'version': version}]


def stored(path: Path, zarr_format: int = 3, version: str | None = '0.5') -> Path:
    image_in(ZARR.open_group(path, mode='w', zarr_format=zarr_format), version)
    return path


def edit(path: Path, value: int = 77) -> None:
    image = gz.open(str(path), editable=True)
    image.addTile(np.full((10, 10), value, np.uint8), 0, 0, c=1)
    image.write(path)


@pytest.mark.parametrize('suffix', ['.zarr', '.zip', '.db', '.tiff'])
def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path, suffix: str) -> None:
    real, link = tmp_path / 'data' / f'real{suffix}', tmp_path / f'link{suffix}'
    new = gz.new()
    new.addTile(PIXELS[0])
    new.write(real, lossy=False)
    link.symlink_to(real)
    new.addTile(np.full((20, 20), 200, np.uint8), 130, 0)
    new.write(link, lossy=False)
    assert link.is_symlink()
    assert sorted(one.name for one in real.parent.iterdir()) == [real.name]
    assert large_image.open(str(real)).sizeX == 150


def test_an_edited_link_stays(tmp_path: Path) -> None:
    real = stored(tmp_path / 'data' / 'image.zarr')
    link = tmp_path / 'results'
    link.symlink_to(real, target_is_directory=True)
    edit(link)
    assert link.is_symlink()
    assert (ZARR.open_group(real, mode='r')['0'][1, :10, :10] == 77).all()


@pytest.mark.parametrize('suffix', ['.zarr', '.zip', '.db'])
def test_a_private_file_stays_private(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f'image{suffix}'
    new = gz.new()
    new.addTile(PIXELS[0])
    new.write(path)
    path.chmod(0o700 if path.is_dir() else 0o600)
    before = stat.S_IMODE(path.stat().st_mode)
    new.write(path)
    assert stat.S_IMODE(path.stat().st_mode) == before


def test_a_read_only_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stored(tmp_path / 'image.zarr')
    # root, who runs the tests in a container, may write everywhere
    monkeypatch.setattr(os, 'access', lambda where, _: str(where) != str(path))
    with pytest.raises(EditError, match=r'image\.zarr is read-only'):
        edit(path)
    assert [one.name for one in tmp_path.iterdir()] == ['image.zarr']


def test_a_zip_with_a_folder_keeps_it_and_what_lies_beside(tmp_path: Path) -> None:
    path = tmp_path / 'image.zip'
    folder = stored(tmp_path / 'my image.zarr')
    with zipfile.ZipFile(path, 'w') as archive:
        for file in sorted(folder.rglob('*')):
            if file.is_file():
                archive.write(file, file.relative_to(tmp_path))
        archive.writestr('README.txt', 'precious')
    for value in (77, 78):
        edit(path, value)
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            assert archive.read('README.txt') == b'precious'
        assert all(name.startswith('my image.zarr/') for name in names if name != 'README.txt')
        assert (gz.open(str(path)).getRegion(frame=1, format='numpy')[0][:10, :10] == value).all()


def test_a_database_with_other_tables_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / 'image.db'
    new = gz.new()
    new.addTile(PIXELS[0])
    new.write(path)
    with sqlite3.connect(path) as database:
        database.execute('CREATE TABLE notes(text)')
    database.close()
    image = gz.open(str(path), editable=True)
    with pytest.raises(EditError, match=r'other tables \(notes\)'):
        image.write(path)
    image.write(tmp_path / 'other.db')


def test_what_cannot_be_read_beside_the_image_is_an_error(tmp_path: Path) -> None:
    path = stored(tmp_path / 'image.zarr')
    (path / 'tables').mkdir()
    (path / 'tables' / 'absent').symlink_to('/nowhere')
    with pytest.raises(EditError, match='tables/absent beside the image cannot be read'):
        edit(path)
    assert (path / 'tables' / 'absent').is_symlink()
    assert [one.name for one in tmp_path.iterdir()] == ['image.zarr']


@pytest.mark.parametrize('version', ['0.5', None, 'latest'])
def test_zarr_v2_stays_zarr_v2_whatever_the_metadata_claim(tmp_path: Path, version: str | None) -> None:
    """large-image-source-zarr 1.35.6 writes "0.5" in zarr v2, and groups with pictures beside the image."""
    path = stored(tmp_path / 'image.zarr', 2, version)
    group = ZARR.open_group(path, mode='r+')
    group.attrs['bioformats2raw.layout'] = 3
    group.create_group('macro').create_array('image', data=np.full((70, 90, 3), 8, np.uint8))
    assert gz.open(str(path)).getAssociatedImagesList() == ['macro']
    edit(path)
    assert not (path / 'zarr.json').exists()
    assert (ZARR.open_group(path, mode='r')['macro/image'][...] == 8).all()
    edited = gz.open(str(path))
    assert edited.getAssociatedImagesList() == ['macro']
    assert edited.getAssociatedImage('macro')[0]


def test_why_an_image_cannot_be_edited_is_said_by_large_image_as_well(tmp_path: Path) -> None:
    path = stored(tmp_path / 'image.zarr', 2)
    group = ZARR.open_group(path, mode='r+')
    group.attrs['multiscales'] = [*group.attrs['multiscales'], *group.attrs['multiscales']]
    with pytest.raises(EditError, match='Only a single image can be edited'):
        large_image.open(str(path), editable=True)


@pytest.mark.filterwarnings('ignore:Consolidated metadata is currently not part')
@pytest.mark.parametrize('zarr_format', [2, 3])
def test_consolidated_metadata_of_groups_above_are_those_of_the_edited_field(
    tmp_path: Path, zarr_format: int
) -> None:
    path = tmp_path / 'plate.zarr'
    plate = ZARR.open_group(path, mode='w', zarr_format=zarr_format)
    for field in ('0', '1'):
        image_in(plate.require_group(f'A/1/{field}'), '0.4')
    plate['A/1'].attrs['note'] = 'a well'
    for above in ('A/1', 'A', ''):
        ZARR.consolidate_metadata(plate.store, path=above or None)
    image = gz.open(str(path / 'A/1/0'), editable=True)
    image.addTile(np.full((10, 10), 77, np.uint8), 300, 0, c=1)
    image.write(path / 'A/1/0')
    for above, below in (('', 'A/1/'), ('A', '1/'), ('A/1', '')):
        group = ZARR.open_group(path / above, mode='r', use_consolidated=True)
        assert group[f'{below}0/0'].shape == (2, 100, 310)
        assert (group[f'{below}0/0'][1, :10, 300:] == 77).all()
        assert {name for name, _ in group[f'{below}0'].arrays()} == {'0', '1', '2', '3'}
        key = 'ome' if zarr_format == 3 else 'multiscales'
        plain = ZARR.open_group(path / 'A/1/0', mode='r', use_consolidated=False)
        assert group[f'{below}0'].attrs[key] == plain.attrs[key]
        assert (group[f'{below}1/0'][...] == PIXELS).all()
    assert ZARR.open_group(path, mode='r', use_consolidated=True)['A/1'].attrs['note'] == 'a well'


@pytest.mark.parametrize('name', ['.zmetadata', 'zarr.json'])
@pytest.mark.filterwarnings('ignore:Consolidated metadata is currently not part')
def test_consolidated_metadata_that_cannot_be_renewed_are_removed(tmp_path: Path, name: str) -> None:
    zarr_format = 3 if name == 'zarr.json' else 2
    top = ZARR.open_group(tmp_path / 'top', mode='w', zarr_format=zarr_format)
    image_in(top.require_group('0'), '0.4')
    ZARR.consolidate_metadata(top.store)
    file = tmp_path / 'top' / name
    content = json.loads(file.read_bytes())
    inner = content['consolidated_metadata'] if zarr_format == 3 else content
    inner['metadata'] = None
    file.write_text(json.dumps(content))
    edit(tmp_path / 'top' / '0')
    assert (ZARR.open_group(tmp_path / 'top', mode='r')['0/0'][1, :10, :10] == 77).all()


def test_a_field_that_is_a_link_renews_the_plate_that_it_is_seen_in(tmp_path: Path) -> None:
    top = ZARR.open_group(tmp_path / 'top', mode='w', zarr_format=2)
    image_in(top.require_group('0'), '0.4')
    ZARR.consolidate_metadata(top.store)
    shutil.move(tmp_path / 'top' / '0', tmp_path / 'elsewhere')
    (tmp_path / 'top' / '0').symlink_to(tmp_path / 'elsewhere')
    image = gz.open(str(tmp_path / 'top' / '0'), editable=True)
    image.addTile(np.full((10, 10), 77, np.uint8), 300, 0, c=1)
    image.write(tmp_path / 'top' / '0')
    group = ZARR.open_group(tmp_path / 'top', mode='r', use_consolidated=True)
    assert group['0/0'].shape == (2, 100, 310)


@pytest.mark.parametrize('name', ['.', '..', 'image.zarr/..'])
def test_the_folder_that_the_program_is_in_can_be_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = stored(tmp_path / 'field')
    inside = path if name == '.' else path / 'image.zarr'
    inside.mkdir(exist_ok=True)
    (inside / 'keep').touch()
    monkeypatch.chdir(inside if name != 'image.zarr/..' else path)
    image = gz.open(name, editable=True)
    image.addTile(np.full((10, 10), 77, np.uint8), 0, 0, c=1)
    image.write(name)
    monkeypatch.chdir(tmp_path)
    assert (ZARR.open_group(path, mode='r')['0'][1, :10, :10] == 77).all()
    assert [one.name for one in tmp_path.iterdir()] == ['field']
