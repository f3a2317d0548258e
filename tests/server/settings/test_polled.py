"""The settings that floors below look at: what is taken, and that it holds from then on."""

import numpy as np
import pytest
from girder.exceptions import ValidationException
from girder.models.setting import Setting

from girder_zarr.common.chunk_cache import CHUNKS, DEFAULT_BYTES
from girder_zarr.image import limits, style_functions
from girder_zarr.image.store import addresses
from girder_zarr.server.settings import polled
from girder_zarr.server.settings.define import SettingKey
from support.waiting import wait_until

KEY = SettingKey.LIMITS


@pytest.fixture
def following(db, monkeypatch):
    polled.install()
    monkeypatch.setattr(polled, 'MAX_AGE', 0.0)
    yield
    limits.follow(limits.Limits)
    addresses.follow(None)
    style_functions.bind(tuple)
    CHUNKS.bind(lambda: DEFAULT_BYTES)


def test_limits_follow_the_setting(following):
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


def test_the_cache_of_chunks_follows_the_setting(following):
    CHUNKS.clear()

    def cached(key):
        CHUNKS.fetch(key, lambda: np.zeros(1000, np.uint8))
        return CHUNKS.size

    assert cached('a') >= 1000
    Setting().set(SettingKey.CHUNK_CACHE_BYTES, 0)
    assert cached('b') == 0
    Setting().set(SettingKey.CHUNK_CACHE_BYTES, 2**20)
    assert cached('c') >= 1000
    Setting().set(SettingKey.CHUNK_CACHE_BYTES, '')
    assert Setting().get(SettingKey.CHUNK_CACHE_BYTES) == DEFAULT_BYTES


@pytest.mark.parametrize('value', [-1, 1.5, True, '1000', [], 2**60])
def test_what_is_no_size_of_the_cache(db, value):
    with pytest.raises(ValidationException, match=r'zarr\.chunk_cache_bytes: expected an integer'):
        Setting().set(SettingKey.CHUNK_CACHE_BYTES, value)


BAD = ['frames', [], {'frame': 1}, {'frames': 0}, {'frames': '10'}, '{"frames": -1}']


@pytest.mark.parametrize('value', BAD)
def test_what_is_no_limit(db, value):
    with pytest.raises(ValidationException, match=r'zarr\.limits'):
        Setting().set(KEY, value)


def test_without_a_database_the_limits_stay(following, monkeypatch):
    Setting().set(KEY, {'frames': 10})
    assert limits.DEFAULT.frames == 10

    def fail(key):
        raise ConnectionError(key)

    monkeypatch.setattr(polled, 'stored_value', fail)
    assert limits.DEFAULT.frames == 10


def test_without_a_database_no_host_is_allowed(following, monkeypatch):
    Setting().set(SettingKey.ALLOWED_HOSTS, ['example.org'])
    assert 'example.org' in str(addresses.current())

    def fail(key):
        raise ConnectionError(key)

    monkeypatch.setattr(polled, 'stored_value', fail)
    assert 'example.org' not in str(addresses.current())


def test_functions_of_styles_follow_the_setting(following, monkeypatch):
    name, key = 'support.styles.note', SettingKey.STYLE_FUNCTIONS
    assert not style_functions.is_allowed(name)
    Setting().set(key, 'support.styles.note, support.styles.note')
    assert Setting().get(key) == [name]
    assert style_functions.is_allowed(name)
    assert not style_functions.is_allowed('support.styles.other')
    Setting().set(key, ['support.styles.*'])
    assert style_functions.is_allowed(name)

    def fail(key):
        raise ConnectionError(key)

    with monkeypatch.context() as without_database:
        without_database.setattr(polled, 'stored_value', fail)
        assert not style_functions.is_allowed(name)
        assert style_functions.is_allowed('large_image.tilesource.stylefuncs.medianFilter')
    # After a failure the database is left alone for a moment.
    wait_until(lambda: style_functions.is_allowed(name))
    Setting().unset(key)
    assert not style_functions.is_allowed(name)


@pytest.mark.parametrize('value', ['*', 'note', ['support..note'], [1], {'a.b': 1}, 7, ['os.system;x']])
def test_what_is_no_function_of_styles(db, value):
    with pytest.raises(ValidationException, match=r'zarr\.style_functions'):
        Setting().set(SettingKey.STYLE_FUNCTIONS, value)


@pytest.mark.parametrize(('fail_closed', 'after'), [(False, 7), (True, 0)])
def test_a_setting_that_cannot_be_read(monkeypatch, fail_closed, after):
    """It is asked for once in its age, by however many; a slow failure makes the next one later."""
    now, asked = [100.0], []

    def stored_value(key):
        asked.append(key)
        now[0] += slow
        if slow:
            raise ConnectionError(key)
        return 7

    monkeypatch.setattr(polled, 'stored_value', stored_value)
    monkeypatch.setattr(polled.time, 'monotonic', lambda: now[0])
    slow = 0.0
    setting = polled.PolledSetting('a.setting', int, 0, fail_closed=fail_closed)
    assert [setting() for _ in range(3)] == [7, 7, 7]
    assert len(asked) == 1
    now[0] += 1.0
    slow = 2.0
    assert [setting() for _ in range(3)] == [after] * 3
    assert len(asked) == 2
    now[0] += 79.0
    setting()
    assert len(asked) == 2
    now[0] += 1.0
    slow = 0.0
    assert setting() == 7
