"""The Range header (RFC 9110, 14.1 and 14.2) and bodies of several ranges (14.6)."""

from __future__ import annotations

import itertools
import re
import secrets
from typing import NamedTuple

#: The most ranges of one request. Clients that put reads together ask for a handful; each costs a seek here.
MAX_RANGES = 64
#: A position that is beyond every value; longer numbers are not read at all.
_MAX_DIGITS = 19
_RANGE = re.compile(r'([0-9]*)-([0-9]*)')


class Span(NamedTuple):
    """The bytes from ``start`` to ``stop``, which is not one of them."""

    start: int
    stop: int


class UnsatisfiableError(ValueError):
    """Ranges that name no byte, or that are refused; the answer is 416."""


def parse_ranges(header: str, size: int) -> list[Span] | None:
    """Return the ranges that a header asks for, in its order; those beyond the value are left out.

    :param size: bytes of the value.
    :returns: None: the header is malformed or in another unit, and is to be ignored (14.2).
    :raises UnsatisfiableError: no range lies in the value, or they are too many or overlap, which no client
        needs and which would make an answer larger than the value.
    """
    unit, equals, text = header.partition('=')
    if unit.strip().lower() != 'bytes' or not equals:
        return None
    parts = [part.strip() for part in text.split(',', MAX_RANGES)]
    if len(parts) > MAX_RANGES:
        msg = f'expected at most {MAX_RANGES} ranges'
        raise UnsatisfiableError(msg)
    spans = []
    for part in parts:
        match = _RANGE.fullmatch(part)
        if match is None or part == '-':
            return None
        span = _span(match[1], match[2], size)
        if span is None:
            return None
        if span.start < span.stop:
            spans.append(span)
    if not spans:
        msg = 'no range lies in the value'
        raise UnsatisfiableError(msg)
    ordered = sorted(spans)
    if any(left.stop > right.start for left, right in itertools.pairwise(ordered)):
        msg = 'the ranges overlap'
        raise UnsatisfiableError(msg)
    return spans


def _span(first: str, last: str, size: int) -> Span | None:
    """Return one range, empty where it lies beyond the value, or None where it is malformed."""
    if not first:
        return Span(size - min(_number(last), size), size)
    start = _number(first)
    if not last:
        return Span(min(start, size), size)
    stop = _number(last) + 1
    return None if stop <= start else Span(min(start, size), min(stop, size))


def _number(digits: str) -> int:
    return int(digits) if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS


class Multipart:
    """The frame around several ranges in one body.

    :param content_type: of the value. :param size: bytes of the value.
    """

    def __init__(self, spans: list[Span], content_type: str, size: int) -> None:
        boundary = secrets.token_hex(16)
        self.content_type = f'multipart/byteranges; boundary={boundary}'
        self.heads = [
            (
                f'\r\n--{boundary}\r\nContent-Type: {content_type}\r\n'
                f'Content-Range: {content_range(span, size)}\r\n\r\n'
            ).encode()
            for span in spans
        ]
        self.tail = f'\r\n--{boundary}--\r\n'.encode()
        self.length = sum(map(len, self.heads)) + len(self.tail) + sum(b - a for a, b in spans)


def content_range(span: Span, size: int) -> str:
    """Return the value of the header Content-Range."""
    return f'bytes {span.start}-{span.stop - 1}/{size}'
