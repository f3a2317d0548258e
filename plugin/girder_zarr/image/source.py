"""The large_image reading contract over OME-Zarr: sizes, levels, frames, tiles, metadata."""

from __future__ import annotations

import math
import os
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
from large_image.cache_util import methodcache, strhash
from large_image.constants import (
    NEW_IMAGE_PATH_FLAG,
    TILE_FORMAT_IMAGE,
    TILE_FORMAT_NUMPY,
    SourcePriority,
)
from large_image.tilesource import FileTileSource
from large_image.tilesource.utilities import ImageBytes

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.hierarchy.internal_metadata import describe
from girder_zarr.image.hierarchy.labels import LabelFrames
from girder_zarr.image.hierarchy.selection import choice_key, open_wanted, wanted
from girder_zarr.image.render.composite import CompositeMixin
from girder_zarr.image.render.display import encode_jpeg
from girder_zarr.image.render.finite import as_json
from girder_zarr.image.render.next_tiles import FollowedMixin, Grid, NextTiles, Tile
from girder_zarr.image.render.picture import associated_picture, sides_of
from girder_zarr.image.render.regions import MEANS, check_thumbnail, read_region
from girder_zarr.image.render.rendered import RenderedMixin
from girder_zarr.image.render.statistics import StatisticsMixin
from girder_zarr.image.render.tile_pixels import TilePixelsMixin
from girder_zarr.image.series.frame_metadata import FrameMetadata, band_names
from girder_zarr.image.series.frames import channel_names, frame_records, frame_values, lay_out, native_dtype
from girder_zarr.image.series.reduce import choose_level
from girder_zarr.image.sink.mixin import SinkMixin
from girder_zarr.image.sink.shared import SourceMeta
from girder_zarr.image.store.bytesource import ByteSource
from girder_zarr.image.store.stores import location_identity, open_store

from .limits import DEFAULT
from .style_functions import restrict
from .validate.findings import QUICK
from .validate.hierarchy import validate_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    import PIL.Image

    from girder_zarr.image.canvas.form import CanvasExtent
    from girder_zarr.image.hierarchy.opening import Opened
    from girder_zarr.image.series.series import Series
    from girder_zarr.image.store.keystore import KeyStore


