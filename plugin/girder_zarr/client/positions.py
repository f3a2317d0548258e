"""Positions of patches, read from files of programs or from names of files; see docs/microscopes.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from girder_zarr.stitch.positions.recognise import read_position_file, recognise

from .patch import Patch

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from girder_zarr.stitch.positions.entry import PatchEntry, PositionSet

#: Options of an entry by the names of docs/rest.md, where `Patch` has another name.
_NAMES = {'maskKey': 'mask_key'}


def read_positions(path: Path) -> list[Patch]:
    """Return the patches of a position file of any program, or of a table, as it counts them.

    :raises InvalidInputError: a line is wrong or a file is missing; the message gives the line, what was
        expected and what was found.
    """
    return patches_of(positions := read_position_file(path), positions.entries)


def read_folder(folder: Path, pattern: str | None = None) -> list[Patch]:
    """Return the patches of a folder: by its position file, by the tags of its images, or by their names.

    :param pattern: only names that have this form count, as for `match_names`.
    :raises InvalidInputError: the pattern is malformed, no file has its form, or nothing says where patches
        lie.
    """
    positions = recognise(folder, pattern=pattern).positions
    return patches_of(positions, positions.entries)


def patches_of(positions: PositionSet, entries: Iterable[PatchEntry]) -> list[Patch]:
    """Return patches to be uploaded for entries of a set."""
    return [_patch(positions, entry) for entry in entries]


def _patch(positions: PositionSet, entry: PatchEntry) -> Patch:
    index = dict(entry.index)
    fields: dict[str, Any] = {axis: index.pop(axis) for axis in ('t', 'c', 'z') if axis in index}
    fields |= {_NAMES.get(name, name): value for name, value in entry.options.items()}
    unit = entry.unit if entry.unit != 'pixel' else None
    return Patch(
        entry.key,
        positions.path_of(entry),
        entry.x,
        entry.y,
        unit=unit,
        row=entry.row,
        column=entry.column,
        index=index or None,
        page=entry.page,
        file=entry.file,
        **fields,
    )
