"""The large_image reading contract over OME-Zarr: sizes, levels, frames, tiles, metadata."""

from __future__ import annotations

import math
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
from large_image.cache_util import LruCacheMetaclass, methodcache
from large_image.constants import NEW_IMAGE_PATH_FLAG, TILE_FORMAT_NUMPY, SourcePriority
from large_image.tilesource import FileTileSource

from .frames import channel_names, frame_records, lay_out, native_dtype
from .sink import SinkMixin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .series import Series


class ZarrFileTileSource(SinkMixin, FileTileSource, metaclass=LruCacheMetaclass):  # type: ignore[misc]
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
        if str(path).startswith(NEW_IMAGE_PATH_FLAG):
            self._initNew(path, **kwargs)
        else:
            self._initOpen(**kwargs)

    def _initOpen(self, **kwargs: Any) -> None:
        raise NotImplementedError

    def _describe(self, series: Sequence[Series]) -> None:
        """Set sizes, levels, frames and bands from series that share axes and dtype, the largest first.

        The writing half calls this again whenever a new image has grown.
        """
        first = series[0]
        base = first.levels[0]
        self._series = list(series)
        self._layout = layout = lay_out(series, stored_order=self._editable)
        self.sizeX, self.sizeY = base.shape[layout.x], base.shape[layout.y]
        self.tileWidth = self._tile_side(base.chunks[layout.x])
        self.tileHeight = self._tile_side(base.chunks[layout.y])
        tiles = max(self.sizeX / self.tileWidth, self.sizeY / self.tileHeight)
        self.levels = max(1, math.ceil(math.log2(tiles)) + 1)
        self._dtype = native_dtype(base.dtype)
        self._bandCount = layout.bands
        self._framecount = layout.count
        self._axes = {axis.name: index for index, axis in enumerate(first.multiscale.axes)}
        self._strides = {axis.name: axis.stride for axis in layout.axes}
        self._axisCounts = {axis.name: axis.count for axis in layout.axes}
        self._channels = channel_names(first.multiscale, layout)
        self._bandRanges = {}
        self._bandInfo = None
        if self._editable:
            self._cacheValue = str(uuid.uuid4())

    def _tile_side(self, chunk: int) -> int:
        return chunk if self._minTileSize <= chunk <= self._maxTileSize else self._tileSize

    def getState(self) -> str:
        """Return what tells this source's cached tiles from others; a new image changes it as it grows."""
        state: str = super().getState()
        return f'{state},{self._cacheValue}' if hasattr(self, '_cacheValue') else state

    def getMetadata(self) -> Any:
        """Return large_image's metadata; see the base class."""
        result = super().getMetadata()
        if self._layout.count > 1:
            result['frames'] = frame_records(self._series, self._layout)
            self._addMetadataFrameInformation(result, self._channels)
        return result

    @methodcache()
    def getTile(  # type: ignore[no-untyped-def]
        self, x, y, z, pilImageAllowed=False, numpyAllowed=False, **kwargs
    ):
        """Return one tile; see the base class."""
        frame = self._getFrame(**kwargs)
        self._xyzInRange(x, y, z, frame, self._framecount)
        x0, y0, x1, y1, step = self._xyzToCorners(x, y, z)
        region = list(self._layout.fixed(frame % (self._layout.count // len(self._series))))
        region[self._layout.x], region[self._layout.y] = slice(x0, x1), slice(y0, y1)
        series = self._series[frame // (self._layout.count // len(self._series))]
        tile = self._layout.picture(series.levels[0].read(tuple(region)))[::step, ::step]
        return self._outputTile(
            np.ascontiguousarray(tile), TILE_FORMAT_NUMPY, x, y, z, pilImageAllowed, numpyAllowed, **kwargs
        )


def open(*args: Any, **kwargs: Any) -> ZarrFileTileSource:  # noqa: A001 - large_image's name for it
    """Open an image; see :class:`ZarrFileTileSource`."""
    return ZarrFileTileSource(*args, **kwargs)


def canRead(*args: Any, **kwargs: Any) -> bool:
    """Return whether an image can be opened."""
    return bool(ZarrFileTileSource.canRead(*args, **kwargs))


def new(*args: Any, **kwargs: Any) -> ZarrFileTileSource:
    """Begin a new image, collected from patches of numpy arrays or smaller images."""
    return ZarrFileTileSource(NEW_IMAGE_PATH_FLAG + str(uuid.uuid4()), *args, **kwargs)
