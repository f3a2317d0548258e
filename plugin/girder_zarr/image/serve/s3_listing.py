"""Answers in the form of S3's REST API: ListObjectsV2, GetBucketLocation and errors.

The fields are those of https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html; clients that
sign are answered as those that do not.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.sax.saxutils import escape

from girder_zarr.errors import InvalidInputError

from .conditions import etag_of
from .key_pages import MAX_KEYS, list_page
from .value_keys import MAX_KEY_BYTES, UNUSUAL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from girder_zarr.image.store.entries import Listed

    from .tree import Tree

XML = 'application/xml'
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_SPACE = 'http://s3.amazonaws.com/doc/2006-03-01/'
#: Zips and databases keep no times of their own; listings need one.
_EPOCH = 0.0


def is_listing(query: Mapping[str, str]) -> bool:
    """Whether the query of an address asks for a listing, or for another answer about the bucket."""
    return 'list-type' in query or 'location' in query


def answer_bucket(tree: Tree, name: str, query: Mapping[str, str]) -> bytes:
    """Return the answer to a request about a bucket.

    :param name: of the bucket, as the client calls it.
    :raises InvalidInputError: a parameter is malformed or is not known.
    :raises UnreadableImageError: the tree cannot be listed.
    """
    if 'location' in query:
        return f'{_HEAD}<LocationConstraint xmlns="{_SPACE}"/>'.encode()
    if query['list-type'] != '2':
        msg = f'list-type: expected 2, found {query["list-type"][:20]!r}.'
        raise InvalidInputError(msg)
    return _list(tree, name, query)


def _list(tree: Tree, name: str, query: Mapping[str, str]) -> bytes:
    prefix = _text(query, 'prefix')
    delimiter = query.get('delimiter', '')
    if delimiter not in ('', '/'):
        msg = f'delimiter: expected none or /, found {delimiter[:20]!r}.'
        raise InvalidInputError(msg)
    count = _count(query.get('max-keys', str(MAX_KEYS)))
    token = query.get('continuation-token')
    start = _text(query, 'start-after')
    encode = _encoder(query.get('encoding-type'))
    after = start if token is None else _from_token(token)
    page = list_page(tree, prefix, after, count, flat=not delimiter)
    fields = {'Name': name, 'Prefix': encode(prefix), 'MaxKeys': str(count)}
    fields['KeyCount'] = str(len(page.values) + len(page.prefixes))
    fields['IsTruncated'] = 'false' if page.following is None else 'true'
    if delimiter:
        fields['Delimiter'] = delimiter
    if 'encoding-type' in query:
        fields['EncodingType'] = 'url'
    if start:
        fields['StartAfter'] = encode(start)
    if token is not None:
        fields['ContinuationToken'] = token
    if page.following is not None:
        fields['NextContinuationToken'] = _token(page.following)
    parts = [f'<{field}>{escape(value)}</{field}>' for field, value in fields.items()]
    parts += [_contents(one, encode) for one in page.values]
    parts += [
        f'<CommonPrefixes><Prefix>{escape(encode(folder))}</Prefix></CommonPrefixes>'
        for folder in page.prefixes
    ]
    body = ''.join(parts)
    return f'{_HEAD}<ListBucketResult xmlns="{_SPACE}">{body}</ListBucketResult>'.encode()


def _contents(one: Listed, encode: Callable[[str], str]) -> str:
    return (
        f'<Contents><Key>{escape(encode(one.name))}</Key>'
        f'<LastModified>{_time(one.modified)}</LastModified>'
        f'<ETag>{escape(etag_of(one.identity))}</ETag><Size>{one.size}</Size>'
        '<StorageClass>STANDARD</StorageClass></Contents>'
    )


def _text(query: Mapping[str, str], name: str) -> str:
    text = query.get(name, '')
    if len(text) > MAX_KEY_BYTES or UNUSUAL.search(text):
        msg = f'{name}: expected a key of at most {MAX_KEY_BYTES} bytes.'
        raise InvalidInputError(msg)
    return text


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        msg = f'max-keys: expected a number, found {text[:20]!r}.'
        raise InvalidInputError(msg)
    return min(int(text), MAX_KEYS)


def _encoder(kind: str | None) -> Callable[[str], str]:
    if kind not in (None, 'url'):
        msg = f'encoding-type: expected url, found {kind[:20]!r}.'
        raise InvalidInputError(msg)
    return quote if kind else str


def _token(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _from_token(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), b'-_', validate=True).decode()
    except (binascii.Error, UnicodeError):
        msg = 'continuation-token: expected one that a listing gave.'
        raise InvalidInputError(msg) from None


def _time(modified: float | None) -> str:
    when = dt.datetime.fromtimestamp(_EPOCH if modified is None else modified, dt.UTC)
    return when.strftime('%Y-%m-%dT%H:%M:%S.000Z')


def error_body(code: str, sentence: str) -> bytes:
    """Return an error as S3's clients read it."""
    return (
        f'{_HEAD}<Error><Code>{escape(code)}</Code><Message>{escape(sentence)}</Message></Error>\n'
    ).encode()
