"""What was acknowledged is on the disk, and what dead servers leave behind is found and removed."""

import datetime as dt
import errno
import hashlib
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from girder.models.assetstore import Assetstore
from girder.models.file import File
from girder.models.folder import Folder
from girder.models.upload import Upload
from girder.utility import RequestBodyStream
from girder.utility.filesystem_assetstore_adapter import FilesystemAssetstoreAdapter

from girder_zarr.errors import CancelledError
from girder_zarr.server.maintenance import orphans
from girder_zarr.server.patches import keyed
from girder_zarr.server.patches.files import store_file
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.server.storage import durable_files
from girder_zarr.server.storage.transfer import remove_file, send_path
from support.factories import new_patch
from support.server import npy, png, random_pixels, stored_array, tar

pytestmark = pytest.mark.plugin('zarr')
BODY = png(random_pixels(16, 16))


@pytest.fixture(autouse=True)
def _never_swept(monkeypatch):
    monkeypatch.setattr(orphans, '_swept', None)


@pytest.fixture
def root(zarr_server):
    return Path(Assetstore().getCurrent()['root'])


@pytest.fixture
def contents(root):
    """List the files of the assetstore with their bytes, Girder's locks left out."""

    def read():
        paths = [path for path in root.rglob('*') if path.is_file() and path.suffix != '.deleteLock']
        return {str(path.relative_to(root)): path.read_bytes() for path in paths}

    return read


@pytest.fixture
def synced(monkeypatch):
    """What the system was asked to keep, by path; what was moved afterwards under its new name too."""
    found = []
    original = os.fsync

    def fsync(handle):
        found.append(Path(f'/proc/self/fd/{handle}').readlink())
        original(handle)

    monkeypatch.setattr(os, 'fsync', fsync)
    monkeypatch.setattr(durable_files, '_synced', set())
    return found


def document(session):
    return StitchSession().get(session['_id'])


def check_kept(root, synced, file):
    path = root / file['path']
    assert path in synced or any(one.parent.name == 'temp' for one in synced), synced
    for needed in (path.parent, path.parent.parent, root):
        assert needed in synced, f'{needed} was not synced'


@pytest.mark.parametrize('way', ['single', 'bulk', 'reference', 'upload', 'file'])
def test_a_patch_is_on_the_disk_before_the_answer(api, people, folder, session, root, synced, way):
    path = f'/stitch_session/{session["_id"]}'
    if way == 'single':
        status, _ = api.put(session, 'a', BODY)
        assert status == 201
    elif way == 'bulk':
        body = tar([(f'p_x{16 * n}_y0', npy(random_pixels(16, 16, seed=n))) for n in range(3)])
        status, _ = api.call('POST', f'{path}/patches', body=body, content_type='application/x-tar')
        assert status == 200
    elif way == 'reference':
        status, _ = api.call('PUT', f'{path}/reference/m', body=BODY, content_type='image/png')
        assert status == 201
    else:
        reference = {'stitchSession': session['_id'], 'key': 'a', 'x': 0, 'y': 0}
        upload = Upload().uploadFromFile(
            io.BytesIO(BODY), len(BODY), 'a.png', 'folder', folder, people['owner'],
            reference=json.dumps(reference) if way == 'upload' else None,
        )  # fmt: skip
    if way == 'file':
        synced.clear()
        entries = [{'fileId': str(upload['_id']), 'x': 0, 'y': 0}]
        status, answer = api.call('POST', f'{path}/files', body=json.dumps(entries), content_type='any/json')
        assert (status, answer['patches'][0]['status']) == (200, 'created')
    (file,) = File().find()
    check_kept(root, synced, file)


def test_an_image_is_on_the_disk_before_its_session_is_complete(
    api, session, root, synced, dispatched, monkeypatch
):
    assert api.put(session, 'a', BODY)[0] == 201
    api.finalize(session)
    original, before = StitchSession.complete, []

    def complete(self, document, item, file):
        before.extend(synced)
        return original(self, document, item, file)

    monkeypatch.setattr(StitchSession, 'complete', complete)
    synced.clear()
    dispatched.run()
    result = File().load(StitchSession().get(session['_id'])['fileId'], force=True)
    assert root / result['path'] in before
    check_kept(root, before, result)


