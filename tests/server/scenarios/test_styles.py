"""No route calls a function that a style names unless it is on the list."""

import json

import large_image
import pytest

from girder_zarr import image
from girder_zarr.errors import StyleError
from girder_zarr.image import style_functions
from girder_zarr.server.settings import polled
from girder_zarr.server.settings.define import SettingKey
from support import styles
from support.girder_images import upload
from support.server import png, random_pixels

pytestmark = [
    pytest.mark.plugin('zarr'),
    # girder_large_image looks whether a file can be read when a source could not be made, and leaves it open.
    pytest.mark.filterwarnings('ignore:unclosed file:ResourceWarning'),
    pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning'),
]

STAGES = ['pre', 'preband', 'band', 'postband', 'main', 'post']
NOTE = {'name': 'support.styles.note', 'stage': STAGES}
STYLES = [{'function': NOTE}, {'bands': [{'band': 1, 'function': [NOTE]}]}, {'bands': [], 'function': [NOTE]}]
#: All routes of items and sessions that make pictures or figures of pixels.
ROUTES = [
    'tiles/zxy/0/0/0',
    'tiles/fzxy/0/0/0/0',
    'tiles/region',
    'tiles/thumbnail',
    'tiles/pixel',
    'tiles/histogram',
    'tiles/bands',
    'tiles/tile_frames',
    'tiles',
    'tiles/internal_metadata',
]
SESSION_ROUTES = ['tiles/zxy/0/0/0', 'tiles/fzxy/0/0/0/0', 'tiles/region', 'tiles/thumbnail']


@pytest.fixture(autouse=True)
def called(monkeypatch):
    monkeypatch.setattr(styles, 'CALLED', [])
    monkeypatch.setattr(style_functions, '_added', ())
    return styles


@pytest.fixture
def item(zarr_server, people, folder, tmp_path):
    sink = image.new()
    sink.addTile(random_pixels(300, 400), 0, 0)
    sink.write(tmp_path / 'image.zarr.zip')
    body = (tmp_path / 'image.zarr.zip').read_bytes()
    return upload(folder, people['owner'], 'image.zarr.zip', body)[0]


@pytest.mark.parametrize('style', STYLES, ids=['style', 'band', 'no-bands'])
def test_no_route_of_items_calls_it(api, item, called, style):
    params = {'style': json.dumps(style), 'left': 1, 'top': 1, 'encoding': 'PNG'}
    for route in ROUTES:
        status, answer = api.call('GET', f'/item/{item["_id"]}/{route}', params, is_json=False)
        assert called.CALLED == [], route
        assert status in (200, 400, 404), (route, answer)
        # Routes that take no style answer as always.
        assert status == 200 or b'is not on the list' in answer, (route, answer)


def test_an_administrator_allows_more_and_takes_it_back(api, people, item, called, monkeypatch):
    monkeypatch.setattr(polled, 'MAX_AGE', 0.0)
    # Where large_image answers an error of a tile source itself, as for tiles, its status is 404.
    tile = f'/item/{item["_id"]}/tiles/zxy/0/0/0'

    def look(quality):
        params = {'style': json.dumps(STYLES[0]), 'jpegQuality': quality}
        return api.call('GET', tile, params, is_json=False)[0]

    def allow(names):
        params = {'key': SettingKey.STYLE_FUNCTIONS, 'value': json.dumps(names)}
        status, answer = api.call('PUT', '/system/setting', params, user=people['admin'])
        assert status == 200, answer

    assert (look(90), called.CALLED) == (404, [])
    allow(['support.styles.*'])
    assert look(91) == 200
    assert called.CALLED
    seen = len(called.CALLED)
    allow([])
    assert (look(92), len(called.CALLED)) == (404, seen)


def test_no_route_of_sessions_takes_a_function(api, session, called):
    assert api.put(session, 'a', png(random_pixels(300, 400)))[0] == 201
    for route in SESSION_ROUTES:
        for style in STYLES:
            params = {'style': json.dumps(style)}
            status, answer = api.call(
                'GET', f'/stitch_session/{session["_id"]}/{route}', params, is_json=False
            )
            assert (status, called.CALLED) == (400, []), route
            assert b'style: expected a style without functions' in answer


BROKEN = [
    {'bands': [1]},
    {'bands': 'red'},
    {'bands': {'0': {}}},
    {'bands': [{'band': 1, 'palette': 'no such palette'}]},
    {'bands': [{'band': 1, 'min': 'low'}]},
    {'bands': [{'band': [1]}]},
]


def test_a_style_that_cannot_be_applied_is_the_clients_fault(api, item):
    for route in ('tiles/zxy/0/0/0', 'tiles/region', 'tiles/thumbnail', 'tiles/histogram'):
        for style in BROKEN:
            params = {'style': json.dumps(style), 'encoding': 'PNG', 'frame': 0}
            status, answer = api.call('GET', f'/item/{item["_id"]}/{route}', params, is_json=False)
            assert status in (200, 400, 404), (route, style, answer)


def test_every_source_of_large_image_is_restricted(zarr_server):
    large_image.tilesource.loadTileSources()
    for source in large_image.tilesource.AvailableTileSources.values():
        with pytest.raises(StyleError):
            source._setStyle(source.__new__(source), STYLES[0])
