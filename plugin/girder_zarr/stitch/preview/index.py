"""Which patches touch which block of a preview, while patches come and go.

Blocks of a level are squares of ``BLOCK`` pixels of that level, counted from position 0 of the patches' own
coordinates, so that they stay what they are when the image grows, to whichever side.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from girder_zarr.stitch.patch import Patch

#: The side of a block, in pixels of its level.
BLOCK = 512
#: The index along each axis besides y and x that the patches name, as sorted pairs (`Placement.frame`).
Frame = tuple[tuple[str, int], ...]
#: Level, frame, row and column of a block.
BlockKey = tuple[int, Frame, int, int]
#: The side of the squares by which patches are found, in full-resolution pixels.
_CELL = 1024
#: From this level on it is known whether a block is empty without looking at what is below it.
FIRST_COUNTED = 3
#: Levels beyond this one have a single block, however large the image.
LAST = 21
_TOKEN_BYTES = 16


def touched(patch: Patch, side: int) -> Iterator[tuple[int, int]]:
    """Yield row and column of the squares of a side, in full-resolution pixels, that a patch touches."""
    place = patch.placement
    for row in range(place.y // side, -(-(place.y + patch.shape[0]) // side)):
        for column in range(place.x // side, -(-(place.x + patch.shape[1]) // side)):
            yield row, column


def blocks_of(patch: Patch, first: int = 0) -> Iterator[BlockKey]:
    """Yield the blocks that a patch touches, of all levels from one on."""
    frame = patch.placement.frame
    for level in range(first, LAST + 1):
        for row, column in touched(patch, BLOCK << level):
            yield level, frame, row, column


def token(patch: Patch) -> int:
    """Return a number that tells a patch from any other state of it, in every process."""
    return int.from_bytes(hashlib.blake2b(repr(patch).encode(), digest_size=_TOKEN_BYTES).digest(), 'big')


class PatchIndex:
    """The patches of a growing image, by place. Not safe under threads that change it; see `preview.py`."""

    def __init__(self) -> None:
        self.patches: dict[str, Patch] = {}
        self._cells: defaultdict[tuple[Frame, int, int], set[str]] = defaultdict(set)
        self._counts: Counter[BlockKey] = Counter()
        # Sums of the tokens of the patches that touch a block: cheap to change, however many there are.
        self._sums: Counter[BlockKey] = Counter()

    def add(self, patch: Patch) -> None:
        """Add a patch under a key that is free."""
        self.patches[patch.key] = patch
        frame = patch.placement.frame
        for cell in touched(patch, _CELL):
            self._cells[frame, *cell].add(patch.key)
        number = token(patch)
        for block in blocks_of(patch, FIRST_COUNTED):
            self._counts[block] += 1
            self._sums[block] += number

    def remove(self, key: str) -> Patch:
        """Remove and return a patch."""
        patch = self.patches.pop(key)
        frame = patch.placement.frame
        for cell in touched(patch, _CELL):
            self._cells[frame, *cell].discard(key)
            if not self._cells[frame, *cell]:
                del self._cells[frame, *cell]
        number = token(patch)
        for block in blocks_of(patch, FIRST_COUNTED):
            self._counts[block] -= 1
            self._sums[block] -= number
            if not self._counts[block]:
                del self._counts[block], self._sums[block]
        return patch

    def is_empty(self, block: BlockKey) -> bool:
        """Return whether no patch touches a block of level ``FIRST_COUNTED`` or above."""
        return block not in self._counts

    def made_of(self, block: BlockKey) -> tuple[int, int]:
        """Return how many patches touch a block of level ``FIRST_COUNTED`` or above, and what tells them."""
        return self._counts[block], self._sums[block]

    def blocks(self, level: int) -> list[BlockKey]:
        """Return the blocks of a level, ``FIRST_COUNTED`` or above, that patches touch."""
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
