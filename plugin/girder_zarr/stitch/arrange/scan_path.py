"""The path of a stage over a grid: which number of a sequence is which row and column."""

from __future__ import annotations

from dataclasses import dataclass

from girder_zarr.errors import InvalidInputError

PATHS = ('raster', 'snake')
BY = ('rows', 'columns')
CORNERS = ('top-left', 'top-right', 'bottom-left', 'bottom-right')


@dataclass(frozen=True, slots=True)
class ScanPath:
    """A path over a grid of which the columns or the rows are known.

    :param columns: how many there are; None: as many as the patches need.
    :param rows: likewise.
    :param path: ``raster`` begins each line at the same side, ``snake`` where the last one ended.
    :param by: whether it goes along rows or columns.
    :param corner: where it begins.
    :raises InvalidInputError: a part is not known, or there is neither columns nor rows.
    """

    columns: int | None = None
    rows: int | None = None
    path: str = 'raster'
    by: str = 'rows'
    corner: str = 'top-left'

    def __post_init__(self) -> None:
        for name, value, known in (
            ('path', self.path, PATHS),
            ('by', self.by, BY),
            ('corner', self.corner, CORNERS),
        ):
            if value not in known:
                raise InvalidInputError(f'{name}: expected one of {", ".join(known)}; found {value!r:.40}.')
        if self.columns is None and self.rows is None:
            raise InvalidInputError('columns: expected how many columns or rows the grid has, found neither.')
        for name, side in (('columns', self.columns), ('rows', self.rows)):
            if side is not None and side < 1:
                raise InvalidInputError(f'{name}: expected a number from 1, found {side}.')

    def grid(self, count: int) -> tuple[int, int]:
        """Return rows and columns for so many places.

        :raises InvalidInputError: they do not fit.
        """
        rows = self.rows if self.rows is not None else -(-count // (self.columns or 1))
        columns = self.columns if self.columns is not None else -(-count // rows)
        if rows * columns < count:
            raise InvalidInputError(
                f'columns: expected a grid of at least {count} places, found {rows} rows x {columns} columns.'
            )
        return rows, columns

    def cell(self, at: int, count: int) -> tuple[int, int]:
        """Return row and column of a place.

        :param at: its number along the path, from 0.
        :param count: of all places.
        """
        rows, columns = self.grid(count)
        length = columns if self.by == 'rows' else rows
        line, step = divmod(at, length)
        if self.path == 'snake' and line % 2:
            step = length - 1 - step
        row, column = (line, step) if self.by == 'rows' else (step, line)
        if self.corner.startswith('bottom'):
            row = rows - 1 - row
        if self.corner.endswith('right'):
            column = columns - 1 - column
        return row, column
