"""Limits that an administrator sets: they hold from the next request, and what is refused leaves nothing."""

import json

import pytest
from girder.exceptions import ValidationException
from girder.models.setting import Setting

from girder_zarr.client import Patch
from girder_zarr.client.patch import tar_of
from girder_zarr.server.settings.define import SettingKey
from girder_zarr.server.settings.session_limits import MAX_LIMITS, normalise
from support.server import npy, png, random_pixels

pytestmark = pytest.mark.plugin('zarr')
BODY = png(random_pixels(8, 8))


@pytest.fixture
def limit(api, people):
    """Set limits as an administrator does, over REST."""

    def change(**limits):
        params = {'key': SettingKey.STITCH_LIMITS, 'value': json.dumps(limits)}
        status, answer = api.call('PUT', '/system/setting', params, user=people['admin'])
        assert status == 200, answer

    yield change
    Setting().unset(SettingKey.STITCH_LIMITS)


def put(api, folder, session, x, y):
    return api.put(session, 'a', BODY, x=x, y=y)


def put_bulk(api, folder, session, x, y):
    body = tar_of([(Patch('a', BODY, x, y), BODY)])
    status, answer = api.call(
        'POST', f'/stitch_session/{session["_id"]}/patches', body=body, content_type='application/x-tar'
    )
    assert status == 200, answer
    return answer['patches'][0]['code'], answer['patches'][0]


def put_file(api, folder, session, x, y):
    params = {'parentType': 'folder', 'parentId': folder['_id'], 'name': 'a', 'size': len(BODY)}
    _, file = upload(api, params)
    body = json.dumps([{'key': 'a', 'fileId': file['_id'], 'x': x, 'y': y}])
    path = f'/stitch_session/{session["_id"]}/files'
    status, answer = api.call('POST', path, body=body, content_type='application/json')
    assert status == 200, answer
    api.call('DELETE', f'/item/{file["itemId"]}')
    return answer['patches'][0]['code'], answer['patches'][0]


def put_upload(api, folder, session, x, y):
    reference = json.dumps({'stitchSession': session['_id'], 'key': 'a', 'x': x, 'y': y})
    params = {'parentType': 'folder', 'parentId': folder['_id'], 'name': 'a', 'size': len(BODY)}
    status, answer = upload(api, {**params, 'reference': reference})
    return (201 if status == 200 else status), answer


def upload(api, params):
    status, answer = api.call('POST', '/file', params)
    if status != 200:
        return status, answer
    params = {'uploadId': answer['_id'], 'offset': 0}
    return api.call('POST', '/file/chunk', params, body=BODY, content_type='any/thing')


@pytest.mark.parametrize('way', [put, put_bulk, put_file, put_upload])
@pytest.mark.parametrize(
    ('limits', 'place', 'number'),
    [
        ({'patchBytes': 100}, (0, 0), '100'),
        ({'patchPixels': 63}, (0, 0), '63'),
        ({'patches': 1}, (0, 0), '1'),
        ({'sessionBytes': 2 * len(BODY) - 1}, (0, 0), str(2 * len(BODY) - 1)),
        ({'imageSide': 20}, (13, 0), '20'),
        ({'imageValues': 300}, (8, 8), '300'),
        ({'dtypes': ['uint16', 'float32']}, (0, 0), 'uint16, float32'),
    ],
    ids=str,
)
def test_a_patch_over_a_limit_in_every_way(api, folder, session, stored, limit, way, limits, place, number):
    api.put(session, 'first', BODY)
    before, seen = stored(), api.get(session)[1]
    limit(**limits)
    found, refusal = way(api, folder, session, *place)
    assert (
        found,
        f'limit is {number}' in refusal['message'] or f'{number} bytes, which is' in refusal['message'],
    ) == (
        413,
        True,
    ), refusal
    assert stored() == before
    now = api.get(session)[1]
    assert {**now, 'updated': None, 'revision': None} == {**seen, 'updated': None, 'revision': None}
    limit()
    assert way(api, folder, session, *place)[0] == 201


@pytest.mark.parametrize(
    'limits',
    [{'requestPatches': 2}, {'requestBytes': 100}],
)
def test_a_request_over_a_limit(api, session, stored, limit, limits):
    before = stored()
    limit(**limits)
    body = tar_of([(Patch(key, BODY, 8 * at, 0), BODY) for at, key in enumerate('abc')])
    path = f'/stitch_session/{session["_id"]}/patches'
    status, refusal = api.call('POST', path, body=body, content_type='application/x-tar')
    assert (status, str(*limits.values()) in refusal['message']) == (413, True), refusal
    assert stored() == before
    limit()
    status, answer = api.call('POST', path, body=body, content_type='application/x-tar')
    assert status == 200
    assert api.get(session)[1]['counts']['patches'] == 3


