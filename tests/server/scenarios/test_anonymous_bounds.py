"""What somebody who has not signed in may ask of a public session: no more than costs a second."""

import io
import json

import PIL.Image
import pytest
import zarr
from girder.models.folder import Folder

from girder_zarr import image
from girder_zarr.server.api import item_bounds
from girder_zarr.server.api import patches as patch_routes
from girder_zarr.server.api import sessions as session_routes
from girder_zarr.server.preview import tracker
from girder_zarr.server.share import grants
from support.girder_images import upload
from support.server import Viewer, png, random_pixels
from support.zarr_http import serving

pytestmark = pytest.mark.plugin('zarr')
ROUTES = ('', '/internal_metadata', '/zxy/0/0/0', '/fzxy/0/0/0/0', '/region', '/thumbnail')


@pytest.fixture
def public(api, people):
    """A session with three patches in a public folder."""
    folder = Folder().createFolder(
        people['owner'], 'open', parentType='user', public=True, creator=people['owner']
    )
    session = api.create(folder)[1]
    for number in range(3):
        status, answer = api.put(session, f'p{number}', png(random_pixels(64, 64)), x=64 * number)
        assert status == 201, answer
    tracker._previews.clear()
    return api.get(session)[1]


@pytest.fixture
def few(monkeypatch):
    """Limits that three patches pass."""
    monkeypatch.setattr(tracker, 'MAX_ANONYMOUS_PATCHES', 2)
    monkeypatch.setattr(grants, 'MAX_ANONYMOUS_PATCHES', 2)
    monkeypatch.setattr(patch_routes, 'MAX_ANONYMOUS_PATCHES', 2)
    monkeypatch.setattr(session_routes, 'MAX_ANONYMOUS_SESSIONS', 0)


def test_an_image_of_many_patches(api, public, few):
    viewer = Viewer(api, public, user=None)
    for route in (*ROUTES, '/../coverage'):
        status, answer = viewer.get(route, is_json=True)
        assert status == 413, route
        assert 'has 3 patches; without signing in, images of at most 2' in answer['message']
    with serving() as client:
        found = client.ask(f'/zarr/session/{public["_id"]}/zarr.json')
        assert found.status == 413
        assert b'at most 2' in found.body
    # Once it has been read for somebody it costs no more.
    assert Viewer(api, public).get()[0] == 200
    for route in ROUTES:
        assert viewer.get(route, is_json=False)[0] == 200, route
    with serving() as client:
        assert client.ask(f'/zarr/session/{public["_id"]}/zarr.json').status == 200


def test_lists(api, public, few):
    path = f'/stitch_session/{public["_id"]}/patch'
    for params, expected in (
        ({'limit': 0}, 413), ({'limit': 50}, 413), ({'limit': 2}, 200), ({'limit': 0, 'offset': 1}, 200),
        ({'limit': 5, 'offset': 9}, 200), ({'limit': 3, 'after': 'p0'}, 413),
        ({'limit': 2, 'after': 'p0'}, 200),
    ):  # fmt: skip
        status, answer = api.call('GET', path, params, user=None)
        assert status == expected, params
        assert status == 200 or 'at most 2 are listed' in answer['message']
        assert api.call('GET', path, params)[0] == 200
    params = {'folderId': public['folderId']}
    assert api.call('GET', '/stitch_session', params, user=None)[0] == 413
    assert api.call('GET', '/stitch_session', params)[0] == 200


@pytest.fixture
def shown(api, people, tmp_path):
    """The tiles of a public item of 640 x 512 pixels and two frames."""
    folder = Folder().createFolder(
        people['owner'], 'open', parentType='user', public=True, creator=people['owner']
    )
    sink = image.new()
    for frame in range(2):
        sink.addTile(random_pixels(512, 640, 1), 0, 0, z=frame)
    sink.write(tmp_path / 'a.zarr.zip')
    item, _ = upload(folder, people['owner'], 'a.zarr.zip', (tmp_path / 'a.zarr.zip').read_bytes())
    return f'/item/{item["_id"]}/tiles'


