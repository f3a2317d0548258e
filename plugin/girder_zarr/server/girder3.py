"""The plugin in Girder 3: the tile source and its priorities. Stitch sessions need Girder 5.

Importing this module imports no Girder, so that workers without one can ask as well.
"""

from __future__ import annotations

import importlib.metadata
from typing import Any

FIRST_WITH_SESSIONS = 5
HANDLER = 'girder_zarr'


def installed_version() -> str | None:
    """Return the version of the Girder that is installed, or None."""
    try:
        return importlib.metadata.version('girder')
    except importlib.metadata.PackageNotFoundError:
        return None


def has_sessions() -> bool:
    """Whether stitch sessions can work here: Girder is installed, and is 5 or later."""
    version = installed_version()
    return version is not None and int(version.split('.')[0]) >= FIRST_WITH_SESSIONS


def load(info: dict[str, Any]) -> None:
    """Register the tile source and its priorities, and log that the rest needs Girder 5."""
    from girder import events, logprint  # only Girder 3 has logprint; other loggers miss its log
    from girder.plugin import getPlugin

    getPlugin('large_image').load(info)

    from .api import tile_sources as tile_source_routes
    from .settings import polled
    from .tile_sources import priorities
    from .tile_sources import tile_source as tilesource

    tilesource.take_over()
    tile_source_routes.register(info)
    polled.install()
    # girder_large_image asks for the known extensions as they are, without asking a source first.
    events.unbind('model.file.save', HANDLER)
    events.bind('model.file.save', HANDLER, lambda _event: priorities.overrides())
    logprint.info(
        f'Stitch sessions need Girder {FIRST_WITH_SESSIONS}; this is Girder {installed_version()}, '
        'to which girder_zarr gives its tile source only.'
    )
