"""What has arrived of a session, over REST: its tiles, who may see them, and how soon."""

import io
import json
import threading

import numpy as np
import pytest
from girder.models.folder import Folder
from PIL import Image

from girder_zarr.common.cache import LRU
from support.server import Viewer, npy, png, random_pixels
from support.waiting import wait_until

pytestmark = pytest.mark.plugin('zarr')

EVERYONE = ('admin', 'owner', 'writer', 'reader', 'stranger', 'nobody')
ROUTES = (
    '', '/internal_metadata', '/zxy/0/0/0', '/fzxy/0/0/0/0', '/region', '/thumbnail', '/../coverage',
)  # fmt: skip


@pytest.fixture
def viewer(api, session):
    return Viewer(api, session)


def shows(viewer, expected):
    """Whether the whole image is what is expected, now or a moment later."""

    def same():
        status, body = viewer.get('/region', {'encoding': 'PNG'}, is_json=False)
        return status == 200 and np.array_equal(np.asarray(Image.open(io.BytesIO(body))), expected)

    return wait_until(same, 5, 'the image')


def test_the_session_is_an_image_that_grows(api, session, viewer):
    picture = random_pixels(900, 1300)
    expected = np.zeros_like(picture)
    for y, x in ((300, 700), (0, 0), (500, 100)):
        piece = picture[y : y + 400, x : x + 600]
        api.put(session, f'{y}-{x}', png(piece), x=x, y=y)
        expected[y : y + 400, x : x + 600] = piece
        status, metadata = viewer.get()
        assert status == 200
        _, found = api.get(session)
        (left, right), (top, bottom) = found['bounds']['x'], found['bounds']['y']
        assert (metadata['sizeX'], metadata['sizeY']) == (right - left, bottom - top)
        assert np.array_equal(viewer.region(), expected[top:bottom, left:right])
    assert metadata['stitchSession']['patches'] == 3
    assert metadata['stitchSession']['origin'] == {'x': 0, 'y': 0}
    assert metadata['stitchSession']['bounds'] == {'x': [0, 1300], 'y': [0, 900]}
    assert (metadata['tileWidth'], metadata['levels'], metadata['bandCount']) == (512, 3, 3)


def test_tiles_are_those_of_the_finished_item(api, folder, dispatched):
    """At full resolution and at half of it, tile for tile."""
    _, session = api.create(folder, pixelSize={'x': 0.5, 'y': 0.25})
    picture = random_pixels(1100, 700)
    for y in (0, 500):
        api.put(session, f'{y}', png(picture[y : y + 600]), y=y)
    viewer = Viewer(api, session)
    _, before = viewer.get()
    tiles = {}
    for z in (1, 2):
        for x in range(2):
            for y in range(3 if z == 2 else 1):
                tiles[z, x, y] = viewer.get(f'/zxy/{z}/{x}/{y}', {'encoding': 'PNG', 'edge': 'crop'})
    api.finalize(session)
    dispatched.run()
    _, done = api.get(session)
    _, after = api.call('GET', f'/item/{done["itemId"]}/tiles')
    for name in ('sizeX', 'sizeY', 'tileWidth', 'tileHeight', 'levels', 'mm_x', 'mm_y', 'dtype', 'bandCount'):
        assert before[name] == after[name]
    for (z, x, y), (status, body) in tiles.items():
        path = f'/item/{done["itemId"]}/tiles/zxy/{z}/{x}/{y}'
        item_status, item_body = api.call('GET', path, {'encoding': 'PNG', 'edge': 'crop'}, is_json=False)
        if (z, x) == (1, 1):
            assert (status, item_status) == (404, 404)
            continue
        assert (status, item_status) == (200, 200)
        shown, finished = (np.asarray(Image.open(io.BytesIO(data))) for data in (body, item_body))
        assert np.array_equal(shown, finished)
    # The kept patches can be looked at after the end as well.
    assert np.array_equal(viewer.region(), picture)


