"""A plan, block by block, into an image file."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.image.ngff.metadata import Axis
from girder_zarr.image.write.outlet import DirectoryOutlet
from girder_zarr.image.write.output_spec import OutputSpec, default_channels
from girder_zarr.image.write.pack import outlet_for
from girder_zarr.image.write.pyramid import write_image
from girder_zarr.stitch.blend.block_maker import BlockMaker
from girder_zarr.stitch.blend.patch_loader import PatchLoader, visible
from girder_zarr.stitch.plan import Plan
from girder_zarr.stitch.registration.register import register
from girder_zarr.stitch.spec.outputs import TIFF, check_possible

from .provenance import DOCUMENT, describe, document_of
from .tiff import write_tiff

__all__ = ['BlockMaker', 'assemble', 'assemble_file', 'make_plan', 'output_spec', 'values_of', 'write_plan']

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from girder_zarr.image.ngff.metadata import Channel
    from girder_zarr.image.write.outlet import Outlet
    from girder_zarr.stitch.blend.patch_loader import Load
    from girder_zarr.stitch.patch import Patch
    from girder_zarr.stitch.spec.axes import AxisSpec
    from girder_zarr.stitch.spec.model import StitchSpec

_AXIS_TYPES: dict[str, Any] = {'t': 'time', 'c': 'channel', 'z': 'space', 'y': 'space', 'x': 'space'}


def assemble(
    patches: Sequence[Patch],
    load: Load,
    spec: StitchSpec,
    directory: Path | Outlet,
    *,
    references: Sequence[Patch] = (),
    **options: Any,
) -> Plan:
    """Write the image that the patches make, with all its levels.

    :param patches: all of them.
    :param load: returns the pixels of a patch, ``(y, x, bands)`` in its dtype, with one more band where
        ``patch.alpha``; called from several threads.
    :param spec: what the result shall be.
    :param directory: an existing, empty directory, or any other `image.outlet.Outlet`.
    :param references: the images that patches and spec name as masks, flat and dark fields.
    :param options: as for :func:`write_plan`.
    :raises InvalidInputError: there is no patch. :raises ConflictError: the patches do not fit together.
    :raises LimitExceededError: the result would be too large.
    :raises UnsupportedFormatError: a patch cannot be decoded; the message names it.
    """
    known = {name: options[name] for name in ('check', 'threads') if name in options}
    plan = make_plan(patches, load, spec, references, **known)
    write_plan(plan, load, directory, **options)
    return plan


def make_plan(
    patches: Sequence[Patch],
    load: Load,
    spec: StitchSpec,
    references: Sequence[Patch] = (),
    *,
    check: Callable[[], None] | None = None,
    threads: int | None = None,
) -> Plan:
    """Return the plan of an image, its patches where registration puts them if the spec asks for it.

    :raises: as :func:`assemble`, before anything is written.
    """
    plan = Plan(patches, spec, references)
    plan.check_references()
    if spec.registration is None:
        return plan
    loader = PatchLoader(plan, load)
    found = register(
        plan, spec.registration, lambda patch: visible(loader.get(patch)), threads=threads or 2, check=check
    )
    return Plan([found.moved(patch) for patch in patches], spec, references, found)


def assemble_file(plan: Plan, load: Load, target: Path, **options: Any) -> None:
    """Write the image of a plan into one file, which appears whole or not at all.

    :param target: ends in ``.zip``, ``.ozx`` or ``.db``, or in ``.tiff`` where the spec's output is ``tiff``.
        Temporary data lies beside it.
    :param options: as for :func:`write_plan`.
    :raises InvalidInputError: what a TIFF needs is not installed.
    """
    write_file(
        plan, target, lambda outlet: write_plan(plan, load, outlet, **options), check=options.get('check')
    )


def write_file(
    plan: Plan,
    target: Path,
    write: Callable[[Outlet], None],
    *,
    check: Callable[[], None] | None = None,
) -> None:
    """Write a file as :func:`assemble_file` does, from whatever puts the image into an outlet.

    :param check: called while a TIFF is made of it; raises to stop.
    """
    check_possible(plan.spec)

    def write_zarr(path: Path) -> None:
        with outlet_for(path, version=plan.spec.version) as outlet:
            write(outlet)

    if plan.spec.output != TIFF:
        write_zarr(target)
        return
    write_tiff(plan, target, write_zarr, check)


def write_plan(
    plan: Plan,
    load: Load,
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
    document = document_of(plan)
    if document is not None:
        outlet = DirectoryOutlet(directory) if isinstance(directory, Path) else directory
        outlet.put(DOCUMENT, document)
    write_image(
        directory,
        output_spec(plan, name),
        BlockMaker(plan, load).read,
        threads=threads,
        progress=progress,
        check=check,
        occupied=plan.occupied,
    )


def output_spec(plan: Plan, name: str | None = None) -> OutputSpec:
    """Return what `pyramid.write_image` shall write for a plan."""
    spec, pixel = plan.spec, plan.spec.pixel_size
    said = {axis.name: axis for axis in spec.axes or ()}
    axes = [_axis(plan, axis, said.get(axis)) for axis in plan.axes]
    scale = {axis.name: axis.step for axis in said.values() if axis.step is not None}
    if pixel is not None:
        scale |= {'x': pixel.x, 'y': pixel.y}
    bands = plan.bands if plan.bands > 1 else 0
    tiff = spec.output == TIFF
    return OutputSpec.create(
        plan.shape,
        plan.dtype,
        axes=axes,
        bands=bands,
        scale=scale,
        name=name,
        channels=_channels(plan, axes, bands),
        chunk=spec.chunk,
        shard=spec.shard,
        # the converter reads the full resolution of an image of this version
        version='0.5' if tiff else spec.version,
        max_levels=1 if tiff else None,
        fill_value=spec.background,
        codec=spec.encoder(plan.dtype),
        resample=spec.resample,
        extra={'stitch': describe(plan)},
    )


def _axis(plan: Plan, name: str, said: AxisSpec | None) -> Axis:
    if name in {'y', 'x'}:
        return Axis(name, 'space', plan.spec.pixel_size.unit if plan.spec.pixel_size else None)
    kind = _AXIS_TYPES.get(name, 'custom')
    if said is None:
        return Axis(name, kind)
    return Axis(name, kind, said.unit, said.values_for(plan.extent.frame.get(name, 1)))


def _channels(plan: Plan, axes: Sequence[Axis], bands: int) -> list[Channel]:
    spec = plan.spec
    channels = default_channels(axes, plan.shape, np.dtype(plan.dtype), bands, spec.channel_names or ())
    if spec.channel_colors and not bands:
        channels[: len(spec.channel_colors)] = [
            replace(channel, color=color.upper())
            for channel, color in zip(channels, spec.channel_colors, strict=False)
        ]
    windows = spec.channel_windows or ()
    for index, channel in enumerate(channels):
        at = index // max(bands, 1)
        window = windows[at] if at < len(windows) else None
        if window is not None:
            channels[index] = replace(channel, window=window.over(channel.window))
    return channels


def values_of(plan: Plan) -> int:
    """Return what the progress of :func:`assemble` adds up to."""
    return math.prod(plan.shape)
