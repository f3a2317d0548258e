"""A plan, block by block, into an image file."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.errors import UnsupportedFormatError
from girder_zarr.image.ngff.model import Axis
from girder_zarr.image.pack import outlet_for
from girder_zarr.image.pyramid import write_image
from girder_zarr.image.spec import OutputSpec, default_channels

from .blend import Piece, blend
from .cache import PatchCache
from .plan import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from girder_zarr.image.ngff.model import Channel
    from girder_zarr.image.outlet import Outlet

    from .patch import Patch
    from .spec import StitchSpec

_AXIS_TYPES: dict[str, Any] = {'t': 'time', 'c': 'channel', 'z': 'space', 'y': 'space', 'x': 'space'}


def assemble(
    patches: Sequence[Patch],
    load: Callable[[Patch], np.ndarray],
    spec: StitchSpec,
    directory: Path | Outlet,
    **options: Any,
) -> Plan:
    """Write the image that the patches make, with all its levels.

    :param patches: all of them.
    :param load: returns the pixels of a patch, ``(y, x, bands)`` in its dtype; called from several threads.
    :param spec: what the result shall be.
    :param directory: an existing, empty directory, or any other `image.outlet.Outlet`.
    :param options: as for :func:`write_plan`.
    :raises InvalidInputError: there is no patch. :raises ConflictError: the patches do not fit together.
    :raises LimitExceededError: the result would be too large.
    :raises UnsupportedFormatError: a patch cannot be decoded; the message names it.
    """
    plan = Plan(patches, spec)
    write_plan(plan, load, directory, **options)
    return plan


def assemble_file(plan: Plan, load: Callable[[Patch], np.ndarray], target: Path, **options: Any) -> None:
    """Write the image of a plan into one file, ``.zip`` or ``.ozx``, which appears whole or not at all.

    :param options: as for :func:`write_plan`.
    """
    with outlet_for(target, version=plan.spec.version) as outlet:
        write_plan(plan, load, outlet, **options)


def write_plan(
    plan: Plan,
    load: Callable[[Patch], np.ndarray],
    directory: Path | Outlet,
    *,
    name: str | None = None,
    progress: Callable[[int], None] | None = None,
    check: Callable[[], None] | None = None,
    threads: int | None = None,
) -> None:
    """Write the image of a plan.

    :param name: what the image is called in its metadata.
    :param progress: called with the values (pixels times frames and bands) done since the last call, from any
        thread; they add up to :func:`values_of`.
    :param check: called before every block; raises to stop.
    """
    write_image(
        directory,
        output_spec(plan, name),
        BlockMaker(plan, load).read,
        threads=threads,
        progress=progress,
        check=check,
        occupied=plan.occupied,
    )


class BlockMaker:
    """Makes blocks of the output from the patches that touch them. Thread safe.

    :param load: as for :func:`assemble`.
    """

    def __init__(self, plan: Plan, load: Callable[[Patch], np.ndarray]) -> None:
        self.plan = plan
        self._dtype = np.dtype(plan.dtype)
        self._cache = PatchCache(lambda patch: _checked(patch, load(patch)))

    def read(self, region: tuple[slice, ...]) -> np.ndarray | None:
        """Return a region of the output, or None where no patch touches it.

        :param region: one slice an axis of the plan, start and stop explicit.
        """
        shape = tuple(part.stop - part.start for part in region)
        out: np.ndarray | None = None
        for frame, place, bands in self.plan.frames(region):
            block = self._frame(frame, region[-2], region[-1])
            if block is None:
                continue
            if out is None:
                out = np.full(shape, self.plan.spec.background, self._dtype)
            planes = np.moveaxis(block[:, :, bands], -1, 0)
            out[place] = planes if any(isinstance(part, slice) for part in place) else planes[0]
        return out

    def _frame(self, frame: tuple[int, ...], y: slice, x: slice) -> np.ndarray | None:
        hits = self.plan.touching(frame, y, x)
        if not hits:
            return None
        pieces = [Piece(hit.y, hit.x, self._cache.get(hit.patch)) for hit in hits]
        shape = (y.stop - y.start, x.stop - x.start, self.plan.bands)
        return blend(pieces, shape, self._dtype, self.plan.spec.overlap, self.plan.spec.background)


def _checked(patch: Patch, pixels: np.ndarray) -> np.ndarray:
    if pixels.shape != patch.shape or pixels.dtype != np.dtype(patch.dtype):
        msg = (
            f'Patch {patch.key} should hold {patch.shape} of {patch.dtype}; '
            f'found {pixels.shape} of {pixels.dtype}.'
        )
        raise UnsupportedFormatError(msg)
    return pixels


def output_spec(plan: Plan, name: str | None = None) -> OutputSpec:
    """Return what `pyramid.write_image` shall write for a plan."""
    spec, pixel = plan.spec, plan.spec.pixel_size
    unit = pixel.unit if pixel else None
    axes = [Axis(axis, _AXIS_TYPES[axis], unit if axis in {'y', 'x'} else None) for axis in plan.axes]
    bands = plan.bands if plan.bands > 1 else 0
    return OutputSpec.create(
        plan.shape,
        plan.dtype,
        axes=axes,
        bands=bands,
        scale={'x': pixel.x, 'y': pixel.y} if pixel else None,
        name=name,
        channels=_channels(plan, axes, bands),
        chunk=spec.chunk,
        version=spec.version,
        fill_value=spec.background,
    )


def _channels(plan: Plan, axes: Sequence[Axis], bands: int) -> list[Channel]:
    spec = plan.spec
    channels = default_channels(axes, plan.shape, np.dtype(plan.dtype), bands, spec.channel_names or ())
    if spec.channel_colors and not bands:
        channels[: len(spec.channel_colors)] = [
            replace(channel, color=color.upper())
            for channel, color in zip(channels, spec.channel_colors, strict=False)
        ]
    return channels


def values_of(plan: Plan) -> int:
    """Return what the progress of :func:`assemble` adds up to."""
    return math.prod(plan.shape)