def test_a_low_level_shows_the_whole_in_small(api, session, viewer):
    y, x = np.mgrid[:3000, :4500]
    picture = (128 + 60 * np.sin(y / 200) + 60 * np.cos(x / 300)).astype(np.uint8)
    for row in range(0, 3000, 500):
        for column in range(0, 4500, 900):
            piece = picture[row : row + 500, column : column + 900]
            api.put(session, f'{row}-{column}', png(piece), x=column, y=row)
    expected = picture[:2992, :4496].reshape(187, 16, 281, 16).mean(axis=(1, 3))
    tile = viewer.picture('/zxy/0/0/0', edge='crop')
    assert tile.shape == (187, 281)
    assert np.abs(tile[:187, :281] - expected).max() < 6
    status, body = viewer.get('/thumbnail', {'width': 140, 'encoding': 'PNG'}, is_json=False)
    thumbnail = np.asarray(Image.open(io.BytesIO(body)))
    assert (status, thumbnail.shape) == (200, (94, 141)) or thumbnail.shape[1] == 140
    middle = viewer.region(left=1000, top=500, regionWidth=2000, regionHeight=1000, width=500)
    assert middle.shape[:2] == (250, 500)
    quarter = picture[500:1500, 1000:3000].reshape(250, 4, 500, 4).mean(axis=(1, 3))
    assert np.abs(middle - quarter).max() < 6


def test_what_is_put_replaced_and_removed_is_seen_at_once(api, session, viewer):
    first, second = random_pixels(40, 50, seed=1), random_pixels(40, 50, seed=2)
    api.put(session, 'a', png(first))
    assert np.array_equal(viewer.region(), first)
    api.put(session, 'a', png(second), replace=True)
    assert np.array_equal(viewer.region(), second)
    api.put(session, 'b', png(first), x=30, order=-1)
    assert np.array_equal(viewer.region(), np.hstack([second, first[:, 20:]]))
    api.call('DELETE', f'/stitch_session/{session["_id"]}/patch/a')
    assert shows(viewer, first)
    # A patch moves when it is put in place of itself.
    api.put(session, 'b', png(first), x=-12, replace=True)
    _, metadata = viewer.get()
    assert metadata['stitchSession']['origin'] == {'x': -12, 'y': 0}
    assert shows(viewer, first)
    api.call('DELETE', f'/stitch_session/{session["_id"]}/patch/b')
    wait_until(lambda: viewer.get()[0] == 404, 5, 'the end of the image')


def test_another_server_sees_it_too(api, session, viewer, monkeypatch):
    """Two processes share nothing but the database: here, two sets of what a process keeps."""
    from girder_zarr.server.preview import tracker

    api.put(session, 'a', png(random_pixels(40, 50, seed=1)))
    viewer.region()
    here = tracker._previews
    pictures = [random_pixels(40, 50, seed=seed) for seed in range(4)]
    for picture in pictures:
        monkeypatch.setattr(tracker, '_previews', LRU(4))
        api.put(session, 'a', png(picture), replace=True)
        assert np.array_equal(viewer.region(), picture)
        monkeypatch.setattr(tracker, '_previews', here)
        assert np.array_equal(viewer.region(), picture)


def test_a_patch_that_is_being_stored_appears_when_it_is(api, session, viewer, monkeypatch):
    """Between the session's change and the patch's own, nothing is taken for final."""
    from girder_zarr.server.patches.model import StitchPatch

    first, second = random_pixels(40, 50, seed=1), random_pixels(40, 50, seed=2)
    api.put(session, 'a', png(first))
    seen = []
    update = StitchPatch._update

    def look():
        viewer.get('/region', {'encoding': 'PNG'}, is_json=False)
        seen.append(('ETag' in api.headers, viewer.region()))

    def look_before(self, held, change):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        return update(self, held, change)

    monkeypatch.setattr(StitchPatch, '_update', look_before)
    api.put(session, 'a', png(second), replace=True)
    ((tagged, before),) = seen
    assert not tagged
    assert np.array_equal(before, first)
    assert np.array_equal(viewer.region(), second)


def test_the_viewer_asks_again_and_is_told_when_nothing_changed(api, session, viewer):
    api.put(session, 'a', png(random_pixels(40, 50)))
    status, _ = viewer.get('/zxy/0/0/0', is_json=False)
    tag = api.headers['ETag']
    assert (status, api.headers['Cache-Control']) == (200, 'private, no-cache')
    status, body = viewer.get('/zxy/0/0/0', headers=[('If-None-Match', tag)], is_json=False)
    assert (status, body) == (304, b'')
    status, _ = viewer.get('/zxy/0/0/0', {'encoding': 'PNG'}, headers=[('If-None-Match', tag)], is_json=False)
    assert status == 200
    api.put(session, 'b', png(random_pixels(40, 50)), x=50)
    status, _ = viewer.get('/zxy/0/0/0', headers=[('If-None-Match', tag)], is_json=False)
    assert status == 200
    assert api.headers['ETag'] != tag


