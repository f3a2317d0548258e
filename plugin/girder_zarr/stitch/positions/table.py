"""Positions in a table with a header line, as people and programs write it."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import InvalidInputError

from .entry import PatchEntry, PositionSet, finish
from .reading import PIXEL, FileLookup, number, parse_small_json, steady_step, unit_of, whole
from .tiff_pages import expand

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WHOLE = ('row', 'column', 't', 'z', 'c', 'page', 'field', 'order')
_TEXTS = ('mask', 'maskKey', 'dtype', 'compression', 'orientation')
_OPTIONS = ('order', 'weight', 'mask', 'maskKey', 'dtype', 'compression', 'orientation', 'shape')
#: The columns of a table; docs/rest.md says what most of them mean.
COLUMNS = ('file', 'key', 'x', 'y', 'unit', *_WHOLE, 'weight', *_TEXTS, 'index', 'shape', 'well')
_ALIASES = {
    'file': 'filename file_name name image imagename image_name image_file tile tilename tile_name path '
    'filepath file_path url',
    'x': 'pos_x posx position_x positionx x_position xposition x_pos xpos stage_x stagex x_stage left x0',
    'y': 'pos_y posy position_y positiony y_position yposition y_pos ypos stage_y stagey y_stage top y0',
    'z': 'pos_z posz position_z positionz z_position zposition z_pos zpos stage_z slice plane z_index zindex',
    't': 'time timepoint time_point frame t_index time_index',
    'c': 'channel ch channel_index channel_name wavelength',
    'column': 'col colum grid_col gridcol column_index',
    'row': 'grid_row gridrow row_index',
    'field': 'site fov field_index site_index',
    'maskKey': 'mask_key maskkey',
    'unit': 'units',
}
_NAMES = {alias: name for name, aliases in _ALIASES.items() for alias in aliases.split()}
_NAMES |= {name.lower(): name for name in COLUMNS}
#: Words in the name of a column that give the position of a patch: without it the image would be wrong.
_AXIS_WORDS = {
    *('angle', 'view', 'illumination', 'phase', 'round', 'cycle', 'scene', 'series', 'section', 'stack'),
    *('position', 'pos', 'stage', 'axis', 'offset', 'location', 'coordinate', 'coord', 'layer', 'lambda'),
    *('plane', 'slice', 'time', 'channel', 'row', 'col', 'column', 'index', 'depth', 'level', 'rotation'),
}
_UNIT_SUFFIX = re.compile(r'^(.*?)[\s_]*[(\[{]\s*([^)\]}]+?)\s*[)\]}]$')
_UNIT_WORD = re.compile(r'^(.+)_(px|pixels?|nm|um|\u00b5m|\u03bcm|microns?|micrometers?|mm|cm|m)$')


@dataclass
class _Header:
    """The header line: the column of each cell ('' for ignored ones), units by column."""

    names: list[str]
    units: dict[str, str] = field(default_factory=dict)


def is_table(text: str) -> bool:
    """Return whether a text begins with a header line that names files."""
    lines = text.lstrip('\ufeff').splitlines()
    if not lines:
        return False
    cells = lines[0].split(_delimiter(lines[0]))
    return len(cells) > 1 and any(_name(cell)[0] == 'file' for cell in cells)


def read_table(text: str, where: str, files: FileLookup) -> PositionSet:
    """Return the patches of a table: comma, semicolon or tab between cells, one line a patch.

    Columns: a file, with x and y or row and column, and where wanted the others of :data:`COLUMNS`, in any
    case and under the usual other names. Units stand in the header (``X (um)``, ``x_mm``), in a column
    ``unit``, or not at all, which means pixels. Other columns are passed over unless they look like an axis.

    :raises InvalidInputError: a line is wrong or a file is missing; the message gives the line, what was
        expected and what was found.
    """
    plain = text.lstrip('\ufeff')
    first = plain.partition('\n')[0].rstrip('\r')
    delimiter = _delimiter(first)
    reader = csv.reader(io.StringIO(plain, newline=''), delimiter=delimiter, skipinitialspace=True)
    try:
        header = _header(where, next(reader, []))
        rows = [
            (f'Line {reader.line_num} of {where}', _cells(where, reader.line_num, header.names, line))
            for line in reader
            if any(cell.strip() for cell in line)
        ]
    except csv.Error as error:
        raise InvalidInputError(f'{where} cannot be read as csv: {error}.') from error
    channels = _channel_numbers([cells.get('c', '') for _, cells in rows])
    depths, z_unit = _depths(header, rows, comma=delimiter != ',')
    entries: list[PatchEntry] = []
    for line, cells in rows:
        if channels is not None and 'c' in cells:
            cells['c'] = str(channels[cells['c']])
        if depths is not None and 'z' in cells:
            cells['z'] = str(depths[number(line, 'z', cells['z'], comma=delimiter != ',')])
        entries += expand(_entry(line, header, cells, files, comma=delimiter != ','), files)
    positions = PositionSet(
        'table',
        tuple(entries),
        files.folder,
        channel_names={} if channels is None else {at: name for name, at in channels.items()},
        values={} if depths is None else {'z': {at: z for z, at in depths.items()}},
        value_units={} if depths is None else {'z': z_unit},
        steps=_steps(depths),
    )
    return finish(positions, where)


def _delimiter(line: str) -> str:
    """Return the sign that most often stands between the names of the header."""
    return max(',;\t', key=lambda sign: (line.count(sign), sign == ','))


def _name(cell: str) -> tuple[str, str | None]:
    """Return the column that a cell of the header names ('' if none) and the unit that it gives."""
    plain = cell.strip().strip('"').strip()
    match = _UNIT_SUFFIX.match(plain)
    plain, unit = (match[1], match[2]) if match else (plain, None)
    name = re.sub(r'[\s.\-]+', '_', plain.strip()).lower()
    if name not in _NAMES and unit is None and (match := _UNIT_WORD.match(name)):
        name, unit = match[1], match[2]
    return _NAMES.get(name, ''), unit


def _header(where: str, cells: Sequence[str]) -> _Header:
    line, header = f'Line 1 of {where}', _Header([])
    for cell in cells:
        name, unit = _name(cell)
        if not name and _looks_like_axis(cell):
            raise InvalidInputError(
                f'{line}: expected columns such as {", ".join(COLUMNS[:11])}; found {cell.strip()!r:.60}, '
                'which looks like an axis. Name it as one of these, give it in a column index as '
                '{"angle": 2}, or remove it.'
            )
        header.names.append(name)
        if unit is not None and name in {'x', 'y', 'z'}:
            header.units[name] = unit_of(f'{line}: {cell.strip()}', unit)
    twice = [name for name, count in Counter(header.names).items() if count > 1 and name]
    if twice:
        raise InvalidInputError(f'{line}: expected each column once, found {twice[0]} twice.')
    placed = {'x', 'y'} <= set(header.names) or {'row', 'column'} <= set(header.names)
    if 'file' not in header.names or not (placed or 'field' in header.names):
        found = ', '.join(cell.strip() for cell in cells)[:200] or 'nothing'
        raise InvalidInputError(
            f'{line}: expected a header line with file, x and y, or with file, row and column; found {found}.'
        )
    if header.units.get('x') != header.units.get('y'):
        found = f'{header.units.get("x")} and {header.units.get("y")}'
        raise InvalidInputError(f'{line}: expected one unit for x and y, found {found}.')
    return header


def _looks_like_axis(cell: str) -> bool:
    words = re.findall(r'[a-z]+', re.sub(r'(?<=[a-z])(?=[A-Z])', ' ', cell.strip()).lower())
    return any(len(word) == 1 or word in _AXIS_WORDS for word in words)


def _cells(where: str, number_: int, names: Sequence[str], line: Sequence[str]) -> dict[str, str]:
    extra = [cell for cell in line[len(names) :] if cell.strip()]
    if extra:
        raise InvalidInputError(
            f'Line {number_} of {where}: expected {len(names)} cells as in the header, found {len(line)}.'
        )
    pairs = zip(names, line, strict=False)
    return {name: cell.strip() for name, cell in pairs if name and cell.strip()}


def _channel_numbers(cells: Sequence[str]) -> dict[str, int] | None:
    """Return a number for each name of a channel, in the order of the lines; None where they are numbers."""
    if all(re.fullmatch('[+-]?[0-9]+', cell) for cell in cells if cell):
        return None
    return {name: at for at, name in enumerate(dict.fromkeys(cell for cell in cells if cell))}


def _depths(
    header: _Header, rows: Sequence[tuple[str, dict[str, str]]], *, comma: bool
) -> tuple[dict[float, int] | None, str]:
    """Return the plane of each height where z is a length, and its unit."""
    unit = header.units.get('z')
    if unit is None or unit == PIXEL:
        return None, ''
    heights = {number(line, 'z', cells['z'], comma=comma) for line, cells in rows if 'z' in cells}
    return {height: at for at, height in enumerate(sorted(heights))}, unit


def _steps(depths: Mapping[float, int] | None) -> dict[str, float]:
    step = steady_step(depths or ())
    return {} if step is None else {'z': step}


def _entry(
    line: str, header: _Header, cells: dict[str, str], files: FileLookup, *, comma: bool
) -> PatchEntry:
    file = files.require(line, cells.get('file', ''))
    pairs = (('x', 'y'), ('row', 'column'))
    given = next((pair for pair in pairs if any(axis in cells for axis in pair)), None)
    if given is None and 'field' not in cells:
        given = next((pair for pair in pairs if pair[0] in header.names), pairs[0])
    for axis in given or ():
        if axis not in cells:
            raise InvalidInputError(f'{line}: {axis}: expected a number, found nothing.')
    x, y = (number(line, axis, cells[axis], comma=comma) if axis in cells else None for axis in 'xy')
    numbers = {axis: whole(line, axis, cells[axis]) for axis in _WHOLE if axis in cells}
    unit = unit_of(line, cells['unit']) if 'unit' in cells else header.units.get('x')
    index: dict[str, int] = {axis: numbers.pop(axis) for axis in ('t', 'c', 'z') if axis in numbers}
    more = _index(line, cells['index']) if 'index' in cells else {}
    options: dict[str, Any] = {name: cells[name] for name in _TEXTS if name in cells}
    if 'order' in numbers:
        options['order'] = numbers.pop('order')
    if 'weight' in cells:
        options['weight'] = number(line, 'weight', cells['weight'], comma=comma)
    if 'shape' in cells:
        sides = re.split(r'[,x ]+', cells['shape'])
        options['shape'] = tuple(whole(line, 'shape', side) for side in sides)
    place: dict[str, Any] = {'x': x, 'y': y, 'unit': None if x is None else unit, **numbers}
    return PatchEntry(
        file, cells.get('key', ''), index={**more, **index}, well=cells.get('well'), options=options,
        **place,
    )  # fmt: skip


def _index(line: str, text: str) -> dict[str, int]:
    value = parse_small_json(text)
    if not isinstance(value, dict) or not all(type(one) is int for one in value.values()):
        expected = 'a JSON object of whole numbers such as {"angle": 2}'
        raise InvalidInputError(f'{line}: index: expected {expected}, found {text!r:.80}.')
    return value
