"""Sessions as tile sources: what has arrived so far, in any number of server processes.

All that counts is in the database: the session's ``revision``, which every change of its patches raises, and
the patches. A process keeps, for a few sessions, the places of the patches, and follows them: whoever asks
for something gets what has changed since. See `patches.py` for the order in which a change of a patch becomes
visible.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from girder_zarr.common.cache import LRU
from girder_zarr.errors import NotFoundError
from girder_zarr.image.source import ZarrFileTileSource
from girder_zarr.server.patches.document import to_patch
from girder_zarr.server.patches.locking import is_locked, is_stale
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.sessions.model import Document, StitchSession, bounds_of, spec_of
from girder_zarr.stitch.preview.image import MIN_STORED_PATCHES, PreviewImage, Sources, block_cache, load_each
from girder_zarr.stitch.preview.patch_coverage import cover

from .block_store import SessionBlocks
from .builder import preparer_of, reduce_and_store, reducer
from .overview_store import all_copies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bson import ObjectId

    from girder_zarr.image.series.series import Series
    from girder_zarr.stitch.patch import Patch
    from girder_zarr.stitch.preview.prepare import Preparer

#: Bytes of pixels that a process keeps for all previews together, and of decoded patches.
CACHE_BYTES = 256 * 2**20
DECODED_BYTES = 128 * 2**20
#: How many sessions a process follows.
MOST_SESSIONS = 16
#: How many tile sources are kept for one state of a session: they differ in encoding and style.
MOST_SOURCES = 8
#: How long after all patches were read they are read again at the soonest, when their number is not what the
#: session says: so many times what it took, and never longer than these seconds.
_RELOAD_SHARE = 3
_RELOAD_SECONDS = 1.5

_blocks = block_cache(CACHE_BYTES)
_decoded: LRU[Any, Any] = LRU(max_bytes=DECODED_BYTES, size_of=lambda pixels: pixels.nbytes)


class PreviewTileSource(ZarrFileTileSource):
    """Provides tile access to what has arrived of a session.

    :param state: a state of a session; see :class:`SessionState`.
    """

    cacheName = 'tilesource'
    name = 'stitch_session'
    extensions: dict[str | None, Any] = {}
    mimeTypes: dict[str | None, Any] = {}
    nameMatches: dict[str, Any] = {}

    def _initOpen(self, **kwargs: Any) -> None:
        del kwargs
        self._describe([self.largeImagePath.series])
        self._imageDescription = None
        self._frameAxes = self._frameUnits = self._frameValues = None

    def _getLargeImagePath(self) -> Any:
        return self.largeImagePath

    def getMetadata(self) -> Any:
        """Return large_image's metadata, and what is known of the session's state."""
        return {**super().getMetadata(), 'stitchSession': self.largeImagePath.describe()}


class SessionState:
    """A session as it was at some revision; its tile sources.

    :param etag: names what is shown, in any process; None while a patch is about to change.
    """

    def __init__(self, session: Document, image: PreviewImage, etag: str | None) -> None:
        self.session = session
        self.image = image
        self.etag = etag
        self.series: Series = image.series(session['name'])
        self._lock = threading.Lock()
        self._sources: OrderedDict[str, PreviewTileSource] = OrderedDict()

    def source(self, **options: Any) -> PreviewTileSource:
        """Return a tile source; ``options`` are those of large_image."""
        key = repr(sorted(options.items()))
        with self._lock:
            found = self._sources.get(key)
            if found is None:
                found = self._sources[key] = PreviewTileSource(self, noCache=True, **options)
                while len(self._sources) > MOST_SOURCES:
                    self._sources.popitem(last=False)
            return found

    @functools.cached_property
    def coverage(self) -> Document:
        """What has arrived of the image, as docs/rest.md shows it."""
        found = cover(self.image.patches(), self.image.spec)
        holes = [
            {'x': list(hole.x), 'y': list(hole.y), **dict(hole.frame), 'pixels': hole.pixels}
            for hole in found.holes
        ]
        return {
            'covered': found.share,
            'cell': found.cell,
            'frames': found.frames,
            'emptyFrames': found.empty_frames,
            'holes': holes,
        }

    def describe(self) -> Document:
        """Return what the metadata say of the session."""
        top, left = self.series.levels[0].origin  # type: ignore[attr-defined]
        return {
            'revision': self.session['revision'],
            'patches': len(self.image),
            'origin': {'x': left, 'y': top},
            'bounds': bounds_of(self.session),
            'problems': self.image.problems,
        }


class SessionPreview:
    """Follows the patches of one session. Thread safe."""

    def __init__(self, session: Document) -> None:
        self._id = session['_id']
        self.spec = session['spec']
        self._names_masks = False
        self._begin(session)
        self._lock = threading.Lock()
        self._state: SessionState | None = None
        self._reload_from = 0.0
        self._drift = 0

    def _begin(self, session: Document) -> None:
        """Begin with an image without patches, with the reference images that the session has now."""
        preparer = preparer_of(session, named=self._names_masks)
        sources = Sources(
            lambda patch: _full(preparer, patch),
            lambda patches, level: _small(self._id, preparer, patches, level),
            SessionBlocks(self._id),
        )
        self._preparer = preparer
        self.image = PreviewImage((self._id, preparer.fingerprint), spec_of(session), sources, _blocks)
        # Patches that arrived up to this revision are known, but for those that were held when it was read.
        self._known: int | None = None
        self._held: list[str] = []

    def state(self, session: Document) -> SessionState:
        """Return the session as it is now.

        :param session: as just read from the database.
        :raises NotFoundError: it has no patches.
        """
        with self._lock:
            known = self._state
            if known is not None and known.etag and known.session['revision'] >= session['revision']:
                return known
            settled = self._follow(session)
            if not len(self.image):
                self._state = None
                msg = 'The session has no patches yet; there is nothing to show.'
                raise NotFoundError(msg)
            etag = f'{self._id}-{session["revision"]}' if settled else None
            self._state = SessionState(session, self.image, etag)
            return self._state

    def _follow(self, session: Document) -> bool:
        """Take over what has changed; return whether that is all there is at the session's revision."""
        if self._preparer.fingerprint != preparer_of(session, named=self._names_masks).fingerprint:
            self._begin(session)
        if self._known is None:
            return self._reload(session)
        # Each has an index. What is held comes first: a patch that is settled meanwhile has arrived since;
        # one that is not held yet will arrive at a later revision than the session's.
        held = {'sessionId': self._id, 'lockedBy': {'$gt': ''}}
        recent = {'sessionId': self._id, 'arrival': {'$gt': self._known}}
        documents = list(StitchPatch().find(held))
        if any(is_stale(document) for document in documents):
            StitchPatch().release_stale(session)
            documents = list(StitchPatch().find(held))
        now_held = {document['key'] for document in documents}
        let_go = [key for key in self._held if key not in now_held]
        if let_go:
            documents += StitchPatch().find({'sessionId': self._id, 'key': {'$in': let_go}})
        documents += StitchPatch().find(recent)
        if self._look_for_masks(session, documents):
            return self._reload(session)
        settled = self._take(session, documents)
        # Removed patches are found by their number. While others come in, it is that of a moment ago.
        if settled and len(self.image) != session['counts']['patches'] - self._drift:
            return time.monotonic() >= self._reload_from and self._reload(session)
        return settled

    def _reload(self, session: Document) -> bool:
        begun = time.monotonic()
        documents = list(StitchPatch().find({'sessionId': self._id}))
        self._look_for_masks(session, documents)
        settled = self._take(session, documents)
        self.image.keep_only({document['key'] for document in documents if document['stored']})
        spent = time.monotonic() - begun
        self._reload_from = begun + spent + min(_RELOAD_SHARE * spent, _RELOAD_SECONDS)
        current = StitchSession().findOne({'_id': self._id}, fields=['revision', 'counts'])
        if current is None or current['revision'] != session['revision']:
            return False
        # A server that died between two steps leaves a wrong number behind, for good.
        self._drift = current['counts']['patches'] - len(self.image) if settled else 0
        return settled

    def _take(self, session: Document, documents: list[Document]) -> bool:
        """Put patches into the image; return whether none of them is about to change."""
        shown = self._preparer.shown
        self.image.put([shown(to_patch(document)) for document in documents if document['stored']])
        self._held = [document['key'] for document in documents if is_locked(document)]
        self._known = max(session['revision'], self._known or 0)
        return not self._held

    def _look_for_masks(self, session: Document, documents: list[Document]) -> bool:
        """Note that patches name masks; return whether that is news, after which all is begun anew."""
        if self._names_masks or not any('maskKey' in document.get('options', {}) for document in documents):
            return False
        self._names_masks = True
        self._begin(session)
        return True