@pytest.mark.parametrize('who', EVERYONE)
@pytest.mark.parametrize('path', ROUTES)
def test_who_may_read_the_folder_may_see_its_sessions(api, session, people, path, who):
    api.put(session, 'a', png(random_pixels(40, 50)))
    status, _ = Viewer(api, session, people[who]).get(path)
    assert status == {'stranger': 403, 'nobody': 401}.get(who, 200)


@pytest.mark.parametrize('path', ROUTES)
def test_a_public_folder_needs_no_login(api, folder, session, path):
    from girder.models.folder import Folder

    Folder().setPublic(folder, public=True, save=True)
    api.put(session, 'a', png(random_pixels(40, 50)))
    status, _ = Viewer(api, session, None).get(path)
    assert status == 200


@pytest.mark.parametrize('path', ROUTES)
@pytest.mark.parametrize('session_id', ['6563a0a0a0a0a0a0a0a0a0a0', 'nonsense'])
def test_no_such_session(api, session, path, session_id):
    status, _ = Viewer(api, {'_id': session_id}).get(path)
    assert status == 404


@pytest.mark.parametrize('path', ROUTES)
def test_before_the_first_patch_there_is_nothing_to_see(viewer, path):
    status, answer = viewer.get(path, is_json=True)
    assert status == 404
    assert 'no patches' in answer['message']


@pytest.mark.parametrize(
    ('path', 'params', 'status', 'says'),
    [
        ('/zxy/0/0/1', {}, 404, 'y'),
        ('/zxy/1/0/0', {}, 404, 'z'),
        ('/zxy/a/0/0', {}, 400, "z: expected an integer from 0 to 2147483647, found 'a'"),
        ('/zxy/0/-1/0', {}, 400, 'x: expected'),
        ('/zxy/0/0/99999999999999999999', {}, 400, 'y: expected'),
        ('/zxy/0/0/0', {'encoding': 'pickle'}, 400, 'encoding: expected one of JPEG, JFIF, PNG, TIFF'),
        ('/zxy/0/0/0', {'jpegQuality': '101'}, 400, 'jpegQuality: expected'),
        ('/zxy/0/0/0', {'style': '[1]'}, 400, 'style: expected'),
        ('/zxy/0/0/0', {'style': '{"bands": 7}'}, 400, ''),
        ('/zxy/0/0/0', {'edge': '#12'}, 400, ''),
        ('/zxy/0/0/0', {'frame': '1'}, 404, ''),
        ('/fzxy/1/0/0/0', {}, 404, ''),
        ('/fzxy/x/0/0/0', {}, 400, 'frame: expected'),
        ('/zxy/0/0/0', {'colour': 'red'}, 400, 'colour: expected one of the parameters'),
        ('/region', {'left': 'nan'}, 400, 'left: expected a number'),
        ('/region', {'units': 'miles'}, 400, 'units: expected'),
        ('/region', {'fill': 'no color', 'width': 10, 'height': 99}, 400, ''),
        ('/region', {'frame': '2'}, 404, 'frame: the image has 1 frames'),
        ('/thumbnail', {'frame': '1'}, 404, 'frame: the image has 1 frames'),
        ('/thumbnail', {'width': '0'}, 400, 'width: expected'),
        ('/thumbnail', {'width': '70000'}, 400, 'width: expected'),
    ],
)
def test_bad_parameters_get_a_sentence(api, session, viewer, path, params, status, says):
    api.put(session, 'a', png(random_pixels(40, 50)))
    found, answer = viewer.get(path, params, is_json=True)
    assert found == status, answer
    assert says in answer['message']


def test_a_region_that_is_too_large_is_refused_before_it_is_made(api, session, viewer):
    piece = png(random_pixels(8, 8))
    api.put(session, 'a', piece)
    api.put(session, 'b', piece, x=100_000, y=100_000)
    status, answer = viewer.get('/region', is_json=True)
    assert status == 413
    assert '67108864' in answer['message']
    assert viewer.region(width=300).shape[:2] == (300, 300)
    assert viewer.region(left=99_999, top=99_999)[1:, 1:].shape[:2] == (8, 8)


def test_anybody_gets_smaller_regions_than_people_who_signed_in(api, session, folder):
    Folder().setPublic(Folder().load(folder['_id'], force=True), True, save=True)
    api.put(session, 'a', png(random_pixels(8, 8)))
    api.put(session, 'b', png(random_pixels(8, 8)), x=3000, y=3000)
    path = f'/stitch_session/{session["_id"]}/tiles/region'
    status, answer = api.call('GET', path, user=None)
    assert status == 413
    assert '4194304' in answer['message']
    assert api.call('GET', path, {'width': 500}, user=None, is_json=False)[0] == 200


