"""The text files of Fiji's Grid/Collection stitching and of MIST.

Forms: https://imagej.net/plugins/grid-collection-stitching (TileConfiguration.txt, also 3-D and with series)
and https://github.com/usnistgov/MIST/wiki/User-Guide (global positions).
"""

from __future__ import annotations

import re

from girder_zarr.errors import InvalidInputError

from .entry import PatchEntry, PositionSet, finish
from .reading import PIXEL, FileLookup, number, whole
from .tiff_pages import expand

_DIMENSION = re.compile(r'^\s*dim\s*=\s*([0-9]+)\s*$', re.MULTILINE | re.IGNORECASE)
_TILE = re.compile(r'^\s*(?P<file>[^;]*?)\s*;\s*(?P<series>[^;]*?)\s*;\s*\((?P<place>[^)]*)\)\s*$')
_MIST = re.compile(
    r'^\s*file:\s*(?P<file>[^;]+?)\s*;\s*corr:\s*(?P<corr>[^;]*?)\s*;'
    r'\s*position:\s*\((?P<place>[^)]*)\)\s*;\s*grid:\s*\((?P<grid>[^)]*)\)\s*;?\s*$'
)


def is_fiji(text: str) -> bool:
    """Return whether a text is a TileConfiguration."""
    return _DIMENSION.search(text) is not None and any(_TILE.match(line) for line in text.splitlines())


def read_fiji(text: str, where: str, files: FileLookup) -> PositionSet:
    """Return the patches of a TileConfiguration; positions are pixels, a third one counts planes.

    :raises InvalidInputError: a line has another form, or a file is missing.
    """
    match = _DIMENSION.search(text)
    if match is None or match[1] not in {'2', '3'}:
        found = match[0].strip() if match else 'nothing'
        raise InvalidInputError(f'{where}: expected a line dim = 2 or dim = 3, found {found}.')
    count, entries = int(match[1]), []
    for at, line in enumerate(text.splitlines(), 1):
        plain = line.strip().lstrip('\ufeff')
        if not plain or plain.startswith('#') or '=' in plain.partition(';')[0]:
            continue
        tile, name = _TILE.match(plain), f'Line {at} of {where}'
        if tile is None:
            raise InvalidInputError(f'{name}: expected file; series; (x, y), found {plain!r:.80}.')
        place = [number(name, 'position', part) for part in tile['place'].split(',')]
        if len(place) != count:
            raise InvalidInputError(f'{name}: expected {count} numbers, found {tile["place"]!r:.80}.')
        # a series of one file; -1 and nothing stand for all of it
        series = whole(name, 'series', tile['series']) if tile['series'] not in {'', '-1'} else None
        entry = PatchEntry(files.require(name, tile['file']), x=place[0], y=place[1], unit=PIXEL)
        offset = {'z': round(place[2])} if count > 2 else {}
        entries += expand(entry, files, series=series, offset=offset)
    return finish(PositionSet('Fiji', tuple(entries), files.folder), where)


def is_mist(text: str) -> bool:
    """Return whether a text holds MIST's global positions."""
    return any(_MIST.match(line) for line in text.splitlines()[:50])


def read_mist(text: str, where: str, files: FileLookup) -> PositionSet:
    """Return the patches of MIST's global positions, in pixels.

    :raises InvalidInputError: a line has another form, or a file is missing.
    """
    entries = []
    for at, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        tile, name = _MIST.match(line), f'Line {at} of {where}'
        if tile is None:
            expected = 'file: name; corr: number; position: (x, y); grid: (column, row);'
            raise InvalidInputError(f'{name}: expected {expected} found {line.strip()!r:.80}.')
        place = [number(name, 'position', part) for part in tile['place'].split(',')]
        if len(place) != 2:
            raise InvalidInputError(f'{name}: expected two numbers, found {tile["place"]!r:.80}.')
        entry = PatchEntry(files.require(name, tile['file']), x=place[0], y=place[1], unit=PIXEL)
        entries += expand(entry, files)
    return finish(PositionSet('MIST', tuple(entries), files.folder), where)
