"""Numbers as programs give them become indices from 0; the true numbers become values of the axis."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import InvalidInputError
from girder_zarr.stitch.patch import MAX_INDEX
from girder_zarr.stitch.spec.axes import MAX_VALUES

from .stage_orientation import Orientation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from girder_zarr.stitch.positions.entry import PatchEntry, PositionSet

    from .scan_path import ScanPath

_STEP_UNITS = {'z': 'micrometer', 't': 'second'}


@dataclass(frozen=True, slots=True)
class Arranged:
    """Entries that all have a place and indices from 0, and the fields of the spec that describe them.

    :param entries: in the order of the source; rows and columns as they are counted in the result.
    :param spec: fields of a spec that follow from the positions; what the user says comes before them.
    :param notes: sentences for the user who looks at the result.
    """

    entries: tuple[PatchEntry, ...]
    spec: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def arrange(
    positions: PositionSet,
    *,
    orientation: Orientation | None = None,
    scan: ScanPath | None = None,
    index_base: int | None = None,
) -> Arranged:
    """Return entries with places and indices.

    :param scan: the path of the stage, where patches only have numbers of fields.
    :param index_base: 0: numbers along c, z, t and others are indices already; None: the smallest is 0.
    :raises InvalidInputError: it is not known where an entry lies, or not all name the same axes.
    """
    entries = placed(positions.entries, scan)
    _check_same_axes(entries)
    entries = (orientation or Orientation()).apply(entries)
    spec: dict[str, Any] = {}
    if positions.pixel_size is not None:
        size = positions.pixel_size
        spec['pixelSize'] = {'x': size.x, 'y': size.y, 'unit': size.unit}
    if index_base == 0:
        spec['indexBase'] = 0
    firsts = {} if index_base == 0 else first_numbers(entries)
    axes = _axes(positions, entries, firsts)
    if axes:
        spec['axes'] = axes
    names = _channel_names(positions, entries, firsts)
    if names:
        spec['channelNames'] = names
    counted = [_counted(entry, firsts) for entry in entries]
    return Arranged(tuple(counted), spec, positions.notes)


def first_numbers(entries: Iterable[PatchEntry]) -> dict[str, int]:
    """Return the smallest number along each axis, rows and columns among them."""
    found: dict[str, int] = {}
    for entry in entries:
        numbers = {**entry.index}
        if entry.row is not None and entry.column is not None:
            numbers |= {'row': entry.row, 'column': entry.column}
        for axis, number in numbers.items():
            found[axis] = min(number, found.get(axis, number))
    return found


def _counted(entry: PatchEntry, firsts: dict[str, int]) -> PatchEntry:
    index = {axis: number - firsts.get(axis, 0) for axis, number in entry.index.items()}
    row, column = (
        None if one is None else one - firsts.get(axis, 0)
        for axis, one in (('row', entry.row), ('column', entry.column))
    )
    for axis, number in index.items():
        if not 0 <= number <= MAX_INDEX:
            raise InvalidInputError(
                f'{entry.name}: {axis}: expected an index from 0 to {MAX_INDEX}, found {number}.'
            )
    return replace(entry, index=index, row=row, column=column)


def placed(entries: Sequence[PatchEntry], scan: ScanPath | None) -> list[PatchEntry]:
    """Return entries that all have a place.

    A field's number is its place on the path. Where there is one patch a frame, it lies at 0, 0.

    :raises InvalidInputError: there are several places, and nothing says where they are.
    """
    without = [entry for entry in entries if not entry.is_placed]
    if not without:
        return list(entries)
    numbers = {entry.field for entry in without if entry.field is not None}
    if scan is not None:
        bad = next((entry for entry in without if entry.field is None), None)
        if bad is not None:
            raise InvalidInputError(f'{bad.name}: expected a number for its place on the path, found none.')
        first = min(numbers)
        count = max(numbers) - first + 1
        cells = {number: scan.cell(number - first, count) for number in numbers if number is not None}
        return [
            entry
            if entry.is_placed or entry.field is None
            else replace(entry, row=cells[entry.field][0], column=cells[entry.field][1])
            for entry in entries
        ]
    frames = Counter((entry.well, tuple(sorted(entry.index.items()))) for entry in without)
    if len(numbers) > 1 or max(frames.values()) > 1:
        places = f'{len(numbers)} numbered places' if numbers else f'{max(frames.values())} patches a frame'
        raise InvalidInputError(
            f'{without[0].name}: expected a position, or the path of the stage over a grid '
            f'(--columns 5 --path snake); found {places}.'
        )
    return [entry if entry.is_placed else replace(entry, row=0, column=0) for entry in entries]


def _check_same_axes(entries: Sequence[PatchEntry]) -> None:
    kinds: defaultdict[tuple[str, ...], list[PatchEntry]] = defaultdict(list)
    for entry in entries:
        kinds[tuple(sorted(entry.index))].append(entry)
    if len(kinds) < 2:
        return
    common = max(kinds, key=lambda axes: len(kinds[axes]))
    other = next(axes for axes in kinds if axes != common)
    found = ', '.join(other) or 'none'
    raise InvalidInputError(
        f'{kinds[other][0].name}: expected the axes {", ".join(common) or "none"} as the other patches have, '
        f'found {found}.'
    )


def _axes(
    positions: PositionSet, entries: Sequence[PatchEntry], firsts: dict[str, int]
) -> dict[str, dict[str, Any]]:
    """Return the spec's ``axes``: the step where it is known, else the true numbers as values."""
    axes: dict[str, dict[str, Any]] = {}
    for axis in sorted({axis for entry in entries for axis in entry.index}):
        numbers = {entry.index[axis] for entry in entries}
        first, last = firsts.get(axis, 0), max(numbers)
        known = positions.values.get(axis, {})
        description: dict[str, Any] = {}
        if axis in positions.steps and axis in _STEP_UNITS:
            description = {'step': positions.steps[axis], 'unit': _STEP_UNITS[axis]}
        values: list[Any] = [
            known.get(number, None if known else number) for number in range(first, last + 1)
        ]
        if (known or first) and len(values) <= MAX_VALUES:
            description['values'] = values
            if known and axis in positions.value_units:
                description['unit'] = positions.value_units[axis]
        if description:
            axes[axis] = description
    return axes


def _channel_names(
    positions: PositionSet, entries: Sequence[PatchEntry], firsts: dict[str, int]
) -> list[str]:
    names = positions.channel_names
    if not names:
        return []
    numbers = {entry.index['c'] for entry in entries if 'c' in entry.index}
    if not numbers:
        return [next(iter(names.values()))] if len(names) == 1 else []
    return [names.get(number, f'Channel {number}') for number in range(firsts.get('c', 0), max(numbers) + 1)]


def count_channels(entries: Iterable[PatchEntry]) -> int:
    """Return how many channels entries with indices from 0 make."""
    return 1 + max((entry.index.get('c', 0) for entry in entries), default=0)
