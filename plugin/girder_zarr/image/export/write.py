"""From a canvas and its properties to a file."""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from girder_zarr.errors import EditError
from girder_zarr.image.ngff.metadata import GIVEN
from girder_zarr.image.series.folding import Folding, fold
from girder_zarr.image.store.zarr_names import DIRECTORY_SUFFIX, FILE_SUFFIXES, SUFFIXES, TIFF_SUFFIXES
from girder_zarr.image.write.outlet import BelowOutlet, DocumentsFirst
from girder_zarr.image.write.output_spec import OutputSpec
from girder_zarr.image.write.pack import check_target, folders_above, outlet_for
from girder_zarr.image.write.pyramid import metadata_documents, visit_blocks, write_image
from girder_zarr.image.write.resample import AREA, NEAREST, Resample

from .associated import ASSOCIATED, write_associated
from .associated import documents as associated_documents
from .channels import output_channels
from .convert import convert_to
from .image_state import in_ngff_order
from .zarr_options import ZARR_ONLY, Ranges, ZarrOptions, with_ends

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from girder_zarr.image.canvas.canvas import Canvas
    from girder_zarr.image.canvas.form import CanvasExtent
    from girder_zarr.image.write.blocks import Region

    from .image_state import NewImageState, OutputWindow

#: Chunks along each side of a shard of .ozx, where nothing else is asked for.
OZX_SHARD = 4
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_\-. ]{0,99}')


def is_name(key: object) -> bool:
    """Whether this can be the name of an associated image, and of a folder."""
    return isinstance(key, str) and bool(_NAME.fullmatch(key))


def write(
    image: NewImageState,
    path: Path,
    *,
    lossy: bool,
    alpha: bool,
    overwrite: bool,
    resample: Resample | None,
    params: Mapping[str, Any],
    container: str | None = None,
) -> None:
    """Write an image; see :meth:`sink.SinkMixin.write`.

    :param path: its suffix decides on the format, in lower or upper case.
    :param container: one of SUFFIXES that is written whatever the suffix: an edited file stays what it is.
    :param params: of OME-Zarr (see :class:`.options.ZarrOptions`) or of the converter.
    :raises EditError: the target or a parameter is not acceptable, or it cannot be written.
    """
    suffix = container or path.suffix.lower()
    if suffix not in (*SUFFIXES, *TIFF_SUFFIXES):
        raise EditError(f'The name must end in {", ".join((*SUFFIXES, *TIFF_SUFFIXES))}; found {path.name!r}')
    check_target(path, overwrite=overwrite)
    with folders_above(path):
        _write(image, path, suffix, lossy, alpha, overwrite, resample, params)


def _write(
    image: NewImageState,
    path: Path,
    suffix: str,
    lossy: bool,
    alpha: bool,
    overwrite: bool,
    resample: Resample | None,
    params: Mapping[str, Any],
) -> None:
    if suffix in TIFF_SUFFIXES:
        own = {name: value for name, value in params.items() if name in {'progress', 'check', 'threads'}}
        others = {name: value for name, value in params.items() if name not in own}
        unknown = sorted(set(others) & set(ZARR_ONLY))
        if unknown:
            warnings.warn(f'{suffix} does not know {", ".join(unknown)}, which is passed over', stacklevel=4)
            others = {name: value for name, value in others.items() if name not in unknown}
        between = replace(ZarrOptions.read(own), windows=())
        convert_to(
            path,
            lambda folder: _write_zarr(image, folder, '.zarr', alpha, True, resample, between),
            dtype=image.extent.dtype,
            lossy=lossy,
            overwrite=overwrite,
            params=others,
            georeference=(image.projection, image.gcps),
            scratch=image.scratch.directory(),
        )
        return
    _write_zarr(image, path, suffix, alpha, overwrite, resample, ZarrOptions.read(params, lossy=lossy))


