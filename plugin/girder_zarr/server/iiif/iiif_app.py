"""``/iiif`` as an ASGI application: pictures are made in a few threads of their own."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from girder_zarr.image.serve.answer import HttpAnswer
from girder_zarr.server.share.reads import FLUSH_SECONDS, MAX_WAITING, Reader, counts

from .iiif_answers import IiifRequest, failure, respond

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH = '/iiif/'
#: Making a picture takes a processor, for most of its time without the interpreter.
THREADS = 4
#: Requests that may wait for a thread; others are told to come back.
MAX_REQUESTS = 256
METHODS = ('GET', 'HEAD')
_COUNTED = (200, 304)
#: Sent with every answer. Any page may read what it has a key or a token for, but not with its user's cookie.
_COMMON = [
    (b'access-control-allow-origin', b'*'),
    (b'access-control-expose-headers', b'Content-Length, ETag, Link'),
    (b'content-security-policy', b"default-src 'none'; sandbox"),
    (b'cross-origin-resource-policy', b'cross-origin'),
    (b'referrer-policy', b'no-referrer'),
    (b'vary', b'Accept, Girder-Token, Cookie'),
    (b'x-content-type-options', b'nosniff'),
]
_PREFLIGHT = {
    'Access-Control-Allow-Methods': 'GET, HEAD, OPTIONS',
    'Access-Control-Allow-Headers': 'Accept, Authorization, Girder-Token, If-None-Match, *',
    'Access-Control-Max-Age': '86400',
}
Scope = dict[str, Any]
_HOST = re.compile(r'[A-Za-z0-9._~\[\]:-]{1,255}')


class IiifApp:
    """The application; one for a process."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix='iiif')
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer a request."""
        answer = await self._answer(scope, receive)
        if answer is None:
            return
        headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
        await send({'type': 'http.response.start', 'status': answer.status, 'headers': [*headers, *_COMMON]})
        body = b'' if scope['method'] == 'HEAD' else answer.first
        await send({'type': 'http.response.body', 'body': body})

    async def _answer(self, scope: Scope, receive: Any) -> HttpAnswer | None:
        """Return the answer, or None where the client has gone before it was begun, as viewers do often."""
        method = scope['method']
        if method == 'OPTIONS':
            return HttpAnswer(204, dict(_PREFLIGHT))
        if method not in METHODS:
            refused = failure(405)
            refused.headers['Allow'] = 'GET, HEAD, OPTIONS'
            return refused
        if self._waiting >= MAX_REQUESTS:
            busy = failure(503)
            busy.headers['Retry-After'] = '2'
            return busy
        headers = _headers(scope['headers'])
        request = IiifRequest(method, path_of(scope)[len(PATH) :], headers, site_of(scope, headers))
        found = await self._run(request, receive)
        if found is None:
            return None
        answer, reader = found
        if reader is not None and answer.status in _COUNTED:
            self._count(reader, len(answer.first))
        return answer

    async def _run(self, request: IiifRequest, receive: Any) -> tuple[HttpAnswer, Reader | None] | None:
        left = asyncio.ensure_future(_left(receive))
        made = asyncio.get_running_loop().run_in_executor(self._pool, respond, request)
        self._waiting += 1
        try:
            await asyncio.wait((made, left), return_when=asyncio.FIRST_COMPLETED)
            if not made.done():
                made.cancel()
                return None
            return made.result()
        finally:
            self._waiting -= 1
            left.cancel()

    def _count(self, reader: Reader, size: int) -> None:
        waiting = counts.add(reader, size)
        if waiting == MAX_WAITING:
            self._pool.submit(counts.flush)
        elif waiting == 1:
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._pool.submit, counts.flush)


async def _left(receive: Any) -> None:
    """Return when the client has gone."""
    while (await receive())['type'] != 'http.disconnect':
        pass


def _headers(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers of a request, of which the first of a name counts."""
    return {name.decode('latin-1'): value.decode('latin-1') for name, value in reversed(pairs)}


def path_of(scope: Scope) -> str:
    """Return the path of a request below the application's root, as it was sent."""
    raw = scope.get('raw_path') or scope['path'].encode()
    path: str = raw.decode('latin-1')
    return path.removeprefix(scope.get('root_path', ''))


def site_of(scope: Scope, headers: Mapping[str, str]) -> str:
    """Return the address of the server as the client knows it; what a proxy says counts, as in Girder."""
    scheme = headers.get('x-forwarded-proto', scope.get('scheme', 'http')).partition(',')[0].strip()
    host = headers.get('x-forwarded-host', headers.get('host', '')).partition(',')[0].strip()
    if scheme not in ('http', 'https'):
        scheme = 'http'
    if not _HOST.fullmatch(host):
        host = 'localhost'
    return f'{scheme}://{host}{scope.get("root_path", "")}'


class IiifMiddleware:
    """Answers what begins with ``/iiif/``, and hands on the rest."""

    def __init__(self, app: Any, ours: IiifApp) -> None:
        self._app, self._ours = app, ours

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer, or hand on."""
        if scope['type'] == 'http' and path_of(scope).startswith(PATH):
            await self._ours(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def add_routes(app: Any) -> None:
    """Put ``/iiif`` before what a Starlette application answers, once and before its first request."""
    if any(one.cls is IiifMiddleware for one in app.user_middleware):
        return
    app.add_middleware(IiifMiddleware, ours=IiifApp())
