"""The writing half of the tile source: new images, tiles added in any order, and writing them out."""

from __future__ import annotations

import uuid
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.errors import EditError
from girder_zarr.image.canvas.canvas import MEMORY, Canvas
from girder_zarr.image.canvas.canvas_level import ArrayLevel, CanvasLevel
from girder_zarr.image.edit.around import options_around
from girder_zarr.image.edit.edited_file import EditMixin
from girder_zarr.image.edit.edited_level import edited_levels
from girder_zarr.image.export import write as export
from girder_zarr.image.export.associated import as_series, detached
from girder_zarr.image.export.image_state import NewImageState, output_window
from girder_zarr.image.ngff.metadata import Axis, Level, Multiscale
from girder_zarr.image.series.frames import FrameLayout
from girder_zarr.image.series.series import Series
from girder_zarr.image.store.zarr_names import SUFFIXES

from .as_group import group_of
from .coarse import CoarseTiles
from .described import DescribedMixin
from .frame_values import is_plain, with_values
from .properties import PropertiesMixin, hex_color
from .shared import SharedMixin, scratch_of
from .tile_axes import AxesMixin
from .tiles import NewTile, read_tile, to_pixels

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from girder_zarr.image.canvas.form import CanvasExtent
    from girder_zarr.image.edit.edited_file import Edited
    from girder_zarr.image.series.series import LevelReader
    from girder_zarr.image.write.resample import Resample


