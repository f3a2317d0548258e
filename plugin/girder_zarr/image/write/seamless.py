"""The levels of an image one after the other, for methods that look beyond the pixels of a block.

Every block of a coarser level is made from the level below it as it was stored, with a margin of its
neighbours' pixels. Memory holds a few rows of chunks that the next blocks need again, whatever the size of
the image; they are walked in strips for that.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from girder_zarr.common.cache import LRU, Uncached

from .resample import margin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .blocks import Blocks, Node, Region, Watch

#: How many blocks of a level are made side by side before the next row: their chunks are needed twice.
STRIP = 4
#: Bytes of chunks of the level below that are cached for the blocks that come next: with chunks of 512 x 512
#: RGB two rows of a strip of ``STRIP`` blocks and their margins.
MAX_CACHE_BYTES = 64 * 2**20


class LevelPass:
    """Writes all levels of one position along the axes before y and x.

    :param read: returns a block of the full resolution, or None: nothing there.
    :param occupied: False where there is nothing in a region of the full resolution.
    :param max_bytes: of decoded chunks that are cached.
    """

    def __init__(
        self,
        blocks: Blocks,
        outer: tuple[int, ...],
        read: Callable[[Region], np.ndarray | None],
        occupied: Callable[[Region], bool],
        watch: Watch,
        max_bytes: int = MAX_CACHE_BYTES,
    ) -> None:
        self.blocks, self.outer, self._read, self._occupied = blocks, outer, read, occupied
        self._watch = watch
        self.margin = margin(blocks.spec.resample)
        self.stored = [
            np.zeros((blocks.grid(level).rows, blocks.grid(level).columns), bool)
            for level in range(blocks.top + 1)
        ]
        self._cache: LRU[tuple[int, ...], np.ndarray | None] = LRU(
            max_bytes=max_bytes, size_of=lambda chunk: 0 if chunk is None else chunk.nbytes
        )

    def run(self, each: Callable[[Callable[[Node], None], Iterable[Node]], object]) -> None:
        """Write everything.

        :param each: calls a function with every node, in whichever threads.
        """
        each(self._write_full, self.blocks.occupied_nodes(self.outer, self._occupied, self._watch))
        self.run_above(each)

    def find_full(self) -> None:
        """See which blocks of the full resolution are in the outlet, for :meth:`run_above`."""
        for node in self.blocks.grid(0):
            name = self.blocks.name(0, (*self.outer, *node))
            self.stored[0][node] = self.blocks.outlet.get(name, 0, 0) is not None

    def run_above(self, each: Callable[[Callable[[Node], None], Iterable[Node]], object]) -> None:
        """Write all levels above the full resolution, which is written."""
        for level in range(1, self.blocks.top + 1):
            self._cache.clear()
            each(lambda node, level=level: self._write(level, node), self._nodes_to_make(level))  # type: ignore[misc]

    def _write_full(self, node: Node) -> None:
        block = self._read(self.blocks.region(0, self.outer, node))
        if block is not None and self.blocks.put(0, self.outer, node, block):
            self.stored[0][node] = True

    def _nodes_to_make(self, level: int) -> Iterator[Node]:
        """Return the blocks that may hold pixels, in strips of a few columns, each from top to bottom."""
        below = self.stored[level - 1]
        rows, columns = self.stored[level].shape
        high, wide = (-(-self.margin // side) for side in self.blocks.spec.blocks[-2:])
        for first in range(0, columns, STRIP):
            for row in range(rows):
                near = below[max(2 * row - high, 0) : 2 * row + 2 + high]
                if not near.any():
                    continue
                for column in range(first, min(first + STRIP, columns)):
                    if near[:, max(2 * column - wide, 0) : 2 * column + 2 + wide].any():
                        yield row, column

    def _write(self, level: int, node: Node) -> None:
        self._watch.check()
        region = self.blocks.region(level, self.outer, node)
        block = None
        for part in _cut(region, self.blocks.spec.chunks):
            half = self._half(level, part)
            if half is None:
                continue
            if block is None:
                shape = [one.stop - one.start for one in region]
                block = np.full(shape, self.blocks.spec.fill_value, self.blocks.spec.dtype)
            block[_inside(part, region)] = half
        if block is not None and self.blocks.put(level, self.outer, node, block):
            self.stored[level][node] = True

    def _half(self, level: int, region: Region) -> np.ndarray | None:
        """Return the pixels of a region of a level, made from the level below."""
        below = self.blocks.below(level, region, into=level - 1)
        sizes = self.blocks.shapes[level - 1][-2:]
        plane = [
            slice(max(part.start - self.margin, 0), min(part.stop + self.margin, size))
            for part, size in zip(below[-2:], sizes, strict=True)
        ]
        pixels = self._pixels(level - 1, (*region[:-2], *plane))
        if pixels is None:
            return None
        half = self.blocks.half(pixels)
        starts = [(part.start - grown.start) // 2 for part, grown in zip(below[-2:], plane, strict=True)]
        lengths = [part.stop - part.start for part in region[-2:]]
        rows, columns = (slice(at, at + length) for at, length in zip(starts, lengths, strict=True))
        return half[..., rows, columns]

    def _pixels(self, level: int, region: Region) -> np.ndarray | None:
        """Return a region of a level that is written, or None where all of it is the fill value."""
        spec = self.blocks.spec
        result = None
        for part in _cut(region, spec.chunks):
            index = tuple(one.start // side for one, side in zip(part, spec.chunks, strict=True))
            chunk = self._chunk(level, index)
            if chunk is None:
                continue
            if result is None:
                shape = [one.stop - one.start for one in region]
                result = np.full(shape, spec.fill_value, spec.dtype)
            whole = tuple(slice(at * side, None) for at, side in zip(index, spec.chunks, strict=True))
            result[_inside(part, region)] = chunk[_inside(part, whole)]
        return result

    def _chunk(self, level: int, index: tuple[int, ...]) -> np.ndarray | None:
        spec, encoder = self.blocks.spec, self.blocks.encoder
        ratio = [block // chunk for block, chunk in zip(spec.blocks, spec.chunks, strict=True)]
        block = [at // count for at, count in zip(index, ratio, strict=True)]
        if not self.stored[level][block[-2], block[-1]]:
            return None

        def decode() -> np.ndarray | Uncached[np.ndarray | None] | None:
            name, outlet = self.blocks.name(level, block), self.blocks.outlet
            inner = tuple(at % count for at, count in zip(index, ratio, strict=True))
            found = encoder.decode(inner, lambda start, length: outlet.get(name, start, length))
            return Uncached(None) if found is None else found

        return self._cache.fetch(index, decode)


def _cut(region: Region, sides: tuple[int, ...]) -> Iterator[Region]:
    """Cut a region at the borders of chunks."""
    lines = []
    for part, side in zip(region, sides, strict=True):
        edges = [part.start, *range((part.start // side + 1) * side, part.stop, side), part.stop]
        lines.append([slice(start, stop) for start, stop in itertools.pairwise(edges)])
    return itertools.product(*lines)


def _inside(part: Region, whole: Region) -> Region:
    """Return a region counted from the start of another."""
    return tuple(
        slice(one.start - base.start, one.stop - base.start) for one, base in zip(part, whole, strict=True)
    )
