"""A plan from what a client says of its files, without the files: the document of stitch_session/plan."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import InvalidInputError, LimitExceededError
from girder_zarr.stitch.positions.entry import OwnPlaces, OwnPlane, PatchEntry, PositionSet, finish, key_of
from girder_zarr.stitch.positions.reading import FileLookup
from girder_zarr.stitch.positions.recognise import TIFF_PROGRAMS, by_names, by_own_places, read_positions

from .counting import arrange
from .placement_map import MAX_SHOWN
from .preparation import Preparation, prepare
from .refusal import Refusal
from .scan_path import ScanPath
from .stage_orientation import Orientation
from .tile_sizes import TileKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from girder_zarr.stitch.positions.name_guess import NameGuess

#: Patches or files of one request.
MAX_FILES = 20_000
#: Characters of a position file that a request carries.
MAX_TEXT = 8 * 2**20
#: Characters of a name, and of a note.
MAX_NAME = 1024
#: Levels of JSON in a request; a spec has five.
MAX_DEPTH = 12
#: Sides of a tile, as patches may have them.
MAX_SIDE = 2**22
_FIELDS = {'spec', 'patches', 'files', 'positions', 'pattern', 'preset', 'orientation', 'scan', 'well'}
_PATCH = {'key', 'file', 'width', 'height', 'bands', 'dtype', 'x', 'y', 'unit', 'row', 'column', 'index',
          'c', 'z', 't', 'field', 'well', 'page'}  # fmt: skip
_PLACES = {'program', 'planes', 'pixelSizes', 'steps', 'heights', 'channels', 'notes'}
_WHOLE = ('row', 'column', 'field', 'page', 'c', 'z', 't')


def plan_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan that a request asks for, as JSON; nothing is stored.

    ``patches`` say of each its place and size; or ``files`` name them with their sizes, and ``positions``
    (``{name, text}``), ``pattern``, ``preset`` or nothing (a guess) say where they lie. ``orientation``,
    ``scan`` and ``well`` are as on the command line; ``spec`` is that of the session.

    A file may have ``pages`` (``[{page, index}]``), each of which is a patch, or ``places``, what its own
    tags say of where its pages lie (:func:`places_json`), which count where nothing else is given.

    :returns: the map's document; ``placements``: ``[{key, file, page, x, y, width, height, index}]`` in
        pixels, ``unit`` and so on aside; ``pattern`` and ``guess``: what the names were taken for;
        ``placedBy``: ``position``, ``grid`` (rows and columns) or ``path`` (numbers along a path).
    :raises InvalidInputError: a field is unknown or malformed.
    :raises LimitExceededError: there are too many files, or a position file is too large.
    """
    _check_depth(body)
    unknown = sorted(set(body) - _FIELDS)
    if unknown:
        raise InvalidInputError(f'{unknown[0]:.80}: expected one of {", ".join(sorted(_FIELDS))}.')
    positions, kinds, names, others = _positions(body)
    wells = positions.wells
    if body.get('well') is not None:
        positions = positions.of_well(_text('well', body['well'], 16))
    given = body.get('spec') or {}
    if not isinstance(given, dict):
        raise InvalidInputError(f'spec: expected an object, found {type(given).__name__}.')
    arranged = arrange(
        positions,
        orientation=_orientation(body.get('orientation')),
        scan=_scan(body.get('scan')),
        index_base=given.get('indexBase'),
    )
    refusals = [
        Refusal(entry.key, entry.file, 'expected its width and height, found none.')
        for entry in arranged.entries
        if entry.key not in kinds
    ] + [Refusal(key_of(file), file, message) for file, message in others.items()]
    prepared = prepare(arranged, given, kinds, refusals)
    return {
        **prepared.to_json(),
        'program': positions.program,
        'wells': wells,
        'pattern': None if names is None else names.pattern,
        'guess': [] if names is None else list(names.lines()),
        'placedBy': _placed_by(positions),
        'placements': _placements(prepared),
    }


def _check_depth(body: Mapping[str, Any]) -> None:
    """Check how deeply a document is nested, before anything walks or prints it."""
    level: list[Any] = [body]
    for _ in range(MAX_DEPTH):
        level = [
            one
            for value in level
            for one in (value.values() if isinstance(value, dict) else value)
            if isinstance(one, dict | list)
        ]
    if level:
        raise InvalidInputError(f'The body: expected at most {MAX_DEPTH} levels of JSON, found more.')


