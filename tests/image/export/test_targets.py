"""Where `write` may write: names, folders that exist, folders that are missing."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

import girder_zarr.image as gz
from girder_zarr.errors import EditError
from support.images import level_0, opened, region

if TYPE_CHECKING:
    from pathlib import Path

#: Its types say that an array may be a group, and JSON anything.
ZARR: Any = zarr

pytestmark = pytest.mark.usefixtures('temporary_directory')
TILE = np.arange(60 * 80, dtype=np.uint16).reshape(60, 80)


def new() -> gz.ZarrFileTileSource:
    source = gz.new()
    source.addTile(TILE)
    return source


def field(folder: Path, version: int) -> Path:
    """Return a field of a plate, as zarr-python writes it."""
    axes = [{'name': name, 'type': 'space'} for name in 'yx']
    datasets = [{'path': '0', 'coordinateTransformations': [{'type': 'scale', 'scale': [1, 1]}]}]
    content = {'axes': axes, 'datasets': datasets}
    root = ZARR.open_group(folder / 'plate.zarr', mode='w', zarr_format=version)
    group = root.require_group('A/1/0')
    group.create_array('0', data=TILE, chunks=(32, 32))
    if version == 2:
        group.attrs['multiscales'] = [{**content, 'version': '0.4'}]
    else:
        group.attrs['ome'] = {'version': '0.5', 'multiscales': [content]}
    return folder / 'plate.zarr' / 'A' / '1' / '0'


@pytest.mark.parametrize('name', ['results', 'image.n5', 'image.png', 'image.zarrs', 'a.b/results'])
def test_a_suffix_that_is_not_written_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(EditError, match=r'must end in \.zarr'):
        new().write(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name', ['results', 'results.zarr', 'results.zip', 'results.tiff', 'RESULTS.ZARR'])
def test_a_folder_that_is_no_zarr_is_never_replaced(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / 'notes.txt').write_text('precious')
    with pytest.raises(EditError):
        new().write(folder)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (folder / 'notes.txt').read_text() == 'precious'


def test_an_empty_folder_and_a_zarr_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / 'image.zarr'
    path.mkdir()
    for _ in range(2):
        new().write(path)
        assert (level_0(path) == TILE).all()


@pytest.mark.parametrize('name', ['IMAGE.ZARR', 'image.Zip', 'image.OZX', 'image.DB'])
def test_suffixes_count_in_any_case(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    new().write(path)
    assert path.is_dir() == name.endswith('ZARR')
    assert zipfile.is_zipfile(path) == name.lower().endswith(('.zip', '.ozx'))
    source = opened(path)
    assert (region(source)[..., 0] == TILE).all()
    assert source._series[0].multiscale.name == 'IMAGE' if name.isupper() else 'image'


@pytest.mark.parametrize('version', [2, 3])
@pytest.mark.parametrize('through', ['', 'document'])
def test_an_edited_field_of_a_plate_stays_a_folder(tmp_path: Path, version: int, through: str) -> None:
    path = field(tmp_path, version)
    named = path / ('zarr.json' if version == 3 else '.zattrs') if through else path
    source = gz.open(str(named), editable=True)
    source.addTile(np.zeros((10, 10), np.uint16))
    source.write(named)
    expected = TILE.copy()
    expected[:10, :10] = 0
    assert (ZARR.open_group(path, mode='r')['0'][...] == expected).all()
    assert ZARR.open_group(tmp_path / 'plate.zarr', mode='r').metadata.zarr_format == version


@pytest.mark.parametrize(('suffix', 'name'), [('.zip', 'upload'), ('.db', 'upload.bin'), ('.zip', 'a.tiff')])
def test_an_edited_file_stays_what_it_is_whatever_its_name(tmp_path: Path, suffix: str, name: str) -> None:
    written = tmp_path / f'image{suffix}'
    new().write(written)
    path = written.rename(tmp_path / name)
    head = path.read_bytes()[:4]
    source = gz.open(str(path), editable=True)
    source.addTile(TILE, x=80)
    source.write(path)
    assert path.read_bytes()[:4] == head
    assert (region(opened(path))[..., 0] == np.hstack([TILE, TILE])).all()


@pytest.mark.parametrize('name', ['a/b/x.zarr', 'c/x.zip', 'd/e/f/x.db'])
def test_folders_above_the_target_are_made(tmp_path: Path, name: str) -> None:
    new().write(tmp_path / name)
    assert (region(opened(tmp_path / name))[..., 0] == TILE).all()


def test_folders_that_were_made_go_where_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / 'a').mkdir()
    with pytest.raises(EditError, match='chunk must be'):
        new().write(tmp_path / 'a/b/c/x.zarr', chunk=-1)
    assert not list((tmp_path / 'a').iterdir())
    (tmp_path / 'file').write_bytes(b'')
    with pytest.raises(EditError, match='is not a folder'):
        new().write(tmp_path / 'file/x.zarr')
