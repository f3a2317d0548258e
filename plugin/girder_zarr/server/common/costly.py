"""Answers of queries, asked again only as often as their cost allows."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from girder_zarr.common.cache import LRU

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class CostlyAnswers:
    """Keeps answers for so many times what it took to find them, or until this process changes something.

    :param share: how many times; 20 for a twentieth of a processor.
    :param least: for so many seconds at least.
    """

    def __init__(self, share: float = 20.0, least: float = 0.0, max_items: int = 1000) -> None:
        self._share, self._least = share, least
        self._lock = threading.Lock()
        self._generation = 0
        self._known: LRU[Hashable, tuple[int, float, Any]] = LRU(max_items=max_items)

    def fetch(self, key: Hashable, ask: Callable[[], Any]) -> Any:
        """Return the answer that is known under a key, or that of a call."""
        begun = time.monotonic()
        with self._lock:
            generation = self._generation
            known = self._known.get(key)
        if known is not None and known[0] == generation and begun < known[1]:
            return known[2]
        answer = ask()
        ended = time.monotonic()
        with self._lock:
            until = ended + max(self._least, self._share * (ended - begun))
            self._known.put(key, (generation, until, answer))
        return answer

    def forget(self) -> None:
        """Ask anew from now on."""
        with self._lock:
            self._generation += 1
