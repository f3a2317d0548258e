"""The directions of a stage against those of the image: mirrored, exchanged or turned axes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from girder_zarr.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from girder_zarr.stitch.positions.entry import PatchEntry

TURNS = (0, 90, 180, 270)


@dataclass(frozen=True, slots=True)
class Orientation:
    """Changes of positions (pixels of patches stay as they are), applied in this order.

    :param swap_xy: x and y change places.
    :param flip_x: x grows to the left.
    :param flip_y: y grows upwards.
    :param rotate: then everything is turned clockwise by so many degrees, a multiple of 90.
    """

    swap_xy: bool = False
    flip_x: bool = False
    flip_y: bool = False
    rotate: int = 0

    def __post_init__(self) -> None:
        if self.rotate not in TURNS:
            raise InvalidInputError(f'rotate: expected 0, 90, 180 or 270, found {self.rotate!r:.40}.')

    @property
    def is_plain(self) -> bool:
        """Whether nothing is done."""
        return self.matrix == (1, 0, 0, 1)

    @property
    def matrix(self) -> tuple[int, int, int, int]:
        """``(a, b, c, d)`` of ``x' = a x + b y`` and ``y' = c x + d y``."""
        a, b, c, d = (0, 1, 1, 0) if self.swap_xy else (1, 0, 0, 1)
        if self.flip_x:
            a, b = -a, -b
        if self.flip_y:
            c, d = -c, -d
        for _ in range(self.rotate // 90):
            # clockwise where y grows downwards
            a, b, c, d = -c, -d, a, b
        return a, b, c, d

    @property
    def options(self) -> str:
        """The same as options of the command line."""
        given = (('--swap-xy', self.swap_xy), ('--flip-x', self.flip_x), ('--flip-y', self.flip_y))
        words = [name for name, wanted in given if wanted]
        return ' '.join([*words, *([f'--rotate {self.rotate}'] if self.rotate else [])]) or 'none of them'

    def of(self, x: float, y: float) -> tuple[float, float]:
        """Return where a position comes to lie."""
        a, b, c, d = self.matrix
        return a * x + b * y, c * x + d * y

    def apply(self, entries: Iterable[PatchEntry]) -> list[PatchEntry]:
        """Return entries at their positions; rows and columns keep their smallest numbers."""
        found = list(entries)
        if self.is_plain:
            return found
        turned = [self._one(entry) for entry in found]
        rows = [entry.row for entry in turned if entry.row is not None]
        columns = [entry.column for entry in turned if entry.column is not None]
        if not rows or not columns:
            return turned
        given = [entry for entry in found if entry.row is not None and entry.column is not None]
        first_row = min(entry.row or 0 for entry in given)
        first_column = min(entry.column or 0 for entry in given)
        if self.matrix[0] == 0:
            first_row, first_column = first_column, first_row
        low_row, low_column = min(rows), min(columns)
        return [
            entry
            if entry.row is None or entry.column is None
            else replace(
                entry,
                row=entry.row - low_row + first_row,
                column=entry.column - low_column + first_column,
            )
            for entry in turned
        ]

    def _one(self, entry: PatchEntry) -> PatchEntry:
        if entry.x is not None and entry.y is not None:
            x, y = self.of(entry.x, entry.y)
            return replace(entry, x=x + 0, y=y + 0)
        if entry.row is not None and entry.column is not None:
            column, row = self.of(entry.column, entry.row)
            return replace(entry, row=int(row), column=int(column))
        return entry


#: All ways that axes can lie, the given one first.
ALL = tuple(
    Orientation(swap_xy=swap, flip_x=x, flip_y=y)
    for swap in (False, True)
    for x in (False, True)
    for y in (False, True)
)
