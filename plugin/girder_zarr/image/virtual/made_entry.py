"""Values that are made once their size or their bytes are asked for, and not where a client has them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from girder_zarr.common.budget import BUDGET
from girder_zarr.common.chunk_cache import CHUNKS
from girder_zarr.image.store.entries import BLOCK_BYTES, Block, BytesEntry, Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: In the cache of chunks, what is made here lies beside what is decoded for tiles.
_MADE = 'encoded'


class MadeEntry(Entry):
    """A chunk that is made by the first who asks, and cached in the process's cache of chunks.

    :param nbytes: of the pixels; twice as many are taken from the process's budget while it is made.
    :param make: returns the stored form.
    """

    def __init__(self, identity: str, nbytes: int, make: Callable[[], bytes]) -> None:
        self.identity = identity
        self.modified = None
        self._nbytes, self._make = nbytes, make
        self._data: memoryview | None = None

    @property
    def size(self) -> int:  # type: ignore[override]
        """Bytes of the encoded chunk."""
        return len(self._made())

    @property
    def held(self) -> int:  # type: ignore[override]
        """Bytes that stay in memory until the entry is closed."""
        return 0 if self._data is None else len(self._data)

    def blocks(self, start: int, stop: int) -> Iterator[Block]:
        """Iterate over bytes; see the base class."""
        data = self._made()
        for at in range(start, stop, BLOCK_BYTES):
            yield data[at : min(at + BLOCK_BYTES, stop)]

    def by_content(self) -> BytesEntry:
        """Return the chunk, made now, known by its content: for where this entry's identity does not last."""
        data = self._made()
        return BytesEntry(data, hashlib.sha256(data).hexdigest())

    def _made(self) -> memoryview:
        if self._data is None:
            self._data = memoryview(CHUNKS.fetch((_MADE, self.identity), self._encoded))  # type: ignore[arg-type]
        return self._data

    def _encoded(self) -> np.ndarray:
        with BUDGET.acquire(2 * self._nbytes):
            return np.frombuffer(self._make(), np.uint8)


def cached(identity: str) -> memoryview | None:
    """Return the bytes of a chunk that somebody has made, if they are still in memory."""
    found = CHUNKS.get((_MADE, identity), None)
    return None if found is None else memoryview(found)
