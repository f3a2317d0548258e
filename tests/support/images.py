"""Images written with zarr itself, and ways to look at them, for the tests of the image library."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import zarr

import girder_zarr.image as gz

if TYPE_CHECKING:
    from pathlib import Path


def opened(location: Any, **kwargs: Any) -> gz.ZarrFileTileSource:
    return gz.open(location, noCache=True, **kwargs)


def region(source: gz.ZarrFileTileSource, **kwargs: Any) -> np.ndarray:
    return np.asarray(source.getRegion(format='numpy', **kwargs)[0])


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(PIL.Image.open(io.BytesIO(data)))


def write(
    folder: Path,
    pixels: list[np.ndarray],
    axes: str,
    *,
    zarr_format: Any = 3,
    chunks: tuple[int, ...] | None = None,
    paths: list[str] | None = None,
    unit: str | None = 'micrometer',
    scale: float = 0.5,
    **attributes: Any,
) -> Path:
    """Write an image with zarr itself; ``pixels`` are its levels."""
    kinds = {'t': 'time', 'c': 'channel'}
    described = [
        {'name': name, 'type': kinds.get(name, 'space'), **({'unit': unit} if unit and name in 'zyx' else {})}
        for name in axes
    ]
    paths = paths or [f's{number}' for number in range(len(pixels))]
    datasets = []
    for path, level in zip(paths, pixels, strict=True):
        factors = [
            scale * whole / side if name in 'yx' else 1.0
            for name, whole, side in zip(axes, pixels[0].shape, level.shape, strict=True)
        ]
        datasets.append({'path': path, 'coordinateTransformations': [{'type': 'scale', 'scale': factors}]})
    multiscale = {'axes': described, 'datasets': datasets, 'version': '0.4'}
    content = {'multiscales': [multiscale], **attributes}
    stored: Any = content if zarr_format == 2 else {'ome': {'version': '0.5', **content}}
    group = zarr.open_group(folder, mode='w', zarr_format=zarr_format, attributes=stored)
    for path, level in zip(paths, pixels, strict=True):
        array = group.create_array(path, shape=level.shape, chunks=chunks or level.shape, dtype=level.dtype)
        array[...] = level
    return folder


def halves(pixels: np.ndarray, count: int, y: int, x: int, factor: int = 2) -> list[np.ndarray]:
    """Return the pixels and ``count`` lower levels, each the one above without rows and columns."""
    levels = [pixels]
    for _ in range(count):
        keep = [slice(None)] * pixels.ndim
        keep[y] = keep[x] = slice(None, None, factor)
        levels.append(levels[-1][tuple(keep)])
    return levels


def level_tile(source: gz.ZarrFileTileSource, step: int, **kwargs: Any) -> np.ndarray:
    """Return a whole level by its tiles."""
    z = source.levels - 1 - step.bit_length() + 1
    height, width = -(-source.sizeY // step), -(-source.sizeX // step)
    rows = range(-(-height // source.tileHeight))
    columns = range(-(-width // source.tileWidth))
    tiles = [
        np.concatenate([source.getTile(x, y, z, numpyAllowed='always', **kwargs) for x in columns], axis=1)
        for y in rows
    ]
    return np.concatenate(tiles)[:height, :width]


def ome_of(path: Path) -> Any:
    return dict(zarr.open_group(path, mode='r').attrs)['ome']


def level_0(path: Path) -> np.ndarray:
    """Return the full resolution as zarr reads it."""
    store: Any = path if path.is_dir() else zarr.storage.ZipStore(path, mode='r')
    group: Any = zarr.open_group(store, mode='r')
    result = np.asarray(group['0'][:])
    if path.is_file():
        store.close()
    return result