def test_frames_and_types_are_those_of_the_patches(api, folder):
    names = {'channelNames': ['DAPI', 'FITC'], 'channelColors': ['0000FF', '00FF00']}
    _, session = api.create(folder, indexBase=0, **names)
    planes = random_pixels(2, 60 * 70, 1, 'uint16').reshape(2, 60, 70) * 16
    for c in range(2):
        api.put(session, f'{c}', npy(planes[c]), c=c, z=1)
    viewer = Viewer(api, session)
    _, metadata = viewer.get()
    assert metadata['IndexRange'] == {'IndexC': 2, 'IndexZ': 2}
    assert metadata['channels'] == ['DAPI', 'FITC']
    assert metadata['dtype'] == 'uint16'
    frame = next(
        record['Frame'] for record in metadata['frames'] if (record['IndexC'], record['IndexZ']) == (1, 1)
    )
    status, body = viewer.get(f'/fzxy/{frame}/0/0/0', {'encoding': 'PNG', 'edge': 'crop'}, is_json=False)
    assert status == 200
    shown = np.asarray(Image.open(io.BytesIO(body))).astype(float)
    # Shown in the window of twelve bits that the values use.
    assert np.abs(shown - planes[1] * (255 / 4095)).max() <= 1
    band = {'frame': frame, 'palette': ['#000000', '#ff0000'], 'min': 0, 'max': 4095}
    red = viewer.region(style=json.dumps({'bands': [band]}))
    assert not red[..., 1:3].any()
    assert np.abs(red[..., 0] - planes[1] * (255 / 4095)).max() <= 1.5


def test_holes_are_where_patches_are_missing(api, session, viewer):
    for x in range(3):
        for y in range(3):
            if (x, y) != (1, 2):
                api.put(session, f'{x}-{y}', png(random_pixels(40, 50, 1)), x=50 * x - 50, y=40 * y)
    status, found = api.call('GET', f'/stitch_session/{session["_id"]}/coverage')
    assert status == 200
    _, session = api.get(session)
    assert found == {
        'revision': session['revision'],
        'covered': pytest.approx(8 / 9),
        'cell': 1,
        'frames': 1,
        'emptyFrames': 0,
        'holes': [{'x': [0, 50], 'y': [80, 120], 'pixels': 2000}],
    }


def test_a_damaged_patch_is_named_and_hides_nothing_else(api, session, viewer):
    from girder_zarr.server.preview import builder

    picture = random_pixels(300, 300)
    body = png(picture)
    api.put(session, 'good', body, x=300)
    # Right from the header to the end, with pixels that are not what they were compressed to.
    damaged = body[:2000] + bytes(1000) + body[3000:]
    status, _ = api.put(session, 'bad', damaged)
    assert status == 201
    builder.overview_builder.wait()
    shown = viewer.region()
    assert np.array_equal(shown[:, 300:], picture)
    assert 'ETag' not in api.headers
    _, metadata = viewer.get()
    assert list(metadata['stitchSession']['problems']) == ['bad']
    assert 'bad' in metadata['stitchSession']['problems']['bad']
    api.put(session, 'bad', body, replace=True)
    assert np.array_equal(viewer.region(), np.hstack([picture, picture]))


def test_viewers_meet_clients_that_put(api, zarr_server, people, session):
    """Many put while many look; in the end all see everything."""
    from support.server import Api

    answers = set()
    stop = threading.Event()
    tile = random_pixels(50, 50)

    def look():
        viewer = Viewer(Api(zarr_server, people['reader']), session)
        while not stop.is_set():
            answers.update(viewer.get(path, is_json=False)[0] for path in ('', '/zxy/0/0/0', '/region'))

    def put(number):
        client = Api(zarr_server, people['writer'])
        for x in range(8):
            answers.add(client.put(session, f'{number}-{x}', png(tile), x=50 * x, y=50 * number)[0])

    viewers = [threading.Thread(target=look) for _ in range(2)]
    clients = [threading.Thread(target=put, args=(number,)) for number in range(3)]
    for thread in viewers + clients:
        thread.start()
    for thread in clients:
        thread.join()
    stop.set()
    for thread in viewers:
        thread.join()
    # 404: before the first patch.
    assert answers <= {200, 201, 404}
    assert shows(Viewer(api, session), np.tile(tile, (3, 8, 1)))
