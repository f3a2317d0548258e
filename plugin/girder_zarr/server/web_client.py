"""The built web client as static content of the server."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from girder.plugin import registerPluginStaticContent

logger = logging.getLogger(__name__)

DIST = Path(__file__).parent.parent / 'web_client' / 'dist'
STYLE = 'style.css'
SCRIPT = 'girder-plugin-zarr.umd.cjs'


def register(info: dict[str, Any]) -> None:
    """Have Girder's pages load the web client. Called from the plugin's ``load``.

    A source tree in which it was never built still serves everything else.
    """
    missing = [name for name in (STYLE, SCRIPT) if not (DIST / name).is_file()]
    if missing:
        logger.warning(
            'The web client of girder_zarr is not built (%s has no %s): run "npm ci && npm run build" in '
            'plugin/web_client, then start the server again.',
            DIST,
            ', '.join(missing),
        )
        return
    registerPluginStaticContent(
        plugin='zarr', css=[f'/{STYLE}'], js=[f'/{SCRIPT}'], staticDir=DIST, tree=info['serverRoot']
    )
