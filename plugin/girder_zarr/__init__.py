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
            from girder_zarr.server import girder3

            if not girder3.has_sessions():
                girder3.load(info)
                return

            for required in ('jobs', 'worker', 'large_image'):
                getPlugin(required).load(info)

            from girder_zarr.server import events, web_client
            from girder_zarr.server.api import sessions as session_routes
            from girder_zarr.server.api import tile_sources as tile_source_routes
            from girder_zarr.server.maintenance import reaper
            from girder_zarr.server.patches.model import register_models
            from girder_zarr.server.settings import polled
            from girder_zarr.server.tile_sources import tile_source as tilesource

            tilesource.take_over()
            register_models()
            session_routes.register(info)
            tile_source_routes.register(info)
            polled.install()
            events.bind_server()
            web_client.register(info)
            reaper.start()
