"""Girder's plugin user_quota: patches and results count, and what has no room is refused whole."""

import io
import json
import tarfile

import numpy as np
import pytest
from girder import events
from girder.models.assetstore import Assetstore
from girder.models.file import File
from girder.models.folder import Folder
from girder.models.upload import Upload
from girder.models.user import User

from girder_zarr.client import Patch
from girder_zarr.client.patch import tar_of
from girder_zarr.server.sessions import quota
from support.server import Api, npy

pytest.importorskip('girder_user_quota', reason='the quota plugin is not installed')
pytestmark = [pytest.mark.plugin('user_quota'), pytest.mark.plugin('zarr')]
BODY = npy(np.random.default_rng(1).integers(0, 255, (32, 32), 'uint8'))
SIZE = len(BODY)


@pytest.fixture
def allow(api, people):
    """Give the owner of the folder so many bytes, as an administrator does."""

    def change(nbytes):
        policy = {'fileSizeQuota': nbytes, 'useQuotaDefault': False}
        path = f'/user/{people["owner"]["_id"]}/quota'
        status, answer = api.call('PUT', path, {'policy': json.dumps(policy)}, user=people['admin'])
        assert status == 200, answer

    return change


@pytest.fixture
def sizes(people, folder):
    """What Girder says that folder and owner hold."""

    def read():
        quota.flush()
        found = Folder().load(folder['_id'], force=True), User().load(people['owner']['_id'], force=True)
        return tuple(document['size'] for document in found)

    return read


def temporary_files():
    """What uploads have left in the assetstore."""
    from pathlib import Path

    root = Path(Assetstore().getCurrent()['root'], 'temp')
    return [path for path in root.rglob('*') if path.is_file()]


def upload(api, folder, session, key, body):
    """Upload a patch as girder_client does; return the last answer."""
    reference = json.dumps({'stitchSession': session['_id'], 'key': key, 'x': 0, 'y': 0})
    params = {'parentType': 'folder', 'parentId': folder['_id'], 'name': key, 'size': len(body)}
    status, answer = api.call('POST', '/file', {**params, 'reference': reference})
    if status != 200:
        return status, answer
    return api.call(
        'POST', '/file/chunk', {'uploadId': answer['_id'], 'offset': 0}, body=body, content_type='any/thing'
    )


def bulk(api, session, keys):
    body = tar_of([(Patch(key, BODY, 32 * at, 0), BODY) for at, key in enumerate(keys)])
    return api.call('POST', f'/stitch_session/{session["_id"]}/patches', body=body, content_type='any/tar')


def test_patches_count_until_they_are_removed(api, folder, session, sizes):
    api.put(session, 'a', BODY)
    assert sizes() == (SIZE, SIZE)
    bulk(api, session, 'abc')
    assert sizes() == (3 * SIZE, 3 * SIZE)
    assert upload(api, folder, session, 'd', BODY)[0] == 200
    api.call('PUT', f'/stitch_session/{session["_id"]}/reference/f', body=BODY, content_type='any/npy')
    assert sizes() == (5 * SIZE, 5 * SIZE)
    api.call('DELETE', f'/stitch_session/{session["_id"]}/patch/a')
    assert sizes() == (4 * SIZE, 4 * SIZE)
    api.put(session, 'd', BODY, x=7, replace=True)
    assert sizes() == (4 * SIZE, 4 * SIZE)
    api.delete(session)
    assert sizes() == (0, 0)


def test_a_file_whose_removal_comes_before_its_count_counts_nowhere(api, session, sizes, monkeypatch):
    """A session may be deleted by somebody else between the moment a patch is stored and its count."""
    count = quota.count

    def removed_first(file, folder_id):
        events.trigger('model.file.remove', file)
        count(file, folder_id)

    monkeypatch.setattr(quota, 'count', removed_first)
    api.put(session, 'a', BODY)
    assert sizes() == (0, 0)


def test_a_removed_folder_takes_its_patches_out_of_the_size(api, people, folder, session, sizes):
    api.put(session, 'a', BODY)
    Folder().remove(folder)
    quota.flush()
    assert User().load(people['owner']['_id'], force=True)['size'] == 0


def test_a_moved_folder_takes_its_patches_along(api, people, folder, session):
    api.put(session, 'a', BODY)
    Folder().move(Folder().load(folder['_id'], force=True), people['writer'], 'user')
    quota.flush()
    owners = [User().load(people[name]['_id'], force=True)['size'] for name in ('owner', 'writer')]
    assert owners == [0, SIZE]


def test_the_consistency_check_counts_patches_again(api, people, session, sizes):
    api.put(session, 'a', BODY)
    status, answer = api.call('PUT', '/system/check', user=people['admin'])
    assert status == 200, answer
    assert sizes() == (SIZE, SIZE)
    api.delete(session)
    assert sizes() == (0, 0)


