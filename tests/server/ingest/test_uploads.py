"""Girder's own uploads with a reference, and files that are in Girder already, as patches."""

import io
import json

import numpy as np
import pytest
from bson import ObjectId
from girder.models.file import File
from girder.models.folder import Folder
from girder.models.setting import Setting
from girder.models.upload import Upload
from girder.settings import SettingKey

from support.server import png, random_pixels, stored_array

pytestmark = pytest.mark.plugin('zarr')
PIXELS = random_pixels(32, 32)
BODY = png(PIXELS)


@pytest.fixture
def upload(api, folder):
    """Upload in chunks as girder_client and the web client do; return the last status and answer."""
    Setting().set(SettingKey.UPLOAD_MINIMUM_CHUNK_SIZE, 0)

    def send(body, reference, *, chunk=1000, into=folder, parent_type='folder', user=...):
        text = reference if isinstance(reference, str) else json.dumps(reference)
        params = {'parentType': parent_type, 'parentId': into['_id'], 'name': 'a.png', 'size': len(body)}
        status, answer = api.call('POST', '/file', {**params, 'reference': text}, user=user)
        at = 0
        while status == 200 and at < len(body):
            params = {'uploadId': answer['_id'], 'offset': at}
            piece = body[at : at + chunk]
            status, answer = api.call(
                'POST', '/file/chunk', params, body=piece, content_type='application/octet-stream', user=user
            )
            at += chunk
        return status, answer

    return send


def test_an_upload_with_a_reference_becomes_a_patch(api, session, upload, stored, dispatched):
    before = stored()
    reference = {'stitchSession': session['_id'], 'key': 'a', 'x': -3, 'y': 4, 'order': 2}
    status, answer = upload(BODY, reference)
    assert status == 200, answer
    assert stored() == {**before, 'File': before['File'] + 1, 'StitchPatch': before['StitchPatch'] + 1}
    status, patch = api.call('GET', f'/stitch_session/{session["_id"]}/patch/a')
    assert (status, patch['position'], patch['order']) == (200, {'x': -3, 'y': 4}, 2)
    file = File().load(answer['_id'], force=True)
    assert (file['attachedToType'], file['itemId']) == (['stitch_session', 'girder_zarr'], None)
    api.finalize(session)
    dispatched.run()
    _, done = api.get(session)
    assert np.array_equal(stored_array(done), np.moveaxis(PIXELS, -1, 0))


def test_the_same_upload_again_and_another_one(api, session, upload, stored):
    reference = {'stitchSession': session['_id'], 'key': 'a', 'x': 0, 'y': 0}
    assert upload(BODY, reference)[0] == 200
    before = stored()
    assert upload(BODY, reference)[0] == 200
    assert stored() == before
    # The bytes are still there, and not only what is known of them.
    (file,) = File().find({'attachedToId': ObjectId(session['_id'])})
    assert b''.join(File().download(file, headers=False)()) == BODY
    other = png(random_pixels(8, 8, seed=1))
    status, refusal = upload(other, reference)
    assert (status, 'replace=true' in refusal['message']) == (409, True)
    assert stored() == before
    assert upload(other, {**reference, 'replace': True})[0] == 200
    assert stored() == before


@pytest.mark.parametrize(
    ('change', 'body', 'status', 'words'),
    [
        ({'stitchSession': '0123456789abcdef01234567'}, BODY, 404, 'no stitch session'),
        ({'stitchSession': 7}, BODY, 404, 'no session 7'),
        ({'x': 'left'}, BODY, 400, 'x: expected'),
        ({'key': 'a b'}, BODY, 400, 'key: expected'),
        ({'colour': 1}, BODY, 400, 'colour'),
        ({'digest': 'sha-256=:' + 'A' * 43 + '=:'}, BODY, 400, 'digest: announced'),
        ({}, b'this is no image', 415, 'not an image'),
        ({}, png(random_pixels(8, 8, 1)), 409, 'bands'),
    ],
)
def test_an_upload_that_is_refused_leaves_nothing(api, session, upload, stored, change, body, status, words):
    api.put(session, 'first', BODY)
    before = stored()
    found, refusal = upload(body, {'stitchSession': session['_id'], 'key': 'a', 'x': 0, 'y': 0, **change})
    assert (found, words in refusal['message']) == (status, True), refusal
    assert stored() == before


def test_who_may_upload_into_a_session(api, people, session, upload, stored):
    mine = Folder().createFolder(people['stranger'], 'mine', parentType='user', creator=people['stranger'])
    before = stored()
    reference = {'stitchSession': session['_id'], 'key': 'a', 'x': 0, 'y': 0}
    status, _ = upload(BODY, reference, into=mine, user=people['stranger'])
    assert status == 403
    assert stored() == before


