"""How many requests are worked on at once, and how slowly a body may arrive.

Girder works on each request in a thread, here one of the event loop's default executor (`girder_bridge`):
of these asyncio has as few as six, so that six slow uploads would stop everything. Here the executor has room
for every request, requests are bounded by number, and a body that does not move is given up. The beginning of
a body is awaited before there is a thread, so that a request whose few bytes do not come costs a connection
and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Requests that are worked on at once, each in a thread that mostly waits: some 10 MB in all.
MAX_REQUESTS = 400
#: Bytes of a body that are awaited before a thread is taken: most bodies of JSON are smaller.
FIRST_BYTES = 2**16
#: Seconds without a byte after which a body is given up; mobile networks pause for less.
IDLE_SECONDS = 30.0
#: Seconds that a client may be waited for in all, and bytes that earn it a second more.
GRACE_SECONDS, MIN_RATE = 60.0, 1000.0

#: Headers of a request that has a body (RFC 9112, 6.3).
BODY_HEADERS = frozenset({b'content-length', b'transfer-encoding'})

_SLOW = 'The body of the request did not arrive in time; send it again.'
_BUSY = 'The server works on as many requests as it can; try again in a moment.'


def give_room() -> None:
    """Give the running event loop threads in which so many requests can be waited for."""
    executor = ThreadPoolExecutor(max_workers=MAX_REQUESTS + 32, thread_name_prefix='waiting')
    asyncio.get_running_loop().set_default_executor(executor)


class BoundedRequests:
    """An ASGI application whose requests are bounded by number, and their bodies by how slow they are.

    A body that is too slow is answered with 408, a request too many with 503; both end the connection.

    :param app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._running = 0
        self._arriving: set[PacedBody] = set()
        self._is_closing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope['type'] != 'http':
            await self._app(scope, receive, send)
            return
        if not has_body(scope):  # most requests: waiting for nothing would take longer than some answers
            await self._run(scope, receive, send)
            return
        body = PacedBody(receive)
        if self._is_closing:
            body.close()
        self._arriving.add(body)
        try:
            await body.begin()
            if body.is_slow:
                await _refuse(send, 408, _SLOW)
            else:
                await self._run(scope, body.receive, _Answer(send, body).send)
        finally:
            self._arriving.discard(body)

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._running >= MAX_REQUESTS:
            await _refuse(send, 503, _BUSY, (b'retry-after', b'5'))
            return
        self._running += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._running -= 1

    def close(self) -> None:
        """Give up the bodies that still arrive, for a server that stops."""
        self._is_closing = True
        for body in self._arriving:
            body.close()


def has_body(scope: Scope) -> bool:
    """Whether a request has a body, be it empty."""
    for name, _ in scope['headers']:  # noqa: SIM110 - a generator takes longer
        if name in BODY_HEADERS:
            return True
    return False


class PacedBody:
    """The body of a request as it arrives, given up where it is too slow.

    Only the time counts that the client is waited for, not what the application takes.

    :param receive: of the server.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._early: list[Message] = []
        self._waited, self._arrived, self._complete = 0.0, 0, False
        self._timeout: asyncio.Timeout | None = None
        self._is_closed = self.is_slow = False

    def close(self) -> None:
        """Wait no longer for what has not arrived."""
        self._is_closed = True
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(asyncio.get_running_loop().time())

    async def begin(self) -> None:
        """Wait for the first bytes."""
        while not self._complete and self._arrived < FIRST_BYTES:
            self._early.append(await self._next())

    async def receive(self) -> Message:
        """Return the next message; of a body that is given up, that the client has gone."""
        return self._early.pop(0) if self._early else await self._next()

    async def _next(self) -> Message:
        if self._complete:
            # What comes after the body is the end of the connection, which may take its time.
            return await self._receive()
        started = time.monotonic()
        left = min(IDLE_SECONDS, GRACE_SECONDS + self._arrived / MIN_RATE - self._waited)
        self._timeout = asyncio.timeout(0.0 if self._is_closed else max(left, 0.0))
        try:
            # A timer and no task: of a body that arrives at once that would be most of the work.
            async with self._timeout:
                message = await self._receive()
        except TimeoutError:
            self.is_slow = self._complete = True
            return {'type': 'http.disconnect'}
        finally:
            self._timeout = None
        self._waited += time.monotonic() - started
        self._arrived += len(message.get('body', b''))
        self._complete = message['type'] != 'http.request' or not message.get('more_body', False)
        return message


class _Answer:
    """The answer of an application, which counts for nothing where the body was given up before it began."""

    def __init__(self, send: Send, body: PacedBody) -> None:
        self._send, self._body = send, body
        self._begun = self._refused = False

    async def send(self, message: Message) -> None:
        """Send a message of the application, or the refusal in place of all of them."""
        if self._body.is_slow and not self._begun and not self._refused:
            self._refused = True
            await _refuse(self._send, 408, _SLOW)
        if not self._refused:
            self._begun = True
            await self._send(message)


async def _refuse(send: Send, status: int, sentence: str, *headers: tuple[bytes, bytes]) -> None:
    """Answer as Girder does, and end the connection, whose next bytes would be those of the body."""
    data = json.dumps({'message': sentence, 'type': 'rest'}).encode()
    start = {
        'type': 'http.response.start',
        'status': status,
        'headers': [
            (b'content-type', b'application/json'),
            (b'content-length', str(len(data)).encode()),
            (b'connection', b'close'),
            *headers,
        ],
    }
    await send(start)
    await send({'type': 'http.response.body', 'body': data})