def _full(preparer: Preparer, patch: Patch) -> Any:
    key = (patch.source, *preparer.cache_key(patch))
    return _decoded.fetch(key, lambda: preparer.pixels(patch))


def _small(session_id: Any, preparer: Preparer, patches: Sequence[Patch], level: int) -> dict[str, Any]:
    names = {patch.key: (level, patch.source, *preparer.cache_key(patch)) for patch in patches}
    found = {key: pixels for key, name in names.items() if (pixels := _decoded.get(name)) is not None}
    missing = [patch for patch in patches if patch.key not in found]
    if missing:
        copies = next(one for one in all_copies() if one.level == level)
        stored = copies.read(missing, preparer)
        missing = [patch for patch in missing if patch.key not in stored]
        made = load_each(lambda patch: reduce_and_store(session_id, patch, preparer)[level], missing)
        fresh = {**stored, **made}
        for key, pixels in fresh.items():
            if not isinstance(pixels, str):
                _decoded.put(names[key], pixels)
        found.update(fresh)
    return found


_lock = threading.Lock()
_previews: OrderedDict[Any, SessionPreview] = OrderedDict()


def state_of(session: Document) -> SessionState:
    """Return a session as it is now.

    :param session: as just read from the database.
    :raises NotFoundError: it has no patches.
    """
    reducer.look()
    return _preview_of(session).state(session)


def compose(session_id: ObjectId) -> None:
    """Make the coarse blocks of a session that are not stored yet, so that nobody has to wait for them."""
    session = StitchSession().findOne({'_id': session_id, 'deleting': False})
    if session is not None and session['counts']['patches'] >= MIN_STORED_PATCHES:
        _preview_of(session).state(session).image.compose()


reducer.compose = compose


def _preview_of(session: Document) -> SessionPreview:
    with _lock:
        preview = _previews.get(session['_id'])
        if preview is None or preview.spec != session['spec']:
            preview = _previews[session['_id']] = SessionPreview(session)
        _previews.move_to_end(session['_id'])
        while len(_previews) > MOST_SESSIONS:
            _previews.popitem(last=False)
    return preview
