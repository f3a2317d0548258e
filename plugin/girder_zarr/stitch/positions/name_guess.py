"""Patterns of the names that programs give to files, and a guess for names of no known program."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from girder_zarr.errors import InvalidInputError

from .harmony import well_name
from .name_pattern import match_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .entry import PatchEntry

#: Patterns by program, the most specific first. ``{zr}`` and such are numbers without a position.
PRESETS: dict[str, tuple[str, ...]] = {
    'cellvoyager': ('*_{well}_T{t}F{field}L{l_}A{a_}Z{z}C{c}.*',),
    'incell': (
        '{well}(fld {field} wv {channel} - * z {z} t {t}).*',
        '{well}(fld {field} wv {channel} - * z {z}).*',
        '{well}(fld {field} wv {channel} - * t {t}).*',
        '{well}(fld {field} wv {channel} - *).*',
        '{well}(fld {field} wv {channel}).*',
        '{well}(fld {field}).*',
    ),
    'metaxpress': ('*_{well}_s{field}_w{c}*', '{well}_s{field}_w{c}*', '{well}_s{field}.*', '{well}_w{c}*'),
    'micromanager': (
        '*Pos_{col}_{row}/img_channel{c}_position{p_}_time{t}_z{z}.*',
        '*Pos_{col}_{row}/img_{t}_{channel}_{z}.*',
        '*Pos{field}/img_channel{c}_position{p_}_time{t}_z{z}.*',
        '*Pos{field}/img_{t}_{channel}_{z}.*',
        'img_channel{c}_position{field}_time{t}_z{z}.*',
    ),
    'harmony': (
        'r{wr_}c{wc_}f{field}p{z}-ch{c}sk{t}*',
        'r{wr_}c{wc_}f{field}p{z}-ch{c}t{t}*',
        'r{wr_}c{wc_}f{field}p{z}rc{c}-ch{k_}sk{t}*',
    ),
    'mist': ('*_r{row}_c{col}_t{t}*', 'img_r{row}_c{col}.*', 'img_pos{field}.*'),
    'fiji': ('tile_{row}_{col}.*', 'tile_{field}.*'),
}
#: What stands before a number in a name, by what the number then is; the whole word.
_WORDS = {
    'row': 'r row',
    'column': 'col column',
    'x': 'x xpos posx',
    'y': 'y ypos posy',
    'c': 'ch channel w wv wave c',
    'z': 'z zpos slice plane sl zstep',
    't': 't time timepoint frame tp',
    'field': 'f fld field s site fov p pos position tile m xy series img image',
}
_MEANING = {word: name for name, words in _WORDS.items() for word in words.split()}
#: Numbers of a grid lie close to each other; a hundred pixels between tiles do not.
_MAX_GAP = 2
_MIN_SHARE = 0.5
_SHOWN = 6
_NOTHING = re.compile('_$')


@dataclass(frozen=True)
class NameGuess:
    """A guess at the positions in the names of files.

    :param program: whose form it is, or ``names``.
    :param pattern: as for `match_names`.
    :param entries: what it makes of the names that fit.
    :param unmatched: the names that do not fit.
    """

    program: str
    pattern: str
    entries: tuple[PatchEntry, ...]
    unmatched: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """Yield the lines that are shown of it: the pattern, and the fields of the first names."""
        total = len(self.entries) + len(self.unmatched)
        yield f'Names were read as {self.pattern} ({self.program}): {len(self.entries)} of {total} files.'
        for entry in self.entries[:_SHOWN]:
            fields = {
                'x': entry.x, 'y': entry.y, 'row': entry.row, 'column': entry.column, 'well': entry.well,
                'field': entry.field, **entry.index,
            }  # fmt: skip
            shown = ', '.join(f'{name} {value}' for name, value in fields.items() if value is not None)
            yield f'  {entry.file}: {shown}'
        if len(self.entries) > _SHOWN:
            yield f'  ... and {len(self.entries) - _SHOWN} more'
        if self.unmatched:
            yield f'  passed over: {", ".join(self.unmatched[:_SHOWN])}' + (
                ', ...' if len(self.unmatched) > _SHOWN else ''
            )


def guess(names: Sequence[str]) -> NameGuess | None:
    """Return a guess at the names of images, or None where no pattern fits at least half of them."""
    if not names:
        return None
    for program in PRESETS:
        found = of_preset(names, program)
        if found is not None and not found.unmatched:
            return found
    return _generic(names)


def of_preset(names: Sequence[str], program: str) -> NameGuess | None:
    """Return what the pattern of a program that fits most names makes of them, or None where none fits.

    :raises InvalidInputError: there are no patterns of such a program.
    """
    if program not in PRESETS:
        raise InvalidInputError(f'preset: expected one of {", ".join(PRESETS)}; found {program!r:.40}.')
    best: NameGuess | None = None
    for pattern in PRESETS[program]:
        entries = [_clean(entry, program) for entry in match_names(names, pattern)]
        if entries and (best is None or len(entries) > len(best.entries)):
            fitting = {entry.file for entry in entries}
            others = tuple(name for name in names if name not in fitting)
            best = NameGuess(program, pattern, tuple(entries), others)
    return best


def _clean(entry: PatchEntry, program: str) -> PatchEntry:
    """Return an entry without the numbers that are no position; Harmony's become the well."""
    index = {axis: at for axis, at in entry.index.items() if not _NOTHING.search(axis)}
    well = entry.well
    if program == 'harmony':
        well = well_name(entry.index['wr_'], entry.index['wc_'])
    return replace(entry, index=index, well=well)


