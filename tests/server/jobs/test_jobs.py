"""The job of a session: one however many ask, stopped within a block, run again after any accident."""

import datetime as dt
import json
import threading

import numpy as np
import pytest
from girder.exceptions import RestException
from girder.models.file import File
from girder.models.item import Item
from girder_jobs.constants import JobStatus
from girder_jobs.models.job import Job

from girder_zarr.server.jobs import celery_json, cleanup, finalize, girder_job, progress, publish, run
from girder_zarr.server.leases import run_lease
from girder_zarr.server.maintenance import expired as expiry
from girder_zarr.server.maintenance import reaper
from girder_zarr.server.maintenance.removal import delete_session
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.sessions.model import StitchSession
from support.server import npy, png, random_pixels, stored_array
from support.waiting import wait_until

EARLIER = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
pytestmark = pytest.mark.plugin('zarr')


class Killed(BaseException):
    """What no handler catches, as no handler catches SIGKILL."""


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


def test_finalize_starts_one_job_however_often_it_is_asked(api, ready, dispatched):
    for _ in range(3):
        assert api.finalize(ready)[1]['state'] == 'finalizing'
    assert len(dispatched) == 1
    dispatched.run()
    first = api.get(ready)[1]
    assert api.finalize(ready)[1] == first
    assert len(dispatched) == 1
    assert Job().collection.count_documents({'type': girder_job.JOB_TYPE}) == 1


def test_of_many_requests_at_once_one_begins(api, ready, people):
    document = StitchSession().get(ready['_id'])
    won, barrier = [], threading.Barrier(8)

    def ask():
        barrier.wait()
        if StitchSession().begin_finalizing(document, people['owner']) is not None:
            won.append(1)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_cancelling_before_the_job_runs(api, ready, dispatched, stored):
    before = stored()
    api.finalize(ready)
    status, cancelled = api.cancel(ready)
    assert (status, cancelled['state']) == (200, 'cancelled')
    dispatched.run()
    assert api.get(ready)[1]['state'] == 'cancelled'
    assert stored() == before
    assert Job().load(api.get(ready)[1]['jobId'], force=True)['status'] == JobStatus.CANCELED
    assert api.cancel(ready)[0] == 200


@pytest.mark.parametrize('stage', ['assemble_file', 'verify_file', 'publish'])
@pytest.mark.parametrize('way', ['session', 'job'])
def test_cancelling_while_the_job_runs(api, ready, dispatched, stored, monkeypatch, stage, way):
    monkeypatch.setattr(progress, 'CHECK_SECONDS', 0)
    before = stored()
    api.finalize(ready)
    module = publish if stage == 'publish' else run
    name = 'set_large_image' if stage == 'publish' else stage
    original = getattr(module, name)

    def cancel_meanwhile(*args, **kwargs):
        if way == 'session':
            assert api.cancel(ready)[0] == 200
        else:
            status, job = api.call('PUT', f'/job/{api.get(ready)[1]["jobId"]}/cancel')
            assert status == 200, job
        return original(*args, **kwargs)

    monkeypatch.setattr(module, name, cancel_meanwhile)
    dispatched.run()
    assert api.get(ready)[1]['state'] == 'cancelled'
    assert stored() == before
    assert not temporary_folders(ready)


def test_cancel_in_every_state(api, folder, ready, dispatched):
    _, empty = api.create(folder)
    assert api.cancel(empty)[1]['state'] == 'cancelled'
    assert api.put(empty, 'a', png(random_pixels(8, 8)))[0] == 201
    assert api.get(empty)[1]['state'] == 'open'
    api.finalize(ready)
    dispatched.run()
    assert api.cancel(ready)[0] == 409
    assert api.get(ready)[1]['state'] == 'complete'


