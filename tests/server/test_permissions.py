"""Every route, tried as everyone: reading follows READ on the folder, changing follows WRITE."""

import json

import pytest
from girder.constants import AccessType, TokenScope
from girder.models.folder import Folder
from girder.models.token import Token

from girder_zarr.client import Patch
from girder_zarr.client_patch import tar_of

from .conftest import png, random_pixels

pytestmark = pytest.mark.plugin('zarr')
BODY = png(random_pixels(8, 8))
TAR = tar_of([(Patch('n', BODY, 8, 0), BODY), (Patch('m', BODY, 16, 0), BODY)])
#: How many routes there are.
ROUTES = 25
READERS, WRITERS = {'admin', 'owner', 'writer', 'reader'}, {'admin', 'owner', 'writer'}


def routes(session, folder):
    """(name, who may, method, path, params, body) of each route."""
    base = f'/stitch_session/{session["_id"]}'
    create = json.dumps({'folderId': str(folder['_id']), 'name': 'new'})
    tiles = f'{base}/tiles'
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
        ('edit', WRITERS, 'PUT', base, None, '{"name": "new"}'),
        ('bulk', WRITERS, 'POST', f'{base}/patches', None, TAR),
        ('missing', READERS, 'POST', f'{base}/missing', None, '{"keys": ["a"]}'),
        ('files', WRITERS, 'POST', f'{base}/files', None, '[]'),
        ('sweep', {'admin'}, 'POST', '/stitch_session/sweep', None, None),
        ('references', READERS, 'GET', f'{base}/reference', None, None),
        ('put reference', WRITERS, 'PUT', f'{base}/reference/r', None, BODY),
        ('delete reference', WRITERS, 'DELETE', f'{base}/reference/f', None, None),
        ('coverage', READERS, 'GET', f'{base}/coverage', None, None),
        ('tiles', READERS, 'GET', tiles, None, None),
        ('internal', READERS, 'GET', f'{tiles}/internal_metadata', None, None),
        ('tile', READERS, 'GET', f'{tiles}/zxy/0/0/0', None, None),
        ('frame', READERS, 'GET', f'{tiles}/fzxy/0/0/0/0', None, None),
        ('region', READERS, 'GET', f'{tiles}/region', None, None),
        ('thumbnail', READERS, 'GET', f'{tiles}/thumbnail', None, None),
    ]


def test_every_route_is_tried(zarr_server):
    from girder.api.rest import Resource

    from girder_zarr.server.rest_sessions import StitchSessionResource

    made = StitchSessionResource()
    assert isinstance(made, Resource)
    count = sum(len(routes) for by_length in made._routes.values() for routes in by_length.values())
    assert count == ROUTES


@pytest.mark.parametrize('who', ['admin', 'owner', 'writer', 'reader', 'stranger', 'nobody'])
def test_who_may_do_what(api, people, folder, stored, who):
    for index in range(ROUTES):
        _, session = api.create(folder)
        api.put(session, 'a', BODY)
        path = f'/stitch_session/{session["_id"]}/reference/f'
        assert api.call('PUT', path, body=BODY, content_type='image/png')[0] == 201
        route = routes(session, folder)[index]
        before = stored()
        status, answer = ask(api, route, people[who])
        if who in route[1]:
            assert status in {200, 201}, (route[0], answer)
        else:
            assert status == (401 if who == 'nobody' else 403), (route[0], answer)
            assert stored() == before
            assert api.get(session)[1]['state'] == 'open'
        api.cancel(session)
        api.delete(session)


def ask(api, route, user):
    """Ask for one of `routes`; return status and answer."""
    name, _, method, path, params, body = route
    content_type = 'application/json' if method == 'POST' and body else 'image/png' if body else None
    status, answer = api.call(
        method, path, params, body=body, content_type=content_type, user=user, is_json=False
    )
    return status, answer[:300]


@pytest.mark.parametrize(
    ('scope', 'reading', 'writing'),
    [
        (TokenScope.DATA_READ, 200, 401),
        (TokenScope.DATA_WRITE, 401, 201),
        (TokenScope.USER_INFO_READ, 401, 401),
    ],
)
def test_a_token_does_what_its_scope_says_on_each_route(
    zarr_server, people, folder, session, stored, scope, reading, writing
):
    token = Token().createToken(people['admin'], scope=scope)
    for name, allowed, method, path, params, body in routes(session, folder):
        before = stored()
        is_reading = allowed == READERS
        if (reading if is_reading else writing) != 401:
            continue
        answer = zarr_server.request(
            path=path, method=method, params=params, body=body, type='application/json', token=token
        )
        assert int(answer.output_status.split()[0]) == 401, name
        assert stored() == before


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
