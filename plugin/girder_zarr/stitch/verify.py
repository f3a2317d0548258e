"""A finished file, read back before anyone gets to see it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.read.opening import open_hierarchy
from girder_zarr.image.store.stores import open_store

from .assemble import BlockMaker, output_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .patch import Patch
    from .plan import Plan

#: How many blocks are compared.
SAMPLES = 8


def verify_file(plan: Plan, load: Callable[[Patch], np.ndarray], path: Path, samples: int = SAMPLES) -> None:
    """Check that a file holds the image of a plan: its axes, shape and dtype, and a sample of its blocks.

    :raises UnreadableImageError: it does not, or it cannot be read.
    """
    series = open_hierarchy(open_store(path)).series[0]
    level = series.levels[0]
    found = (tuple(axis.name for axis in series.multiscale.axes), level.shape, level.dtype)
    expected = (plan.axes, plan.shape, np.dtype(plan.dtype))
    if found != expected:
        msg = f'The finished image should have axes, shape and dtype {expected}; read back it has {found}.'
        raise UnreadableImageError(msg)
    maker = BlockMaker(plan, load)
    for region in _sample(plan, samples):
        block = maker.read(region)
        wanted = np.full(1, plan.spec.background, plan.dtype) if block is None else block
        pixels = level.read(region)
        if not np.array_equal(
            pixels, np.broadcast_to(wanted, pixels.shape), equal_nan=wanted.dtype.kind == 'f'
        ):
            place = ', '.join(f'{axis} {part.start}' for axis, part in zip(plan.axes, region, strict=True))
            msg = f'The finished image does not hold what its patches say at {place}.'
            raise UnreadableImageError(msg)


def _sample(plan: Plan, samples: int) -> Iterator[tuple[slice, ...]]:
    """Yield blocks below the middle of patches, chosen in a way that is the same for the same patches."""
    choice = random.Random(len(plan.patches))  # noqa: S311 - a sample, not a secret
    chunks = output_spec(plan).chunks
    for patch in choice.sample(plan.patches, min(samples, len(plan.patches))):
        middle = {
            'y': patch.placement.y + patch.shape[0] // 2 - plan.origin[0],
            'x': patch.placement.x + patch.shape[1] // 2 - plan.origin[1],
            **dict(patch.placement.frame),
        }
        middle['c'] = middle.get('c', 0) * plan.bands
        region = []
        for axis, size, chunk in zip(plan.axes, plan.shape, chunks, strict=True):
            start = min(max(middle.get(axis, 0), 0), size - 1) // chunk * chunk
            region.append(slice(start, min(start + chunk, size)))
        yield tuple(region)