def test_a_job_that_fails_says_why_and_leaves_nothing(api, session, dispatched, stored):
    broken = png(random_pixels(64, 64))
    api.put(session, 'good', broken)
    middle = len(broken) // 2
    api.put(session, 'bad', broken[:middle] + bytes(100) + broken[middle + 100 :], x=64)
    before = stored()
    api.finalize(session)
    dispatched.run_failing()
    _, found = api.get(session)
    assert (found['state'], 'Patch bad' in found['error']) == ('error', True), found
    assert stored() == before
    assert not temporary_folders(session)
    log = ''.join(Job().load(found['jobId'], force=True, includeLog=True)['log'])
    assert 'Patch bad' in log
    assert api.put(session, 'bad', broken, x=64, replace=True)[0] == 200
    assert api.finalize(session)[1]['state'] == 'finalizing'
    dispatched.run()
    assert api.get(session)[1]['state'] == 'complete'


def test_a_job_that_died_is_run_again_and_leaves_one_item(api, ready, dispatched, stored, monkeypatch):
    before = stored()
    api.finalize(ready)

    def die(*args, **kwargs):
        raise Killed

    original = publish.set_large_image
    monkeypatch.setattr(publish, 'set_large_image', die)
    with pytest.raises(Killed):
        dispatched.run()
    assert stored()['Item'] == before['Item'] + 1
    monkeypatch.setattr(publish, 'set_large_image', original)
    dispatched.run()
    assert api.get(ready)[1]['state'] == 'complete'
    assert stored() == {**before, 'Item': before['Item'] + 1, 'File': before['File'] + 1}
    dispatched.run()
    assert stored() == {**before, 'Item': before['Item'] + 1, 'File': before['File'] + 1}


def test_a_job_that_kills_its_workers_is_given_up(api, ready, dispatched, stored):
    before = stored()
    api.finalize(ready)
    for _ in range(3):
        begun = run_lease.acquire(dispatched[-1]['sessionId'], dispatched[-1]['attempt'])
        run_lease.release(begun)
    dispatched.run_failing()
    assert 'given up' in api.get(ready)[1]['error']
    assert stored() == before


def test_an_attempt_that_is_over_has_nothing_to_say(api, ready, dispatched, stored):
    api.finalize(ready)
    old = dict(dispatched[-1])
    api.cancel(ready)
    api.finalize(ready)
    assert dispatched[-1]['attempt'] != old['attempt']
    before = stored()
    run.run_attempt(old['sessionId'], old['attempt'])
    assert stored() == before
    assert api.get(ready)[1]['state'] == 'finalizing'
    dispatched.run()
    assert api.get(ready)[1]['state'] == 'complete'


def unreachable(*_args, **_options):
    raise ConnectionError('nobody there')


def test_a_queue_that_cannot_be_reached(api, ready, monkeypatch, stored):
    before = stored()
    monkeypatch.setattr(celery_json, 'send', unreachable)
    status, refusal = api.finalize(ready)
    assert status == 503, refusal
    _, found = api.get(ready)
    assert (found['state'], 'could not be started' in found['error']) == ('error', True)
    assert stored() == before


def finalize_as_read(session, people):
    with pytest.raises(RestException) as refused:
        finalize.finalize(session, people['owner'], force=False)
    assert refused.value.code == 503


def test_one_job_is_left_by_requests_that_find_no_queue_at_the_same_time(
    api, ready, people, dispatched, monkeypatch
):
    """Each has read the session before the attempt of another began, which has failed since."""
    with monkeypatch.context() as patched:
        patched.setattr(celery_json, 'send', unreachable)
        as_read = [StitchSession().get(ready['_id']) for _ in range(4)]
        for session in as_read:
            finalize_as_read(session, people)
        assert [job['status'] for job in Job().find({'type': girder_job.JOB_TYPE})] == [JobStatus.ERROR]
    api.finalize(ready)
    dispatched.run()
    assert [job['status'] for job in Job().find({'type': girder_job.JOB_TYPE})] == [JobStatus.SUCCESS]


