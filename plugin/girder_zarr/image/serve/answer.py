"""A request for one value of a tree, and its answer: status, headers and blocks of the body (RFC 9110)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from girder_zarr.image.store.entries import BLOCK_BYTES, Block, Entry

from .byte_ranges import Multipart, Span, UnsatisfiableError, content_range, parse_ranges
from .conditions import etag_of, http_date, ranges_count, status_of_conditions
from .s3_listing import XML, error_body
from .value_keys import content_type_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: S3's name and our sentence for each status without a value.
ERRORS = {
    400: ('InvalidArgument', 'The request is malformed.'),
    403: ('AccessDenied', 'There is nothing here that you may read.'),
    404: ('NoSuchKey', 'There is no such key.'),
    405: ('MethodNotAllowed', 'GET, HEAD and OPTIONS are answered.'),
    412: ('PreconditionFailed', 'The value is not the one that If-Match names.'),
    413: ('EntityTooLarge', 'This is more than is answered.'),
    416: ('InvalidRange', 'The range lies beyond the value, or the ranges overlap or are too many.'),
    500: ('InternalError', 'The value is there and cannot be read; the log of the server says why.'),
    501: ('NotImplemented', 'This is not served.'),
    503: ('ServiceUnavailable', 'The server is busy or lacks its database; try again in a moment.'),
}


@dataclass
class HttpAnswer:
    """An answer: status, headers and blocks of bytes.

    :param headers: without those that all answers have.
    :param first: the body, or its first block where ``rest`` gives more.
    :param close: closes the source of the blocks; see :meth:`release`.
    :param held: bytes that are in memory until then.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    first: Block = b''
    rest: Iterator[Block] | None = None
    close: Callable[[], None] | None = None
    held: int = 0

    def release(self) -> None:
        """Drop the unread blocks and close their source. Calling it again does nothing."""
        rest, self.rest = self.rest, None
        close, self.close = self.close, None
        if isinstance(rest, Generator):
            rest.close()
        if close is not None:
            close()


def error_answer(status: int, sentence: str | None = None) -> HttpAnswer:
    """Return an answer without a value."""
    code, usual = ERRORS[status]
    body = error_body(code, sentence or usual)
    headers = {'Content-Type': XML, 'Content-Length': str(len(body)), 'Cache-Control': 'no-store'}
    return HttpAnswer(status, headers, body)


def text_answer(body: bytes, content_type: str, **headers: str) -> HttpAnswer:
    """Return an answer with a whole body that was made for it."""
    return HttpAnswer(
        200,
        {
            'Content-Type': content_type,
            'Content-Length': str(len(body)),
            'Cache-Control': 'private, no-store',
            **headers,
        },
        body,
    )


def answer_entry(entry: Entry, key: str, headers: Mapping[str, str], cache_control: str) -> HttpAnswer:
    """Return the answer to a GET (or a HEAD, which leaves out the body) of a value.

    :param entry: is closed with the answer.
    :param headers: of the request, names in lower case.
    :raises UnreadableImageError: the first block cannot be read.
    """
    try:
        answer = _answer(entry, key, headers, cache_control)
        if answer.rest is None:
            entry.close()
            return answer
        answer.close, answer.held = entry.close, entry.held
        answer.first = next(answer.rest, b'')
        if len(answer.first) == int(answer.headers['Content-Length']):
            answer.release()
    except BaseException:
        entry.close()
        raise
    return answer


def answer_cached(
    entry: Entry, key: str, headers: Mapping[str, str], cache_control: str
) -> HttpAnswer | None:
    """Return the answer to a GET in one block without waiting, or None where that is not possible."""
    answer = _answer(entry, key, headers, cache_control)
    if answer.rest is None:
        return answer
    if int(answer.headers['Content-Length']) > BLOCK_BYTES:
        return None
    try:
        blocks = list(answer.rest)
    except BlockingIOError:
        return None
    answer.first = blocks[0] if len(blocks) == 1 else b''.join(blocks)
    answer.rest = None
    return answer


def head_entry(entry: Entry, key: str, headers: Mapping[str, str], cache_control: str) -> HttpAnswer:
    """Return the answer to a HEAD of a value; nothing of it is read."""
    try:
        answer = _answer(entry, key, headers, cache_control)
    finally:
        entry.close()
    answer.first, answer.rest = b'', None
    return answer


def _answer(entry: Entry, key: str, headers: Mapping[str, str], cache_control: str) -> HttpAnswer:
    etag = etag_of(entry.identity)
    sent = {'ETag': etag, 'Cache-Control': cache_control, 'Accept-Ranges': 'bytes'}
    if entry.modified is not None:
        sent['Last-Modified'] = http_date(entry.modified)
    status = status_of_conditions(headers, etag)
    if status == 304:
        return HttpAnswer(304, sent)
    if status is not None:
        return error_answer(status)
    size, kind = entry.size, content_type_of(key)
    spans = None
    if 'range' in headers and ranges_count(headers, etag, entry.modified):
        try:
            spans = parse_ranges(headers['range'], size)
        except UnsatisfiableError:
            refused = error_answer(416)
            refused.headers['Content-Range'] = f'bytes */{size}'
            return refused
    if spans is not None and len(spans) > 1:
        return _several(entry, spans, kind, sent)
    span = Span(0, size) if spans is None else spans[0]
    sent |= {'Content-Type': kind, 'Content-Length': str(span.stop - span.start)}
    if spans is not None:
        sent['Content-Range'] = content_range(span, size)
    return HttpAnswer(200 if spans is None else 206, sent, rest=entry.blocks(*span))


def _several(entry: Entry, spans: list[Span], kind: str, sent: dict[str, str]) -> HttpAnswer:
    frame = Multipart(spans, kind, entry.size)
    sent |= {'Content-Type': frame.content_type, 'Content-Length': str(frame.length)}

    def body() -> Iterator[Block]:
        for head, span in zip(frame.heads, spans, strict=True):
            yield head
            yield from entry.blocks(*span)
        yield frame.tail

    return HttpAnswer(206, sent, rest=_joined(body()))


def _joined(blocks: Iterator[Block]) -> Iterator[Block]:
    """Put small blocks together, so that many small ranges are not sent one by one."""
    waiting, size = [], 0
    for block in blocks:
        waiting.append(block)
        size += len(block)
        if size >= BLOCK_BYTES:
            yield b''.join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b''.join(waiting)
