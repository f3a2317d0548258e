"""OME-Zarr for Girder and large_image. Without Girder installed this is a library: ``girder_zarr.image``."""

from __future__ import annotations

import importlib.util
from typing import Any

if importlib.util.find_spec('girder') is not None:
    from girder.plugin import GirderPlugin, getPlugin

    class ZarrPlugin(GirderPlugin):
        """What the plugin adds to a Girder server."""

        DISPLAY_NAME = 'Zarr'

        def load(self, info: dict[str, Any]) -> None:
            """Register everything; each line is one thing that the server can do afterwards."""
            from .server import girder3

            if not girder3.has_sessions():
                girder3.load(info)
                return

            for required in ('jobs', 'worker', 'large_image'):
                getPlugin(required).load(info)

            from .server import (
                events,
                followed,
                keeper,
                priorities,
                rest_sessions,
                sessions,
                tilesource,
                web_client,
            )

            tilesource.take_over()
            sessions.register_models()
            rest_sessions.register(info)
            priorities.register(info)
            followed.install()
            events.bind_server()
            web_client.register(info)
            keeper.start()