def test_a_session_that_is_finalized_while_bytes_arrive(api, session, folder, stored, dispatched):
    api.put(session, 'first', BODY)
    before = stored()
    reference = json.dumps({'stitchSession': session['_id'], 'key': 'a', 'x': 0, 'y': 0})
    params = {'parentType': 'folder', 'parentId': folder['_id'], 'name': 'a', 'size': len(BODY)}
    _, upload = api.call('POST', '/file', {**params, 'reference': reference})
    api.finalize(session)
    status, refusal = api.call(
        'POST', '/file/chunk', {'uploadId': upload['_id'], 'offset': 0}, body=BODY, content_type='image/png'
    )
    assert (status, 'finalizing' in refusal['message']) == (409, True)
    assert stored() == before


@pytest.mark.parametrize(
    'reference', ['', 'plain text', '{"other": 1}', '["stitchSession"]', '{"stitchSession']
)
def test_references_of_others_are_left_alone(upload, stored, reference):
    before = stored()
    assert upload(BODY, reference)[0] == 200
    assert stored()['Item'] == before['Item'] + 1


def make_file(folder, user, body=BODY, name='tile.png'):
    return Upload().uploadFromFile(io.BytesIO(body), len(body), name, 'folder', folder, user)


def add(api, session, entries, **options):
    path = f'/stitch_session/{session["_id"]}/files'
    return api.call('POST', path, body=json.dumps(entries), content_type='application/json', **options)


def test_files_and_items_become_patches_where_they_are(api, session, folder, people, stored, dispatched):
    one = make_file(folder, people['owner'])
    other = random_pixels(32, 32, seed=1)
    two = make_file(folder, people['owner'], png(other), 'two.png')
    before = stored()
    entries = [
        {'fileId': str(one['_id']), 'x': 0, 'y': 0},
        {'itemId': str(two['itemId']), 'key': 'two', 'x': 32, 'y': 0},
    ]
    status, answer = add(api, session, entries)
    assert status == 200, answer
    assert [(p['key'], p['status']) for p in answer['patches']] == [
        ('tile.png', 'created'),
        ('two', 'created'),
    ]
    assert stored() == {**before, 'StitchPatch': before['StitchPatch'] + 2}
    assert [p['status'] for p in add(api, session, entries)[1]['patches']] == ['unchanged'] * 2
    api.finalize(session)
    dispatched.run()
    _, done = api.get(session)
    assert done['state'] == 'complete', done
    expected = np.concatenate([PIXELS, other], axis=1)
    assert np.array_equal(stored_array(done), np.moveaxis(expected, -1, 0))
    assert api.delete(session)[0] == 200
    assert File().load(one['_id'], force=True) is not None
    assert File().load(two['_id'], force=True) is not None


def test_a_table_of_files(api, session, folder, people):
    file = make_file(folder, people['owner'])
    path = f'/stitch_session/{session["_id"]}/files'
    table = f'fileId,key,x,y\n{file["_id"]},a,5,6\n'
    status, answer = api.call('POST', path, body=table, content_type='text/csv')
    assert (status, answer['patches'][0]['status']) == (200, 'created')


@pytest.mark.parametrize('change', ['removed', 'changed'])
def test_a_file_that_is_gone_or_changed_is_named(api, session, folder, people, dispatched, change):
    file = make_file(folder, people['owner'])
    add(api, session, [{'fileId': str(file['_id']), 'key': 'a', 'x': 0, 'y': 0}])
    if change == 'removed':
        File().remove(file)
    else:
        data = png(random_pixels(32, 32, seed=5))
        again = Upload().createUploadToFile(file, people['owner'], len(data))
        Upload().handleChunk(again, io.BytesIO(data))
    api.finalize(session)
    dispatched.run_failing()
    _, found = api.get(session)
    words = 'its file is gone from Girder' if change == 'removed' else 'is not what it was'
    assert (found['state'], 'Patch a' in found['error'], words in found['error']) == ('error', True, True)
    # The session is repaired by putting the patch.
    assert api.put(session, 'a', BODY, replace=True)[0] == 200
    api.finalize(session)
    dispatched.run()
    assert api.get(session)[1]['state'] == 'complete'


def test_files_that_cannot_be_patches(api, session, folder, people, stored):
    secret = Folder().createFolder(
        people['stranger'], 'secret', parentType='user', public=False, creator=people['stranger']
    )
    hidden = make_file(secret, people['stranger'])
    text = make_file(folder, people['owner'], b'this is no image', 'a.txt')
    entries = [
        {'fileId': str(hidden['_id']), 'key': 'a', 'x': 0, 'y': 0},
        {'itemId': str(hidden['itemId']), 'key': 'b', 'x': 0, 'y': 0},
        {'fileId': '0123456789abcdef01234567', 'key': 'c', 'x': 0, 'y': 0},
        {'fileId': 'nonsense', 'key': 'd', 'x': 0, 'y': 0},
        {'key': 'e', 'x': 0, 'y': 0},
        {'fileId': str(text['_id']), 'x': 0, 'y': 0},
        {'fileId': str(text['_id']), 'key': 'g', 'x': 0},
    ]
    before = stored()
    status, answer = add(api, session, entries)
    assert status == 200, answer
    assert [one['code'] for one in answer['patches']] == [403, 403, 404, 404, 400, 415, 400], answer
    assert stored() == before
