"""What girder_client downloads of an imported OME-Zarr is the image."""

import zipfile

import numpy as np

from girder_zarr import image
from support.waiting import wait_until


def test_girder_client_gets_the_image(girder, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (300, 400, 3)).astype('uint8')
    (tmp_path / 'in').mkdir()
    sink = image.new()
    sink.addTile(pixels, 0, 0)
    sink.write(tmp_path / 'in' / 'a.zarr')
    folder = girder.createFolder(girder.get('user/me')['_id'], 'imported', parentType='user')
    store = next(one for one in girder.get('assetstore') if one['type'] == 0)
    params = {'importPath': str(tmp_path / 'in'), 'destinationId': folder['_id'], 'destinationType': 'folder'}
    girder.post(f'assetstore/{store["_id"]}/import', parameters={**params, 'progress': 'false'})
    item = wait_until(
        lambda: next((one for one in girder.listItem(folder['_id']) if 'largeImage' in one), None), 60
    )
    girder.downloadItem(item['_id'], str(tmp_path / 'item'))
    girder.downloadFolderRecursive(folder['_id'], str(tmp_path / 'folder'))
    for got in (tmp_path / 'item', tmp_path / 'folder'):
        path = got / 'a.zarr' / 'a.zarr.zip'
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
        region, _ = image.open(str(path)).getRegion(format='numpy')
        assert np.array_equal(region[..., :3], pixels)
    girder.delete(f'folder/{folder["_id"]}')