def test_an_attempt_that_begins_while_another_is_being_given_up_leaves_one_job(
    api, ready, people, monkeypatch
):
    """The session is in error before its job is; who begins at that moment finds the job all the same."""
    original, begun = girder_job.end, []

    def late(session):
        if not begun:
            begun.append(session)
            finalize_as_read(StitchSession().get(ready['_id']), people)
        original(session)

    monkeypatch.setattr(celery_json, 'send', unreachable)
    monkeypatch.setattr(girder_job, 'end', late)
    finalize_as_read(StitchSession().get(ready['_id']), people)
    assert [job['status'] for job in Job().find({'type': girder_job.JOB_TYPE})] == [JobStatus.ERROR]
    assert api.get(ready)[1]['state'] == 'error'


def test_tasks_that_run_at_once(api, ready, eagerWorkerTasks):  # noqa: N803 - pytest-girder's fixture
    status, done = api.finalize(ready)
    assert (status, done['state'], done['jobId']) == (200, 'complete', api.get(ready)[1]['jobId'])


def test_a_job_that_failed_elsewhere_is_noticed(api, ready, dispatched):
    api.finalize(ready)
    job = Job().load(api.get(ready)[1]['jobId'], force=True)
    Job().updateJob(job, status=JobStatus.RUNNING)
    Job().updateJob(job, status=JobStatus.ERROR)
    assert api.get(ready)[1]['state'] == 'error'
    assert api.finalize(ready)[1]['state'] == 'finalizing'


def test_a_patch_that_is_being_stored_when_finalize_begins_is_not_lost(api, session, dispatched, monkeypatch):
    """Whatever the order, the answer to the put and the pixels of the result agree."""
    api.put(session, 'a', npy(np.full((4, 4), 1, 'uint8')))
    original, settle_now, finalized = StitchPatch._update, threading.Event(), threading.Event()

    def late(self, held, update):
        finalized.set()
        assert settle_now.wait(10)
        return original(self, held, update)

    monkeypatch.setattr(StitchPatch, '_update', late)
    answers = []
    putting = threading.Thread(
        target=lambda: answers.append(api.put(session, 'b', npy(np.full((4, 4), 2, 'uint8')), x=4)[0])
    )
    putting.start()
    assert finalized.wait(10)
    document = StitchSession().get(session['_id'])
    begun = StitchSession().begin_finalizing(document, {'_id': document['creatorId']})
    running = threading.Thread(target=run.run_attempt, args=(str(begun['_id']), begun['attempt']))
    running.start()
    settle_now.set()
    putting.join()
    running.join()
    assert answers == [201]
    done = api.get(session)[1]
    assert done['state'] == 'complete', done
    assert np.array_equal(stored_array(done), np.repeat([[1, 2]], 4, 1).repeat(4, 0))
    assert Item().load(done['itemId'], force=True)['description'] == ''


def test_finalized_again_while_the_cancelled_job_still_stops(api, ready, dispatched, stored, monkeypatch):
    monkeypatch.setattr(progress, 'CHECK_SECONDS', 0)
    before, original = stored(), publish.set_large_image
    again = []

    def change_of_mind(*args, **kwargs):
        if not again:
            again.append(dispatched[-1])
            assert api.cancel(ready)[0] == 200
            assert api.finalize(ready)[1]['state'] == 'finalizing'
            dispatched.run()
        return original(*args, **kwargs)

    monkeypatch.setattr(publish, 'set_large_image', change_of_mind)
    api.finalize(ready)
    first = api.get(ready)[1]['jobId']
    dispatched.run()
    done = api.get(ready)[1]
    assert (done['state'], len(dispatched)) == ('complete', 2)
    assert stored() == {**before, 'Item': before['Item'] + 1, 'File': before['File'] + 1}
    statuses = [Job().load(job, force=True)['status'] for job in (first, done['jobId'])]
    assert statuses == [JobStatus.CANCELED, JobStatus.SUCCESS]


