"""What a preview reads of a session that changes: what has changed, not all patches."""

import numpy as np
import pytest

from girder_zarr.server.common import database
from girder_zarr.server.preview import builder, tracker
from girder_zarr.server.preview.block_store import PreviewBlock
from support.queries import documents_read, recorded_queries
from support.server import Viewer, png, random_pixels

pytestmark = pytest.mark.plugin('zarr')
COUNT, STEP = 24, 256


@pytest.fixture
def filled(api, session):
    for at in range(COUNT):
        assert api.put(session, f'p{at:02}', png(random_pixels(16, 16, seed=at)), x=STEP * at)[0] == 201
    builder.overview_builder.wait()
    viewer = Viewer(api, session)
    assert viewer.get()[1]['stitchSession']['patches'] == COUNT
    return viewer


def read_of(made, db):
    ours = [
        query for query in made if query.collection == 'stitch_patch' and query.caller.startswith('preview/')
    ]
    return documents_read(ours, db.get_default_database())


def test_a_patch_that_this_server_removes_is_taken_out_of_the_preview(api, session, filled, db):
    for left in range(COUNT - 1, COUNT - 4, -1):
        assert api.call('DELETE', f'/stitch_session/{session["_id"]}/patch/p{left - 5:02}')[0] == 200
        with recorded_queries() as made:
            found = filled.get()[1]
        assert found['stitchSession']['patches'] == left
        assert read_of(made, db) <= 2
    picture = filled.region()
    assert picture.shape[1] > STEP * (COUNT - 1)
    shown = [picture[:, STEP * at : STEP * at + 16].any() for at in range(COUNT)]
    assert shown == [not COUNT - 9 < at < COUNT - 5 for at in range(COUNT)]


def test_what_is_put_again_after_its_removal_stays(api, session, filled):
    path = f'/stitch_session/{session["_id"]}/patch'
    body = png(random_pixels(16, 16, seed=3))
    assert api.call('DELETE', f'{path}/p03')[0] == 200
    assert api.put(session, 'p03', body, x=3 * STEP)[0] == 201
    assert filled.get()[1]['stitchSession']['patches'] == COUNT
    assert api.call('DELETE', f'{path}/p05')[0] == 200
    assert filled.get()[1]['stitchSession']['patches'] == COUNT - 1
    assert np.array_equal(filled.region()[:16, 3 * STEP : 3 * STEP + 16], random_pixels(16, 16, seed=3))


def test_a_removal_by_another_server_is_noticed_by_the_number(api, session, filled):
    assert api.call('DELETE', f'/stitch_session/{session["_id"]}/patch/p07')[0] == 200
    tracker._gone.clear()
    for preview in tracker._previews._cached.values():
        preview._reload_from = 0.0
    assert filled.get()[1]['stitchSession']['patches'] == COUNT - 1


def test_overviews_are_asked_for_some_at_a_time(filled, monkeypatch):
    monkeypatch.setattr(database, 'MAX_NAMED', 5)
    tracker._decoded.clear()
    tracker._blocks.clear()
    PreviewBlock().collection.delete_many({})
    with recorded_queries() as made:
        assert filled.picture('/zxy/0/0/0').any()
    named = [one.filter['_id']['$in'] for one in made if one.collection == 'stitch_small_copy']
    assert (max(map(len, named)), sum(map(len, named))) == (5, COUNT)
