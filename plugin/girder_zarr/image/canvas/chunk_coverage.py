"""The pixels of a chunk that were ever set: a few rectangles, or if these do not suffice, a bit a pixel."""

from __future__ import annotations

import numpy as np

#: Rectangles that are listed one by one; more become one bit a pixel (32 KiB a chunk).
_MANY = 16
Rectangle = tuple[int, int, int, int]


class ChunkCoverage:
    """The set pixels of one square chunk.

    :param side: of the chunk, in pixels.
    """

    __slots__ = ('_bits', '_full', '_rectangles', 'side')

    def __init__(self, side: int) -> None:
        self.side = side
        self._full = False
        self._rectangles: list[Rectangle] = []
        self._bits: np.ndarray | None = None

    def fill(self) -> None:
        """Every pixel is set."""
        self._full, self._rectangles, self._bits = True, [], None

    def add(self, rows: slice, columns: slice, mask: np.ndarray | None = None) -> None:
        """Set the pixels of a rectangle, or those of them where ``mask`` is True."""
        if self._full:
            return
        rectangle = (rows.start, rows.stop, columns.start, columns.stop)
        if mask is None and self._bits is None:
            self._append(rectangle)
            return
        pixels = self._unpacked()
        pixels[rows, columns] |= True if mask is None else mask
        self._pack(pixels)

    def _append(self, new: Rectangle) -> None:
        while self._rectangles and (joined := _join(self._rectangles[-1], new)) is not None:
            self._rectangles.pop()
            new = joined
        self._rectangles.append(new)
        if new == (0, self.side, 0, self.side):
            self.fill()
        elif len(self._rectangles) > _MANY:
            self._pack(self._unpacked())

    def _unpacked(self) -> np.ndarray:
        if self._bits is not None:
            pixels = np.unpackbits(self._bits, count=self.side**2).reshape(self.side, self.side).view(bool)
        else:
            pixels = np.zeros((self.side, self.side), bool)
        for top, bottom, left, right in self._rectangles:
            pixels[top:bottom, left:right] = True
        return pixels

    def _pack(self, pixels: np.ndarray) -> None:
        self._rectangles = []
        if pixels.all():
            self.fill()
        else:
            self._bits = np.packbits(pixels)

    def holes(self) -> np.ndarray | None:
        """Return a ``(side, side)`` array that is True where nothing was set, or None where everything is."""
        return None if self._full else ~self._unpacked()


def _join(first: Rectangle, second: Rectangle) -> Rectangle | None:
    """Return the union of two rectangles where it is a rectangle of full rows or columns of both."""
    if first[:2] == second[:2] and first[2] <= second[2] <= first[3]:
        return (*first[:2], first[2], max(first[3], second[3]))
    if first[2:] == second[2:] and first[0] <= second[0] <= first[1]:
        return (first[0], max(first[1], second[1]), *first[2:])
    return None
