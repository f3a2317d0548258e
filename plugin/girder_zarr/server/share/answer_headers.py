"""The headers of answers, as ASGI sends them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from girder_zarr.image.serve.conditions import http_date

if TYPE_CHECKING:
    from girder_zarr.image.serve.answer import HttpAnswer

Pairs = list[tuple[bytes, bytes]]

#: Sent with every answer. Nothing that is stored is ever shown or run as a page, whatever it claims to be.
#: Any page may read what it has a key or a token for, but not with its user's cookie (no Allow-Credentials).
COMMON: Pairs = [
    (b'access-control-allow-origin', b'*'),
    (b'access-control-expose-headers', b'Accept-Ranges, Content-Length, Content-Range, ETag, Last-Modified'),
    (b'cross-origin-resource-policy', b'cross-origin'),
    (b'vary', b'Girder-Token, Cookie'),
    (b'x-content-type-options', b'nosniff'),
]
_SANDBOX = (b'content-security-policy', b"default-src 'none'; sandbox")
#: Sent with every value.
OF_VALUES: Pairs = [(b'accept-ranges', b'bytes'), _SANDBOX, *COMMON]


def headers_of_answer(answer: HttpAnswer) -> Pairs:
    """Return the headers of any answer; a page of our own has a policy of its own."""
    headers = [(_encoded(name.lower()), value.encode('latin-1')) for name, value in answer.headers.items()]
    if 'Content-Security-Policy' not in answer.headers:
        headers.append(_SANDBOX)
    return headers + COMMON


def own_headers(content_type: str, size: int, etag: str, cache_control: str, modified: float | None) -> Pairs:
    """Return the headers that a whole value has beside `OF_VALUES`."""
    headers = [
        (b'content-length', b'%d' % size),
        (b'etag', etag.encode()),
        (b'cache-control', _encoded(cache_control)),
        (b'content-type', _encoded(content_type)),
    ]
    if modified is not None:
        headers.append((b'last-modified', http_date(modified).encode()))
    return headers


def lines_of(headers: Pairs) -> bytes:
    """Return headers as they are sent (RFC 9112, 5)."""
    return b''.join([b'%b: %b\r\n' % pair for pair in headers])


@functools.cache
def _encoded(text: str) -> bytes:
    """Return a text of ours, of which there are few."""
    return text.encode('latin-1')