def test_reference_images_over_a_limit(api, session, stored, limit):
    def reference(key, **params):
        path = f'/stitch_session/{session["_id"]}/reference/{key}'
        return api.call('PUT', path, params, body=BODY, content_type='image/png')

    limit(references=1)
    assert reference('a')[0] == 201
    before, seen = stored(), api.get(session)[1]
    status, refusal = reference('b')
    assert (status, 'limit is 1' in refusal['message']) == (413, True), refusal
    for limits in ({'patchBytes': 100}, {'patchPixels': 63}, {'sessionBytes': len(BODY)}):
        limit(**limits)
        status, refusal = reference('b')
        assert (status, str(*limits.values()) in refusal['message']) == (413, True), refusal
    assert (stored(), api.get(session)[1]) == (before, seen)
    limit(references=1)
    assert reference('a', replace=True)[0] == 200
    limit()
    assert reference('b')[0] == 201


def test_registration_over_a_limit(api, folder, session, stored, limit):
    before = stored()
    limit(registrationPairs=50)
    status, refusal = api.create(folder, registration={'maxPairs': 51})
    assert (status, 'at most 50' in refusal['message']) == (413, True), refusal
    assert stored() == before
    change = json.dumps({'spec': {'registration': {'maxPairs': 51}}})
    path = f'/stitch_session/{session["_id"]}'
    assert api.call('PUT', path, body=change, content_type='application/json')[0] == 413
    assert api.get(session)[1]['spec']['registration'] is None
    assert api.create(folder, registration={'maxPairs': 50})[0] == 200


@pytest.mark.parametrize(
    ('limits', 'number'),
    [
        ({'imageSide': 15}, '15'),
        ({'imageValues': 300}, '300'),
        ({'patches': 1}, '1'),
        ({'sessionBytes': 100}, '100'),
        ({'registrationPatches': 1}, '1'),
        ({'registrationPairs': 5}, '5'),
    ],
    ids=str,
)
def test_limits_that_were_lowered_hold_when_the_image_is_asked_for(
    api, folder, stored, dispatched, limit, limits, number
):
    _, session = api.create(folder, registration={'maxPairs': 10})
    api.put(session, 'a', BODY)
    api.put(session, 'b', BODY, x=8)
    before, seen = stored(), api.get(session)[1]
    limit(**limits)
    status, refusal = api.finalize(session)
    assert (status, number in refusal['message']) == (413, True), refusal
    assert not dispatched
    assert (stored(), api.get(session)[1]) == (before, seen)
    limit()
    assert api.finalize(session)[1]['state'] == 'finalizing'


def test_what_is_replaced_makes_room(api, session, limit):
    large, small = npy(random_pixels(16, 16)), npy(random_pixels(8, 8))
    api.put(session, 'a', large)
    limit(patches=1, sessionBytes=len(small))
    assert api.put(session, 'a', small, replace=True)[0] == 200
    assert api.put(session, 'a', large, replace=True)[0] == 413
    assert api.get(session)[1]['counts'] == {'patches': 1, 'bytes': len(small)}


def test_open_sessions_of_one_user(api, folder, people, limit, stored, dispatched):
    limit(openSessions=2)
    _, first = api.create(folder)
    assert api.create(folder)[0] == 200
    before = stored()
    status, refusal = api.create(folder)
    assert (status, 'limit is 2' in refusal['message']) == (429, True)
    assert stored() == before
    assert api.create(folder, user=people['writer'])[0] == 200
    api.put(first, 'a', BODY)
    api.finalize(first)
    dispatched.run()
    assert api.create(folder)[0] == 200


@pytest.mark.parametrize(
    ('value', 'words'),
    [
        (3, 'a JSON object'),
        ({'patchbytes': 3}, 'patchBytes'),
        ({'patches': 0}, 'from 1 to'),
        ({'patches': True}, 'from 1 to'),
        ({'patches': 1.5}, 'from 1 to'),
        ({'patches': '7'}, 'from 1 to'),
        ({'patchBytes': MAX_LIMITS.patchBytes + 1}, str(MAX_LIMITS.patchBytes)),
        ({'dtypes': 'uint8'}, 'a list'),
        ({'dtypes': []}, 'a list'),
        ({'dtypes': ['uint8', 'complex64']}, 'a list'),
        ({'dtypes': [['uint8']]}, 'a list'),
    ],
)
def test_what_is_no_limit(db, value, words):
    with pytest.raises(ValidationException, match=words):
        Setting().set(SettingKey.STITCH_LIMITS, value)
    assert Setting().get(SettingKey.STITCH_LIMITS) == {}


def test_a_limit_is_taken_back_with_null():
    assert normalise({'patches': None, 'patchBytes': 7}) == {'patchBytes': 7}
    assert normalise(None) == {}
