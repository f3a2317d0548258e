"""Chunks that do not fit in memory: one temporary file, in which each has a slot of its own.

Making a file costs more than filling it, so that a file a chunk would make small tiles dearer once the first
chunks have to go.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Slots are multiples of this many bytes, so that one that was left suits many others.
_STEP = 2**16


@dataclass(frozen=True, slots=True)
class Slot:
    """A range of bytes in the file.

    :param start: its first byte.
    :param length: bytes of its content.
    :param room: bytes of the slot, at least ``length``.
    """

    start: int
    length: int
    capacity: int


class Spill:
    """A file of slots, made when the first is needed. Thread safe.

    :param directory: returns the folder for the file.
    """

    def __init__(self, directory: Callable[[], Path]) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._path: Path | None = None
        self._end = 0
        self._free: defaultdict[int, list[int]] = defaultdict(list)

    @property
    def path(self) -> Path | None:
        """The file, or None where nothing was put yet."""
        return self._path

    def put(self, content: bytes, old: Slot | None) -> Slot:
        """Store bytes.

        :param old: the slot of what they replace, which is not to be read any more.
        :raises OSError: the disk is full; the old slot is free as well.
        """
        with self._lock:
            if self._path is None:
                self._path = self._directory() / 'chunks'
            slot = self._slot(len(content), old)
        try:
            # opened each time: there is nothing to close when the image goes
            handle = os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600)
            try:
                written = 0
                while written < len(content):
                    written += os.pwrite(handle, memoryview(content)[written:], slot.start + written)
            finally:
                os.close(handle)
        except OSError:
            self.drop(slot)
            raise
        return slot

    def get(self, slot: Slot) -> bytes:
        """Return what was put into a slot."""
        assert self._path is not None
        handle = os.open(self._path, os.O_RDONLY)
        try:
            return os.pread(handle, slot.length, slot.start)
        finally:
            os.close(handle)

    def drop(self, slot: Slot) -> None:
        """Free a slot."""
        with self._lock:
            self._free[slot.capacity].append(slot.start)

    def _slot(self, length: int, old: Slot | None) -> Slot:
        """Return a slot of at least so many bytes. The caller has the lock."""
        capacity = -(-length // _STEP) * _STEP
        if old is not None:
            if capacity <= old.capacity:
                return Slot(old.start, length, old.capacity)
            self._free[old.capacity].append(old.start)
            # what grows once grows again: all slots that a chunk leaves are together no larger than its last
            capacity = max(capacity, 2 * old.capacity)
        if self._free[capacity]:
            return Slot(self._free[capacity].pop(), length, capacity)
        start, self._end = self._end, self._end + capacity
        return Slot(start, length, capacity)
