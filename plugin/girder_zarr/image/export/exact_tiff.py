"""TIFF of types that large_image_converter would scale or cut off: booleans, signed and long integers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from girder_zarr.errors import EditError
from girder_zarr.image.hierarchy.opening import open_hierarchy
from girder_zarr.image.series.frames import channel_names, frame_records, lay_out
from girder_zarr.image.store.stores import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from girder_zarr.image.series.frames import FrameLayout
    from girder_zarr.image.series.series import LevelReader, Series

SUFFIXES = ('.tif', '.tiff')
#: What the options of large_image_converter are called by tifffile; others lose detail, or know fewer types.
_COMPRESSIONS = {'deflate': 'zlib', 'zip': 'zlib', 'lzw': 'lzw', 'zstd': 'zstd', 'none': None}
#: Options of large_image_converter that are heeded, or mean nothing here.
_KNOWN = {
    'compression',
    'tileSize',
    'overwrite',
    'geospatial',
    'keepFloat',
    'predictor',
    'subifds',
    '_concurrency',
}


def check_options(path: Path, dtype: np.dtype[Any], params: Mapping[str, Any]) -> None:
    """Raise EditError unless pixels of this type can be written to the file exactly.

    :param params: options of ``large_image_converter.convert``.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise EditError(
            f'{path.name} cannot hold {dtype} pixels as they are. Write OME-Zarr or TIFF, or add tiles of '
            'uint8, uint16 or a floating point type'
        )
    compression = params.get('compression') or 'deflate'
    if compression not in _COMPRESSIONS:
        raise EditError(
            f'compression must be one of {", ".join(_COMPRESSIONS)} for {dtype} pixels; found {compression!r}'
        )
    unknown = sorted(set(params) - _KNOWN)
    if unknown:
        raise EditError(f'TIFF of {dtype} pixels cannot be written with {", ".join(unknown)}')
    side = params.get('tileSize') or 256
    if not isinstance(side, int) or side < 16 or side % 16:
        raise EditError(f'tileSize must be a multiple of 16; found {side!r}')


def write_exactly(source: Path, target: Path, params: Mapping[str, Any]) -> None:
    """Write an OME-Zarr image as a TIFF: a page for each frame, its coarser levels as SubIFDs.

    Pages are described in JSON as large_image_converter does it, so that large_image finds the frames.
    Associated images come last. Booleans become uint8, 0 and 1.

    :param source: a directory that this package wrote.
    :param params: options of ``large_image_converter.convert`` that `check_options` has let pass.
    """
    opened = open_hierarchy(open_store(source))
    series = opened.series[0]
    layout = lay_out([series])
    side = params.get('tileSize') or 256
    common = {'tile': (side, side), 'compression': _COMPRESSIONS[params.get('compression') or 'deflate']}
    metadata = _described(series, layout)
    frames = metadata['frames']
    with tifffile.TiffWriter(target, bigtiff=True) as tiff:
        for frame in range(layout.count):
            described = {'frame': frames[frame]}
            if frame == 0:
                described = {'metadata': metadata, 'channels': metadata['channels'], **described}
            for number, level in enumerate(series.levels):
                first = {
                    'description': json.dumps(described, separators=(',', ':')),
                    'subifds': len(series.levels) - 1,
                    **_resolution(metadata),
                }
                _write_level(
                    tiff, level, layout, frame, **common, **(first if number == 0 else {'subfiletype': 1})
                )
        for key, read in opened.associated.items():
            _write_associated(tiff, key, read(), common)


def _described(series: Series, layout: FrameLayout) -> dict[str, Any]:
    """Return the description of the image, under the names of large_image's metadata."""
    sizes = {f'mm_{name}': series.multiscale.millimeters(name) for name in 'xyz'}
    millimeters = {name: size for name, size in sizes.items() if size is not None}
    height, width = series.levels[0].shape[layout.y], series.levels[0].shape[layout.x]
    return {
        'sizeX': width,
        'sizeY': height,
        'bandCount': layout.bands,
        'dtype': str(series.levels[0].dtype),
        'frames': frame_records([series], layout) if layout.count > 1 else [{}],
        'channels': channel_names(series.multiscale, layout) or [],
        **millimeters,
    }


def _write_associated(tiff: tifffile.TiffWriter, key: str, series: Series, common: Mapping[str, Any]) -> None:
    _write_level(tiff, series.levels[0], lay_out([series]), 0, description=key, **common)


def _resolution(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pixels of a centimeter, where the size of a pixel is known."""
    sizes = metadata.get('mm_x'), metadata.get('mm_y')
    if not all(sizes):
        return {}
    return {'resolution': tuple(10 / float(size) for size in sizes if size), 'resolutionunit': 'CENTIMETER'}


def _write_level(
    tiff: tifffile.TiffWriter, level: LevelReader, layout: FrameLayout, frame: int, **options: Any
) -> None:
    """Write one frame of one level as a page."""
    height, width, bands = level.shape[layout.y], level.shape[layout.x], layout.bands
    dtype = np.dtype(np.uint8) if level.dtype.kind == 'b' else level.dtype
    colors = 3 if bands in {3, 4} else 1
    tiff.write(
        _tiles(level, layout, frame, options['tile'][0], dtype),
        shape=(height, width, bands) if bands > 1 else (height, width),
        dtype=dtype,
        photometric='rgb' if colors == 3 else 'minisblack',
        planarconfig='contig' if bands > 1 else None,
        extrasamples=['unassalpha' if bands in {2, 4} else 'unspecified'] * (bands - colors) or None,
        metadata=None,
        **options,
    )


def _tiles(
    level: LevelReader, layout: FrameLayout, frame: int, side: int, dtype: np.dtype[Any]
) -> Iterator[np.ndarray]:
    """Return the tiles of a level, row by row, from strips that are as high as the chunks."""
    height, width = level.shape[layout.y], level.shape[layout.x]
    tall, wide = (max(side, level.chunks[axis] // side * side) for axis in (layout.y, layout.x))
    region = list(layout.fixed(frame))
    for top in range(0, height, tall):
        bottom = min(top + tall, height)
        region[layout.y] = slice(top, bottom)
        strip = []
        for left in range(0, width, wide):
            region[layout.x] = slice(left, min(left + wide, width))
            strip.append(layout.picture(level.read(tuple(region))).astype(dtype, copy=False))
        for row in range(0, bottom - top, side):
            for column in range(0, width, side):
                block, inside = divmod(column, wide)
                tile = strip[block][row : row + side, inside : inside + side]
                yield tile if layout.bands > 1 else tile[..., 0]
