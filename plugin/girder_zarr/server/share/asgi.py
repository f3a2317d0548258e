"""``/zarr`` as an ASGI application. What blocks runs in threads of its own, not in those of Girder."""

from __future__ import annotations

import asyncio
import functools
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import GirderZarrError, InvalidInputError
from girder_zarr.image.serve.answer import HttpAnswer, error_answer

from .grants import cached_grant
from .reads import FLUSH_SECONDS, MAX_WAITING, Reader, counts
from .requests import ZarrRequest, read_request, respond, respond_at_once, still_granted

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

Scope = dict[str, Any]

#: Threads for disks, S3 and the database. More take the interpreter from each other; see docs/benchmarks.md.
THREADS = 16
METHODS = ('GET', 'HEAD')
#: Answers that count as reads.
COUNTED = (200, 206, 304)
#: Sent with every answer. Nothing that is stored is ever shown or run as a page, whatever it claims to be.
#: Any page may read what it has a key or a token for, but not with its user's cookie (no Allow-Credentials).
COMMON = [
    (b'access-control-allow-origin', b'*'),
    (b'access-control-expose-headers', b'Accept-Ranges, Content-Length, Content-Range, ETag, Last-Modified'),
    (b'cross-origin-resource-policy', b'cross-origin'),
    (b'vary', b'Girder-Token, Cookie'),
    (b'x-content-type-options', b'nosniff'),
    (b'referrer-policy', b'no-referrer'),
]
_PREFLIGHT = {
    'Access-Control-Allow-Methods': 'GET, HEAD, OPTIONS',
    'Access-Control-Allow-Headers': (
        'Authorization, Girder-Token, If-Match, If-None-Match, If-Range, Range, *'
    ),
    'Access-Control-Max-Age': '86400',
    'Content-Length': '0',
}
_SANDBOX = (b'content-security-policy', b"default-src 'none'; sandbox")


class ZarrApp:
    """The application; one for a process. Its event loop may be any."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix='zarr-http')

    def close(self) -> None:
        """End the threads when they are done, and write what they counted."""
        self._pool.shutdown()
        counts.flush()

    async def __call__(self, path: str, scope: Scope, receive: Any, send: Any) -> None:
        """HttpAnswer a request.

        :param path: below ``/zarr/``.
        """
        method = scope['method']
        if method == 'OPTIONS':
            await self._start(send, HttpAnswer(204, dict(_PREFLIGHT)))
            await send({'type': 'http.response.body'})
            return
        if method not in METHODS:
            answer = error_answer(405)
            answer.headers['Allow'] = 'GET, HEAD, OPTIONS'
            await self._send_whole(send, answer, method)
            return
        headers = _headers(scope['headers'])
        try:
            request = read_request(method, path, scope.get('query_string', b''), headers)
        except InvalidInputError as error:
            await self._send_whole(send, error_answer(400, str(error)), method)
            return
        if request is None:
            await self._send_whole(send, error_answer(404), method)
            return
        answer, reader = respond_at_once(request) or await self._run(respond, request)
        if answer.rest is None:
            self._count(reader, answer.status, len(answer.first))
            await self._send_whole(send, answer, method)
            return
        sent = _Sent()
        try:
            await self._send_blocks(request, answer, receive, send, sent)
        finally:
            self._count(reader, answer.status, sent.size)

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    async def _start(self, send: Any, answer: HttpAnswer) -> None:
        headers = [(_name(name), value.encode('latin-1')) for name, value in answer.headers.items()]
        if 'Content-Security-Policy' not in answer.headers:
            headers.append(_SANDBOX)
        await send({'type': 'http.response.start', 'status': answer.status, 'headers': [*headers, *COMMON]})

    async def _send_whole(self, send: Any, answer: HttpAnswer, method: str) -> None:
        await self._start(send, answer)
        await send({'type': 'http.response.body', 'body': b'' if method == 'HEAD' else answer.first})

    async def _send_blocks(
        self, request: ZarrRequest, answer: HttpAnswer, receive: Any, send: Any, sent: _Sent
    ) -> None:
        """Send block after block, each when the one before it is on its way.

        The right to read is checked again once the cached grant has expired. Where it ends, or
        where a block cannot be read, the connection ends before the length that was announced, which no
        client takes for the whole value.
        """
        left = asyncio.ensure_future(_left(receive))
        try:
            await self._start(send, answer)
            block = answer.first
            while block:
                if left.done():
                    return
                await send({'type': 'http.response.body', 'body': block, 'more_body': True})
                sent.size += len(block)
                if cached_grant(request.address) is None and not await self._run(still_granted, request):
                    return
                block = await self._run(next, answer.rest, b'')
            await send({'type': 'http.response.body'})
        except GirderZarrError as error:
            logger.warning('A value of %s %s broke off: %s', *request.address[:2], error)
        finally:
            left.cancel()
            with suppress(ValueError):  # a thread is still reading; what is open closes after it
                answer.release()

    def _count(self, reader: Reader | None, status: int, size: int) -> None:
        if reader is None or status not in COUNTED:
            return
        waiting = counts.add(reader, size)
        if waiting == MAX_WAITING:
            self._pool.submit(counts.flush)
        elif waiting == 1:
            loop = asyncio.get_running_loop()
            loop.call_later(FLUSH_SECONDS, lambda: self._pool.submit(counts.flush))


class _Sent:
    """How much of a body is on its way."""

    size = 0


@functools.cache
def _name(name: str) -> bytes:
    """Return the name of a header of ours, of which there are few, as it is sent."""
    return name.lower().encode('latin-1')


async def _left(receive: Any) -> None:
    """Return when the client has gone."""
    while (await receive())['type'] != 'http.disconnect':
        pass


def _headers(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        key, text = name.decode('latin-1'), value.decode('latin-1')
        joint = '; ' if key == 'cookie' else ', '
        found[key] = f'{found[key]}{joint}{text}' if key in found else text
    return found
