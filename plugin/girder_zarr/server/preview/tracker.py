"""Keeps previews of sessions up to date in a process; any number of server processes may do so.

The database is the truth: the session's ``revision``, which every change of its patches raises, and the
patches. A process tracks the positions of the patches of a few sessions: each request reads what has changed
since the one before. See `patches/model.py` for the order in which a change of a patch becomes visible.
"""

from __future__ import annotations

import functools
import itertools
import threading
import time
from typing import TYPE_CHECKING, Any

from girder_zarr.common.cache import LRU
from girder_zarr.errors import LimitExceededError, NotFoundError
from girder_zarr.server.patches import hooks
from girder_zarr.server.patches.document import to_patch
from girder_zarr.server.patches.locking import is_locked, is_stale
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.patches.reader import PatchReader, load_rows
from girder_zarr.server.sessions.model import StitchSession, spec_of
from girder_zarr.stitch.blend.row_bands import RowBands, is_large
from girder_zarr.stitch.preview.image import MIN_STORED_PATCHES, PreviewImage
from girder_zarr.stitch.preview.parallel_load import load_each
from girder_zarr.stitch.preview.preview_blocks import Sources, block_cache

from .block_store import SessionBlocks
from .builder import build_and_store, forget_removed, overview_builder, preparer_of
from .overview_store import PatchOverview
from .session_source import SessionState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bson import ObjectId

    from girder_zarr.server.common.names import Document
    from girder_zarr.stitch.patch import Patch
    from girder_zarr.stitch.preview.prepare import Preparer

#: Bytes of pixels that a process caches for all previews together: composed blocks (a screen of 2560 x 1440
#: covers some 24 of them, 19 MB of 8-bit RGB), and decoded patches and overviews, for the next blocks.
CACHE_BYTES = 256 * 2**20
DECODED_BYTES = 128 * 2**20
#: How many sessions a process tracks: it holds the places of all their patches in memory.
MAX_SESSIONS = 16
#: After all patches were read they are not read again for so many times what that took, and never for longer
#: than `_RELOAD_SECONDS`, when their number is not what the session says: while patches arrive it rarely is.
_RELOAD_SHARE = 3
_RELOAD_SECONDS = 1.5
#: The patches of a session that are read for somebody who has not signed in: reading takes some 30 us of a
#: processor and 1 kB each.
MAX_ANONYMOUS_PATCHES = 25_000

#: Documents of patches that are in memory at a time when all of a session are read.
_PART = 2000

#: The sources of patches that this process has removed: all of a session need not be read for them.
_gone: LRU[str, None] = LRU(max_items=10_000)
#: What the source of a patch has of these at most that has bytes of its own, see `document.source_of`.
_OWN_COLONS = 2

_bands = RowBands(load_rows)
_blocks = block_cache(CACHE_BYTES)
_decoded: LRU[Any, Any] = LRU(max_bytes=DECODED_BYTES, size_of=lambda pixels: pixels.nbytes)


