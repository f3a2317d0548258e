"""Where patches lie, read from a table or from the names of files."""

from __future__ import annotations

import csv
import json
import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import InvalidInputError

from .patch import Patch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

#: The columns of a table, and what their values are.
_WHOLE = ('row', 'column', 't', 'z', 'c', 'order')
_NUMBERS = ('x', 'y', 'weight')
_TEXTS = ('unit', 'mask', 'maskKey', 'dtype', 'compression')
COLUMNS = ('file', 'key', *_NUMBERS, *_WHOLE, *_TEXTS, 'index', 'shape')
#: The same column by another name.
_ALSO = {'col': 'column', 'mask_key': 'maskKey'}
_MOST_SHOWN = 3


def read_positions(path: Path) -> list[Patch]:
    """Return the patches of a csv file with a header line.

    Columns: ``file``, ``x`` and ``y`` (or ``row`` and ``column``), and where wanted the others of
    :data:`COLUMNS`, which mean what docs/rest.md says; more are passed over. Files are relative to the csv
    file. The key is made of the file's name where it is not given.

    :raises InvalidInputError: a line is wrong or a file is missing; the message gives the line, what was
        expected and what was found.
    """
    try:
        with path.open(newline='', encoding='utf-8-sig') as stream:
            reader = csv.reader(stream, skipinitialspace=True)
            names = [_ALSO.get(name.strip(), name.strip()) for name in next(reader, [])]
            _check_header(path, names)
            patches = [
                _of_line(
                    f'Line {reader.line_num} of {path}', path, _cells(path, reader.line_num, names, line)
                )
                for line in reader
                if any(cell.strip() for cell in line)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f'{path} cannot be read as csv: {error}.'
        raise InvalidInputError(msg) from error
    if not patches:
        msg = f'{path} has no patch: expected a line for each below the header, found none.'
        raise InvalidInputError(msg)
    _check_keys(str(path), patches, 'add a column key')
    return patches


def _check_header(path: Path, names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1 and name in COLUMNS]
    if twice:
        msg = f'Line 1 of {path}: expected each column once, found {twice[0]} twice.'
        raise InvalidInputError(msg)
    placed = {'x', 'y'} <= set(names) or {'row', 'column'} <= set(names)
    if 'file' not in names or not placed:
        found = ', '.join(names)[:200] or 'nothing'
        msg = (
            f'Line 1 of {path}: expected a header line with file, x and y, or with file, row and column; '
            f'found {found}.'
        )
        raise InvalidInputError(msg)


def _cells(path: Path, number: int, names: Sequence[str], line: Sequence[str]) -> dict[str, str]:
    if len(line) > len(names):
        msg = f'Line {number} of {path}: expected {len(names)} cells as in the header, found {len(line)}.'
        raise InvalidInputError(msg)
    return {name: cell.strip() for name, cell in zip(names, line, strict=False) if cell.strip()}


def _of_line(where: str, path: Path, cells: Mapping[str, str]) -> Patch:
    name = cells.get('file', '')
    file = path.parent / name
    if not name or not file.is_file():
        raise InvalidInputError(f'{where}: file: expected the name of a file, found {name!r} ({file}).')
    pairs = (('x', 'y'), ('row', 'column'))
    given = next((pair for pair in pairs if any(axis in cells for axis in pair)), pairs[0])
    for axis in given:
        if axis not in cells:
            raise InvalidInputError(f'{where}: {axis}: expected a number, found nothing.')
    said: dict[str, Any] = {axis: _number(where, axis, cells[axis]) for axis in _NUMBERS if axis in cells}
    said |= {axis: _whole(where, axis, cells[axis]) for axis in _WHOLE if axis in cells}
    said |= {axis: cells[axis] for axis in _TEXTS if axis in cells}
    if 'maskKey' in said:
        said['mask_key'] = said.pop('maskKey')
    if 'index' in cells:
        said['index'] = _index(where, cells['index'])
    if 'shape' in cells:
        said['shape'] = tuple(_whole(where, 'shape', part) for part in re.split(r'[,x ]+', cells['shape']))
    return Patch(cells.get('key') or key_of(name), file, **said)


def key_of(name: str) -> str:
    """Return a key for a file's name: what a key cannot hold becomes an underscore."""
    return re.sub(r'[^A-Za-z0-9._~,@=+-]+', '_', name)[-200:]


def _number(where: str, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidInputError(f'{where}: {name}: expected a number, found {text!r}.')
    return int(value) if value.is_integer() else value


def _whole(where: str, name: str, text: str) -> int:
    if not re.fullmatch(r'[+-]?[0-9]{1,15}', text):
        raise InvalidInputError(f'{where}: {name}: expected a whole number, found {text!r}.')
    return int(text)


def _index(where: str, text: str) -> dict[str, int]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict) or not all(type(one) is int for one in value.values()):
        expected = 'a JSON object of whole numbers such as {"angle": 2}'
        raise InvalidInputError(f'{where}: index: expected {expected}, found {text!r}.')
    return value


def _check_keys(where: str, patches: Sequence[Patch], advice: str) -> None:
    twice = [key for key, count in Counter(patch.key for patch in patches).items() if count > 1]
    if twice:
        raise InvalidInputError(f'{where} has more than one patch with the key {twice[0]}; {advice}.')


def read_folder(folder: Path, pattern: str) -> list[Patch]:
    """Return a patch for each file below a folder whose name has the form of a pattern.

    :param pattern: such as ``x{x}_y{y}.tif`` or ``r{row}_c{col}``. ``{x}``, ``{y}``, ``{row}``, ``{col}``,
        ``{t}``, ``{z}``, ``{c}`` and ``{order}`` stand for numbers, other names in braces for positions along
        axes of these names, ``*`` for anything but a slash. A pattern with slashes is held against paths
        relative to the folder, others against names; one without a suffix fits any suffix.
    :raises InvalidInputError: the pattern is malformed, or no file has its form.
    """
    fits = _compiled(pattern)
    if not folder.is_dir():
        raise InvalidInputError(f'{folder}: expected a folder, because there is a pattern; found none.')
    deep = '/' in pattern
    files = sorted(path for path in (folder.rglob('*') if deep else folder.iterdir()) if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in files]
    patches = []
    for path, name in zip(files, names, strict=True):
        match = fits.fullmatch(name)
        if match is not None:
            patches.append(_of_name(path, name, match.groupdict()))
    if not patches:
        shown = ', '.join(names[:_MOST_SHOWN]) + (', ...' if len(names) > _MOST_SHOWN else '')
        raise InvalidInputError(f'{folder}: expected names such as {pattern!r}, found {shown or "no file"}.')
    _check_keys(str(folder), patches, 'let the pattern tell them apart')
    return patches


def _compiled(pattern: str) -> re.Pattern[str]:
    parts, names = [], []
    for part in re.split(r'(\{[^{}]*\}|\*)', pattern):
        if part == '*':
            parts.append('[^/]*')
        elif part.startswith('{'):
            name = _ALSO.get(part[1:-1], part[1:-1])
            if not re.fullmatch('[a-z][a-z_]{0,30}', name) or name in names:
                msg = f'The pattern {pattern!r}: expected names such as {{x}}, each once, found {part}.'
                raise InvalidInputError(msg)
            names.append(name)
            parts.append(f'(?P<{name}>[+-]?[0-9]+{_FRACTION if name in {"x", "y"} else ""})')
        else:
            parts.append(re.escape(part))
    if not ({'x', 'y'} <= set(names) or {'row', 'column'} <= set(names)):
        msg = f'The pattern {pattern!r}: expected {{x}} and {{y}}, or {{row}} and {{col}}; found neither.'
        raise InvalidInputError(msg)
    suffix = '' if '.' in pattern.rpartition('}')[2] else r'(\.[A-Za-z0-9.]{1,12})?'
    return re.compile(''.join(parts) + suffix)


#: Digits after a point, where they are not the beginning of a suffix.
_FRACTION = r'(?:\.[0-9]+(?![A-Za-z]))?'


def _of_name(path: Path, name: str, found: Mapping[str, str]) -> Patch:
    where = f'The file {path}'
    said: dict[str, Any] = {}
    for axis, text in found.items():
        if axis in {'x', 'y'}:
            said[axis] = _number(where, axis, text)
        elif axis in _WHOLE:
            said[axis] = _whole(where, axis, text)
        else:
            said.setdefault('index', {})[axis] = _whole(where, axis, text)
    return Patch(key_of(name), path, **said)
