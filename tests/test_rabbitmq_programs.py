"""Where the tests have their rabbitmq-server from, and what they refuse."""

import hashlib

import pytest

from support import rabbitmq, rabbitmq_packages
from support.rabbitmq_packages import UnavailableError


@pytest.fixture
def files(tmp_path):
    """Two packages, and the pins of what is in them."""
    pins = {}
    for name in ('erlang-base', 'rabbitmq-server'):
        tmp_path.joinpath(f'{name}_1%3a2_amd64.deb').write_bytes(name.encode())
        pins[name] = ('1:2', hashlib.sha256(name.encode()).hexdigest())
    return tmp_path, pins


def test_packages_with_the_pinned_digests_are_taken(files):
    folder, pins = files
    assert len(rabbitmq_packages.check_digests(folder, pins)) == 2


def test_a_package_that_is_another_one_is_refused(files):
    folder, pins = files
    next(folder.glob('erlang-base*')).write_bytes(b'something else')
    with pytest.raises(UnavailableError, match='has another digest'):
        rabbitmq_packages.check_digests(folder, pins)


def test_a_package_that_is_missing_is_noticed(files):
    folder, pins = files
    next(folder.glob('erlang-base*')).unlink()
    with pytest.raises(UnavailableError, match='1 of 2 packages'):
        rabbitmq_packages.check_digests(folder, pins)


def test_every_package_is_pinned():
    pins = rabbitmq_packages.read_pins(rabbitmq_packages.PINS.read_text())
    assert {'rabbitmq-server', 'erlang-base'} < set(pins)
    assert all(len(bytes.fromhex(digest)) == 32 for _, digest in pins.values())


@pytest.mark.parametrize('needed', [False, True])
def test_a_folder_without_rabbitmq_skips_the_tests_or_fails_them(tmp_path, monkeypatch, needed):
    monkeypatch.setenv('RABBITMQ_HOME', str(tmp_path))
    monkeypatch.setenv('GIRDER_ZARR_REQUIRE_RABBITMQ', '1' if needed else '')
    with pytest.raises(pytest.fail.Exception if needed else pytest.skip.Exception, match='RABBITMQ_HOME'):
        rabbitmq.require_rabbitmq()


def test_the_named_folder_is_taken(tmp_path, monkeypatch):
    tmp_path.joinpath('sbin').mkdir()
    for name in ('sbin/rabbitmq-server', 'erl'):
        tmp_path.joinpath(name).touch(mode=0o755)
    monkeypatch.setenv('RABBITMQ_HOME', str(tmp_path))
    monkeypatch.setenv('PATH', str(tmp_path))
    assert rabbitmq.find_programs() == (tmp_path, str(tmp_path))
