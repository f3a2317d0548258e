"""Downloads of an imported OME-Zarr are the image, by every route; read by zipfile, zarr and tensorstore."""

import io
import zipfile

import numpy as np
import pytest
import zarr

from girder_zarr import image
from girder_zarr.image.serve import zip_stream
from support.girder_images import import_directory, upload
from support.server import random_pixels

pytestmark = pytest.mark.plugin('zarr')
PIXELS = random_pixels(300, 400)


@pytest.fixture
def source(tmp_path):
    (tmp_path / 'in').mkdir()
    sink = image.new()
    sink.addTile(PIXELS, 0, 0)
    sink.write(tmp_path / 'in' / 'a.zarr')
    table = tmp_path / 'in' / 'a.zarr' / 'tables' / 'cells ü.csv'
    table.parent.mkdir()
    table.write_bytes(b'label,area\n1,7\n')
    return tmp_path / 'in' / 'a.zarr'


@pytest.fixture
def item(api, people, folder, source):
    """An imported image in a private folder, beside an ordinary file."""
    import_directory(source.parent, folder, people['admin'])
    upload(folder, people['owner'], 'notes.txt', b'hello')
    [found] = [
        one for one in api.call('GET', '/item', {'folderId': folder['_id']})[1] if 'zarr' in one['name']
    ]
    return found


def files_of(source):
    return {
        path.relative_to(source).as_posix(): path.read_bytes() for path in source.rglob('*') if path.is_file()
    }


def in_girders_zip(source):
    """Girder's own zips do not say that their names are UTF-8."""
    return {name.encode().decode('cp437'): data for name, data in files_of(source).items()}


def contents(body, prefix=''):
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
        return {
            name.removeprefix(prefix): archive.read(name)
            for name in archive.namelist()
            if name.startswith(prefix)
        }


def get(api, path, params=None, **options):
    status, body = api.call('GET', path, params, is_json=False, **options)
    assert status == 200, body[:200]
    return body


def file_of(api, item):
    [file] = api.call('GET', f'/item/{item["_id"]}/files')[1]
    return file


def test_item_and_file_give_the_image(api, item, source, tmp_path):
    file = file_of(api, item)
    for path in (f'/item/{item["_id"]}/download', f'/file/{file["_id"]}/download'):
        body = get(api, path)
        assert contents(body) == files_of(source), path
        assert int(api.headers['Content-Length']) == len(body) == file['size']
        assert api.headers['Content-Type'] == 'application/zip'
        assert 'a.zarr.zip' in api.headers['Content-Disposition']
    (tmp_path / 'got.zarr.zip').write_bytes(body)
    with zarr.storage.ZipStore(tmp_path / 'got.zarr.zip', mode='r') as store:
        assert np.array_equal(
            zarr.open_group(store, mode='r')['0'][:].reshape(3, 300, 400)[0], PIXELS[..., 0]
        )
    got = image.open(str(tmp_path / 'got.zarr.zip'))
    assert (got.sizeX, got.sizeY) == (400, 300)


def test_what_clients_are_told_is_what_they_get(api, item):
    shown = file_of(api, item)
    assert (shown['name'], shown['mimeType']) == ('a.zarr.zip', 'application/zip')
    alone = api.call('GET', f'/file/{shown["_id"]}')[1]
    assert (alone['name'], alone['size']) == (shown['name'], shown['size'])
    assert file_of(api, {'_id': shown['itemId']})['size'] == len(get(api, f'/file/{shown["_id"]}/download'))


def test_folders_and_zips_of_items_hold_its_keys(api, item, folder, people, source):
    body = get(api, f'/folder/{folder["_id"]}/download')
    assert contents(body, 'slides/a.zarr/') == in_girders_zip(source)
    assert contents(body)['slides/notes.txt'] == b'hello'
    body = get(api, f'/item/{item["_id"]}/download', {'format': 'zip'})
    assert contents(body, 'a.zarr/') == in_girders_zip(source)
    resources = f'{{"folder": ["{folder["_id"]}"]}}'
    body = get(api, '/resource/download', {'resources': resources})
    assert contents(body, 'slides/a.zarr/') == in_girders_zip(source)
    with_metadata = {'resources': f'{{"item": ["{item["_id"]}"]}}', 'includeMetadata': True}
    assert contents(get(api, '/resource/download', with_metadata), 'a.zarr/') == in_girders_zip(source)


def test_parts_of_it(api, item):
    whole = get(api, f'/item/{item["_id"]}/download')
    for offset in (1, 30, len(whole) - 5, len(whole), len(whole) + 9):
        assert get(api, f'/item/{item["_id"]}/download', {'offset': offset}) == whole[offset:]
    body = get(api, f'/item/{item["_id"]}/download', headers=[('Range', 'bytes=0-9')])
    assert body == whole
    assert api.headers['Accept-Ranges'] == 'none'


def test_nobody_else_gets_it(api, item, people):
    file = file_of(api, item)
    for path in (f'/item/{item["_id"]}/download', f'/file/{file["_id"]}/download'):
        for user, expected in (('stranger', 403), ('nobody', 401), ('reader', 200)):
            assert api.call('GET', path, user=people[user], is_json=False)[0] == expected, user


def test_a_link_out_of_it_is_no_part_of_it(api, item, source, tmp_path):
    (tmp_path / 'secret').mkdir()
    (tmp_path / 'secret' / 'key').write_text('secret')
    (source / 'link').symlink_to(tmp_path / 'secret')
    (source / 'file').symlink_to(tmp_path / 'secret' / 'key')
    (source / 'round').symlink_to(source)
    found = contents(get(api, f'/item/{item["_id"]}/download'))
    assert not {name for name in found if name.startswith(('link', 'file', 'round'))}


def test_other_files_are_as_they_were(api, people, folder, item):
    _, file = upload(folder, people['owner'], 'zarr.json', b'{"not": "imported"}')
    assert get(api, f'/file/{file["_id"]}/download') == b'{"not": "imported"}'
    [shown] = api.call('GET', f'/item/{file["itemId"]}/files')[1]
    assert (shown['name'], shown['size']) == ('zarr.json', 19)


def test_too_many_entries_come_without_a_length(api, item, source, monkeypatch):
    from girder_zarr.server.share import downloads

    monkeypatch.setattr(downloads, 'MAX_COUNTED_FOR_USERS', 2)
    body = get(api, f'/item/{item["_id"]}/download')
    assert contents(body) == files_of(source)
    assert 'Content-Length' not in api.headers


def test_large_values_are_not_held(api, item, source, monkeypatch):
    whole = get(api, f'/item/{item["_id"]}/download')
    monkeypatch.setattr(zip_stream, 'WHOLE_BYTES', 100)
    body = get(api, f'/item/{item["_id"]}/download')
    assert len(body) > len(whole)
    assert int(api.headers['Content-Length']) == len(body)
    assert contents(body) == files_of(source)
