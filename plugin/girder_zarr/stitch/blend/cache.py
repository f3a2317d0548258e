"""What was made with effort, kept while it is likely to be needed again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable


class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


K = TypeVar('K')
V = TypeVar('V', bound=_Sized)


class Cache(Generic[K, V]):
    """Makes values, each once at a time, and keeps the ones used last. Thread safe.

    :param make: returns the value of a thing.
    :param name: returns what a thing is known by.
    :param budget: bytes that are kept; values in use beyond it live as long as they are used.
    """

    def __init__(self, make: Callable[[K], V], name: Callable[[K], str], budget: int) -> None:
        self._make, self._name = make, name
        self._budget = budget
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, V] = OrderedDict()
        self._making: dict[str, threading.Lock] = {}
        self._size = 0

    def get(self, thing: K) -> V:
        """Return the value of a thing."""
        name = self._name(thing)
        value = self._find(name)
        if value is not None:
            return value
        with self._lock:
            gate = self._making.setdefault(name, threading.Lock())
        with gate:
            # Another thread may have made it while this one waited.
            value = self._find(name)
            if value is None:
                value = self._make(thing)
                self._keep(name, value)
        return value

    def _find(self, name: str) -> V | None:
        with self._lock:
            value = self._kept.get(name)
            if value is not None:
                self._kept.move_to_end(name)
            return value

    def _keep(self, name: str, value: V) -> None:
        with self._lock:
            self._making.pop(name, None)
            if name not in self._kept:
                self._kept[name] = value
                self._size += value.nbytes
            while self._size > self._budget and self._kept:
                _, dropped = self._kept.popitem(last=False)
                self._size -= dropped.nbytes
