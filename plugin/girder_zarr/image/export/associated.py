"""The associated images of a new or edited image, read when they are needed and written beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.errors import EditError
from girder_zarr.image.canvas.canvas_level import ArrayLevel
from girder_zarr.image.ngff.emit import group_documents
from girder_zarr.image.ngff.metadata import Axis, Level, Multiscale
from girder_zarr.image.series.frames import lay_out
from girder_zarr.image.series.series import Series
from girder_zarr.image.write.encode import Codec
from girder_zarr.image.write.output_spec import OutputSpec
from girder_zarr.image.write.pyramid import metadata_documents, write_image

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from girder_zarr.image.series.frames import FrameLayout
    from girder_zarr.image.series.series import LevelReader
    from girder_zarr.image.write.blocks import Region
    from girder_zarr.image.write.outlet import Outlet

    from .zarr_options import ZarrOptions

#: Where they lie in the hierarchy.
ASSOCIATED = 'associated'
#: Bytes; larger ones go to a temporary file when the file that they were read from is replaced.
_MAX_IN_MEMORY = 2**24


@dataclass(frozen=True)
class StoredPicture:
    """An associated image of a file as ``(y, x, band)``, read when it is asked for. See `series.LevelReader`.

    :param series: it, with all its levels.
    """

    series: Series
    layout: FrameLayout

    @classmethod
    def of(cls, series: Series) -> StoredPicture:
        """Return the first frame of a series."""
        return cls(series, lay_out([series]))

    @property
    def _level(self) -> LevelReader:
        return self.series.levels[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Pixels along each axis."""
        return (self._level.shape[self.layout.y], self._level.shape[self.layout.x], self.layout.bands)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of a pixel, in native byte order."""
        return self._level.dtype.newbyteorder('=')

    @property
    def chunks(self) -> tuple[int, ...]:
        """What lies together."""
        return (self._level.chunks[self.layout.y], self._level.chunks[self.layout.x], self.layout.bands)

    def read(self, region: tuple[slice, ...]) -> np.ndarray:
        """Return the pixels of a region; see `series.LevelReader`."""
        where = list(self.layout.fixed(0))
        where[self.layout.y], where[self.layout.x] = region[:2]
        pixels = self.layout.picture(self._level.read(tuple(where)))
        return pixels[..., region[2]].astype(self.dtype, copy=False)


def as_series(pixels: LevelReader) -> Series:
    """Return an associated image as the reading half shows it."""
    if isinstance(pixels, StoredPicture):
        return pixels.series
    axes = (Axis('y', 'space'), Axis('x', 'space'), Axis('s', 'channel'))
    return Series(Multiscale(axes, (Level('0', (1.0,) * 3, (0.0,) * 3),)), (pixels,))


def detached(pixels: LevelReader, path: Path) -> LevelReader:
    """Return an associated image that no longer needs the file that it was read from.

    :param path: of a temporary file that does not exist yet, for one that does not fit in memory.
    """
    if not isinstance(pixels, StoredPicture):
        return pixels
    height, width, bands = pixels.shape
    everything = slice(0, width), slice(0, bands)
    nbytes = math.prod(pixels.shape) * pixels.dtype.itemsize
    if nbytes <= _MAX_IN_MEMORY:
        return ArrayLevel(np.array(pixels.read((slice(0, height), *everything))))
    try:
        with path.open('xb') as file:
            for top in range(0, height, pixels.chunks[0]):
                rows = slice(top, min(top + pixels.chunks[0], height))
                file.write(np.ascontiguousarray(pixels.read((rows, *everything))).data)
    except OSError as exc:
        raise EditError(f'Temporary data cannot be written to {path.parent}: {exc}') from exc
    return ArrayLevel(np.memmap(path, pixels.dtype, 'r', shape=pixels.shape))


def documents(images: Mapping[str, LevelReader], options: ZarrOptions) -> dict[str, bytes]:
    """Return the metadata files of associated images by their path."""
    if not images:
        return {}
    found = group_documents({}, 2 if options.version == '0.4' else 3)
    result = {f'{ASSOCIATED}/{name}': content for name, content in found.items()}
    for key, pixels in images.items():
        spec = _spec(key, pixels, options)
        result |= {f'{ASSOCIATED}/{key}/{name}': found for name, found in metadata_documents(spec).items()}
    return result


def write_associated(images: Mapping[str, LevelReader], outlet: Outlet, options: ZarrOptions) -> None:
    """Write associated images; the metadata of their group is there already."""
    for key, pixels in images.items():
        spec = _spec(key, pixels, options)
        write_image(outlet, spec, _Planar(pixels).read, threads=1, prefix=f'{ASSOCIATED}/{key}/')


def _spec(key: str, pixels: LevelReader, options: ZarrOptions) -> OutputSpec:
    height, width, bands = pixels.shape
    return OutputSpec.create(
        (bands, height, width),
        pixels.dtype,
        axes='cyx',
        bands=bands,
        name=key,
        codec=Codec() if options.encoder().lossy else options.encoder(),
        version=options.version,
        shard=options.shard if isinstance(options.shard, int) else None,
    )


@dataclass(frozen=True)
class _Planar:
    """Blocks ``(band, y, x)`` of ``(y, x, band)``."""

    pixels: LevelReader

    def read(self, region: Region) -> np.ndarray:
        """Return a block; see `pyramid.BlockReader`."""
        bands, rows, columns = region
        return np.ascontiguousarray(np.moveaxis(self.pixels.read((rows, columns, bands)), -1, 0))
