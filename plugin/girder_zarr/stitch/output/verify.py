"""Verify a finished file by reading it back before it is published."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.hierarchy.opening import open_hierarchy
from girder_zarr.image.store.stores import open_store
from girder_zarr.stitch.spec.outputs import TIFF

from .assemble import BlockMaker, output_spec
from .tiff_writer import TiffLevel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from girder_zarr.image.series.series import LevelReader
    from girder_zarr.stitch.patch import Patch
    from girder_zarr.stitch.plan import Plan

#: Blocks that are compared: each costs as much as making it, so only a sample.
SAMPLES = 8


def verify_file(plan: Plan, load: Callable[[Patch], np.ndarray], path: Path, samples: int = SAMPLES) -> None:
    """Check that a file holds the image of a plan: its axes, shape and dtype, and a sample of its blocks.

    :param load: as for `assemble.assemble`.
    :param path: of the file, in the format of ``spec.output``.
    :param samples: blocks that are compared.
    :raises UnreadableImageError: it does not, or it cannot be read.
    """
    axes, level = _full_resolution(plan, path)
    found = (axes, level.shape, level.dtype)
    expected = (plan.axes, plan.shape, np.dtype(plan.dtype))
    if found != expected:
        msg = f'The finished image should have axes, shape and dtype {expected}; read back it has {found}.'
        raise UnreadableImageError(msg)
    maker = BlockMaker(plan, load)
    for region in _sample(plan, samples):
        block = maker.read(region)
        wanted = np.full(1, plan.spec.background, plan.dtype) if block is None else block
        pixels = level.read(region)
        if not _agree(pixels, np.broadcast_to(wanted, pixels.shape), lossy=plan.spec.lossy):
            place = ', '.join(f'{axis} {part.start}' for axis, part in zip(plan.axes, region, strict=True))
            msg = f'The finished image does not hold what its patches say at {place}.'
            raise UnreadableImageError(msg)


def _full_resolution(plan: Plan, path: Path) -> tuple[tuple[str, ...], LevelReader | TiffLevel]:
    if plan.spec.output == TIFF:
        return plan.axes, TiffLevel(plan, path)
    series = open_hierarchy(open_store(path)).series[0]
    return tuple(axis.name for axis in series.multiscale.axes), series.levels[0]


def _agree(pixels: np.ndarray, wanted: np.ndarray, *, lossy: bool) -> bool:
    if lossy:
        # at any quality, the mean of a block stays about the same
        return abs(float(pixels.mean()) - float(wanted.mean())) <= np.iinfo(wanted.dtype).max / 8
    return np.array_equal(pixels, wanted, equal_nan=wanted.dtype.kind == 'f')


def _sample(plan: Plan, samples: int) -> Iterator[tuple[slice, ...]]:
    """Yield the regions of blocks at the centres of random patches, the same for the same patches."""
    choice = random.Random(len(plan.patches))  # noqa: S311 - a sample, not a secret
    chunks = output_spec(plan).chunks
    for patch in choice.sample(plan.patches, min(samples, len(plan.patches))):
        middle = {
            'y': patch.placement.y + patch.shape[0] // 2 - plan.origin[0],
            'x': patch.placement.x + patch.shape[1] // 2 - plan.origin[1],
            **{axis: at - plan.starts.get(axis, 0) for axis, at in patch.placement.frame},
        }
        middle['c'] = middle.get('c', 0) * plan.bands
        region = []
        for axis, size, chunk in zip(plan.axes, plan.shape, chunks, strict=True):
            start = min(max(middle.get(axis, 0), 0), size - 1) // chunk * chunk
            region.append(slice(start, min(start + chunk, size)))
        yield tuple(region)
