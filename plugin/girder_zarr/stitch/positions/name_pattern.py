"""Positions from the names of files: patterns such as ``r{row}_c{col}_ch{c}.tif``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import InvalidInputError

from .entry import PatchEntry
from .reading import PIXEL, natural, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ALIASES = {'col': 'column', 'site': 'field', 'fov': 'field', 'n': 'field'}
#: What a name in braces stands for; all others are whole numbers along an axis.
_NUMBER = '[+-]?[0-9]+'
#: Digits after a point, where they are not the beginning of a suffix.
_FRACTION = r'(?:\.[0-9]+(?![A-Za-z0-9]))?'
_FORMS = {
    'x': _NUMBER + _FRACTION,
    'y': _NUMBER + _FRACTION,
    # rows may be letters, as those of plates are
    'row': f'(?:{_NUMBER}|[A-Za-z]{{1,2}})',
    'well': '[A-Za-z]{1,2} ?-? ?[0-9]{1,2}',
    # a number or a name
    'channel': '[A-Za-z0-9][A-Za-z0-9 .+-]*?',
}
_SHOWN = 3


def match_names(names: Sequence[str], pattern: str) -> list[PatchEntry]:
    """Return an entry for each name that has the form of a pattern, in the order of their numbers.

    :param names: relative to a folder, with slashes.
    :param pattern: ``{x}``, ``{y}``, ``{row}``, ``{col}``, ``{t}``, ``{z}``, ``{c}``, ``{field}``,
        ``{order}`` and ``{page}`` stand for numbers (a row may be letters), ``{well}`` for such as B03,
        ``{channel}`` for a name, other names in braces for positions along axes of these names, ``*`` for
        anything but a slash.
        A pattern with slashes is matched with paths, others with the name of the file; one without a
        suffix fits any suffix.
    :raises InvalidInputError: the pattern is malformed, or the names of channels cannot be numbered.
    """
    form = compile_pattern(pattern)
    deep = pattern.count('/')
    found = []
    for name in sorted(names, key=natural):
        compared = '/'.join(name.split('/')[-deep - 1 :])
        match = form.fullmatch(compared)
        if match is not None:
            found.append((name, match.groupdict()))
    channels = dict.fromkeys(groups['channel'] for _, groups in found if 'channel' in groups)
    numbers = {text: at for at, text in enumerate(channels)}
    return [_entry(name, groups, numbers) for name, groups in found]


def channel_names(names: Sequence[str], pattern: str) -> dict[int, str]:
    """Return the names of channels that ``{channel}`` found, by the number that `match_names` gave them."""
    form, deep = compile_pattern(pattern), pattern.count('/')
    matches = [form.fullmatch('/'.join(name.split('/')[-deep - 1 :])) for name in sorted(names, key=natural)]
    found = [match.groupdict().get('channel') for match in matches if match is not None]
    return dict(enumerate(dict.fromkeys(text for text in found if text is not None)))


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern.

    :raises InvalidInputError: a name in braces is malformed or there twice.
    """
    parts, names = [], []
    for part in re.split(r'(\{[^{}]*\}|\*)', pattern):
        if part == '*':
            parts.append('[^/]*?')
        elif part.startswith('{'):
            name = _ALIASES.get(part[1:-1], part[1:-1])
            if not re.fullmatch('[a-z][a-z_]{0,30}', name) or name in names:
                raise InvalidInputError(
                    f'The pattern {pattern!r}: expected names such as {{x}}, each once, found {part}.'
                )
            names.append(name)
            parts.append(f'(?P<{name}>{_FORMS.get(name, _NUMBER)})')
        else:
            parts.append(re.escape(part))
    suffix = '' if '.' in pattern.rpartition('}')[2] else r'(\.[A-Za-z0-9.]{1,12})?'
    return re.compile(''.join(parts) + suffix, re.IGNORECASE)


def check_placed(pattern: str) -> None:
    """Check that a pattern says where a patch lies.

    :raises InvalidInputError: it does not.
    """
    names = set(compile_pattern(pattern).groupindex)
    if not ({'x', 'y'} <= names or {'row', 'column'} <= names or 'field' in names):
        expected = '{x} and {y}, or {row} and {col}, or {field} with a path of the stage'
        raise InvalidInputError(f'The pattern {pattern!r}: expected {expected}; found neither.')


def no_match(where: str, names: Sequence[str], pattern: str) -> InvalidInputError:
    """Return the error for a pattern that no name has."""
    shown = ', '.join(names[:_SHOWN]) + (', ...' if len(names) > _SHOWN else '')
    return InvalidInputError(f'{where}: expected names such as {pattern!r}, found {shown or "no file"}.')


def _entry(name: str, groups: Mapping[str, str], channels: Mapping[str, int]) -> PatchEntry:
    where = f'The file {name}'
    fields: dict[str, Any] = {}
    index: dict[str, int] = {}
    for axis, text in groups.items():
        if axis in {'x', 'y'}:
            fields[axis] = number(where, axis, text)
            fields['unit'] = PIXEL
        elif axis == 'row':
            fields['row'] = int(text) if re.fullmatch(_NUMBER, text) else _letters(text)
        elif axis == 'well':
            fields['well'] = plain_well(text)
        elif axis == 'channel':
            index['c'] = channels[text]
        elif axis in {'column', 'field', 'page'}:
            fields[axis] = int(text)
        elif axis == 'order':
            fields['options'] = {'order': int(text)}
        else:
            index[axis] = int(text)
    return PatchEntry(name, index=index, **fields)


def plain_well(text: str) -> str:
    """Return the name of a well without gaps, with two digits."""
    letters, digits = re.sub('[^A-Za-z]', '', text), re.sub('[^0-9]', '', text)
    return f'{letters.upper()}{int(digits):02d}'


def _letters(text: str) -> int:
    """Return the number of a row that is named by letters, from 1."""
    found = 0
    for letter in text.upper():
        found = found * 26 + ord(letter) - ord('A') + 1
    return found
