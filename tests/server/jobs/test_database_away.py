"""A database that goes away while a job runs: the run is lost, and the session goes on."""

import contextlib
import datetime as dt

import numpy as np
import pytest
from girder_jobs.constants import JobStatus
from girder_jobs.models.job import Job
from pymongo.errors import AutoReconnect, CursorNotFound, ServerSelectionTimeoutError

from girder_zarr.server.jobs import cleanup, girder_job, publish, run
from girder_zarr.server.leases.part_lease import StitchPart
from girder_zarr.server.maintenance import reaper
from girder_zarr.server.sessions.model import MAX_RUNS, StitchSession
from support.server import png, random_pixels, stored_array

EARLIER = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
#: What a database is asked.
ASKED = (
    *('find', 'find_one', 'find_one_and_update', 'insert_one', 'update_one', 'update_many'),
    *('replace_one', 'delete_one', 'delete_many', 'count_documents', 'distinct'),
)
pytestmark = pytest.mark.plugin('zarr')


@pytest.fixture
def ready(api, session):
    """A session with one patch."""
    status, patch = api.put(session, 'a', png(random_pixels(600, 600)))
    assert status == 201, patch
    return session


def temporary_folders(session):
    import pathlib
    import tempfile

    return sorted(pathlib.Path(tempfile.gettempdir()).glob(f'girder-zarr-stitch-{session["_id"]}-*'))


def lose_worker():
    """Let the run of a job be a worker's that is gone."""
    StitchSession().collection.update_many(
        {'run': {'$ne': None}}, {'$set': {'run.worker': 'lost b n 1 2', 'run.beat': EARLIER}}
    )


@pytest.fixture
def away(monkeypatch):
    """Return a context in which the database does not answer."""

    @contextlib.contextmanager
    def being_away():
        def fail(*_args, **_kwargs):
            msg = 'localhost:27017: [Errno 111] Connection refused'
            raise ServerSelectionTimeoutError(msg)

        kind = type(StitchSession().collection)
        with monkeypatch.context() as gone:
            for name in ASKED:
                gone.setattr(kind, name, fail)
            yield

    return being_away


@pytest.mark.parametrize(
    ('module', 'name'),
    [
        (run, 'build_plan'),
        (run, 'verify_file'),
        (publish, 'set_large_image'),
        (cleanup, 'clear_description'),
        (cleanup, 'clean_up'),
    ],
)
def test_a_database_that_goes_away_is_a_lost_run(
    api, folder, dispatched, stored, monkeypatch, away, module, name
):
    before = stored()
    _, session = api.create(folder, keepPatches=False)
    pixels = random_pixels(40, 30)
    assert api.put(session, 'a', png(pixels))[0] == 201
    api.finalize(session)
    original, gone = getattr(module, name), contextlib.ExitStack()

    def lose(*args, **kwargs):
        gone.enter_context(away())
        return original(*args, **kwargs)

    with monkeypatch.context() as losing, gone:
        losing.setattr(module, name, lose)
        dispatched.run()
    assert api.get(session)[1]['error'] is None
    lose_worker()
    sent = len(dispatched)
    reaper.scan()
    if len(dispatched) > sent:
        assert api.get(session)[1]['state'] == 'finalizing'
        dispatched.run()
    reaper.scan()
    done = api.get(session)[1]
    assert (done['state'], done['error']) == ('complete', None)
    assert np.array_equal(np.moveaxis(stored_array(done).reshape(3, 40, 30), 0, 2), pixels)
    assert stored() == {**before, 'Item': 1, 'File': 1, 'StitchSession': 1}
    assert Job().load(done['jobId'], force=True)['status'] == JobStatus.SUCCESS
    assert not temporary_folders(session)


@pytest.mark.parametrize('error', [AutoReconnect('connection closed'), CursorNotFound('cursor id 7')])
def test_a_database_that_is_back_at_once(api, ready, dispatched, monkeypatch, error):
    api.finalize(ready)

    def fail(*_args, **_kwargs):
        raise error

    for number in range(MAX_RUNS):
        with monkeypatch.context() as once:
            once.setattr(run, 'verify_file', fail)
            dispatched.run()
        assert api.get(ready)[1]['state'] == 'finalizing'
        reaper.scan()
        assert len(dispatched) == number + 2  # at once, as nobody works on it
    dispatched.run_failing()
    assert 'given up after 3 runs' in api.get(ready)[1]['error']
    assert api.finalize(ready)[1]['state'] == 'finalizing'
    dispatched.run()
    assert api.get(ready)[1]['state'] == 'complete'


def test_a_helper_that_loses_the_database_spoils_nothing(api, ready, dispatched, monkeypatch):
    api.finalize(ready)

    def fail(*_args, **_kwargs):
        raise AutoReconnect

    with monkeypatch.context() as losing:
        losing.setattr(StitchPart, 'plan', lambda *_: {'values': 1})
        losing.setattr(StitchPart, 'left', lambda *_: 1)
        losing.setattr(run, 'build_plan', fail)
        run.make_parts(dispatched[-1]['sessionId'], dispatched[-1]['attempt'])
    assert api.get(ready)[1]['state'] == 'finalizing'
    dispatched.run()
    assert api.get(ready)[1]['state'] == 'complete'


def test_finalize_while_the_database_goes_away(api, ready, dispatched, monkeypatch):
    def fail(*_args, **_kwargs):
        raise AutoReconnect

    with monkeypatch.context() as losing:
        losing.setattr(girder_job, 'create', fail)
        assert api.finalize(ready)[0] == 503
    assert api.get(ready)[1]['state'] == 'finalizing'
    StitchSession().collection.update_many({}, {'$set': {'sent.at': EARLIER}})
    reaper.scan()
    dispatched.run()
    assert api.get(ready)[1]['state'] == 'complete'


def test_requests_while_the_database_is_away(api, ready, people, away):
    """All of a request is answered for: that Girder looks for who asks, as well."""
    from girder.models.token import Token

    path, token = f'/stitch_session/{ready["_id"]}', str(Token().createToken(people['owner'])['_id'])
    assert api.server.request(path, token=token).output_status.startswith(b'200')
    with away():
        answer = api.server.request(path, token=token)
    assert answer.output_status.startswith(b'503')
    assert answer.json['message'] == 'The database does not answer; try again in a moment.'
    assert api.server.request(path, token=token).output_status.startswith(b'200')