def _write_zarr(
    image: NewImageState,
    path: Path,
    suffix: str,
    alpha: bool,
    overwrite: bool,
    resample: Resample | None,
    options: ZarrOptions,
) -> None:
    if options.shard == 'auto':
        # RFC-9 asks for shards, so that there are few entries
        sides = options.chunk if isinstance(options.chunk, tuple) else (options.chunk,)
        together = suffix == '.ozx' and options.version != '0.4'
        options = replace(options, shard=OZX_SHARD * math.lcm(*sides) if together else None)
    extent = image.extent
    bands = extent.bands - 1 if not alpha and extent.bands in {2, 4} else extent.bands
    named = replace(options, name=options.name or _stem(path))
    spec, folding = _spec(image, bands, resample, named)
    axes = [axis.name for axis in spec.multiscale.axes]
    reader = _CanvasBlocks(image.canvas, extent, image.window, bands, axes, folding)
    if options.windows == 'data':
        spec = _with_windows_of_data(spec, reader, options.threads)
    elif options.windows is None and spec.dtype.kind == 'f':
        # floats have no range that all programs agree on, and 0 to 1 shows most of them white
        spec = _with_windows_of_data(spec, reader, options.threads, together=True)
    documents = metadata_documents(spec) | associated_documents(image.associated, options)
    documents = dict(options.documents) | documents
    with outlet_for(path, version=options.version, overwrite=overwrite, container=suffix) as target:
        outlet = DocumentsFirst(BelowOutlet(target, options.below) if options.below else target, documents)
        write_image(
            outlet,
            spec,
            reader.read,
            threads=options.threads,
            progress=options.progress,
            check=options.check,
            occupied=reader.occupied,
        )
        write_associated(image.associated, outlet, options)
        if options.further is not None:
            options.further(outlet)
        if options.outside is not None:
            options.outside(target)


def _stem(path: Path) -> str:
    name = path.name
    for suffix in (*FILE_SUFFIXES, DIRECTORY_SUFFIX, '.ome'):
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
    return name or 'image'


def _spec(
    image: NewImageState,
    bands: int,
    resample: Resample | None,
    options: ZarrOptions,
) -> tuple[OutputSpec, Folding]:
    extent, window = image.extent, image.window
    sizes = dict(zip(extent.axes, extent.sizes, strict=True))
    axes, folding = fold(image.frame_axes, sizes, bands)
    if bands > 1 and 'c' not in (axis.name for axis in axes):
        axes = in_ngff_order([*axes, image.channel_axis])
    length = math.prod(folding.sizes) * bands
    shape = [length if axis.name == 'c' else sizes[axis.name] for axis in axes]
    shape += [window.out_height, window.out_width]
    has_channels = any(axis.name == 'c' for axis in axes)
    channels = output_channels(
        folding,
        bands,
        extent.dtype,
        names=image.channel_names,
        colors=image.channel_colors,
        windows=() if options.windows == 'data' else options.windows or (),
        stored=image.stored,
    )
    spec = OutputSpec.create(
        shape,
        extent.dtype,
        axes=[*axes, *image.plane_axes],
        bands=bands if has_channels else 0,
        scale=image.scale,
        translation=image.translation,
        name=options.name,
        description=image.description if isinstance(image.description, str) else None,
        channels=channels if has_channels else None,
        extra=_extra(image, folding) | _windows_given(options),
        chunk=options.chunk,
        shard=options.shard if isinstance(options.shard, int) else None,
        codec=options.encoder(),
        version=options.version,
        resample=resample or default_resample(extent.dtype),
        factor=options.factor,
        max_levels=options.maxLevels,
    )
    if options.paths:
        spec = replace(spec, paths=options.paths)
    if image.carried is not None:
        spec = replace(spec, multiscale=replace(spec.multiscale, carried=image.carried))
    return spec, folding


def _with_windows_of_data(
    spec: OutputSpec, reader: _CanvasBlocks, threads: int | None, *, together: bool = False
) -> OutputSpec:
    """Return a spec whose channels show their smallest to their largest value; reads every block once.

    :param together: the colours of a pixel have one window, which keeps them; opacity has its own.
    """
    channels = spec.multiscale.channels
    if channels is None:
        return spec
    axis = spec.multiscale.axis_index('c')
    ranges = Ranges(axis, len(channels))
    visit_blocks(spec, lambda region: ranges.see(region, reader.read(region)), reader.occupied, threads)
    found = []
    for index, channel in enumerate(channels):
        ends = ranges.ends(index, *(_colors_beside(index, spec.bands) if together else ()))
        found.append(channel if ends is None else replace(channel, window=with_ends(channel.window, ends)))
    return replace(spec, multiscale=replace(spec.multiscale, channels=tuple(found)))


def _colors_beside(index: int, bands: int) -> list[int]:
    """Return the positions of all colours of the pixel that a position is a colour of."""
    if bands not in {3, 4} or index % bands == 3:
        return []
    return [index - index % bands + color for color in range(3)]


def default_resample(dtype: np.dtype[Any]) -> Resample:
    """Return 'nearest' for types that hold labels more often than light, else 'area'."""
    return NEAREST if dtype.kind == 'b' or (dtype.kind in 'iu' and dtype.itemsize >= 4) else AREA