def test_equal_contents_are_stored_once_and_go_with_the_last(api, session, contents):
    assert api.put(session, 'a', BODY)[0] == 201
    assert api.put(session, 'b', BODY, x=16)[0] == 201
    assert list(contents().values()) == [BODY]
    path = f'/stitch_session/{session["_id"]}/patch/'
    assert api.call('DELETE', path + 'a')[0] == 200
    assert list(contents().values()) == [BODY]
    assert api.call('DELETE', path + 'b')[0] == 200
    assert contents() == {}


def test_contents_that_are_removed_while_the_same_are_stored(api, session, contents, monkeypatch):
    """Somebody removes the only other file of these contents at the worst moment."""
    api.put(session, 'a', BODY)
    original = durable_files._place

    def place(temporary, final):
        StitchPatch().discard(document(session), 'a')
        original(temporary, final)

    monkeypatch.setattr(durable_files, '_place', place)
    assert api.put(session, 'b', BODY)[0] == 201
    assert list(contents().values()) == [BODY]


def test_contents_that_a_crash_cut_short_are_mended(api, session, root, contents, dispatched):
    pixels = random_pixels(16, 16)
    api.put(session, 'a', png(pixels))
    (file,) = File().find()
    (root / file['path']).write_bytes(b'')
    api.put(session, 'b', png(pixels), x=16)
    api.finalize(session)
    dispatched.run()
    done = api.get(session)[1]
    assert done['state'] == 'complete', done
    assert np.array_equal(stored_array(done)[:, :, :16], np.moveaxis(pixels, -1, 0))


@pytest.mark.parametrize('step', ['_copy', 'fsync', '_place', '_sync_entries'])
def test_a_disk_that_fails_leaves_nothing(api, session, stored, contents, monkeypatch, step):
    def fail(*args):
        raise OSError('the disk is gone')

    before = stored()
    monkeypatch.setattr(os if step == 'fsync' else durable_files, step, fail)
    with pytest.raises(AssertionError, match='the disk is gone'):
        api.put(session, 'a', BODY)
    assert (stored(), contents()) == (before, {})


@pytest.mark.parametrize('free', [0, len(BODY) - 1])
def test_an_assetstore_that_is_full(api, session, stored, contents, monkeypatch, free):
    before, room = stored(), {'free': free, 'reserved': 10 * 2.0**30, 'total': 2**40}
    monkeypatch.setattr(FilesystemAssetstoreAdapter, 'capacityInfo', lambda _: room)
    status, refusal = api.put(session, 'a', BODY)
    assert status == 507, refusal
    for part in (f'{len(BODY)} bytes', ' 10737418240 ', 'GIRDER_FILESYSTEMASSETSTORE_RESERVED_MBYTES'):
        assert part in refusal['message']
    assert (stored(), contents()) == (before, {})
    room['free'] = len(BODY) + 1
    assert api.put(session, 'a', BODY)[0] == 201


def leave_behind(session, folder, user):
    """Leave what servers leave that die at different steps of a request."""
    store_file(session, new_patch('b'), user)
    held = StitchPatch()._insert(session, new_patch('c'))
    hour = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    StitchPatch().update({'_id': held['_id']}, {'$set': {'lockedAt': hour}})
    # Committed, but not settled.
    StitchPatch().commit(session, [new_patch('c', 1000)], 1, 123)
    for fields in ({'stitchSessionId': session['_id']}, {}):
        reference = json.dumps({'stitchSession': str(session['_id']), 'key': 'd', 'x': 0, 'y': 0})
        upload = Upload().createUpload(user, 'd', 'folder', folder, 10, reference=reference, save=False)
        Upload().save({**upload, **fields})
    root = Path(Assetstore().getCurrent()['root'])
    (root / 'temp' / f'girder-zarr-{session["_id"]}-abc').write_bytes(b'half')


def test_a_sweep_finds_what_dead_servers_left(api, people, folder, session, stored, contents):
    api.put(session, 'a', BODY)
    body = tar([(f'p_x{16 * n}_y0', npy(random_pixels(16, 16, seed=n))) for n in range(3)])
    path = f'/stitch_session/{session["_id"]}'
    api.call('POST', f'{path}/patches', body=body, content_type='application/x-tar')
    api.call('PUT', f'{path}/reference/m', body=png(random_pixels(4, 4)), content_type='image/png')
    before = stored(), contents(), {**api.get(session)[1], 'revision': 0, 'updated': 0}
    leave_behind(document(session), folder, people['owner'])
    assert stored() != before[0]
    # What is young may be a request under way.
    assert orphans.sweep_orphans(document(session)) == 1
    assert len(contents()) == len(before[1]) + 4
    assert orphans.sweep_orphans(document(session), 0) == 4
    assert (stored(), contents(), {**api.get(session)[1], 'revision': 0, 'updated': 0}) == before
    assert orphans.sweep_orphans(document(session), 0) == 0
    assert {one['key'] for one in api.call('GET', f'{path}/patch')[1]} == {
        'a',
        *(f'p_x{x}_y0' for x in (0, 16, 32)),
    }


