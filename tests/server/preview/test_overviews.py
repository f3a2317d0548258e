"""The overviews of patches: made as these arrive, for previews, and removed with them."""

import threading

import numpy as np
import pytest

from girder_zarr.common.cache import LRU
from support.queries import recorded_queries
from support.server import Viewer, png, random_pixels
from support.waiting import wait_until

pytestmark = pytest.mark.plugin('zarr')


@pytest.fixture
def viewer(api, session):
    return Viewer(api, session)


def test_small_copies_are_made_as_patches_arrive_and_go_with_them(api, session, viewer, monkeypatch):
    from girder_zarr.server.patches import reader
    from girder_zarr.server.preview import builder, tracker
    from girder_zarr.server.preview.overview_store import PatchOverview

    def count():
        builder.overview_builder.wait()
        return PatchOverview().count(3)

    for x in range(6):
        api.put(session, f'{x}', png(random_pixels(512, 1024, seed=x)), x=1024 * x)
    assert count() == 6
    opened = []
    monkeypatch.setattr(reader, 'open_picture', lambda patch, *_: opened.append(patch.key))
    monkeypatch.setattr(tracker, '_decoded', LRU(max_bytes=2**20, size_of=lambda pixels: pixels.nbytes))
    assert viewer.picture('/zxy/0/0/0').any()
    assert not opened
    monkeypatch.undo()
    api.put(session, '0', png(random_pixels(512, 1024, seed=9)), replace=True)
    assert count() == 6
    api.call('DELETE', f'/stitch_session/{session["_id"]}/patch/1')
    assert count() == 5
    PatchOverview().collections[3].delete_many({})
    api.put(session, '0', png(random_pixels(512, 1024, seed=10)), replace=True)
    wait_until(lambda: viewer.get()[1]['stitchSession']['patches'] == 5, 5, 'the removal')
    assert viewer.picture('/zxy/0/0/0').any()
    api.delete(session)
    assert count() == 0


def test_overviews_of_patches_that_wait_are_made_with_few_questions(api, session, monkeypatch):
    from girder_zarr.server.preview import builder
    from girder_zarr.server.preview.overview_store import COLLECTIONS, PatchOverview

    gate, editable = threading.Event(), builder._editable

    def held(session_id):
        gate.wait()
        return editable(session_id)

    monkeypatch.setattr(builder, '_editable', held)
    count = 2 * builder.BATCH_PATCHES + 1  # the first is taken before the others have come
    for x in range(count):
        api.put(session, f'{x}', png(random_pixels(64, 64, seed=x)), x=64 * x)
    with recorded_queries() as made:
        gate.set()
        builder.overview_builder.wait()
    assert PatchOverview().count(3) == count
    about_each = [query for query in made if query.collection not in COLLECTIONS.values()]
    # Of each of three batches: the session, its files, their assetstore, and which patches are still there.
    callers = ('preview/builder', 'patches/reader', 'patches/model:list_named')
    asked = [query for query in about_each if query.caller.startswith(callers)]
    assert 0 < len(asked) <= 3 * 4


def test_while_a_session_is_finalized_workers_have_the_processors(api, session, viewer, dispatched):
    """What its preview lacks is made when somebody looks, and only then."""
    from girder_zarr.server.patches.document import to_patch
    from girder_zarr.server.patches.model import StitchPatch
    from girder_zarr.server.preview import builder
    from girder_zarr.server.preview.overview_store import PatchOverview
    from girder_zarr.server.sessions.model import StitchSession

    pixels = random_pixels(512, 1024)
    api.put(session, 'a', png(pixels))
    builder.overview_builder.wait()
    assert PatchOverview().count(3) == 1
    PatchOverview().collections[3].delete_many({})
    assert api.finalize(session)[1]['state'] == 'finalizing'
    stored = StitchSession().get(session['_id'])
    builder.overview_builder.enqueue(stored['_id'], to_patch(StitchPatch().get(stored, 'a')))
    builder.overview_builder.wait()
    assert PatchOverview().count(3) == 0
    assert np.array_equal(viewer.region(), pixels)
