"""Positions and metadata of one patch and of a whole acquisition, read from files or names."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from dataclasses import field as with_default
from pathlib import Path
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from girder_zarr.stitch.spec.field_checks import PixelSize

#: Patches that are described at once; more are refused before anything is made of them.
MAX_ENTRIES = 1_000_000
#: Where a patch without any position lies when it is the only one of its frame.
_MAX_KEY = 200


@dataclass(frozen=True, slots=True)
class PatchEntry:
    """One patch: its file and where its first pixel lies. None says nothing.

    :param file: as the lookup knows it: relative to the folder with slashes, or absolute.
    :param key: names it; made of file and page where it is empty.
    :param page: of a file with several pages, counted from 0.
    :param x: along the columns of the image, in ``unit``; ``y`` along its rows, downwards.
    :param unit: ``pixel`` or a unit of length of NGFF.
    :param row: in place of x and y, with ``column``; rows go downwards.
    :param index: the numbers along t, c, z and other axes as they were found, from whatever they count.
    :param field: the number of the place within its well or scan, where only that is known.
    :param well: such as ``B03``.
    :param options: what else a table says, by the names of docs/rest.md (order, weight, mask, ...).
    """

    file: str
    key: str = ''
    page: int | None = None
    x: float | None = None
    y: float | None = None
    unit: str | None = None
    row: int | None = None
    column: int | None = None
    index: Mapping[str, int] = with_default(default_factory=dict)
    field: int | None = None
    well: str | None = None
    options: Mapping[str, Any] = with_default(default_factory=dict)

    @property
    def is_placed(self) -> bool:
        """Whether it is known where it lies."""
        return self.x is not None or self.row is not None

    @property
    def name(self) -> str:
        """Key, file and page for a message."""
        page = '' if self.page is None else f', page {self.page}'
        return f'{self.key or key_of(self.file, self.page)} (file {self.file}{page})'


@dataclass(frozen=True, slots=True)
class OwnPlane:
    """Where a TIFF says that one of its pages lies.

    :param page: counted from 0; None: the file has only this one.
    :param x: on the stage in micrometers, with ``y``; None: not said.
    :param index: the numbers along c, z and t, as far as the file says them.
    """

    page: int | None = None
    x: float | None = None
    y: float | None = None
    index: Mapping[str, int] = with_default(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OwnPlaces:
    """What a TIFF says of the places of its pages, without what others say.

    :param program: whose tags they are: ``OME``, ``Micro-Manager`` or ``MetaXpress``.
    :param planes: in the order of the file.
    :param pixel_sizes: along x and y in micrometers, each that is named.
    :param steps: distances along z in micrometers that are named.
    :param heights: micrometers along z by the number of the plane; under 0 where names number the planes.
    :param channels: names by number; under 0 where the names of files number the channels.
    """

    program: str
    planes: tuple[OwnPlane, ...]
    pixel_sizes: tuple[tuple[float, float], ...] = ()
    steps: tuple[float, ...] = ()
    heights: Mapping[int, float] = with_default(default_factory=dict)
    channels: Mapping[int, str] = with_default(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PositionSet:
    """The patches of an acquisition and what its program says of all of them.

    :param program: what wrote the positions, such as ``Fiji``; ``names`` where they come from names.
    :param entries: in the order of the source.
    :param folder: what files are relative to; None where there are only names.
    :param pixel_size: along x and y, where it is known.
    :param channel_names: by the number of the channel as entries have it.
    :param values: what the numbers along an axis stand for (seconds, micrometers), by axis and number.
    :param value_units: the units of these values, by axis.
    :param steps: the distance of two planes along z (in micrometers) or t (in seconds).
    :param notes: sentences for the user who looks at the result.
    """

    program: str
    entries: tuple[PatchEntry, ...]
    folder: Path | None = None
    pixel_size: PixelSize | None = None
    channel_names: Mapping[int, str] = with_default(default_factory=dict)
    values: Mapping[str, Mapping[int, float | str]] = with_default(default_factory=dict)
    value_units: Mapping[str, str] = with_default(default_factory=dict)
    steps: Mapping[str, float] = with_default(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def wells(self) -> list[str]:
        """The wells that have patches, sorted by row and column."""
        found = {entry.well for entry in self.entries if entry.well is not None}
        return sorted(found, key=lambda well: (len(re.sub('[0-9]', '', well)), well))

    def of_well(self, well: str) -> PositionSet:
        """Return the patches of one well, which is then no longer named.

        :raises InvalidInputError: there is no such well.
        """
        chosen = [entry for entry in self.entries if entry.well == well]
        if not chosen:
            shown = ', '.join(self.wells[:12]) or 'none'
            raise InvalidInputError(f'well: expected one of {shown}; found {well!r:.40}.')
        return replace(self, entries=tuple(replace(entry, well=None) for entry in chosen))

    def path_of(self, entry: PatchEntry) -> Path:
        """Return where the file of an entry lies."""
        return Path(self.folder or '.', entry.file)


def key_of(file: str, page: int | None = None) -> str:
    """Return a key for a file and page: what a key cannot hold becomes an underscore."""
    suffix = '' if page is None else f'@{page}'
    return re.sub(r'[^A-Za-z0-9._~,@=+-]+', '_', file)[-_MAX_KEY + len(suffix) :] + suffix


def finish(positions: PositionSet, where: str, advice: str = 'add a column key') -> PositionSet:
    """Return the set with a key for every patch.

    :param where: the source, for messages.
    :param advice: what to do about two patches of one key.
    :raises InvalidInputError: there is no patch, there are too many, or two have one key.
    """
    if not positions.entries:
        raise InvalidInputError(f'{where} has no patch: expected one at least, found none.')
    if len(positions.entries) > MAX_ENTRIES:
        found = len(positions.entries)
        raise InvalidInputError(f'{where}: expected at most {MAX_ENTRIES} patches, found {found}.')
    keyed = tuple(
        entry if entry.key else replace(entry, key=key_of(entry.file, entry.page))
        for entry in positions.entries
    )
    check_keys(where, (entry.key for entry in keyed), advice)
    return replace(positions, entries=keyed)


def check_keys(where: str, keys: Iterable[str], advice: str) -> None:
    """Check that no key is there twice.

    :raises InvalidInputError: one is; the message names it.
    """
    twice = [key for key, count in Counter(keys).items() if count > 1]
    if twice:
        raise InvalidInputError(f'{where} has more than one patch with the key {twice[0]}; {advice}.')
