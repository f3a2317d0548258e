"""Which assetstore takes what is stored in a folder."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from girder import events
from girder.models.assetstore import Assetstore

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document

#: Seconds for which Girder's current assetstore is known: as old as the settings that a server follows.
MAX_AGE = 1.0

_lock = threading.Lock()
_known: tuple[float, Document] | None = None


def assetstore_of(folder: Document) -> Document:
    """Return the assetstore of files in a folder, as it was `MAX_AGE` seconds ago at most.

    :raises GirderException: there is none.
    """
    # As `Upload.getTargetAssetstore` does: a plugin, such as that for quotas, may choose for each folder.
    chosen: list[Document] = events.trigger(
        'model.upload.assetstore', {'model': 'folder', 'resource': folder}
    ).responses
    if chosen:
        return chosen[-1]
    global _known  # noqa: PLW0603 - one for the process
    with _lock:
        known = _known
    if known is None or time.monotonic() - known[0] > MAX_AGE:
        known = time.monotonic(), Assetstore().getCurrent()
        with _lock:
            _known = known
    return known[1]


def forget(*_: object) -> None:
    """Ask for the current assetstore anew, since this process has changed it."""
    global _known  # noqa: PLW0603
    with _lock:
        _known = None
