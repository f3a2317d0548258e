"""Blend the patches that overlap in a block into its pixels.

A block is cut along the edges of its pieces into cells, each covered by the same pieces throughout. A cell of
one piece is copied; only where pieces overlap is anything computed. A block of very many pieces is made
whole, one piece after the other, so that only one of them has to be in memory.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .rules import Added, Painter, SmallMean, accumulator_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from girder_zarr.stitch.spec.model import Overlap

    from .rules import Accumulator

T = TypeVar('T')
#: A block of more pieces is not cut into cells: their number grows with the square of that of the pieces, and
#: `rules.SmallMean` is exact for sums of so many.
MAX_CUT = 24


@dataclass(frozen=True, slots=True)
class Piece:
    """Pixels ``(y, x, bands)`` that begin at row ``y`` and column ``x`` of a block; both may be negative.

    :param mask: ``(y, x)``, float32 from 0 to 1: 0 excludes a pixel, others are its weight in means.
    :param reach: ``(y, x)``, float32: the distance in pixels to the nearest masked or outer pixel; None where
        there is no mask, so that it is the distance to the edges.
    :param weight: of all its pixels in means.
    """

    y: int
    x: int
    pixels: np.ndarray
    mask: np.ndarray | None = None
    reach: np.ndarray | None = None
    weight: float = 1.0

    @property
    def is_plain(self) -> bool:
        """Whether it has neither mask nor weight."""
        return self.mask is None and self.weight == 1


@dataclass(frozen=True, slots=True)
class _Clip:
    """The part of a piece that lies in a block: rows and columns of the block, ends exclusive."""

    piece: Piece
    top: int
    bottom: int
    left: int
    right: int

    def add_to(self, target: Accumulator, cell: _Cell, rule: Overlap) -> None:
        """Add the pixels that lie in a cell to the target, which has the shape of the cell."""
        y0, y1 = max(self.top, cell.top), min(self.bottom, cell.bottom)
        x0, x1 = max(self.left, cell.left), min(self.right, cell.right)
        piece = self.piece
        rows, columns = slice(y0 - piece.y, y1 - piece.y), slice(x0 - piece.x, x1 - piece.x)
        mask = None if piece.mask is None else piece.mask[rows, columns]
        weight: Any = None
        if target.wants_weight:
            weight = _weight(piece, mask, _reach(piece, rows, columns) if rule == 'feather' else None)
        place = slice(y0 - cell.top, y1 - cell.top), slice(x0 - cell.left, x1 - cell.left)
        target.add(Added(place, piece.pixels[rows, columns], None if mask is None else mask > 0, weight))


@dataclass(frozen=True, slots=True)
class _Cell:
    """A rectangle of a block: rows and columns, ends exclusive."""

    top: int
    bottom: int
    left: int
    right: int

    def of(self, block: np.ndarray) -> np.ndarray:
        """Return the cell's part of a block, as a view."""
        return block[self.top : self.bottom, self.left : self.right]


def _weight(piece: Piece, mask: np.ndarray | None, reach: np.ndarray | None) -> Any:
    """Return the weight of pixels: weight of the piece x mask x distance to the end of the piece."""
    weight: Any = np.float32(piece.weight)
    for factor in (reach, mask):
        if factor is not None:
            weight = weight * factor
    return weight


def _reach(piece: Piece, rows: slice, columns: slice) -> np.ndarray:
    """Return the distance of pixels to the nearer edge of their piece along y or x, float32 in pixels."""
    if piece.reach is not None:
        return piece.reach[rows, columns]
    height, width = piece.pixels.shape[:2]
    return edge_distance(rows, columns, (height, width))


def edge_distance(rows: slice, columns: slice, shape: tuple[int, int]) -> np.ndarray:
    """Return the distance of the pixels of a part of a rectangle to its nearer edge, float32 ``(y, x)``.

    :param shape: of the rectangle, ``(y, x)``.
    """
    height, width = shape
    nearest: np.ndarray = np.minimum(_edge(rows, height)[:, np.newaxis], _edge(columns, width)[np.newaxis, :])
    return nearest


def _edge(part: slice, length: int) -> np.ndarray:
    """Return the distance of the centre of each pixel to the nearer end of a row of a length."""
    at = np.arange(part.start, part.stop, dtype=np.float32)
    return np.minimum(at + np.float32(0.5), np.float32(length - 0.5) - at)