class SessionPreview:
    """Keeps the preview of one session up to date with its patches. Thread safe."""

    def __init__(self, session: Document) -> None:
        self._id = session['_id']
        self.spec = session['spec']
        self._uses_masks = False
        self._reset(session)
        self._lock = threading.Lock()
        self._state: SessionState | None = None
        self._reload_from = 0.0
        self._drift = 0

    def _reset(self, session: Document) -> None:
        """Begin with an image without patches, with the reference images that the session has now."""
        preparer = preparer_of(session, with_masks=self._uses_masks)
        sources = Sources(
            lambda patch: _decode(preparer, patch),
            lambda patches, level: _overviews(self._id, preparer, patches, level),
            SessionBlocks(self._id),
            lambda patch: None if preparer.cache_key(patch) else _bands,
            functools.partial(overview_builder.waiting_among, self._id),
        )
        self._preparer = preparer
        self.image = PreviewImage((self._id, preparer.fingerprint), spec_of(session), sources, _blocks)
        # Patches that arrived up to this revision are shown, but for those that were locked when it was read.
        self._revision: int | None = None
        self._locked: list[str] = []

    def state(self, session: Document) -> SessionState:
        """Return the session as it is now.

        :param session: as just read from the database.
        :raises NotFoundError: it has no patches.
        """
        with self._lock:
            current = self._state
            if current is not None and current.etag and current.session['revision'] >= session['revision']:
                return current
            complete = self._update(session)
            if not len(self.image):
                self._state = None
                msg = 'The session has no patches yet; there is nothing to show.'
                raise NotFoundError(msg)
            etag = f'{self._id}-{session["revision"]}' if complete else None
            self._state = SessionState(session, self.image, etag)
            return self._state

    def known(self, revision: int) -> SessionState | None:
        """Return the state that was read last, if it is of a revision or a later one."""
        with self._lock:
            current = self._state
        return current if current is not None and current.session['revision'] >= revision else None

    def _update(self, session: Document) -> bool:
        """Read what has changed; return whether that is everything up to the session's revision."""
        if self._preparer.fingerprint != preparer_of(session, with_masks=self._uses_masks).fingerprint:
            self._reset(session)
        if self._revision is None:
            return self._reload(session)
        # Each query has an index. Locked patches are read first: one that is released meanwhile has arrived
        # since, and one that is locked later will arrive at a later revision than the session's.
        locked = {'sessionId': self._id, 'lockedBy': {'$gt': ''}}
        recent = {'sessionId': self._id, 'arrival': {'$gt': self._revision}}
        documents = list(StitchPatch().find(locked))
        if any(is_stale(document) for document in documents):
            StitchPatch().release_stale(session)
            documents = list(StitchPatch().find(locked))
        now_locked = {document['key'] for document in documents}
        released = [key for key in self._locked if key not in now_locked]
        documents += StitchPatch().list_named(self._id, released)
        documents += StitchPatch().find(recent)
        if self._detect_masks(session, documents):
            return self._reload(session)
        complete = self._apply(session, documents)
        # Removed patches are noticed by their number. While others arrive, it is that of a moment ago.
        if complete and self._has_others(session):
            self.image.remove_if(lambda patch: patch.source in _gone)
            if self._has_others(session):
                return time.monotonic() >= self._reload_from and self._reload(session)
        return complete

    def _has_others(self, session: Document) -> bool:
        return len(self.image) != int(session['counts']['patches']) - self._drift

    def _reload(self, session: Document) -> bool:
        """Read all patches anew; return whether they are everything up to the session's revision."""
        begun = time.monotonic()
        stored, locked = set(), []
        # A part at a time: all documents of a large session would take more than what is kept of them.
        # Whole documents: leaving out fields takes the embedded database longer than sending them.
        found = StitchPatch().find({'sessionId': self._id})
        while documents := list(itertools.islice(found, _PART)):
            if self._detect_masks(session, documents):
                return self._reload(session)
            self._apply(session, documents)
            locked += self._locked
            stored |= {document['key'] for document in documents if document['stored']}
        self._locked, complete = locked, not locked
        self.image.keep_only(stored)
        spent = time.monotonic() - begun
        self._reload_from = begun + spent + min(_RELOAD_SHARE * spent, _RELOAD_SECONDS)
        current = StitchSession().findOne({'_id': self._id}, fields=['revision', 'counts'])
        if current is None or current['revision'] != session['revision']:
            return False
        # A server that died between two steps leaves a wrong number behind, for good.
        self._drift = current['counts']['patches'] - len(self.image) if complete else 0
        return complete

    def _apply(self, session: Document, documents: list[Document]) -> bool:
        """Put patches into the image; return whether none of them is locked."""
        shown = self._preparer.shown
        self.image.put([shown(to_patch(document)) for document in documents if document['stored']])
        self._locked = [document['key'] for document in documents if is_locked(document)]
        self._revision = max(session['revision'], self._revision or 0)
        return not self._locked

    def _detect_masks(self, session: Document, documents: list[Document]) -> bool:
        """Record that some patch uses a mask. Returns True on the first one, after resetting the preview."""
        if self._uses_masks or not any('maskKey' in document.get('options', {}) for document in documents):
            return False
        self._uses_masks = True
        self._reset(session)
        return True


