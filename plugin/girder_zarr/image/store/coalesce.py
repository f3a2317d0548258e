"""Parts of a far file that lie near each other, read at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Bytes between two parts that are rather read than asked around: they take less time than another request.
MAX_GAP = 32 * 2**10
#: The most bytes of one request; more are asked for by several side by side.
MAX_RUN = 4 * 2**20


class ByteRange(NamedTuple):
    """The bytes of a file from ``start`` to ``stop``, called ``key``."""

    start: int
    stop: int
    key: str


def runs(parts: Iterable[ByteRange]) -> Iterator[list[ByteRange]]:
    """Yield parts in groups that lie near each other, each in the order of the file."""
    group: list[ByteRange] = []
    for part in sorted(parts):
        if group and (part.start - group[-1].stop > MAX_GAP or part.stop - group[0].start > MAX_RUN):
            yield group
            group = []
        group.append(part)
    if group:
        yield group
