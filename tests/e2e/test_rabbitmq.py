"""The stack with RabbitMQ as the broker, which closes the channel of a consumer that takes too long."""

import json
import os
import signal
from datetime import datetime

import girder_client
import numpy as np
import pytest

from girder_zarr.client import Patch, StitchClient
from support.rabbitmq import running_rabbitmq
from support.stack import running_stack
from support.waiting import wait_until

#: Milliseconds after which a message has to be acknowledged, where RabbitMQ gives half an hour.
TIMEOUT = 5000
SIDE = 512


@pytest.fixture(scope='module')
def rabbit(tmp_path_factory):
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


def suspended(stack):
    """Return the processes that run jobs: the children of the worker."""
    return sorted(pid for pid, (_, text) in stack.parts().items() if 'stack.child.worker' in text)[1:]


def test_sessions_are_made(stack, client):
    for at in range(3):
        session = begin(client, f'small {at}', at)
        client.finalize(session)
        completed(client, session)


def test_a_message_that_waits_behind_a_long_job_does_not_end_the_worker(stack, client):
    """The job is as long as its process is stopped, and the others wait in the worker for it."""
    worker = min(pid for pid, (_, text) in stack.parts().items() if 'stack.child.worker' in text)
    sessions = [begin(client, f'waiting {at}', at) for at in range(4)]
    (child,) = suspended(stack)
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


def test_a_job_that_lasts_longer_than_the_limit_is_made_once(stack, client):
    session = begin(client, 'long', side=2048)
    client.girder.put(
        'system/setting', parameters={'key': 'zarr.stitch_part_values', 'value': json.dumps(8192)}
    )
    client.finalize(session)
    done = completed(client, session, 300)
    lasted = [datetime.fromisoformat(done[name]) for name in ('created', 'updated')]
    assert (lasted[1] - lasted[0]).total_seconds() > TIMEOUT / 1000
    wait_until(lambda: client.girder.get(f'job/{done["jobId"]}')['status'] == 3, 60, 'the end of the job')
    assert 'Unrecoverable error' not in worker_log(stack)
    client.girder.delete('system/setting', parameters={'key': 'zarr.stitch_part_values'})


def jobs_of(client, name='away'):
    jobs = client.girder.get('job/all', {'limit': 0})
    return [one for one in jobs if one['title'] == f'Stitch: {name}']


def test_a_killed_broker_and_a_finalize_meanwhile(stack, client, rabbit):
    """The requests that find no broker leave one failed job; after it is back the session is made."""
    session = begin(client, 'away')
    rabbit.kill()
    for _ in range(3):
        with pytest.raises(girder_client.HttpError) as refused:
            client.girder.post(f'stitch_session/{session}/finalize')
        assert refused.value.status == 503
    assert [one['status'] for one in jobs_of(client)] == [4]
    rabbit.start()
    client.finalize(session)
    completed(client, session, 180)
    wait_until(lambda: [one['status'] for one in jobs_of(client)] == [3], 60, 'the end of the job')
