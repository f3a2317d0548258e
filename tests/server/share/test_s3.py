"""What addresses give where an assetstore is S3: other forms, downloads, sessions, listings."""

import io
import json
import zipfile

import numpy as np
import pytest
import zarr
from zarr.storage import FsspecStore

from girder_zarr.server.share import session_tree
from support.server import png, random_pixels

from .conftest import FAR

pytestmark = [pytest.mark.plugin('zarr'), pytest.mark.usefixtures('assetstore')]


def opened(web, path, headers=None):
    options = {'headers': headers} if headers else {}
    store = FsspecStore.from_url(f'{web.address}{path}', read_only=True, storage_options=options)
    return zarr.open_group(store, mode='r')


def link_to(api, **target):
    status, link = api.call('POST', '/zarr_link', body=json.dumps(target), content_type='application/json')
    assert status == 200
    return f'/zarr/k/{link["key"]}'


@pytest.mark.parametrize('form', ['@zstd', '@v2', '@v3'])
@pytest.mark.parametrize('kind', FAR)
def test_other_forms(web, owner, make_image, kind, form):
    image = make_image(kind)
    group = opened(web, f'{image.path}/{form}', owner)
    for level in range(2):
        assert np.array_equal(group[str(level)][...], image.pixels[:: 2**level, :: 2**level])
    first = web.ask(f'{image.path}/{form}/0/zarr.json', headers=owner)
    if first.status == 200:
        tag = first.headers['etag']
        assert (
            web.ask(f'{image.path}/{form}/0/zarr.json', headers={**owner, 'If-None-Match': tag}).status == 304
        )


def test_the_download_of_a_prefix(api, make_image):
    """That of a file is a redirect to S3, which is Girder's."""
    image = make_image('s3 prefix')
    status, body = api.call('GET', f'/item/{image.item["_id"]}/download', is_json=False)
    assert status == 200
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == image.snapshot


def test_a_folder_of_images_is_listed(web, api, folder, make_image):
    images = {kind: make_image(kind, name=kind.replace(' ', '-')) for kind in FAR}
    path = link_to(api, folderId=str(folder['_id']))
    page = web.ask(f'{path}/').body.decode()
    for kind, image in images.items():
        name = 's3-uploaded.zarr' if kind == 's3 uploaded' else image.item['name']
        assert f'{name}/' in page
        assert web.ask(f'{path}/{name}/zarr.json').body == image.snapshot['zarr.json']
        found = web.ask(f'{path}?list-type=2&prefix={name}/').body.decode()
        for key, body in image.snapshot.items():
            assert f'<Key>{name}/{key}</Key>' in found, key
            assert f'<Size>{len(body)}</Size>' in found


def test_a_session_and_its_result(web, api, folder, dispatched, monkeypatch):
    monkeypatch.setattr(session_tree, 'CACHE_SECONDS', 0.0)
    picture = random_pixels(300, 400)
    _, session = api.create(folder)
    path = link_to(api, sessionId=session['_id'])
    for x in (0, 200):
        api.put(session, f'{x}', png(picture[:, x : x + 200]), x=x)
        for form in ('', '/@v2', '/@v2/@blosc'):
            found = np.moveaxis(opened(web, path + form)['0'][...], 0, -1)
            assert np.array_equal(found, picture[:, : x + 200])
    api.finalize(session)
    dispatched.run()
    _, done = api.get(session)
    assert done['state'] == 'complete'
    for form in ('', '/@v2', '/@zstd'):
        assert np.array_equal(np.moveaxis(opened(web, path + form)['0'][...], 0, -1), picture)
