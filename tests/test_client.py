"""The client against a server that behaves badly, and what it sends."""

import base64
import contextlib
import hashlib
import http.server
import io
import json
import tarfile
import threading
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
from girder_client import GirderClient

from girder_zarr import cli
from girder_zarr.client import Patch, StitchClient, StitchFailedError, WaitTimeoutError
from girder_zarr.client.patch import tar_of
from girder_zarr.errors import (
    CancelledError,
    ConflictError,
    GirderZarrError,
    InvalidInputError,
    NoSpaceError,
    NotFoundError,
)


class Script:
    """A server that gives the answers it was told to, in their order; the last one for ever."""

    def __init__(self, *answers):
        self.answers, self.requests, self.lock = list(answers), [], threading.Lock()

    def next(self):
        with self.lock:
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def handler_of(script):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'

        def answer(self):
            body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
            script.requests.append((self.command, self.path, dict(self.headers), body))
            status, document, *more = script.next()
            if status is None:
                # The connection breaks before an answer.
                self.close_connection = True
                return
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header('Content-Length', str(len(content)))
            for name, value in (more[0] if more else {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - http.server's names

        def log_message(self, *_):
            pass

    return Handler


@contextlib.contextmanager
def scripted(*answers, attempts=4):
    """Yield a client of a scripted server, and the script."""
    script = Script(*answers)
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler_of(script)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
        thread.start()
        girder = GirderClient(apiUrl=f'http://127.0.0.1:{server.server_port}/api/v1')
        girder.setToken('token')
        yield StitchClient(girder, attempts=attempts, pause=0.001), script
        server.shutdown()
        thread.join()


PATCH = {'key': 'a', 'status': 'created'}


def test_broken_connections_and_failing_servers_are_tried_again():
    with scripted((None, None), (503, {'message': 'busy'}), (201, PATCH)) as (client, script):
        assert client.put_patch('s', 'a', b'bytes', 3, -4, order=2, z=1) == PATCH
    assert len(script.requests) == 3
    method, path, headers, body = script.requests[-1]
    assert (method, body) == ('PUT', b'bytes')
    assert path == '/api/v1/stitch_session/s/patch/a?x=3&y=-4&z=1&order=2'
    digest = base64.b64encode(hashlib.sha256(b'bytes').digest()).decode()
    assert headers['Content-Digest'] == f'sha-256=:{digest}:'
    assert headers['Girder-Token'] == 'token'


def test_a_full_disk_is_not_asked_again():
    with (
        scripted((507, {'message': 'There is no space for it.'}), attempts=3) as (client, script),
        pytest.raises(NoSpaceError, match='There is no space for it'),
    ):
        client.get('1')
    assert len(script.requests) == 1


def test_attempts_are_bounded():
    with (
        scripted((None, None), attempts=3) as (client, script),
        pytest.raises(GirderZarrError, match='No answer from'),
    ):
        client.get('s')
    assert len(script.requests) == 3
    with (
        scripted((500, {'message': 'broken'}), attempts=3) as (client, script),
        pytest.raises(GirderZarrError, match='broken'),
    ):
        client.get('s')
    assert len(script.requests) == 3


@pytest.mark.parametrize('headers', [{}, {'Retry-After': '0.01'}, {'Retry-After': 'tomorrow'}])
def test_a_server_with_too_much_to_do_is_asked_again(headers):
    busy = {'message': 'Too many requests.'}
    with scripted((429, busy, headers), (503, busy, headers), (201, PATCH)) as (client, script):
        assert client.put_patch('s', 'a', b'bytes', 0, 0) == PATCH
    assert len(script.requests) == 3


def test_everything_that_is_said_of_a_patch_is_sent():
    said = {
        'order': 3,
        't': 1,
        'unit': 'millimeter',
        'index': {'angle': 2},
        'weight': 0.5,
        'mask_key': 'round',
        'shape': (4, 5),
        'dtype': 'uint16',
        'compression': 'gzip',
    }
    with scripted((201, PATCH)) as (client, script):
        client.put_patch('s', 'a', b'', 0.25, -1.5, **said)
        client.put_patch('s', 'b', b'', row=2, column=-1, mask='alpha', replace=True)
        client.put_reference('s', 'flat', np.ones((2, 2), np.float32), replace=True)
    queries = [dict(parse_qsl(urlsplit(path).query)) for _, path, _, _ in script.requests]
    assert queries == [
        {
            'x': '0.25',
            'y': '-1.5',
            'unit': 'millimeter',
            't': '1',
            'order': '3',
            'weight': '0.5',
            'index': '{"angle": 2}',
            'maskKey': 'round',
            'shape': '4,5',
            'dtype': 'uint16',
            'compression': 'gzip',
        },
        {'row': '2', 'column': '-1', 'order': '0', 'mask': 'alpha', 'replace': 'true'},
        {'replace': 'true'},
    ]
    assert script.requests[2][1].startswith('/api/v1/stitch_session/s/reference/flat?')
    with tarfile.open(fileobj=io.BytesIO(tar_of([(Patch('a', b'', 0.25, -1.5, **said), b'')]))) as archive:
        (entry,) = json.load(archive.extractfile('manifest.json'))
    del entry['file'], entry['digest']
    expected = {**queries[0], 'key': 'a', 'index': {'angle': 2}}
    assert {name: str(value) for name, value in entry.items()} == {n: str(v) for n, v in expected.items()}


SPEC = {
    'pixelSize': {'x': 0.5, 'y': 2.0, 'unit': 'micrometer'},
    'grid': {'tile': {'x': 100, 'y': 50}, 'overlap': {'x': 10, 'y': 0.5}},
    'axes': {'z': {'size': 4}},
}


@pytest.mark.parametrize(
    ('said', 'there', 'same'),
    [
        ({'x': 1, 'y': 2}, {'position': {'x': 1, 'y': 2, 'z': 0}}, True),
        ({'x': 1, 'y': 2, 'z': 1}, {'position': {'x': 1, 'y': 2, 'z': 0}}, False),
        ({'x': 0.5, 'y': -0.5}, {'position': {'x': 1, 'y': 0, 'z': 0}}, True),
        ({'x': 5, 'y': 8, 'unit': 'micrometer'}, {'position': {'x': 10, 'y': 4, 'z': 0}}, True),
        ({'x': 5, 'y': 8, 'unit': 'meter'}, {'position': {'x': 10, 'y': 4, 'z': 0}}, False),
        ({'row': 2, 'column': -1}, {'position': {'x': -90, 'y': 99, 'z': 0}}, True),
        ({'x': 1, 'y': 2, 'weight': 2}, {'position': {'x': 1, 'y': 2, 'z': 0}, 'weight': 2.0}, True),
        ({'x': 1, 'y': 2}, {'position': {'x': 1, 'y': 2, 'z': 0}, 'weight': 2.0}, False),
        ({'x': 1, 'y': 2, 'weight': 1.0}, {'position': {'x': 1, 'y': 2, 'z': 0}}, True),
        ({'x': 1, 'y': 2, 'mask_key': 'm'}, {'position': {'x': 1, 'y': 2, 'z': 0}, 'maskKey': 'n'}, False),
        ({'x': 1, 'y': 2, 'order': 1}, {'position': {'x': 1, 'y': 2, 'z': 0}}, False),
        ({'x': 1, 'y': 2, 'index': {'angle': 1}}, {'position': {'x': 1, 'y': 2, 'z': 0, 'angle': 1}}, True),
    ],
)
def test_what_the_server_has_is_recognised(said, there, same):
    assert Patch('a', b'', **said).is_stored_as({'order': 0, **there}, SPEC) is same


def test_a_refusal_is_not_tried_again_and_keeps_its_sentence():
    with scripted((409, {'message': 'The key a exists.'})) as (client, script):
        with pytest.raises(ConflictError, match='The key a exists'):
            client.put_patch('s', 'a', b'', 0, 0)
        assert len(script.requests) == 1


def test_a_session_is_not_created_twice():
    with scripted((None, None)) as (client, script), pytest.raises(GirderZarrError):
        client.create('f', 'name')
    assert len(script.requests) == 1


def test_what_a_lost_request_did_is_not_an_error():
    with scripted((None, None), (404, {'message': 'No such session.'})) as (client, _):
        client.delete('s')
    with scripted((404, {'message': 'No such session.'})) as (client, _), pytest.raises(NotFoundError):
        client.delete('s')
    storing = {'message': 'Another request is storing the key a.'}
    with scripted((None, None), (409, storing), (200, PATCH)) as (client, _):
        assert client.put_patch('s', 'a', b'', 0, 0) == PATCH


def test_an_upload_stops_at_the_first_refusal():
    taken = []

    def patches():
        for number in range(1000):
            taken.append(number)
            yield Patch(f'p{number}', b'x', number, 0)

    refusal = (409, {'message': 'The session is complete.'})
    with scripted((200, []), (200, {'spec': {}}), refusal) as (client, _), pytest.raises(ConflictError):
        client.upload('s', patches(), threads=3, progress=False)
    assert len(taken) <= 3 * 33


def test_waiting_ends_with_the_session():
    def state(name, **more):
        return 200, {
            'state': name,
            'error': None,
            'progress': {'current': 1, 'total': 2, 'message': ''},
            **more,
        }

    seen = []
    with scripted(state('finalizing'), state('finalizing'), state('complete', itemId='i')) as (client, _):
        assert client.wait('s', interval=0.001, progress=seen.append)['itemId'] == 'i'
    assert len(seen) == 2
    broken = state('error', error='Patch a cannot be read.')
    with scripted(broken) as (client, _), pytest.raises(StitchFailedError, match='Patch a cannot be read'):
        client.wait('s')
    with scripted(state('cancelled')) as (client, _), pytest.raises(CancelledError):
        client.wait('s')
    with (
        scripted(state('finalizing')) as (client, _),
        pytest.raises(WaitTimeoutError, match='still finalizing'),
    ):
        client.wait('s', timeout=0.01, interval=0.001)


def test_all_pages_of_a_list_are_read():
    page = [{'key': str(number)} for number in range(500)]
    with scripted((200, page), (200, page[:3])) as (client, script):
        assert len(list(client.patches('s'))) == 503
    assert [path.partition('offset=')[2] for _, path, _, _ in script.requests] == ['0', '500']


def test_arrays_go_as_npy_and_nothing_is_pickled(tmp_path):
    values = np.arange(6, dtype='>u2').reshape(2, 3)
    data = Patch('a', values, 0, 0).read()
    (tmp_path / 'a.npy').write_bytes(data)
    assert np.array_equal(np.load(tmp_path / 'a.npy', allow_pickle=False), values)
    assert Patch('a', tmp_path / 'a.npy', 0, 0).read() == data
    with pytest.raises(ValueError, match='allow_pickle'):
        Patch('a', np.array([object()]), 0, 0).read()
    with pytest.raises(InvalidInputError, match='has to be bytes, a path or an array, not list'):
        Patch('a', [1, 2], 0, 0).read()
    with pytest.raises(InvalidInputError, match='No such file'):
        Patch('a', tmp_path / 'none.png', 0, 0).read()


def test_the_address_of_an_item_is_its_page():
    for api in ('http://host:8080/api/v1', 'http://host:8080/api/v1/'):
        assert StitchClient(GirderClient(apiUrl=api)).item_url('i') == 'http://host:8080/#item/i'


@pytest.mark.parametrize(
    ('arguments', 'code', 'words'),
    [
        ([], 2, 'the following arguments are required: COMMAND'),
        (['serve'], 2, '--data'),
        (['serve', '--data', 'x', '--port', '70000'], 2, 'a port is a number'),
        (['serve', '--data', 'x', '--workers', '0'], 2, 'expected a whole number from 1'),
        (['info', 'no/such.zarr'], 1, 'girder-zarr: '),
        (['stitch', 'f', 'no-such.csv', '--api-key', 'k'], 1, 'cannot be read as csv'),
    ],
)
def test_the_command_line_says_what_is_wrong(capsys, arguments, code, words):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == code
    assert words in capsys.readouterr().err
