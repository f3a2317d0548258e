"""Images in an S3 assetstore, on moto's server: ranged reads only, few of them, and our results going in."""

import io
import json

import numpy as np
import pytest
import zarr
from girder.exceptions import FilePathException
from girder.models.assetstore import Assetstore
from girder.models.file import File
from girder.models.folder import Folder
from girder.models.item import Item
from girder.utility import assetstore_utilities
from girder_large_image import girder_tilesource
from girder_large_image.models.image_item import ImageItem
from large_image.exceptions import TileGeneralError
from PIL import Image

import girder_zarr.image as gz
from girder_zarr.image.store import addresses
from girder_zarr.image.write.pack import pack
from girder_zarr.server.settings.define import SettingKey
from girder_zarr.server.storage.file_bytes import GirderFileBytes
from girder_zarr.server.storage.s3_store import S3Bucket
from girder_zarr.server.tile_sources.tile_source import ZarrGirderTileSource
from support.girder_images import write_zarr
from support.s3 import import_into
from support.server import random_pixels

pytestmark = pytest.mark.plugin('zarr')


@pytest.fixture
def requests(monkeypatch):
    """Every read from a bucket, as (key, start, length)."""
    asked = []
    original = S3Bucket.get

    def get(self, key, start, length):
        asked.append((key, start, length))
        return original(self, key, start, length)

    monkeypatch.setattr(S3Bucket, 'get', get)
    return asked


def put_tree(client, folder, prefix):
    for path in folder.rglob('*'):
        if path.is_file():
            client.put_object(
                Bucket=client.bucket, Key=f'{prefix}/{path.relative_to(folder)}', Body=path.read_bytes()
            )


def shown(api, item):
    status, body = api.call('GET', f'/item/{item["_id"]}/tiles/region', {'encoding': 'PNG'}, is_json=False)
    assert status == 200, body
    return np.asarray(Image.open(io.BytesIO(body)).convert('L'))


def test_an_imported_file_is_read_by_ranges(api, people, folder, tmp_path, bucket, assetstore, requests):
    pixels = random_pixels(700, 900, 1)
    body = write_zarr(tmp_path / 'z', '0.5', pixels, 'yx')
    bucket.put_object(Bucket=bucket.bucket, Key='scans/slide.zip', Body=body)
    import_into(assetstore, 'scans/', folder, people['owner'])
    item = Item().findOne({'name': 'slide.zip'})
    assert item['largeImage']['sourceName'] == 'zarr'
    file = File().load(item['largeImage']['fileId'], force=True)
    with pytest.raises(FilePathException):
        File().getLocalFilePath(file)
    assert np.array_equal(shown(api, item), pixels)
    assert requests
    assert all(start is not None and length < len(body) for _, start, length in requests)
    source = GirderFileBytes(file)
    for offset, length in ((0, 10), (123, 70_000), (len(body) - 1, 1), (len(body), 0)):
        assert source.read(offset, length) == body[offset : offset + length]


@pytest.mark.parametrize('name', ['slide', 'slide.unknown'])
def test_a_file_without_a_suffix(api, people, folder, tmp_path, bucket, assetstore, name):
    """Sources that need a file on this machine do not keep ours from it."""
    pixels = random_pixels(150, 200, 1)
    for key, body in ((name, write_zarr(tmp_path / 'z', '0.5', pixels, 'yx')), ('notes', b'no image' * 100)):
        bucket.put_object(Bucket=bucket.bucket, Key=f'scans/{key}', Body=body)
    import_into(assetstore, 'scans/', folder, people['owner'])
    item = Item().findOne({'name': name})
    assert 'largeImage' not in item
    status, answer = api.call('POST', f'/item/{item["_id"]}/tiles')
    assert status == 200, answer
    item = Item().load(item['_id'], force=True)
    assert item['largeImage']['sourceName'] == 'zarr'
    assert np.array_equal(shown(api, item), pixels)
    status, why = api.call('GET', f'/zarr/item/{item["_id"]}/source')
    assert (status, why['wouldChoose']) == (200, 'zarr'), why


