"""OME-Zarr for Girder and large_image. Without Girder installed this is a library: ``girder_zarr.image``."""

from __future__ import annotations

import importlib.util
from typing import Any

if importlib.util.find_spec('girder') is not None:
    from girder.plugin import GirderPlugin

    class ZarrPlugin(GirderPlugin):
        """The plugin of a Girder server."""

        DISPLAY_NAME = 'Zarr'

        def load(self, info: dict[str, Any]) -> None:
            """Register what the installed Girder can use."""
            from girder_zarr.server import girder3

            if not girder3.has_sessions():
                girder3.load(info)
                return
            from girder_zarr.server import plugin

            plugin.load(info)
