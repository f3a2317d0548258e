"""``/zarr`` in front of Girder's WSGI application, in ``girder.asgi.app``."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from starlette.routing import Mount

from .asgi import ZarrApp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATH = '/zarr'
_ASGI = 'girder.asgi'


def install() -> None:
    """Add the routes to Girder's ASGI application. Called from the plugin's ``load``.

    Plugins load while ``girder.asgi`` is being imported, before it makes its application; so the routes are
    added when the module is asked for the application for the first time. Nothing happens in processes that
    do not serve it: workers, and servers of the WSGI application.
    """
    module = sys.modules.get(_ASGI)
    if module is None:
        return
    if 'app' in vars(module):
        add_routes(vars(module)['app'])
    else:
        module.__class__ = _AsgiModule


class _AsgiModule(ModuleType):
    """``girder.asgi`` until its application is asked for."""

    @property
    def app(self) -> Any:
        found = vars(self).get('app')
        if found is None:
            msg = f'module {_ASGI!r} has no attribute "app" yet'
            raise AttributeError(msg)
        self.__class__ = ModuleType
        add_routes(found)
        return found


def add_routes(app: Any) -> None:
    """Put ``/zarr`` before all other routes of a Starlette application, once."""
    if any(isinstance(route, Mount) and isinstance(route.app, ZarrApp) for route in app.routes):
        return
    ours = ZarrApp()
    app.router.routes.insert(0, Mount(PATH, app=ours))
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(served: Any) -> AsyncIterator[Any]:
        async with inner(served) as state:
            yield state
        ours.close()

    app.router.lifespan_context = lifespan
