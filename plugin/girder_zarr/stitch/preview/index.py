"""An index of the patches that touch each block of a preview, updated as patches come and go.

Blocks of a level are squares of ``BLOCK`` pixels of that level on a grid that begins at position 0 of the
patches' coordinates, so that a block keeps its place and pixels when the image grows, in any direction.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from girder_zarr.stitch.patch import Patch

#: The side of a block, in pixels of its level: four tiles of 256, large enough to blend at once efficiently.
BLOCK = 512
#: The index along each axis besides y and x that the patches name, as sorted pairs (`Placement.frame`).
Frame = tuple[tuple[str, int], ...]
#: Level, frame, row and column of a block.
BlockKey = tuple[int, Frame, int, int]
#: The side of the squares by which patches are found, in full-resolution pixels: about that of a patch.
_CELL = 1024
#: From this level on patches are counted for each block. Below, a patch would be counted in too many blocks.
MIN_COUNTED_LEVEL = 3
#: Levels beyond this one have few blocks however large the image: positions are below 2**30 (`MAX_OFFSET`).
MAX_LEVEL = 21
#: Bytes of the hash of a patch: accidental collisions are out of the question.
_TOKEN_BYTES = 16


def touched(patch: Patch, side: int) -> Iterator[tuple[int, int]]:
    """Yield row and column of each square that a patch touches.

    :param side: of the squares, in full-resolution pixels.
    """
    place = patch.placement
    for row in range(place.y // side, -(-(place.y + patch.shape[0]) // side)):
        for column in range(place.x // side, -(-(place.x + patch.shape[1]) // side)):
            yield row, column


def blocks_of(patch: Patch, first: int = 0) -> Iterator[BlockKey]:
    """Yield the blocks that a patch touches, of the level ``first`` and all above it."""
    frame = patch.placement.frame
    for level in range(first, MAX_LEVEL + 1):
        for row, column in touched(patch, BLOCK << level):
            yield level, frame, row, column


def token(patch: Patch) -> int:
    """Return a hash of all fields of a patch, the same in every process."""
    return int.from_bytes(hashlib.blake2b(repr(patch).encode(), digest_size=_TOKEN_BYTES).digest(), 'big')


class PatchIndex:
    """The patches of a growing image, by place. Not thread safe: `PreviewImage` holds its lock."""

    def __init__(self) -> None:
        self.patches: dict[str, Patch] = {}
        self._cells: defaultdict[tuple[Frame, int, int], set[str]] = defaultdict(set)
        self._counts: Counter[BlockKey] = Counter()
        # The sum of the hashes of the patches of a block: changed in constant time and in any order.
        self._sums: Counter[BlockKey] = Counter()

    def add(self, patches: Iterable[Patch]) -> None:
        """Add patches whose keys are not in the index.

        A patch that lies in one block of a level lies in one block of each level above: those are counted
        together, so that a hundred thousand patches take hardly more than their hashes.
        """
        whole: list[defaultdict[tuple[Frame, int, int], list[int]]] = [
            defaultdict(lambda: [0, 0]) for _ in range(MAX_LEVEL + 1)
        ]
        for patch in patches:
            self.patches[patch.key] = patch
            frame = patch.placement.frame
            for cell in touched(patch, _CELL):
                self._cells[frame, *cell].add(patch.key)
            number = token(patch)
            for level in range(MIN_COUNTED_LEVEL, MAX_LEVEL + 1):
                squares = list(touched(patch, BLOCK << level))
                if len(squares) == 1:
                    found = whole[level][frame, *squares[0]]
                    found[0] += 1
                    found[1] += number
                    break
                for row, column in squares:
                    self._count((level, frame, row, column), 1, number)
        for level in range(MIN_COUNTED_LEVEL, MAX_LEVEL + 1):
            for (frame, row, column), (count, total) in whole[level].items():
                self._count((level, frame, row, column), count, total)
                if level < MAX_LEVEL:
                    above = whole[level + 1][frame, row // 2, column // 2]
                    above[0] += count
                    above[1] += total

    def _count(self, block: BlockKey, count: int, total: int) -> None:
        self._counts[block] += count
        self._sums[block] += total

    def remove(self, key: str) -> Patch:
        """Remove the patch of a key and return it.

        :raises KeyError: there is none.
        """
        patch = self.patches.pop(key)
        frame = patch.placement.frame
        for cell in touched(patch, _CELL):
            self._cells[frame, *cell].discard(key)
            if not self._cells[frame, *cell]:
                del self._cells[frame, *cell]
        number = token(patch)
        for block in blocks_of(patch, MIN_COUNTED_LEVEL):
            self._counts[block] -= 1
            self._sums[block] -= number
            if not self._counts[block]:
                del self._counts[block], self._sums[block]
        return patch

    def is_empty(self, block: BlockKey) -> bool:
        """Return whether no patch touches a block of level ``MIN_COUNTED_LEVEL`` or above."""
        return block not in self._counts

    def fingerprint(self, block: BlockKey) -> tuple[int, int]:
        """Return how many patches touch a block, and the sum of their hashes.

        :param block: of level ``MIN_COUNTED_LEVEL`` or above.
        """
        return self._counts[block], self._sums[block]

    def blocks(self, level: int) -> list[BlockKey]:
        """Return the blocks of a level, ``MIN_COUNTED_LEVEL`` or above, that patches touch."""
        return [block for block in self._counts if block[0] == level]

    def touching(self, block: BlockKey) -> list[Patch]:
        """Return the patches that touch a block, in any order."""
        level, frame, row, column = block
        side = BLOCK << level
        top, left = row * side, column * side
        return [
            patch
            for patch in self._near(frame, top, left, side)
            if patch.placement.y < top + side
            and patch.placement.x < left + side
            and patch.placement.y + patch.shape[0] > top
            and patch.placement.x + patch.shape[1] > left
        ]

    def _near(self, frame: Frame, top: int, left: int, side: int) -> Iterable[Patch]:
        keys: set[str] = set()
        for row in range(top // _CELL, -(-(top + side) // _CELL)):
            for column in range(left // _CELL, -(-(left + side) // _CELL)):
                keys |= self._cells.get((frame, row, column), set())
        return [self.patches[key] for key in keys]