def test_a_sweep_removes_parts_of_attempts_that_are_over(api, people, session, stored, contents, dispatched):
    api.put(session, 'a', BODY)
    before = stored(), contents()
    assert api.finalize(session)[0] == 200
    running = document(session)['attempt']
    late = [store_file(document(session), new_patch('b', x), people['owner']) for x in (1, 2)]
    for file, attempt in zip(late, ('over', running), strict=True):
        part = {'sessionId': document(session)['_id'], 'attempt': attempt}
        File().update({'_id': file['_id']}, {'$set': {'stitchPartOf': part}})
    assert orphans.sweep_orphans(document(session), 0) == 1
    assert File().load(late[1]['_id'], force=True) is not None
    api.cancel(session)
    orphans.sweep_orphans(document(session), 0)
    after = stored()
    assert (after['File'], contents()) == (before[0]['File'], before[1])


def test_a_deleted_session_leaves_nothing(api, people, folder, session, stored, contents):
    before = stored()
    api.put(session, 'a', BODY)
    leave_behind(document(session), folder, people['owner'])
    assert api.delete(session)[0] == 200
    before['StitchSession'] -= 1
    assert (stored(), contents()) == (before, {})


def test_what_was_stored_for_a_session_that_went_meanwhile(api, people, folder, session, stored, contents):
    found = document(session)
    api.delete(session)
    before = stored()
    store_file(found, new_patch('b'), people['owner'])
    assert orphans.sweep_all() == 0
    assert orphans.sweep_all(0) == 1
    assert orphans.sweep_all(0) == 0
    assert (stored(), contents()) == (before, {})
    Folder().remove(folder)
    with pytest.raises(Exception, match='folder of the session is gone'):
        store_file(found, new_patch('b'), people['owner'])


def test_a_request_that_stood_still_gives_up(api, people, session, stored, contents, monkeypatch):
    """A sweep may have taken its file for left behind."""
    before = stored()
    monkeypatch.setattr(keyed, 'ORPHAN_SECONDS', -1)
    status, refusal = api.put(session, 'a', BODY)
    assert (status, 'try again' in refusal['message']) == (409, True)
    assert (stored(), contents()) == (before, {})
    remove_file(None)


def test_servers_sweep_all_sessions_from_time_to_time(api, people, session, stored, contents, monkeypatch):
    monkeypatch.setattr(orphans, '_due', float('-inf'))
    swept, original = [], orphans.sweep_all
    monkeypatch.setattr(orphans, 'sweep_all', lambda whole: swept.append(original(0, whole=whole)))
    api.put(session, 'a', BODY)
    before = stored(), contents()
    store_file(document(session), new_patch('b'), people['owner'])
    orphans.sweep_if_due()
    orphans.sweep_if_due()
    assert (swept, stored(), contents()) == ([1], *before)


@pytest.mark.parametrize('step', ['_update', '_remove_bytes'])
def test_an_error_after_a_patch_was_settled_costs_no_bytes(api, session, dispatched, monkeypatch, step):
    """The connection to the database breaks after it did what it was asked for."""
    pixels = random_pixels(16, 16, seed=3)
    api.put(session, 'a', BODY)
    original = getattr(StitchPatch, step)

    def fail(*args, **kwargs):
        original(*args, **kwargs)
        raise RuntimeError('the database is gone')

    with monkeypatch.context() as patched:
        patched.setattr(StitchPatch, step, fail)
        if step == '_update':
            with pytest.raises(AssertionError, match='the database is gone'):
                api.put(session, 'a', png(pixels), replace=True)
        else:
            assert api.put(session, 'a', png(pixels), replace=True)[1]['status'] == 'replaced'
    assert api.put(session, 'a', png(pixels))[1]['status'] == 'unchanged'
    api.finalize(session)
    dispatched.run()
    done = api.get(session)[1]
    assert done['state'] == 'complete', done
    assert np.array_equal(stored_array(done), np.moveaxis(pixels, -1, 0))


