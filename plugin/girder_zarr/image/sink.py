"""The writing half of the tile source: new images, tiles added in any order, and writing them out."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.errors import EditError

from . import sink_write
from .canvas import MEMORY, Canvas
from .canvas_level import ArrayLevel, CanvasLevel
from .frame_values import axis_values, with_values
from .frames import FrameLayout
from .ngff.model import DEFAULT_AXIS_TYPES, Axis, Level, Multiscale
from .scratch import Scratch
from .series import Series
from .sink_properties import PropertiesMixin, hex_color
from .sink_tiles import read_tile, to_pixels
from .spec import default_channels

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from .canvas import Extent
    from .resample import Resample


class SinkMixin(PropertiesMixin):
    """What a tile source needs to be written to; `source.py` mixes it into ZarrFileTileSource."""

    _editable: bool = False
    _canvas: Canvas
    _describe: Callable[[Sequence[Series]], None]

    def _initNew(
        self,
        path: str | Path,
        *,
        memory: int = MEMORY,
        temporary: str | os.PathLike[str] | None = None,
        **_kwargs: Any,
    ) -> None:
        """Set the source up as a new, empty image.

        :param path: large_image's NEW_IMAGE_PATH_FLAG followed by a unique name.
        :param memory: bytes of pixels that are held in memory before the oldest go to a temporary file.
        :param temporary: the folder for temporary files; None: what ``TMPDIR`` says.
        """
        self._editable = True
        self._largeImagePath = None
        self._sinkLock = threading.RLock()
        self._scratch = Scratch(str(path).strip('_'), temporary)
        self._canvas = Canvas(self._scratch, memory=memory)
        self._newAssociated: dict[str, np.ndarray] = {}
        self._revision = 0
        self._uniqueName = uuid.uuid4().hex
        self.sizeX = self.sizeY = self.levels = 0
        self.tileWidth = self.tileHeight = 512
        self._dtype, self._bandCount, self._framecount = np.dtype('uint8'), 1, 1
        self._axes: dict[str, int] = {}
        axes = (*self._planeAxes(), Axis('s', 'channel'))
        nothing = Multiscale(axes, (Level('0', (1.0,) * 3, (0.0,) * 3),))
        self._series = [Series(nothing, (ArrayLevel(np.zeros((0, 0, 1), np.uint8)),))]
        self._layout = FrameLayout(3, 1, 0, 2, 1, (), 1)
        self._channels: list[str] | None = None
        self._cacheValue = self._uniqueName

    def _checkEditable(self) -> None:
        """Raise EditError unless this is an image that can be added to."""
        if not self._editable:
            raise EditError('Not an editable image: it was opened for reading')

    def addTile(
        self, tile: Any, x: Any = 0, y: Any = 0, mask: Any = None, axes: Any = None, **kwargs: Any
    ) -> None:
        """Add a tile to the image, which grows as needed.

        Where x or y are negative, position 0, 0 of the image is the most negative one that any tile has had.

        :param tile: a numpy array of two dimensions or more, a Pillow image, or the bytes of an image file.
        :param x: of the tile's upper left pixel; ``y`` likewise.
        :param mask: booleans ``(y, x)``, or with the tile's axes; where False, the image stays as it is.
        :param axes: names of the tile's axes, as a string or a list; by default y, x and bands (s), and
            before them as many of the image's frame axes as there are further dimensions.
        :param kwargs: the position along other axes by their name (``z=3``), and what it stands for
            (``z_value=1.5``). ``level`` is reserved: coarser levels are always made when the image is
            written.
        :raises EditError: the tile does not fit; the image is as it was.
        """
        self._checkEditable()
        extent = self._canvas.extent()
        new = read_tile(tile, x, y, mask, axes, kwargs, () if extent is None else extent.axes)
        if str(kwargs.get('level', 0)) not in {'0', '0.0'}:
            return
        grown = self._canvas.add(new.pixels, new.axes, new.start, mask=new.mask, band=new.band)
        with self._sinkLock:
            if new.values:
                self._frameValues, self._frameAxes = with_values(
                    self._frameValues, self._frameAxes or [], new.start, new.values
                )
            if grown or new.values:
                self._changed()
            self._revision += 1
            self._cacheValue = f'{self._uniqueName}-{self._revision}'

    def _changed(self) -> None:
        """Bring what the reading half shows up to date."""
        with self._sinkLock:
            extent = self._canvas.extent()
            if extent is None:
                return
            level = CanvasLevel(self._canvas, extent)
            self._describe([Series(self._describedCanvas(extent), (level,))])
            self._revision += 1
            self._cacheValue = f'{self._uniqueName}-{self._revision}'

    def _describedCanvas(self, extent: Extent) -> Multiscale:
        """Return the metadata of the image as it is on the canvas: frame axes, y, x, bands."""
        axes = [*self._frameAxesOf(extent.axes, extent), *self._planeAxes(), Axis('s', 'channel')]
        scale = [1.0] * (len(axes) - 3) + [self._mm_y or 1.0, self._mm_x or 1.0, 1.0]
        channels = None
        if self._channelNames:
            shape = (*extent.sizes, extent.height, extent.width, extent.bands)
            channels = tuple(default_channels(axes, shape, extent.dtype, 1, self._channelNames))
        level = Level('0', tuple(scale), (0.0,) * len(axes))
        return Multiscale(tuple(axes), (level,), channels=channels)

    def _frameAxesOf(self, order: Sequence[str], extent: Extent) -> list[Axis]:
        """Return the frame axes with their units and values.

        :param order: all of them, the slowest first.
        """
        sizes = dict(zip(extent.axes, extent.sizes, strict=True))
        values = axis_values(self._frameValues, self._frameAxes or [], order, sizes)
        units = self._frameUnits or {}
        return [
            Axis(name, DEFAULT_AXIS_TYPES.get(name, 'custom'), units.get(name), values.get(name))
            for name in order
        ]

    def _planeAxes(self) -> list[Axis]:
        return [
            Axis('y', 'space', 'millimeter' if self._mm_y else None),
            Axis('x', 'space', 'millimeter' if self._mm_x else None),
        ]

    def addAssociatedImage(self, image: Any, imageKey: str | None = None) -> None:
        """Add an image that belongs to this one, such as a label or an overview.

        :param image: a numpy array ``(y, x)`` or ``(y, x, band)``, a Pillow image, or the bytes of an image
            file.
        :param imageKey: its name; an image of the same name is replaced. By default ``image_1`` and so on.
        :raises EditError: it is not an image, or the name cannot be one.
        """
        self._checkEditable()
        pixels = to_pixels(image)
        if pixels.ndim not in {2, 3} or 0 in pixels.shape:
            raise EditError(
                f'An associated image must be (y, x) or (y, x, band); found the shape {pixels.shape}'
            )
        pixels = np.array(pixels if pixels.ndim == 3 else pixels[..., np.newaxis])
        with self._sinkLock:
            key = imageKey if imageKey is not None else self._freeKey()
            if not sink_write.is_name(key):
                raise EditError(
                    f'The name of an associated image must be letters, digits, _ - . or blanks; found {key!r}'
                )
            self._newAssociated[key] = pixels

    def _freeKey(self) -> str:
        number = len(self._newAssociated) + 1
        while f'image_{number}' in self._newAssociated:
            number += 1
        return f'image_{number}'

    def _newAssociatedSeries(self) -> dict[str, Series]:
        """Return the associated images that were added, for the reading half."""
        axes = (Axis('y', 'space'), Axis('x', 'space'), Axis('s', 'channel'))
        multiscale = Multiscale(axes, (Level('0', (1.0,) * 3, (0.0,) * 3),))
        return {key: Series(multiscale, (ArrayLevel(pixels),)) for key, pixels in self._newAssociated.items()}

    def write(
        self,
        path: str | os.PathLike[str],
        lossy: bool = True,
        alpha: bool = True,
        overwriteAllowed: bool = True,
        resample: Resample | None = None,
        **params: Any,
    ) -> None:
        """Write the image to a file. It can be written again, and added to further.

        :param path: ends in ``.zarr``, ``.zip`` (also ``.zarr.zip``), ``.ozx``, ``.db`` or ``.sqlite``; other
            suffixes are written by large_image_converter, where that is installed.
        :param lossy: allows the converter to compress with loss. OME-Zarr is always written without loss.
        :param alpha: False: leave out a band of opacity.
        :param overwriteAllowed: False: an existing file is an error. Otherwise it is replaced when the new
            one is complete; a failed write leaves it as it was.
        :param resample: how coarser levels are made: ``'area'``, ``'nearest'``, or a ResampleMethod of
            large_image. By default ``'area'``, the mean of the pixels; ``'nearest'`` for booleans and for
            integers of 32 bits and more, which are labels more often than not.
        :param params: for OME-Zarr see `sink_write.ZarrOptions`; for other suffixes, options of the
            converter.
        :raises EditError: the image is empty, or a parameter is not acceptable.
        """
        self._checkEditable()
        sink_write.write(
            self,
            Path(path),
            lossy=lossy,
            alpha=alpha,
            overwrite=overwriteAllowed,
            resample=resample,
            params=params,
        )

    def close(self) -> None:
        """Remove the temporary data of a new image; nothing can be added or written afterwards."""
        if self._editable:
            self._editable = False
            self._scratch.close()

    def _outputColors(self) -> list[str]:
        return [hex_color(color) for color in self._channelColors or ()]
