"""From a canvas and its properties to a file."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from girder_zarr.errors import EditError

from .encode import Codec
from .ngff.emit import group_documents
from .ngff.model import Axis, Channel, Version, Window
from .pack import SUFFIXES, check_target, outlet_for
from .pyramid import write_image
from .resample import AREA, NEAREST, Resample
from .sink_convert import convert_to
from .spec import CHUNK_SIDE, OutputSpec, default_channels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from .canvas import Canvas
    from .canvas_form import Extent
    from .outlet import Outlet
    from .pyramid import Region
    from .sink import SinkMixin

#: The order of axes that NGFF asks for; others come where channel is.
_RANK = {'time': 0, 'custom': 1, 'channel': 2, 'space': 3}
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_\-. ]{0,99}')
#: Where associated images lie in the hierarchy.
ASSOCIATED = 'associated'
#: Options of large_image_converter that mean nothing for OME-Zarr and are let pass.
_CONVERTER_ONLY = {
    'tileSize', 'format', 'onlyFrame', 'compression', 'quality', 'level', 'predictor', 'psnr', 'cr',
    'subifds', 'overwrite', 'keepFloat', 'geospatial', '_concurrency',
}  # fmt: skip


def is_name(key: object) -> bool:
    """Whether this can be the name of an associated image, and of a folder."""
    return isinstance(key, str) and bool(_NAME.fullmatch(key))


@dataclass(frozen=True)
class ZarrOptions:
    """What can be asked of OME-Zarr output, as keyword arguments of ``write``.

    :param version: of OME-NGFF: 0.5 (zarr v3), 0.4 (zarr v2) or 0.6.
    :param chunk: the side of a chunk in pixels.
    :param shard: the side of a shard, a multiple of ``chunk``; None: no shards.
    :param codec: a Codec, or the name of one: blosc, zstd, none.
    :param windows: (start, end) of each channel, to be displayed; by default all values of the type.
    :param maxLevels: the number of levels at most.
    :param threads: how many; None: one a processor.
    :param name: the name of the image; by default the file's name without its suffix.
    :param progress: called with the number of samples written since the last call.
    :param check: called before every chunk; raises to stop.
    :param further: called when the image is written with where it goes, to put further files beside it.
    """

    version: Version = '0.5'
    chunk: int = CHUNK_SIDE
    shard: int | None = None
    codec: Codec | str = 'blosc'
    windows: Sequence[tuple[float, float]] | None = None
    maxLevels: int | None = None
    threads: int | None = None
    name: str | None = None
    progress: Callable[[int], None] | None = None
    check: Callable[[], None] | None = None
    further: Callable[[Outlet], None] | None = None

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> ZarrOptions:
        """Return the options among ``params``.

        :raises EditError: one is neither known here nor to the converter.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(params) - known - _CONVERTER_ONLY)
        if unknown:
            raise EditError(
                f'write has no parameter {", ".join(unknown)} for OME-Zarr, but {", ".join(sorted(known))}'
            )
        options = cls(**{name: value for name, value in params.items() if name in known})
        if not isinstance(options.chunk, int) or options.chunk < 1:
            raise EditError(f'chunk must be a number of pixels from 1 on; found {options.chunk!r}')
        return options

    def encoder(self) -> Codec:
        """Return the codec."""
        return self.codec if isinstance(self.codec, Codec) else Codec(self.codec)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Window:
    """The part of a canvas that is written, in image pixels, and how large the output is."""

    x: int
    y: int
    width: int
    height: int
    out_width: int
    out_height: int


def write(
    sink: SinkMixin,
    path: Path,
    *,
    lossy: bool,
    alpha: bool,
    overwrite: bool,
    resample: Resample | None,
    params: Mapping[str, Any],
) -> None:
    """Write an image; see :meth:`sink.SinkMixin.write`."""
    extent = sink._canvas.extent()
    if extent is None:
        raise EditError('The image is empty: add a tile before writing it')
    check_target(path, overwrite=overwrite)
    if path.suffix not in SUFFIXES:
        own = {name: value for name, value in params.items() if name in {'progress', 'check', 'threads'}}
        others = {name: value for name, value in params.items() if name not in own}
        convert_to(
            path,
            lambda folder: _write_zarr(sink, extent, folder, alpha, True, resample, own),
            lossy=lossy and extent.dtype == np.uint8,
            overwrite=overwrite,
            params=others,
            georeference=(sink.projection, sink.gcps),
        )
        return
    _write_zarr(sink, extent, path, alpha, overwrite, resample, params)


