"""Requests to Girder's WSGI application in threads that are there already, handed over once each way.

Girder's own bridge starts a thread for each request, gives it the body through a pair of sockets, and waits
for it in another thread, three times. Together that takes longer than Girder takes for a cached tile.
"""

from __future__ import annotations

import asyncio
import io
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from .body_stream import BodyStream
from .bounded_requests import FIRST_BYTES, has_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.types import Message, Receive, Scope, Send

_OF_GIRDER = '_WSGIBridge'


def install_bridge(app: Any, wsgi_app: Any) -> bool:
    """Let an application of Starlette send to our bridge what it sends to Girder's.

    :param app: ``girder.asgi.app``. :param wsgi_app: ``girder.wsgi.app``.
    :returns: whether Girder's was found; one that is mounted in another way stays.
    """
    for route in app.routes:
        if type(getattr(route, 'app', None)).__name__ == _OF_GIRDER:
            route.app = GirderBridge(wsgi_app)
            return True
    return False


class _Unsent(NamedTuple):
    """What is left to be sent of an answer.

    :param start: status and headers, None where they are on their way.
    :param body: all of the body then, else its end.
    """

    start: Message | None
    body: bytes


class GirderBridge:
    """An ASGI application that runs a WSGI application in threads of the event loop's executor.

    A body that the application has as a whole is sent at once, any other piece by piece, each when the one
    before it is on its way.

    :param wsgi_app: the application.
    """

    def __init__(self, wsgi_app: Callable[..., Iterable[bytes]]) -> None:
        self._app = wsgi_app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope['type'] != 'http':
            return
        loop = asyncio.get_running_loop()
        early, is_complete = await _beginning(scope, receive)
        feeding = None
        body: io.BytesIO | io.BufferedReader = io.BytesIO(early)
        if not is_complete:
            stream = BodyStream(loop, early)
            body = io.BufferedReader(stream, FIRST_BYTES)
            feeding = loop.create_task(stream.feed(receive))
        sender = _Sender(loop, send)
        try:
            answer = await loop.run_in_executor(None, self._run, environ_of(scope, body), sender)
            if answer.start is not None:
                await send(answer.start)
            await send({'type': 'http.response.body', 'body': answer.body})
        finally:
            sender.is_over = True
            if feeding is not None:
                feeding.cancel()

    def _run(self, environ: dict[str, Any], sender: _Sender) -> _Unsent:
        """Run the application; return what its caller has to send. Runs in a thread."""
        response = _Response()
        result: Any = None
        try:
            result = self._app(environ, response.start)
            pieces = (piece for source in (response.written, result) for piece in source if piece)
            first = next(pieces, b'')
            if not first or len(first) == response.length:
                return _Unsent(response.message, bytes(first))
            sender.send(response.message)
            sender.send_piece(first)
            for piece in pieces:
                sender.send_piece(piece)
            return _Unsent(None, b'')
        finally:
            environ['wsgi.input'].close()
            if hasattr(result, 'close'):
                result.close()


class _Response:
    """What the application says of its answer (PEP 3333, ``start_response``)."""

    def __init__(self) -> None:
        self.message: Message = {'type': 'http.response.start', 'status': 500, 'headers': []}
        self.length: int | None = None
        self.written: list[bytes] = []

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """Keep status and headers; of two calls the second one, which is about an error, counts."""
        del exc_info
        self.length = next((int(value) for name, value in headers if name.lower() == 'content-length'), None)
        pairs = [(name.encode('latin-1'), value.encode('latin-1')) for name, value in headers]
        self.message = {**self.message, 'status': int(status.split(None, 1)[0]), 'headers': pairs}
        return self.written.append


class _Sender:
    """Sends messages of a thread in the event loop, and waits until each is on its way."""

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Send) -> None:
        self._loop, self._send = loop, send
        #: Set where nobody waits for the answer any more.
        self.is_over = False

    def send(self, message: Message) -> None:
        """Send a message. :raises ConnectionAbortedError: nobody waits for it."""
        asyncio.run_coroutine_threadsafe(self._deliver(message), self._loop).result()

    def send_piece(self, piece: bytes) -> None:
        """Send a piece of a body after which others come."""
        self.send({'type': 'http.response.body', 'body': bytes(piece), 'more_body': True})

    async def _deliver(self, message: Message) -> None:
        if self.is_over:
            msg = 'The server has given up the request.'
            raise ConnectionAbortedError(msg)
        await self._send(message)


async def _beginning(scope: Scope, receive: Receive) -> tuple[bytes, bool]:
    """Return the first bytes of a body, of most all of it, and whether they are all."""
    if not has_body(scope):
        return b'', True
    pieces: list[bytes] = []
    size, is_complete = 0, False
    while not is_complete and size < FIRST_BYTES:
        message = await receive()
        pieces.append(message.get('body', b''))
        size += len(pieces[-1])
        is_complete = message['type'] != 'http.request' or not message.get('more_body', False)
    return b''.join(pieces), is_complete


def environ_of(scope: Scope, body: Any) -> dict[str, Any]:
    """Return what WSGI says of a request, as Girder's bridge does."""
    environ: dict[str, Any] = {
        'REQUEST_METHOD': scope['method'],
        'SCRIPT_NAME': scope.get('root_path', ''),
        'PATH_INFO': scope.get('path', ''),
        'QUERY_STRING': scope.get('query_string', b'').decode('latin-1'),
        'SERVER_PROTOCOL': f'HTTP/{scope.get("http_version", "1.1")}',
        'wsgi.version': (1, 0),
        'wsgi.url_scheme': scope.get('scheme', 'http'),
        'wsgi.input': body,
        'wsgi.errors': sys.stderr,
        'wsgi.multithread': True,
        'wsgi.multiprocess': False,
        'wsgi.run_once': False,
    }
    for names, address in (
        (('REMOTE_ADDR', 'REMOTE_PORT'), 'client'),
        (('SERVER_NAME', 'SERVER_PORT'), 'server'),
    ):
        if scope.get(address):
            environ.update(zip(names, map(str, scope[address]), strict=True))
    for name, value in scope.get('headers', ()):
        key = name.decode('latin-1').upper().replace('-', '_')
        is_of_cgi = key in {'CONTENT_TYPE', 'CONTENT_LENGTH'}
        environ[key if is_of_cgi else f'HTTP_{key}'] = value.decode('latin-1')
    if 'CONTENT_LENGTH' not in environ:
        environ['wsgi.input_terminated'] = True
    return environ