def test_a_file_without_a_suffix_that_is_no_image(people, folder, bucket, assetstore):
    """No source takes it, and large_image says so, as of a file on this machine."""
    bucket.put_object(Bucket=bucket.bucket, Key='scans/notes', Body=b'no image' * 100)
    import_into(assetstore, 'scans/', folder, people['owner'])
    item = Item().findOne({'name': 'notes'})
    (file,) = Item().childFiles(item)
    assert girder_tilesource.getGirderTileSourceName({**item, 'largeImage': {'fileId': file['_id']}}) is None
    with pytest.raises(TileGeneralError, match='A job must be used'):
        ImageItem().createImageItem(item, file, people['owner'], createJob=False)


def sparse_slide(folder, target):
    """Write a slide of 10 GB, of which few chunks are stored, and return the pixels that are."""
    side, levels = 60_416, 8
    datasets = [
        {
            'path': str(level),
            'coordinateTransformations': [{'type': 'scale', 'scale': [1, 2**level, 2**level]}],
        }
        for level in range(levels)
    ]
    axes = [{'name': name, 'type': 'channel' if name == 'c' else 'space'} for name in 'cyx']
    attributes = {'ome': {'version': '0.5', 'multiscales': [{'axes': axes, 'datasets': datasets}]}}
    group = zarr.open_group(folder, mode='w', attributes=attributes)
    for level in range(levels):
        array = group.create_array(
            str(level), shape=(3, side >> level, side >> level), chunks=(3, 512, 512),
            shards=(3, 4096, 4096), dtype='uint8',
        )  # fmt: skip
        if level == 0:
            pixels = np.random.default_rng(0).integers(0, 255, (3, 1024, 2048)).astype('uint8')
            array[:, 8192 : 8192 + 1024, 4096 : 4096 + 2048] = pixels
    pack(folder, target)
    return pixels


