"""The bridge to a WSGI application: what it is told, bodies both ways, and clients that go."""

import ast
import asyncio
import importlib.util
import sys
import threading
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from girder_zarr.stack.child import body_stream
from girder_zarr.stack.child.girder_bridge import GirderBridge, environ_of, install_bridge

SCOPE = {'type': 'http', 'method': 'GET', 'path': '/api/v1/item', 'query_string': b'a=1', 'headers': []}
UPLOAD = {**SCOPE, 'method': 'PUT', 'headers': [(b'transfer-encoding', b'chunked')]}


def bridge_of_girder():
    """Return the class of Girder's bridge without the server that its module starts."""
    path = importlib.util.find_spec('girder').submodule_search_locations[0]
    tree = ast.parse(Path(path, 'asgi.py').read_text())
    tree.body = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    found = {'sys': sys}
    exec(compile(tree, 'girder.asgi', 'exec'), found)
    return found['_WSGIBridge']


class Connection:
    """A client whose pieces of a body arrive one after the other; then it goes or waits."""

    def __init__(self, *pieces, complete=True):
        self.pieces, self.complete = list(pieces), complete
        self.taken, self.sent = 0, []

    async def receive(self):
        await asyncio.sleep(0)
        if not self.pieces:
            return {'type': 'http.disconnect'}
        self.taken += 1
        body = self.pieces.pop(0)
        return {'type': 'http.request', 'body': body, 'more_body': bool(self.pieces) or not self.complete}

    async def send(self, message):
        self.sent.append(message)

    @property
    def status(self):
        return self.sent[0]['status']

    @property
    def body(self):
        assert [one['type'] for one in self.sent[1:]] == ['http.response.body'] * (len(self.sent) - 1)
        more = [one.get('more_body', False) for one in self.sent[1:]]
        assert more == [True] * (len(more) - 1) + [False]
        return b''.join(one['body'] for one in self.sent[1:])


def ask(app, scope=SCOPE, client=None):
    client = client or Connection()
    asyncio.run(asyncio.wait_for(GirderBridge(app)(scope, client.receive, client.send), 30))
    return client


def whole(body, *, announced=True, status='200 OK'):
    """An application that answers with all of a body."""

    def app(_environ, start_response):
        headers = [('X-Name', 'é')] + [('Content-Length', str(len(body)))] * announced
        start_response(status, headers)
        return [body]

    return app


class Streamed:
    """An answer in pieces, which says whether it was closed."""

    def __init__(self, pieces):
        self.pieces, self.threads, self.is_closed = iter(pieces), set(), False

    def __call__(self, _environ, start_response):
        start_response('206 Partial Content', [('Content-Type', 'text/plain')])
        return self

    def __iter__(self):
        return self

    def __next__(self):
        self.threads.add(threading.get_ident())
        return next(self.pieces)

    def close(self):
        self.is_closed = True


SCOPES = {
    'bare': SCOPE,
    'with addresses': {**SCOPE, 'client': ('10.0.0.1', 5), 'server': ('localhost', 80), 'scheme': 'https'},
    'below a path': {**SCOPE, 'root_path': '/girder', 'path': '/girder/é', 'http_version': '1.0'},
    'socket file': {**SCOPE, 'client': None, 'server': ('/run/socket', None)},
    'body': {
        **SCOPE,
        'headers': [
            (b'content-length', b'3'),
            (b'content-type', b'a/b'),
            (b'cookie', b'\xe9'),
            (b'x-a', b'1'),
        ],
    },
    'header twice': {**SCOPE, 'headers': [(b'accept', b'a'), (b'accept', b'b')]},
}


@pytest.mark.parametrize('scope', SCOPES.values(), ids=SCOPES)
def test_the_application_is_told_what_girders_bridge_tells_it(scope):
    theirs = bridge_of_girder()(None)._build_environ(scope, 'body')
    assert environ_of(scope, 'body') == theirs


def test_girders_bridge_is_where_it_is_looked_for():
    theirs = bridge_of_girder()
    app = Starlette(routes=[Mount('/x', app=whole(b'')), Mount('/', app=theirs(None))])
    assert install_bridge(app, whole(b'abc'))
    client = Connection()
    scope = {**SCOPE, 'app': app, 'raw_path': b'/api', 'root_path': '', 'state': {}}
    asyncio.run(app(scope, client.receive, client.send))
    assert client.body == b'abc'
    assert not install_bridge(Starlette(routes=[Mount('/', app=whole(b''))]), whole(b''))


@pytest.mark.parametrize('announced', [True, False])
@pytest.mark.parametrize('body', [b'', b'abc', bytes(2**20)])
def test_a_whole_answer(body, announced):
    client = ask(whole(body, announced=announced, status='404 Not Found'))
    assert client.status == 404
    assert client.sent[0]['headers'][0] == (b'X-Name', 'é'.encode('latin-1'))
    assert client.body == body
    if announced:
        assert len(client.sent) == 2