def test_an_upload_whose_server_died_before_it_was_written_down(api, session, contents):
    api.put(session, 'a', BODY)
    before, root = contents(), Path(Assetstore().getCurrent()['root'])
    (root / 'temp' / 'tmpabcd1234').write_bytes(b'')
    assert orphans.sweep_all() == 0
    assert orphans.sweep_all(0) == 1
    assert contents() == before


@pytest.mark.parametrize('twin', [False, True])
def test_an_upload_whose_server_died_at_its_very_end(
    api, people, folder, session, stored, contents, monkeypatch, twin
):
    """The contents have their final name by then, and no file names them."""
    if twin:
        api.put(session, 'a', BODY)
    before = stored(), contents()
    reference = json.dumps({'stitchSession': session['_id'], 'key': 'd', 'x': 0, 'y': 0})
    user = people['owner']
    upload = Upload().createUpload(user, 'd', 'folder', folder, len(BODY), reference=reference)

    def die(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(File, 'save', die)
        with pytest.raises(KeyboardInterrupt):
            Upload().handleChunk(upload, RequestBodyStream(io.BytesIO(BODY), len(BODY)))
    assert BODY in contents().values()
    found = document(session)
    if twin:
        orphans.sweep_orphans(found, 0)
    else:
        Upload().cancelUpload(Upload().load(upload['_id']))
    assert (stored(), contents()) == before


@pytest.fixture
def upload_of(people, folder):
    def begin(size):
        return Upload().createUpload(people['owner'], 'image.zip', 'folder', folder, size)

    return begin


@pytest.mark.parametrize('elsewhere', [False, True])
def test_a_result_is_moved_into_the_assetstore_or_copied_from_another_disk(
    upload_of, contents, tmp_path, monkeypatch, elsewhere
):
    path, replace = tmp_path / 'image.zip', Path.replace
    path.write_bytes(BODY)
    number = path.stat().st_ino

    def move(self, target):
        if elsewhere and self == path:
            raise OSError(errno.EXDEV, 'Invalid cross-device link')
        return replace(self, target)

    monkeypatch.setattr(Path, 'replace', move)
    file = send_path(upload_of(len(BODY)), path)
    stored = Path(File().getLocalFilePath(file))
    assert (stored.stat().st_ino == number) is not elsewhere
    assert stored.stat().st_mode & 0o777 == 0o600  # as Girder leaves it
    assert file['sha512'] == stored.name == hashlib.sha512(BODY).hexdigest()
    assert list(contents().values()) == [BODY]
    assert Upload().findOne({}) is None
    assert b''.join(File().download(file, headers=False)()) == BODY


def test_a_result_whose_upload_was_removed_goes_nowhere(upload_of, contents, tmp_path):
    path = tmp_path / 'image.zip'
    path.write_bytes(BODY)
    upload = upload_of(len(BODY))
    Upload().cancelUpload(upload)
    with pytest.raises(CancelledError, match='not wanted any more'):
        send_path(upload, path)
    assert contents() == {}
    assert (File().findOne({}), Upload().findOne({})) == (None, None)


def test_a_result_that_is_stored_already_is_not_stored_twice(upload_of, contents, tmp_path):
    for name in 'ab':
        path = tmp_path / name
        path.write_bytes(BODY)
        send_path(upload_of(len(BODY)), path)
        assert list(contents().values()) == [BODY]
    assert File().find({}).count() == 2


def test_locks_of_removals_are_swept(api, session, fsAssetstore):  # noqa: N803 - pytest-girder's fixture
    root = Path(fsAssetstore['root'])
    api.put(session, 'a', png(random_pixels(8, 8)))
    api.put(session, 'b', png(random_pixels(8, 9)))
    api.call('DELETE', f'/stitch_session/{session["_id"]}/patch/a')
    [lock] = root.rglob('*.deleteLock')
    [kept] = [path for path in root.glob('??/??/*') if path.suffix != '.deleteLock']
    beside = kept.with_name(kept.name + '.deleteLock')
    beside.touch()
    assert durable_files.remove_locks(600) == 0
    assert lock.exists()
    assert durable_files.remove_locks(0) == 1
    assert not lock.exists()
    assert beside.exists(), 'its contents are there'