class SinkMixin(EditMixin, AxesMixin, DescribedMixin, SharedMixin, PropertiesMixin):
    """The methods that make a tile source writable; `source.py` mixes it into ZarrFileTileSource."""

    _editable: bool = False
    _canvas: Canvas
    #: Associated images that were added, or are edited, as (y, x, band).
    _newAssociated: dict[str, LevelReader] = {}
    #: Tiles of coarser levels, once there are any.
    _coarse: CoarseTiles | None = None
    _describe: Callable[[Sequence[Series], CanvasExtent | None], None]
    getInternalMetadata: Callable[..., dict[str, Any]]

    def _initNew(
        self,
        path: str | Path,
        *,
        memory: int = MEMORY,
        temporary: str | os.PathLike[str] | None = None,
        follow: tuple[str, Sequence[str]] | None = None,
        **_kwargs: Any,
    ) -> None:
        """Set the source up as a new, empty image.

        :param path: large_image's NEW_IMAGE_PATH_FLAG followed by a unique name.
        :param memory: bytes of pixels that are held in memory before the oldest go to a temporary file.
        :param temporary: the folder for temporary files; None: what ``TMPDIR`` says.
        :param follow: the temporary folder of an image in another process, and its frame axes: what is added
            to this image goes there.
        """
        self._editable = True
        self._largeImagePath = None
        if follow is None:
            self._own(scratch_of(str(path), temporary))
            self._canvas = Canvas(self._scratch, memory=memory)
        else:
            self._follow(Path(follow[0]), follow[1])
        self._newAssociated = {}
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
        """Raise EditError unless this is an image whose properties can be set, and that can be written."""
        self._checkAddable()
        if self._follows:
            raise EditError(
                'This process can only add to the image; its properties are set, and it is written, in the '
                'one that made it'
            )

    def _checkAddable(self) -> None:
        """Raise EditError unless tiles can be added to this image."""
        if not self._editable:
            raise EditError('Not an editable image: it was opened for reading, without editable=True')

    def addTile(
        self, tile: Any, x: Any = 0, y: Any = 0, mask: Any = None, axes: Any = None, **kwargs: Any
    ) -> None:
        """Add a tile to the image, which grows as needed.

        Where x or y are negative, position 0, 0 of the image is the most negative one that any tile has had.
        Any number of threads, and of processes that got the image by pickling or fork, may call this.

        >>> image = large_image.new()
        >>> image.addTile(np.zeros((512, 512, 3), np.uint8), x=1024, y=0)
        >>> image.addTile(plane, x=-300, y=40, mask=plane > 0, z=3, z_value=1.5)

        :param tile: a numpy array of two dimensions or more (booleans, integers or floats of at most 64
            bits), a Pillow image, or the bytes of an image file.
        :param x: of the tile's upper left pixel, in pixels of the image; ``y`` likewise. Whole numbers.
        :param mask: booleans ``(y, x)``, or with the tile's axes; where False, the image stays as it is.
        :param axes: names of the tile's axes, as a string or a list; by default y, x and bands (s), and
            before them as many of the image's frame axes as there are further dimensions.
        :param kwargs: the position along other axes by their name (``z=3``), and what it stands for
            (``z_value=1.5``). ``level`` is reserved: a tile for a coarser level, in its pixels, is shown
            until the full resolution changes; `write` makes coarser levels from the full resolution.
        :raises EditError: the tile does not fit; the image is as it was.
        """
        self._checkAddable()
        new = read_tile(tile, x, y, mask, axes, kwargs, self._frameAxesNow())
        if self._follows and self._mailbox is not None:
            self._mailbox.post_tile(new)
            return
        self._takeNew()
        if self._accept(new):
            self._changed(later=True)

    def _accept(self, tile: NewTile) -> bool:
        """Put a tile down; return whether the metadata that readers see has to be described anew."""
        if tile.level:
            with self._sinkLock:
                self._coarse = self._coarse or CoarseTiles(self._scratch)
                self._coarse.add(tile)
            return True
        grown = self._canvas.add(tile.pixels, tile.axes, tile.start, mask=tile.mask, band=tile.band)
        with self._sinkLock:
            if self._coarse is not None:
                grown |= self._coarse.clear()
            if tile.values:
                self._frameValues, self._frameAxes = with_values(
                    self._frameValues,
                    self._frameAxes or [],
                    tile.start,
                    tile.values,
                    self._frameAxesNow(),
                    self._room,
                )
                self._hasOddValues |= not all(map(is_plain, tile.values.values()))
            self._revised()
        return grown or bool(tile.values) or not self._describesEdits

    def _revised(self) -> None:
        """Change the key of large_image's tile cache, so that tiles rendered before are not served again."""
        self._revision += 1
        self._cacheValue = f'{self._uniqueName}-{self._revision}'

    def _frameAxesNow(self) -> tuple[str, ...]:
        if self._follows and self._mailbox is not None:
            return self._mailbox.axes() or self._knownAxes
        extent = self._canvas.extent()
        return self._knownAxes if extent is None else extent.axes

    def _changed(self, *, later: bool = False) -> None:
        """Describe the image anew for readers: sizes, axes, levels, channels.

        :param later: what takes a look at every value is left to the first who reads it; see `described.py`.
        """
        with self._sinkLock:
            extent = self._canvas.extent()
            if extent is None:
                return
            self._describesEdits = True
            level = CanvasLevel(self._canvas, extent)
            described: tuple[Multiscale, tuple[LevelReader, ...]] = self._describedCanvas(extent), (level,)
            if self._edited is not None and not self._canvas.is_detached:
                described = edited_levels(level, self._edited.levels, self._edited.layout, described[0])
            if self._coarse is not None:
                described = self._coarse.shown_with(*described)
            if later and self._isDescribable():
                self._describe([Series(*described)], extent)
            else:
                self._describe([Series(self._valued(described[0], extent), described[1])], None)
            self._revised()
            self._tellAxes(extent.axes)

    def addAssociatedImage(self, image: Any, imageKey: str | None = None) -> None:
        """Add an image that belongs to this one, such as a label or an overview.

        :param image: a numpy array ``(y, x)`` or ``(y, x, band)``, a Pillow image, or the bytes of an image
            file.
        :param imageKey: its name; an image of the same name is replaced. By default ``image_1`` and so on.
        :raises EditError: it is not an image, or the name cannot be one.
        """
        self._checkAddable()
        pixels = to_pixels(image)
        if pixels.ndim not in {2, 3} or 0 in pixels.shape:
            raise EditError(
                f'An associated image must be (y, x) or (y, x, band); found the shape {pixels.shape}'
            )
        if imageKey is not None and not export.is_name(imageKey):
            raise EditError(
                f'The name of an associated image must be letters, digits, _ - . or blanks; '
                f'found {imageKey!r}'
            )
        pixels = np.array(pixels if pixels.ndim == 3 else pixels[..., np.newaxis])
        if self._follows and self._mailbox is not None:
            self._mailbox.post_associated(imageKey, pixels)
            return
        self._takeNew()
        self._acceptAssociated(imageKey, pixels)

    def _acceptAssociated(self, key: str | None, pixels: np.ndarray) -> None:
        with self._sinkLock:
            self._newAssociated[self._freeKey() if key is None else key] = ArrayLevel(pixels)

    def _freeKey(self) -> str:
        number = len(self._newAssociated) + 1
        while f'image_{number}' in self._newAssociated:
            number += 1
        return f'image_{number}'

    def _newAssociatedSeries(self) -> dict[str, Series]:
        """Return the associated images that were added, for the reading half."""
        return {key: as_series(pixels) for key, pixels in self._newAssociated.items()}

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

        >>> image.write('image.zarr')
        >>> image.write('image.ozx', chunk=256, shard=2048, codec='zstd')
        >>> image.write('image.tiff', lossy=False)  # with large_image_converter

        :param path: ends in ``.zarr``, ``.zip`` (also ``.zarr.zip``), ``.ozx``, ``.db`` or ``.sqlite``; other
            suffixes are written by large_image_converter, where that is installed.
        :param lossy: allows the converter to compress with loss; OME-Zarr is written without loss unless
            ``codec`` asks for ``jpeg`` or ``jpegxl``.
        :param alpha: False: leave out a band of opacity.
        :param overwriteAllowed: False: an existing file is an error. Otherwise it is replaced when the new
            one is complete; a failed write leaves it as it was.
        :param resample: how coarser levels are made: ``'area'``, ``'nearest'``, or a ResampleMethod of
            large_image. By default ``'area'``, the mean of the pixels; ``'nearest'`` for booleans and for
            integers of 32 bits and more, which are labels more often than not.
        :param params: for OME-Zarr see `export.options.ZarrOptions`; for other suffixes, options of the
            converter.
        :raises EditError: the image is empty, or a parameter is not acceptable.
        """
        self._checkEditable()
        self._takeNew()
        path, container = Path(path), None
        if path.name in {'', '..'}:
            path = path.resolve()  # the folder that the program is in
        if self._edited is not None:
            path = self._edited.target(path)
            container = self._edited.container if self._edited.lies_at(path) else None
            params = self._editedParams(self._edited, path, container or path.suffix.lower(), params)
        export.write(
            self._state(),
            path,
            lossy=lossy,
            alpha=alpha,
            overwrite=overwriteAllowed,
            resample=resample,
            params=params,
            container=container,
        )

    def _writtenGroup(self) -> Any:
        """Return the image as a zarr group as it is now, written to the temporary folder; to be read only."""
        self._takeNew()
        with self._sinkLock:
            extent = self._canvas.extent()
            levels = {} if extent is None else {'0': CanvasLevel(self._canvas, extent)}
            coarse = {} if self._coarse is None else self._coarse.levels()
            levels |= {str(number): level for number, level in coarse.items()}
            attributes = self.getInternalMetadata()['zarr'].get('base') or {}
            path = self._scratch.directory() / f'group-{self._revision}.zarr'
            return group_of(levels, attributes, path)

    def _state(self) -> NewImageState:
        """Return what is written of this image.

        :raises EditError: it is empty, or its crop lies outside of it.
        """
        extent = self._canvas.extent()
        if extent is None:
            raise EditError('The image is empty: add a tile before writing it')
        window = output_window(extent, self._crop, self._minWidth, self._minHeight)
        axes = (*self._writtenFrameAxes(extent), *self._planeAxes())
        scale, translation = self._transforms(axes, extent.left + window.x, extent.top + window.y)
        return NewImageState(
            canvas=self._canvas,
            extent=extent,
            scratch=self._scratch,
            window=window,
            frame_axes=axes[:-2],
            plane_axes=axes[-2:],
            scale=scale,
            translation=translation,
            channel_names=tuple(self._channelNames or ()),
            channel_colors=tuple(hex_color(color) for color in self._channelColors or ()),
            description=self._imageDescription,
            additional_metadata=self._additionalMetadata,
            magnification=self._magnification,
            value_axes=None if self._frameValues is None else self._frameAxes,
            projection=self._projection,
            gcps=self._outputGcps(),
            associated=dict(self._newAssociated),
            **self._carriedOver(extent),
        )

    def _carriedOver(self, extent: CanvasExtent) -> dict[str, Any]:
        """Return what an edited file's metadata adds to the state."""
        if self._edited is None:
            return {}
        carried, stored = self._edited.carried, self._edited.multiscale.channels or ()
        if extent.bands != self._edited.layout.bands:
            carried, stored = replace(carried, channels=()), ()
        channel_axis = self._edited.channel_axis()
        return {
            'carried': carried,
            'stored': stored,
            'extra': self._edited.extra,
            'channel_axis': channel_axis,
        }

    def _editedParams(
        self, edited: Edited, path: Path, suffix: str, params: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the parameters of ``write`` with what the edited file says; get ready to replace it."""
        extent = self._canvas.extent()
        if suffix not in SUFFIXES or extent is None:
            return params
        found = edited.options(extent.bands, params)
        beside, labels = edited.beside, found.pop('labels', True)
        keys = beside.others if found.pop('others', True) else ()
        if labels:
            window = output_window(extent, self._crop, self._minWidth, self._minHeight)
            moved = (extent.left + window.x, extent.top + window.y) != (0, 0)
            edited.check_labels(found['version'], moved=moved, sides=(window.out_height, window.out_width))
            keys = (*beside.labels, *keys)
        beside.check_format(2 if found['version'] == '0.4' else 3, keys)
        found['documents'] = beside.documents(keys)
        found['further'] = partial(beside.copy, keys=keys)
        if edited.lies_at(path):
            found |= options_around(edited.store, path)
            self._canvas.detach()
            for key, pixels in list(self._newAssociated.items()):
                apart = self._scratch.directory() / f'associated-{uuid.uuid4().hex}'
                self._newAssociated[key] = detached(pixels, apart)
            self._changed()
        return found

    def close(self) -> None:
        """Remove the temporary data of a new image; nothing can be added or written afterwards."""
        if self._editable:
            self._editable = False
            if not self._follows:
                self._scratch.close()

    def _outputGcps(self) -> list[list[float]] | None:
        """Return the ground control points in pixels of what is written, which a crop may begin later."""
        left, top = (self._crop or (0, 0))[:2]
        if self._gcps is None or (left, top) == (0, 0):
            return self._gcps
        return [[*point[:2], point[2] - left, point[3] - top] for point in self._gcps]
