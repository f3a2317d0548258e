"""Write the image of a plan, block by block, into a file."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.common.budget import BUDGET
from girder_zarr.image.ngff.metadata import GIVEN, Axis
from girder_zarr.image.write.outlet import DirectoryOutlet
from girder_zarr.image.write.output_spec import OutputSpec, default_channels
from girder_zarr.image.write.pack import outlet_for
from girder_zarr.image.write.pyramid import processors, write_image
from girder_zarr.stitch.blend.block_maker import BlockMaker
from girder_zarr.stitch.blend.patch_loader import PatchLoader, visible
from girder_zarr.stitch.illumination.estimate import estimate
from girder_zarr.stitch.plan import Plan
from girder_zarr.stitch.registration.register import register
from girder_zarr.stitch.spec.axes import MAX_VALUES
from girder_zarr.stitch.spec.field_checks import IlluminationSpec
from girder_zarr.stitch.spec.outputs import TIFF

from .provenance import beside, describe
from .tiff_writer import write_tiff

__all__ = [
    'BlockMaker',
    'assemble',
    'assemble_file',
    'make_plan',
    'making_threads',
    'nbytes_of',
    'output_spec',
    'values_of',
    'write_plan',
]

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from girder_zarr.image.ngff.metadata import Channel
    from girder_zarr.image.write.file_digest import FileDigest
    from girder_zarr.image.write.outlet import Outlet
    from girder_zarr.stitch.blend.patch_loader import Load
    from girder_zarr.stitch.illumination.flat_field import Illumination
    from girder_zarr.stitch.patch import Patch
    from girder_zarr.stitch.spec.axes import AxisSpec
    from girder_zarr.stitch.spec.model import StitchSpec

#: So many threads more than processors make blocks: now and then one waits, for the database, for patches
#: that are far or not in the system's memory, for the disk, or for another thread.
SPARE_THREADS = 1
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
    """Stitch patches into an image with all its levels.

    >>> left = Patch('left', Placement.make(0, 0), (64, 64, 1), 'uint8')
    >>> right = Patch('right', Placement.make(60, 0), (64, 64, 1), 'uint8')
    >>> pixels = {'left': np.full((64, 64, 1), 10, 'uint8'), 'right': np.full((64, 64, 1), 20, 'uint8')}
    >>> spec = StitchSpec.from_json({'overlap': 'mean'})
    >>> assemble([left, right], lambda patch: pixels[patch.key], spec, Path('empty.zarr')).shape
    (64, 124)

    :param patches: all patches of the image.
    :param load: returns the pixels of a patch, ``(y, x, bands)`` in its dtype, with one more band if
        ``patch.alpha``; called from several threads.
    :param spec: of the image.
    :param directory: an existing, empty directory, or any other `image.write.outlet.Outlet`.
    :param references: the images that patches and spec name as masks, flat and dark fields.
    :param options: as for :func:`write_plan`.
    :returns: the plan of the image, with its shape and what registration found.
    :raises InvalidInputError: there is no patch.
    :raises ConflictError: the patches differ in dtype or bands, or do not fit spec or references.
    :raises LimitExceededError: the image would be too large.
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
    """Return the plan of an image, with estimated light and registered positions if the spec asks for them.

    Parameters and errors are those of :func:`assemble`; nothing is written.

    :param check: called before each patch is looked at and each pair compared; raises to stop.
    :param threads: patches and pairs that are looked at at the same time.
    """
    plan = Plan(patches, spec, references)
    plan.check_references()
    plan.check_channels()
    if spec.illumination is not None:
        light = estimate_illumination(plan, load, check=check, threads=threads)
        plan = Plan(patches, spec, references, None, light)
    if spec.registration is None:
        return plan
    loader = PatchLoader(plan, load)
    found = register(
        plan, spec.registration, lambda patch: visible(loader.get(patch)), threads=threads or 2, check=check
    )
    moved, light = [found.moved(patch) for patch in patches], plan.illumination
    if light:
        # again, with overlaps that show the same
        placed = Plan(moved, spec, references)
        light = estimate_illumination(placed, load, check=check, threads=threads)
    return Plan(moved, spec, references, found, light)


def estimate_illumination(
    plan: Plan, load: Load, *, check: Callable[[], None] | None = None, threads: int | None = None
) -> Illumination:
    """Return the flat fields of the channels of a plan for which its spec names none, by channel.

    :param load: as for :func:`assemble`.
    :param check: called before each patch is read; raises to stop.
    :param threads: patches that are read at the same time.
    :raises ConflictError: the patches of a channel differ in size.
    """
    loader = PatchLoader(plan, load)

    def pixels(patch: Patch) -> tuple[np.ndarray, np.ndarray | None]:
        size = math.prod(patch.shape) * np.dtype(patch.dtype).itemsize
        with BUDGET.acquire(size * BlockMaker.TIMES):
            loaded = loader.make(patch)
        return loaded.pixels, loaded.mask

    wanted = plan.spec.illumination or IlluminationSpec()
    return estimate(plan, wanted, pixels, threads=threads or 2, check=check)