def test_what_a_quota_has_no_room_for_is_refused(api, folder, session, sizes, stored, allow):
    allow(2 * SIZE - 1)
    api.put(session, 'a', BODY)
    before, seen, files = stored(), api.get(session)[1], temporary_files()
    path = f'/stitch_session/{session["_id"]}/reference/f'
    answers = [
        api.put(session, 'b', BODY),
        api.call('PUT', path, body=BODY, content_type='any/npy'),
        upload(api, folder, session, 'b', BODY),
    ]
    for status, answer in answers:
        assert (status, 'quota' in answer['message']) == (413, True), answer
        assert answer['message'].startswith('There is no space for it: ')
    assert (stored(), api.get(session)[1], temporary_files()) == (before, seen, files)
    assert sizes() == (SIZE, SIZE)
    allow(2 * SIZE)
    assert api.put(session, 'b', BODY)[0] == 201


def test_of_many_patches_those_are_stored_that_fit(api, session, sizes, allow):
    allow(2 * SIZE)
    status, answer = bulk(api, session, 'abc')
    assert status == 200
    codes = {patch['key']: patch['code'] for patch in answer['patches']}
    assert codes == {'a': 201, 'b': 201, 'c': 413}, answer
    assert 'quota' in answer['patches'][2]['message']
    assert sizes() == (2 * SIZE, 2 * SIZE)
    assert api.get(session)[1]['counts'] == {'patches': 2, 'bytes': 2 * SIZE}


def test_patches_take_room_from_ordinary_uploads(api, people, folder, session, allow):
    allow(2 * SIZE - 1)
    api.put(session, 'a', BODY)
    params = {'parentType': 'folder', 'parentId': folder['_id'], 'name': 'a', 'size': SIZE}
    assert api.call('POST', '/file', params)[0] == 400


def test_the_quota_of_the_sessions_folder_counts_wherever_an_upload_goes(api, people, session, allow):
    other = Folder().createFolder(people['writer'], 'other', parentType='user', creator=people['writer'])
    allow(SIZE - 1)
    as_writer = Api(api.server, people['writer'])
    assert upload(as_writer, other, session, 'a', BODY)[0] == 413


def test_an_upload_that_was_begun_before_the_room_was_gone(api, folder, session, stored, allow):
    before = stored()
    reference = json.dumps({'stitchSession': session['_id'], 'key': 'a', 'x': 0, 'y': 0})
    params = {'parentType': 'folder', 'parentId': folder['_id'], 'name': 'a', 'size': SIZE}
    _, begun = api.call('POST', '/file', {**params, 'reference': reference})
    allow(SIZE - 1)
    params = {'uploadId': begun['_id'], 'offset': 0}
    status, answer = api.call('POST', '/file/chunk', params, body=BODY, content_type='any/thing')
    assert status in {400, 413}, answer
    assert 'quota' in answer['message']
    assert (stored(), temporary_files()) == (before, [])


def test_a_result_without_room_ends_in_error_and_can_be_made_later(
    api, session, sizes, stored, allow, dispatched
):
    api.put(session, 'a', BODY)
    allow(SIZE + 100)
    before = stored()
    api.finalize(session)
    dispatched.run_failing()
    _, found = api.get(session)
    assert found['state'] == 'error'
    assert found['error'].startswith('There is no space for it: ')
    assert 'quota' in found['error']
    assert (stored(), temporary_files(), sizes()) == (before, [], (SIZE, SIZE))
    allow(2**20)
    api.finalize(session)
    dispatched.run()
    _, found = api.get(session)
    assert found['state'] == 'complete'
    file = File().load(found['fileId'], force=True)
    assert sizes() == (SIZE + file['size'], SIZE + file['size'])


def test_a_worker_asks_the_quota_too(api, folder, session, allow, dispatched, monkeypatch):
    """A worker has none of the server's handlers; what the worker's plugin binds is enough."""
    from girder_zarr.worker_plugin import ZarrWorkerPlugin

    api.put(session, 'a', BODY)
    allow(SIZE + 100)
    api.finalize(session)
    monkeypatch.setattr(events, '_mapping', {})
    ZarrWorkerPlugin(None)
    dispatched.run_failing()
    assert 'quota' in api.get(session)[1]['error']
    assert Upload().collection.count_documents({}) == 0


def test_a_dropped_patch_makes_room(api, folder, dispatched, sizes):
    _, session = api.create(folder, keepPatches=False)
    api.put(session, 'a', BODY)
    api.finalize(session)
    dispatched.run()
    file = File().load(api.get(session)[1]['fileId'], force=True)
    assert sizes() == (file['size'], file['size'])


def test_a_tar_with_a_quota_of_nothing(api, session, stored, allow):
    allow(0)
    before = stored()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w') as archive:
        member = tarfile.TarInfo('x0_y0.npy')
        member.size = SIZE
        archive.addfile(member, io.BytesIO(BODY))
    path = f'/stitch_session/{session["_id"]}/patches'
    status, answer = api.call('POST', path, body=stream.getvalue(), content_type='application/x-tar')
    assert (status, answer['patches'][0]['code']) == (200, 413), answer
    assert stored() == before
