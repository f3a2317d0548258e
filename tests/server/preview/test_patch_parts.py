"""All patches of a session are read part by part, whatever happens to them meanwhile."""

import itertools
import threading
from dataclasses import replace as with_changes

import pytest

from girder_zarr.server.patches import hooks
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.preview import patch_parts, tracker
from girder_zarr.server.sessions.model import StitchSession
from support.factories import new_patch
from support.queries import recorded_queries, uncovered

pytestmark = [pytest.mark.plugin('zarr'), pytest.mark.usefixtures('zarr_server')]
KEYS = [f'p{at}' for at in range(11)]


def put(session, key, x, user, *, replace=False):
    new = with_changes(new_patch('a', x), key=key)
    StitchPatch().put(StitchSession().get(session['_id']), new, user, replace=replace)


@pytest.fixture
def filled(folder, people, monkeypatch):
    """A session of 11 patches, which are read three at a time."""
    monkeypatch.setattr(patch_parts, 'PART_PATCHES', 3)
    monkeypatch.setattr(hooks, 'stored', [])
    session = StitchSession().create(folder, people['owner'], 'parts', None)
    for at, key in enumerate(KEYS):
        put(session, key, 8 * at, people['owner'])
    return StitchSession().get(session['_id'])


def read(session):
    return list(itertools.chain.from_iterable(patch_parts.patch_parts(session)))


def test_every_patch_is_read_once_in_parts(filled, db):
    with recorded_queries() as made:
        parts = list(patch_parts.patch_parts(filled))
    assert sorted(document['key'] for part in parts for document in part) == sorted(KEYS)
    assert max(map(len, parts)) <= 3
    assert len(parts) >= 4
    assert len(made) == 5
    assert not uncovered(made, db.get_default_database())


def test_locked_ones_and_those_without_an_arrival_are_read(filled):
    collection = StitchPatch().collection
    collection.update_one({'key': 'p1'}, {'$unset': {'arrival': ''}})
    collection.update_one(
        {'key': 'p4'}, {'$unset': {'arrival': ''}, '$set': {'stored': False, 'lockedBy': 'x'}}
    )
    assert sorted(document['key'] for document in read(filled)) == sorted(KEYS)


def test_more_patches_than_the_session_says_are_read(filled):
    wrong = {**filled, 'counts': {'patches': 4, 'bytes': 0}, 'revision': 2}
    assert sorted(document['key'] for document in read(wrong)) == sorted(KEYS)


def test_whoever_stops_early_leaves_no_thread(filled):
    parts = patch_parts.patch_parts(filled)
    next(parts)
    parts.close()
    assert not [one for one in threading.enumerate() if one.name.startswith('girder-zarr-patches')]


@pytest.mark.parametrize('step', range(5))
def test_a_patch_that_is_released_between_two_queries_is_shown(filled, people, monkeypatch, step):
    """It was committed before the session was read: no later revision tells that it has come."""
    locked = {}
    update = StitchPatch._update

    def held(self, document, change):
        locked.update(document=document, change=change)
        return {**document, **change['$set']}

    monkeypatch.setattr(StitchPatch, '_update', held)
    put(filled, 'p2', 400, people['owner'], replace=True)
    monkeypatch.setattr(StitchPatch, '_update', update)
    session = StitchSession().get(filled['_id'])
    find, count = StitchPatch.find, itertools.count()

    def releasing(self, *args, **kwargs):
        if next(count) == step:
            update(self, locked['document'], locked['change'])
        return find(self, *args, **kwargs)

    preview = tracker.SessionPreview(session)
    monkeypatch.setattr(StitchPatch, 'find', releasing)
    preview.state(session)
    monkeypatch.setattr(StitchPatch, 'find', find)
    state = preview.state(StitchSession().get(filled['_id']))
    shown = {patch.key: patch.placement.x for patch in state.image.patches()}
    assert shown == {key: 8 * at for at, key in enumerate(KEYS)} | {'p2': 400}
