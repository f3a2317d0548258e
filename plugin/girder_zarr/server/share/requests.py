"""A request to ``/zarr``: which door, which key, and which answer. Everything here may block."""

from __future__ import annotations

import logging
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, quote

from girder.exceptions import AccessException

from girder_zarr.errors import ForbiddenPartError, InvalidInputError, LimitExceededError, UnreadableImageError
from girder_zarr.image.serve.answer import (
    HttpAnswer,
    answer_entry,
    error_answer,
    head_entry,
    text_answer,
)
from girder_zarr.image.serve.html_listing import HTML, POLICY, folder_page
from girder_zarr.image.serve.s3_listing import XML, answer_bucket, is_listing
from girder_zarr.image.serve.value_keys import is_possible
from girder_zarr.server.common.database import was_lost

from .grants import Address, Grant, RefusedError, forget_grant, grant_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .reads import Reader

logger = logging.getLogger(__name__)

DOORS = ('item', 'session', 'k')
#: What the name of an image may end with: napari, QuPath and Fiji open what is called so, and nothing else.
SUFFIX = '.zarr'
#: The most parameters of an address.
MAX_PARAMETERS = 32
TOKEN_HEADER, TOKEN_COOKIE = 'girder-token', 'girderToken'


class ZarrRequest(NamedTuple):
    """A request, parsed.

    :param key: decoded; None: the address ends with the name, without a slash.
    :param headers: names in lower case.
    """

    method: str
    address: Address
    key: str | None
    query: Mapping[str, str]
    headers: Mapping[str, str]


def read_request(method: str, path: str, query: bytes, headers: Mapping[str, str]) -> ZarrRequest | None:
    """Return a request, or None: its address leads nowhere.

    :param path: below ``/zarr/``, decoded.
    :raises InvalidInputError: the parameters are malformed.
    """
    place = split_path(path)
    if place is None:
        return None
    door, name, key = place
    address = Address(door, name, None if door == 'k' else _token(headers))
    return ZarrRequest(method, address, key, _query(query), headers)


def split_path(path: str) -> tuple[str, str, str | None] | None:
    """Return door, name and key of a path below ``/zarr/``, or None: it leads nowhere.

    :returns: the key is None where the path ends with the name, without a slash.
    """
    door, _, rest = path.partition('/')
    name, slash, key = rest.partition('/')
    return (door, name.removesuffix(SUFFIX), key if slash else None) if name and door in DOORS else None


def _query(text: bytes) -> dict[str, str]:
    if not text:
        return {}
    try:
        return dict(parse_qsl(text.decode('latin-1'), keep_blank_values=True, max_num_fields=MAX_PARAMETERS))
    except ValueError:
        msg = f'The address has more than {MAX_PARAMETERS} parameters.'
        raise InvalidInputError(msg) from None


def _token(headers: Mapping[str, str]) -> str | None:
    """Return Girder's token: from its header, or else, since only GET and HEAD are answered, its cookie."""
    found = headers.get(TOKEN_HEADER)
    if found is None and 'cookie' in headers:
        try:
            cookie = SimpleCookie(headers['cookie']).get(TOKEN_COOKIE)
        except CookieError:
            return None
        found = None if cookie is None else cookie.value
    return found or None


def respond(request: ZarrRequest, *, may_make: bool = True) -> tuple[HttpAnswer, Reader | None] | None:
    """Return the answer to a request, and its reader; errors have an answer too.

    :param may_make: whether values may be made of pixels, which takes work.
    :returns: None: that would be needed.
    """
    try:
        try:
            return _respond(request, may_make=may_make)
        except ForbiddenPartError:
            raise
        except UnreadableImageError:
            # A file that was replaced is seen where it is opened anew.
            forget_grant(request.address)
            return _respond(request, may_make=may_make)
    except (RefusedError, ForbiddenPartError, AccessException):
        return error_answer(403), None
    except InvalidInputError as error:
        return error_answer(400, str(error)), None
    except LimitExceededError as error:
        return error_answer(413, str(error)), None
    except Exception as error:  # the messages of stores name paths, so they are not sent
        if was_lost(error):
            logger.warning('The database was away when a key was read: %s', error)
            return error_answer(503), None
        logger.exception('The key %r of %s %s cannot be read', request.key, *request.address[:2])
        return error_answer(500), None


def _respond(request: ZarrRequest, *, may_make: bool) -> tuple[HttpAnswer, Reader] | None:
    grant = grant_of(request.address)
    if not may_make and grant.makes(request.key or request.query.get('prefix', '')):
        return None
    return _answer(request, grant), grant.reader


def _answer(request: ZarrRequest, grant: Grant) -> HttpAnswer:
    key = request.key
    if not key and is_listing(request.query):
        return text_answer(answer_bucket(grant.tree, request.address.name, request.query), XML)
    if key is None:
        return _bucket(request)
    if key == '' or key.endswith('/'):
        return _folder(grant, key)
    entry = grant.entry(key) if is_possible(key) else None
    if entry is None:
        return error_answer(404)
    answer = head_entry if request.method == 'HEAD' else answer_entry
    return answer(entry, key, request.headers, grant.cache_control(key))


def _bucket(request: ZarrRequest) -> HttpAnswer:
    """HttpAnswer at the address without a slash: S3's clients ask there whether the bucket exists."""
    if request.method == 'HEAD':
        return text_answer(b'', XML)
    # Relative, so that it is right behind any proxy.
    return HttpAnswer(307, {'Location': f'./{quote(request.address.name)}/', 'Content-Length': '0'})


def _folder(grant: Grant, key: str) -> HttpAnswer:
    folder = key[:-1]
    page = folder_page(grant.tree, folder) if not folder or is_possible(folder) else None
    if page is None:
        return error_answer(404)
    # The key of a link is in the address of the page.
    policies = {'Content-Security-Policy': POLICY, 'Referrer-Policy': 'no-referrer'}
    return text_answer(page, HTML, **policies)


def still_granted(request: ZarrRequest) -> bool:
    """Whether a request that is being answered could be made now."""
    try:
        grant_of(request.address)
    except RefusedError:
        return False
    return True