def _windows_given(options: ZarrOptions) -> dict[str, Any]:
    """Return the mark of windows that a person gave: those of floats from 0 to 1 count in any case then."""
    given = bool(options.windows) and options.windows != 'data' and not options.keptWindows
    return {'windows': GIVEN} if given else {}


def _extra(image: NewImageState, folding: Folding) -> dict[str, Any]:
    """Return what our reader restores beyond what NGFF knows; see docs/format.md."""
    found = {
        **image.extra,
        'description': None if isinstance(image.description, str) else image.description,
        'additionalMetadata': image.additional_metadata,
        'magnification': image.magnification,
        'frameAxes': image.value_axes,
        'projection': None if image.projection is None else str(image.projection),
        'gcps': image.gcps,
        'folded': folding.attribute(),
        'channelNames': _full_names(image, folding),
        'unnamedChannels': _are_unnamed(image, folding) or None,
        'associated': {key: f'{ASSOCIATED}/{key}' for key in image.associated},
    }
    return {name: value for name, value in found.items() if value is not None and value != {}}


def _are_unnamed(image: NewImageState, folding: Folding) -> bool:
    """Return whether there are channels, and the labels in the file are only numbers that we gave them."""
    if image.channel_names or folding.customs == len(folding.axes):
        return False
    return not image.stored or image.extra.get('unnamedChannels') is True


def _full_names(image: NewImageState, folding: Folding) -> list[str] | None:
    """Return the names of the channels where the labels of the file are not the same as these."""
    names = image.channel_names
    if not names or 'c' not in (axis.name for axis in folding.axes) or len(names) != folding.sizes[-1]:
        return None
    return list(names) if folding.customs or image.extent.bands > 1 else None


@dataclass(frozen=True)
class _CanvasBlocks:
    """Reads output blocks from a canvas.

    :param bands: how many of the canvas's bands are written.
    :param axes: the axes of the output.
    :param folding: what the positions of its axis ``c`` stand for.
    """

    canvas: Canvas
    extent: CanvasExtent
    window: OutputWindow
    bands: int
    axes: list[str]
    folding: Folding

    def read(self, region: Region) -> np.ndarray | None:
        """Return the block of one position along the frame axes; see `pyramid.BlockReader`."""
        place = self._place(region)
        if place is None:
            return None
        position, top, left, height, width = place
        pixels = self.canvas.read(position, top, left, height, width)
        if pixels is None:
            return None
        shape = tuple(part.stop - part.start for part in region)
        if pixels.dtype != self.extent.dtype:
            raise EditError(f'Tiles of a wider type were added while the image was written: {pixels.dtype}')
        block = planar(pixels, self.bands)
        if block.shape[-2:] != shape[-2:]:
            whole = np.zeros((self.bands, *shape[-2:]), block.dtype)
            whole[:, :height, :width] = block
            block = whole
        if self.bands > 1:
            bands = region[self.axes.index('c')]
            first = bands.start % self.bands
            block = block[first : first + bands.stop - bands.start]
        return block.reshape(shape)

    def occupied(self, region: Region) -> bool:
        """Return whether there may be pixels in a region; see `pyramid.Occupied`."""
        place = self._place(region)
        return place is not None and self.canvas.occupied(*place)

    def _place(self, region: Region) -> tuple[dict[str, int], int, int, int, int] | None:
        *outer, rows, columns = region
        position = {}
        for axis, part in zip(self.axes, outer, strict=False):
            if axis == 'c':
                position.update(self.folding.positions(part.start // self.bands))
            else:
                position[axis] = part.start
        height = min(rows.stop, self.window.height) - rows.start
        width = min(columns.stop, self.window.width) - columns.start
        if height <= 0 or width <= 0:
            return None
        top = self.extent.top + self.window.y + rows.start
        left = self.extent.left + self.window.x + columns.start
        return position, top, left, height, width


def planar(pixels: np.ndarray, bands: int) -> np.ndarray:
    """Return ``(y, x, band)`` as a fresh ``(band, y, x)``, the first ``bands`` of it."""
    height, width, found = pixels.shape
    if found == 1:
        return pixels.reshape(1, height, width)
    if pixels.dtype.itemsize <= 2 and found <= 4 and pixels.dtype.kind in 'iu':
        result = np.empty((bands, height, width), pixels.dtype)
        for index, plane in enumerate(result):
            cv2.extractChannel(pixels, index, dst=plane)
        return result
    return np.ascontiguousarray(np.moveaxis(pixels[..., :bands], -1, 0))