def test_killed_as_the_image_was_complete(api, ready, dispatched, stored, monkeypatch):
    """The item is not taken for something that was left behind, not even by the next image."""
    before = stored()

    def die(*args):
        raise Killed

    api.finalize(ready)
    with monkeypatch.context() as dying:
        dying.setattr(cleanup, 'clear_description', die)
        dying.setattr(cleanup, 'clean_up_after_run', die)
        with pytest.raises(Killed):
            dispatched.run()
    first = api.get(ready)[1]
    assert first['state'] == 'complete'
    StitchSession().collection.update_many({}, {'$set': {'run.worker': 'lost b n 1 2', 'run.beat': EARLIER}})
    body = json.dumps({'spec': {'background': 3}})
    path = f'/stitch_session/{ready["_id"]}'
    assert api.call('PUT', path, body=body, content_type='application/json')[0] == 200
    api.finalize(ready)
    dispatched.run()
    reaper.scan()
    assert Job().load(first['jobId'], force=True)['status'] in girder_job.ENDED
    assert api.get(ready)[1]['itemId'] != first['itemId']
    assert Item().load(first['itemId'], force=True)['description'] == ''
    assert stored() == {**before, 'Item': before['Item'] + 2, 'File': before['File'] + 2}


def die_after(monkeypatch, model, name, calls):
    """Let a process die in one of the calls of a method; return what lets it live again."""
    original, made = getattr(model, name), []

    def dying(self, *args, **kwargs):
        if len(made) == calls:
            raise Killed
        made.append(1)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(model, name, dying)
    return lambda: monkeypatch.setattr(model, name, original)


def lose_worker():
    """Let the run of a job be a worker's that is gone."""
    StitchSession().collection.update_many(
        {'run': {'$ne': None}}, {'$set': {'run.worker': 'lost b n 1 2', 'run.beat': EARLIER}}
    )


@pytest.mark.parametrize(('model', 'name', 'calls'), [(File, 'remove', 2), (StitchPatch, 'remove_all', 0)])
def test_killed_while_the_patches_are_dropped(
    api, folder, dispatched, stored, monkeypatch, model, name, calls
):
    before = stored()
    _, session = api.create(folder, keepPatches=False)
    for at in range(5):
        assert api.put(session, f'p{at}', png(random_pixels(8, 8, seed=at)), x=8 * at)[0] == 201
    api.finalize(session)
    live_again = die_after(monkeypatch, model, name, calls)
    with monkeypatch.context() as dying:
        # Nor does a killed process do anything afterwards.
        dying.setattr(run_lease, 'end', lambda _: None)
        with pytest.raises(Killed):
            dispatched.run()
    live_again()
    assert api.get(session)[1]['state'] == 'complete'
    assert stored()['StitchPatch'] == 5
    reaper.scan()  # its worker is still there, as far as can be seen
    assert stored()['StitchPatch'] == 5
    lose_worker()
    reaper.scan()
    done = api.get(session)[1]
    assert (done['state'], done['counts']) == ('complete', {'patches': 0, 'bytes': 0})
    assert stored() == {**before, 'Item': 1, 'File': 1, 'StitchSession': 1}
    assert Job().load(done['jobId'], force=True)['status'] == JobStatus.SUCCESS
    assert StitchSession().get(session['_id'])['run'] is None
    assert stored_array(done).size == 5 * 8 * 8 * 3


@pytest.mark.parametrize('calls', [0, 3])
def test_killed_while_a_session_is_deleted(api, session, stored, monkeypatch, calls):
    before = {**stored(), 'StitchSession': 0}
    for at in range(5):
        assert api.put(session, f'p{at}', png(random_pixels(8, 8, seed=at)), x=8 * at)[0] == 201
    live_again = die_after(monkeypatch, File, 'remove', calls)
    with pytest.raises(Killed):
        delete_session(session['_id'])
    live_again()
    assert api.get(session)[0] == 404
    monkeypatch.setattr(expiry, 'INTERVAL_SECONDS', 0)
    reaper.scan()
    wait_until(lambda: not sweeping(), what='the sweep')
    assert stored() != before  # whoever deletes it may still be at it
    StitchSession().collection.update_many({}, {'$set': {'updated': EARLIER}})
    reaper.scan()
    wait_until(lambda: not sweeping() and stored() == before, what='the sweep')


def sweeping():
    return [thread for thread in threading.enumerate() if thread.name == 'expired stitch sessions']
