"""JSON that would become gigabytes of objects is refused before anything is made of it."""

import json
import tracemalloc

import pytest

from girder_zarr.server.api.bulk import (
    MAX_ANONYMOUS_BYTES,
    MAX_ANONYMOUS_KEYS,
    MAX_MISSING_BYTES,
    MAX_MISSING_KEYS,
)
from support.server import tar

pytestmark = pytest.mark.plugin('zarr')
#: Small documents of a great many values, in all forms.
BOMBS = {
    'lists': b'[' + b'[],' * 300_000 + b'[]]',
    'objects': b'[' + b'{},' * 300_000 + b'{}]',
    'numbers': b'[' + b'1,' * 500_000 + b'1]',
    'fields': b'{' + b','.join(b'"%d":1' % at for at in range(200_000)) + b'}',
    'texts': b'[' + b'"a",' * 4_000_000 + b'"a"]',
    'deep': b'[' * 400_000 + b']' * 400_000,
    'never closed': b'[' * 400_000,
}
#: What objects of a body may take beside the body itself.
OBJECT_BYTES = 80 * 2**20


@pytest.fixture
def public(api, people):
    """A session in a public folder."""
    from girder.models.folder import Folder

    folder = Folder().createFolder(
        people['owner'], 'open', parentType='user', public=True, creator=people['owner']
    )
    return api.create(folder)[1]


def send(api, method, path, body, user=...):
    """Return status and message, and the most memory that Python's objects took meanwhile."""
    tracemalloc.start()
    try:
        status, answer = api.call(method, path, body=body, content_type='application/json', user=user)
        return status, answer.get('message', ''), tracemalloc.get_traced_memory()[1] - 3 * len(body)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize('name', BOMBS)
@pytest.mark.parametrize('field', ['{}', '{"keys": %s}'])
def test_nobody_makes_the_server_parse_it(api, public, name, field):
    body = BOMBS[name] if field == '{}' else (field % '#').encode().replace(b'#', BOMBS[name])
    if name == 'never closed':
        body = BOMBS[name]
    path = f'/stitch_session/{public["_id"]}/missing'
    status, message, taken = send(api, 'POST', path, body, user=None)
    assert status in (400, 413), message
    assert taken < OBJECT_BYTES


@pytest.mark.parametrize('name', ['lists', 'fields', 'deep'])
def test_no_route_parses_it(api, session, name):
    base = f'/stitch_session/{session["_id"]}'
    body = BOMBS[name]
    wrapped = b'{"spec": ' + body + b', "patches": [], "folderId": "0"}'
    for method, path in (
        ('POST', '/stitch_session'),
        ('POST', '/stitch_session/plan'),
        ('POST', '/stitch_session/inspect'),
        ('PUT', base),
        ('POST', f'{base}/files'),
    ):
        for sent in (body, wrapped):
            status, message, taken = send(api, method, path, sent)
            allowed = (200, 400, 413) if path.endswith('files') else (400, 404, 413)
            assert status in allowed, (path, status, message)
            assert taken < OBJECT_BYTES, (path, taken)


def test_a_manifest_in_a_stream(api, session, stored):
    before = stored()
    for name, body in (
        ('manifest.json', b'{"patches": ' + b'[' * 200_000 + b']' * 200_000 + b'}'),
        ('manifest.csv', b'x,y\n' + b'1,1\n' * 200_000),
        ('manifest.csv', b','.join(b'c%d' % at for at in range(100_000)) + b',x,y\n' + b'1\n' * 1000),
    ):
        path = f'/stitch_session/{session["_id"]}/patches'
        stream = tar([(name, body)])
        status, answer = api.call('POST', path, body=stream, content_type='application/x-tar')
        assert status in (400, 413), answer
        status, answer = api.call(
            'POST', f'/stitch_session/{session["_id"]}/files', body=body, content_type='text/csv'
        )
        assert status in (400, 413), answer
    assert stored() == before


def ask(api, session, keys, user=...):
    body = json.dumps({'keys': keys})
    path = f'/stitch_session/{session["_id"]}/missing'
    return api.call('POST', path, body=body, content_type='application/json', user=user)


def test_as_many_keys_as_the_docs_say(api, public):
    digest = 'sha-256=:' + 'A' * 43 + '=:'
    keys = [{'key': f'{at}', 'digest': digest} for at in range(MAX_MISSING_KEYS)]
    status, answer = ask(api, public, keys)
    assert (status, len(answer['missing'])) == (200, MAX_MISSING_KEYS)
    assert ask(api, public, [*keys, 'one more'])[0] == 413
    longest = [{'key': f'{at:0>200}', 'digest': digest} for at in range(MAX_MISSING_KEYS)]
    assert len(json.dumps({'keys': longest})) < MAX_MISSING_BYTES


def test_who_has_not_signed_in_asks_for_fewer(api, public):
    digest = 'sha-256=:' + 'A' * 43 + '=:'
    longest = [{'key': f'{at:0>200}', 'digest': digest} for at in range(MAX_ANONYMOUS_KEYS)]
    assert len(json.dumps({'keys': longest})) < MAX_ANONYMOUS_BYTES
    status, answer = ask(api, public, longest, None)
    assert (status, len(answer['missing'])) == (200, MAX_ANONYMOUS_KEYS)
    status, answer = ask(api, public, [*longest, 'one.more'], None)
    assert status == 413
    assert f'at most {MAX_ANONYMOUS_KEYS} without signing in' in answer['message']
    status, answer = ask(api, public, ['a' * MAX_ANONYMOUS_BYTES], None)
    assert status == 413
    assert str(MAX_ANONYMOUS_BYTES) in answer['message']
    assert ask(api, public, [*longest, 'one.more'])[0] == 200
