"""From the source on the command line to what would be sent: one image, or one for each well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from girder_zarr.stitch.arrange.preparation import Preparation
    from girder_zarr.stitch.arrange.scan_path import ScanPath
    from girder_zarr.stitch.arrange.stage_orientation import Orientation
    from girder_zarr.stitch.positions.entry import PositionSet
    from girder_zarr.stitch.positions.recognise import Recognised


@dataclass(frozen=True)
class ImageWork:
    """One image that is to be made.

    :param name: of the image.
    :param positions: where its patches were found.
    :param prepared: what would be sent.
    """

    name: str
    positions: PositionSet
    prepared: Preparation


def recognised_of(options: argparse.Namespace) -> Recognised:
    """Return what the source says.

    :raises InvalidInputError: nothing says where patches lie, or what does is malformed.
    """
    from girder_zarr.errors import InvalidInputError
    from girder_zarr.stitch.positions.recognise import recognise

    if not options.source.exists():
        expected = 'cannot be read as csv or otherwise: expected a file or a folder, found none'
        raise InvalidInputError(f'{options.source} {expected}.')
    return recognise(options.source, pattern=options.pattern, preset=options.preset, pages=options.pages)


def works_of(
    options: argparse.Namespace, found: Recognised, given: dict[str, Any], name: str
) -> list[ImageWork]:
    """Return the images to be made: one, or one for each well of a plate.

    :param given: the spec of the command line.
    :raises GirderZarrError: the spec or the options do not fit the positions.
    """
    positions = found.positions
    if options.well is not None:
        from girder_zarr.stitch.positions.name_pattern import plain_well

        return [work_of(options, positions.of_well(plain_well(options.well)), given, name)]
    wells = positions.wells
    if len(wells) < 2:
        one = positions.of_well(wells[0]) if wells else positions
        return [work_of(options, one, given, name)]
    return [work_of(options, positions.of_well(well), given, f'{name} {well}') for well in wells]


def work_of(
    options: argparse.Namespace, positions: PositionSet, given: dict[str, Any], name: str
) -> ImageWork:
    """Return what would be sent for one image.

    :raises GirderZarrError: the spec or the options do not fit the positions.
    """
    from girder_zarr.stitch.arrange.counting import arrange
    from girder_zarr.stitch.arrange.direction import better_direction, hint_for
    from girder_zarr.stitch.arrange.preparation import prepare
    from girder_zarr.stitch.arrange.tile_sizes import read_kinds

    orientation = orientation_of(options)
    arranged = arrange(
        positions,
        orientation=orientation,
        scan=scan_of(options),
        index_base=given.get('indexBase'),
    )
    kinds, refusals = read_kinds(positions, arranged.entries)
    spec = {'expected': len(arranged.entries), **given}
    in_grid = any(entry.row is not None for entry in arranged.entries)
    if kinds and 'grid' not in spec and (options.overlap is not None or in_grid):
        first = next(kinds[entry.key] for entry in arranged.entries if entry.key in kinds)
        spec['grid'] = grid_of(first.width, first.height, options.overlap or (0.0, 0.0, False))
    prepared = prepare(arranged, spec, kinds, refusals)
    if prepared.placement_map is not None:
        by_key = {entry.key: entry for entry in arranged.entries}
        hint = better_direction(positions, by_key, prepared.placement_map.tiles)
        prepared.hint = None if hint is None else hint_for(orientation, hint)
    return ImageWork(name, positions, prepared)


def grid_of(width: int, height: int, shared: tuple[float, float, bool]) -> dict[str, Any]:
    """Return ``spec.grid`` for tiles of a size.

    :param shared: overlap along x and y, and whether it is in percents.
    """
    x, y, percent = shared
    if percent:
        x, y = x * width / 100, y * height / 100
    return {'tile': {'x': width, 'y': height}, 'overlap': {'x': x, 'y': y}}


def orientation_of(options: argparse.Namespace) -> Orientation:
    """Return the directions that the options give."""
    from girder_zarr.stitch.arrange.stage_orientation import Orientation

    return Orientation(options.swap_xy, options.flip_x, options.flip_y, options.rotate)


def scan_of(options: argparse.Namespace) -> ScanPath | None:
    """Return the path over the grid, where the options give its columns or rows."""
    from girder_zarr.stitch.arrange.scan_path import ScanPath

    if options.columns is None and options.rows is None:
        return None
    return ScanPath(options.columns, options.rows, options.path, options.by, options.corner)
