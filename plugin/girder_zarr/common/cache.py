"""The cache of everything in this package: least recently used goes first, one computation a key.

API::

    LRU(max_items=None, max_bytes=None, size_of=None)   # exactly one of the two bounds
    get(key, default=None)      put(key, value)     pop(key)    clear()     shrink(size)
    fetch(key, make)            # single flight; make() may return Uncached(value)
    len(cache), key in cache, cache.size, cache.max_size

The bound and the order are those of :class:`cachetools.LRUCache`; this adds the lock and the single flight.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar, cast, overload

import cachetools

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

K = TypeVar('K', bound='Hashable')
V = TypeVar('V')
D = TypeVar('D')

_MISSING = object()


@dataclass(frozen=True, slots=True)
class Uncached(Generic[V]):
    """Returned by ``make`` of :meth:`LRU.fetch` for a value that must not be cached."""

    value: V


@dataclass(slots=True)
class _Flight:
    """A computation under way, for which other threads wait.

    :param value: its result once ``done`` is set; missing if it raised an error.
    """

    owner: int = field(default_factory=threading.get_ident)
    done: threading.Event = field(default_factory=threading.Event)
    value: object = _MISSING


class LRU(Generic[K, V]):
    """A cache that drops the values used longest ago. Safe under many threads.

    A value that is larger than the whole cache is not stored. None is a value like any other.

    :param max_items: how many values are cached.
    :param max_bytes: or how many bytes.
    :param size_of: returns the bytes of a value; needed with ``max_bytes``.
    :raises ValueError: not exactly one bound, or ``max_bytes`` without ``size_of``.

    >>> cache = LRU(max_bytes=64 * 2**20, size_of=lambda array: array.nbytes)
    >>> block = cache.fetch((0, 3, 4), lambda: read_block(0, 3, 4))
    """

    def __init__(
        self,
        max_items: int | None = None,
        max_bytes: int | None = None,
        size_of: Callable[[V], int] | None = None,
    ) -> None:
        if (max_items is None) == (max_bytes is None) or (max_bytes is None) != (size_of is None):
            msg = 'A cache needs either max_items, or max_bytes with size_of.'
            raise ValueError(msg)
        self.max_size: int = max_items if max_items is not None else max_bytes or 0
        self._cached: cachetools.LRUCache[K, V] = cachetools.LRUCache(self.max_size, size_of)
        self._flights: dict[K, _Flight] = {}
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """The present size of the cache, in the unit of the bound (values or bytes)."""
        with self._lock:
            return int(self._cached.currsize)

    def __len__(self) -> int:
        with self._lock:
            return len(self._cached)

    def __contains__(self, key: object) -> bool:
        """Return whether a value is cached, which does not count as a use of it."""
        with self._lock:
            return key in self._cached

    @overload
    def get(self, key: K) -> V | None: ...

    @overload
    def get(self, key: K, default: D) -> V | D: ...

    def get(self, key: K, default: D | None = None) -> V | D | None:
        """Return the value of a key, or ``default`` if it is not cached."""
        with self._lock:
            found = self._cached.get(key, _MISSING)
        return default if found is _MISSING else cast('V', found)

    def put(self, key: K, value: V) -> None:
        """Cache a value in place of what the key had."""
        with self._lock:
            self._put(key, value)

    def pop(self, key: K) -> V | None:
        """Remove a key and return its value, or None.

        A computation of it that is under way goes on for those who wait already; its result is not cached,
        and a thread that asks from now on starts another.
        """
        with self._lock:
            self._flights.pop(key, None)
            return self._cached.pop(key, None)

    def clear(self) -> None:
        """Remove all keys, as :meth:`pop` does."""
        with self._lock:
            self._flights.clear()
            self._cached.clear()

    def shrink(self, size: int) -> None:
        """Drop the values used longest ago until all have at most this size, in the unit of the bound."""
        with self._lock:
            while self._cached and self._cached.currsize > size:
                self._cached.popitem()

    def fetch(self, key: K, make: Callable[[], V | Uncached[V]]) -> V:
        """Return the value of a key; if it is not cached, compute it in this thread.

        Threads that ask for the same key meanwhile wait and get the same value, also one that is
        :class:`Uncached`. An error is raised in this thread alone: the next one that waits computes anew.

        :param make: returns the value; called without any lock held. It must not fetch the same key.
        :raises RuntimeError: it does.
        """
        while True:
            with self._lock:
                found = self._cached.get(key, _MISSING)
                if found is not _MISSING:
                    return cast('V', found)
                flight = self._flights.get(key)
                if flight is None:
                    mine = self._flights[key] = _Flight()
                    break
            if flight.owner == threading.get_ident():
                msg = f'The value of {key!r} is asked for while it is computed.'
                raise RuntimeError(msg)
            flight.done.wait()
            if flight.value is not _MISSING:
                return cast('V', flight.value)
        return self._fly(key, mine, make)

    def _fly(self, key: K, flight: _Flight, make: Callable[[], V | Uncached[V]]) -> V:
        """Compute a value for all that wait, and cache it unless the key was removed meanwhile."""
        try:
            made = make()
            if isinstance(made, Uncached):
                flight.value = made.value
                return cast('V', made.value)
            flight.value = made
            with self._lock:
                if self._flights.get(key) is flight:
                    self._put(key, made)
            return made
        finally:
            with self._lock:
                if self._flights.get(key) is flight:
                    del self._flights[key]
            flight.done.set()

    def _put(self, key: K, value: V) -> None:
        try:
            self._cached[key] = value
        except ValueError:  # cachetools: it is larger than the whole cache
            self._cached.pop(key, None)
