"""An item's file, in whichever assetstore, as a tile source; and this source before all others named zarr."""

from __future__ import annotations

import functools
import importlib.metadata
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import cherrypy
import large_image.tilesource
from girder.api.rest import getCurrentUser
from girder.exceptions import AccessException, FilePathException, RestException
from girder.models.file import File
from girder_large_image import girder_tilesource
from girder_large_image.girder_tilesource import GirderTileSource
from large_image.exceptions import TileSourceError

from girder_zarr.errors import FieldLimitError, ForbiddenPartError, StyleError, UnreadableImageError
from girder_zarr.image import ZarrFileTileSource, style_functions
from girder_zarr.image.hierarchy.damaged import are_left_out, leaving_out_damaged
from girder_zarr.image.hierarchy.mosaic import MosaicLevel
from girder_zarr.image.hierarchy.overview import NAME as WHOLE
from girder_zarr.image.hierarchy.overview import fields_cost
from girder_zarr.image.limits import FieldBudget, spend, within
from girder_zarr.server.common.hidden_paths import shown_to
from girder_zarr.server.storage.locations import open_location

from .ranking import Facts, rank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)

NAME = 'zarr'
#: Fields of a plate, and stored pixels of them, that are put together for a picture for anybody: each takes
#: half a second.
ANYBODY = (1500, 2**26)
OTHER_DISTRIBUTION = 'large-image-source-zarr'


class StyleRestError(StyleError, RestException):
    """A style that is not applied, on a route that leaves errors of tile sources to Girder: 400."""


class UnreadableRestError(UnreadableImageError, RestException):
    """A part that cannot be read, on a route that leaves errors of tile sources to Girder: 415."""

    def __init__(self, message: str) -> None:
        """Keep the sentence and the status."""
        RestException.__init__(self, message, code=415)


@contextmanager
def _answering() -> Iterator[None]:
    """Raise what Girder's routes answer with a status of its own for what cannot be read."""
    try:
        with _forbidding():
            yield
    except UnreadableImageError as error:
        raise UnreadableRestError(shown_to(getCurrentUser(), str(error))) from error


@contextmanager
def _forbidding() -> Iterator[None]:
    """Raise what Girder's routes answer with 403 for a part that may not be read, with 413 for too much.

    large_image's routes give errors of tile sources statuses of their own, and some of them 500.
    """
    try:
        # Who asks is looked up where it matters: of most pictures it would be all that the database is asked.
        with within(FieldBudget(*ANYBODY, _is_anybody)):
            yield
    except ForbiddenPartError as error:
        raise AccessException(str(error)) from error
    except FieldLimitError as error:
        msg = f'{error}; without signing in the limits are {ANYBODY[0]} and {ANYBODY[1]}: '
        raise RestException(msg + 'ask for a smaller part, or sign in.', code=413) from error


def _is_anybody() -> bool:
    """Whether this is a request of somebody who has not signed in; work beside requests is not."""
    return cherrypy.request.app is not None and getCurrentUser() is None


