"""Headers that every answer of the server has, so that a browser takes files for what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: For Girder's own pages: no other site shows them in a frame, and no markup moves their addresses.
PAGE_POLICY = b"base-uri 'self'; frame-ancestors 'self'"
#: For files that users have uploaded: a page among them runs nothing, and is of no site.
FILE_POLICY = b"default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
#: Types of files that a browser runs, or may take for one of these.
ACTIVE_TYPES = (b'text/html', b'application/xhtml', b'image/svg', b'text/xml', b'application/xml')


class SafeHeaders:
    """An ASGI application whose answers say that they are what their type says, and what they may do.

    :param app: the application. A policy that it sets itself stays.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope['type'] != 'http':
            await self._app(scope, receive, send)
            return
        is_file = '/download' in scope.get('path', '')

        async def send_safe(message: Message) -> None:
            if message['type'] == 'http.response.start':
                message = {**message, 'headers': _completed(message.get('headers', ()), is_file=is_file)}
            await send(message)

        await self._app(scope, receive, send_safe)


def _completed(
    headers: list[tuple[bytes, bytes]] | tuple[tuple[bytes, bytes], ...], *, is_file: bool
) -> list[tuple[bytes, bytes]]:
    found = {name.lower(): value.lower() for name, value in headers}
    active = is_file and found.get(b'content-type', b'text/html').startswith(ACTIVE_TYPES)
    added = {
        b'x-content-type-options': b'nosniff',
        b'content-security-policy': FILE_POLICY if active else PAGE_POLICY,
        b'referrer-policy': b'same-origin',
    }
    return [*headers, *((name, value) for name, value in added.items() if name not in found)]
