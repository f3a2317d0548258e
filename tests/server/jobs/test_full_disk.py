"""A disk that is full while an image is made: numbers for the user, nothing left, and another try works."""

import errno
import os
import pathlib
import re
import shutil
import tempfile

import numpy as np
import pytest
from girder.models.assetstore import Assetstore
from girder.models.setting import Setting
from girder_jobs.constants import JobStatus
from girder_jobs.models.job import Job

from girder_zarr.image.write.outlet import ZipOutlet
from girder_zarr.server.jobs import distribute
from girder_zarr.server.leases.part_lease import StitchPart
from girder_zarr.server.settings.define import SettingKey
from support.server import on_call_for_help, png, random_pixels, stored_array

pytestmark = pytest.mark.plugin('zarr')

RESERVE = 'GIRDER_FILESYSTEMASSETSTORE_RESERVED_MBYTES'
WORK = 'girder-zarr-stitch-'
IN_WORK_FOLDER = r'it takes up to \d{6,} bytes before it is compressed, and \d+ bytes were free .*\(TMPDIR\)'
IN_ASSETSTORE = rf'\d+ bytes are needed, and of the \d+ bytes that are free .* \d+ are reserved \({RESERVE}\)'


def full(*_args, **_options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def at_write(patch):
    put, calls = ZipOutlet.put, []

    def put_some(outlet, name, content):
        calls.append(name)
        if len(calls) > 3:
            full()
        put(outlet, name, content)

    patch.setattr(ZipOutlet, 'put', put_some)


def at_sync_of(place):
    def fill(patch):
        fsync = os.fsync

        def sync(handle):
            if place in pathlib.Path(f'/proc/self/fd/{handle}').readlink().as_posix():
                full()
            fsync(handle)

        patch.setattr(os, 'fsync', sync)

    return fill


def at_copy(patch):
    replace = pathlib.Path.replace

    def other_disk(path, target):
        if WORK in str(path) and WORK not in str(target):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return replace(path, target)

    patch.setattr(pathlib.Path, 'replace', other_disk)
    patch.setattr(shutil, 'copyfile', full)


def at_reserve(patch):
    patch.setenv(RESERVE, str(2**40))


@pytest.fixture
def nothing_left(api, session, stored):
    """Check that an attempt has left nothing; called with a patch stored."""
    root = pathlib.Path(Assetstore().getCurrent()['root'])

    def files():
        return {path for path in root.rglob('*') if path.is_file() and path.suffix != '.deleteLock'}

    before = {}

    def check():
        if not before:
            before.update(stored=stored(), files=files())
        assert stored() == before['stored']
        assert files() == before['files']
        assert StitchPart().collection.count_documents({}) == 0
        assert not list(pathlib.Path(tempfile.gettempdir()).glob(f'{WORK}{session["_id"]}-*'))

    return check


@pytest.mark.parametrize(
    ('fill', 'sentence'),
    [
        pytest.param(at_write, IN_WORK_FOLDER, id='write'),
        pytest.param(at_sync_of(WORK), IN_WORK_FOLDER, id='fsync'),
        pytest.param(at_sync_of('assetstore'), IN_ASSETSTORE, id='fsync in the assetstore'),
        pytest.param(at_copy, IN_ASSETSTORE, id='copy'),
        pytest.param(at_reserve, IN_ASSETSTORE, id='reserve'),
    ],
)
@pytest.mark.parametrize('parts', [False, True], ids=['whole', 'parts'])
def test_a_full_disk_is_said_in_numbers(
    api, session, dispatched, nothing_left, monkeypatch, fill, sentence, parts
):
    on_call_for_help(monkeypatch, lambda *_: None)
    if parts:
        Setting().set(SettingKey.STITCH_PART_VALUES, 256 * 256 * 3)
        monkeypatch.setattr(distribute, '_PAUSE', 0.01)
    pixels = random_pixels(1200, 1300)
    assert api.put(session, 'a', png(pixels))[0] == 201
    nothing_left()
    with monkeypatch.context() as patch:
        assert api.finalize(session)[0] == 200
        fill(patch)
        dispatched.run_failing()
    failed = api.get(session)[1]
    assert failed['state'] == 'error'
    assert re.search(sentence, failed['error']), failed['error']
    assert WORK not in failed['error']
    assert Job().load(failed['jobId'], force=True)['status'] == JobStatus.ERROR
    nothing_left()
    assert api.finalize(session)[0] == 200
    dispatched.run()
    done = api.get(session)[1]
    assert done['state'] == 'complete', done['error']
    assert np.array_equal(np.moveaxis(stored_array(done), 0, -1), pixels)


def test_an_assetstore_without_room_is_answered_at_once(api, session, dispatched, nothing_left, monkeypatch):
    assert api.put(session, 'a', png(random_pixels(20, 30)))[0] == 201
    nothing_left()
    with monkeypatch.context() as patch:
        at_reserve(patch)
        status, answer = api.finalize(session)
    assert status == 507
    assert re.search(IN_ASSETSTORE, answer['message']), answer
    assert api.get(session)[1]['state'] == 'open'
    assert not dispatched
    nothing_left()
    assert api.finalize(session)[0] == 200
