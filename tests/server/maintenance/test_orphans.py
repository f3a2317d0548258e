"""Files that nothing names any more, in sessions into which nothing has been stored for long."""

import datetime as dt

import pytest
from girder.models.file import File

from girder_zarr.server.maintenance import orphans
from girder_zarr.server.patches.files import store_file
from girder_zarr.server.sessions.model import StitchSession
from support.factories import new_patch

pytestmark = pytest.mark.plugin('zarr')
LONG_AGO = dt.timedelta(days=2)


@pytest.fixture
def old_file(people, session, monkeypatch):
    """A file of two days ago whose patch went, but not the file; the server has swept since."""
    monkeypatch.setattr(orphans, '_swept', None)
    orphans.sweep_all()
    file = store_file(StitchSession().get(session['_id']), new_patch('a'), people['owner'])
    File().update({'_id': file['_id']}, {'$set': {'created': file['created'] - LONG_AGO}}, multi=False)
    assert orphans.sweep_all() == 0
    return file


def test_an_administrator_who_asks_for_it_has_all_sessions_looked_at(api, people, old_file):
    assert api.call('POST', '/stitch_session/sweep', user=people['admin'])[1]['leftovers'] == 1
    assert File().load(old_file['_id'], force=True) is None


def test_once_a_day_a_server_looks_at_all_sessions(old_file, monkeypatch):
    monkeypatch.setattr(orphans, '_due', float('-inf'))
    monkeypatch.setattr(orphans, '_whole_due', orphans._whole_due - orphans.WHOLE_SECONDS)
    orphans.sweep_if_due()
    assert File().load(old_file['_id'], force=True) is None
