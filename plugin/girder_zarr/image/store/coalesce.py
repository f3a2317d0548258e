"""Parts of a far file that lie near each other, read at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .bytesource import ByteSource

#: Bytes between two parts that are rather read than asked around, and the most that one call reads ahead.
MAX_GAP, MAX_BYTES = 32 * 2**10, 32 * 2**20


class ByteRange(NamedTuple):
    """The bytes of a file from ``start`` to ``stop``, called ``key``."""

    start: int
    stop: int
    key: str


def runs(parts: Iterable[ByteRange]) -> Iterator[list[ByteRange]]:
    """Yield parts in groups that lie near each other, each in the order of the file."""
    group: list[ByteRange] = []
    for part in sorted(parts):
        if group and not part.start - group[-1].stop <= MAX_GAP:
            yield group
            group = []
        group.append(part)
    if group:
        yield group


def read_nearby(source: ByteSource, parts: Iterable[ByteRange]) -> Iterator[tuple[ByteRange, bytes]]:
    """Yield the parts that lie near others with their bytes, a group by one read; others are left out.

    :raises UnreadableImageError: they cannot be read.
    """
    left = MAX_BYTES
    for group in runs(parts):
        start, stop = group[0].start, max(part.stop for part in group)
        if len(group) == 1 or stop - start > left:
            continue
        left -= stop - start
        data = source.read(start, stop - start)
        for part in group:
            yield part, data[part.start - start : part.stop - start]