def assemble_file(
    plan: Plan, load: Load, target: Path, *, digest: FileDigest | None = None, **options: Any
) -> None:
    """Write the image of a plan into one file, which appears complete or not at all.

    :param load: as for :func:`assemble`.
    :param target: ends in ``.zip``, ``.ozx`` or ``.db``, or in ``.tiff`` if ``spec.output`` is ``tiff``.
        Temporary files lie beside it.
    :param digest: made of the file meanwhile, where it is a zip.
    :param options: as for :func:`write_plan`.
    :raises InvalidInputError: a library that the output needs is not installed.
    """

    def write(outlet: Outlet) -> None:
        write_plan(plan, load, outlet, **options)

    write_file(plan, target, write, check=options.get('check'), digest=digest)


def write_file(
    plan: Plan,
    target: Path,
    write: Callable[[Outlet], None],
    *,
    check: Callable[[], None] | None = None,
    digest: FileDigest | None = None,
) -> None:
    """Write a file as :func:`assemble_file` does, with a function that writes the image into an outlet.

    :param write: writes the hierarchy into the outlet that it is given.
    :param check: called while the image is converted to TIFF; raises to stop.
    """
    plan.spec.check_installed()

    def write_zarr(path: Path, digest: FileDigest | None = None) -> None:
        with outlet_for(path, version=plan.spec.version, digest=digest) as outlet:
            write(outlet)

    if plan.spec.output != TIFF:
        write_zarr(target, digest)
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
    """Write the image of a plan as a hierarchy.

    :param load: as for :func:`assemble`.
    :param directory: as for :func:`assemble`.
    :param name: of the image, for its metadata.
    :param progress: called with the number of values (pixels x frames x bands) done since the last call, from
        any thread; they add up to :func:`values_of`.
    :param check: called before each block; raises to stop.
    :param threads: blocks that are made at the same time; None: one more than there are processors.
    """
    outlet = DirectoryOutlet(directory) if isinstance(directory, Path) else directory
    for path, content in beside(plan):
        outlet.put(path, content)
    write_image(
        directory,
        output_spec(plan, name),
        BlockMaker(plan, load).read,
        threads=threads or making_threads(),
        progress=progress,
        check=check,
        occupied=plan.occupied,
    )


def making_threads() -> int:
    """Return how many threads make blocks out of patches, as far as their blocks fit into memory."""
    return processors() + SPARE_THREADS


def output_spec(plan: Plan, name: str | None = None) -> OutputSpec:
    """Return the axes, scale, channels, chunks and codec with which `pyramid.write_image` writes a plan."""
    spec, pixel = plan.spec, plan.spec.pixel_size
    declared = {axis.name: axis for axis in spec.axes or ()}
    axes = [_axis(plan, axis, declared.get(axis)) for axis in plan.axes]
    scale = {axis.name: axis.step for axis in declared.values() if axis.step is not None}
    if pixel is not None:
        scale |= {'x': pixel.x, 'y': pixel.y}
    # where the corner of the image lies on the stage
    translation = {
        axis: start * scale.get(axis, 1) for axis, start in zip('yx', plan.origin, strict=True) if start
    }
    bands = plan.bands if plan.bands > 1 else 0
    tiff = spec.output == TIFF
    return OutputSpec.create(
        plan.shape,
        plan.dtype,
        axes=axes,
        bands=bands,
        scale=scale,
        translation=translation,
        name=name,
        channels=_channels(plan, axes, bands),
        chunk=spec.chunk,
        shard=spec.shard,
        # large_image_converter reads only the full resolution
        version='0.5' if tiff else spec.version,
        max_levels=1 if tiff else None,
        fill_value=spec.background,
        codec=spec.encoder(plan.dtype),
        resample=spec.resample,
        extra={'stitch': describe(plan)} | ({'windows': GIVEN} if spec.channel_windows else {}),
    )


def _axis(plan: Plan, name: str, declared: AxisSpec | None) -> Axis:
    if name in {'y', 'x'}:
        return Axis(name, 'space', plan.spec.pixel_size.unit if plan.spec.pixel_size else None)
    kind = _AXIS_TYPES.get(name, 'custom')
    count, start = plan.extent.frame.get(name, 1), plan.starts.get(name, 0)
    # the numbers that the patches gave, where these do not begin at 0
    numbers = tuple(float(start + at) for at in range(count)) if start and count <= MAX_VALUES else None
    if declared is None:
        return Axis(name, kind, None, numbers)
    return Axis(name, kind, declared.unit, declared.values_for(count) or numbers)


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
    """Return the number of values (pixels x frames x bands) of the full resolution of a plan."""
    return math.prod(plan.shape)


def nbytes_of(plan: Plan) -> int:
    """Return the bytes of all levels of a plan before they are compressed."""
    spec = output_spec(plan)
    return sum(math.prod(shape) for shape in spec.level_shapes()) * spec.dtype.itemsize
