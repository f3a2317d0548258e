"""Lists of sessions for a client that asks again and again."""

import json

import pytest
from girder.models.folder import Folder

from girder_zarr.server.common import database
from support.queries import recorded_queries
from support.server import png, random_pixels

pytestmark = pytest.mark.plugin('zarr')


def picture():
    return png(random_pixels(8, 8))


@pytest.fixture
def ask(zarr_server, user):
    """Ask for sessions; return status, answer, and the headers by name."""

    def ask(path='', by=..., known=None, **params):
        headers = [('If-None-Match', known)] if known else None
        response = zarr_server.request(
            path=f'/stitch_session{path}',
            params=params,
            user=user if by is ... else by,
            additionalHeaders=headers,
            isJson=False,
        )
        status, body = int(response.output_status.split()[0]), b''.join(response.body)
        return status, json.loads(body) if body else None, response.headers

    return ask


def test_who_asks_again_is_told_that_nothing_has_changed(api, ask, folder, session):
    for path, params in ((f'/{session["_id"]}', {}), ('', {'folderId': folder['_id']})):
        status, _, headers = ask(path, **params)
        assert status == 200
        assert headers['Cache-Control'] == 'private, no-cache'
        tag = headers['ETag']
        status, body, headers = ask(path, known=tag, **params)
        assert status == 304
        assert body is None
        assert headers['ETag'] == tag
        api.put(session, f'a{len(path)}', picture(), x=0, y=0)
        status, _, headers = ask(path, known=tag, **params)
        assert status == 200
        assert headers['ETag'] != tag


def test_only_what_has_changed_since_is_listed(api, ask, folder):
    first, second = (api.create(folder)[1] for _ in range(2))
    api.put(first, 'a', picture(), x=0, y=0)
    _, everything, _ = ask(folderId=folder['_id'])
    assert [one['_id'] for one in everything] == [first['_id'], second['_id']]
    status, changed, headers = ask(folderId=folder['_id'], since=everything[0]['updated'])
    assert status == 200
    assert [one['_id'] for one in changed] == [first['_id']]
    assert headers['Girder-Total-Count'] == '2'
    status, answer, _ = ask(folderId=folder['_id'], since='yesterday')
    assert status == 400
    assert answer['message'].startswith('since: expected a moment such as ')


def test_without_a_folder_those_are_listed_that_the_user_has_created(api, ask, folder, session, user, admin):
    _, mine, _ = ask()
    assert [one['_id'] for one in mine] == [session['_id']]
    _, theirs, _ = ask(by=admin)
    assert theirs == []
    _, everybody, _ = ask(by=admin, everybody=True)
    assert [one['_id'] for one in everybody] == [session['_id']]
    status, _, _ = ask(everybody=True)
    assert status == 403


def test_nobody_has_no_sessions_of_their_own(ask, session):
    status, _, _ = ask(by=None)
    assert status == 401


def test_own_sessions_are_listed_only_while_their_folder_may_be_read(api, session, folder, people):
    assert [one['_id'] for one in api.call('GET', '/stitch_session')[1]] == [session['_id']]
    Folder().setUserAccess(Folder().load(folder['_id'], force=True), people['owner'], None, save=True)
    assert api.call('GET', '/stitch_session')[1] == []


def test_sessions_are_found_by_state_and_name(api, ask, folder, admin):
    names = ('Slide A', 'slide b', 'Other')
    sessions = {name: api.create(folder, name=name)[1]['_id'] for name in names}
    api.call('POST', f'/stitch_session/{sessions["slide b"]}/cancel')
    everything = {'everybody': True, 'by': admin}
    for where in ({}, {'folderId': folder['_id']}, everything):
        by_name = {**where, 'sort': 'name', 'sortdir': 1}
        _, found, headers = ask(**by_name, name=' SLIDE ')
        assert [one['name'] for one in found] == ['Slide A', 'slide b']
        assert headers['Girder-Total-Count'] == '2'
        _, found, headers = ask(**by_name, name='slide', limit=1, offset=1)
        assert [one['name'] for one in found] == ['slide b']
        assert headers['Girder-Total-Count'] == '2'
        _, found, headers = ask(**by_name, state='open')
        assert [one['name'] for one in found] == ['Other', 'Slide A']
        _, found, headers = ask(**by_name, state='cancelled', name='other')
        assert (found, headers['Girder-Total-Count']) == ([], '0')
    _, found, _ = ask(state='open', since=api.get({'_id': sessions['Other']})[1]['updated'])
    assert [one['name'] for one in found] == ['Other']
    status, answer, _ = ask(state='done')
    assert (status, answer['message'][:26]) == (400, 'state: expected one of ope')
    status, answer, _ = ask(name='x' * 201)
    assert (status, answer['message'][:5]) == (400, 'name:')