def _note_removed(source: str) -> None:
    # A page that is replaced, and a file that is lent again, have the source of before.
    if source.count(':') <= _OWN_COLONS:
        _gone.put(source, None)


hooks.subscribe(hooks.removed, _note_removed)


def _decode(preparer: Preparer, patch: Patch) -> Any:
    """Return the corrected pixels of a patch, ``(y, x, bands)``, from its file if they are not cached."""
    if is_large(patch):
        # Not through a cache, where a thread that waits for memory could be waited for by one that has it.
        return preparer.pixels(patch)
    key = (patch.source, *preparer.cache_key(patch))
    return _decoded.fetch(key, lambda: preparer.pixels(patch))


def _overviews(session_id: Any, preparer: Preparer, patches: Sequence[Patch], level: int) -> dict[str, Any]:
    """Return the overviews of a level by the patches' keys, or a sentence that says why there is none."""
    cache_keys = {patch.key: (level, patch.source, *preparer.cache_key(patch)) for patch in patches}
    found = {key: pixels for key, name in cache_keys.items() if (pixels := _decoded.get(name)) is not None}
    missing = [patch for patch in patches if patch.key not in found]
    if missing:
        stored = PatchOverview().read(missing, preparer, level)
        missing = [patch for patch in missing if patch.key not in stored]
        made = _build(session_id, preparer, missing, level)
        fresh = {**stored, **made}
        for key, pixels in fresh.items():
            if not isinstance(pixels, str):
                _decoded.put(cache_keys[key], pixels)
        found.update(fresh)
    return found


def _build(session_id: Any, preparer: Preparer, patches: Sequence[Patch], level: int) -> dict[str, Any]:
    rows = PatchReader(patches).rows
    try:
        return load_each(lambda patch: build_and_store(session_id, patch, preparer, rows)[level], patches)
    finally:
        if patches:
            forget_removed(session_id, patches)


_lock = threading.Lock()
_previews: LRU[ObjectId, SessionPreview] = LRU(max_items=MAX_SESSIONS)


def state_of(session: Document, most_patches: int | None = None, at_least: int | None = None) -> SessionState:
    """Return a session as it is now.

    Who makes pictures of all patches calls :func:`hurry` as well.

    :param session: as just read from the database.
    :param most_patches: refuse to read more than so many where this process has not read them already.
    :param at_least: or as it was at this revision or later, if that is known: reading what has changed costs
        a few commands, and a new state has tile sources of its own.
    :raises NotFoundError: it has no patches. :raises LimitExceededError: it has more than that.
    """
    count = session['counts']['patches']
    if most_patches is not None and count > most_patches and not _is_tracked(session):
        msg = (
            f'The session has {count} patches; without signing in, images of at most {most_patches} are made '
            'while they arrive.'
        )
        raise LimitExceededError(msg)
    preview = _preview_of(session)
    known = None if at_least is None else preview.known(at_least)
    return known or preview.state(session)


def hurry() -> None:
    """Build overviews at full speed for a while: somebody waits for pictures of all patches."""
    overview_builder.boost()


def partial_state(state: SessionState) -> SessionState:
    """Return a state whose pictures leave out the patches whose overviews this process has still to make.

    It names those in its description. Its pictures are not those of its revision, and have no ETag. So
    looking at an image that grows does not slow down those who send its patches.
    """
    waiting = functools.partial(overview_builder.waiting_of, state.session['_id'])
    return state.partial(waiting) if waiting() else state


def compose(session_id: ObjectId) -> None:
    """Compose the coarse blocks of a session that are not stored yet, so that no request waits for them."""
    session = StitchSession().find_there(session_id)
    if session is not None and session['counts']['patches'] >= MIN_STORED_PATCHES:
        _preview_of(session).state(session).image.compose()


overview_builder.compose = compose


def _is_tracked(session: Document) -> bool:
    with _lock:
        preview = _previews.get(session['_id'])
    return preview is not None and preview.spec == session['spec'] and len(preview.image) > 0


def _preview_of(session: Document) -> SessionPreview:
    with _lock:
        preview = _previews.get(session['_id'])
        if preview is None or preview.spec != session['spec']:
            preview = SessionPreview(session)
            _previews.put(session['_id'], preview)
    return preview
