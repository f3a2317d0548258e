"""`girder-zarr serve`: what it leaves, what it says, what it finds again."""

import os
import signal
import socket
import stat
import subprocess
from pathlib import Path

import girder_client
import pytest
import requests

from girder_zarr.stack.folder import free_port
from girder_zarr.stack.options import find_broker_program
from girder_zarr.stack.parts import redis_answers
from support.database import running_database
from support.stack import (
    LOGIN,
    PASSWORD,
    CommandLine,
    Stack,
    left_behind,
    processes_below,
    running_stack,
    still_running,
)
from support.waiting import wait_until


def refusal(*arguments):
    """Run `girder-zarr serve` that cannot work; return what it says on stderr."""
    command = CommandLine('serve', *arguments)
    assert command.wait() == 1
    assert len(command.errors) == 1, command.errors
    assert command.errors[0].startswith('girder-zarr: ')
    return command.errors[0]


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_stops_everything(tmp_path, number):
    with running_stack(tmp_path / 'data') as stack:
        parts = stack.parts()
        # database, broker, Girder, worker and the worker's two children
        assert len(parts) == 6, parts
        stack.process.send_signal(number)
        assert stack.wait() == 0
        assert not stack.errors
    assert not still_running(parts)
    assert not left_behind(stack.data)


def test_a_signal_while_it_starts_stops_everything(tmp_path):
    stack = Stack(tmp_path / 'data')
    wait_until(lambda: len(processes_below(stack.process.pid)) >= 2, what='the first parts')
    stack.process.send_signal(signal.SIGTERM)
    assert stack.wait() == 0
    assert not left_behind(stack.data)


def test_nothing_survives_a_killed_supervisor_and_the_next_start_works(tmp_path):
    with running_stack(tmp_path / 'data') as stack:
        parts = stack.parts()
        collection = stack.client().createCollection('kept')
        stack.process.kill()
        stack.wait()
        wait_until(lambda: not still_running(parts), seconds=10, what='the end of all parts')
        assert not left_behind(stack.data)
    with running_stack(tmp_path / 'data') as again:
        assert again.client().getCollection(collection['_id'])['name'] == 'kept'


@pytest.fixture
def names():
    """What each part is called, by what its command line contains."""
    return {
        'secantus': 'database',
        'valkey-server': 'broker',
        'child.web': 'Girder server',
        'child.worker': 'worker',
    }


def kill_part(stack, part):
    """Kill the process of a part whose command line contains some words."""
    os.kill(min(pid for pid, (_, command) in stack.parts().items() if part in command), signal.SIGKILL)


@pytest.mark.parametrize('part', ['secantus', 'child.worker'])
def test_without_restarts_the_end_of_a_part_ends_everything_and_is_explained(tmp_path, part, names):
    with running_stack(tmp_path / 'data', '--no-restart') as stack:
        parts = stack.parts()
        kill_part(stack, part)
        assert stack.wait() == 1
        (sentence,) = stack.errors
    assert sentence.startswith(
        f'girder-zarr: The {names[part]} ended while it was running (signal SIGKILL); its log is '
    )
    log = sentence.rpartition(' ')[2].rstrip('.')
    assert Path(log).is_file()
    assert not still_running(parts)
    assert not left_behind(stack.data)


def test_every_part_that_ends_is_started_again(tmp_path, names):
    with running_stack(tmp_path / 'data', '--reset-password') as stack:
        girder = stack.client()
        before = stack.parts()
        for part, name in names.items():
            kill_part(stack, part)
            assert f'The {name} has ended (signal SIGKILL) and is started again' in stack.line('has ended')
            assert f'The {name} answers again' in stack.line('answers again')
        after = stack.parts()
        # Signed in all the while: database and password are the same.
        assert wait_until(lambda: girder.get('worker/status')['ping'], what='the worker')
        assert girder.get('user/me')['login'] == LOGIN
        assert len(after) == len(before)
        assert not set(after) & set(before)
        assert not still_running(before)
    assert not stack.errors
    assert not left_behind(stack.data)


