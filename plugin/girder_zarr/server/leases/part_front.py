"""Which parts of an attempt are under way, found without a look at those that are done or not begun.

Workers lease the parts in their order. So behind a part that was never leased there is none that was; and a
part that is done stays done as long as its attempt lasts, so that those before the first that is not done
need not be read again.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from girder_zarr.server.common.names import Document

#: How many parts are read at first; each further reading is twice as long.
_FIRST_READING = 16


class PartFront:
    """The parts of one attempt behind those that are done from the first on. Thread safe.

    :param read: returns the parts whose indices are at least the first number and less than the second one,
        by index. Indices count from 0 without a gap.
    :param is_done: whether a part is done.
    """

    def __init__(
        self, read: Callable[[int, int], Sequence[Document]], is_done: Callable[[Document], bool]
    ) -> None:
        self._read, self._is_done = read, is_done
        self._lock = threading.Lock()
        self._first, self._made = 0, 0

    def read(self) -> tuple[int, list[Document]]:
        """Return the values of the parts that are done from the first on, and the parts behind those.

        The list ends with some that were never leased, or with the last part.
        """
        with self._lock:
            first, made = self._first, self._made
        found: list[Document] = []
        count = _FIRST_READING
        while True:
            begin = first + len(found)
            some = self._read(begin, begin + count)
            found += some
            if len(some) < count or not some[-1]['tries']:
                break
            count *= 2
        done = 0
        while done < len(found) and self._is_done(found[done]):
            made += found[done]['made']
            done += 1
        with self._lock:
            if self._first < first + done:
                self._first, self._made = first + done, made
        return made, found[done:]
