"""A client that died asks what to send: which keys are there, which are missing, which differ."""

import json

import pytest

from girder_zarr.client import Patch, StitchClient, content_digest
from girder_zarr.client.patch import tar_of
from girder_zarr.client.uploads import MAX_BATCH_BYTES
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.sessions.model import StitchSession
from support.server import png, random_pixels

pytestmark = pytest.mark.plugin('zarr')
BODY = png(random_pixels(8, 8))


def ask(api, session, body, **options):
    path = f'/stitch_session/{session["_id"]}/missing'
    return api.call('POST', path, body=json.dumps(body), content_type='application/json', **options)


def test_what_is_missing_and_what_differs(api, session):
    for key in 'ab':
        api.put(session, key, BODY)
    digest, other = content_digest(BODY), content_digest(b'other')
    keys = ['a', {'key': 'b', 'digest': other}, 'c', {'key': 'd', 'digest': digest}]
    assert ask(api, session, {'keys': keys}) == (
        200,
        {'missing': ['c', 'd'], 'different': ['b'], 'present': 1},
    )
    assert ask(api, session, {'keys': [{'key': 'b', 'digest': digest}]})[1]['present'] == 1
    assert ask(api, session, {'keys': []}) == (200, {'missing': [], 'different': [], 'present': 0})


@pytest.mark.parametrize(
    ('body', 'words'),
    [
        ({}, 'keys'),
        ({'keys': 'a'}, 'keys'),
        ({'keys': [], 'more': 1}, 'more'),
        ({'keys': [7]}, 'keys[0]'),
        ({'keys': ['a', {'key': 'b', 'size': 1}]}, 'keys[1]'),
        ({'keys': [{'digest': 'x'}]}, 'keys[0]'),
        ({'keys': ['a b']}, 'key: expected'),
        ({'keys': [{'key': 'a', 'digest': 'sha-256=x'}]}, 'Content-Digest'),
        ([], 'object'),
    ],
)
def test_a_question_that_is_malformed(api, session, body, words):
    status, refusal = ask(api, session, body)
    assert (status, words in refusal['message']) == (400, True), refusal


def test_a_question_over_the_limit(api, session, monkeypatch):
    monkeypatch.setattr('girder_zarr.server.api.bulk.MAX_MISSING_BYTES', 100)
    status, refusal = ask(api, session, {'keys': ['a' * 100]})
    assert (status, '100' in refusal['message']) == (413, True)


def test_a_hundred_thousand_keys_in_one_request(api, session):
    known = StitchSession().get(session['_id'])
    stored = [f'tile_{number:06}' for number in range(0, 100_000, 1000)]
    fields = {'sessionId': known['_id'], 'stored': True, 'digest': content_digest(BODY)}
    StitchPatch().collection.insert_many([{**fields, 'key': key} for key in stored])
    keys = [{'key': f'tile_{number:06}', 'digest': content_digest(BODY)} for number in range(100_000)]
    status, answer = ask(api, session, {'keys': keys})
    assert (status, answer['present'], len(answer['missing'])) == (200, 100, 99_900)


def test_lists_of_a_few_fields(api, session):
    for key in 'ab':
        api.put(session, key, BODY)
    path = f'/stitch_session/{session["_id"]}/patch'
    digest = content_digest(BODY)
    expected = [{'key': key, 'digest': digest} for key in 'ab']
    assert api.call('GET', path, {'fields': 'key,digest'}) == (200, expected)
    status, refusal = api.call('GET', path, {'fields': 'key,fileId'})
    assert (status, 'fileId' in refusal['message']) == (400, True)


class OverTestServer(StitchClient):
    """The client, speaking to the test's server in this process."""

    def __init__(self, api):
        super().__init__(None)
        self.api, self.sent = api, []

    def _clone(self):
        import contextlib

        class Client:
            session = contextlib.nullcontext

        return Client()

    def _json(self, method, path, *, parameters=None, data=None, json=None, headers=None, **_):
        import json as as_json

        if method != 'GET':
            self.sent.append((method, path.rpartition('/')[2]))
        status, answer = self.api.call(
            method,
            '/' + path,
            {name: str(value) for name, value in (parameters or {}).items()},
            body=data if json is None else as_json.dumps(json),
            content_type=(headers or {}).get('Content-Type', 'application/json'),
        )
        assert status < 300, answer
        return answer


def test_the_client_sends_small_patches_together_and_resumes(api, session):
    patches = [Patch(f'p{n}', png(random_pixels(8, 8, seed=n)), x=8 * n, y=0) for n in range(70)]
    client = OverTestServer(api)
    client.put_patch(session['_id'], 'p3', patches[3].data, 24, 0)
    client.sent.clear()
    outcomes = client.upload(session['_id'], patches, threads=1, progress=False)
    assert outcomes == {'created': 69, 'skipped': 1}
    assert client.sent == [('POST', 'patches')] * 3
    client.sent.clear()
    assert client.upload(session['_id'], iter(patches), threads=1, progress=False) == {'skipped': 70}
    assert client.sent == []
    asked = [('p1', content_digest(patches[1].data)), ('p2', content_digest(b'')), 'p99']
    assert client.missing(session['_id'], asked) == {
        'missing': ['p99'],
        'different': ['p2'],
        'present': 1,
    }
    assert client.upload(session['_id'], patches[:2], threads=1, batch=1, progress=False)['skipped'] == 2
    assert [one['status'] for one in client.put_patches(session['_id'], patches[:2])] == ['unchanged'] * 2


def test_long_keys_go_into_a_tar():
    data = tar_of([(Patch('k' * 200, b'x' * 513, 1, 2), b'x' * 513)])
    assert len(data) % 512 == 0
    assert len(data) < MAX_BATCH_BYTES
