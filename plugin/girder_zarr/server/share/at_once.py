"""Small values that are in memory, answered in the event loop.

Handing a request to a thread and back takes as long as all the rest of it; so does parsing what most requests
do not have. What is not answered here goes the other way, which answers everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.serve.answer import HttpAnswer, answer_cached
from girder_zarr.image.serve.conditions import etag_of
from girder_zarr.image.serve.value_keys import content_type_of, is_possible

from .answer_headers import OF_VALUES, Pairs, lines_of, own_headers
from .grants import Address, cached_grant
from .requests import TOKEN_HEADER, ZarrRequest, split_path

if TYPE_CHECKING:
    from girder_zarr.image.store.entries import Block

    from .reads import Reader

#: Headers of requests that ask for something else than the whole value, or bring something along.
CONDITIONS = frozenset(
    {b'range', b'if-range', b'if-match', b'if-none-match', b'content-length', b'transfer-encoding', b'expect'}
)
_TOKEN, _COOKIE = TOKEN_HEADER.encode(), b'cookie'
_LINES_OF_VALUES = lines_of(OF_VALUES) + b'\r\n'


class PlainAnswer(NamedTuple):
    """The answer to a GET without conditions: the value.

    :param own: the headers that it has beside those of all values.
    """

    own: Pairs
    body: Block
    reader: Reader

    def start(self) -> dict[str, Any]:
        """Return ASGI's message with status and headers."""
        return {'type': 'http.response.start', 'status': 200, 'headers': self.own + OF_VALUES}

    def head(self) -> bytes:
        """Return status and headers as they are sent (RFC 9112)."""
        return b'HTTP/1.1 200 OK\r\n%b%b' % (lines_of(self.own), _LINES_OF_VALUES)


def plain_answer(path: str, headers: list[tuple[bytes, bytes]]) -> PlainAnswer | None:
    """Return the answer to a GET without parameters, or None where it may take a wait.

    :param path: below ``/zarr/``, decoded.
    """
    place = split_path(path)
    if place is None:
        return None
    door, name, key = place
    token = None
    for header, value in headers:
        if header in CONDITIONS:
            return None
        if door != 'k':
            if header == _TOKEN:
                token = value.decode('latin-1')
            elif header == _COOKIE:
                return None
    grant = cached_grant(Address(door, name, token or None))
    if grant is None or not key or not is_possible(key):
        return None
    try:
        entry = grant.tree.cached_entry(key)
        body = None if entry is None else entry.at_once()
    except UnreadableImageError:
        return None  # the other way says what is wrong
    if entry is None or body is None:
        return None
    own = own_headers(
        content_type_of(key), len(body), etag_of(entry.identity), grant.cache_control(key), entry.modified
    )
    return PlainAnswer(own, body, grant.reader)


def respond_at_once(request: ZarrRequest) -> tuple[HttpAnswer, Reader] | None:
    """Return the answer to a GET, perhaps with ranges and conditions, or None: it may take a wait."""
    key = request.key
    grant = cached_grant(request.address) if key and request.method == 'GET' else None
    if grant is None or key is None or not is_possible(key):
        return None
    try:
        entry = grant.tree.cached_entry(key)
        if entry is None:
            return None
        answer = answer_cached(entry, key, request.headers, grant.cache_control(key))
    except UnreadableImageError:
        return None
    return None if answer is None else (answer, grant.reader)
