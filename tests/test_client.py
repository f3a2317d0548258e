"""The client against a server that behaves badly, and the csv file of `girder-zarr stitch`."""

import base64
import contextlib
import hashlib
import http.server
import json
import threading

import numpy as np
import pytest
from girder_client import GirderClient

from girder_zarr import cli
from girder_zarr.client import Patch, StitchClient, StitchFailedError, WaitTimeoutError
from girder_zarr.errors import (
    CancelledError,
    ConflictError,
    GirderZarrError,
    InvalidInputError,
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
            status, document = script.next()
            if status is None:
                # The connection breaks before an answer.
                self.close_connection = True
                return
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header('Content-Length', str(len(content)))
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
    with scripted((200, []), refusal) as (client, _), pytest.raises(ConflictError):
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


def write(path, text):
    path.write_text(text, encoding='utf-8')
    return path


def test_positions_are_read_with_all_their_columns(tmp_path):
    for name in ('a b.png', 'sub-c.png'):
        (tmp_path / name).write_bytes(b'')
    table = write(
        tmp_path / 'p.csv', '\ufefffile,x,y,order,z,key\na b.png, 1,-2,3,4,\nsub-c.png,5,6,,0,mine\n\n'
    )
    first, second = cli.read_positions(table)
    assert (first.key, first.position, first.order) == ('a_b.png', {'x': 1, 'y': -2, 'z': 4}, 3)
    assert (second.key, second.position, second.order) == ('mine', {'x': 5, 'y': 6, 'z': 0}, 0)
    assert first.data == tmp_path / 'a b.png'


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('', 'needs a header line with file, x and y'),
        ('file,x\na.png,1\n', 'there is no y'),
        ('file,x,y\n', 'has no patch'),
        ('file,x,y\na.png,1.5,2\n', "Line 2 of .*: x has to be a whole number, not '1.5'"),
        ('file,x,y\na.png,,2\n', 'Line 2 of .* has no x'),
        ('file,x,y\nb.png,1,2\n', 'Line 2 of .*: there is no file'),
        ('file,x,y\na.png,1,2\na.png,3,4\n', 'more than one patch with the key a.png'),
    ],
)
def test_a_bad_table_is_refused_before_anything_is_sent(tmp_path, text, words):
    (tmp_path / 'a.png').write_bytes(b'')
    with pytest.raises(InvalidInputError, match=words):
        cli.read_positions(write(tmp_path / 'p.csv', text))


def test_a_table_that_is_not_text_is_refused(tmp_path):
    (tmp_path / 'p.csv').write_bytes(b'\xff\xfe\x00file')
    with pytest.raises(InvalidInputError, match='cannot be read as csv'):
        cli.read_positions(tmp_path / 'p.csv')


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


def test_the_command_line_does_not_sign_in_without_a_key(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv('GIRDER_API_KEY', raising=False)
    (tmp_path / 'a.png').write_bytes(b'')
    table = write(tmp_path / 'p.csv', 'file,x,y\na.png,1,2\n')
    with pytest.raises(SystemExit):
        cli.main(['stitch', 'f', str(table)])
    assert 'An API key is needed' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(['stitch', 'f', str(table), '--api-key', 'k', '--api-url', 'http://127.0.0.1:1/api/v1'])
    assert 'There is no Girder at http://127.0.0.1:1/api/v1' in capsys.readouterr().err
