"""Names and types that all rooms of the server share."""

from __future__ import annotations

import datetime as dt
from typing import Any

#: What our event handlers are bound as.
HANDLER = 'girder_zarr'
#: How Girder files name the session that they are attached to: its model, and the plugin that has it.
ATTACHED_TO = ['stitch_session', 'girder_zarr']

#: A document of the database.
Document = dict[str, Any]


def now() -> dt.datetime:
    """Return the time (UTC) in milliseconds, as the database stores it: what is read back is equal."""
    moment = dt.datetime.now(dt.UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
