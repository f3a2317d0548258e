"""What an administrator's page shows of the settings."""

import json

import pytest

from girder_zarr.server.settings.define import SettingKey

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
