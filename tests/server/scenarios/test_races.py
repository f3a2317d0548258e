"""Everything that changes a session, in every pair at the same moment: only documented states."""

import datetime as dt
import hashlib
import io
import itertools
import threading

import pymongo.collection
import pytest
from girder.exceptions import RestException
from girder.models.file import File
from girder.models.folder import Folder

from girder_zarr.errors import GirderZarrError
from girder_zarr.server.jobs import finalize
from girder_zarr.server.maintenance import expired as expiry
from girder_zarr.server.maintenance.removal import delete_session
from girder_zarr.server.patches.batch import BatchEntry, put_together
from girder_zarr.server.patches.incoming import NewPatch
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.patches.references import StitchReference
from girder_zarr.server.sessions import edit as editing
from girder_zarr.server.sessions import quota
from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.server.settings import session_limits
from girder_zarr.stitch.formats import registry as formats
from girder_zarr.stitch.patch import Placement, format_digest
from support.factories import new_patch
from support.server import png, random_pixels

pytestmark = pytest.mark.plugin('zarr')
ROUNDS = 3
STATES = {'open', 'finalizing', 'cancelled'}


def put(session, user):
    StitchPatch().put(session, new_patch('b', 8), user, replace=False)


def replace(session, user):
    StitchPatch().put(session, new_patch('a', 30), user, replace=True)


def bulk(session, user):
    entries = [BatchEntry(new_patch(key, 8 * at), replace=False) for at, key in enumerate('bcd', 1)]
    put_together(session, entries, user, session_limits.current())


def put_reference(session, user):
    StitchReference().put(session, new_patch('c'), user, replace=False)


def replace_reference(session, user):
    at = next(_numbers)
    body = png(random_pixels(8, 8, seed=at))
    digest = format_digest(hashlib.sha256(body).digest())
    stream = io.BytesIO(body)
    new = NewPatch('f', Placement.make(0, 0), 0, digest, len(body), formats.inspect(stream), stream)
    StitchReference().put(session, new, user, replace=True)


_numbers = itertools.count(1000)
ACTIONS = {
    'finalize': lambda session, user: finalize.finalize(session, user, force=False),
    'cancel': lambda session, _: finalize.cancel(session),
    'delete': lambda session, _: delete_session(session['_id']),
    'put': put,
    'replace': replace,
    'bulk': bulk,
    'remove': lambda session, _: StitchPatch().discard(session, 'a'),
    'put reference': put_reference,
    'replace reference': replace_reference,
    'remove reference': lambda session, _: StitchReference().discard(session, 'f'),
    'expire': lambda *_: expiry.sweep(dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)),
    'edit': lambda session, _: editing.edit(session, {'spec': {'background': 3}}),
}


@pytest.fixture
def one_at_a_time(monkeypatch):
    """Let single updates of the mock database be atomic, as those of a real one are."""
    import mongomock.collection

    lock = threading.RLock()

    def guard(kind, name):
        original = getattr(kind, name)

        def guarded(self, *args, **kwargs):
            with lock:
                return original(self, *args, **kwargs)

        monkeypatch.setattr(kind, name, guarded)

    for name in ('find_one_and_update', 'update_one', 'update_many', 'insert_one', 'insert_many'):
        guard(mongomock.collection.Collection, name)
    for name in ('delete_one', 'delete_many', 'find_one', 'count_documents'):
        guard(mongomock.collection.Collection, name)
    assert pymongo.collection.Collection is not mongomock.collection.Collection


def at_once(session, user, names):
    """Do things at the same moment; return the errors that are no answers."""
    barrier, unexpected = threading.Barrier(len(names)), []

    def run(name):
        barrier.wait()
        try:
            ACTIONS[name](session, user)
        except (GirderZarrError, RestException):
            pass
        except BaseException as error:  # noqa: BLE001 - shown by the test
            unexpected.append((name, error))

    threads = [threading.Thread(target=run, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return unexpected


def check(folder, session_id, jobs, names):
    """Hold what is left against the documented states."""
    session = StitchSession().findOne({'_id': session_id})
    patches = list(StitchPatch().find({'sessionId': session_id}))
    references = list(StitchReference().find({'sessionId': session_id}))
    files = list(File().find({'attachedToId': session_id}))
    quota.flush()
    counted = Folder().load(folder['_id'], force=True)['size']
    assert counted == sum(file['size'] for file in File().find({'attachedToId': {'$exists': True}})), names
    # Only between two jobs that were asked for can somebody have cancelled the first.
    assert len(jobs) <= (2 if 'cancel' in names and list(names).count('finalize') > 1 else 1), names
    if session is None:
        assert (patches, references, files) == ([], [], []), names
        return
    assert session['state'] in STATES, (names, session['error'])
    assert not session['deleting']
    if session['state'] == 'finalizing':
        assert session['attempt'] in {job['attempt'] for job in jobs}, names
    for document in patches + references:
        assert (document['stored'], document['lockedBy']) == (True, None), names
    nbytes = sum(document['size'] for document in patches + references)
    assert session['counts'] == {'patches': len(patches), 'bytes': nbytes}, names
    assert {file['_id'] for file in files} == {document['fileId'] for document in patches + references}, names
    if patches:
        low = min(patch['position']['x'] for patch in patches)
        high = max(patch['position']['x'] for patch in patches) + 8
        assert (session['extent']['x0'], session['extent']['x1']) == (low, high), names
    else:
        assert session['dtype'] is None, names


def race(folder, owner, dispatched, names):
    session = StitchSession().create(folder, owner, 'race', None, expires=1.0)
    StitchPatch().put(session, new_patch('a'), owner, replace=False)
    replace_reference(session, owner)
    dispatched.clear()
    assert at_once(StitchSession().get(session['_id']), owner, names) == [], names
    check(folder, session['_id'], dispatched, names)


@pytest.mark.usefixtures('one_at_a_time', 'zarr_server')
def test_every_pair(people, folder, dispatched):
    for pair in list(itertools.combinations_with_replacement(ACTIONS, 2)) * ROUNDS:
        race(folder, people['owner'], dispatched, pair)


@pytest.mark.usefixtures('one_at_a_time', 'zarr_server')
def test_all_of_them(people, folder, dispatched):
    for _ in range(5 * ROUNDS):
        race(folder, people['owner'], dispatched, [*ACTIONS, 'put', 'finalize'])
