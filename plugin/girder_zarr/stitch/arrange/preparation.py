"""Everything before a patch is sent: arranged entries, the whole spec, the map, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import ConflictError, GirderZarrError, InvalidInputError
from girder_zarr.stitch.spec import position
from girder_zarr.stitch.spec.model import StitchSpec

from .counting import Arranged, count_channels
from .placement_map import MapTile, PlacementMap, make_map
from .refusal import Refusal, listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from girder_zarr.stitch.positions.entry import PatchEntry

    from .direction import DirectionHint
    from .tile_sizes import TileKind


@dataclass
class Preparation:
    """The patches and spec to be sent, with checks of the result.

    :param arranged: the entries.
    :param spec: the document of the session's spec.
    :param kinds: of the tiles, by key.
    :param placement_map: None where no tile can be placed.
    :param refusals: tiles that cannot be part of the image.
    """

    arranged: Arranged
    spec: dict[str, Any]
    kinds: dict[str, TileKind]
    placement_map: PlacementMap | None = None
    refusals: list[Refusal] = field(default_factory=list)
    hint: DirectionHint | None = None

    @property
    def warnings(self) -> list[str]:
        """Warnings to read before the image is made, one sentence each."""
        found: list[str] = []
        if self.placement_map is not None:
            found += self.placement_map.warnings
        if self.hint is not None:
            found.append(self.hint.sentence)
        return found

    def check(self) -> None:
        """Check that no tile is refused.

        :raises InvalidInputError: some are; the message lists the first of them.
        """
        if self.refusals:
            count = f'{len(self.refusals)} of {len(self.arranged.entries)} patches cannot be stitched'
            lines = listed(self.refusals)
            error = InvalidInputError(f'{count}:\n  ' + '\n  '.join(lines))
            error.refusals = tuple(self.refusals)  # type: ignore[attr-defined]
            raise error

    def to_json(self) -> dict[str, Any]:
        """Return the document that the command line prints and the REST route returns."""
        map_json = self.placement_map.to_json() if self.placement_map is not None else {}
        return {
            **map_json,
            'spec': self.spec,
            'warnings': self.warnings,
            'notes': list(self.arranged.notes),
            'refusals': [one.to_json() for one in self.refusals[:20]],
            'refusalCount': len(self.refusals),
            'direction': None if self.hint is None else self.hint.orientation.options,
        }


def prepare(
    arranged: Arranged, given: Mapping[str, Any], kinds: Mapping[str, TileKind], refusals: list[Refusal]
) -> Preparation:
    """Return what would be sent.

    :param given: the spec that the user gives; it comes before what follows from the positions.
    :param kinds: of the tiles that can be read, by key.
    :raises InvalidInputError: the spec is malformed, or does not fit the positions; the message says how.
    """
    document = merged_spec(arranged, given)
    if 'grid' not in document and any(entry.row is not None for entry in arranged.entries):
        document['grid'] = {'tile': _common_size(arranged, kinds, refusals)}
    spec = StitchSpec.from_json({name: value for name, value in document.items() if name != 'expires'})
    _check_channels(spec, arranged)
    prepared = Preparation(arranged, document, dict(kinds), refusals=refusals)
    tiles = []
    for entry in arranged.entries:
        kind = kinds.get(entry.key)
        if kind is None:
            continue
        try:
            x, y = position.resolve(spec, entry.x, entry.y, _unit(entry), entry.row, entry.column)
        except GirderZarrError as error:
            prepared.refusals.append(Refusal(entry.key, entry.file, str(error)))
            continue
        frame = tuple(sorted(entry.index.items()))
        tiles.append(MapTile(entry.key, x, y, kind.width, kind.height, entry.file, frame))
    if tiles:
        prepared.placement_map = _map(tiles, spec)
    return prepared


def _unit(entry: PatchEntry) -> str | None:
    return None if entry.row is not None else entry.unit


def merged_spec(arranged: Arranged, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the spec of the session: the user's fields, completed by those that follow from positions."""
    document = {**arranged.spec, **{name: value for name, value in given.items() if value is not None}}
    axes = {**arranged.spec.get('axes', {})}
    for axis, fields in (given.get('axes') or {}).items():
        axes[axis] = {**axes.get(axis, {}), **(fields or {})}
    if axes:
        document['axes'] = axes
    return document


def _common_size(
    arranged: Arranged, kinds: Mapping[str, TileKind], refusals: list[Refusal]
) -> dict[str, int]:
    known = next((kinds[entry.key] for entry in arranged.entries if entry.key in kinds), None)
    if known is None:
        why = refusals[0].line if refusals else 'there is no patch.'
        raise InvalidInputError(f'The size of the tiles cannot be read: {why}')
    return {'x': known.width, 'y': known.height}


def _check_channels(spec: StitchSpec, arranged: Arranged) -> None:
    """Check names against channels, before anything is sent.

    :raises ConflictError: there is not a name for each.
    """
    names = spec.channel_names
    if names is None:
        return
    channels = spec.axis_sizes.get('c') or count_channels(arranged.entries)
    if len(names) != channels:
        found = f'{len(names)} names ({", ".join(names[:8])})'
        raise ConflictError(f'channelNames: expected a name for each of {channels} channels, found {found}.')


def _map(tiles: list[MapTile], spec: StitchSpec) -> PlacementMap:
    if spec.crop is not None:
        return make_map(tiles, origin=(spec.crop.x, spec.crop.y), size=(spec.crop.width, spec.crop.height))
    if spec.size is not None:
        return make_map(tiles, origin=(0, 0), size=spec.size)
    if spec.origin == 'absolute':
        corner = min(0, *(tile.x for tile in tiles)), min(0, *(tile.y for tile in tiles))
        return make_map(tiles, origin=corner)
    return make_map(tiles)
