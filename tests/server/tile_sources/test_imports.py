"""Zarr directories that are imported, or uploaded folder by folder, are one image each."""

import io
import shutil

import numpy as np
import pytest
from girder.constants import AccessType
from girder.exceptions import ValidationException
from girder.models.assetstore import Assetstore
from girder.models.collection import Collection
from girder.models.file import File
from girder.models.folder import Folder
from girder.models.item import Item
from girder.models.upload import Upload
from girder.utility.filesystem_assetstore_adapter import FilesystemAssetstoreAdapter
from PIL import Image

from girder_zarr.server.tile_sources import imports
from girder_zarr.worker_plugin import ZarrWorkerPlugin
from support.girder_images import import_directory, upload_tree, write_zarr
from support.server import random_pixels

pytestmark = pytest.mark.plugin('zarr')


def shown(api, item, user=...):
    path = f'/item/{item["_id"]}/tiles/region'
    status, body = api.call('GET', path, {'encoding': 'PNG'}, is_json=False, user=user)
    assert status == 200, body
    return np.asarray(Image.open(io.BytesIO(body)).convert('L'))


@pytest.mark.parametrize('version', ['0.4', '0.5'])
@pytest.mark.parametrize('leaves', [False, True])
def test_an_imported_directory_is_one_image(api, people, folder, tmp_path, version, leaves):
    pixels = random_pixels(150, 200, 1)
    scans = tmp_path / 'scans'
    (scans / 'day 1').mkdir(parents=True)
    write_zarr(scans / 'day 1' / 'slide.zarr', version, pixels, 'yx')
    shutil.copytree(scans / 'day 1' / 'slide.zarr', scans / 'second')
    (scans / 'notes.txt').write_text('words')
    for _ in range(2):
        import_directory(scans, folder, people['owner'], leaves=leaves)
        assert sorted(item['name'] for item in Item().find()) == ['notes.txt', 'second', 'slide.zarr']
        assert [found['name'] for found in Folder().childFolders(folder, 'folder', people['owner'])] == [
            'day 1'
        ]
        for name in ('second', 'slide.zarr'):
            item = Item().findOne({'name': name})
            files = list(File().find({'itemId': item['_id']}))
            assert [file['name'] for file in files] == ['zarr.json' if version == '0.5' else '.zattrs']
            assert item['largeImage'] == {'fileId': files[0]['_id'], 'sourceName': 'zarr'}
            assert np.array_equal(shown(api, item), pixels)
    Item().remove(Item().findOne({'name': 'second'}))
    assert (scans / 'second').is_dir()


def test_the_directory_itself_may_be_named(api, people, folder, tmp_path):
    pixels = random_pixels(150, 200, 1)
    write_zarr(tmp_path / 'slide.zarr', '0.5', pixels, 'yx')
    import_directory(tmp_path / 'slide.zarr', folder, people['owner'])
    (item,) = Item().find()
    assert (item['name'], item['folderId']) == ('slide.zarr', folder['_id'])
    assert np.array_equal(shown(api, item), pixels)
    collection = Collection().createCollection('scans', people['admin'])
    with pytest.raises(ValidationException, match='collection'):
        import_directory(tmp_path / 'slide.zarr', collection, people['admin'], 'collection')
    import_directory(tmp_path, collection, people['admin'], 'collection')
    kept = Folder().findOne({'parentId': collection['_id']})
    assert kept['name'] == 'slide.zarr'
    assert [item['name'] for item in Folder().childItems(kept)] == ['slide.zarr']


