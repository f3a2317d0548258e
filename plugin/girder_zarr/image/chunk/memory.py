"""A pool of memory for decoded chunks: a block is used again when no array refers to it any more.

The C library gives large blocks back to the system as soon as they are freed, and the system clears each page
of a new block when it is first touched, one thread of a process at a time. For a tile that decodes quickly
this takes longer than reading and decoding it.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from girder_zarr.image.store.keystore import aligned

#: The smallest and the largest block in the pool: the C library reuses smaller ones itself, and for larger
#: ones decoding takes far longer than the allocation.
MIN_POOLED_BYTES, MAX_POOLED_BYTES = 2**16, 2**22
#: Blocks of one size in the pool, at most; fewer of large ones, so that 64 MiB is the most for all sizes.
MAX_BLOCKS, MAX_BYTES = 4, 2**22
#: Sizes from one power of two to the next.
STEPS = 4

_shelves: dict[int, deque[np.ndarray]] = {}


def _rounded(size: int) -> int:
    """Return the size of the block that serves ``size`` bytes."""
    step = (1 << (size - 1).bit_length()) // (2 * STEPS)
    return -(-size // step) * step


class _Lent:
    """A block in use. Arrays made from it refer to it; when the last of them is gone, it is put back."""

    __slots__ = ('__array_interface__', '_block', '_shelf')

    def __init__(self, block: np.ndarray, shelf: deque[np.ndarray]) -> None:
        self._block = block
        self._shelf = shelf
        self.__array_interface__ = block.__array_interface__

    def __del__(self) -> None:
        # A full shelf drops its oldest block.
        self._shelf.append(self._block)


def allocate(size: int) -> np.ndarray:
    """Return ``size`` bytes of any content as a flat array of uint8, for the caller to keep."""
    if not MIN_POOLED_BYTES <= size <= MAX_POOLED_BYTES:
        return aligned(size)
    rounded = _rounded(size)
    shelf = _shelves.get(rounded)
    if shelf is None:
        shelf = _shelves.setdefault(rounded, deque(maxlen=max(1, min(MAX_BLOCKS, MAX_BYTES // rounded))))
    try:
        block = shelf.pop()
    except IndexError:
        block = aligned(rounded)
    return np.asarray(_Lent(block, shelf))[:size]