def test_an_answer_in_pieces_comes_from_one_thread_and_is_closed():
    app = Streamed([b'a', b'', b'b' * 100_000, b'c'])
    client = ask(app)
    assert client.status == 206
    assert client.body == b'a' + b'b' * 100_000 + b'c'
    assert len(client.sent) == 5
    assert app.is_closed
    assert len(app.threads) == 1


def test_what_is_written_comes_before_what_is_returned():
    def app(_environ, start_response):
        write = start_response('200 OK', [])
        write(b'first ')
        return [b'second']

    assert ask(app).body == b'first second'


def test_an_error_is_the_servers_to_answer():
    def app(_environ, _start_response):
        raise KeyError('x')

    with pytest.raises(KeyError):
        ask(app)

    def breaks_off():
        yield b'a'
        raise KeyError('y')

    client, broken = Connection(), Streamed(breaks_off())
    with pytest.raises(KeyError):
        ask(broken, client=client)
    assert broken.is_closed
    assert client.sent[-1]['more_body']  # nobody takes it for the whole


def reads(size=None):
    """An application that answers with the body of the request."""

    def app(environ, start_response):
        stream, pieces = environ['wsgi.input'], []
        while piece := stream.read(size):
            pieces.append(piece)
        start_response('200 OK', [])
        return [b''.join(pieces)]

    return app


BODIES = {
    'none': (b'',),
    'small': (b'abc',),
    'in two': (b'abc', b'def'),
    'large': (bytes(range(256)) * 4096,),
    'many pieces': tuple(bytes([at % 256]) * (60_000 + at) for at in range(30)),
    'an empty last piece': (bytes(70_000), b'a', b''),
}


@pytest.mark.parametrize('size', [None, 1000, 2**18, 2**24])
@pytest.mark.parametrize('pieces', BODIES.values(), ids=BODIES)
def test_a_body_arrives(pieces, size):
    assert ask(reads(size), UPLOAD, Connection(*pieces)).body == b''.join(pieces)


def test_a_body_of_lines():
    def app(environ, start_response):
        start_response('200 OK', [])
        return [b'|'.join(environ['wsgi.input'])]

    assert ask(app, UPLOAD, Connection(b'a\nb', b'c\n' * 40_000, b'd')).body.startswith(b'a\n|bc\n|c\n|')


@pytest.mark.parametrize('sent', [3, 70_000, 2**20])
def test_a_body_that_ends_early_ends(sent):
    assert len(ask(reads(2**16), UPLOAD, Connection(bytes(sent), complete=False)).body) == sent


def test_no_more_of_a_body_is_taken_than_the_application_reads(monkeypatch):
    monkeypatch.setattr(body_stream, 'WAITING_BYTES', 2**17)
    client, piece = Connection(*[bytes(2**16)] * 100), 2**16

    async def run():
        go_on, seen = threading.Event(), []

        def app(environ, start_response):
            go_on.wait(30)
            start_response('200 OK', [])
            size = sum(len(environ['wsgi.input'].read(1000)) for _ in range(2**16))
            return [str(size).encode()]

        task = asyncio.create_task(GirderBridge(app)(UPLOAD, client.receive, client.send))
        for _ in range(1000):
            await asyncio.sleep(0)
        seen.append(client.taken)
        go_on.set()
        await task
        return seen

    (taken,) = asyncio.run(run())
    assert taken * piece <= 2**17 + 2 * piece
    assert client.body == str(100 * piece).encode()


def test_an_answer_before_the_end_of_the_body():
    """Nobody waits for the rest."""

    async def run():
        client = Connection(*[bytes(2**16)] * 100)
        await GirderBridge(whole(b'no'))(UPLOAD, client.receive, client.send)
        assert client.body == b'no'
        assert client.pieces
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


def test_a_request_that_is_given_up_ends_its_thread():
    """Whatever the thread waits for: the body, or that a piece is sent."""

    async def run(app, scope, client):
        task = asyncio.create_task(GirderBridge(app)(scope, client.receive, client.send))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    class Silent(Connection):
        async def receive(self):
            return await super().receive() if self.pieces else await asyncio.Event().wait()

    begun, ended = threading.Event(), []

    def waits(environ, start_response):
        begun.set()
        ended.append(len(environ['wsgi.input'].read()))
        start_response('200 OK', [])
        return [b'']

    asyncio.run(run(waits, UPLOAD, Silent(bytes(2**17), complete=False)))  # waits for its threads at the end
    assert ended == [2**17]

    class Endless(Streamed):
        def __next__(self):
            begun.set()
            return b'a'

    begun.clear()
    endless = Endless([])
    asyncio.run(run(endless, SCOPE, Connection()))
    assert endless.is_closed
