"""Bodies that do not move are given up, and requests are bounded; an ASGI server stands in for uvicorn."""

import asyncio

import pytest

from girder_zarr.stack.child import bounded_requests
from girder_zarr.stack.child.bounded_requests import BoundedRequests
from girder_zarr.stack.child.image_requests import ImageRequests

SCOPE = {'type': 'http', 'path': '/', 'headers': [(b'transfer-encoding', b'chunked')]}
BARE = {**SCOPE, 'headers': [(b'host', b'x')]}


class Client:
    """Sends pieces of a body, and then nothing more unless it is complete."""

    def __init__(self, *pieces, complete=False):
        self.pieces, self.complete, self.answer = list(pieces), complete, []

    async def receive(self):
        if self.pieces:
            piece = self.pieces.pop(0)
            return {
                'type': 'http.request',
                'body': piece,
                'more_body': bool(self.pieces) or not self.complete,
            }
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message):
        self.answer.append(message)

    @property
    def status(self):
        starts = [one['status'] for one in self.answer if one['type'] == 'http.response.start']
        assert len(starts) == 1, self.answer
        return starts[0]


async def echo(_scope, receive, send):
    """Answer with the length of the body, or 400 where it ends early, as the bridge does."""
    length, status = 0, 200
    while True:
        message = await receive()
        length += len(message.get('body', b''))
        if message['type'] == 'http.disconnect':
            status = 400
            break
        if not message.get('more_body'):
            break
    await send({'type': 'http.response.start', 'status': status, 'headers': []})
    await send({'type': 'http.response.body', 'body': str(length).encode()})


def ask(client, app=None, scope=SCOPE):
    asyncio.run((app or BoundedRequests(echo))(scope, client.receive, client.send))
    return client.status


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(bounded_requests, 'IDLE_SECONDS', 0.05)


@pytest.mark.parametrize('pieces', [(b'',), (b'a',), (b'a' * 100_000,), (b'a' * 70_000, b'b' * 70_000)])
def test_a_body_that_arrives_is_passed_on(pieces):
    client = Client(*pieces, complete=True)
    assert ask(client) == 200
    assert client.answer[-1]['body'] == str(sum(map(len, pieces))).encode()


@pytest.mark.parametrize('sent', [0, 1, 2**16 - 1, 2**16, 2**20])
def test_a_body_that_stops_is_answered_with_408(hurried, sent):
    client = Client(*([b'a' * sent] if sent else []))
    assert ask(client) == 408
    assert (b'connection', b'close') in client.answer[0]['headers']


def test_a_body_that_trickles_is_given_up(monkeypatch):
    """Each byte comes in time, all of them together do not."""
    monkeypatch.setattr(bounded_requests, 'GRACE_SECONDS', 0.0)
    monkeypatch.setattr(bounded_requests, 'MIN_RATE', 1e9)

    class Trickle(Client):
        async def receive(self):
            await asyncio.sleep(0.001)
            return {'type': 'http.request', 'body': b'a', 'more_body': True}

    assert ask(Trickle()) == 408


def test_time_that_the_application_takes_does_not_count(monkeypatch):
    monkeypatch.setattr(bounded_requests, 'GRACE_SECONDS', 0.01)
    monkeypatch.setattr(bounded_requests, 'MIN_RATE', 1e9)

    async def thinks(scope, receive, send):
        await asyncio.sleep(0.05)
        await echo(scope, receive, send)

    assert ask(Client(*[b'a' * 100_000] * 3, complete=True), BoundedRequests(thinks)) == 200


def test_a_request_without_a_body_is_handed_on_at_once():
    """What the server says of it reaches the application, which alone waits for it."""

    async def asks_nothing(_scope, _receive, send):
        await send({'type': 'http.response.start', 'status': 200, 'headers': []})
        await send({'type': 'http.response.body', 'body': b''})

    assert ask(Client(), BoundedRequests(asks_nothing), BARE) == 200
    assert ask(Client(b'', complete=True), scope=BARE) == 200


@pytest.mark.parametrize('scope', [SCOPE, BARE])
def test_requests_beyond_the_bound_are_refused(monkeypatch, scope):
    monkeypatch.setattr(bounded_requests, 'MAX_REQUESTS', 2)

    async def run():
        go_on, begun = asyncio.Event(), []

        async def waits(scope, receive, send):
            begun.append(1)
            await go_on.wait()
            await echo(scope, receive, send)

        app = BoundedRequests(waits)
        clients = [Client(b'a', complete=True) for _ in range(3)]
        tasks = [asyncio.create_task(app(scope, one.receive, one.send)) for one in clients]
        await tasks[2]
        assert (clients[2].status, len(begun)) == (503, 2)
        go_on.set()
        await asyncio.gather(*tasks)
        assert [one.status for one in clients[:2]] == [200, 200]

    asyncio.run(run())


def test_a_server_that_stops_waits_for_no_body():
    async def run():
        app, client = BoundedRequests(echo), Client(b'a' * 2**17)
        task = asyncio.create_task(app(SCOPE, client.receive, client.send))
        while client.pieces:
            await asyncio.sleep(0)
        app.close()
        await task
        assert client.status == 408

    asyncio.run(run())


@pytest.mark.parametrize(
    ('scope', 'way'),
    [
        ({**BARE, 'path': '/zarr/item/x/0'}, 'images'),
        ({**SCOPE, 'path': '/zarr/item/x/0'}, 'others'),
        ({**BARE, 'path': '/api/v1/item'}, 'others'),
        ({**BARE, 'path': '/zarrs'}, 'others'),
        ({'type': 'websocket', 'path': '/zarr/x'}, 'others'),
        ({'type': 'lifespan'}, 'others'),
    ],
)
def test_requests_for_images_pass_by(scope, way):
    went = []

    def app(name):
        async def answer(*_arguments):
            went.append(name)

        return answer

    async def ask_once():
        await ImageRequests(app('images'), app('others'))(scope, None, None)

    asyncio.run(ask_once())
    assert went == [way]
