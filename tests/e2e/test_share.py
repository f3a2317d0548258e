"""Images by address on the real stack: beside Girder's own routes, in front of its WSGI application."""

import io
import json
import urllib.error
import urllib.request

import numpy as np
import pytest
import tensorstore
import zarr
from zarr.storage import FsspecStore

from support.waiting import wait_until


def test_a_private_image_by_its_link(stack, girder, tmp_path):
    client = girder
    pixels = np.random.default_rng(1).integers(0, 255, (300, 400), np.uint8)
    path = tmp_path / 'image.zarr.zip'
    with zarr.storage.ZipStore(path, mode='w') as store:
        multiscale = {
            'axes': [{'name': name, 'type': 'space'} for name in 'yx'],
            'datasets': [
                {'path': '0', 'coordinateTransformations': [{'type': 'scale', 'scale': [1.0, 1.0]}]}
            ],
        }
        attributes = {'ome': {'version': '0.5', 'multiscales': [multiscale]}}
        group = zarr.create_group(store, attributes=attributes)
        group.create_array('0', data=pixels, chunks=(64, 64))
    user = client.get('user/me')
    folder = client.createFolder(user['_id'], 'private', parentType='user', public=False)
    body = path.read_bytes()
    file = client.uploadFile(folder['_id'], io.BytesIO(body), path.name, len(body), parentType='folder')
    wait_until(lambda: 'largeImage' in client.getItem(file['itemId']), what='the image')
    link = client.post('zarr_link', data=json.dumps({'itemId': file['itemId'], 'label': 'test'}))
    assert link['url'].startswith(stack.url)
    store = FsspecStore.from_url(link['url'].rstrip('/'), read_only=True)
    assert np.array_equal(zarr.open_group(store, mode='r')['0'][...], pixels)
    spec = {'driver': 'zarr3', 'kvstore': f'{link["url"]}0/'}
    assert np.array_equal(tensorstore.open(spec, read=True).result().read().result(), pixels)
    address = f'{stack.url}zarr/item/{file["itemId"]}/zarr.json'
    with pytest.raises(urllib.error.HTTPError, match='403'):
        urllib.request.urlopen(address)
    asked = urllib.request.Request(address, headers={'Girder-Token': client.token})
    with urllib.request.urlopen(asked) as answer:
        assert answer.headers['ETag']
        assert json.load(answer)['zarr_format'] == 3
    client.delete(f'zarr_link/{link["_id"]}')

    def is_gone():
        try:
            urllib.request.urlopen(f'{link["url"]}zarr.json').close()
        except urllib.error.HTTPError as error:
            error.close()
            return error.code == 403
        return False

    wait_until(is_gone, seconds=6, what='the link to end')