def _generic(names: Sequence[str]) -> NameGuess | None:
    """Guess from the words before the numbers; names that differ in more than numbers are left out."""
    groups: defaultdict[tuple[str, ...], list[list[str]]] = defaultdict(list)
    for name in names:
        pieces = _pieces(PurePosixPath(name).name)
        groups[tuple(pieces[::2])].append(pieces)
    frame, inside = max(groups.items(), key=lambda pair: len(pair[1]))
    if len(inside) < _MIN_SHARE * len(names) or len(frame) < 2:
        return None
    frame, values = _without_dashes(frame, list(zip(*(pieces[1::2] for pieces in inside), strict=True)))
    meanings = _meanings(frame, values)
    if meanings is None:
        return None
    pattern = frame[0] + ''.join(
        (f'{{{meaning}}}' if meaning else values[at][0]) + frame[at + 1]
        for at, meaning in enumerate(meanings)
    )
    pattern = pattern.replace('{column}', '{col}')
    entries = match_names(names, pattern)
    fitting = {entry.file for entry in entries}
    others = tuple(name for name in names if name not in fitting)
    return NameGuess('names', pattern, tuple(entries), others) if entries else None


def _without_dashes(
    frame: tuple[str, ...], values: list[tuple[str, ...]]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Take a dash before x or y for text where all names have it: stages have both sides of their zero."""
    texts = list(frame)
    for at, column in enumerate(values):
        if all(one.startswith('-') for one in column):
            texts[at] += '-'
            values[at] = tuple(one[1:] for one in column)
    return tuple(texts), values


def _pieces(name: str) -> list[str]:
    """Return a name cut into text and numbers, text first and last; the suffix is part of the last text.

    A dash between x or y and its number belongs to the number.
    """
    stem, dot, suffix = name.partition('.') if name.count('.') == 1 else name.rpartition('.')
    parts = re.split('((?:(?<=[xyXY])|(?<=[xyXY][_=]))-[0-9]+|[0-9]+)', stem)
    parts[-1] += dot + suffix
    return parts


def _meanings(frame: Sequence[str], values: Sequence[Sequence[str]]) -> list[str | None] | None:
    """Return what each number of a name is, None for those that never change; None where it is not clear."""
    words = [_last_word(text) for text in frame[:-1]]
    changing = [len(set(column)) > 1 for column in values]
    # c beside r is a column, and a channel otherwise
    rows = any(word in {'r', 'row'} for word in words)
    found: list[str | None] = []
    for word, changes in zip(words, changing, strict=True):
        meaning = 'column' if word == 'c' and rows else _MEANING.get(word)
        found.append(meaning if changes or meaning in {'row', 'column', 'x', 'y'} else None)
    if any(changes and meaning is None for changes, meaning in zip(changing, found, strict=True)):
        unclear = [at for at, changes in enumerate(changing) if changes and found[at] is None]
        # one number without a word counts the places of a scan, two are row and column
        known = {meaning for meaning in found if meaning}
        if len(unclear) > 2 or known & {'row', 'column', 'x', 'y', 'field'}:
            return None
        for at, meaning in zip(unclear, ('row', 'column') if len(unclear) == 2 else ('field',), strict=True):
            found[at] = meaning
    counted = Counter(meaning for meaning in found if meaning)
    if any(count > 1 for count in counted.values()):
        return None
    return _grid_or_pixels(found, values)


def _grid_or_pixels(found: list[str | None], values: Sequence[Sequence[str]]) -> list[str | None] | None:
    """Take x and y that count tiles for columns and rows."""
    if {'x', 'y'} <= set(found):
        numbers = [sorted({int(one) for one in values[found.index(axis)]}) for axis in 'xy']
        gaps = [max((b - a for a, b in pairwise(one)), default=0) for one in numbers]
        if 0 < max(gaps) <= _MAX_GAP:
            names = {'x': 'column', 'y': 'row'}
            return [names.get(one or '', one) for one in found]
        return found
    if {'row', 'column'} <= set(found) or 'field' in found:
        return found
    return None


def _last_word(text: str) -> str:
    words = re.findall('[A-Za-z]+', re.sub('(?<=[a-z])(?=[A-Z])', ' ', text))
    return words[-1].lower() if words and re.search(r'[A-Za-z][\s_=-]*$', text) else ''
