"""``/zarr`` in front of Girder's WSGI application, in ``girder.asgi.app``."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .asgi import ZarrApp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from .at_once import PlainAnswer

PATH = '/zarr/'
#: The name in the state of Girder's application of what answers `PATH` by itself: a server that knows it
#: may send requests there, past all that Starlette does for the others.
STATE = 'girder_zarr_addresses'
_ASGI = 'girder.asgi'


def install(*others: Callable[[Any], None]) -> None:
    """Add the routes to Girder's ASGI application. Called from the plugin's ``load``.

    Plugins load while ``girder.asgi`` is being imported, before it makes its application; so the routes are
    added when the attribute is read for the first time. Nothing happens in processes that
    do not serve it: workers, and servers of the WSGI application.

    :param others: add further routes to an application, which are asked after those of ``/zarr``.
    """
    module = sys.modules.get(_ASGI)
    if module is None:
        return
    _adders[:] = [*others, add_routes]
    if 'app' in vars(module):
        _add_all(vars(module)['app'])
    else:
        module.__class__ = _AsgiModule


class _AsgiModule(ModuleType):
    """The module ``girder.asgi`` until its attribute ``app`` is read."""

    @property
    def app(self) -> Any:
        found = vars(self).get('app')
        if found is None:
            msg = f'module {_ASGI!r} has no attribute "app" yet'
            raise AttributeError(msg)
        self.__class__ = ModuleType  # type: ignore[assignment]
        _add_all(found)
        return found


#: What adds routes to the application; the last one is asked first.
_adders: list[Callable[[Any], None]] = []


def _add_all(app: Any) -> None:
    for add in _adders:
        add(app)


def add_routes(app: Any) -> None:
    """Put ``/zarr`` before all that a Starlette application answers, once and before its first request."""
    if any(one.cls is ZarrMiddleware for one in app.user_middleware):
        return
    ours = ZarrApp()
    app.add_middleware(ZarrMiddleware, ours=ours)
    setattr(app.state, STATE, ZarrMiddleware(app, ours))
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(served: Any) -> AsyncIterator[Any]:
        async with inner(served) as state:
            yield state
        ours.close()

    app.router.lifespan_context = lifespan


class ZarrMiddleware:
    """Answers what begins with ``/zarr/``, and hands on the rest.

    A route would do as well; finding it among others takes longer than answering with a chunk.
    """

    def __init__(self, app: Any, ours: ZarrApp) -> None:
        self._app, self._ours = app, ours

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        """Answer, or hand on. What is awaited is theirs: a coroutine less for each request."""
        if scope['type'] == 'http':
            path = scope['path'].removeprefix(scope.get('root_path', ''))
            if path.startswith(PATH):
                return self._ours(path[len(PATH) :], scope, receive, send)
        return self._app(scope, receive, send)  # type: ignore[no-any-return]

    def plain(self, scope: Any) -> PlainAnswer | None:
        """Return the answer to a GET of a value that is in memory, or None: it takes the other way."""
        path = scope['path']
        return self._ours.plain(path[len(PATH) :], scope) if path.startswith(PATH) else None
