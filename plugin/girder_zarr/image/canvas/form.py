"""The form of a canvas: its extent, what a pixel is, and how its lattice is cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .bands import convert

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from .canvas_chunk import Key


@dataclass(frozen=True, slots=True)
class CanvasExtent:
    """The extent of a canvas at some moment.

    :param axes: the frame axes, the slowest first: an axis that came later is slower.
    :param sizes: positions along each of them.
    :param top: and ``left``: the lattice position of the image's first pixel; zero or negative.
    """

    axes: tuple[str, ...]
    sizes: tuple[int, ...]
    top: int
    left: int
    height: int
    width: int
    bands: int
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a pixel: dtype and bands.

    :param numbered: there are so many bands because a tile named the band at which it goes; see `bands.py`.
    """

    dtype: np.dtype[Any]
    bands: int
    numbered: bool

    def of(self, pixels: np.ndarray) -> np.ndarray:
        """Return pixels of a narrower form in this one; where nothing is to be done, the same array."""
        if pixels.shape[-1] == self.bands:
            return pixels.astype(self.dtype, copy=False)
        return convert(pixels.astype(self.dtype, copy=False), self.bands, numbered=self.numbered)


def stripped(position: list[int]) -> Key:
    """Positions without trailing zeros, so that a key stays the same when an axis is added."""
    while position and position[-1] == 0:
        position.pop()
    return tuple(position)


def placed(order: Sequence[str], axes: Sequence[str], named: Sequence[str]) -> list[str]:
    """Return the frame axes, the slowest first, with those of a tile.

    New ones stand where the tile's axes have them, beside those that are known. What only the position of the
    tile names comes first.

    :param order: the axes so far.
    :param axes: those of the tile's pixels, in its order.
    :param named: further axes of its position.
    """
    found = list(order)
    for index, axis in enumerate(axes):
        if axis in found:
            continue
        after = [found.index(other) for other in axes[index + 1 :] if other in found]
        before = [found.index(other) for other in axes[:index] if other in found]
        if after:
            found.insert(min(after), axis)
        elif before:
            found.insert(max(before) + 1, axis)
        else:
            found.insert(0, axis)
    for axis in named:
        if axis not in found:
            found.insert(0, axis)
    return found


def pieces(start: int, length: int, side: int) -> Iterator[tuple[int, slice, slice]]:
    """Cut an interval at the lattice: chunk index, part inside the chunk, part inside the interval."""
    at, end = start, start + length
    while at < end:
        index = at // side
        stop = min((index + 1) * side, end)
        yield index, slice(at - index * side, stop - index * side), slice(at - start, stop - start)
        at = stop


def place_of(key: Key, axes: Sequence[str], side: int) -> tuple[dict[str, int], slice, slice]:
    """Return the position along the frame axes, and the rows and columns of the lattice, of a chunk."""
    row, column, *tail = key
    rows, columns = (slice(at * side, (at + 1) * side) for at in (row, column))
    return dict(zip(axes, tail, strict=False)), rows, columns
