"""Requests at a real socket whose answers are in memory: their bytes, their order, and slow readers."""

import asyncio
import types

import pytest
import uvicorn

from girder_zarr.stack.child.image_protocol import image_protocol
from girder_zarr.stack.child.image_requests import STATE

pytest.importorskip('httptools')
BODY = bytes(range(256)) * 256


class Images:
    """Knows ``/zarr/plain``; everything else, and what it counts, is the application's."""

    def __init__(self):
        self.told = 0

    def plain(self, scope):
        if scope['method'] != 'GET' or scope['path'] != '/zarr/plain':
            return None
        self.told += 1
        head = b'HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n' % len(BODY)
        return types.SimpleNamespace(head=lambda: head, body=memoryview(BODY))


async def answer_late(scope, receive, send):
    """The application: answers ``/late`` when the event loop has come round, and says what was asked for."""
    if scope['path'] == '/late':
        await asyncio.sleep(0)
    body = f'{scope["method"]} {scope["path"]}'.encode()
    if body == b'GET /zarr/plain' and scope['http_version'] == '1.1':
        body = BODY
    if scope['method'] == 'POST':
        body += b' ' + (await receive())['body']
    headers = [(b'content-length', str(len(body)).encode())]
    await send({'type': 'http.response.start', 'status': 200, 'headers': headers})
    await send({'type': 'http.response.body', 'body': body})


def talk(conversation):
    """Run a conversation with a server; it gets the images and a function that opens a connection."""
    images = Images()
    app = types.SimpleNamespace(state=types.SimpleNamespace(**{STATE: images}))

    async def run():
        config = uvicorn.Config(
            answer_late, port=0, http=image_protocol(app), lifespan='off', log_level='critical'
        )
        server = uvicorn.Server(config)
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        host, port = server.servers[0].sockets[0].getsockname()
        try:
            await asyncio.wait_for(conversation(images, lambda: asyncio.open_connection(host, port)), 30)
        finally:
            server.force_exit = True
            await server.shutdown()

    asyncio.run(run())


async def read_answer(reader, *, head_only=False):
    head = await reader.readuntil(b'\r\n\r\n')
    length = next(int(line.split(b': ')[1]) for line in head.split(b'\r\n') if b'content-length' in line)
    return b'' if head_only else await reader.readexactly(length)


def request(path, method='GET', version='1.1', more=''):
    return f'{method} {path} HTTP/{version}\r\nHost: x\r\n{more}\r\n'.encode()


def test_answers_come_in_the_order_of_requests():
    paths = ['/zarr/plain', '/late', '/zarr/plain', '/zarr/plain', '/other', '/zarr/plain']

    async def conversation(images, connect):
        reader, writer = await connect()
        writer.write(b''.join(request(path) for path in paths))
        for path in paths:
            expected = BODY if path == '/zarr/plain' else f'GET {path}'.encode()
            assert await read_answer(reader) == expected
        assert images.told >= 1  # those behind one that is waited for may go the other way
        writer.close()

    talk(conversation)


def test_a_connection_is_used_again():
    async def conversation(images, connect):
        reader, writer = await connect()
        for _ in range(3):
            writer.write(request('/zarr/plain'))
            assert await read_answer(reader) == BODY
            writer.write(request('/late'))
            assert await read_answer(reader) == b'GET /late'
        assert images.told == 3
        writer.close()

    talk(conversation)


@pytest.mark.parametrize(
    'asked',
    [
        request('/zarr/plain', method='HEAD'),
        request('/zarr/plain', version='1.0'),
        request('/zarr/plain', more='Connection: close\r\n'),
        request('/zarr/plain', method='POST', more='Content-Length: 3\r\n') + b'abc',
    ],
)
def test_what_is_not_plain_goes_to_the_application(asked):
    async def conversation(images, connect):
        reader, writer = await connect()
        writer.write(asked)
        body = await read_answer(reader, head_only=asked.startswith(b'HEAD'))
        assert body in (b'', BODY, b'GET /zarr/plain', b'POST /zarr/plain abc')
        assert images.told == 0
        writer.close()

    talk(conversation)


def test_a_client_that_does_not_read_fills_no_memory():
    async def conversation(images, connect):
        reader, writer = await connect()
        writer.write(request('/zarr/plain') * 1000)
        assert await read_answer(reader) == BODY
        # Sockets hold some megabytes, the server's buffer 64 KiB: far fewer than all were looked up.
        assert 0 < images.told < 500
        writer.transport.abort()

    talk(conversation)
