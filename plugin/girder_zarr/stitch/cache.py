"""Decoded patches, kept while they are likely to be needed again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from .patch import Patch


class PatchCache:
    """Loads the pixels of patches, each once at a time, and keeps the ones used last. Thread safe.

    :param load: returns the pixels ``(y, x, bands)`` of a patch.
    :param budget: bytes of pixels that are kept; patches in use beyond it live as long as they are used.
    """

    def __init__(self, load: Callable[[Patch], np.ndarray], budget: int = 256 * 2**20) -> None:
        self._load = load
        self._budget = budget
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, np.ndarray] = OrderedDict()
        self._loading: dict[str, threading.Lock] = {}
        self._size = 0

    def get(self, patch: Patch) -> np.ndarray:
        """Return the pixels of a patch."""
        pixels = self._find(patch.key)
        if pixels is not None:
            return pixels
        with self._lock:
            gate = self._loading.setdefault(patch.key, threading.Lock())
        with gate:
            # Another thread may have loaded it while this one waited.
            pixels = self._find(patch.key)
            if pixels is None:
                pixels = self._load(patch)
                self._keep(patch.key, pixels)
        return pixels

    def _find(self, key: str) -> np.ndarray | None:
        with self._lock:
            pixels = self._kept.get(key)
            if pixels is not None:
                self._kept.move_to_end(key)
            return pixels

    def _keep(self, key: str, pixels: np.ndarray) -> None:
        with self._lock:
            self._loading.pop(key, None)
            if key not in self._kept:
                self._kept[key] = pixels
                self._size += pixels.nbytes
            while self._size > self._budget and self._kept:
                _, dropped = self._kept.popitem(last=False)
                self._size -= dropped.nbytes
