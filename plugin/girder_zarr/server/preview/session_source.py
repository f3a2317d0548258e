"""The tile source of a session: the patches that have arrived so far, as an image of large_image."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from girder_zarr.common.cache import LRU
from girder_zarr.image.source import ZarrFileTileSource
from girder_zarr.server.sessions.model import bounds_of
from girder_zarr.stitch.preview.patch_coverage import cover

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from girder_zarr.image.series.series import Series
    from girder_zarr.server.common.names import Document
    from girder_zarr.stitch.preview.image import PreviewImage

#: How many tile sources are cached for one state of a session. They differ in encoding and style, of which a
#: viewer uses one or two; each is small beside the blocks that they share.
MAX_SOURCES = 8
#: How many of the patches that are not shown yet are named.
MAX_WAITING_KEYS = 2000


class PreviewTileSource(ZarrFileTileSource):
    """Provides tile access to the patches of a session that have arrived.

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
        """Return large_image's metadata, and the state of the session."""
        return {**super().getMetadata(), 'stitchSession': self.largeImagePath.describe()}


class SessionState:
    """A session as it was at some revision, and its tile sources.

    :param etag: names what is shown, in any process; None while a patch is about to change.
    :param waiting: None, or returns the keys of the patches that its pictures leave out.
    """

    def __init__(
        self,
        session: Document,
        image: PreviewImage,
        etag: str | None,
        waiting: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        self.session = session
        self.image = image
        self.etag = etag
        self._waiting = waiting
        self._partial: SessionState | None = None
        self.series: Series = image.series(session['name'], partial=waiting is not None)
        self._sources: LRU[str, PreviewTileSource] = LRU(max_items=MAX_SOURCES)

    def partial(self, waiting: Callable[[], Sequence[str]]) -> SessionState:
        """Return the same state for pictures without the patches that still wait for their overviews."""
        if self._partial is None:
            self._partial = SessionState(self.session, self.image, None, waiting)
        return self._partial

    def source(self, **options: Any) -> PreviewTileSource:
        """Return a tile source; ``options`` are those of large_image."""
        key = repr(sorted(options.items()))
        return self._sources.fetch(key, lambda: PreviewTileSource(self, noCache=True, **options))

    @functools.cached_property
    def coverage(self) -> Document:
        """The share of the image that has arrived and the holes in it, as docs/rest.md shows them."""
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
        """Return the session's part of the metadata."""
        top, left = self.series.levels[0].origin  # type: ignore[attr-defined]
        waiting = self._waiting() if self._waiting else ()
        return {
            'revision': self.session['revision'],
            'patches': len(self.image),
            'origin': {'x': left, 'y': top},
            'bounds': bounds_of(self.session),
            'problems': self.image.problems,
            'waiting': len(waiting),
            'waitingKeys': list(waiting[:MAX_WAITING_KEYS]),
        }
