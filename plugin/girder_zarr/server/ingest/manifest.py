"""A manifest: a list of the fields of many patches, JSON or CSV, before the files or by itself."""

from __future__ import annotations

import csv
import io
import itertools
import re
from typing import Any

from girder_zarr.errors import InvalidInputError, LimitExceededError
from girder_zarr.server.common.json_input import parse_json
from girder_zarr.server.patches.document import PAGE_MARK

#: The names that a manifest may have as a member of a stream.
NAMES = ('manifest.json', 'manifest.csv', 'manifest')
#: Enough for a hundred thousand entries of 300 bytes; a manifest is parsed in memory.
MAX_BYTES = 2**25
#: Fields of an entry, with those of objects in them; it has some twenty at most.
FIELDS = 32
#: Positions in names: each of these letters with an integer, apart from the rest of the name.
_IN_NAME = re.compile(r'(?:^|[_\-])([xytzcr])(-?[0-9]{1,10})(?=[_\-.]|$)')

Entry = dict[str, Any]


def parse(data: bytes, max_entries: int) -> list[Entry]:
    """Return the entries of a manifest: the objects of a JSON list (or of ``patches`` in an object), or rows.

    :param max_entries: how many there may be.
    :raises InvalidInputError: it is neither. :raises LimitExceededError: there are more.
    """
    if data.lstrip()[:1] in {b'[', b'{'}:
        given = parse_json(data, (list, dict), 'The manifest', max_values=FIELDS * max_entries + FIELDS)
        listed = given.get('patches') if isinstance(given, dict) else given
        if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
            msg = 'The manifest: expected a list of objects, or an object with such a list as patches.'
            raise InvalidInputError(msg)
        found: list[Entry] = listed
    else:
        found = _table(data, max_entries)
    if len(found) > max_entries:
        msg = f'The manifest has more than {max_entries} entries, which is the limit.'
        raise LimitExceededError(msg)
    return found


def _table(data: bytes, max_entries: int) -> list[Entry]:
    try:
        reader = csv.DictReader(io.StringIO(data.decode('utf-8-sig')), skipinitialspace=True, strict=True)
        if len(reader.fieldnames or ()) > FIELDS:
            msg = f'The manifest: expected at most {FIELDS} columns, found {len(reader.fieldnames or ())}.'
            raise InvalidInputError(msg)
        rows = list(itertools.islice(reader, max_entries + 1))
    except (UnicodeDecodeError, csv.Error) as error:
        msg = f'The manifest is neither JSON nor CSV: {error}.'
        raise InvalidInputError(msg) from error
    if not {'x', 'y'} <= set(reader.fieldnames or ()):
        msg = f'The manifest: expected a table with the columns x and y, found {reader.fieldnames}.'[:300]
        raise InvalidInputError(msg)
    for number, row in enumerate(rows, 2):
        if None in row:
            msg = f'The manifest: row {number} has more values than the header has names.'
            raise InvalidInputError(msg)
    return rows


def by_file(entries: list[Entry]) -> dict[str, list[Entry]]:
    """Return the entries by the name of their file, which is their key where they name none.

    A file has several where each names a page of it; the key of a page is then that of the file, ``@`` and
    its number.

    :raises InvalidInputError: one names neither, or two name the same.
    """
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        name = entry.get('file') or entry.get('key')
        if not isinstance(name, str):
            msg = f'The manifest: expected the name of a file in each entry, found {str(entry)[:80]!r}.'
            raise InvalidInputError(msg)
        others = found.setdefault(name, [])
        if others and not all(_has_page(one) for one in (*others, entry)):
            msg = f'The manifest names {name[:200]} twice; several patches of one file need a page each.'
            raise InvalidInputError(msg)
        fields = {field: value for field, value in entry.items() if field != 'file'}
        own_key = f'{name}{PAGE_MARK}{entry["page"]}' if _has_page(entry) else name
        others.append({**fields, 'key': entry.get('key') or own_key})
    return found


def _has_page(entry: Entry) -> bool:
    return entry.get('page') not in {None, ''}


def from_name(name: str) -> Entry:
    """Return the fields in a name, which is the key: ``tile_x10_y-20_z3.png`` lies at x 10, y -20, z 3.

    Beside a row, as in ``r2_c5.png``, the ``c`` is a column.
    """
    found = {axis: int(index) for axis, index in _IN_NAME.findall(name)}
    if 'r' in found:
        places = {'row': found.pop('r'), 'column': found.pop('c', None)}
        found.update({place: index for place, index in places.items() if index is not None})
    return {'key': name, **found}
