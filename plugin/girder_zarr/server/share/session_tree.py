"""A stitch session as OME-Zarr, from its first patch: what has arrived so far, and its image in the end."""

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING

from girder_zarr.errors import NotFoundError
from girder_zarr.image.serve.zmetadata import KEY as ZMETADATA
from girder_zarr.image.serve.zmetadata import consolidated
from girder_zarr.image.virtual.series_tree import SeriesTree
from girder_zarr.image.virtual.served_form import ServedForm, split_form
from girder_zarr.server.preview.tracker import hurry, state_of
from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.server.sessions.states import COMPLETE

from .open_images import ImageTree

if TYPE_CHECKING:
    from collections.abc import Callable

    from bson import ObjectId

    from girder_zarr.image.serve.tree import Tree
    from girder_zarr.image.store.entries import Entry, Listed
    from girder_zarr.server.preview.session_source import SessionState

#: Seconds that the state of a session is cached: a reader asks for many chunks at once.
CACHE_SECONDS = 0.5


class SessionTree:
    """A session as it is now. Until its first patch it has no keys.

    :param open_image: gives the tree of the item that a complete session has become, or None.
    :param most_patches: see `tracker.state_of`.
    """

    def __init__(
        self,
        session_id: ObjectId,
        open_image: Callable[[ObjectId], Tree | None],
        most_patches: int | None = None,
    ) -> None:
        self._id, self._open, self._most_patches = session_id, open_image, most_patches
        self._lock = threading.Lock()
        self._state: SessionState | None = None
        self._tree: Tree | None = None
        #: Of a session that is not complete, in each form that was asked for.
        self._forms: dict[ServedForm, SeriesTree] = {}
        self._until = 0.0
        self._identity = ''

    def entry(self, key: str) -> Entry | None:
        """Return a value; see `image.serve.tree.Tree`."""
        tree, inner = self._current(key)
        found = None if tree is None else tree.entry(inner)
        return consolidated(tree) if found is None and tree is not None and inner == ZMETADATA else found

    def makes(self, key: str) -> bool:
        """Whether values are made of pixels below a key: all of a session, but its image is mostly stored."""
        tree, inner = self._current(key)
        return tree is not None and (not isinstance(tree, ImageTree) or tree.makes(inner))

    def cached_entry(self, key: str) -> None:
        """Return nothing: what a session is now takes a look into the database."""
        del key

    def listed(self, folder: str) -> list[Listed]:
        """Return what lies in a folder; see `image.serve.tree.Tree`."""
        tree, inner = self._current(folder)
        return [] if tree is None else tree.listed(inner)

    def _current(self, key: str) -> tuple[Tree | None, str]:
        """Return the keys as they are now, and what a key is in there."""
        with self._lock:
            if time.monotonic() >= self._until:
                until = time.monotonic() + CACHE_SECONDS
                self._refresh()
                self._until = until
            if self._state is None:
                return self._tree, key
            form, inner = split_form(key)
            form = form or ServedForm()
            tree = self._forms.get(form)
            if tree is None:
                tree = self._forms[form] = SeriesTree(self._state.series, self._identity, form)
            return tree, inner

    def _refresh(self) -> None:
        session = StitchSession().find_there(self._id)
        if session is not None and session['state'] == COMPLETE:
            self._tree, self._state = self._open(session['itemId']), None
            return
        self._tree = None
        try:
            state = None if session is None else state_of(session, self._most_patches)
            if state is not None:
                hurry()
        except NotFoundError:  # there are no patches
            state = None
        if state is None:
            self._state = None
        elif state is not self._state or state.etag is None or state.image.problems:
            # A state that is about to change gets a new identity each time, so that no cache stores it.
            identity = None if state.image.problems else state.etag
            self._identity = identity or uuid.uuid4().hex
            self._state = state
            self._forms.clear()
