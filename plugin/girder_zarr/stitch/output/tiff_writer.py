"""Results as TIFF: written by large_image_converter, verified with large_image's tiff source."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.write.pack import put_in_place

if TYPE_CHECKING:
    from collections.abc import Callable

    from girder_zarr.stitch.plan import Plan

#: Seconds between two calls of `check` while the converter runs: a cancelled job ends at once for its user.
_CHECK_SECONDS = 0.2


def write_tiff(
    plan: Plan, target: Path, write_zarr: Callable[[Path], None], check: Callable[[], None] | None = None
) -> None:
    """Write the image of a plan as a tiled pyramidal TIFF.

    :param target: a path that ends in ``.tiff``; temporary files lie beside it and are removed at the end.
    :param write_zarr: writes the image to a path that ends in ``.zarr``.
    :param check: called several times a second; raises to stop.
    :raises UnreadableImageError: the converter failed; with the last line of its output.
    """
    spec = plan.spec
    compression = {'quality': spec.quality} if spec.lossy else {'compression': 'deflate'}
    with tempfile.TemporaryDirectory(prefix='tiff-', dir=target.parent) as folder:
        source, made = Path(folder, 'source.zarr'), Path(folder, target.name)
        write_zarr(source)
        request = {
            'source': str(source),
            'target': str(made),
            'scratch': folder,
            'dtype': plan.dtype,
            'lossy': spec.lossy,
            'params': {'tileSize': spec.chunk, 'geospatial': False, **compression},
        }
        _convert(request, folder, check)
        put_in_place(made, target, overwrite=True)


def _convert(request: dict[str, Any], folder: str, check: Callable[[], None] | None) -> None:
    """Convert in a process of its own, which is killed if `check` raises."""
    log = Path(folder, 'log')
    with log.open('wb') as stream:
        process = subprocess.Popen(  # noqa: S603 - ourselves, and no shell
            [sys.executable, '-m', 'girder_zarr.stitch.output.tiff_process', json.dumps(request)],
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=stream,
            env={**os.environ, 'TMPDIR': folder},
        )
    with process:
        try:
            while not _has_ended(process):
                if check is not None:
                    check()
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        lines = log.read_text(errors='replace').strip().splitlines()
        msg = f'The TIFF could not be made: {lines[-1] if lines else f"exit code {process.returncode}"}'
        raise UnreadableImageError(msg)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_CHECK_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


class TiffLevel:
    """The full resolution of a TIFF as an array with the axes of its plan; a `LevelReader`.

    :param path: of the TIFF.
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
        #: The number of the frame at an index along each frame axis longer than 1.
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
        """Return the pixels of a region as an array of its shape.

        :param region: one slice for each axis of the plan, start and stop explicit.
        """
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