def _write_zarr(
    sink: SinkMixin,
    extent: Extent,
    path: Path,
    alpha: bool,
    overwrite: bool,
    resample: Resample | None,
    params: Mapping[str, Any],
) -> None:
    options = ZarrOptions.read(params)
    window = _window(sink, extent)
    bands = extent.bands - 1 if not alpha and extent.bands in {2, 4} else extent.bands
    spec = _spec(sink, extent, window, bands, resample, replace(options, name=options.name or _stem(path)))
    reader = _CanvasBlocks(sink._canvas, extent, window, bands, [axis.name for axis in spec.multiscale.axes])
    with outlet_for(path, version=options.version, overwrite=overwrite) as outlet:
        write_image(
            outlet,
            spec,
            reader.read,
            threads=options.threads,
            progress=options.progress,
            check=options.check,
            occupied=reader.occupied,
        )
        _write_associated(sink, outlet, options)
        if options.further is not None:
            options.further(outlet)


def _stem(path: Path) -> str:
    name = path.name
    for suffix in ('.zip', '.zarr', '.ozx', '.db', '.sqlite', '.ome'):
        name = name.removesuffix(suffix)
    return name or 'image'


def _window(sink: SinkMixin, extent: Extent) -> _Window:
    """Return what is written: the crop, as far as the image goes, and at least minWidth by minHeight."""
    x, y, width, height = sink.crop or (0, 0, extent.width, extent.height)
    if x >= extent.width or y >= extent.height:
        raise EditError(
            f'The crop {(x, y, width, height)} lies outside the image of {extent.width} x {extent.height}'
        )
    width, height = min(width, extent.width - x), min(height, extent.height - y)
    return _Window(x, y, width, height, max(width, sink.minWidth or 0), max(height, sink.minHeight or 0))


def _spec(
    sink: SinkMixin,
    extent: Extent,
    window: _Window,
    bands: int,
    resample: Resample | None,
    options: ZarrOptions,
) -> OutputSpec:
    sizes = dict(zip(extent.axes, extent.sizes, strict=True))
    frames = [axis.name for axis in _ordered(sink._frameAxesOf(extent.axes, extent))]
    # values that differ from frame to frame are listed in the order in which the reading half counts frames
    counted = sorted(frames, key=lambda name: ('czt'.find(name) % 4, name), reverse=True)
    valued = {axis.name: axis for axis in sink._frameAxesOf(counted, extent)}
    axes = [valued[name] for name in frames]
    if bands > 1 and 'c' not in sizes:
        axes = _ordered([*axes, Axis('c', 'channel')])
    shape = [sizes.get(axis.name, 1) * (bands if axis.name == 'c' else 1) for axis in axes]
    shape += [window.out_height, window.out_width]
    channel = next((axis for axis in axes if axis.name == 'c'), None)
    scale, translation = sink._transforms(extent.left + window.x, extent.top + window.y)
    return OutputSpec.create(
        shape,
        extent.dtype,
        axes=[*axes, *sink._planeAxes()],
        bands=bands if channel is not None else 0,
        scale=scale,
        translation=translation,
        name=options.name,
        description=sink.imageDescription if isinstance(sink.imageDescription, str) else None,
        channels=None if channel is None else _channels(sink, axes, shape, extent, bands, options),
        extra=_extra(sink),
        chunk=options.chunk,
        shard=options.shard,
        codec=options.encoder(),
        version=options.version,
        resample=resample or default_resample(extent.dtype),
        max_levels=options.maxLevels,
    )