def _placed_by(positions: PositionSet) -> str:
    """Return what says where patches lie: what of a form somebody has to fill in follows from it."""
    if any(entry.x is None and entry.row is None for entry in positions.entries):
        return 'path'
    return 'grid' if any(entry.row is not None for entry in positions.entries) else 'position'


def _placements(prepared: Preparation) -> list[dict[str, Any]]:
    if prepared.placement_map is None:
        return []
    pages = {entry.key: entry.page for entry in prepared.arranged.entries}
    return [
        {
            'key': tile.key,
            'file': tile.file,
            **({} if pages[tile.key] is None else {'page': pages[tile.key]}),
            'x': tile.x,
            'y': tile.y,
            'width': tile.width,
            'height': tile.height,
            'index': dict(tile.frame),
        }
        for tile in prepared.placement_map.tiles
    ]


def _positions(
    body: Mapping[str, Any],
) -> tuple[PositionSet, dict[str, TileKind], NameGuess | None, dict[str, str]]:
    """Return positions, kinds of tiles by key, what names were taken for, and why files are left out."""
    if body.get('patches') is not None:
        entries, kinds = [], {}
        for at, one in enumerate(_list('patches', body['patches'])):
            entry, kind = _patch(f'patches[{at}]', one)
            entries.append(entry)
            if kind is not None:
                kinds[entry.key] = kind
        return finish(PositionSet('request', tuple(entries)), 'The request'), kinds, None, {}
    files, sizes = _files(body)
    taken, others = None, dict[str, str]()
    if body.get('positions') is not None:
        document = body['positions']
        if not isinstance(document, dict) or not isinstance(document.get('text'), str):
            raise InvalidInputError('positions: expected an object with name and text, found something else.')
        if len(document['text']) > MAX_TEXT:
            raise LimitExceededError(f'positions.text: expected at most {MAX_TEXT} characters.')
        where = str(document.get('name') or 'positions')
        positions = read_positions(document['text'], where if where in files.names else where[:200], files)
    elif files.own and body.get('pattern') is None and body.get('preset') is None:
        positions, others = by_own_places(files)
    else:
        pattern, preset = (
            None if body.get(name) is None else _text(name, body[name], 1024)
            for name in ('pattern', 'preset')
        )
        found = by_names(files, 'The request', pattern=pattern, preset=preset)
        positions, taken = found.positions, found.guess
    kinds = {entry.key: sizes[entry.file] for entry in positions.entries if entry.file in sizes}
    return positions, kinds, taken, others


def _files(body: Mapping[str, Any]) -> tuple[FileLookup, dict[str, TileKind]]:
    """Return the files of a request, with their pages and places, and their sizes by name."""
    sizes: dict[str, TileKind] = {}
    names = []
    pages: dict[str, list[tuple[int, dict[str, int]]]] = {}
    own: dict[str, OwnPlaces] = {}
    for at, one in enumerate(_list('files', body.get('files'))):
        name = _text(f'files[{at}].name', one.get('name'), 1024)
        names.append(name)
        kind = _kind(f'files[{at}]', one)
        if kind is not None:
            sizes[name] = kind
        if one.get('pages') is not None:
            pages[name] = _pages(f'files[{at}].pages', one['pages'])
        if one.get('places') is not None:
            own[name] = _own_places(f'files[{at}].places', one['places'])
    for listed in (pages.values(), [one.planes for one in own.values()]):
        if sum(map(len, listed)) > MAX_FILES:
            raise LimitExceededError(f'files: expected at most {MAX_FILES} pages in all.')
    return FileLookup(None, names, pages=pages, own=own), sizes


def _list(name: str, value: Any) -> Sequence[Mapping[str, Any]]:
    if not isinstance(value, list) or not value or not all(isinstance(one, dict) for one in value):
        raise InvalidInputError(f'{name}: expected a list of objects, found {type(value).__name__}.')
    if len(value) > MAX_FILES:
        raise LimitExceededError(f'{name}: expected at most {MAX_FILES}, found {len(value)}.')
    return value


