"""HTTP/1.1 where a chunk of an image that is in memory is written to the connection as it is asked for.

uvicorn makes a task for each request, and looks at every header of the answer; for a chunk that takes as long
as reading and sending it. What is not answered here goes to the application as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

from .image_requests import STATE

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Plain(Protocol):
    """An answer that is there; see `server.share.at_once`."""

    @property
    def body(self) -> bytes | bytearray | memoryview:
        """All of the body."""

    def head(self) -> bytes:
        """Return status and headers as they are sent."""


def image_protocol(app: Any) -> type[asyncio.Protocol] | Literal['auto']:
    """Return the protocol for a server of Girder's application; uvicorn's choice where that lacks something.

    :param app: Girder's application, which has in its state what answers images.
    """
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
    except ImportError:
        return 'auto'
    images = getattr(getattr(app, 'state', None), STATE, None)
    if images is None:
        return 'auto'
    plain: Callable[[Any], Plain | None] = images.plain

    class ImageProtocol(HttpToolsProtocol):
        """Answers such requests before there is a task."""

        def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
            # One after the other where several came at once, and none for a client that does not take them.
            waits = self.pipeline or self.flow.write_paused or not cycle.keep_alive or app is not self.app
            found = None if waits else plain(cycle.scope)
            if found is None:
                super()._start_asgi_task(cycle, app)
                return
            # Not `writelines`, which in Python 3.12.0 to 3.13.1 does not say that the buffer is full.
            self.transport.write(found.head())
            self.transport.write(found.body)
            cycle.response_started = cycle.response_complete = True
            self.on_response_complete()

    return ImageProtocol
