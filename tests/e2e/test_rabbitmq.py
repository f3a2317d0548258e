"""The stack with RabbitMQ as the broker, which closes the channel of a consumer that takes too long."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import girder_client
import numpy as np
import pymongo
import pytest
from bson import ObjectId

from chaos.census import database_address
from girder_zarr.client import Patch, StitchClient
from support.rabbitmq import require_rabbitmq, running_rabbitmq
from support.stack import running_stack
from support.waiting import wait_until

#: Milliseconds after which a message has to be acknowledged, where RabbitMQ gives half an hour.
TIMEOUT = 5000
SIDE = 512


@pytest.fixture(scope='module')
def rabbit(tmp_path_factory):
    require_rabbitmq()
    with running_rabbitmq(tmp_path_factory.mktemp('rabbitmq') / 'r', consumer_timeout=TIMEOUT) as server:
        yield server


@pytest.fixture(scope='module')
def stack(rabbit, tmp_path_factory):
    folder = tmp_path_factory.mktemp('stack')
    given = ['--broker', rabbit.url, '--workers', '1']
    with running_stack(folder / 'data', *given, environment={'TMPDIR': str(folder)}) as running:
        yield running


@pytest.fixture
def client(stack):
    return StitchClient(stack.client())


def begin(client, name, seed=0, side=SIDE):
    """Put the patches of a session; return it and its pixels."""
    girder = client.girder
    collection = girder.createCollection(name)
    folder = girder.createFolder(collection['_id'], 'work', parentType='collection')['_id']
    session = client.create(folder, name, {'chunk': 128})['_id']
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side)).astype('uint8')
    half = side // 2
    client.upload(
        session,
        [
            Patch(f'{y}-{x}', pixels[y : y + half, x : x + half], x=x, y=y)
            for y in (0, half)
            for x in (0, half)
        ],
    )
    return session


def completed(client, session, seconds=120):
    """Wait for the end of a session."""

    def look():
        found = client.get(session)
        return found if found['state'] != 'finalizing' else None

    found = wait_until(look, seconds, 'the end of the job')
    assert found['state'] == 'complete', found
    return found


def worker_log(stack):
    return (stack.data / 'logs/worker.log').read_text(errors='replace')


def workers(stack):
    """Return the worker and the processes that run its jobs, in the order in which they were started."""
    found = [(start, pid) for pid, (start, text) in stack.parts().items() if 'stack.child.worker' in text]
    return [pid for _, pid in sorted(found)]


def took_over(stack, gone):
    """Whether there are a worker and its process again, and one at least that was not there before."""
    return len(found := workers(stack)) == 2 and set(found) - set(gone)


def test_sessions_are_made(stack, client):
    for at in range(3):
        session = begin(client, f'small {at}', at)
        client.finalize(session)
        completed(client, session)


def test_a_message_that_waits_behind_a_long_job_does_not_end_the_worker(stack, client):
    """The job is as long as its process is stopped, and the others wait in the worker for it."""
    sessions = [begin(client, f'waiting {at}', at) for at in range(4)]
    worker, child = workers(stack)
    os.kill(child, signal.SIGSTOP)
    try:
        for session in sessions:
            client.finalize(session)
        wait_until(lambda: 'PRECONDITION_FAILED' in worker_log(stack), 90, 'the channel to be closed')
    finally:
        os.kill(child, signal.SIGCONT)
    for session in sessions:
        completed(client, session, 180)
    later = begin(client, 'later')
    client.finalize(later)
    completed(client, later)
    assert worker in stack.parts(), worker_log(stack)
    assert 'Unrecoverable error' not in worker_log(stack)


@pytest.fixture
def small_parts(client, request):
    """Images of 2048 x 2048 pixels are made of 512 parts, or as many as a test asks for."""
    key, values = 'zarr.stitch_part_values', 2048 * 2048 // getattr(request, 'param', 512)
    client.girder.put('system/setting', parameters={'key': key, 'value': json.dumps(values)})
    yield
    client.girder.delete('system/setting', parameters={'key': key})


def lasted(done):
    """The seconds from the beginning of a session to its end."""
    began, ended = (datetime.fromisoformat(done[name]) for name in ('created', 'updated'))
    return (ended - began).total_seconds()


def check_job(client, done):
    """See that the job of a session has ended well."""
    wait_until(lambda: client.girder.get(f'job/{done["jobId"]}')['status'] == 3, 60, 'the end of the job')


def test_a_job_that_lasts_longer_than_the_limit_is_made_once(stack, client, small_parts):
    session = begin(client, 'long', side=2048)
    client.finalize(session)
    done = completed(client, session, 300)
    assert lasted(done) > TIMEOUT / 1000
    check_job(client, done)
    assert 'Unrecoverable error' not in worker_log(stack)


def closed_channels(rabbit):
    """How often RabbitMQ has closed a channel because a message was not acknowledged in time."""
    logs = rabbit.folder.joinpath('log').glob('*.log')
    return sum(log.read_text().count('caused a channel exception precondition_failed') for log in logs)


@pytest.mark.parametrize('small_parts', [128], indirect=True)
def test_a_job_outlives_several_limits_and_killed_workers_with_others_behind_it(
    stack, client, rabbit, small_parts
):
    """Each time, its worker stands still until two limits have passed for what waits, and is killed then."""
    long = begin(client, 'hours', side=2048)
    behind = [begin(client, f'behind {at}', at) for at in range(3)]
    client.finalize(long)
    with pymongo.MongoClient(database_address(stack)) as database:
        parts = database.get_default_database().stitch_part

        def parts_done():
            return parts.count_documents({'sessionId': ObjectId(long), 'state': 'done'})

        done = 0
        for number, other in enumerate(behind):
            done = wait_until(lambda done=done: (n := parts_done()) > done and n, 120, 'another part')
            (worker, child) = workers(stack)
            os.kill(child, signal.SIGSTOP)
            try:
                client.finalize(other)
                before = closed_channels(rabbit)
                wait_until(lambda before=before: closed_channels(rabbit) >= before + 2, 90, 'two limits')
            finally:
                os.kill(child, signal.SIGCONT)
            os.kill(worker if number else child, signal.SIGKILL)
            wait_until(lambda gone=(worker, child): took_over(stack, gone), 90, 'the next worker')
            # The next part is of the new child: one that stands still at its start is killed by its worker.
            done = parts_done()
            assert client.get(long)['state'] == 'finalizing'
    made = completed(client, long, 300)
    assert lasted(made) > 4 * TIMEOUT / 1000
    check_job(client, made)
    for other in behind:
        check_job(client, completed(client, other))
    assert 'Unrecoverable error' not in worker_log(stack)


def jobs_of(client, name='away'):
    jobs = client.girder.get('job/all', {'limit': 0})
    return [one for one in jobs if one['title'] == f'Stitch: {name}']


def test_a_killed_broker_and_a_finalize_meanwhile(stack, client, rabbit):
    """The requests that find no broker leave one failed job; after it is back the session is made."""
    session = begin(client, 'away')
    rabbit.kill()

    def finalize(_):
        try:
            stack.client().post(f'stitch_session/{session}/finalize')
        except girder_client.HttpError as refused:
            return refused.status
        return 200

    assert [finalize(at) for at in range(3)] == [503] * 3
    assert [one['status'] for one in jobs_of(client)] == [4]
    with ThreadPoolExecutor(8) as pool:
        # Who asks while another attempt is being made is told that the session is finalizing.
        assert 503 in (answers := set(pool.map(finalize, range(8))))
    assert answers <= {200, 503}
    assert [one['status'] for one in jobs_of(client)] == [4]
    assert client.get(session)['state'] == 'error'
    rabbit.start()
    client.finalize(session)
    completed(client, session, 180)
    wait_until(lambda: [one['status'] for one in jobs_of(client)] == [3], 60, 'the end of the job')