def blend(
    pieces: Sequence[Piece],
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    rule: Overlap,
    background: float,
    *,
    weighted: bool | None = None,
) -> np.ndarray:
    """Blend pieces into a block.

    :param pieces: in ascending rank (`Patch.rank`), all of the block's dtype and bands. They may reach beyond
        the block.
    :param shape: ``(y, x, bands)`` of the block.
    :param dtype: of the block.
    :param rule: how overlapping pixels are combined; see `rules.py`.
    :param background: the value where there is no piece.
    :param weighted: whether any piece of the whole image has a mask or a weight, which decides how means are
        computed; None: as these pieces have.
    :returns: the block, a new array or a read-only view of the only piece.
    """
    if len(pieces) == 1:
        whole = _covering(pieces[0], shape)
        if whole is not None:
            return whole
    parts = [part for piece in pieces if (part := _clip(piece, shape)) is not None]
    if weighted is None:
        weighted = any(not piece.is_plain for piece in pieces)
    if rule in {'last', 'first'} or len(parts) > MAX_CUT:
        ordered = [part.piece for part in paint_order(rule, parts)]
        return blend_each(ordered, shape, dtype, rule, background, weighted)
    out = np.full(shape, background, dtype)
    for cell, members in _cut(parts, shape):
        target = _target(rule, cell.of(out), members, weighted=weighted)
        for part in members:
            part.add_to(target, cell, rule)
        target.finish()
    return out


def _target(rule: Overlap, out: np.ndarray, members: Sequence[_Clip], *, weighted: bool) -> Accumulator:
    """Return the accumulator of a cell that each of its pieces covers."""
    if len(members) == 1:
        return Painter(out)
    masked = any(part.piece.mask is not None for part in members)
    if rule in {'mean', 'feather'} and not masked and SmallMean.takes(out.dtype):
        return SmallMean(out)
    return accumulator_of(rule, out, weighted=weighted)


def blend_each(
    pieces: Iterable[Piece],
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    rule: Overlap,
    background: float,
    weighted: bool,
) -> np.ndarray:
    """Blend as :func:`blend` does, but consume one piece after the other.

    :param pieces: in the order of :func:`paint_order`.
    :param weighted: whether any of them has a mask or a weight.
    :returns: the block ``(y, x, bands)``, a new array.
    """
    out = np.full(shape, background, dtype)
    target = accumulator_of(rule, out, weighted=weighted)
    cell = _Cell(0, shape[0], 0, shape[1])
    for piece in pieces:
        part = _clip(piece, shape)
        if part is not None:
            part.add_to(target, cell, rule)
    target.finish()
    return out


def paint_order(rule: Overlap, ordered: Sequence[T]) -> Sequence[T]:
    """Return pieces (or anything in their order) so that the rule lets the last one win."""
    return ordered[::-1] if rule == 'first' else ordered


def _covering(piece: Piece, shape: tuple[int, int, int]) -> np.ndarray | None:
    """Return a view of the block's pixels in a piece, or None if it does not cover all of it."""
    part = _clip(piece, shape)
    if piece.mask is not None or part is None:
        return None
    if (part.top, part.left, part.bottom, part.right) != (0, 0, *shape[:2]):
        return None
    view = piece.pixels[-piece.y : shape[0] - piece.y, -piece.x : shape[1] - piece.x]
    view.flags.writeable = False
    return view


def _clip(piece: Piece, shape: tuple[int, int, int]) -> _Clip | None:
    top, left = max(piece.y, 0), max(piece.x, 0)
    bottom = min(piece.y + piece.pixels.shape[0], shape[0])
    right = min(piece.x + piece.pixels.shape[1], shape[1])
    return None if bottom <= top or right <= left else _Clip(piece, top, bottom, left, right)


def _cut(parts: Sequence[_Clip], shape: tuple[int, int, int]) -> Iterator[tuple[_Cell, list[_Clip]]]:
    """Yield the cells of a block that pieces cover, each with these pieces in their order."""
    for top, bottom in itertools.pairwise(_edges([(part.top, part.bottom) for part in parts], shape[0])):
        row = [part for part in parts if part.top <= top and part.bottom >= bottom]
        for left, right in itertools.pairwise(_edges([(part.left, part.right) for part in row], shape[1])):
            members = [part for part in row if part.left <= left and part.right >= right]
            if members:
                yield _Cell(top, bottom, left, right), members


def _edges(spans: Iterable[tuple[int, int]], length: int) -> list[int]:
    return sorted({0, length, *itertools.chain.from_iterable(spans)})