def test_an_administrator_lists_those_of_one_user(api, ask, session, user, admin):
    _, found, headers = ask(by=admin, everybody=True, creatorId=user['_id'])
    assert [one['_id'] for one in found] == [session['_id']]
    assert headers['Girder-Total-Count'] == '1'
    assert ask(by=admin, everybody=True, creatorId=admin['_id'])[1] == []
    assert ask(by=admin, everybody=True, creatorId='nobody')[0] == 404
    assert ask(by=admin, creatorId=user['_id'])[0] == 400
    assert ask(everybody=True, creatorId=user['_id'])[0] == 403


def test_an_item_leads_to_the_session_that_made_it(api, ask, session, folder, dispatched, people):
    api.put(session, 'a', picture(), x=0, y=0)
    api.finalize(session)
    dispatched.run()
    item = api.get(session)[1]['itemId']
    _, found, headers = ask(itemId=item)
    assert [one['_id'] for one in found] == [session['_id']]
    assert headers['Girder-Total-Count'] == '1'
    assert [one['_id'] for one in ask(by=people['reader'], itemId=item)[1]] == [session['_id']]
    assert ask(by=people['stranger'], itemId=item)[0] == 403
    assert ask(by=None, itemId=item)[0] == 401
    assert ask(itemId=folder['_id'])[0] == 404
    Folder().setPublic(Folder().load(folder['_id'], force=True), True, save=True)
    assert [one['_id'] for one in ask(by=None, itemId=item)[1]] == [session['_id']]


def test_nobody_finds_by_name_what_is_too_long_to_be_listed(api, ask, folder, monkeypatch):
    monkeypatch.setattr('girder_zarr.server.api.sessions.MAX_ANONYMOUS_SESSIONS', 1)
    for name in ('one', 'two'):
        api.create(folder, name=name)
    Folder().setPublic(Folder().load(folder['_id'], force=True), True, save=True)
    assert ask(by=None, folderId=folder['_id'], limit=1)[0] == 200
    assert ask(by=None, folderId=folder['_id'], limit=1, name='one')[0] == 413
    assert [one['name'] for one in ask(folderId=folder['_id'], name='one')[1]] == ['one']


def test_lists_of_one_state_are_in_order_and_name_few_sessions_in_a_query(api, ask, folder, monkeypatch):
    monkeypatch.setattr(database, 'MAX_NAMED', 2)
    names = ['b', 'a', 'c', 'a', 'd']
    ids = [api.create(folder, name=name)[1]['_id'] for name in names]
    in_order = sorted(ids, key=lambda one: (names[ids.index(one)], one))
    with recorded_queries() as made:
        for by in ({'folderId': folder['_id']}, {}):
            for offset in range(5):
                page = ask(state='open', sort='name', sortdir=1, limit=3, offset=offset, **by)[1]
                assert [one['_id'] for one in page] == in_order[offset : offset + 3]
            newest = ask(state='open', **by)[1]
            assert [one['_id'] for one in newest] == ids[::-1]
    assert max(len(one.filter['_id']['$in']) for one in made if isinstance(one.filter.get('_id'), dict)) == 2
    own = [one for one in made if one.collection == 'stitch_session' and 'creatorId' in one.filter]
    assert own
    assert not any('folderId' in one.filter for one in own)
