"""Finds where the patches of a file or folder lie, by content: position files, tags of TIFFs, names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

import tifffile

from girder_zarr.errors import InvalidInputError

from . import fiji, harmony, high_content, micromanager, ome, stitchers, table
from .entry import OwnPlaces, PatchEntry, PositionSet, finish
from .name_guess import NameGuess, guess, of_preset
from .name_pattern import channel_names, check_placed, match_names, no_match
from .reading import FileLookup, read_text
from .tiff_pages import expand, is_tiff

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import IO

_T = TypeVar('_T')
#: Files that may hold positions. The program that wrote one is recognised by its content, not by its name.
_TEXT_SUFFIXES = {'.txt', '.csv', '.tsv', '.xml', '.ome', '.xdce', '.pos', '.json'}
#: How deep in a folder a position file may lie: exports put images and index a level or two below.
_MAX_DEPTH = 3
#: Position files of one acquisition: Micro-Manager writes one for each position.
_MAX_FILES = 10_000


@dataclass(frozen=True)
class _Form:
    """A form of position files; a lower rank is preferred where a folder has several."""

    program: str
    rank: int
    fits: Callable[[str], bool]
    read: Callable[[str, str, FileLookup], PositionSet]


FORMS = (
    _Form('Harmony', 1, harmony.is_harmony, harmony.read_harmony),
    _Form('IN Cell', 1, high_content.is_xdce, high_content.read_xdce),
    _Form('BigStitcher', 1, stitchers.is_bigstitcher, stitchers.read_bigstitcher),
    _Form('TeraStitcher', 1, stitchers.is_terastitcher, stitchers.read_terastitcher),
    _Form('OME', 2, ome.is_ome, ome.read_companion),
    _Form('Fiji', 1, fiji.is_fiji, fiji.read_fiji),
    _Form('MIST', 1, fiji.is_mist, fiji.read_mist),
    _Form('Micro-Manager', 3, micromanager.is_metadata, micromanager.read_metadata),
    _Form('Micro-Manager', 4, micromanager.is_position_list, micromanager.read_position_list),
    _Form('table', 2, table.is_table, table.read_table),
)


@dataclass(frozen=True)
class Recognised:
    """Where patches lie and how this was found.

    :param source: the position file, or the folder.
    :param guess: what the names were taken for, where they were.
    """

    positions: PositionSet
    source: Path | None
    guess: NameGuess | None = None


def recognise(
    source: Path, *, pattern: str | None = None, preset: str | None = None, pages: str | None = None
) -> Recognised:
    """Return the patches of a position file, of a TIFF with positions, or of a folder.

    :param pattern: the names in the folder give the positions; no position file is looked for.
    :param preset: the same with the names of a program, one of `name_guess.PRESETS`.
    :param pages: the axis (c, z or t) of the pages of TIFFs that do not say it.
    :raises InvalidInputError: nothing says where they lie; or what does is malformed, with file and line.
    """
    if pattern is not None or preset is not None:
        if not source.is_dir():
            what = 'a pattern' if pattern is not None else 'a preset'
            raise InvalidInputError(f'{source}: expected a folder, because there is {what}; found none.')
        return by_names(FileLookup(source, pages_along=pages), str(source), pattern=pattern, preset=preset)
    if source.is_dir():
        return _of_folder(source, pages)
    if is_tiff(source):
        found = _of_tiffs([source.name], FileLookup(source.parent, pages_along=pages))
        if found is None:
            raise InvalidInputError(
                f'{source}: expected a TIFF with the positions of its pages (OME, Micro-Manager); found none.'
            )
        return Recognised(found, source)
    return Recognised(read_position_file(source, pages=pages), source)


def read_position_file(path: Path, *, pages: str | None = None) -> PositionSet:
    """Return the patches of a position file of whatever program.

    :param pages: as for :func:`recognise`.
    :raises InvalidInputError: it has none of the known forms, or is malformed.
    """
    return read_positions(read_text(path), str(path), FileLookup(path.parent, pages_along=pages))


def read_positions(text: str, where: str, files: FileLookup) -> PositionSet:
    """Return the patches that the text of a position file describes.

    :raises InvalidInputError: as :func:`read_position_file`.
    """
    form = _form_of(text) or FORMS[-1]
    return form.read(text, where, files)


def _form_of(text: str) -> _Form | None:
    return next((form for form in FORMS if form.fits(text)), None)


def by_names(
    files: FileLookup, where: str, *, pattern: str | None = None, preset: str | None = None
) -> Recognised:
    """Return the patches of files whose names give their positions.

    :raises InvalidInputError: no name fits, or none says it.
    """
    if pattern is not None:
        check_placed(pattern)
        entries = match_names(files.names, pattern)
        if not entries:
            raise no_match(where, files.names, pattern)
        fitting = {entry.file for entry in entries}
        others = tuple(name for name in files.images if name not in fitting)
        found = NameGuess('names', pattern, tuple(entries), others)
    else:
        maybe = of_preset(files.images, preset) if preset is not None else guess(files.images)
        if maybe is None:
            form = f'names of {preset}' if preset else "--pattern such as 'x{x}_y{y}.tif'"
            raise InvalidInputError(
                f'{where}: expected {form}, a position file, or names that give the positions of patches; '
                f'found {", ".join(files.images[:3]) or "no image"}.'
            )
        found = maybe
    inside = [one for entry in found.entries for one in expand(entry, files)]
    program = found.program if found.program == 'names' else f'names of {found.program}'
    positions = PositionSet(
        program, tuple(inside), files.folder, channel_names=channel_names(files.names, found.pattern)
    )
    positions = replace(positions, entries=_without_lone_numbers(positions))
    return Recognised(finish(positions, where, 'add the missing axis to the pattern'), files.folder, found)


def _without_lone_numbers(positions: PositionSet) -> tuple[PatchEntry, ...]:
    """Names of programs carry every axis; those along which nothing changes are not axes of the image."""
    if positions.program == 'names':
        return positions.entries
    several = {
        axis
        for entry in positions.entries
        for axis in entry.index
        if len({other.index.get(axis) for other in positions.entries}) > 1
    }
    return tuple(
        replace(entry, index={axis: at for axis, at in entry.index.items() if axis in several})
        for entry in positions.entries
    )


def _of_folder(folder: Path, pages: str | None) -> Recognised:
    files = FileLookup(folder, pages_along=pages)
    found = _position_files(files)
    if found:
        return _of_position_files(folder, found, pages)
    tiffs = [name for name in files.images if is_tiff(folder / name)]
    positions = _of_tiffs(tiffs, files)
    if positions is not None:
        return Recognised(positions, folder)
    return by_names(files, str(folder))


def _position_files(files: FileLookup) -> list[tuple[_Form, str, str]]:
    """Return the position files of a folder: form, name and text, those that are preferred only."""
    assert files.folder is not None
    found: list[tuple[_Form, str, str]] = []
    names = [
        name
        for name in files.names
        if PurePosixPath(name).suffix.lower() in _TEXT_SUFFIXES and name.count('/') < _MAX_DEPTH
    ]
    for name in names[:_MAX_FILES]:
        try:
            text = read_text(files.folder / name)
        except InvalidInputError:
            continue  # not text, and so not a position file
        form = _form_of(text)
        if form is not None:
            found.append((form, name, text))
    if not found:
        return []
    best = min(form.rank for form, _, _ in found)
    return [one for one in found if one[0].rank == best]


def _of_position_files(
    folder: Path, found: Sequence[tuple[_Form, str, str]], pages: str | None
) -> Recognised:
    form, name, text = found[0]
    if any(other.program != form.program for other, _, _ in found):
        shown = ', '.join(one for _, one, _ in found[:4])
        raise InvalidInputError(
            f'{folder}: expected --pattern, or one position file; found {shown}, name the one to use.'
        )
    if form.program == 'Micro-Manager' and len(found) > 1:
        return Recognised(_together(folder, found, pages), folder)
    note: tuple[str, ...] = ()
    if len(found) > 1:
        # what has been registered is what its author wants; a backup or copy is not
        registered = [one for one in found if 'registered' in one[1].lower()]
        exported = [one for one in found if PurePosixPath(one[1]).name.lower() == 'index.idx.xml']
        chosen = (exported or registered)[:1] if len(exported or registered) == 1 else []
        if not chosen:
            shown = ', '.join(one for _, one, _ in found[:4])
            raise InvalidInputError(
                f'{folder}: expected --pattern, or one position file; found {shown}, name the one to use.'
            )
        form, name, text = chosen[0]
        others = ', '.join(one for _, one, _ in found if one != name)
        note = (f'{name} was read, and not {others}.',)
    path = folder / name
    positions = form.read(text, str(path), FileLookup(path.parent, pages_along=pages))
    return Recognised(replace(positions, notes=(*positions.notes, *note)), path)


def _together(folder: Path, found: Sequence[tuple[_Form, str, str]], pages: str | None) -> PositionSet:
    """Return the patches of the metadata of several positions, each in a folder of its own."""
    sets, entries, names = [], [], dict[int, str]()
    for form, name, text in found:
        path = folder / name
        one = form.read(text, str(path), FileLookup(path.parent, pages_along=pages))
        sets.append(one)
        names.update(one.channel_names)
        entries += [
            replace(entry, key='', file=(path.parent / entry.file).relative_to(folder).as_posix())
            for entry in one.entries
        ]
    sizes = {one.pixel_size for one in sets}
    steps = {tuple(one.steps.items()) for one in sets}
    together = PositionSet(
        sets[0].program,
        tuple(entries),
        folder,
        pixel_size=sizes.pop() if len(sizes) == 1 else None,
        channel_names=names,
        steps=dict(steps.pop()) if len(steps) == 1 else {},
    )
    return finish(together, str(folder))


def _of_tiffs(names: Sequence[str], files: FileLookup) -> PositionSet | None:
    """Return the patches that the tags of TIFFs describe, or None where these have no positions."""
    if not names:
        return None
    if names[0] in files.own:
        return _TIFFS[files.own[names[0]].program](names, files)
    first = Path(files.folder or '.', names[0])
    if micromanager.has_page_tags(first):
        return _read_stacks(names, files)
    names = ome.describing_first(names, files)
    if ome.has_positions(names, files):
        return ome.read_ome_tiffs(names, files)
    if high_content.has_stage_position(first):
        return high_content.read_metaxpress(names, files)
    return None


def _read_stacks(names: Sequence[str], files: FileLookup) -> PositionSet:
    return micromanager.read_stacks([Path(files.folder or '.', name) for name in names], names, files)


#: The readers of TIFFs with positions in their tags, by program.
_TIFFS: dict[str, Callable[[Sequence[str], FileLookup], PositionSet]] = {
    'Micro-Manager': _read_stacks,
    'OME': ome.read_ome_tiffs,
    'MetaXpress': high_content.read_metaxpress,
}
#: The programs whose positions lie in tags of TIFFs.
TIFF_PROGRAMS = tuple(_TIFFS)


def own_places(stream: IO[bytes], name: str, most: int) -> OwnPlaces | None:
    """Return where a TIFF says that its pages lie, or None where it does not say it.

    A document of several OME-TIFFs is asked for this one's pages only.

    :param name: of the file, with or without folders.
    :param most: planes that are accepted; of a file with more, nothing is said.
    """
    readers = (micromanager.own_places, ome.own_places, high_content.own_places)

    def read(tiff: Any) -> OwnPlaces | None:
        return next((found for one in readers if (found := one(tiff, name, most)) is not None), None)

    return _said(stream, read)


def described_by(stream: IO[bytes]) -> str | None:
    """Return the name of the file that describes a TIFF which only names it, as OME-TIFFs may, or None."""
    return _said(stream, ome.described_by)


def others_described(stream: IO[bytes], name: str) -> int:
    """Return how many other files an OME-TIFF describes, with the positions of their planes."""
    return _said(stream, lambda tiff: ome.others_described(tiff, name)) or 0


def _said(stream: IO[bytes], read: Callable[[Any], _T | None]) -> _T | None:
    """Return what the tags of a TIFF say; None where they do not, or something is wrong with it."""
    try:
        stream.seek(0)
        file: Any = tifffile.TiffFile(stream, name='patch.tif', _multifile=False)
        with file as tiff:
            return read(tiff)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it does not say it
        return None


def by_own_places(files: FileLookup) -> tuple[PositionSet, dict[str, str]]:
    """Return the patches of files that say where they lie, and why other images are none, by name.

    :raises InvalidInputError: as of the files in a folder.
    """
    placed = [name for name in files.images if name in files.own]
    if not placed:
        raise InvalidInputError('files: expected images with places, found none.')
    program = files.own[placed[0]].program
    others = {}
    for name in files.images:
        own = files.own.get(name)
        if own is None:
            others[name] = 'expected a position in its tags, as others have; found none.'
        elif own.program != program:
            others[name] = f'expected a position by {program}, as others have; found one by {own.program}.'
    positions = _TIFFS[program]([name for name in placed if name not in others], files)
    return positions, others