@pytest.mark.parametrize(
    ('route', 'params', 'pixels'),
    [
        ('region', {}, 640 * 512),
        ('region', {'regionWidth': 300, 'regionHeight': 300}, 300 * 300),
        ('region', {'regionWidth': 0.5, 'regionHeight': 0.5, 'unitsWH': 'fraction'}, 320 * 256),
        ('region', {'width': 300, 'height': 300, 'fill': 'red'}, 300 * 300),
        ('thumbnail', {'width': 320}, 320 * 256),
        ('thumbnail', {'width': 300, 'height': 300, 'fill': 'red'}, 300 * 300),
        ('tile_frames', {'width': 250}, 2 * 250 * 200),
        ('tile_frames', {'width': 320, 'frameList': '1'}, 320 * 256),
        ('histogram', {}, 640 * 512),
    ],
)
def test_pictures_of_items(api, shown, monkeypatch, route, params, pixels):
    path, params = f'{shown}/{route}', {'encoding': 'PNG', **params}
    monkeypatch.setattr(item_bounds, 'MAX_PIXELS', pixels - 1)
    status, answer = api.call('GET', path, params, user=None)
    assert status == 413, answer
    assert f'would have {pixels} pixels; without signing in the limit is {pixels - 1}' in answer['message']
    assert api.call('GET', path, params, is_json=False)[0] == 200
    monkeypatch.setattr(item_bounds, 'MAX_PIXELS', pixels)
    status, body = api.call('GET', path, params, user=None, is_json=False)
    assert status == 200
    if route != 'histogram':
        with PIL.Image.open(io.BytesIO(body)) as picture:
            assert picture.width * picture.height == pixels


@pytest.mark.parametrize('levels', [1, None])
def test_images_without_lower_resolutions(api, people, tmp_path, monkeypatch, levels):
    """What makes much of a large full resolution into a small picture costs as much as reading it."""
    monkeypatch.setattr(item_bounds, 'MAX_READ', 2**18)
    folder = Folder().createFolder(
        people['owner'], 'o', parentType='user', public=True, creator=people['owner']
    )
    pixels = random_pixels(2048, 2048, 1)
    if levels is None:
        sink = image.new()
        sink.addTile(pixels, 0, 0)
        sink.write(tmp_path / 'a.zarr.zip')
    else:
        with zarr.storage.ZipStore(tmp_path / 'a.zarr.zip', mode='w') as store:
            zarr.create_array(store, data=pixels, chunks=(256, 256))
    item, _ = upload(folder, people['owner'], 'a.zarr.zip', (tmp_path / 'a.zarr.zip').read_bytes())
    tiles = f'/item/{item["_id"]}/tiles'
    found = api.call('GET', tiles)[1]
    last = found['levels'] - 1
    whole = 413 if levels == 1 else 200
    for route, params, expected in (
        (f'zxy/{last}/0/0', {}, 200),
        (f'zxy/{last - 1}/1/1', {}, 200),
        ('zxy/0/0/0', {}, whole),
        ('fzxy/0/0/0/0', {}, whole),
        ('thumbnail', {}, whole),
        ('histogram', {'width': 64, 'height': 64}, whole),
        *([('bands', {}, 413)] if levels == 1 else []),
        ('region', {'width': 64, 'height': 64}, whole),
        ('region', {'regionWidth': 64, 'regionHeight': 64}, 200),
    ):
        path = f'{tiles}/{route}'
        status, answer = api.call('GET', path, params, user=None, is_json=expected == 413)
        assert status == expected, route
        if expected == 413:
            assert (
                'the image lacks lower resolutions; without signing in the limit is 262144'
                in answer['message']
            )
            assert api.call('GET', path, params, is_json=False)[0] == 200, route


def test_styles_of_many_bands(api, shown):
    for count, expected in ((item_bounds.MAX_BANDS, 200), (item_bounds.MAX_BANDS + 1, 413)):
        style = json.dumps({'bands': [{'band': 1, 'palette': ['#000', '#fff'], 'frame': 0}] * count})
        for route in ('zxy/0/0/0', 'fzxy/1/0/0/0', 'region', 'thumbnail'):
            path = f'{shown}/{route}'
            assert api.call('GET', path, {'style': style}, user=None, is_json=False)[0] == expected, route
            assert api.call('GET', path, {'style': style}, is_json=False)[0] == 200, route
    status, answer = api.call('GET', f'{shown}/zxy/0/0/0', {'style': style}, user=None)
    assert f'at most {item_bounds.MAX_BANDS} bands, found {count}' in answer['message']