def test_other_directories_are_imported_as_ever(zarr_server, people, folder, tmp_path):
    scans = tmp_path / 'scans'
    for name in ('a/b/one.txt', 'a/two.txt', 'empty/'):
        path = scans / name
        (path if name.endswith('/') else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith('/'):
            path.write_text('words')
    import_directory(scans, folder, people['owner'], fileExcludeRegex='^two')
    assert [item['name'] for item in Item().find()] == ['one.txt']
    names = sorted(found['name'] for found in Folder().find({'parentCollection': 'folder'}))
    assert names == ['a', 'b', 'empty']


@pytest.mark.filterwarnings('ignore:[^a]*queue. task attribute is deprecated')
def test_workers_import_so_as_well(zarr_server, people, folder, tmp_path, monkeypatch):
    original = FilesystemAssetstoreAdapter.importData.before_girder_zarr
    monkeypatch.setattr(FilesystemAssetstoreAdapter, 'importData', original)
    ZarrWorkerPlugin(None)
    write_zarr(tmp_path / 'scans' / 'slide.zarr', '0.5', random_pixels(100, 100, 1), 'yx')
    from girder.tasks import importDataTask

    importDataTask(
        assetstoreId=str(Assetstore().getCurrent()['_id']), parentId=str(folder['_id']), parentType='folder',
        params={'importPath': str(tmp_path / 'scans')}, progress=False, userId=str(people['owner']['_id']),
        leafFoldersAsItems=False,
    )  # fmt: skip
    assert [item['name'] for item in Item().find()] == ['slide.zarr']
    wrapped = FilesystemAssetstoreAdapter.importData
    imports.install()
    assert FilesystemAssetstoreAdapter.importData is wrapped


@pytest.mark.parametrize('reverse', [False, True])
@pytest.mark.parametrize('version', ['0.4', '0.5'])
def test_an_uploaded_directory_is_one_image(api, people, folder, tmp_path, version, reverse):
    pixels = random_pixels(150, 200, 1)
    write_zarr(tmp_path / 'slide.zarr', version, pixels, 'yx')
    write_zarr(tmp_path / 'slide.zarr' / 'labels' / 'cells', version, pixels, 'yx')
    made = upload_tree(tmp_path / 'slide.zarr', folder, people['owner'], reverse=reverse)
    (item,) = Item().find({'largeImage.fileId': {'$exists': True}})
    assert (item['folderId'], item['name']) == (made['_id'], 'zarr.json' if version == '0.5' else '.zattrs')
    assert np.array_equal(shown(api, item), pixels)
    part = Item().findOne(
        {'name': '.zarray' if version == '0.4' else 'zarr.json', 'folderId': {'$ne': made['_id']}}
    )
    status, answer = api.call('POST', f'/item/{part["_id"]}/tiles')
    assert (status, 'part of' in answer['message']) == (415, True), answer


@pytest.mark.filterwarnings(
    'ignore::pytest.PytestUnraisableExceptionWarning'
)  # large_image leaves a file open
def test_folders_for_fewer_people_are_no_part_of_an_image(api, people, folder, tmp_path):
    pixels = random_pixels(150, 200, 1)
    write_zarr(tmp_path / 'slide.zarr', '0.5', pixels, 'yx')
    made = upload_tree(tmp_path / 'slide.zarr', folder, people['owner'])
    item = Item().findOne({'largeImage.fileId': {'$exists': True}})
    assert np.array_equal(shown(api, item, user=people['reader']), pixels)
    level = Folder().findOne({'parentId': made['_id'], 'name': '0'})
    Folder().setUserAccess(level, people['reader'], -1, save=True)
    made['access']['users'].append({'id': people['stranger']['_id'], 'level': AccessType.READ, 'flags': []})
    Folder().save(made)
    item = Item().load(item['_id'], force=True)
    Item().save(item)  # large_image keeps what it has opened until the item changes
    status, _ = api.call('GET', f'/item/{item["_id"]}/tiles', user=people['reader'])
    assert status == 403


@pytest.mark.filterwarnings(
    'ignore::pytest.PytestUnraisableExceptionWarning'
)  # large_image leaves a file open
def test_a_file_named_like_metadata_opens_no_directory(api, people, folder, tmp_path):
    """An uploaded zarr.json lies among the files of the assetstore; it stands for its folder only."""
    body = b'{"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"multiscales": []}}}'
    file = Upload().uploadFromFile(
        io.BytesIO(body), len(body), 'zarr.json', 'folder', folder, people['owner']
    )
    status, _ = api.call('GET', f'/item/{file["itemId"]}/tiles')
    assert status == 400


def test_links_are_followed_to_allowed_hosts_only(api, people, folder, tmp_path):
    from girder.models.setting import Setting

    from girder_zarr.image.store import addresses
    from girder_zarr.server.settings import polled
    from girder_zarr.server.settings.define import SettingKey
    from support.web import serve

    pixels = random_pixels(150, 200, 1)
    write_zarr(tmp_path / 'slide.zarr', '0.5', pixels, 'yx')
    item = Item().createItem('slide', people['owner'], folder)
    with serve(tmp_path) as served:
        address = f'{served.address}/slide.zarr'
        File().createLinkFile('slide.zarr', item, 'item', address, people['owner'])
        path = f'/item/{item["_id"]}/tiles'
        assert api.call('POST', path)[0] != 200
        assert not served.asked
        Item().update({'_id': item['_id']}, {'$unset': {'largeImage': ''}})
        Setting().set(SettingKey.ALLOWED_HOSTS, f'127.0.0.1:{served.port}, 127.0.0.1')
        polled.install()
        status, answer = api.call('POST', path)
        assert status == 200, answer
        item = Item().load(item['_id'], force=True)
        assert np.array_equal(shown(api, item), pixels)
        with pytest.raises(ValidationException, match='expected host names'):
            Setting().set(SettingKey.ALLOWED_HOSTS, ['http://example.org'])
    addresses.follow(None)
