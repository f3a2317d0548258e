"""Every route, tried as everyone: reading follows READ on the folder, changing follows WRITE."""

import datetime as dt
import json
import re

import pytest
from girder.constants import AccessType, TokenScope
from girder.models.folder import Folder
from girder.models.token import Token
from girder.models.user import User

from girder_zarr.client import Patch
from girder_zarr.client.patch import tar_of
from support.factories import make_user
from support.server import png, random_pixels

pytestmark = pytest.mark.plugin('zarr')
BODY = png(random_pixels(8, 8))
TAR = tar_of([(Patch('n', BODY, 8, 0), BODY), (Patch('m', BODY, 16, 0), BODY)])
READERS, WRITERS = {'admin', 'owner', 'writer', 'reader'}, {'admin', 'owner', 'writer'}


def routes(session, folder):
    """(name, who may, method, path, params, body) of each route."""
    base = f'/stitch_session/{session["_id"]}'
    create = json.dumps({'folderId': str(folder['_id']), 'name': 'new'})
    plan = json.dumps(
        {
            'folderId': str(folder['_id']),
            'patches': [{'key': 'a', 'x': 0, 'y': 0, 'width': 8, 'height': 8}],
        }
    )
    headers = json.dumps({'folderId': str(folder['_id']), 'files': [{'tiff': 'AAAA'}]})
    tiles = f'{base}/tiles'
    return [
        ('list', READERS, 'GET', '/stitch_session', {'folderId': str(folder['_id'])}, None),
        ('get', READERS, 'GET', base, None, None),
        ('patches', READERS, 'GET', f'{base}/patch', None, None),
        ('patch', READERS, 'GET', f'{base}/patch/a', None, None),
        ('patch file', WRITERS, 'GET', f'{base}/patch/a/file', None, None),
        ('create', WRITERS, 'POST', '/stitch_session', None, create),
        ('plan', WRITERS, 'POST', '/stitch_session/plan', None, plan),
        ('inspect', WRITERS, 'POST', '/stitch_session/inspect', None, headers),
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
        ('light', READERS, 'GET', f'{base}/illumination', None, None),
        ('flat field', READERS, 'GET', f'{base}/illumination/0', None, None),
        ('report', READERS, 'GET', f'{base}/report', None, None),
        ('values', READERS, 'GET', f'{base}/values', {'x': 0, 'y': 0}, None),
    ]


def test_every_route_is_tried(api, session, folder):
    """The routes are those of the API description, so that a new one without a row fails here."""
    _, description = api.call('GET', '/describe')
    described = {
        (method.upper(), path)
        for path, operations in description['paths'].items()
        for method in operations
        if path == '/stitch_session' or path.startswith('/stitch_session/')
    }
    tried = {
        route[0]: [
            (method, path)
            for method, path in described
            if method == route[2] and re.fullmatch(re.sub(r'\{\w+\}', '[^/]+', path), route[3])
        ]
        for route in routes(session, folder)
    }
    # "/{id}" fits "/sweep" and "/plan" too, but no route of that method has it.
    assert all(len(found) == 1 for found in tried.values()), tried
    assert {found[0] for found in tried.values()} == described


def prepared(api, folder):
    """A session with a patch and a reference image."""
    _, session = api.create(folder)
    assert api.put(session, 'a', BODY)[0] == 201
    path = f'/stitch_session/{session["_id"]}/reference/f'
    assert api.call('PUT', path, body=BODY, content_type='image/png')[0] == 201
    return session


def check_routes(api, folder, stored, ask, allowed, refused):
    """Try every route: those that are allowed succeed, the others answer ``refused`` and change nothing."""
    session = prepared(api, folder)
    before, seen = stored(), api.get(session)
    for route in routes(session, folder):
        if not allowed(route):
            status, answer = ask(route)
            assert status == refused, (route[0], status, answer)
        elif route[1] == READERS:
            status, answer = ask(route)
            # there is a report of a complete session only
            assert status == (409 if route[0] == 'report' else 200), (route[0], status, answer)
    assert (stored(), api.get(session)) == (before, seen)
    for index, route in enumerate(routes(session, folder)):
        if allowed(route) and route[1] != READERS:
            changed = prepared(api, folder)
            status, answer = ask(routes(changed, folder)[index])
            assert status in {200, 201}, (route[0], status, answer)
            api.cancel(changed)
            api.delete(changed)


@pytest.mark.parametrize(
    'who', ['admin', 'owner', 'folder admin', 'writer', 'reader', 'stranger', 'nobody', 'disabled']
)
def test_who_may_do_what(api, people, folder, stored, who):
    manager, disabled = make_user('manager'), make_user('disabled')
    Folder().setUserAccess(folder, manager, AccessType.ADMIN, save=True)
    Folder().setUserAccess(folder, disabled, AccessType.ADMIN, save=True)
    disabled['status'] = 'disabled'
    user = {**people, 'folder admin': manager, 'disabled': User().save(disabled)}[who]
    as_whom = 'writer' if who == 'folder admin' else who

    def ask(route):
        return request(api, route, user=user)

    check_routes(api, folder, stored, ask, lambda route: as_whom in route[1], 401 if who == 'nobody' else 403)


def request(api, route, **options):
    """Ask for one of `routes`; return status and answer."""
    _, _, method, path, params, body = route
    content_type = 'application/json' if method == 'POST' and body else 'image/png' if body else None
    response = api.server.request(
        path=path, method=method, params=params, body=body, type=content_type, isJson=False, **options
    )
    return int(response.output_status.split()[0]), b''.join(response.body)[:300]


@pytest.mark.parametrize(
    ('scope', 'may_read', 'may_write'),
    [
        (TokenScope.DATA_READ, True, False),
        (TokenScope.DATA_WRITE, False, True),
        ([TokenScope.DATA_READ, TokenScope.DATA_WRITE], True, True),
        (TokenScope.USER_INFO_READ, False, False),
        (TokenScope.DATA_OWN, False, False),
    ],
)
def test_a_token_does_what_its_scope_says_on_each_route(
    api, people, folder, stored, scope, may_read, may_write
):
    token = Token().createToken(people['admin'], scope=scope)

    def ask(route):
        return request(api, route, token=token)

    check_routes(api, folder, stored, ask, lambda route: may_read if route[1] == READERS else may_write, 401)


@pytest.mark.parametrize('what', ['of nobody', 'of a user who is gone', 'that has expired', 'that never was'])
def test_a_token_that_is_nobodys(api, folder, stored, what):
    someone = make_user('someone')
    Folder().setUserAccess(folder, someone, AccessType.ADMIN, save=True)
    token = Token().createToken(someone)
    if what == 'of nobody':
        token = Token().createToken()
    elif what == 'of a user who is gone':
        # Girder removes the tokens with the user; this one was made at the same moment.
        User().collection.delete_one({'_id': someone['_id']})
    elif what == 'that has expired':
        token['expires'] = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
        Token().save(token)
    else:
        Token().remove(token)
    check_routes(api, folder, stored, lambda route: request(api, route, token=token), lambda _: False, 401)


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


def test_the_job_of_an_account_that_was_disabled(api, people, session, dispatched, stored):
    api.put(session, 'a', BODY)
    before = stored()
    assert api.finalize(session, user=people['writer'])[0] == 200
    User().update({'_id': people['writer']['_id']}, {'$set': {'status': 'disabled'}})
    dispatched.run_failing()
    _, found = api.get(session)
    assert (found['state'], 'no longer write' in found['error']) == ('error', True)
    assert stored() == before
