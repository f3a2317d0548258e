"""Links that lead out of a folder: followed for a path that a Python user opens, and not in an assetstore."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

import girder_zarr.image as gz
from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.store import stores
from girder_zarr.image.store.stores import open_store
from girder_zarr.image.validate.hierarchy import validate

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures('temporary_directory')
PIXELS = np.random.default_rng(0).integers(0, 255, (300, 400), np.uint8)


def annexed(folder: Path, version: str) -> Path:
    """Return an image whose files are links into a folder beside it, as ``datalad get`` leaves them."""
    path, objects = folder / 'image.zarr', folder / '.git' / 'annex' / 'objects'
    source = gz.new()
    source.addTile(PIXELS)
    source.write(path, version=version, chunk=128)
    objects.mkdir(parents=True)
    for number, file in enumerate([one for one in path.rglob('*') if one.is_file()]):
        stored = file.rename(objects / str(number))
        file.symlink_to(os.path.relpath(stored, file.parent))
    return path


@pytest.mark.parametrize('version', ['0.4', '0.5'])
def test_links_are_followed_for_a_path(tmp_path: Path, version: str) -> None:
    path = annexed(tmp_path, version)
    assert (gz.open(str(path)).getRegion(format='numpy')[0][..., 0] == PIXELS).all()
    source = gz.open(str(path), editable=True)
    source.addTile(np.zeros((5, 5), np.uint8))
    source.write(tmp_path / 'edited.zarr')
    found = gz.open(str(tmp_path / 'edited.zarr')).getRegion(format='numpy')[0][..., 0]
    assert (found[5:] == PIXELS[5:]).all()
    assert not any(file.is_symlink() for file in (tmp_path / 'edited.zarr').rglob('*'))


def test_a_folder_that_is_a_link(tmp_path: Path) -> None:
    path = annexed(tmp_path, '0.5')
    elsewhere = tmp_path / 'elsewhere'
    (path / '0').rename(elsewhere)
    (path / '0').symlink_to(elsewhere)
    for file in [one for one in elsewhere.rglob('*') if one.is_symlink()]:
        target = tmp_path / '.git' / 'annex' / 'objects' / file.readlink().name
        file.unlink()
        file.symlink_to(target)
    assert (gz.open(str(path)).getRegion(format='numpy')[0][..., 0] == PIXELS).all()


def test_links_are_not_followed_without_being_asked(tmp_path: Path) -> None:
    store = open_store(annexed(tmp_path, '0.5'))
    with pytest.raises(UnreadableImageError, match='such links are not followed'):
        store.read('zarr.json')


def test_a_process_of_a_server_follows_links_below_roots_only(tmp_path: Path) -> None:
    path = str(annexed(tmp_path, '0.5'))
    roots: list[str] = []
    stores.bind_links(lambda: roots)
    for follow_links in (True, False):
        assert open_store(path, follow_links=follow_links).has('zarr.json') is False
    assert validate(path).errors
    roots.append(str(tmp_path / '.git'))
    assert (gz.open(path, noCache=True).getRegion(format='numpy')[0][..., 0] == PIXELS).all()
    assert not validate(path).errors
