"""A stitch session as OME-Zarr, from its first patch: what has arrived so far, and its image in the end."""

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING

from girder_zarr.errors import NotFoundError
from girder_zarr.image.virtual.series_tree import SeriesTree
from girder_zarr.server.preview.tracker import state_of
from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.server.sessions.states import COMPLETE

if TYPE_CHECKING:
    from collections.abc import Callable

    from bson import ObjectId

    from girder_zarr.image.serve.tree import Tree
    from girder_zarr.image.store.entries import Entry, Listed
    from girder_zarr.server.common.names import Document
    from girder_zarr.server.preview.session_source import SessionState

#: Seconds that the state of a session is cached: a reader asks for many chunks at once.
CACHE_SECONDS = 0.5


class SessionTree:
    """A session as it is now. Until its first patch it has no keys.

    :param open_image: gives the tree of the item that a complete session has become, or None.
    """

    def __init__(self, session_id: ObjectId, open_image: Callable[[ObjectId], Tree | None]) -> None:
        self._id, self._open = session_id, open_image
        self._lock = threading.Lock()
        self._state: SessionState | None = None
        self._tree: Tree | None = None
        self._until = 0.0

    def entry(self, key: str) -> Entry | None:
        """Return a value; see `image.serve.tree.Tree`."""
        tree = self._current()
        return None if tree is None else tree.entry(key)

    def listed(self, folder: str) -> list[Listed]:
        """Return what lies in a folder; see `image.serve.tree.Tree`."""
        tree = self._current()
        return [] if tree is None else tree.listed(folder)

    def _current(self) -> Tree | None:
        with self._lock:
            if time.monotonic() >= self._until:
                until = time.monotonic() + CACHE_SECONDS
                self._refresh()
                self._until = until
            return self._tree

    def _refresh(self) -> None:
        session: Document | None = StitchSession().findOne({'_id': self._id, 'deleting': False})
        if session is not None and session['state'] == COMPLETE:
            self._tree, self._state = self._open(session['itemId']), None
            return
        try:
            state = None if session is None else state_of(session)
        except NotFoundError:  # there are no patches
            state = None
        if state is None:
            self._tree = self._state = None
        elif state is not self._state or state.etag is None or state.image.problems:
            # A state that is about to change gets a new identity each time, so that no cache stores it.
            identity = None if state.image.problems else state.etag
            self._tree = SeriesTree(state.series, identity or uuid.uuid4().hex, grows=True)
            self._state = state
