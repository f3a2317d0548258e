"""Pixels that are kept while there is room, and forgotten when what they were made from changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import numpy as np


@dataclass(slots=True)
class _Gate:
    """Lets one thread make what several ask for."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0
    stale: bool = False


class PreviewCache:
    """Arrays by key, at most ``budget`` bytes of them, the ones used last. Thread safe.

    :param budget: bytes. An array that is larger than all of it is made, but not kept.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._gates: dict[Hashable, _Gate] = {}
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes that are kept now."""
        return self._size

    def fetch(self, key: Hashable, make: Callable[[], tuple[np.ndarray | None, bool]]) -> np.ndarray | None:
        """Return what is kept under a key, or make it; threads that ask at the same time wait for one.

        :param make: returns the array, or None where there is nothing, and whether it may be kept. What is
            forgotten while it is being made is not kept either.
        """
        with self._lock:
            found = self._find(key)
            if found is not None:
                return found
            gate = self._gates.setdefault(key, _Gate())
            gate.users += 1
        try:
            with gate.lock:
                with self._lock:
                    found = self._find(key)
                    gate.stale = False
                if found is not None:
                    return found
                value, lasting = make()
                with self._lock:
                    if value is not None and lasting and not gate.stale:
                        self._keep(key, value)
                return value
        finally:
            with self._lock:
                gate.users -= 1
                if not gate.users:
                    self._gates.pop(key, None)

    def get(self, key: Hashable) -> np.ndarray | None:
        """Return what is kept under a key, or None."""
        with self._lock:
            return self._find(key)

    def put(self, key: Hashable, value: np.ndarray) -> None:
        """Keep an array."""
        with self._lock:
            self._keep(key, value)

    def discard(self, key: Hashable) -> None:
        """Forget what is kept under a key, and what is being made for it."""
        with self._lock:
            dropped = self._kept.pop(key, None)
            if dropped is not None:
                self._size -= dropped.nbytes
            gate = self._gates.get(key)
            if gate is not None:
                gate.stale = True

    def _find(self, key: Hashable) -> np.ndarray | None:
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def _keep(self, key: Hashable, value: np.ndarray) -> None:
        if value.nbytes > self.budget or key in self._kept:
            return
        self._kept[key] = value
        self._size += value.nbytes
        while self._size > self.budget:
            _, dropped = self._kept.popitem(last=False)
            self._size -= dropped.nbytes
