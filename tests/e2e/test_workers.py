"""Workers and the broker of a real stack, killed while they make an image."""

import contextlib
import json
import os
import signal

import girder_client
import numpy as np
import pymongo
import pytest
import zarr

from girder_zarr.client import Patch, StitchClient
from support.stack import running_stack
from support.waiting import wait_until

SIDE, PARTS = 2048, 64


@pytest.fixture(scope='module')
def own_stack(tmp_path_factory):
    """A stack that may be broken, with parts of 256 x 256 pixels."""
    folder = tmp_path_factory.mktemp('workers')
    with running_stack(folder / 'data', environment={'TMPDIR': str(folder)}) as stack:
        girder = stack.client()
        value = json.dumps(SIDE * SIDE // PARTS)
        girder.put('system/setting', parameters={'key': 'zarr.stitch_part_values', 'value': value})
        yield stack, girder


@pytest.fixture
def begun(own_stack, request):
    """A session that is being made, and its pixels."""
    _, girder = own_stack
    client = StitchClient(girder)
    collection = girder.createCollection(request.node.name)
    folder = girder.createFolder(collection['_id'], 'work', parentType='collection')['_id']
    pixels = np.random.default_rng(1).integers(0, 255, (SIDE, SIDE)).astype('uint8')
    session = client.create(folder, 'large', {'chunk': 128, 'overlap': 'mean'})['_id']
    patches = [
        Patch(f'{y}-{x}', pixels[y : y + 512, x : x + 512], x=x, y=y)
        for y in range(0, SIDE, 512)
        for x in range(0, SIDE, 512)
    ]
    client.upload(session, patches)
    client.finalize(session)
    return client, session, pixels


def kill(stack, part, *, children):
    """Kill the processes of a part of the stack, or only those that its first has made."""
    found = sorted(pid for pid, (_, command) in stack.parts().items() if part in command)
    assert found, f'{part} does not run'
    for pid in found[1:] if children else found[:1]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def made(client, session):
    with contextlib.suppress(girder_client.HttpError, ConnectionError):
        found = client.get(session)
        return found if found['state'] != 'finalizing' else found['progress']['current']
    return 0


def check(own_stack, begun, tmp_path):
    """Wait for the image; hold it against what was sent, and look that nothing else is left."""
    stack, girder = own_stack
    client, session, pixels = begun
    done = wait_until(
        lambda: isinstance(found := made(client, session), dict) and found, 150, 'the end of the job'
    )
    assert done['state'] == 'complete', done
    path = tmp_path / 'image.zip'
    girder.downloadFile(done['fileId'], str(path))
    with zarr.storage.ZipStore(path, mode='r') as store:
        assert np.array_equal(zarr.open_array(store, path='0', mode='r')[:], pixels)
    wait_until(lambda: girder.get(f'job/{done["jobId"]}')['status'] == 3, 60, 'the end of the job')
    with pymongo.MongoClient(database_of(stack)) as server:
        database = server.get_default_database()
        wait_until(lambda: database.stitch_part.count_documents({}) == 0, 60, 'the parts to go')
        assert database.file.count_documents({'stitchPartOf': {'$exists': True}}) == 0
        assert database.upload.count_documents({}) == 0


def database_of(stack):
    command = next(
        command for _, command in stack.parts().values() if 'secantus' in command and '--port' in command
    )
    return f'mongodb://127.0.0.1:{command.split("--port")[1].split()[0]}/girder'


def test_one_worker_and_its_help(own_stack, begun, tmp_path):
    check(own_stack, begun, tmp_path)


def test_workers_are_killed_again_and_again(own_stack, begun, tmp_path):
    client, session, pixels = begun
    for step in range(1, 4):
        found = wait_until(lambda n=step: _reached(client, session, n * pixels.size // 5), 90, 'progress')
        if isinstance(found, dict):
            break
        kill(own_stack[0], 'girder_zarr.stack.child.worker', children=True)
    check(own_stack, begun, tmp_path)


def test_workers_and_broker_are_killed(own_stack, begun, tmp_path):
    """Every message is lost: the keeper of the server sends another."""
    client, session, pixels = begun
    wait_until(lambda: _reached(client, session, pixels.size // 5), 90, 'progress')
    kill(own_stack[0], 'valkey', children=False)
    kill(own_stack[0], 'girder_zarr.stack.child.worker', children=True)
    with contextlib.suppress(AssertionError):  # without its broker it may have ended by itself
        kill(own_stack[0], 'girder_zarr.stack.child.worker', children=False)
    check(own_stack, begun, tmp_path)


def test_cancelling_stops_all_workers(own_stack, begun):
    stack, girder = own_stack
    client, session, pixels = begun
    wait_until(lambda: _reached(client, session, pixels.size // 8), 90, 'progress')
    assert client.cancel(session)['state'] == 'cancelled'
    wait_until(lambda: girder.get(f'job/{client.get(session)["jobId"]}')['status'] == 5, 30, 'the job')
    with pymongo.MongoClient(database_of(stack)) as server:
        database = server.get_default_database()
        wait_until(lambda: database.stitch_part.count_documents({}) == 0, 30, 'the parts to go')
        wait_until(
            lambda: database.file.count_documents({'stitchPartOf': {'$exists': True}}) == 0, 30, 'the files'
        )
    client.delete(session)


def _reached(client, session, values):
    found = made(client, session)
    return found if isinstance(found, dict) or found >= values else None
