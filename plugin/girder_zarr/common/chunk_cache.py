"""Decoded chunks that are likely to be needed again: one cache by bytes for the whole process.

A read that uses all of a chunk has no further use for it, since what was made from it (a tile) is cached
elsewhere. One that uses a part, such as one plane of a chunk of 64 planes, will mostly be followed by a read
of the next part. So parts are what brings a chunk in here; see ``image/chunk/chunks.py``.

One pass over an image that is larger than the cache must not push out what is used all the time. This is
the 2Q algorithm (Johnson and Shasha, VLDB 1994): a new chunk goes to a small list of recent ones, and only
one that comes back after it has left that list goes to the main one. A pass goes through the small list. In
addition, a recent chunk that is read more often than any one pass by tiles would goes to the main list.

Beside these lie chunks that were read before anybody needed them (``read_ahead.py``), as they are stored:
that takes a fraction of the pixels' memory, nobody decodes what is never looked at, and a stored JPEG is
handed on as it is. The first reader takes such a chunk out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .cache import LRU, Uncached

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

#: The whole cache unless :meth:`ChunkCache.bind` says otherwise: the chunks of 64 x 64 x 64 uint16 that lie
#: behind a screen of 1920 x 1080 pixels.
DEFAULT_BYTES = 256 * 2**20
#: One part in so many is for recent chunks (2Q's authors found a quarter to be good for most traces).
RECENT_PART = 4
#: A recent chunk that is read more often goes to the main list; one of 2048 x 2048 has 16 tiles of 512.
MANY_READS = 16
#: The most of the cache, one part in so many, that is for chunks read ahead of need. What is needed gives way
#: to them as far as that: with 256 MB the 64 chunks of 64 x 64 x 64 uint16 that come next behind a tile.
AHEAD_PART = 8
#: What an entry takes beside its pixels: key, array object and places in dictionaries.
ENTRY_BYTES = 1024

Chunk = np.ndarray | None


def _size(chunk: Chunk) -> int:
    """Return the bytes that a chunk keeps in memory, those that its array does not show among them."""
    whole: Any = chunk
    while isinstance(whole, np.ndarray) and whole.base is not None:
        whole = whole.base
    kept = max(getattr(whole, 'nbytes', 0), 0 if chunk is None else chunk.nbytes)
    return kept + ENTRY_BYTES


@dataclass(slots=True)
class _Recent:
    """A recent chunk, and how often it was read."""

    chunk: Chunk
    reads: int = 0


class _Ahead(NamedTuple):
    """A chunk that was read ahead of need, as it is stored; None: it is not stored."""

    data: bytes | None


@dataclass(frozen=True, slots=True)
class _Lists:
    """The lists of 2Q, and what was read ahead.

    :param recent: chunks that came for the first time (A1in).
    :param main: chunks that came back (Am).
    :param seen: bytes of the chunks that came lately, without their pixels (A1out).
    :param ahead: chunks that nobody has needed yet; ``main`` is the smaller for them.
    """

    limit: int
    recent: LRU[Hashable, _Recent]
    main: LRU[Hashable, Chunk]
    seen: LRU[Hashable, int]
    ahead: LRU[Hashable, _Ahead]

    def put_main(self, key: Hashable, chunk: Chunk) -> None:
        """Put a chunk on the main list."""
        self.make_room(_size(chunk))
        self.main.put(key, chunk)

    def make_room(self, nbytes: int) -> None:
        """Drop of the main list what it has beyond all that is cached, so many bytes more included."""
        self.main.shrink(max(0, self.limit - self.recent.max_size - self.ahead.size - nbytes))


def _lists(limit: int) -> _Lists:
    recent = limit // RECENT_PART
    return _Lists(
        limit,
        LRU(max_bytes=recent, size_of=lambda entry: _size(entry.chunk)),
        LRU(max_bytes=limit - recent, size_of=_size),
        LRU(max_bytes=limit, size_of=lambda size: size),
        LRU(max_bytes=limit // AHEAD_PART, size_of=lambda entry: len(entry.data or b'') + ENTRY_BYTES),
    )


class ChunkCache:
    """Decoded chunks by key, each decoded by one thread at a time. Safe under many threads.

    Cached arrays are read-only and are not to leave the reader, which copies parts of them. A chunk that is
    not stored is None and is cached as well.

    :param nbytes: of all chunks together; 0 caches none.
    """

    def __init__(self, nbytes: int = DEFAULT_BYTES) -> None:
        self._source: Callable[[], int] = lambda: nbytes
        self._lists = _lists(nbytes)

    def bind(self, source: Callable[[], int]) -> None:
        """Take the size from a function from now on; it is called for every chunk that is not cached."""
        self._source = source

    @property
    def size(self) -> int:
        """The bytes that are cached now."""
        return self._lists.recent.size + self._lists.main.size + self._lists.ahead.size

    @property
    def max_ahead(self) -> int:
        """The most bytes of all chunks together that are read ahead of need."""
        return self._current().ahead.max_size

    def clear(self) -> None:
        """Drop everything."""
        self._lists = _lists(self._lists.limit)

    def get(self, key: Hashable, default: Any) -> Any:
        """Return a chunk, or ``default`` if it is not cached."""
        lists = self._lists
        found = lists.main.get(key, default)
        if found is not default:
            return found
        entry = lists.recent.get(key)
        return default if entry is None else _read(lists, key, entry)

    def fetch(self, key: Hashable, make: Callable[[], Chunk]) -> Chunk:
        """Return a chunk; if it is not cached, make it in this thread, for others that ask as well.

        :param make: returns it. Its errors are raised here.
        """
        lists = self._lists
        found = lists.main.get(key, lists)
        if not isinstance(found, _Lists):
            return found
        if key not in lists.recent:
            lists = self._current()
        return _read(lists, key, lists.recent.fetch(key, lambda: _make(lists, key, make)))

    def __contains__(self, key: object) -> bool:
        """Return whether a chunk is cached, read ahead of need or not; this does not count as a read."""
        lists = self._lists
        return key in lists.main or key in lists.recent or key in lists.ahead

    def put_ahead(self, key: Hashable, data: bytes | None) -> None:
        """Keep a chunk that nobody needs yet as it is stored (None: it is not), for the first reader."""
        lists = self._current()
        lists.ahead.put(key, _Ahead(data))
        lists.make_room(0)

    def take_ahead(self, key: Hashable, default: Any) -> Any:
        """Return a chunk that was read ahead as it is stored, and drop it; ``default`` if there is none."""
        found = self._lists.ahead.pop(key)
        return default if found is None else found.data

    def _current(self) -> _Lists:
        """Return the lists, new and empty ones if the size is another than before."""
        limit = self._source()
        if limit != self._lists.limit:
            self._lists = _lists(limit)
        return self._lists


def _read(lists: _Lists, key: Hashable, entry: _Recent) -> Chunk:
    """Count a read of a recent chunk, which may put it on the main list; return it."""
    entry.reads += 1
    if entry.reads > MANY_READS and key in lists.recent:
        lists.put_main(key, entry.chunk)
        lists.recent.pop(key)
    return entry.chunk


def _make(lists: _Lists, key: Hashable, make: Callable[[], Chunk]) -> _Recent | Uncached[_Recent]:
    found = lists.main.get(key, lists)
    if not isinstance(found, _Lists):  # another thread has just made it
        return Uncached(_Recent(found))
    chunk = make()
    if chunk is not None:
        chunk.flags.writeable = False
    if lists.seen.pop(key) is not None:
        lists.put_main(key, chunk)
        return Uncached(_Recent(chunk))
    lists.seen.put(key, _size(chunk))
    return _Recent(chunk)


#: That of this process.
CHUNKS = ChunkCache()