def default_resample(dtype: np.dtype[Any]) -> Resample:
    """Return 'nearest' for types that hold labels more often than light, else 'area'."""
    return NEAREST if dtype.kind == 'b' or (dtype.kind in 'iu' and dtype.itemsize >= 4) else AREA


def _ordered(axes: Sequence[Axis]) -> list[Axis]:
    return sorted(axes, key=lambda axis: _RANK[axis.type])


def _channels(
    sink: SinkMixin,
    axes: Sequence[Axis],
    shape: Sequence[int],
    extent: Extent,
    bands: int,
    options: ZarrOptions,
) -> list[Channel]:
    """Return the omero channels: what the user gave, and for the rest what follows from the bands."""
    found = default_channels(axes, shape, extent.dtype, bands, sink._channelNames or ())
    colors = sink._outputColors()
    step = 1 if len(colors) == len(found) else bands
    for index in range(len(found)):
        if index // step < len(colors):
            found[index] = replace(found[index], color=colors[index // step])
        if index // bands < len(options.windows or ()):
            shown = _shown(found[index].window, (options.windows or ())[index // bands])
            found[index] = replace(found[index], window=shown)
    if sink._channelNames and len(sink._channelNames) == len(found):
        found = [
            replace(channel, label=name) for channel, name in zip(found, sink._channelNames, strict=True)
        ]
    return found


def _shown(window: Window | None, shown: Sequence[float]) -> Window:
    try:
        start, end = (float(value) for value in shown)
    except (TypeError, ValueError) as exc:
        raise EditError(f'windows must be a list of (start, end); found {shown!r}') from exc
    if not start < end:
        raise EditError(f'A window must start before it ends; found {shown!r}')
    low = min(start, window.min) if window else start
    return Window(low, max(end, window.max) if window else end, start, end)


def _extra(sink: SinkMixin) -> dict[str, Any]:
    """Return what our reader restores beyond what NGFF knows; see docs/format.md."""
    description = sink.imageDescription
    found = {
        'description': None if isinstance(description, str) else description,
        'additionalMetadata': sink.additionalMetadata,
        'magnification': sink._magnification,
        'frameAxes': sink.frameAxes if sink.frameValues is not None else None,
        'projection': None if sink.projection is None else str(sink.projection),
        'gcps': sink.gcps,
        'associated': {key: f'{ASSOCIATED}/{key}' for key in sink._newAssociated},
    }
    return {name: value for name, value in found.items() if value is not None and value != {}}


def _write_associated(sink: SinkMixin, outlet: Outlet, options: ZarrOptions) -> None:
    if not sink._newAssociated:
        return
    for name, content in group_documents({}, 2 if options.version == '0.4' else 3).items():
        outlet.put(f'{ASSOCIATED}/{name}', content)
    for key, pixels in sink._newAssociated.items():
        planar = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
        spec = OutputSpec.create(
            planar.shape,
            planar.dtype,
            axes='cyx',
            bands=planar.shape[0],
            name=key,
            codec=options.encoder(),
            version=options.version,
        )
        write_image(outlet, spec, _Whole(planar).read, threads=1, prefix=f'{ASSOCIATED}/{key}/')


@dataclass(frozen=True)
class _Whole:
    pixels: np.ndarray

    def read(self, region: Region) -> np.ndarray:
        return self.pixels[region]


@dataclass(frozen=True)
class _CanvasBlocks:
    """Reads output blocks from a canvas.

    :param bands: how many of the canvas's bands are written.
    :param axes: the axes of the output.
    """

    canvas: Canvas
    extent: Extent
    window: _Window
    bands: int
    axes: list[str]

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
        return block.reshape(shape)

    def occupied(self, region: Region) -> bool:
        """Return whether there may be pixels in a region; see `pyramid.Occupied`."""
        place = self._place(region)
        return place is not None and self.canvas.occupied(*place)

    def _place(self, region: Region) -> tuple[dict[str, int], int, int, int, int] | None:
        *outer, rows, columns = region
        position = {}
        for axis, part in zip(self.axes, outer, strict=False):
            if axis in self.extent.axes:
                position[axis] = part.start // self.bands if axis == 'c' else part.start
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