def _text(name: str, value: Any, longest: int) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= longest:
        raise InvalidInputError(f'{name}: expected 1 to {longest} characters, found {value!r:.80}.')
    return value


def _whole(name: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidInputError(f'{name}: expected an integer from {low} to {high}, found {value!r:.40}.')
    return value


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e15:
        raise InvalidInputError(f'{name}: expected a number, found {value!r:.40}.')
    return float(value)


def _kind(where: str, one: Mapping[str, Any]) -> TileKind | None:
    if one.get('width') is None and one.get('height') is None:
        return None
    sides = [_whole(f'{where}.{name}', one.get(name), 1, MAX_SIDE) for name in ('height', 'width')]
    return TileKind(sides[0], sides[1], 1, 'uint8')


def _pages(where: str, given: Any) -> list[tuple[int, dict[str, int]]]:
    """Return the number of each page of a file, and its place along c, z and t."""
    found = []
    for at, one in enumerate(_list(where, given)):
        index = one.get('index') or {}
        if set(one) - {'page', 'index'} or not isinstance(index, dict) or set(index) - {'c', 'z', 't'}:
            raise InvalidInputError(f'{where}[{at}]: expected page, and index with c, z and t.')
        page = _whole(f'{where}[{at}].page', one.get('page'), 0, MAX_SIDE)
        found.append((page, {axis: _whole(f'{where}[{at}].index.{axis}', number, 0, MAX_SIDE)
                             for axis, number in index.items()}))  # fmt: skip
    return found


def places_json(own: OwnPlaces) -> dict[str, Any]:
    """Return what a file says of its places as JSON, in micrometers; what is not said is left out."""
    planes = [
        {
            **({} if plane.page is None else {'page': plane.page}),
            **({} if plane.x is None else {'x': plane.x, 'y': plane.y}),
            **({'index': dict(plane.index)} if plane.index else {}),
        }
        for plane in own.planes
    ]
    more = {
        'pixelSizes': [list(pair) for pair in own.pixel_sizes],
        'steps': list(own.steps),
        'heights': {str(at): height for at, height in own.heights.items()},
        'channels': {str(at): name[:MAX_NAME] for at, name in own.channels.items() if name},
        'notes': [note[:MAX_NAME] for note in own.notes],
    }
    return {
        'program': own.program,
        'planes': planes,
        **{name: value for name, value in more.items() if value},
    }


def _own_places(where: str, given: Any) -> OwnPlaces:
    """Return what a file says of its places, from JSON."""
    if not isinstance(given, dict) or given.get('program') not in TIFF_PROGRAMS:
        programs = ', '.join(TIFF_PROGRAMS)
        raise InvalidInputError(f'{where}: expected an object with program, one of {programs}, and planes.')
    unknown = sorted(set(given) - _PLACES)
    if unknown:
        raise InvalidInputError(f'{where}.{unknown[0]:.80}: expected one of {", ".join(sorted(_PLACES))}.')
    planes = []
    for at, one in enumerate(_list(f'{where}.planes', given.get('planes'))):
        if set(one) - {'page', 'x', 'y', 'index'} or ('x' in one) != ('y' in one):
            raise InvalidInputError(f'{where}.planes[{at}]: expected page, x and y, and index.')
        ((page, index),) = _pages(
            f'{where}.planes[{at}]', [{'page': one.get('page', 0), 'index': one.get('index')}]
        )
        x, y = (
            _number(f'{where}.planes[{at}].{name}', one[name]) if name in one else None for name in ('x', 'y')
        )
        planes.append(OwnPlane(page if 'page' in one else None, x, y, index))
    if all(plane.x is None for plane in planes):
        raise InvalidInputError(f'{where}.planes: expected one at least with x and y, found none.')
    sizes = []
    for pair in _some(f'{where}.pixelSizes', given.get('pixelSizes'), list):
        if not isinstance(pair, list) or len(pair) != 2:
            raise InvalidInputError(f'{where}.pixelSizes: expected pairs of numbers, found {pair!r:.40}.')
        sizes.append((_number(f'{where}.pixelSizes', pair[0]), _number(f'{where}.pixelSizes', pair[1])))
    heights, channels = (
        {
            _place(f'{where}.{name}', key): value
            for key, value in _some(f'{where}.{name}', given.get(name), dict).items()
        }
        for name in ('heights', 'channels')
    )
    return OwnPlaces(
        given['program'],
        tuple(planes),
        tuple(sizes),
        tuple(_number(f'{where}.steps', one) for one in _some(f'{where}.steps', given.get('steps'), list)),
        {at: _number(f'{where}.heights', one) for at, one in heights.items()},
        {at: _text(f'{where}.channels', one, MAX_NAME) for at, one in channels.items()},
        tuple(
            _text(f'{where}.notes', one, MAX_NAME)
            for one in _some(f'{where}.notes', given.get('notes'), list)
        ),
    )


def _some(where: str, value: Any, kind: type) -> Any:
    """Return a list or an object, an empty one where there is none."""
    if value is None:
        return kind()
    if not isinstance(value, kind):
        expected = 'a list' if kind is list else 'an object'
        raise InvalidInputError(f'{where}: expected {expected}, found {type(value).__name__}.')
    return value


def _place(where: str, key: str) -> int:
    if not re.fullmatch('[0-9]{1,9}', key, re.ASCII):
        raise InvalidInputError(f'{where}: expected whole numbers as names, found {key!r:.40}.')
    return int(key)


def _patch(where: str, one: Mapping[str, Any]) -> tuple[PatchEntry, TileKind | None]:
    unknown = sorted(set(one) - _PATCH)
    if unknown:
        raise InvalidInputError(f'{where}.{unknown[0]:.80}: expected one of {", ".join(sorted(_PATCH))}.')
    file = _text(f'{where}.file', one.get('file') or one.get('key'), 1024)
    key = _text(f'{where}.key', one.get('key') or key_of(file), 200)
    whole: dict[str, Any] = {
        name: _whole(f'{where}.{name}', one[name], -(2**31), 2**31)
        for name in _WHOLE
        if one.get(name) is not None
    }
    place = {name: _number(f'{where}.{name}', one[name]) for name in ('x', 'y') if one.get(name) is not None}
    for pair, known in ((('x', 'y'), place), (('row', 'column'), whole)):
        if len([name for name in pair if name in known]) == 1:
            raise InvalidInputError(f'{where}: expected {pair[0]} and {pair[1]}, found one of them.')
    index: dict[str, int] = {axis: whole.pop(axis) for axis in ('c', 'z', 't') if axis in whole}
    more = one.get('index') or {}
    if not isinstance(more, dict) or len(more) > MAX_SHOWN:
        raise InvalidInputError(f'{where}.index: expected an object such as {{"angle": 2}}.')
    index |= {axis: _whole(f'{where}.index.{axis:.40}', at, -(2**31), 2**31) for axis, at in more.items()}
    unit = None if one.get('unit') is None else _text(f'{where}.unit', one['unit'], 32)
    well = None if one.get('well') is None else _text(f'{where}.well', one['well'], 16)
    entry = PatchEntry(
        file, key, x=place.get('x'), y=place.get('y'), unit=unit, index=index, well=well, **whole
    )
    return entry, _kind(where, one)


def _orientation(value: Any) -> Orientation | None:
    if value is None:
        return None
    known = {'swapXY': 'swap_xy', 'flipX': 'flip_x', 'flipY': 'flip_y', 'rotate': 'rotate'}
    if not isinstance(value, dict) or set(value) - set(known):
        raise InvalidInputError(f'orientation: expected an object with {", ".join(known)}.')
    for name in ('swapXY', 'flipX', 'flipY'):
        if not isinstance(value.get(name, False), bool):
            raise InvalidInputError(f'orientation.{name}: expected true or false, found {value[name]!r:.40}.')
    return Orientation(**{known[name]: one for name, one in value.items()})


def _scan(value: Any) -> ScanPath | None:
    if value is None:
        return None
    known = {'columns', 'rows', 'path', 'by', 'corner'}
    if not isinstance(value, dict) or set(value) - known:
        raise InvalidInputError(f'scan: expected an object with {", ".join(sorted(known))}.')
    for name in ('columns', 'rows'):
        if value.get(name) is not None:
            _whole(f'scan.{name}', value[name], 1, MAX_FILES)
    return ScanPath(**value)
