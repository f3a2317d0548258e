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

from .answer_headers import headers_of_answer
from .at_once import PlainAnswer, plain_answer, respond_at_once
from .grants import cached_grant
from .reads import FLUSH_SECONDS, MAX_WAITING, Reader, counts
from .requests import ZarrRequest, read_request, respond, still_granted

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

Scope = dict[str, Any]

#: Threads for disks, S3 and the database. More take the interpreter from each other; see docs/benchmarks.md.
THREADS = 16
#: Answers that are sent block by block at a time; each holds two blocks. Smaller ones are not bounded.
MAX_STREAMS = 1000
#: Bytes of whole values that such answers hold together, where a store or a maker gives them only whole.
MAX_HELD_BYTES = 2**29
#: Threads that make chunks of pixels, so that readers of stored ones do not wait for them. Their memory is
#: bounded by `common.budget`.
MAKERS = 8
#: Requests that wait for these; a viewer that moves on takes its own back.
MAX_MAKING = 500
METHODS = ('GET', 'HEAD')
#: Answers that count as reads.
COUNTED = (200, 206, 304)
_PREFLIGHT = {
    'Access-Control-Allow-Methods': 'GET, HEAD, OPTIONS',
    'Access-Control-Allow-Headers': (
        'Authorization, Girder-Token, If-Match, If-None-Match, If-Range, Range, *'
    ),
    'Access-Control-Max-Age': '86400',
    'Content-Length': '0',
}


class ZarrApp:
    """The application; one for a process. Its event loop may be any."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix='zarr-http')
        self._makers = ThreadPoolExecutor(MAKERS, thread_name_prefix='zarr-make')
        self._streams = self._held = self._making = 0

    def close(self) -> None:
        """End the threads when they are done, and write what they counted."""
        self._makers.shutdown(cancel_futures=True)
        self._pool.shutdown()
        counts.flush()

    async def __call__(self, path: str, scope: Scope, receive: Any, send: Any) -> None:
        """HttpAnswer a request.

        :param path: below ``/zarr/``.
        """
        method, query = scope['method'], scope.get('query_string', b'')
        plain = self.plain(path, scope)
        if plain is not None:
            await send(plain.start())
            await send({'type': 'http.response.body', 'body': plain.body})
            return
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
            request = read_request(method, path, query, headers)
        except InvalidInputError as error:
            await self._send_whole(send, error_answer(400, str(error)), method)
            return
        if request is None:
            await self._send_whole(send, error_answer(404), method)
            return
        found = respond_at_once(request) or await self._run(
            functools.partial(respond, request, may_make=False)
        )
        found = found or await self._make(request, receive)
        if found is None:  # the client has gone
            return
        answer, reader = found
        if answer.rest is None:
            self._count(reader, answer.status, len(answer.first))
            await self._send_whole(send, answer, method)
            return
        held = answer.held
        if self._streams >= MAX_STREAMS or (self._held and self._held + held > MAX_HELD_BYTES):
            answer.release()
            await self._send_whole(send, _busy(), method)
            return
        sent = _Sent()
        self._streams += 1
        self._held += held
        try:
            await self._send_blocks(request, answer, receive, send, sent)
        finally:
            self._streams -= 1
            self._held -= held
            self._count(reader, answer.status, sent.size)

    def plain(self, path: str, scope: Scope) -> PlainAnswer | None:
        """Return the answer to a GET of a value that is in memory, counted as read, or None for all else.

        :param path: below ``/zarr/``.
        """
        if scope['method'] != 'GET' or scope.get('query_string'):
            return None
        found = plain_answer(path, scope['headers'])
        if found is not None:
            self._count(found.reader, 200, len(found.body))
        return found

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    async def _make(self, request: ZarrRequest, receive: Any) -> tuple[HttpAnswer, Reader | None] | None:
        """Return the answer with what is made for it, or None where the client has gone meanwhile."""
        if self._making >= MAX_MAKING:
            return _busy(), None
        left = asyncio.ensure_future(_left(receive))
        loop = asyncio.get_running_loop()
        made = loop.run_in_executor(self._makers, respond, request)
        self._making += 1
        try:
            await asyncio.wait((made, left), return_when=asyncio.FIRST_COMPLETED)
            return made.result() if made.done() else None
        finally:
            self._making -= 1
            made.cancel()
            left.cancel()

    async def _start(self, send: Any, answer: HttpAnswer) -> None:
        headers = headers_of_answer(answer)
        await send({'type': 'http.response.start', 'status': answer.status, 'headers': headers})

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


def _busy() -> HttpAnswer:
    answer = error_answer(503)
    answer.headers['Retry-After'] = '5'
    return answer


class _Sent:
    """How much of a body is on its way."""

    size = 0


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
