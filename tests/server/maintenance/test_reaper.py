"""Lost workers, brokers and servers: whoever looks next takes up what they left."""

import datetime as dt
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from bson import ObjectId
from celery.signals import worker_process_init
from girder.models.item import Item
from girder_jobs.constants import JobStatus
from girder_jobs.models.job import Job

from girder_zarr.server.jobs import celery_json, cleanup, dispatch, girder_job, publish, run, workdir
from girder_zarr.server.leases import heartbeat, process_identity, run_lease
from girder_zarr.server.maintenance import expired as expiry
from girder_zarr.server.maintenance import reaper
from girder_zarr.server.sessions.model import StitchSession
from support.server import png, random_pixels, region_of
from support.waiting import wait_until

pytestmark = pytest.mark.plugin('zarr')
ELSEWHERE = 'another-machine boot namespace 1 2'


@pytest.fixture
def ready(api, session):
    assert api.put(session, 'a', png(random_pixels(60, 60)))[0] == 201
    assert api.finalize(session)[1]['state'] == 'finalizing'
    return session


def attempt_of(session):
    return StitchSession().get(session['_id'])['attempt']


def set_back(session, seconds, *names):
    """Let something have happened so long ago."""
    document = StitchSession().get(session['_id'])
    fields = {}
    for name in names:
        first, last = name.split('.')
        fields[name] = document[first][last] - dt.timedelta(seconds=seconds)
    StitchSession().collection.update_one({'_id': document['_id']}, {'$set': fields})


def lose(begun, worker=ELSEWHERE):
    """Let a run belong to a worker of another machine."""
    StitchSession().collection.update_one({'_id': begun['_id']}, {'$set': {'run.worker': worker}})


def test_nobody_sends_what_somebody_works_on(api, ready, dispatched):
    begun = run_lease.acquire(ready['_id'], attempt_of(ready))
    set_back(ready, 10_000, 'sent.at')
    reaper.scan()
    assert api.finalize(ready)[1]['state'] == 'finalizing'
    assert dispatched == []
    assert run_lease.acquire(ready['_id'], attempt_of(ready)) is None
    run.run_attempt(ready['_id'], attempt_of(ready))
    assert run_lease.is_running(begun)


def test_a_worker_that_gives_no_sign_is_replaced_once(api, ready, dispatched):
    begun = run_lease.acquire(ready['_id'], attempt_of(ready))
    lose(begun)
    reaper.scan()
    assert dispatched == []
    set_back(ready, heartbeat.STALE_SECONDS + 1, 'run.beat')
    found = StitchSession().get(ready['_id'])
    assert [dispatch.send_again(found), dispatch.send_again(found)] == [
        True,
        False,
    ]  # two servers that looked at once
    reaper.scan()
    assert len(dispatched) == 1
    dispatched.run()
    done = api.get(ready)[1]
    assert done['state'] == 'complete'
    assert np.array_equal(region_of(api, done), random_pixels(60, 60))
    assert not run_lease.renew(begun)
    assert StitchSession().fail(begun, 'too late') is None


def test_a_worker_that_comes_back_after_it_was_replaced_changes_nothing(
    api, ready, dispatched, stored, monkeypatch
):
    before, original, entered = stored(), publish.set_large_image, []

    def overtaken(*args, **kwargs):
        original(*args, **kwargs)
        if not entered:
            entered.append(1)
            lose(StitchSession().get(ready['_id']))
            set_back(ready, heartbeat.STALE_SECONDS + 1, 'run.beat')
            run.run_attempt(ready['_id'], attempt_of(ready))

    monkeypatch.setattr(publish, 'set_large_image', overtaken)
    run.run_attempt(ready['_id'], attempt_of(ready))
    done = api.get(ready)[1]
    assert done['state'] == 'complete'
    assert stored() == {**before, 'Item': before['Item'] + 1, 'File': before['File'] + 1}
    assert Item().load(done['itemId'], force=True)['description'] == ''
    assert Job().load(done['jobId'], force=True)['status'] == JobStatus.SUCCESS


def test_a_message_that_nobody_took_is_sent_again_ever_more_rarely(api, ready, dispatched):
    pauses, waited = [], 0
    while len(pauses) < 7:
        waited += 30
        set_back(ready, 30, 'sent.at')
        reaper.scan()
        if len(dispatched) > len(pauses):
            pauses.append(waited)
            waited = 0
    assert pauses == [30, 60, 120, 240, 480, 600, 600]
    assert {message['attempt'] for message in dispatched} == {attempt_of(ready)}


def test_of_many_messages_one_begins(ready):
    begun, barrier = [], threading.Barrier(8)

    def begin():
        barrier.wait()
        session = run_lease.acquire(ready['_id'], attempt_of(ready))
        if session is not None:
            begun.append(session)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 1


def test_a_queue_that_is_away_is_tried_later(ready, dispatched, monkeypatch):
    set_back(ready, 100, 'sent.at')

    def fail(*_args, **_options):
        raise ConnectionError('nobody there')

    with monkeypatch.context() as away:
        away.setattr(celery_json, 'send', fail)
        reaper.scan()
    set_back(ready, 100, 'sent.at')
    reaper.scan()
    assert len(dispatched) == 1


