"""Each bad request gets its own answer and status code, and leaves nothing behind."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from support.server import npy, png, random_pixels, tar

pytestmark = pytest.mark.plugin('zarr')
NO_ID = '0123456789abcdef01234567'
GOOD = png(random_pixels(8, 8))


def bomb():
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {'descr': '|u1', 'fortran_order': False, 'shape': (100_000, 100_000)}
    )
    return stream.getvalue()


def gif():
    stream = io.BytesIO()
    Image.fromarray(random_pixels(8, 8)).save(stream, 'GIF')
    return stream.getvalue()


@pytest.mark.parametrize(
    ('key', 'body', 'params', 'headers', 'status', 'words'),
    [
        ('a', b'this is no image', {}, {}, 415, 'not an image'),
        ('a', gif(), {}, {}, 415, 'not an image'),
        ('a', GOOD[:100], {}, {}, 415, 'png'),
        ('a', npy(np.zeros((2, 2, 7))), {}, {}, 415, '7 bands'),
        ('a', npy(np.zeros((2, 2), complex)), {}, {}, 415, 'complex'),
        ('a', bomb(), {}, {}, 415, 'announces'),
        ('a', GOOD, {'x': 'left'}, {}, 400, 'x'),
        ('a', GOOD, {'x': 'nan'}, {}, 400, 'x'),
        ('a', GOOD, {'x': 2**40}, {}, 400, 'x: expected'),
        ('a', GOOD, {'z': -1}, {}, 400, 'z: expected'),
        ('a', GOOD, {'order': 2**40}, {}, 400, 'order: expected'),
        ('a b', GOOD, {}, {}, 400, 'key: expected'),
        ('x' * 201, GOOD, {}, {}, 400, 'key: expected'),
        ('a', GOOD, {}, {'Content-Digest': 'sha-256=:' + 'A' * 43 + '=:'}, 400, 'Content-Digest: announced'),
        ('a', GOOD, {}, {'Content-Digest': 'sha-256=nonsense'}, 400, 'Content-Digest: expected'),
        ('a', npy(np.zeros((8, 8, 3), 'uint16')), {}, {}, 409, 'dtype'),
        ('a', png(random_pixels(8, 8, 1)), {}, {}, 409, 'bands'),
        ('a', GOOD, {'z': 1}, {}, 409, 'axes'),
        ('a', GOOD, {'x': 2**29}, {}, 413, '4194304'),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else '',
)
def test_a_refused_patch_leaves_nothing(api, session, stored, key, body, params, headers, status, words):
    api.put(session, 'first', GOOD)
    before, seen = stored(), api.get(session)[1]
    found, refusal = api.put(session, key, body, headers=list(headers.items()), **params)
    assert (found, words in refusal['message']) == (status, True), refusal
    assert stored() == before
    assert {**api.get(session)[1], 'updated': None} == {**seen, 'updated': None}


def test_a_failing_assetstore_leaves_nothing(api, session, stored, monkeypatch):
    def fail(*args):
        raise OSError('the disk is gone')

    before = stored()
    monkeypatch.setattr('girder_zarr.server.storage.durable_files._place', fail)
    with pytest.raises(AssertionError, match='the disk is gone'):
        api.put(session, 'a', GOOD)
    assert stored() == before


def test_a_failure_after_the_file_was_stored_leaves_nothing(api, session, stored, monkeypatch):
    from girder_zarr.server.patches.model import StitchPatch

    def fail(*args, **kwargs):
        raise RuntimeError('the database is gone')

    before = stored()
    monkeypatch.setattr(StitchPatch, 'commit', fail)
    with pytest.raises(AssertionError, match='the database is gone'):
        api.put(session, 'a', GOOD)
    assert stored() == before


def test_a_patch_for_a_finished_session(api, session, dispatched, stored):
    api.put(session, 'a', GOOD)
    api.finalize(session)
    assert api.put(session, 'b', GOOD)[0] == 409
    dispatched.run()
    before = stored()
    status, refusal = api.put(session, 'b', GOOD)
    assert (status, 'complete' in refusal['message']) == (409, True)
    assert api.call('DELETE', f'/stitch_session/{session["_id"]}/patch/a')[0] == 409
    assert stored() == before


@pytest.mark.parametrize('name', [NO_ID, 'nonsense', '0'])
def test_a_session_that_does_not_exist(api, name, stored):
    before = stored()
    ghost = {'_id': name}
    base = f'/stitch_session/{name}'
    answers = [
        api.get(ghost),
        api.delete(ghost),
        api.finalize(ghost),
        api.cancel(ghost),
        api.put(ghost, 'a', GOOD),
        api.call('GET', f'{base}/patch'),
        api.call('GET', f'{base}/patch/a'),
        api.call('DELETE', f'{base}/patch/a'),
    ]
    assert [status for status, _ in answers] == [404] * len(answers), answers
    assert stored() == before


def test_a_patch_that_does_not_exist(api, session):
    base = f'/stitch_session/{session["_id"]}/patch/none'
    assert api.call('GET', base)[0] == 404
    assert api.call('DELETE', base)[0] == 404


@pytest.mark.parametrize(
    ('body', 'status', 'words'),
    [
        ('', 400, 'JSON'),
        ('not json', 400, 'JSON'),
        ('[1]', 400, 'object'),
        (b'\xff\xfe', 400, 'JSON'),
        ('{"folderId": NaN}', 400, 'JSON'),
        ({}, 400, 'folderId'),
        ({'folderId': 7, 'name': 'a'}, 400, 'folderId'),
        ({'folderId': 'nonsense', 'name': 'a'}, 404, 'folder'),
        ({'folderId': NO_ID, 'name': 'a'}, 404, 'folder'),
        ({'folderId': None, 'name': 'a', 'colour': 1}, 400, 'colour'),
        ({'folderId': None}, 400, 'name'),
        ({'folderId': None, 'name': ''}, 400, 'name'),
        ({'folderId': None, 'name': 'a\nb'}, 400, 'name'),
        ({'folderId': None, 'name': 'x' * 201}, 400, 'name'),
        ({'folderId': None, 'name': 'a', 'spec': 7}, 400, 'spec'),
        ({'folderId': None, 'name': 'a', 'spec': {'overlap': 'median'}}, 400, 'spec.overlap'),
        (
            {'folderId': None, 'name': 'a', 'spec': {'output': 'ozx', 'ngffVersion': '0.4'}},
            400,
            'ngffVersion',
        ),
    ],
)
def test_a_session_that_cannot_be_created(api, folder, stored, body, status, words):
    if isinstance(body, dict):
        if 'folderId' in body and body['folderId'] is None:
            body = {**body, 'folderId': str(folder['_id'])}
        body = json.dumps(body)
    before = stored()
    found, refusal = api.call('POST', '/stitch_session', body=body, content_type='application/json')
    assert (found, words in refusal['message']) == (status, True), refusal
    assert stored() == before


def test_finalizing_what_is_not_ready(api, folder, dispatched):
    _, session = api.create(folder, expected=2)
    assert api.finalize(session)[0] == 409
    api.put(session, 'a', GOOD)
    status, refusal = api.finalize(session)
    assert (status, '1 of 2' in refusal['message']) == (409, True)
    assert api.get(session)[1]['state'] == 'open'
    assert not dispatched
    status, started = api.finalize(session, force=True)
    assert (status, started['state']) == (200, 'finalizing')


@pytest.mark.parametrize('params', [{'limit': -1}, {'offset': -1}, {'limit': 2**40}, {'limit': 'x'}])
def test_lists_with_impossible_pages(api, folder, session, params):
    assert api.call('GET', f'/stitch_session/{session["_id"]}/patch', params)[0] == 400
    assert api.call('GET', '/stitch_session', {'folderId': folder['_id'], **params})[0] == 400


@pytest.mark.parametrize('key', ['.', '..'])
def test_keys_that_addresses_lose_are_refused_on_every_way(api, session, stored, key):
    before = stored()
    base = f'/stitch_session/{session["_id"]}'
    assert api.put(session, key, GOOD)[0] == 400
    assert api.call('PUT', f'{base}/reference/{key}', body=GOOD, content_type='image/png')[0] == 400
    body = json.dumps({'keys': [key]})
    assert api.call('POST', f'{base}/missing', body=body, content_type='application/json')[0] == 400
    body = tar([(key, GOOD)], {key: {'key': key, 'x': 0, 'y': 0}})
    status, answer = api.call('POST', f'{base}/patches', body=body, content_type='application/x-tar')
    assert (status, answer['patches'][0]['code']) == (200, 400), answer
    assert api.put(session, 'a', GOOD, maskKey=key)[0] == 400
    assert stored() == before


@pytest.mark.parametrize('value', [2**63, -(2**63) - 1, 2**64, 10**30])
def test_integers_that_no_database_stores(api, folder, session, value):
    for spec in ({'background': value}, {'expected': value}, {'chunks': value}):
        status, answer = api.create(folder, **spec)
        assert (status, answer['message'].startswith('spec.')) == (400, True), answer
    body = json.dumps({'spec': {'background': value}})
    path = f'/stitch_session/{session["_id"]}'
    assert api.call('PUT', path, body=body, content_type='application/json')[0] == 400


@pytest.mark.parametrize(
    'kind',
    [
        'multipart/form-data',
        'multipart/mixed; boundary=',
        'Multipart/form-data; boundary=\x01',
        f'multipart/form-data; boundary={"a" * 3000}',
    ],
)
def test_multipart_without_a_boundary_is_never_a_fault(api, session, kind):
    base = f'/stitch_session/{session["_id"]}'
    for path, expected in (
        ('/stitch_session', 400),
        (f'{base}/patches', 400),
        (f'{base}/missing', 400),
        (f'{base}/files', 400),
        (f'{base}/finalize', 409),
        ('/stitch_session/sweep', 403),
        (f'{base}/cancel', 200),
    ):
        status, answer = api.call('POST', path, body=b'--a\r\n\r\n', content_type=kind)
        assert status == expected, (path, answer)