class ZarrFileTileSource(
    FollowedMixin,
    TilePixelsMixin,
    RenderedMixin,
    CompositeMixin,
    StatisticsMixin,
    SinkMixin,
    FileTileSource,
    metaclass=SourceMeta,
):
    """Provides tile access to OME-Zarr images and other zarr arrays, and writes new ones."""

    cacheName = 'tilesource'
    name = 'zarr'
    extensions = {
        None: SourcePriority.LOW,
        'zarr': SourcePriority.PREFERRED,
        'zgroup': SourcePriority.PREFERRED,
        'zattrs': SourcePriority.PREFERRED,
        'zarray': SourcePriority.PREFERRED,
        'ozx': SourcePriority.PREFERRED,
        'db': SourcePriority.MEDIUM,
        'zip': SourcePriority.LOWER,
    }
    nameMatches = {
        r'zarr\.json$': SourcePriority.PREFERRED,
    }
    mimeTypes = {
        None: SourcePriority.FALLBACK,
        'application/zip+zarr': SourcePriority.PREFERRED,
        'application/vnd+zarr': SourcePriority.PREFERRED,
        'application/x-zarr': SourcePriority.PREFERRED,
    }
    newPriority = SourcePriority.HIGH

    _tileSize = 512
    _minTileSize = 128
    _maxTileSize = 1024

    def __init__(self, path: Any, **kwargs: Any) -> None:
        """Open an image, or begin a new one.

        :param path: a path or a ByteSource; for a new image, as :func:`girder_zarr.image.new` makes it.
        :raises MissingImageError: there is nothing at the path.
        :raises UnreadableImageError: what is there is not an image that we read.
        """
        super().__init__(path, **kwargs)
        self._editable = False
        self._opened: Opened | None = None
        self._store: KeyStore | None = None
        self._zarrRoot: Any = None
        self._validation: dict[str, Any] | None = None
        self._frameMetadata = FrameMetadata()
        self._choiceKey = choice_key(kwargs)
        if str(path).startswith(NEW_IMAGE_PATH_FLAG) or kwargs.get('follow'):
            self._initNew(path, **kwargs)
        else:
            self._initOpen(**kwargs)

    def _initOpen(self, **kwargs: Any) -> None:
        choice = wanted(kwargs)
        location = self._getLargeImagePath()
        self._largeImagePath: Any = location if isinstance(location, ByteSource) else str(location)
        # in an assetstore a link may lead to what its owner must not read
        self._store = open_store(location, follow_links=not hasattr(self, 'girderSource'))
        self._opened = opened = open_wanted(self._store, choice)
        self._describe(opened.series)
        if choice.labels and opened.labels and len(opened.series) == 1:
            self._addLabels(LabelFrames(opened.labels, opened.series[0], self._layout))
        multiscale = opened.series[0].multiscale
        self._imageDescription = multiscale.description
        self._restoreProperties(multiscale.extra)
        native = self.getNativeMagnification()
        self._mm_x, self._mm_y = native['mm_x'], native['mm_y']
        self._mm_z = multiscale.millimeters('z')
        self._frameAxes, self._frameUnits, self._frameValues = frame_values(multiscale, self._layout)
        if kwargs.get('editable'):
            self._initEdit(opened, self._store, location, kwargs)
        elif self._store.is_remote:
            grid = Grid(
                (self.sizeX, self.sizeY), (self.tileWidth, self.tileHeight), self.levels, self._choices
            )
            self._nextTiles = NextTiles(self._series, self._layout, grid, self._store.source)

    def _describe(self, series: Sequence[Series], unvalued: CanvasExtent | None = None) -> None:
        """Set sizes, levels, frames and bands from series that share axes, type and all lengths but y and x.

        The writing half calls this again whenever a new image has grown; what was derived before is dropped.
        With ``unvalued``, the extent of the image, values of its frames are described when they are read.
        """
        first = self._keep(series, unvalued)
        self._layout = layout = lay_out(series, stored_order=self._editable)
        if layout.count > DEFAULT.frames and not self._editable:
            msg = f'The image has {layout.count} frames; at most {DEFAULT.frames} are listed.'
            raise UnreadableImageError(msg)
        sides = [one.levels[0].shape for one in series]
        self.sizeX, self.sizeY = max(s[layout.x] for s in sides), max(s[layout.y] for s in sides)
        chunks = first.levels[0].chunks
        self.tileWidth, self.tileHeight = self._tileSide(chunks[layout.x]), self._tileSide(chunks[layout.y])
        tiles = max(self.sizeX / self.tileWidth, self.sizeY / self.tileHeight)
        self.levels = max(1, math.ceil(math.log2(tiles)) + 1)
        self._dtype = native_dtype(first.levels[0].dtype)
        self._bandCount, self._framecount = layout.bands, layout.count
        self._framesPerSeries = layout.count // len(series)
        self._axes = {axis.name: index for index, axis in enumerate(first.multiscale.axes)}
        self._strides = {axis.name: axis.stride for axis in layout.axes}
        self._axisCounts = {axis.name: axis.count for axis in layout.axes}
        self._channels = channel_names(first.multiscale, layout)
        self._choices = {
            step: choose_level(sides_of(first, layout), step)
            for step in (2**power for power in range(self.levels))
        }
        self._resetRendering(first)
        if self._editable:
            self._cacheValue = str(uuid.uuid4())

    def _tileSide(self, chunk: int) -> int:
        return chunk if self._minTileSize <= chunk <= self._maxTileSize else self._tileSize

    @classmethod
    def getLRUHash(cls, *args: Any, **kwargs: Any) -> str:
        """Return the key of large_image's cache of sources; it changes when the file changes."""
        base: str = super().getLRUHash(*args, **kwargs)
        if args and isinstance(args[0], (str, os.PathLike, ByteSource)):
            base = f'{strhash(location_identity(args[0]))},{base}'
        return base + choice_key(kwargs)

    @classmethod
    def canRead(cls, path: Any, *args: Any, **kwargs: Any) -> bool:
        """Return whether an image can be opened; never raises.

        :param path: a path, an address, a ByteSource, or the path of a new image.
        """
        if str(path).startswith(NEW_IMAGE_PATH_FLAG):
            return True
        kwargs.pop('editable', None)  # the reason against it is said when it is opened
        try:
            cls(path, *args, **kwargs)
        except Exception:  # noqa: BLE001 - whatever is wrong, the answer is no
            return False
        return True

    def getState(self) -> str:
        """Return the part of a cached tile's key that names this source; it changes as an image grows."""
        self._takeNew()
        state: str = super().getState()
        if not hasattr(self, '_classkey'):
            state += self._choiceKey
        return f'{state},{self._cacheValue}' if hasattr(self, '_cacheValue') else state

    @property
    def _zarr(self) -> Any:
        """The root zarr group or array, as callers of large-image-source-zarr reach for it."""
        import zarr

        if self._editable:
            return self._writtenGroup()
        if self._zarrRoot is None and self._store is not None:
            self._zarrRoot = zarr.open(store=self._store, mode='r')
        return self._zarrRoot

    @_zarr.setter
    def _zarr(self, value: Any) -> None:
        self._zarrRoot = value

    def _nonemptyLevelsList(self, frame: int | None = 0) -> list[Any]:
        """Return one value for each level, lowest resolution first: None where nothing is stored for it."""
        del frame
        steps = (2 ** (self.levels - 1 - level) for level in range(self.levels))
        return [True if self._choices[step].exact else None for step in steps]

    def getNativeMagnification(self) -> dict[str, float | None]:
        """Return the size of a pixel in millimeters, and the magnification that it amounts to."""
        found = [self._series[0].multiscale.millimeters(name) for name in 'xy']
        magnification = self._magnification or (0.01 / found[0] if found[0] else None)
        return {'magnification': magnification, 'mm_x': found[0], 'mm_y': found[1]}

    def getMetadata(self) -> Any:
        """Return large_image's metadata; see the base class."""
        self._takeNew()
        result = super().getMetadata()
        if self._framecount > 1:
            key = None if self._store is None or self._editable else tuple(self._channels or ())
            result.update(self._frameMetadata.fetch(key, self._describeFrames))
        return result

    def _describeFrames(self) -> dict[str, Any]:
        frames = frame_records(self._series, self._layout)
        found = {'frames': frames if self._labels is None else self._labels.records(frames)}
        self._addMetadataFrameInformation(found, self._channels or band_names(self._axisCounts))
        return found

    def getInternalMetadata(self, **_: Any) -> dict[str, Any]:
        """Return all that is known: ``zarr`` holds the attributes as stored, and what was read from them.

        ``zarr.validation`` says what is wrong by the specification, as far as little work tells it.
        """
        texts = {'description': self._imageDescription, 'additionalMetadata': self._additionalMetadata}
        found = describe(self._opened, self._series, self._layout, self._store, texts)
        if self._store is not None and not self._editable:
            self._validation = self._validation or validate_store(self._store, QUICK).to_json()
            found['validation'] = self._validation
        return {'zarr': as_json(found)}

    def getAssociatedImagesList(self) -> list[str]:
        """Return the names of the labels and other small images."""
        self._takeNew()
        stored = self._opened.associated if self._opened is not None else ()
        return list(dict.fromkeys([*stored, *self._newAssociated]))

    def _getAssociatedImage(self, imageKey: str) -> PIL.Image.Image | None:
        new = self._newAssociatedSeries().get(imageKey)
        if new is not None:
            return associated_picture(new)
        if self._opened is None or imageKey not in self._opened.associated:
            return None
        return associated_picture(self._opened.associated[imageKey]())

    @methodcache()
    def getTile(  # type: ignore[no-untyped-def]
        self, x, y, z, pilImageAllowed=False, numpyAllowed=False, **kwargs
    ):
        """Return one tile; see the base class."""
        if not numpyAllowed and self._needsRendering():
            return self._renderedView().getTile(x, y, z, pilImageAllowed, numpyAllowed, **kwargs)
        frame = self._getFrame(**kwargs)
        self._xyzInRange(x, y, z, frame, self._framecount)
        if self._nextTiles is None:
            return self._tile(x, y, z, frame, pilImageAllowed, numpyAllowed, **kwargs)
        is_picture = not (pilImageAllowed or numpyAllowed) and kwargs.get('applyStyle', True)
        with self._followed(Tile(x, y, z, frame), is_picture=is_picture):
            return self._tile(x, y, z, frame, pilImageAllowed, numpyAllowed, **kwargs)

    def _tile(
        self, x: int, y: int, z: int, number: int, pilImageAllowed: Any, numpyAllowed: Any, **kwargs: Any
    ) -> Any:
        if self.encoding == 'JPEG' and not (numpyAllowed or pilImageAllowed or self._isRendered):
            stored = self._storedTile(x, y, z, number)
            if stored is not None:
                return ImageBytes(stored, mimetype='image/jpeg')
        tile = self._pixels(x, y, z, number)
        if self._isRendered:
            tile = self._asPicture(tile, number)
        return self._outputTile(  # type: ignore[no-untyped-call]
            tile, TILE_FORMAT_NUMPY, x, y, z, pilImageAllowed, numpyAllowed, **kwargs
        )

    def _outputTile(  # type: ignore[no-untyped-def]
        self,
        tile,
        tileEncoding,
        x,
        y,
        z,
        pilImageAllowed=False,
        numpyAllowed=False,
        applyStyle=True,
        **kwargs,
    ):
        """Return a tile as asked for; see the base class. JPEG is encoded without PIL, which is faster."""
        place = (x, y, z)
        whole = isinstance(tile, np.ndarray) and tile.shape[:2] == (self.tileHeight, self.tileWidth)
        if whole and numpyAllowed and self._isPlain():
            return tile
        if self.encoding != 'JPEG' or numpyAllowed or pilImageAllowed:
            return super()._outputTile(
                tile, tileEncoding, *place, pilImageAllowed, numpyAllowed, applyStyle, **kwargs
            )
        if not whole or not self._isPlain():
            tile = super()._outputTile(tile, tileEncoding, *place, False, 'always', applyStyle, **kwargs)
        data = encode_jpeg(tile, self.jpegQuality, self.jpegSubsampling)
        if data is not None:
            return ImageBytes(data, mimetype='image/jpeg')
        return super()._outputTile(tile, TILE_FORMAT_NUMPY, *place, applyStyle=False, **kwargs)

    def getThumbnail(self, width: Any = None, height: Any = None, **kwargs: Any) -> Any:
        """Return a thumbnail; see the base class. Its pixels are means, as those of lower levels are.

        Without a frame and a style it shows the channels as the file says.

        :raises OutputSizeError: it would have more pixels than ``thumbnail_pixels`` of the limits.
        """
        check_thumbnail((self.sizeX, self.sizeY), (width, height), filled=bool(kwargs.get('fill')))
        composed = self._composedView() if kwargs.get('frame') is None else None
        if composed is not None:
            return composed.getThumbnail(width, height, **kwargs)
        return super().getThumbnail(width, height, **{**kwargs, MEANS: True})

    def getRegion(self, format: Any = (TILE_FORMAT_IMAGE,), **kwargs: Any) -> Any:  # noqa: A002
        """Return a region; see the base class."""
        self._takeNew()
        formats = format if isinstance(format, (tuple, set, list)) else (format,)
        means = kwargs.pop(MEANS, False)
        keeps = TILE_FORMAT_NUMPY in formats or kwargs.get('encoding') in ('TIFF', 'TILED')
        if not keeps and self._needsRendering():
            return self._renderedView().getRegion(format=format, **kwargs, **({MEANS: True} if means else {}))
        if self._isPlain():
            found = read_region(self, self._regionPixels, formats, kwargs, means=means)
            if found is not None:
                return found
        return super().getRegion(format=format, **kwargs)