def test_a_server_that_died_before_it_sent_the_message(api, session, people, dispatched):
    api.put(session, 'a', png(random_pixels(60, 60)))
    StitchSession().begin_finalizing(StitchSession().get(session['_id']), people['owner'])
    set_back(session, 100, 'sent.at')
    reaper.scan()
    dispatched.run()
    done = api.get(session)[1]
    assert done['state'] == 'complete'
    # It died before it had made the job, too, which people see and may cancel.
    (job,) = Job().find({'meta.stitchSessionId': session['_id']})
    assert (job['_id'], job['status']) == (ObjectId(done['jobId']), JobStatus.SUCCESS)


def test_a_server_that_was_only_slow_makes_no_second_job(api, session, people, dispatched):
    api.put(session, 'a', png(random_pixels(60, 60)))
    begun = StitchSession().begin_finalizing(StitchSession().get(session['_id']), people['owner'])
    set_back(session, 100, 'sent.at')
    reaper.scan()
    job_id = StitchSession().get(session['_id'])['jobId']
    assert girder_job.create(begun, people['owner'])['jobId'] is None
    assert [job['_id'] for job in Job().find({'meta.stitchSessionId': session['_id']})] == [job_id]


def test_what_a_lost_worker_of_a_cancelled_session_left(api, ready, people, folder, stored, dispatched):
    before = stored()
    begun = run_lease.acquire(ready['_id'], attempt_of(ready))
    lose(begun)
    item = Item().createItem('Slide 7', people['owner'], folder, description=cleanup.item_description(begun))
    from girder.models.upload import Upload

    Upload().createUpload(people['owner'], 'half', 'item', item, 100)
    assert api.cancel(ready)[1]['state'] == 'cancelled'
    reaper.scan()
    assert stored() != before  # it may be alive and busy
    set_back(ready, heartbeat.STALE_SECONDS + 1, 'run.beat')
    reaper.scan()
    assert stored() == before
    job = Job().load(api.get(ready)[1]['jobId'], force=True)
    assert job['status'] == JobStatus.CANCELED
    assert StitchSession().get(ready['_id'])['run'] is None
    assert api.finalize(ready)[1]['state'] == 'finalizing'


def test_expired_sessions_go(api, session, monkeypatch):
    monkeypatch.setattr(expiry, 'INTERVAL_SECONDS', 0)
    long_ago = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
    StitchSession().collection.update_many({}, {'$set': {'expires': long_ago}})
    reaper.scan()
    wait_until(lambda: StitchSession().findOne({}) is None, what='the sweep')


def test_the_reaper_goes_on_after_an_error(ready, dispatched, monkeypatch):
    set_back(ready, 100, 'sent.at')
    original, calls = dispatch.send_again, []

    def fail(session):
        calls.append(session)
        if len(calls) == 1:
            raise OSError('by chance')
        return original(session)

    monkeypatch.setattr(dispatch, 'send_again', fail)
    reaper.scan()
    reaper.scan()
    assert len(dispatched) == 1


@pytest.mark.skipif(sys.platform != 'linux', reason='looks at processes through /proc')
def test_a_process_that_is_gone():
    code = (
        'from girder_zarr.server.leases import process_identity; '
        'print(process_identity.current(), flush=True); input()'
    )
    with subprocess.Popen(
        [sys.executable, '-c', code], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    ) as process:
        other = process.stdout.readline().strip()
        assert not process_identity.has_exited(other)
        process.kill()
    assert process_identity.has_exited(other)
    assert not process_identity.has_exited(process_identity.current())
    assert not process_identity.has_exited(ELSEWHERE)
    *place, pid, _ = process_identity.current().split()
    assert process_identity.has_exited(' '.join([*place, pid, '1']))  # the number was used again


def test_folders_of_killed_workers_go_and_no_others(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    code = (
        'from girder_zarr.server.jobs.workdir import work_folder\n'
        'with work_folder("s") as path:\n    (path / "data").write_bytes(b"x")\n    print(path, flush=True)\n'
        '    input()'
    )
    with subprocess.Popen(
        [sys.executable, '-c', code], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True,
        env={**os.environ, 'TMPDIR': str(tmp_path)},
    ) as process:  # fmt: skip
        left = Path(process.stdout.readline().strip())
        workdir.sweep()
        assert left.is_dir()
        process.send_signal(signal.SIGKILL)
        process.wait()
        young = tmp_path / 'girder-zarr-stitch-new-young'
        young.mkdir()
        workdir.sweep_with_each_worker()
        worker_process_init.send(sender=None)
        assert not left.exists()
        with workdir.work_folder('mine') as mine:
            assert young.is_dir()
            workdir.sweep()
            assert mine.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ['girder-zarr-stitch-new-young']
    os.utime(young, (0, 0))
    workdir.sweep()
    assert not list(tmp_path.iterdir())
