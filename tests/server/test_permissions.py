"""Every route, tried as everyone: reading follows READ on the folder, changing follows WRITE."""

import json

import pytest
from girder.constants import AccessType, TokenScope
from girder.models.folder import Folder
from girder.models.token import Token

from .conftest import png, random_pixels

pytestmark = pytest.mark.plugin('zarr')
BODY = png(random_pixels(8, 8))
READERS, WRITERS = {'admin', 'owner', 'writer', 'reader'}, {'admin', 'owner', 'writer'}


def routes(session, folder):
    """(name, who may, method, path, params, body) of each route."""
    base = f'/stitch_session/{session["_id"]}'
    create = json.dumps({'folderId': str(folder['_id']), 'name': 'new'})
    return [
        ('list', READERS, 'GET', '/stitch_session', {'folderId': str(folder['_id'])}, None),
        ('get', READERS, 'GET', base, None, None),
        ('patches', READERS, 'GET', f'{base}/patch', None, None),
        ('patch', READERS, 'GET', f'{base}/patch/a', None, None),
        ('create', WRITERS, 'POST', '/stitch_session', None, create),
        ('put', WRITERS, 'PUT', f'{base}/patch/b', {'x': 8, 'y': 0}, BODY),
        ('remove', WRITERS, 'DELETE', f'{base}/patch/a', None, None),
        ('cancel', WRITERS, 'POST', f'{base}/cancel', None, None),
        ('finalize', WRITERS, 'POST', f'{base}/finalize', None, None),
        ('delete', WRITERS, 'DELETE', base, None, None),
    ]


@pytest.mark.parametrize('who', ['admin', 'owner', 'writer', 'reader', 'stranger', 'nobody'])
@pytest.mark.parametrize('index', range(10))
def test_who_may_do_what(api, people, folder, session, stored, who, index):
    api.put(session, 'a', BODY)
    if index == 8:
        assert routes(session, folder)[index][0] == 'finalize'
    name, allowed, method, path, params, body = routes(session, folder)[index]
    before = stored()
    content_type = 'application/json' if method == 'POST' and body else 'image/png' if body else None
    status, answer = api.call(method, path, params, body=body, content_type=content_type, user=people[who])
    if who in allowed:
        assert status in {200, 201}, (name, answer)
    else:
        assert status == (401 if who == 'nobody' else 403), (name, answer)
        assert stored() == before
        assert api.get(session)[1]['state'] == 'open'


@pytest.mark.parametrize(
    ('scope', 'reading', 'writing'),
    [
        (TokenScope.DATA_READ, 200, 401),
        (TokenScope.DATA_WRITE, 401, 201),
        (TokenScope.USER_INFO_READ, 401, 401),
    ],
)
def test_a_token_does_what_its_scope_says(zarr_server, api, people, session, scope, reading, writing):
    token = Token().createToken(people['owner'], scope=scope)
    base = f'/stitch_session/{session["_id"]}'
    got = zarr_server.request(path=base, token=token)
    assert int(got.output_status.split()[0]) == reading, got.json
    put = zarr_server.request(
        path=f'{base}/patch/a',
        method='PUT',
        params={'x': 0, 'y': 0},
        body=BODY,
        type='image/png',
        token=token,
    )
    assert int(put.output_status.split()[0]) == writing, put.json


def test_a_patch_file_is_as_private_as_the_folder(api, people, session):
    from girder.models.file import File

    api.put(session, 'a', BODY)
    (file,) = File().find({'attachedToType': ['stitch_session', 'girder_zarr']})
    path = f'/file/{file["_id"]}/download'
    status, body = api.call('GET', path, user=people['reader'], is_json=False)
    assert (status, body) == (200, BODY)
    assert api.call('GET', path, user=people['stranger'])[0] == 403
    assert api.call('DELETE', f'/file/{file["_id"]}', user=people['reader'])[0] == 403


def test_the_job_checks_again_who_may_write(api, people, folder, session, dispatched, stored):
    api.put(session, 'a', BODY)
    before = stored()
    assert api.finalize(session, user=people['writer'])[0] == 200
    Folder().setUserAccess(folder, people['writer'], AccessType.READ, save=True)
    dispatched.run_failing()
    _, found = api.get(session)
    assert (found['state'], 'no longer write' in found['error']) == ('error', True)
    assert stored() == before
