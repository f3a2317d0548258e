"""A result that is a TIFF: written by large_image_converter, read back by large_image's tiff source."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.sink.convert import convert_to

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .plan import Plan


def write_tiff(plan: Plan, target: Path, write_zarr: Callable[[Path], None]) -> None:
    """Write the image of a plan as a tiled TIFF with lower resolutions.

    :param target: a path ending in ``.tiff``; the temporary image lies beside it, and is gone at the end.
    :param write_zarr: writes the image to a path ending in ``.zarr``.
    """
    spec = plan.spec
    compression = {'quality': spec.quality} if spec.lossy else {'compression': 'deflate'}
    convert_to(
        target,
        write_zarr,
        dtype=np.dtype(plan.dtype),
        lossy=spec.lossy,
        overwrite=True,
        params={'tileSize': spec.chunk, 'geospatial': False, **compression},
        georeference=(None, None),
        scratch=target.parent,
    )


class TiffLevel:
    """The full resolution of a TIFF, as the array that the plan describes.

    :raises UnreadableImageError: it cannot be opened, or has other frames than the plan.
    """

    def __init__(self, plan: Plan, path: Path) -> None:
        large_image_source_tiff: Any = importlib.import_module('large_image_source_tiff')
        try:
            self._source = large_image_source_tiff.open(str(path), noCache=True)
        except Exception as error:  # large_image has many
            msg = f'The finished TIFF cannot be read: {error}.'
            raise UnreadableImageError(msg) from error
        self._plan = plan
        metadata = self._source.getMetadata()
        bands, frames = plan.bands, metadata.get('frames') or [{}]
        #: Which frame lies at an index along each axis of the frames that is longer than 1.
        self._frames = {
            tuple(frame.get(f'Index{axis.upper()}', 0) for axis in self._axes()): number
            for number, frame in enumerate(frames)
        }
        height, width = metadata['sizeY'], metadata['sizeX']
        expected = (*plan.size, bands, self._count())
        if (height, width, metadata['bandCount'], len(self._frames)) != expected:
            found = (height, width, metadata['bandCount'], len(self._frames))
            msg = f'The finished TIFF should have height, width, bands and frames {expected}; it has {found}.'
            raise UnreadableImageError(msg)
        self.shape = plan.shape
        self.dtype = np.dtype(metadata['dtype'])

    def _axes(self) -> list[str]:
        sizes = self._plan.extent.frame
        return [axis for axis in self._plan.frame_axes if sizes.get(axis, 1) > 1]

    def _count(self) -> int:
        return int(np.prod([self._plan.extent.frame[axis] for axis in self._axes()], dtype=np.int64))

    def read(self, region: tuple[slice, ...]) -> np.ndarray:
        """Return the pixels of a region of the plan's axes, as an array of its shape."""
        plan = self._plan
        out = np.empty([part.stop - part.start for part in region], self.dtype)
        for frame, place, bands in plan.frames(region):
            at = dict(zip(plan.frame_axes, frame, strict=True))
            number = self._frames[tuple(at[axis] for axis in self._axes())]
            pixels = self._pixels(number, region[-2], region[-1])[:, :, bands]
            target: Any = out[place]
            target[...] = pixels[:, :, 0] if target.ndim == 2 else np.moveaxis(pixels, 2, 0)
        return out

    def _pixels(self, frame: int, y: slice, x: slice) -> np.ndarray:
        pixels, _ = self._source.getRegion(
            region={
                'left': x.start,
                'top': y.start,
                'right': x.stop,
                'bottom': y.stop,
                'units': 'base_pixels',
            },
            format='numpy',
            frame=frame,
        )
        return np.asarray(pixels).reshape(y.stop - y.start, x.stop - x.start, -1)
