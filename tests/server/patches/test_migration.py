"""Sessions that were open before an update go on after it: documents as they were until November 2026."""

import datetime as dt
from types import SimpleNamespace

import numpy as np
import pymongo
import pytest
from bson import ObjectId
from girder.models.file import File

from girder_zarr.server import plugin
from girder_zarr.server.patches.migration import rename_lock_fields
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.patches.references import StitchReference
from girder_zarr.server.sessions.model import StitchSession
from support.server import png, random_pixels, stored_array

pytestmark = pytest.mark.plugin('zarr')
LEFT, RIGHT = random_pixels(16, 16, seed=1), random_pixels(16, 16, seed=2)
LONG_AGO = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
OLD_INDEX = pymongo.IndexModel([('sessionId', 1), ('held', 1)], name='sessionId_1_held_1')


def written_before(session_id, key, file, x, **fields):
    """The document of a patch as it was written then, field by field."""
    return {
        'sessionId': session_id,
        'key': key,
        'digest': file['digest'],
        'size': file['size'],
        'format': 'png',
        'shape': [16, 16, 3],
        'dtype': 'uint8',
        'position': {'y': 0, 'x': x},
        'order': 0,
        'options': {},
        'fileId': file['_id'],
        'stored': True,
        'held': None,
        'heldAt': LONG_AGO,
        'created': LONG_AGO,
        'updated': LONG_AGO,
        'arrival': 1,
        **fields,
    }


@pytest.fixture
def open_before(api, session):
    """A session with the patches ``left``, stored, and ``lost`` and ``taken``, whose servers died.

    ``lost`` was never stored; ``taken`` was, and was about to be replaced.
    """
    api.put(session, 'left', png(LEFT))
    api.put(session, 'taken', png(RIGHT), x=16)
    path = f'/stitch_session/{session["_id"]}/reference/mask'
    api.call('PUT', path, body=png(LEFT[..., 0]), content_type='image/png')
    session_id = ObjectId(session['_id'])
    files = {}
    for key in ('left', 'taken'):
        document = StitchPatch().findOne({'sessionId': session_id, 'key': key})
        files[key] = {'_id': document['fileId'], 'digest': document['digest'], 'size': document['size']}
    unstored = {'fileId': None, 'stored': False, 'held': 'c' * 32}
    documents = [
        written_before(session_id, 'left', files['left'], 0),
        written_before(session_id, 'taken', files['taken'], 16, held='a' * 32),
        written_before(session_id, 'lost', files['left'], 32, **unstored),
    ]
    patches, references = StitchPatch().collection, StitchReference().collection
    patches.delete_many({})
    patches.insert_many(documents)
    mask = references.find_one({'key': 'mask'})
    references.delete_many({})
    references.insert_one(
        {
            'sessionId': session_id,
            'key': 'mask',
            'digest': mask['digest'],
            'size': mask['size'],
            'format': 'png',
            'shape': [16, 16, 1],
            'dtype': 'uint8',
            'options': {},
            'fileId': mask['fileId'],
            'stored': True,
            'held': 'b' * 32,
            'heldAt': LONG_AGO,
            'created': LONG_AGO,
            'updated': LONG_AGO,
        }
    )
    patches.create_indexes([OLD_INDEX])
    return session


def test_a_session_goes_on(api, open_before, dispatched):
    assert rename_lock_fields() == 4
    for model in (StitchPatch(), StitchReference()):
        assert model.findOne({'held': {'$exists': True}}) is None
    # Stale locks of before are undone: what was never stored is not there, the others can be replaced.
    assert api.put(open_before, 'taken', png(LEFT), x=16, replace=True)[1]['status'] == 'replaced'
    assert api.put(open_before, 'lost', png(RIGHT), x=32)[1]['status'] == 'created'
    assert api.put(open_before, 'left', png(LEFT))[1]['status'] == 'unchanged'
    path = f'/stitch_session/{open_before["_id"]}/reference/mask'
    body = png(RIGHT[..., 0])
    answer = api.call('PUT', path, {'replace': True}, body=body, content_type='image/png')[1]
    assert answer['status'] == 'replaced'
    assert api.finalize(open_before)[0] == 200
    dispatched.run()
    done = api.get(open_before)[1]
    assert done['state'] == 'complete', done
    expected = np.concatenate([LEFT, LEFT, RIGHT], axis=1)
    assert np.array_equal(np.moveaxis(stored_array(done), 0, -1), expected)


def test_it_is_finalized_as_it_was(api, open_before, dispatched, monkeypatch):
    """Without a change in between: the job does not wait for locks that it cannot see."""
    rename_lock_fields()
    StitchPatch().release_stale(StitchSession().get(open_before['_id']))
    assert api.finalize(open_before)[0] == 200
    monkeypatch.setattr('girder_zarr.server.patches.locking.STALE_SECONDS', 0)
    dispatched.run()
    done = api.get(open_before)[1]
    assert done['state'] == 'complete', done
    assert np.array_equal(np.moveaxis(stored_array(done), 0, -1), np.concatenate([LEFT, RIGHT], axis=1))


def test_any_number_of_servers_may_rename(open_before):
    assert rename_lock_fields() == 4
    assert OLD_INDEX.document['name'] not in StitchPatch().collection.index_information()
    assert rename_lock_fields() == 0
    # A server of before that is started once more makes its index again, and documents of its own.
    patches = StitchPatch().collection
    patches.create_indexes([OLD_INDEX])
    file = File().findOne({'attachedToId': ObjectId(open_before['_id'])})
    late = {'_id': file['_id'], 'digest': 'sha-256=:x:', 'size': file['size']}
    patches.insert_one(written_before(ObjectId(open_before['_id']), 'late', late, 48))
    assert rename_lock_fields() == 1
    assert patches.find_one({'key': 'late'})['lockedBy'] is None


def test_a_server_that_starts_renames(open_before, monkeypatch):
    """The plugin is loaded once more, as by a server that starts on a database with documents of before."""
    monkeypatch.setattr(plugin.web_client, 'register', lambda _info: None)
    plugin.load({'apiRoot': SimpleNamespace(), 'serverRoot': SimpleNamespace(apps={})})
    assert StitchPatch().findOne({'held': {'$exists': True}}) is None
    assert StitchPatch().findOne({'key': 'taken'})['lockedBy'] == 'a' * 32
