"""Images of other formats are OME-Zarr by their address, pixel for pixel, with no copy made."""

import io
import sys

import numpy as np
import pytest
import tensorstore
import tifffile
import yaozarrs
import zarr
from zarr.storage import FsspecStore

import girder_zarr.image as gz
from support.girder_images import upload
from support.server import random_pixels

pytestmark = pytest.mark.plugin('zarr')


def tiff(pixels, **options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, tile=(256, 256), **options)
    return stream.getvalue()


def opened(web, item, owner):
    options = {'headers': owner}
    store = FsspecStore.from_url(
        f'{web.address}/zarr/item/{item["_id"]}', read_only=True, storage_options=options
    )
    return zarr.open_group(store, mode='r')


def test_a_tiled_tiff(web, owner, put, api):
    pixels = random_pixels(700, 900)
    options = {'photometric': 'rgb', 'resolution': (20000, 40000), 'resolutionunit': 'CENTIMETER'}
    item = put('slide.tiff', tiff(pixels, **options))
    assert item['largeImage']['sourceName'] == 'tiff'
    group = opened(web, item, owner)
    assert np.array_equal(np.moveaxis(group['0'][...], 0, -1), pixels)
    multiscale = group.attrs['ome']['multiscales'][0]
    assert [axis['name'] for axis in multiscale['axes']] == ['c', 'y', 'x']
    assert multiscale['datasets'][0]['coordinateTransformations'][0]['scale'] == [1, 0.25, 0.5]
    assert [channel['color'] for channel in group.attrs['ome']['omero']['channels']] == [
        'FF0000', '00FF00', '0000FF',
    ]  # fmt: skip
    document = web.ask(f'/zarr/item/{item["_id"]}/zarr.json', headers=owner).body
    yaozarrs.validate_ome_json(document.decode())
    _, metadata = api.call('GET', f'/item/{item["_id"]}/tiles')
    assert sorted(group.array_keys()) == [str(level) for level in range(metadata['levels'])]
    ((name, token),) = owner.items()
    kvstore = {'driver': 'http', 'base_url': web.address, 'path': f'/zarr/item/{item["_id"]}/0/'}
    kvstore['headers'] = [f'{name}: {token}']
    array = tensorstore.open({'driver': 'zarr3', 'kvstore': kvstore}, read=True).result()
    assert np.array_equal(
        array[:, 300:600, 200:700].read().result(), np.moveaxis(pixels, -1, 0)[:, 300:600, 200:700]
    )
    key = f'/zarr/item/{item["_id"]}/0/c/0/1/1'
    first = web.ask(key, headers=owner)
    again = web.ask(key, headers={**owner, 'If-None-Match': first.headers['etag']})
    assert (first.status, again.status, again.body) == (200, 304, b'')
    # A lower level is that of the tile source.
    level = metadata['levels'] - 2
    status, body = api.call(
        'GET', f'/item/{item["_id"]}/tiles/zxy/{level}/0/0', {'encoding': 'PNG'}, is_json=False
    )
    assert status == 200
    from PIL import Image

    tile = np.asarray(Image.open(io.BytesIO(body)).convert('RGB'))
    assert np.array_equal(np.moveaxis(group['1'][:, :256, :256], 0, -1), tile)


def test_gray_values_of_16_bits(web, owner, put):
    pixels = random_pixels(300, 500, 1, 'uint16')
    item = put('gray.tiff', tiff(pixels * 200, photometric='minisblack'))
    group = opened(web, item, owner)
    assert group['0'].dtype == np.uint16
    assert np.array_equal(np.squeeze(group['0'][...]), pixels * 200)


def test_others_may_not_read_it(web, owner, put):
    item = put('slide.tiff', tiff(random_pixels(300, 500), photometric='rgb'))
    assert web.ask(f'/zarr/item/{item["_id"]}/zarr.json').status == 403
    for key in (
        '0/c/9/9/9',
        '99/zarr.json',
        '0/c/0/0',
        f'0/c/0/0/{"9" * 12}',
        '.zattrs',
        f'0/c/{"9" * 40}/0/0',
    ):
        assert web.ask(f'/zarr/item/{item["_id"]}/{key}', headers=owner).status == 404, key


@pytest.mark.skipif(sys.version_info < (3, 12), reason='imagecodecs-zarr has no release for Python 3.11')
def test_a_codec_that_viewers_lack_is_put_right_on_the_way(web, owner, people, folder, api, tmp_path):
    """JPEG chunks as they are stored, and the same pixels in zstd below @zstd."""
    source = gz.new()
    source.addTile(np.tile(np.arange(256, dtype=np.uint8)[:, None, None], (2, 500, 3)))
    source.write(tmp_path / 'jpeg.zarr.zip', lossy=True, codec='jpeg')
    body = (tmp_path / 'jpeg.zarr.zip').read_bytes()
    item, _ = upload(folder, people['owner'], 'jpeg.zarr.zip', body)
    base = f'/zarr/item/{item["_id"]}'
    assert b'imagecodecs_jpeg' in web.ask(f'{base}/0/zarr.json', headers=owner).body
    assert b'jpeg' not in web.ask(f'{base}/@zstd/0/zarr.json', headers=owner).body
    store = FsspecStore.from_url(
        f'{web.address}{base}/@zstd', read_only=True, storage_options={'headers': owner}
    )
    found = np.moveaxis(zarr.open_group(store, mode='r')['0'][...], 0, -1)
    expected = np.asarray(gz.open(tmp_path / 'jpeg.zarr.zip').getRegion(format='numpy')[0])
    assert np.array_equal(found, expected)
    assert web.ask(f'{base}/@zstd', headers=owner).status == 404
    assert web.ask(f'{base}/@zstd/zarr.json').status == 403
