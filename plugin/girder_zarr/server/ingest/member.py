"""A file in a stream of many, and the stream that it is read from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: The largest extended header of a member of a tar, and the headers of a part of a multipart body together.
#: Names and fields of a patch take some hundred bytes; a header is in memory while it is parsed.
MAX_HEADER_BYTES = 2**16
#: Members are read in pieces of this size.
PIECE_BYTES = 2**16


class ByteStream(Protocol):
    """A stream that is read once, from its beginning to its end."""

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer than asked for only at the end."""

    def read_some(self, size: int) -> bytes:
        """Return from 1 to ``size`` of the next bytes, or none at the end."""


@dataclass
class Member:
    """A file of a stream. What is not read of it is skipped when the next one is asked for.

    :param name: as the stream has it. It is compared with a manifest or with the form of a key, and never
        becomes a path.
    :param read: returns from 1 to ``size`` of the next bytes, or none at the end.
    :param fields: the fields of the patch that its own header gives.
    :param problem: why it is not acceptable as a patch, or ''.
    """

    name: str
    read: Callable[[int], bytes]
    fields: dict[str, Any] = field(default_factory=dict)
    problem: str = ''
    is_folder: bool = False

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes that were not read yet."""
        while piece := self.read(PIECE_BYTES):
            yield piece
