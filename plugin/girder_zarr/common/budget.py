"""One budget of bytes for everything that a process decodes at a time.

Each of many threads may decode an image that is within the limits; together they may not. Who decodes takes
its bytes from the budget first, and waits, in the order of asking, while others use them.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What a process may decode at a time unless the setting ``zarr.memory_budget`` says otherwise: with the
#: process itself and its caches, a server of 8 GB has room for two such processes.
DEFAULT_BYTES = 2**30


class MemoryBudget:
    """So many bytes, shared by the threads of a process.

    Requests are served in the order in which they come. One that is larger than the whole budget waits until
    nothing else is in use, and then runs alone. A thread that holds bytes already never waits: what it asks
    for beyond them is added to them, since others could not go on before it has finished.
    """

    def __init__(self, nbytes: int = DEFAULT_BYTES) -> None:
        #: The bytes in total; :func:`follow` replaces it.
        self.source: Callable[[], int] = lambda: nbytes
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()
        self._used = 0
        self._own = threading.local()

    @property
    def used(self) -> int:
        """The bytes that are in use."""
        return self._used

    @contextmanager
    def acquire(self, nbytes: int) -> Iterator[None]:
        """Hold bytes in this context, once they are free.

        Nested in another context of the same thread, the bytes of that one count for this one as well.
        """
        held: int = getattr(self._own, 'held', 0)
        more = max(0, nbytes - held)
        if held:
            with self._changed:
                self._used += more
        else:
            self._wait(more)
        self._own.held = held + more
        try:
            yield
        finally:
            self._own.held = held
            with self._changed:
                self._used -= more
                self._changed.notify_all()

    def _wait(self, nbytes: int) -> None:
        total, place = self.source(), object()
        with self._changed:
            self._queue.append(place)
            try:
                while self._queue[0] is not place or (self._used and self._used + nbytes > total):
                    self._changed.wait()
                self._used += nbytes
            finally:
                self._queue.remove(place)
                self._changed.notify_all()


#: That of this process.
BUDGET = MemoryBudget()


def follow(source: Callable[[], int]) -> None:
    """Take the size of the budget from a function from now on; it is called for every request."""
    BUDGET.source = source
