"""A multipart body, part by part in bounded memory: RFC 2046, and RFC 7578 for the names of the parts.

The syntax is parsed by the package ``multipart``, which neither reads nor stores: it gets a piece of the body
and gives back what it has found in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser

from girder_zarr.errors import GirderZarrError, InvalidInputError

from .member import MAX_HEADER_BYTES, PIECE_BYTES, Member

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .member import ByteStream

#: RFC 7578 knows three headers; some clients add a few of their own.
MAX_HEADERS = 16
#: RFC 2046 allows 70 characters; some clients take more.
MAX_BOUNDARY = 200
#: Encodings of a part that leave its bytes as they are.
_IDENTITY = ('', 'binary', '8bit', '7bit')

#: A part begins; some of its bytes; it has ended.
Event: TypeAlias = 'MultipartSegment | bytes | bytearray | None'


class AnyMultipartParser(PushMultipartParser):
    """Takes parts of any multipart type, where the library insists on those of forms.

    ``_create_segment`` is what the library documents to override for other types.
    """

    def _create_segment(self, headerlist: list[tuple[str, str]]) -> MultipartSegment:
        return MultipartSegment(headerlist)


def read_multipart(body: ByteStream, boundary: str | None) -> Iterator[Member]:
    """Yield the parts of a multipart body.

    :raises InvalidInputError: there is no boundary, or the body is damaged or ends too early.
    """
    if not boundary or len(boundary) > MAX_BOUNDARY or not boundary.isascii():
        msg = 'Content-Type: expected multipart with a boundary, found none.'
        raise InvalidInputError(msg)
    return _parts(_Events(_events(body, boundary)))


def _events(body: ByteStream, boundary: str) -> Iterator[Event]:
    """Yield for each part its headers, then its bytes piece by piece, then None."""
    try:
        parser = AnyMultipartParser(
            boundary, max_header_size=MAX_HEADER_BYTES // MAX_HEADERS, max_header_count=MAX_HEADERS
        )
        # Read to the end, whatever comes after the last boundary, so that the client gets to see the answer.
        while piece := body.read_some(PIECE_BYTES):
            yield from parser.parse(piece)
    except ParserLimitReached as error:
        msg = (
            f'The head of a part has more than {MAX_HEADERS} headers, or one of more than '
            f'{MAX_HEADER_BYTES // MAX_HEADERS} bytes.'
        )
        raise InvalidInputError(msg) from error
    except MultipartError as error:
        msg = f'The multipart body is damaged: {error}.'
        raise InvalidInputError(msg) from error
    try:
        parser.close()
    except MultipartError as error:
        msg = 'The multipart body ends before its last boundary.'
        raise InvalidInputError(msg) from error


class _Events:
    """The events of a parser; an error is raised again each time, and not only the first."""

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self._error: GirderZarrError | None = None

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        if self._error is not None:
            raise self._error
        try:
            return next(self._events)
        except GirderZarrError as error:
            self._error = error
            raise


def _parts(events: Iterator[Event]) -> Iterator[Member]:
    for event in events:
        if isinstance(event, MultipartSegment):
            part = _PartReader(events)
            yield _part_member(event, part)
            part.skip()


def _part_member(segment: MultipartSegment, part: _PartReader) -> Member:
    name = segment.filename or segment.name or ''
    encoding = segment.header('Content-Transfer-Encoding', '').strip().lower()
    problem = ''
    if encoding not in _IDENTITY:
        problem = f'expected its bytes as they are, found the transfer encoding {encoding[:40]!r}.'
    return Member(name, part.read, problem=problem)


class _PartReader:
    """The bytes of one part, from the events of the parser."""

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self._piece: bytes | bytearray = b''
        self._ended = False

    def read(self, size: int) -> bytes:
        """Return from 1 to ``size`` of the next bytes, or none at the end."""
        if not self._piece and not self._ended:
            event = next(self._events)
            if isinstance(event, bytes | bytearray):
                self._piece = event
            else:
                self._ended = True
        taken, self._piece = self._piece[:size], self._piece[size:]
        return bytes(taken)

    def skip(self) -> None:
        """Pass over what is left of the part."""
        while self.read(PIECE_BYTES):
            pass