def test_the_first_tile_of_a_large_slide_costs_few_requests(
    zarr_server, people, folder, tmp_path, bucket, assetstore, requests
):
    pixels = sparse_slide(tmp_path / 'slide.zarr', tmp_path / 'slide.ozx')
    with (tmp_path / 'slide.ozx').open('rb') as stream:
        bucket.upload_fileobj(stream, bucket.bucket, 'scans/slide.ozx')
    import_into(assetstore, 'scans/', folder, people['owner'])
    item = Item().findOne({'name': 'slide.ozx'})
    assert item['largeImage']['sourceName'] == 'zarr'
    requests.clear()
    source = ZarrGirderTileSource(item, noCache=True)
    assert source.sizeX * source.sizeY * 3 > 10 * 10**9
    z, place = source.levels - 1, (4096 // 512, 8192 // 512)
    for number, (column, row) in enumerate([(0, 0), (1, 0), (2, 0), (3, 1), (0, 1)]):
        tile = source.getTile(place[0] + column, place[1] + row, z, numpyAllowed='always')
        expected = pixels[:, row * 512 : row * 512 + 512, column * 512 : column * 512 + 512]
        assert np.array_equal(tile, np.moveaxis(expected, 0, -1))
        assert len(requests) <= (6 if number == 0 else 1), requests
        requests.clear()


@pytest.mark.parametrize('version', ['0.4', '0.5'])
def test_an_imported_directory_is_one_image(
    api, people, folder, tmp_path, bucket, assetstore, requests, version
):
    pixels = random_pixels(150, 200, 1)
    write_zarr(tmp_path / 'slide.zarr', version, pixels, 'yx')
    put_tree(bucket, tmp_path / 'slide.zarr', 'scans/day 1/slide.zarr')
    bucket.put_object(Bucket=bucket.bucket, Key='scans/notes.txt', Body=b'words')
    import_into(assetstore, 'scans/', folder, people['owner'])
    assert sorted(item['name'] for item in Item().find()) == ['notes.txt', 'slide.zarr']
    assert sorted(found['name'] for found in Folder().find({'parentCollection': 'folder'})) == ['day 1']
    item = Item().findOne({'name': 'slide.zarr'})
    assert item['largeImage']['sourceName'] == 'zarr'
    assert np.array_equal(shown(api, item), pixels)
    import_into(assetstore, 'scans/', folder, people['owner'])
    assert Item().find().count() == 2
    assert len(list(File().find({'itemId': item['_id']}))) == 1


def test_results_go_into_the_assetstore(api, people, folder, assetstore, session, dispatched):
    from support.server import png, region_of

    pixels = random_pixels(200, 300)
    assert api.put(session, 'a', png(pixels), 0, 0)[0] in (200, 201)
    assert api.finalize(session)[0] == 200
    dispatched.run()
    status, done = api.get(session)
    assert (status, done['state']) == (200, 'complete')
    file = File().load(done['fileId'], force=True)
    assert file['s3Key']
    assert np.array_equal(region_of(api, done), pixels)


@pytest.mark.parametrize('patch_store', ['s3', 'file system'])
def test_parts_of_large_sessions_go_into_the_assetstore(
    api, people, folder, assetstore, bucket, session, dispatched, monkeypatch, patch_store
):
    """Patches, parts and the result; the last two in S3 whatever the patches are in."""
    from girder.models.setting import Setting

    from girder_zarr.stitch.output import image_parts as stitch_parts
    from support.server import npy, on_call_for_help, region_of

    on_call_for_help(monkeypatch, lambda _: None)
    Setting().set(SettingKey.STITCH_PART_VALUES, 2**18)
    local = Assetstore().findOne({'type': 0})
    pixels = random_pixels(700, 900)
    if patch_store != 's3':
        switch(assetstore, local)
    for index, (y, x) in enumerate([(0, 0), (0, 450), (350, 0), (350, 450)]):
        patch = pixels[y : y + 350, x : x + 450]
        assert api.put(session, str(index), npy(patch), x, y)[0] == 201
    if patch_store != 's3':
        switch(local, assetstore)
    seen, original = [], stitch_parts._copy

    def copy(stream, *args):
        objects = bucket.list_objects_v2(Bucket=bucket.bucket)['Contents']
        seen.append(len(objects))
        original(stream, *args)

    monkeypatch.setattr(stitch_parts, '_copy', copy)
    body = json.dumps({'spec': {'chunk': 64}})
    path = f'/stitch_session/{session["_id"]}'
    assert api.call('PUT', path, body=body, content_type='application/json')[0] == 200
    assert api.finalize(session)[0] == 200
    dispatched.run()
    status, done = api.get(session)
    assert (status, done['state']) == (200, 'complete'), done
    assert np.array_equal(region_of(api, done), pixels)
    in_s3 = 4 if patch_store == 's3' else 0
    assert seen == [in_s3 + made for made in range(1, 13)]  # each is put in as soon as it is stored
    assert len(bucket.list_objects_v2(Bucket=bucket.bucket)['Contents']) == in_s3 + 1


def switch(before, after):
    """Let another assetstore take new files."""
    for store, current in ((before, False), (after, True)):
        found = Assetstore().load(store['_id'])
        found['current'] = current
        Assetstore().save(found)


def test_a_large_result_goes_up_in_pieces(zarr_server, people, folder, assetstore, bucket, tmp_path):
    from girder.models.upload import Upload

    from girder_zarr.server.storage.transfer import UPLOAD_PIECE, send_file

    size = UPLOAD_PIECE + 5 * 2**20
    data = np.random.default_rng(0).bytes(2**20) * (size // 2**20)
    upload = Upload().createUpload(people['owner'], 'big.ozx', 'folder', folder, size)
    file = send_file(upload, io.BytesIO(data))
    adapter = assetstore_utilities.getAssetstoreAdapter(Assetstore().load(file['assetstoreId']))
    head = adapter.client.head_object(Bucket=bucket.bucket, Key=file['s3Key'])
    assert head['ContentLength'] == size
    assert head['ETag'].strip('"').endswith('-2')  # two parts
    assert GirderFileBytes(file).read(UPLOAD_PIECE - 10, 20) == data[UPLOAD_PIECE - 10 : UPLOAD_PIECE + 10]


def test_s3_addresses_of_the_library(moto_server, bucket, tmp_path, monkeypatch):
    pixels = random_pixels(150, 200, 1)
    write_zarr(tmp_path / 'slide.zarr', '0.5', pixels, 'yx')
    put_tree(bucket, tmp_path / 'slide.zarr', 'slide.zarr')
    monkeypatch.setenv('AWS_ENDPOINT_URL', moto_server)
    monkeypatch.setenv('AWS_ACCESS_KEY_ID', 'key')
    monkeypatch.setenv('AWS_SECRET_ACCESS_KEY', 'secret')
    addresses.allow_hosts([f's3://{bucket.bucket}', '127.0.0.1'])
    try:
        source = gz.open(f's3://{bucket.bucket}/slide.zarr', noCache=True)
        assert np.array_equal(source.getRegion(format='numpy')[0][..., 0], pixels)
        assert not gz.canRead('s3://another-bucket/slide.zarr')
    finally:
        addresses.follow(None)


def test_the_same_tiles_from_everywhere(api, people, folder, tmp_path, bucket, assetstore, zarr_server):
    """Directory, zip, .ozx, SQLite, S3, http and a Girder folder, through the tile routes."""
    import sqlite3

    from girder.models.setting import Setting

    from girder_zarr.server.settings import polled
    from support.girder_images import import_directory, upload_tree
    from support.web import serve

    slide = tmp_path / 'web' / 'slide.zarr'
    body = write_zarr(slide, '0.4', random_pixels(150, 200, 1), 'yx')
    database = sqlite3.connect(tmp_path / 'slide.db')
    database.execute('CREATE TABLE zarr(k TEXT PRIMARY KEY, v BLOB)')
    rows = [(str(path.relative_to(slide)), path.read_bytes()) for path in slide.rglob('*') if path.is_file()]
    database.executemany('INSERT INTO zarr VALUES (?, ?)', rows)
    database.commit()
    database.close()
    for name, data in (
        ('a.zip', body), ('b.ozx', body), ('c.db', (tmp_path / 'slide.db').read_bytes()),
    ):  # fmt: skip
        bucket.put_object(Bucket=bucket.bucket, Key=f'all/{name}', Body=data)
    put_tree(bucket, slide, 'all/in s3.zarr')
    owner = people['owner']
    import_into(assetstore, 'all/', folder, owner)
    assetstore['current'] = False
    Assetstore().save(assetstore)
    local = Assetstore().findOne({'type': 0})
    local['current'] = True
    Assetstore().save(local)
    (tmp_path / 'web').joinpath('notes.txt').write_text('words')
    import_directory(tmp_path / 'web', Folder().createFolder(folder, 'local', creator=owner), owner)
    root = upload_tree(slide, Folder().createFolder(folder, 'uploaded', creator=owner), owner)
    with serve(tmp_path / 'web') as served:
        Setting().set(SettingKey.ALLOWED_HOSTS, [f'127.0.0.1:{served.port}', '127.0.0.1'])
        polled.install()
        link = Item().createItem('link', owner, folder)
        File().createLinkFile('slide.zarr', link, 'item', f'{served.address}/slide.zarr', owner)
        items = [Item().findOne({'name': name}) for name in ('a.zip', 'b.ozx', 'c.db')]
        items += [Item().findOne({'name': name}) for name in ('in s3.zarr', 'slide.zarr', 'link')]
        items.append(Item().findOne({'folderId': root['_id'], 'name': '.zattrs'}))
        tiles = {}
        for item in items:
            path = f'/item/{item["_id"]}/tiles'
            if 'largeImage' not in item:
                status, answer = api.call('POST', path)
                assert status == 200, (item['name'], answer)
            status, tile = api.call('GET', f'{path}/zxy/0/0/0', is_json=False)
            assert status == 200, item['name']
            tiles[item['name']] = tile
    addresses.follow(None)
    assert len(tiles) == 7
    assert len(set(tiles.values())) == 1, {name: len(tile) for name, tile in tiles.items()}
