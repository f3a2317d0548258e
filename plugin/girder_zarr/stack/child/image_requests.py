"""Requests for images by address go to Girder's application without what the others pass through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .bounded_requests import has_body

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import ASGIApp, Receive, Scope, Send

#: They take no thread each, are bounded by number on their own, and set their headers themselves.
PATH = '/zarr/'
#: Where Girder's application has what answers them; see `server.share.mount`.
STATE = 'girder_zarr_addresses'


class ImageRequests:
    """An ASGI application that sends `PATH` one way and all else another.

    Slow readers of images would else use up the requests that Girder works on at once.

    :param app: Girder's application, which answers `PATH`.
    :param others: answers all else, and what has a body, which may be slow.
    """

    def __init__(self, app: Any, others: ASGIApp) -> None:
        self._app: ASGIApp = getattr(getattr(app, 'state', None), STATE, app)
        self._others = others

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer a request. What is awaited is theirs: a coroutine less for each."""
        is_image = scope['type'] == 'http' and scope['path'].startswith(PATH) and not has_body(scope)
        return (self._app if is_image else self._others)(scope, receive, send)