class ZarrGirderTileSource(ZarrFileTileSource, GirderTileSource):
    """Provides tile access to a Girder item that is an OME-Zarr image."""

    cacheName = 'tilesource'
    name = NAME

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Open the image of an item; see the base classes.

        :raises AccessException: it needs a part that fewer people may read.
        """
        with _forbidding():
            super().__init__(*args, **kwargs)

    def getState(self) -> str:
        """Return the part of a cached tile's key that names this source; see the base classes.

        A tile of a plate without the fields that cannot be read is not that which is measured.
        """
        state = super().getState()
        is_plate = self._opened is not None and WHOLE in self._opened.named
        return f'{state},without damaged' if is_plate and are_left_out() else state

    def getTile(self, *args: Any, **kwargs: Any) -> Any:
        """Return a tile; see the base classes. Of all of a plate it shows the fields that can be read."""
        with _forbidding(), leaving_out_damaged():
            return super().getTile(*args, **kwargs)

    def checkPart(self, box: tuple[int, int, int, int], step: int, frame: int) -> None:
        """Refuse what a region would refuse when it is read, for routes whose answer has begun by then.

        :param box: left, top, right, bottom in pixels of the full resolution.
        :param step: of them along a side of one of the picture.
        :raises RestException: somebody who has not signed in asks for too many fields of a plate.
        """
        if 0 <= frame < self._framecount and step in self._choices:
            series, choice = (
                self._series[frame // self._framesPerSeries % len(self._series)],
                self._choices[step],
            )
            level = series.levels[min(choice.level, len(series.levels) - 1)]
            with _forbidding():
                spend(*fields_cost(level, box, step / max(choice.ratio)))

    def unreadableFields(self) -> tuple[list[str], int]:
        """Return sentences on the fields of a plate that cannot be read, and how many were looked at.

        :raises RestException: somebody who has not signed in asks for too many.
        """
        level = self._series[0].levels[0]
        if self._opened is None or not isinstance(level, MosaicLevel):
            return [], 0
        with _forbidding():
            count = level.look_for_damage()
        return [text for text in self._opened.problems if text.startswith('The field ')], count

    def getAssociatedImage(self, *args: Any, **kwargs: Any) -> Any:
        """Return an associated image; see the base classes."""
        with _forbidding(), leaving_out_damaged():
            return super().getAssociatedImage(*args, **kwargs)

    def getThumbnail(self, *args: Any, **kwargs: Any) -> Any:
        """Return a thumbnail; see the base classes. It leaves out what tiles do."""
        with leaving_out_damaged():
            return super().getThumbnail(*args, **kwargs)

    def getRegion(self, *args: Any, **kwargs: Any) -> Any:
        """Return a region; see the base classes."""
        with _forbidding():
            return super().getRegion(*args, **kwargs)

    def histogram(self, *args: Any, **kwargs: Any) -> Any:
        """Return a histogram; see the base classes."""
        with _answering(), leaving_out_damaged():
            return super().histogram(*args, **kwargs)

    def getBandInformation(self, *args: Any, **kwargs: Any) -> Any:
        """Return what is known of the bands; see the base classes."""
        with _answering(), leaving_out_damaged():
            return super().getBandInformation(*args, **kwargs)

    def _getLargeImagePath(self) -> Any:
        """Return where the image lies that the item's file stands for; see `open_location`."""
        file_id = self.item['largeImage']['fileId']
        file = File().load(file_id, force=True)
        if file is None:
            msg = f'The item has no large image file: there is no file {file_id}.'
            raise TileSourceError(msg)
        return open_location(file)


SOURCES = {'large_image.source': ZarrFileTileSource, 'girder_large_image.source': ZarrGirderTileSource}


def take_over() -> None:
    """Make this source the one called zarr, in Girder and in large_image, whatever else is installed."""
    prefer_ours()
    girder_tilesource.loadGirderTileSources()
    large_image.tilesource.loadTileSources()


def prefer_ours() -> None:
    """Make this source the one called zarr from the next time that tile sources are loaded.

    girder_large_image reads the entry points again whenever a file is saved, and the last package that offers
    a name would win; so the reading itself puts our source in its place.
    """
    style_functions.restrict(large_image.tilesource.TileSource)
    style_functions.raise_as(StyleRestError)
    load = large_image.tilesource.loadTileSources
    if not hasattr(load, 'before_girder_zarr'):
        large_image.tilesource.loadTileSources = _preferring_ours(load)
    choose = girder_tilesource.getGirderTileSourceName
    if not hasattr(choose, 'before_girder_zarr'):
        girder_tilesource.getGirderTileSourceName = _skip_sources_without_path(choose)
    try:
        version = importlib.metadata.version(OTHER_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return
    logger.warning(
        '%s %s is installed as well; the tile source "zarr" is the one of girder_zarr.',
        OTHER_DISTRIBUTION,
        version,
    )


def _preferring_ours(load: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(load)
    def load_tile_sources(
        entryPointName: str = 'large_image.source',
        sourceDict: dict[str, Any] = large_image.tilesource.AvailableTileSources,
    ) -> None:
        load(entryPointName, sourceDict)
        if entryPointName in SOURCES:
            sourceDict[NAME] = SOURCES[entryPointName]

    load_tile_sources.before_girder_zarr = load  # type: ignore[attr-defined]
    return load_tile_sources


def _skip_sources_without_path(choose: Callable[..., str | None]) -> Callable[..., str | None]:
    """Wrap getGirderTileSourceName so that a source raising FilePathException is skipped.

    Such a source needs a file on this machine; its error would end large_image's search, with status 500.
    """

    @functools.wraps(choose)
    def get_name(item: dict[str, Any], file: Any = None, *args: Any, **kwargs: Any) -> str | None:
        try:
            return choose(item, file, *args, **kwargs)
        except FilePathException:
            found = file or File().load(item['largeImage']['fileId'], force=True)
            names = [one.source for one in rank(Facts.of(found)) if one.considered]
            return next((name for name in names if _can_read(name, item, *args, **kwargs)), None)

    get_name.before_girder_zarr = choose  # type: ignore[attr-defined]
    return get_name


def _can_read(name: str, item: dict[str, Any], *args: Any, **kwargs: Any) -> bool:
    try:
        return bool(girder_tilesource.AvailableGirderTileSources[name].canRead(item, *args, **kwargs))
    except FilePathException:
        return False
