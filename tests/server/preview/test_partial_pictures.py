"""Pictures of a session, of which a viewer asks for what can be shown without waiting."""

import threading

import numpy as np
import pytest

from girder_zarr.server.preview import builder
from girder_zarr.server.preview.overview_store import PatchOverview
from support.queries import recorded_queries
from support.server import Viewer, png, random_pixels

pytestmark = pytest.mark.plugin('zarr')
COUNT, STEP = 24, 128
KEYS = [f'p{at:02}' for at in range(COUNT)]
COARSE = '/zxy/0/0/0'


class Gate:
    """Holds the thread that makes overviews until it is opened."""

    def __init__(self, monkeypatch):
        self._open = threading.Event()
        build = builder.OverviewBuilder._build

        def wait_and_build(own, session_id, patches):
            assert self._open.wait(60)
            build(own, session_id, patches)

        monkeypatch.setattr(builder.OverviewBuilder, '_build', wait_and_build)

    def open(self):
        self._open.set()
        builder.overview_builder.wait()


@pytest.fixture
def gate(monkeypatch):
    builder.overview_builder.wait()
    found = Gate(monkeypatch)
    yield found
    found.open()


@pytest.fixture
def pouring(api, session, gate):
    for at, key in enumerate(KEYS):
        assert api.put(session, key, png(random_pixels(STEP, STEP, seed=at)), x=STEP * at)[0] == 201
    return Viewer(api, session)


def test_a_partial_picture_waits_for_no_overview(pouring, gate):
    metadata = pouring.get('', {'partial': 'true'})[1]['stitchSession']
    assert (metadata['patches'], metadata['waiting'], metadata['waitingKeys']) == (COUNT, COUNT, KEYS)
    plain = pouring.get()[1]['stitchSession']
    assert (plain['waiting'], plain['waitingKeys']) == (0, [])
    for place in (COARSE, '/thumbnail', '/region'):
        size = {'width': 256} if place == '/region' else {}
        assert not pouring.picture(place, partial='true', **size).any()
    # No overview was made for these, nor is it for pixels at full resolution, which are shown.
    assert PatchOverview().count(3) == 0
    finest = pouring.get()[1]['levels'] - 1
    assert pouring.picture(f'/zxy/{finest}/0/0', partial='true')[:STEP].any()
    assert PatchOverview().count(3) == 0
    gate.open()
    assert pouring.get('', {'partial': 'true'})[1]['stitchSession']['waiting'] == 0
    for place in (COARSE, '/thumbnail'):
        assert np.array_equal(pouring.picture(place, partial='true'), pouring.picture(place))
        assert pouring.picture(place).any()


def test_all_other_pictures_show_every_patch(pouring):
    shown = pouring.picture(COARSE)
    assert shown.any()
    assert PatchOverview().count(3) == COUNT
    # What was made for somebody else is there for all.
    assert np.array_equal(pouring.picture(COARSE, partial='true'), shown)


def test_a_partial_picture_has_no_etag_while_something_waits(api, pouring, gate):
    def etag(**params):
        pouring.picture(COARSE, **params)
        return api.headers.get('ETag')

    assert etag() is not None
    assert etag(partial='true') is None
    gate.open()
    assert etag(partial='true') == etag()


def test_partial_is_true_or_false(pouring):
    for place in (COARSE, '/thumbnail', '/region'):
        status, body = pouring.get(place, {'partial': 'perhaps'}, is_json=True)
        assert status == 400
        assert body['message'] == "partial: expected true or false, found 'perhaps'."


def test_what_cannot_be_read_waits_no_longer(api, session, gate, monkeypatch):
    def fail(*_):
        raise OSError('The disk is gone.')

    monkeypatch.setattr(builder, 'build_and_store', fail)
    for at, key in enumerate(KEYS[:3]):
        assert api.put(session, key, png(random_pixels(STEP, STEP)), x=STEP * at)[0] == 201
    viewer = Viewer(api, session)
    assert viewer.get('', {'partial': 'true'})[1]['stitchSession']['waiting'] == 3
    gate.open()
    assert viewer.get('', {'partial': 'true'})[1]['stitchSession']['waiting'] == 0


def test_a_partial_picture_of_a_revision_reads_nothing_of_patches_again(api, session, pouring, gate):
    revision = pouring.get('', {'partial': 'true'})[1]['stitchSession']['revision']
    finest = f'/zxy/{pouring.get()[1]["levels"] - 1}/0/0'
    new = random_pixels(STEP, STEP, seed=99)
    assert api.put(session, 'below', png(new), y=STEP)[0] == 201
    with recorded_queries() as made:
        before = pouring.picture(finest, partial='true', revision=revision)
    assert [one for one in made if one.collection == 'stitch_patch'] == []
    assert np.array_equal(before[:STEP, :STEP], random_pixels(STEP, STEP, seed=0))
    assert not before[STEP : 2 * STEP, :STEP].any()
    # A later revision, or none, or a whole picture, is of what is stored now.
    later = {'partial': 'true', 'revision': revision + 1}
    for params in (later, {'partial': 'true'}, {'revision': revision}):
        assert np.array_equal(pouring.picture(finest, **params)[STEP : 2 * STEP, :STEP], new)
