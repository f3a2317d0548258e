"""What the sweeps of a server read: what was stored lately, however much sessions hold."""

import datetime as dt

import bson
import pytest
from girder.models.file import File

from girder_zarr.server.common.names import now
from girder_zarr.server.maintenance import orphans
from girder_zarr.server.patches.locking import STALE_SECONDS
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.sessions import quota
from girder_zarr.server.sessions.model import StitchSession
from support.queries import documents_read, recorded_queries
from support.server import png, random_pixels

pytestmark = pytest.mark.plugin('zarr')
DAY = dt.timedelta(days=1)


@pytest.fixture
def filled(api, session, monkeypatch):
    """Return a function that puts two patches and writes others like them that were stored long ago."""
    monkeypatch.setattr(orphans, '_swept', None)

    def fill(count):
        for at in range(2):
            assert api.put(session, f'p{at}', png(random_pixels(8, 8, seed=at)), x=8 * at)[0] == 201
        quota.flush()
        current = StitchSession().get(session['_id'])
        patch = StitchPatch().findOne({'sessionId': current['_id'], 'key': 'p0'})
        file = File().load(patch['fileId'], force=True)
        for at in range(2, count):
            ids = {'_id': bson.ObjectId(), 'created': now() - DAY, 'sha512': f'{at:0128}'}
            File().collection.insert_one({**file, **ids})
            own = {'_id': bson.ObjectId(), 'fileId': ids['_id'], 'key': f'p{at}', 'arrival': at}
            StitchPatch().collection.insert_one({**patch, **own})
        return current['_id'], patch

    return fill


def lose(file_id, age):
    """Let no patch name a file, of that age."""
    StitchPatch().collection.delete_one({'fileId': file_id})
    File().collection.update_one({'_id': file_id}, {'$set': {'created': now() - age}})


@pytest.mark.parametrize('count', [40, 160])
def test_a_sweep_reads_what_was_stored_lately(filled, db, count):
    filled(count)
    orphans.sweep_all()
    orphans._swept = now() - dt.timedelta(hours=1)
    with recorded_queries() as made:
        assert orphans.sweep_all(0, whole=False) == 0
    assert any(query.collection == 'file' for query in made)
    assert documents_read(made, db.get_default_database()) <= 20


def test_what_was_lost_lately_goes_at_once_and_what_was_lost_before_in_a_day(filled, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(orphans.time, 'monotonic', lambda: clock[0])
    monkeypatch.setattr(orphans, '_due', float('-inf'))
    monkeypatch.setattr(orphans, '_whole_due', float('-inf'))
    session_id, patch = filled(4)
    orphans.sweep_if_due()  # the first one, of everything
    others = [one['fileId'] for one in StitchPatch().find({'sessionId': session_id, 'key': {'$gte': 'p1'}})]
    lose(others[0], dt.timedelta(minutes=11))
    lose(others[1], 2 * DAY)
    clock[0] += orphans.INTERVAL_SECONDS
    orphans.sweep_if_due()
    assert [File().load(one, force=True) is None for one in others] == [True, False, False]
    clock[0] += orphans.WHOLE_SECONDS
    orphans.sweep_if_due()
    assert [File().load(one, force=True) is None for one in others] == [True, True, False]
    assert File().load(patch['fileId'], force=True) is not None


def test_a_session_in_which_a_server_has_died_is_swept_as_a_whole(filled):
    session_id, patch = filled(4)
    orphans.sweep_all()
    long_ago = now() - dt.timedelta(seconds=2 * STALE_SECONDS)
    locked = {'lockedBy': 'a dead server', 'lockedAt': long_ago}
    StitchPatch().collection.update_one({'_id': patch['_id']}, {'$set': locked})
    StitchSession().collection.update_one({'_id': session_id}, {'$set': {'counts.patches': 77}})
    orphans._swept = now() - dt.timedelta(hours=1)
    orphans.sweep_all(0, whole=False)
    assert StitchSession().get(session_id)['counts']['patches'] == 4
    assert StitchPatch().findOne({'_id': patch['_id']})['lockedBy'] is None


def test_sweeps_take_a_twentieth_of_a_processor_at_most(monkeypatch):
    clock = [1000.0]
    swept = []

    def sweep(*, whole):
        swept.append((clock[0], whole))
        clock[0] += 100

    monkeypatch.setattr(orphans.time, 'monotonic', lambda: clock[0])
    monkeypatch.setattr(orphans, 'sweep_all', sweep)
    monkeypatch.setattr(orphans, '_due', float('-inf'))
    monkeypatch.setattr(orphans, '_whole_due', float('-inf'))
    for _ in range(500):
        orphans.sweep_if_due()
        clock[0] += 5
    assert swept == [(1000.0, True), (3100.0, False)]
