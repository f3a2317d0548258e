"""From a folder to the image that is made of it, by the way that the command line takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from girder_zarr.stitch.arrange.counting import arrange
from girder_zarr.stitch.arrange.preparation import Preparation, prepare
from girder_zarr.stitch.arrange.tile_sizes import read_kinds, read_pixels
from girder_zarr.stitch.output.assemble import assemble
from girder_zarr.stitch.patch import Patch
from girder_zarr.stitch.positions.recognise import recognise
from girder_zarr.stitch.spec.model import StitchSpec
from girder_zarr.stitch.spec.patch_parameters import parse

if TYPE_CHECKING:
    from pathlib import Path

    from girder_zarr.stitch.positions.entry import PositionSet


def prepared_of(positions: PositionSet, spec: dict[str, Any] | None = None, **options: Any) -> Preparation:
    """What would be sent for positions."""
    if positions.wells:
        positions = positions.of_well(positions.wells[0])
    arranged = arrange(positions, **options)
    kinds, refusals = read_kinds(positions, arranged.entries)
    return prepare(arranged, spec or {}, kinds, refusals)


def assembled(
    source: Path,
    target: Path,
    spec: dict[str, Any] | None = None,
    *,
    pattern: str | None = None,
    **options: Any,
) -> tuple[np.ndarray, dict[str, Any], Preparation]:
    """The pixels of the image that a source makes, its multiscale document, and what was sent."""
    positions = recognise(source, pattern=pattern).positions
    prepared = prepared_of(positions, spec, **options)
    prepared.check()
    document = StitchSpec.from_json(prepared.spec)
    patches, by_key = [], {}
    for entry in prepared.arranged.entries:
        said = {
            'x': entry.x, 'y': entry.y, 'unit': entry.unit if entry.x is not None else None,
            'row': entry.row, 'column': entry.column, 'index': dict(entry.index), **entry.options,
        }  # fmt: skip
        kind = prepared.kinds[entry.key]
        shape = (kind.height, kind.width, kind.bands)
        patches.append(Patch(entry.key, parse(said, document).placement, shape, kind.dtype))
        by_key[entry.key] = entry
    target.mkdir()
    assemble(
        patches,
        lambda patch: np.atleast_3d(read_pixels(positions, by_key[patch.key])),
        document,
        target,
        name='a',
    )
    group = zarr.open_group(str(target), mode='r')
    ome: Any = group.attrs['ome']
    pixels: Any = group['0']
    return np.asarray(pixels[:]), {**ome['multiscales'][0], 'omero': ome.get('omero')}, prepared