restrict(ZarrFileTileSource)


def open(*args: Any, **kwargs: Any) -> ZarrFileTileSource:  # noqa: A001 - large_image's name for it
    """Open an image; see :class:`ZarrFileTileSource`.

    :param args: the path of a directory, zip, .ozx or database, or an address (``https://``, ``s3://``) of an
        allowed host; see docs/reading.md.
    :param kwargs: ``series`` and ``labels`` choose among several images; ``editable=True`` opens a file of
        this machine to add to it; further ones are large_image's (``style``, ``encoding``, ``noCache`` ...).
    :raises MissingImageError: there is nothing at the path.
    :raises UnreadableImageError: what is there is not an image that we read; the message says why.

    >>> source = open('image.ome.zarr')
    >>> source.getMetadata()['sizeX']
    >>> region, _ = source.getRegion(format='numpy', frame=2, region={'left': 0, 'width': 512, 'height': 512})
    """
    return ZarrFileTileSource(*args, **kwargs)


def canRead(*args: Any, **kwargs: Any) -> bool:
    """Return whether an image can be opened; never raises. Takes what :func:`open` takes.

    >>> canRead('image.ome.zarr')
    True
    """
    return ZarrFileTileSource.canRead(*args, **kwargs)


def new(*args: Any, **kwargs: Any) -> ZarrFileTileSource:
    """Begin a new, empty image, to which tiles are added and which is then written.

    :param kwargs: ``memory``: bytes of pixels in memory before the oldest go to a temporary file (128 MiB);
        ``temporary``: the folder for temporary files (what ``TMPDIR`` says).

    >>> image = new()
    >>> image.addTile(np.zeros((256, 256), np.uint16), x=0, y=0, z=1)
    >>> image.write('image.zarr')
    """
    return ZarrFileTileSource(NEW_IMAGE_PATH_FLAG + str(uuid.uuid4()), *args, **kwargs)
