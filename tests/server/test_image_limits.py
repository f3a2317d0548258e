"""The setting `zarr.limits`: what is taken, and that it holds from then on."""

import pytest
from girder.exceptions import ValidationException
from girder.models.setting import Setting

from girder_zarr.image import limits
from girder_zarr.server import image_limits
from girder_zarr.server.settings import SettingKey

KEY = SettingKey.LIMITS


@pytest.fixture
def followed(db, monkeypatch):
    image_limits.install()
    monkeypatch.setattr(image_limits, 'MAX_AGE', 0.0)
    yield
    limits.follow(limits.Limits)


def test_limits_follow_the_setting(followed):
    own = limits.Limits()
    assert limits.DEFAULT.frames == own.frames
    Setting().set(KEY, {'frames': 10})
    assert limits.DEFAULT.frames == 10
    assert limits.DEFAULT.chunk_bytes == own.chunk_bytes
    Setting().set(KEY, '{"chunk_bytes": 1000}')
    assert Setting().get(KEY) == {'chunk_bytes': 1000}
    assert (limits.DEFAULT.frames, limits.DEFAULT.chunk_bytes) == (own.frames, 1000)
    Setting().unset(KEY)
    assert limits.DEFAULT.chunk_bytes == own.chunk_bytes


BAD = ['frames', [], {'frame': 1}, {'frames': 0}, {'frames': '10'}, '{"frames": -1}']


@pytest.mark.parametrize('value', BAD)
def test_what_is_no_limit(db, value):
    with pytest.raises(ValidationException, match=r'zarr\.limits'):
        Setting().set(KEY, value)


def test_without_a_database_the_limits_stay(followed, monkeypatch):
    Setting().set(KEY, {'frames': 10})
    assert limits.DEFAULT.frames == 10

    def fail(key):
        raise ConnectionError(key)

    monkeypatch.setattr(image_limits, 'stored_value', fail)
    assert limits.DEFAULT.frames == 10
