"""Links that lead out of an imported hierarchy are followed below the roots that an administrator names."""

import json
from pathlib import Path

import large_image
import large_image_converter
import pytest
from bson import ObjectId
from girder.exceptions import ValidationException
from girder.models.file import File
from girder.models.item import Item
from girder.models.setting import Setting
from large_image.exceptions import TileSourceError

from girder_zarr import image
from girder_zarr.image.store import stores
from girder_zarr.server import girder3
from girder_zarr.server.settings import polled
from girder_zarr.server.settings.define import SettingKey
from girder_zarr.worker_plugin import ZarrWorkerPlugin
from support.girder_images import import_directory
from support.server import random_pixels

pytestmark = pytest.mark.plugin('zarr')


@pytest.fixture
def annexed(api, people, folder, tmp_path, monkeypatch):
    """An imported image whose chunks are links to another folder, as git-annex keeps them."""
    monkeypatch.setattr(polled, 'MAX_AGE', 0.0)
    (tmp_path / 'in').mkdir()
    sink = image.new()
    sink.addTile(random_pixels(200, 200), 0, 0)
    sink.write(tmp_path / 'in' / 'a.zarr')
    annex = tmp_path / 'annex' / 'objects'
    annex.mkdir(parents=True)
    chunks = [path for path in (tmp_path / 'in').rglob('*') if path.is_file() and path.name != 'zarr.json']
    assert chunks
    for number, path in enumerate(chunks):
        path.rename(annex / str(number))
        path.symlink_to(annex / str(number))
    import_directory(tmp_path / 'in', folder, people['admin'])
    [item] = api.call('GET', '/item', {'folderId': folder['_id']})[1]
    return item


def allow(api, people, *roots):
    params = {'key': SettingKey.LINK_ROOTS, 'value': json.dumps([str(root) for root in roots])}
    status, answer = api.call('PUT', '/system/setting', params, user=people['admin'])
    assert status == 200, answer


def look(api, item, quality):
    """Return the status of a region that no cache has."""
    path = f'/item/{item["_id"]}/tiles/region'
    params = {'encoding': 'JPEG', 'jpegQuality': quality}
    return api.call('GET', path, params, is_json=False)[0]


def test_links_are_followed_where_an_administrator_says_so(api, people, annexed, tmp_path):
    assert look(api, annexed, 90) != 200
    allow(api, people, tmp_path / 'elsewhere')
    assert look(api, annexed, 91) != 200
    allow(api, people, tmp_path / 'elsewhere', tmp_path / 'annex')
    assert look(api, annexed, 92) == 200

    allow(api, people)
    assert look(api, annexed, 93) != 200


def test_a_root_does_not_stand_for_its_neighbours(api, people, annexed, tmp_path):
    (tmp_path / 'annex').rename(tmp_path / 'annex-private')
    for path in (tmp_path / 'in').rglob('*'):
        if path.is_symlink():
            target = str(path.readlink()).replace('/annex/', '/annex-private/')
            path.unlink()
            path.symlink_to(target)
    allow(api, people, tmp_path / 'annex')
    assert look(api, annexed, 90) != 200


def test_no_listing_shows_what_lies_behind_a_link(tmp_path):
    from girder_zarr.image.store.stores import DirectoryStore

    (tmp_path / 'secret').mkdir()
    (tmp_path / 'secret' / 'zarr.json').write_text('{}')
    (tmp_path / 'a.zarr').mkdir()
    (tmp_path / 'a.zarr' / '0').symlink_to(tmp_path / 'secret')
    (tmp_path / 'a.zarr' / 'zarr.json').symlink_to(tmp_path / 'secret' / 'zarr.json')
    closed = DirectoryStore(tmp_path / 'a.zarr')
    assert (closed.names('0'), closed.has('0/zarr.json'), closed.has('zarr.json')) == ([], False, False)
    opened = DirectoryStore(tmp_path / 'a.zarr', link_roots=lambda: [str(tmp_path / 'secret')])
    assert (opened.names('0'), opened.has('0/zarr.json')) == (['zarr.json'], True)
    assert opened.read('zarr.json') == b'{}'


def region_of_path(path):
    """Return the pixels that a job gets who opens an image by the path of its file."""
    return large_image.open(str(path), noCache=True).getRegion(format='numpy')[0]


def test_paths_that_jobs_open_follow_no_other_links(api, people, annexed, tmp_path):
    """A converter and the jobs of large_image are given the path of an item's file."""
    [file] = Item().childFiles({'_id': ObjectId(annexed['_id'])})
    path = Path(File().getLocalFilePath(file))
    for opened in (path, path.parent):
        with pytest.raises(TileSourceError, match='such links are not followed'):
            region_of_path(opened)
    with pytest.raises(TileSourceError, match='such links are not followed'):
        large_image_converter.convert(str(path), str(tmp_path / 'out.tiff'))
    allow(api, people, tmp_path / 'annex')
    assert (region_of_path(path) == random_pixels(200, 200)).all()
    large_image_converter.convert(str(path), str(tmp_path / 'out.tiff'))
    converted = large_image.open(str(tmp_path / 'out.tiff'), noCache=True)
    assert (converted.sizeX, converted.sizeY) == (200, 200)


def test_a_folder_behind_a_link_is_not_converted(people, annexed, tmp_path):
    [file] = Item().childFiles({'_id': ObjectId(annexed['_id'])})
    root = Path(File().getLocalFilePath(file)).parent
    (root / '0').rename(tmp_path / 'secret')
    (root / '0').symlink_to(tmp_path / 'secret')
    with pytest.raises(TileSourceError):
        region_of_path(root)


@pytest.mark.parametrize('with_sessions', [True, False])
def test_a_worker_follows_none_until_the_setting_says_so(annexed, monkeypatch, with_sessions):
    """Workers on queues without a database, and those of Girder 3, read no setting."""
    [file] = Item().childFiles({'_id': ObjectId(annexed['_id'])})
    path = File().getLocalFilePath(file)
    monkeypatch.setattr(stores, '_link_roots', [])
    assert (region_of_path(path) == random_pixels(200, 200)).all()
    monkeypatch.setattr(girder3, 'has_sessions', lambda: with_sessions)
    ZarrWorkerPlugin(None)
    with pytest.raises(TileSourceError, match='such links are not followed'):
        region_of_path(path)


@pytest.mark.parametrize('value', ['/', ['data'], ['/data/../etc'], [7], {'a': 1}, ['//'], ['/a\0b'], 5])
def test_what_is_no_root(db, value):
    with pytest.raises(ValidationException, match=r'zarr\.link_roots'):
        Setting().set(SettingKey.LINK_ROOTS, value)
    Setting().set(SettingKey.LINK_ROOTS, '/data/annex/\n/data/annex')
    assert Setting().get(SettingKey.LINK_ROOTS) == ['/data/annex']