def test_a_damaged_database_is_named_with_its_log(tmp_path):
    with running_stack(tmp_path / 'data') as stack:
        turtle = stack.data / 'database' / 'WiredTiger.turtle'
        assert turtle.is_file()
    turtle.write_text('this is not what WiredTiger wrote')
    sentence = refusal('--data', stack.data, '--port', '0')
    assert 'The database ended before it was ready (exit code 1)' in sentence
    assert f'its log is {stack.data / "logs" / "database.log"}.' in sentence
    assert (stack.data / 'logs' / 'database.log').read_text().strip()
    assert not left_behind(stack.data)


def test_a_port_in_use_is_refused_before_anything_is_made(tmp_path):
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        sentence = refusal('--data', tmp_path / 'data', '--port', port)
    problem = f'Port {port} on 127.0.0.1 cannot be used: Address already in use'
    assert sentence == f'girder-zarr: {problem}; choose another with --port.'
    assert not (tmp_path / 'data').exists()


def test_a_data_folder_in_use_is_refused_and_its_user_goes_on(stack):
    sentence = refusal('--data', stack.data, '--port', '0')
    used_by = f'another girder-zarr (process {stack.process.pid})'
    assert sentence == f'girder-zarr: The data folder {stack.data} is in use by {used_by}.'
    assert requests.get(f'{stack.url}api/v1/system/version', timeout=30).status_code == 200


def test_a_data_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / 'data').write_text('not a folder')
    assert 'cannot be used: File exists.' in refusal('--data', tmp_path / 'data', '--port', '0')


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (
            ['--mongo-uri', 'http://somewhere/girder'],
            '--mongo-uri has to be like mongodb://host:27017/girder',
        ),
        (
            ['--mongo-uri', 'mongodb://127.0.0.1:1/girder'],
            'The database at mongodb://127.0.0.1:1/girder does not answer',
        ),
        (['--broker', 'http://127.0.0.1'], '--broker has to be like redis://host:6379/0'),
        (['--broker', 'amqp://u:secret@127.0.0.1:1'], 'The broker at amqp://...@127.0.0.1:1 does not answer'),
        (
            ['--broker', 'redis://u:secret@127.0.0.1:1'],
            'The broker at redis://...@127.0.0.1:1 does not answer',
        ),
        (['--host', '203.0.113.1'], 'Port 0 on 203.0.113.1 cannot be used'),
    ],
)
def test_servers_and_addresses_that_are_not_there_are_named(tmp_path, arguments, words):
    sentence = refusal('--data', tmp_path / 'data', '--port', '0', *arguments)
    assert words in sentence
    assert 'secret' not in sentence
    assert not left_behind(tmp_path / 'data')


