"""A session is an image that grows, for clients that know nothing of sessions."""

import io
import json

import numpy as np
import pytest
import tensorstore
import zarr
from PIL import Image
from zarr.storage import FsspecStore

from girder_zarr.server.share import session_tree
from support.server import npy, png, random_pixels

pytestmark = pytest.mark.plugin('zarr')


@pytest.fixture(autouse=True)
def _no_hold(monkeypatch):
    """A test looks again sooner than anybody reloads a page."""
    monkeypatch.setattr(session_tree, 'CACHE_SECONDS', 0.0)


def link_of(api, session):
    body = json.dumps({'sessionId': session['_id']})
    status, link = api.call('POST', '/zarr_link', body=body, content_type='application/json')
    assert status == 200
    return f'/zarr/k/{link["key"]}'


def opened(web, path):
    return zarr.open_group(FsspecStore.from_url(f'{web.address}{path}', read_only=True), mode='r')


def test_what_has_arrived_is_an_image(web, api, folder):
    _, session = api.create(folder, origin='absolute')
    path = link_of(api, session)
    assert web.ask(f'{path}/zarr.json').status == 404
    picture = random_pixels(900, 1300)
    expected = np.zeros_like(picture)
    tags = set()
    for y, x in ((300, 700), (0, 0), (500, 100)):
        piece = picture[y : y + 400, x : x + 600]
        api.put(session, f'{y}-{x}', png(piece), x=x, y=y)
        expected[y : y + 400, x : x + 600] = piece
        _, found = api.get(session)
        width, height = found['bounds']['x'][1], found['bounds']['y'][1]
        group = opened(web, path)
        assert np.array_equal(np.moveaxis(group['0'][...], 0, -1), expected[:height, :width])
        spec = {'driver': 'zarr3', 'kvstore': f'{web.address}{path}/0/'}
        array = tensorstore.open(spec, read=True).result()
        assert array.shape == (3, height, width)
        assert np.array_equal(np.moveaxis(array.read().result(), 0, -1), expected[:height, :width])
        multiscale = group.attrs['ome']['multiscales'][0]
        assert [axis['name'] for axis in multiscale['axes']] == ['c', 'y', 'x']
        assert [one['path'] for one in multiscale['datasets']] == sorted(group.array_keys())
        for key in ('zarr.json', '0/c/0/0/0'):
            reply = web.ask(f'{path}/{key}')
            assert reply.headers['cache-control'] == 'private, no-cache'
            again = web.ask(f'{path}/{key}', headers={'If-None-Match': reply.headers['etag']})
            assert again.status == 304
            tags.add(reply.headers['etag'])
    assert len(tags) == 6, 'each patch changes the validators'
    for key in ('0/c/9/9/9', '0/c/0/0', '0/c/00/0/0', '9/zarr.json', '0/c/0/0/0/0', 'x', '0/c/-1/0/0'):
        assert web.ask(f'{path}/{key}').status == 404, key
    body = web.ask(f'{path}/0/c/0/0/0').body
    assert web.ask(f'{path}/0/c/0/0/0', headers={'Range': 'bytes=10-19'}).body == body[10:20]
    assert web.ask(f'{path}/0/c/0/0/0', 'HEAD').headers['content-length'] == str(len(body))


def test_who_began_before_a_patch_reads_on_after_it(web, api, session):
    """Metadata of before and chunks of after fit together: a viewer that is open breaks off nowhere."""
    picture = random_pixels(150, 700)
    api.put(session, 'a', png(picture[:, :200]))
    path = link_of(api, session)
    spec = {'driver': 'zarr3', 'kvstore': f'{web.address}{path}/0/'}
    before = tensorstore.open(spec, read=True).result()
    api.put(session, 'b', png(picture[:, 200:]), x=200)
    assert np.array_equal(np.moveaxis(before.read().result(), 0, -1), picture[:, :200])
    after = tensorstore.open(spec, read=True).result()
    assert np.array_equal(np.moveaxis(after.read().result(), 0, -1), picture)


def test_lower_levels_are_those_of_the_preview(web, api, session):
    picture = random_pixels(1100, 700)
    for y in (0, 500):
        api.put(session, f'{y}', png(picture[y : y + 600]), y=y)
    group = opened(web, link_of(api, session))
    half = np.moveaxis(group['1'][...], 0, -1)
    status, body = api.call(
        'GET', f'/stitch_session/{session["_id"]}/tiles/zxy/1/0/0', {'encoding': 'PNG', 'edge': 'crop'},
        is_json=False,
    )  # fmt: skip
    assert status == 200
    tile = np.asarray(Image.open(io.BytesIO(body)))
    assert np.array_equal(half[: tile.shape[0], : tile.shape[1]], tile)


def test_frames_and_other_types(web, api, folder):
    _, session = api.create(folder)
    planes = {at: random_pixels(60, 80, 1, 'float32', seed=at) for at in range(3)}
    for at, plane in planes.items():
        api.put(session, f'z{at}', npy(plane), z=at)
    group = opened(web, link_of(api, session))
    names = [axis['name'] for axis in group.attrs['ome']['multiscales'][0]['axes']]
    assert 'z' in names
    found = group['0'][...]
    assert found.dtype == np.float32
    assert np.array_equal(found.reshape(3, 60, 80), np.stack([planes[at] for at in range(3)]))


def test_a_session_goes_on_as_its_result(web, api, session, owner, dispatched):
    picture = random_pixels(300, 400)
    api.put(session, 'a', png(picture))
    path = link_of(api, session)
    before = opened(web, path)['0'][...]
    api.finalize(session)
    dispatched.run()
    assert np.array_equal(opened(web, path)['0'][...], before)
    _, done = api.get(session)
    item = web.ask(f'/zarr/item/{done["itemId"]}/zarr.json', headers=owner)
    assert web.ask(f'{path}/zarr.json').body == item.body
    assert web.ask(f'/zarr/session/{session["_id"]}/zarr.json', headers=owner).body == item.body
    assert web.ask(f'/zarr/session/{session["_id"]}/zarr.json').status == 403
