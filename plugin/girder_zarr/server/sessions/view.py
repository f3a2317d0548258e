"""A session as clients see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .model import bounds_of
from .states import FINALIZING

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document

_SHOWN = (
    '_id', 'name', 'folderId', 'creatorId', 'state', 'spec', 'counts', 'dtype', 'bands', 'jobId',
    'itemId', 'fileId', 'progress', 'error', 'revision', 'created', 'updated',
)  # fmt: skip


def to_json(session: Document) -> Document:
    """Return the session as docs/rest.md describes it."""
    found = {**{name: session[name] for name in _SHOWN}, 'bounds': bounds_of(session)}
    found['made'] = session.get('made', [])
    found['spec'] = {**session['spec'], 'expires': session.get('expires')}
    if session['state'] != FINALIZING:
        found['progress'] = {**session['progress'], 'timeLeft': None}
    return found
