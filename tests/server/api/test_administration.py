"""What an administrator's page shows of the settings, and of what sessions hold."""

import json

import pytest

from girder_zarr.server.sessions import usage
from girder_zarr.server.settings.define import SettingKey
from support.queries import documents_read, recorded_queries
from support.server import npy, random_pixels

pytestmark = pytest.mark.plugin('zarr')


@pytest.fixture
def settings(api, people):
    def ask():
        status, found = api.call('GET', '/zarr/setting', user=people['admin'])
        assert status == 200, found
        return {one['key']: one for one in found}

    return ask


def store(api, people, key, value):
    setting = json.dumps([{'key': key, 'value': value}])
    return api.call('PUT', '/system/setting', {'list': setting}, user=people['admin'])


def test_every_setting_is_listed_with_its_default_and_what_is_stored(api, people, settings):
    keys = {value for name, value in vars(SettingKey).items() if name.isupper()}
    before = settings()
    assert set(before) == keys
    assert {one['fixedByEnvironment'] for one in before.values()} == {False}
    assert before[SettingKey.STITCH_LIMITS]['default']['patches'] == 1_000_000
    assert before[SettingKey.LIMITS]['default']['frames'] == 500_000
    # What the page shows as defaults can be stored as it stands.
    for key, one in before.items():
        if one['default']:
            status, answer = store(api, people, key, one['default'])
            assert status == 200, answer
            assert settings()[key]['value'] == one['default']


def test_a_value_of_the_environment_is_shown_as_such(monkeypatch, settings):
    monkeypatch.setenv('GIRDER_SETTING_ZARR_STITCH_LIMITS', '{"patches": 5}')
    found = settings()[SettingKey.STITCH_LIMITS]
    assert found['fixedByEnvironment'] is True
    assert found['value'] == {'patches': 5}
    assert found['variable'] == 'GIRDER_SETTING_ZARR_STITCH_LIMITS'


def test_only_administrators_see_settings(api, people):
    for name in ('owner', 'stranger', 'nobody'):
        status, _ = api.call('GET', '/zarr/setting', user=people[name])
        assert status in {401, 403}


@pytest.fixture
def use(api, people):
    def ask():
        usage.forget()
        status, found = api.call('GET', '/zarr/use', user=people['admin'])
        assert status == 200, found
        return found

    return ask


def test_the_use_of_sessions_by_user_and_state(api, people, folder, use):
    assert use() == {
        'rows': [],
        'rowCount': 0,
        'total': {'sessions': 0, 'patches': 0, 'bytes': 0, 'oldest': None},
    }
    body = npy(random_pixels(8, 8))
    first = api.create(folder)[1]
    for key, name in (('a', 'owner'), ('b', 'owner'), ('c', 'writer')):
        session = first if key != 'c' else api.create(folder, user=people[name])[1]
        assert api.put(session, key, body, x=8 * ord(key), user=people[name])[0] == 201
    api.cancel(api.create(folder)[1])
    found = use()
    rows = {(row['login'], row['state']): row for row in found['rows']}
    owner = people['owner']['login']
    assert set(rows) == {(owner, 'open'), (owner, 'cancelled'), ('writer', 'open')}
    mine = rows[owner, 'open']
    assert (mine['sessions'], mine['patches'], mine['bytes']) == (1, 2, 2 * len(body))
    assert mine['oldest'] == first['created']
    assert mine['userId'] == str(people['owner']['_id'])
    assert rows['writer', 'open']['userName'] == 'writer Test'
    assert found['rowCount'] == 3
    assert found['total'] == {
        'sessions': 3, 'patches': 3, 'bytes': 3 * len(body), 'oldest': first['created'],
    }  # fmt: skip


def test_the_use_of_sessions_reads_no_patches_and_not_at_every_request(api, people, folder, session, use, db):
    use()
    with recorded_queries() as made:
        use()
    asked = [query for query in made if query.caller.startswith('sessions/')]
    assert [(query.collection, query.operation) for query in asked] == [
        ('stitch_session', 'aggregate'),
        ('user', 'find'),
    ]
    assert documents_read(asked, db.get_default_database()) <= 1
    api.call('GET', '/zarr/use', user=people['admin'])
    counted = usage._known
    with recorded_queries() as made:
        counted._share = 1e9
        counted.forget()
        for _ in range(3):
            api.call('GET', '/zarr/use', user=people['admin'])
        counted._share = 20.0
    assert sum(query.operation == 'aggregate' for query in made) == 1