def test_servers_of_your_own_take_the_place_of_the_embedded_ones(tmp_path):
    port = free_port()
    broker = subprocess.Popen(
        [
            find_broker_program(),
            '--port',
            str(port),
            '--bind',
            '127.0.0.1',
            '--save',
            '',
            '--dir',
            str(tmp_path),
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: redis_answers(f'redis://127.0.0.1:{port}'), what='the broker')
        with running_database(tmp_path / 'database') as uri:
            servers = ['--mongo-uri', f'{uri}/mine', '--broker', f'redis://127.0.0.1:{port}/3']
            with running_stack(tmp_path / 'data', *servers) as stack:
                commands = [command for _, command in stack.parts().values()]
                assert not any('secantus' in command or 'valkey' in command for command in commands)
                # Girder, worker and the worker's two children
                assert len(commands) == 4
                assert any('girder-zarr@' in name for name in stack.client().get('worker/status')['ping'])
            assert broker.poll() is None
    finally:
        broker.terminate()
        broker.wait()


def test_the_environment_of_the_caller_leads_no_part_elsewhere(tmp_path):
    nowhere = {
        'CELERY_BROKER_URL': 'amqp://127.0.0.1:1',
        'CELERY_RESULT_BACKEND': 'redis://127.0.0.1:1',
        'GIRDER_TEST_DB': 'mongodb://127.0.0.1:1/other',
        'GIRDER_URL_ROOT': '/elsewhere',
        'http_proxy': 'http://127.0.0.1:1',
        'no_proxy': '',
    }
    with running_stack(tmp_path / 'data', environment=nowhere) as stack:
        answers = wait_until(lambda: stack.client().get('worker/status')['ping'], what='the worker')
        assert any('girder-zarr@' in name for name in answers)


def test_a_second_start_finds_everything_and_keeps_the_password(tmp_path, monkeypatch):
    monkeypatch.delenv('GIRDER_ZARR_ADMIN_PASSWORD', raising=False)
    data = tmp_path / 'data'
    environment = {'GIRDER_ZARR_ADMIN_LOGIN': 'chief'}

    first = CommandLine('serve', '--data', data, '--port', '0', environment=environment)
    url = first.line('ready at').split(' ready at ')[1].split()[0]
    words = first.line('Sign in as ').split()
    assert words[3] == 'chief'
    password = words[words.index('password') + 1]
    girder = girder_client.GirderClient(apiUrl=f'{url}api/v1')
    girder.authenticate('chief', password)
    folder = girder.createFolder(girder.createCollection('c')['_id'], 'f', parentType='collection')
    (tmp_path / 'notes.txt').write_text('kept')
    item = girder.uploadFileToFolder(folder['_id'], str(tmp_path / 'notes.txt'))['itemId']
    first.close()

    second = CommandLine('serve', '--data', data, '--port', '0')
    url = second.line('ready at').split(' ready at ')[1].split()[0]
    assert 'Sign in as chief with the password of the first start' in second.line('Sign in as ')
    girder = girder_client.GirderClient(apiUrl=f'{url}api/v1')
    girder.authenticate('chief', password)
    (file,) = girder.listFile(item)
    assert b''.join(girder.downloadFileAsIterator(file['_id'])) == b'kept'
    assert len(girder.get('assetstore')) == 1
    second.close()

    for path in data.rglob('*'):
        if path.is_file() and not stat.S_ISSOCK(path.stat().st_mode):
            assert password.encode() not in path.read_bytes(), f'the password is in {path}'


def test_the_password_can_be_reset(tmp_path):
    with running_stack(tmp_path / 'data') as stack:
        assert stack.client()
    with running_stack(
        tmp_path / 'data', '--reset-password', environment={'GIRDER_ZARR_ADMIN_PASSWORD': 'another one'}
    ) as stack:
        assert stack.client(LOGIN, 'another one')
        with pytest.raises(girder_client.AuthenticationError):
            stack.client(LOGIN, PASSWORD)


def test_words_are_found_without_text_indexes(stack, girder):
    collection = girder.createCollection('search')
    folder = girder.createFolder(collection['_id'], 'specimens', parentType='collection')
    for name in ('liver section one.tif', 'liver section two.tif', 'kidney.tif'):
        girder.createItem(folder['_id'], name)

    def found(text, **more):
        return sorted(item['name'] for item in girder.get('item', {'text': text, **more}))

    assert found('kidney') == ['kidney.tif']
    assert found('KIDNEY two') == ['kidney.tif', 'liver section two.tif']
    assert found('"section one"') == ['liver section one.tif']
    assert found('liver -two') == ['liver section one.tif']
    assert found('nowhere') == []
    assert found('liver', folderId=folder['_id']) == ['liver section one.tif', 'liver section two.tif']
    answer = girder.get(
        'resource/search', {'q': 'specimens', 'types': '["folder","item","collection","user"]'}
    )
    assert [one['name'] for one in answer['folder']] == ['specimens']
    stack.client()
    girder.createUser('reader', 'reader@girder.test', 'Read', 'Er', 'password')
    reader = stack.client('reader', 'password')
    assert reader.get('item', {'text': 'kidney'}) == []
    assert [user['login'] for user in reader.get('user', {'text': 'reader'})] == ['reader']


def test_the_worker_answers_a_ping_through_girder(girder):
    status = girder.get('worker/status')
    assert any('girder-zarr@' in name for name in status['ping'] or {}), status
