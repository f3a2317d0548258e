"""Composed blocks of previews: made in the background, right in every process, never left over."""

import numpy as np
import pytest

from girder_zarr.common.cache import LRU
from girder_zarr.stitch.preview.preview_blocks import block_cache
from support.server import Viewer, png
from support.waiting import wait_until

pytestmark = pytest.mark.plugin('zarr')

SIDE, COUNT, STEP = 64, 20, 2600


class Process:
    """What one server process keeps; several share nothing but the database."""

    def __init__(self, monkeypatch):
        self._monkeypatch = monkeypatch
        decoded = LRU(max_bytes=2**24, size_of=lambda pixels: pixels.nbytes)
        self._kept = {'_previews': LRU(4), '_blocks': block_cache(2**26), '_decoded': decoded}

    def enter(self):
        from girder_zarr.server.preview import tracker

        for name, value in self._kept.items():
            self._monkeypatch.setattr(tracker, name, value)


def body(color):
    return png(np.full((SIDE, SIDE, 3), color, np.uint8))


def place(number):
    return {'x': number % 5 * STEP, 'y': number // 5 * STEP}


@pytest.fixture
def viewer(api, session):
    return Viewer(api, session)


@pytest.fixture
def filled(api, session):
    """A session whose patches lie so far apart that its coarse blocks have many each."""
    from girder_zarr.server.preview.builder import overview_builder

    for number in range(COUNT):
        status, _ = api.put(session, f'{number}', body(100 + number), **place(number))
        assert status == 201
    overview_builder.wait()
    return session


def count():
    from girder_zarr.server.preview.block_store import PreviewBlock

    return PreviewBlock().collection.count_documents({})


def test_blocks_are_there_before_anybody_looks_and_are_read_after_a_restart(filled, viewer, monkeypatch):
    from girder_zarr.server.preview import tracker

    assert count()
    expected = viewer.picture('/zxy/0/0/0')
    Process(monkeypatch).enter()
    monkeypatch.setattr(tracker.PatchOverview, 'read', lambda *_: pytest.fail('An overview was read.'))
    assert np.array_equal(viewer.picture('/zxy/0/0/0'), expected)
    assert expected.any()


def test_a_change_through_one_process_is_in_the_coarsest_tile_of_another_at_once(
    api, filled, viewer, monkeypatch
):
    from girder_zarr.server.preview.builder import overview_builder

    one, other = Process(monkeypatch), Process(monkeypatch)
    for process in (one, other):
        process.enter()
        viewer.picture('/zxy/0/0/0')
    base = f'/stitch_session/{filled["_id"]}/patch'
    changes = [
        lambda: api.put(filled, '0', body(255), replace=True, **place(0)),
        lambda: api.call('DELETE', f'{base}/7'),
        lambda: api.put(filled, 'new', body(250), x=1000, y=1000),
    ]
    for change in changes:
        one.enter()
        status, answer = change()
        assert status in (200, 201, 204), answer
        overview_builder.wait()
        stored = set_blocks_aside()
        Process(monkeypatch).enter()
        anew = viewer.picture('/zxy/0/0/0')
        put_blocks_back(stored)
        for process in (one, other):
            process.enter()
            # A removal may be seen a moment later.
            wait_until(lambda anew=anew: np.array_equal(viewer.picture('/zxy/0/0/0'), anew), 2, 'the change')


def set_blocks_aside():
    from girder_zarr.server.preview.block_store import PreviewBlock

    stored = list(PreviewBlock().collection.find({}))
    assert stored
    PreviewBlock().collection.delete_many({})
    return stored


def put_blocks_back(stored):
    from girder_zarr.server.preview.block_store import PreviewBlock

    PreviewBlock().collection.delete_many({})
    PreviewBlock().collection.insert_many(stored)


def test_a_damaged_block_is_made_again(filled, viewer, monkeypatch):
    from girder_zarr.server.preview.block_store import PreviewBlock

    expected = viewer.picture('/zxy/0/0/0')
    PreviewBlock().collection.update_many({}, {'$set': {'data': b'nothing of the kind'}})
    Process(monkeypatch).enter()
    assert np.array_equal(viewer.picture('/zxy/0/0/0'), expected)


def test_blocks_go_with_their_session(api, filled, viewer):
    viewer.picture('/zxy/0/0/0')
    assert count()
    api.delete(filled)
    assert count() == 0


def test_a_block_that_is_stored_after_its_session_went_goes_as_well(api, filled):
    from bson import ObjectId

    from girder_zarr.server.maintenance.orphans import sweep_all
    from girder_zarr.server.preview.block_store import PreviewBlock, SessionBlocks

    before = count()
    SessionBlocks(ObjectId()).store((4, (), 0, 0), 'patches that are gone', np.zeros((3, 512, 512), np.uint8))
    assert count() == before
    # A server died in between.
    PreviewBlock().collection.insert_one({'_id': 'lost', 'sessionId': ObjectId()})
    sweep_all()
    assert count() == before
    assert PreviewBlock().collection.find_one({'_id': 'lost'}) is None
