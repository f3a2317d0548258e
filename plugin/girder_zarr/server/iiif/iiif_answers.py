"""A request to ``/iiif`` and its answer: document, picture, redirect, error. Everything here may block."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from girder.models.file import File
from girder.models.setting import Setting
from girder.settings import SettingKey
from girder_large_image.models.image_item import ImageItem
from large_image.exceptions import TileSourceError

from girder_zarr.common.cache import LRU
from girder_zarr.errors import InvalidInputError, LimitExceededError, NotFoundError
from girder_zarr.image.iiif import image_information, presentation
from girder_zarr.image.iiif.picture_request import FORMATS, PictureLimits, read_request
from girder_zarr.image.iiif.picture_source import PictureSource
from girder_zarr.image.serve.answer import HttpAnswer
from girder_zarr.image.serve.conditions import etag_of, status_of_conditions
from girder_zarr.server.common.database import was_lost
from girder_zarr.server.share.grants import PUBLIC_SECONDS, RefusedError
from girder_zarr.server.share.requests import read_request as read_zarr_request

from .folder_members import members
from .iiif_address import IiifAddress, base_address, read_address
from .iiif_target import Target, find_target, label_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from girder_zarr.server.common.names import Document
    from girder_zarr.server.share.reads import Reader

logger = logging.getLogger(__name__)

#: WebP has no longer sides.
MAX_SIDE = 16_383
#: Pixels of one picture as for regions of sessions, and stored pixels that may be read for it.
LIMITS, COST = PictureLimits(MAX_SIDE, 2**26), 2**28
#: The same for those who have not signed in, with a share key or without: half a second of a processor.
ANONYMOUS_LIMITS, ANONYMOUS_COST = PictureLimits(MAX_SIDE, 2**22), 2**25
#: Bytes of pictures that were asked for lately, and that others ask for too, such as thumbnails.
CACHED_BYTES = 32 * 2**20
#: Part of the validators: raised when other pictures are made of the same image.
PICTURE_VERSION = 1
JSON, JSON_LD = 'application/json', 'application/ld+json'

_pictures: LRU[str, bytes] = LRU(max_bytes=CACHED_BYTES, size_of=len)


class IiifRequest(NamedTuple):
    """A request.

    :param path: what comes after ``/iiif/``, as it was sent. :param headers: names in lower case.
    :param site: the address of the server as the client knows it.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    site: str


def respond(request: IiifRequest) -> tuple[HttpAnswer, Reader | None]:
    """Return the answer to a request, and its reader; errors have an answer too."""
    target = None
    try:
        address = read_address(request.path)
        target = find_target(address, _token(request.headers))
        return _RESOURCES[address.resource](request, address, target), target.rights.reader
    except (RefusedError, NotFoundError) as error:
        # Who may not read an image is not told whether it exists, and so gets the answer of an unknown one.
        return failure(404, str(error) if target is not None else ''), None
    except (InvalidInputError, LimitExceededError) as error:
        return failure(400, str(error)), None
    except Exception as error:  # the messages of sources name paths, so they are not sent
        if was_lost(error):
            logger.warning('The database was away when %s was asked for: %s', request.path[:200], error)
            return failure(503), None
        level = logging.WARNING if isinstance(error, TileSourceError) else logging.ERROR
        logger.log(level, 'A picture or document cannot be made: %s', error, exc_info=True)
        return failure(500), None


def _token(headers: Mapping[str, str]) -> str | None:
    """Return Girder's token where requests to ``/zarr`` have it."""
    found = read_zarr_request('GET', 'item/-', b'', headers)
    return None if found is None else found.address.token


_SENTENCES = {
    400: 'The request is malformed.',
    404: 'There is nothing here that you may read.',
    405: 'GET, HEAD and OPTIONS are answered.',
    500: 'The image is there and cannot be shown; the log of the server says why.',
    503: 'The server is busy or lacks its database; try again in a moment.',
}


def failure(status: int, sentence: str = '') -> HttpAnswer:
    """Return an answer without a picture: a sentence in plain text."""
    body = f'{sentence or _SENTENCES[status]}\n'.encode()
    headers = {
        'Content-Type': 'text/plain; charset=utf-8',
        'Content-Length': str(len(body)),
        'Cache-Control': 'no-store',
    }
    return HttpAnswer(status, headers, body)


def _own_address(request: IiifRequest, address: IiifAddress, target: Target) -> str:
    """Return the base URI of what an address names, with ids in the place of a path, without a frame."""
    return base_address(_site(request), address.door, address.name, target.below)


def _site(request: IiifRequest) -> str:
    root: str = Setting().get(SettingKey.SERVER_ROOT) or request.site
    return root.rstrip('/')


def _redirect(request: IiifRequest, address: IiifAddress, target: Target) -> HttpAnswer:
    own = _own_address(request, address, target)
    if target.kind == 'folder':
        place = f'{own}{_page(address)}/manifest'
    else:
        place = f'{presentation.frame_address(own, address.frame)}/info.json'
    return HttpAnswer(303, {'Location': place, 'Content-Length': '0', 'Cache-Control': 'no-cache'})


def _page(address: IiifAddress) -> str:
    return '' if address.page is None else f';page={address.page}'


def _information(request: IiifRequest, address: IiifAddress, target: Target) -> HttpAnswer:
    source = _source(target, address)
    own = presentation.frame_address(_own_address(request, address, target), address.frame)
    rights = _rights(target.document)
    document = image_information.image_information(own, source, *_limits(target), rights)
    answer = _json_answer(request, target, document, image_information.CONTEXT)
    answer.headers['Link'] = f'<{image_information.PROFILE_ADDRESS}>;rel="profile"'
    return answer


def _manifest(request: IiifRequest, address: IiifAddress, target: Target) -> HttpAnswer:
    own = _own_address(request, address, target)
    document = target.document
    if target.kind == 'folder':
        described = presentation.Described(
            own + _page(address), label_of(document), document.get('description') or ''
        )
        found = members(document, target.rights.user, address.page, own, _addresses(request, address))
        if found is None:
            raise RefusedError
        return _json_answer(request, target, presentation.collection(described, found), presentation.CONTEXT)
    source = ImageItem().tileSource(document)
    page = f'{_site(request)}/#item/{document["_id"]}' if address.door == 'item' else None
    described = presentation.Described(
        own, label_of(document), document.get('description') or '', _rights(document), page
    )
    made = presentation.manifest(described, source.getMetadata(), ANONYMOUS_LIMITS, int(source.frames))
    return _json_answer(request, target, made, presentation.CONTEXT)


def _addresses(request: IiifRequest, address: IiifAddress) -> Any:
    """Return what makes the base URIs of items and folders in a folder: by their ids, or below its key."""
    site = _site(request)
    if address.door == 'k':
        return lambda _, one: base_address(site, 'k', address.name, str(one))
    return lambda kind, one: base_address(site, kind, str(one))


def _picture(request: IiifRequest, address: IiifAddress, target: Target) -> HttpAnswer:
    source = _source(target, address)
    limits, cost = _limits(target)
    asked = read_request(address.parts, source.size, limits, is_color=source.is_color)
    own = presentation.frame_address(_own_address(request, address, target), address.frame)
    # `max` is not the same size for everybody.
    etag = etag_of(f'{_identity(target, source)}:{address.frame}:{asked.size}:{asked.canonical}')
    links = f'<{own}/{asked.canonical}>;rel="canonical",<{image_information.PROFILE_ADDRESS}>;rel="profile"'
    headers = {'ETag': etag, 'Cache-Control': _cache_control(target, PUBLIC_SECONDS), 'Link': links}
    status = status_of_conditions(request.headers, etag)
    if status == 304:
        return HttpAnswer(304, headers)
    headers['Content-Type'] = FORMATS[asked.format]
    if request.method == 'HEAD':
        return HttpAnswer(200, headers)
    body = _pictures.fetch(etag, lambda: source.picture(asked, cost))
    headers['Content-Length'] = str(len(body))
    return HttpAnswer(200, headers, body)


_RESOURCES = {
    'base': _redirect,
    'information': _information,
    'manifest': _manifest,
    'picture': _picture,
}


def _limits(target: Target) -> tuple[PictureLimits, int]:
    """Return how large pictures may be, and how much may be read for one."""
    if target.rights.reader.user_id is None:
        return ANONYMOUS_LIMITS, ANONYMOUS_COST
    return LIMITS, COST


def _source(target: Target, address: IiifAddress) -> PictureSource:
    """Return the image of an item in the style in which Girder shows it.

    :raises RefusedError: it is a folder. :raises NotFoundError: there is no such frame.
    """
    if target.kind != 'item' or address.page is not None:
        raise RefusedError
    return PictureSource(ImageItem().tileSource(target.document), address.frame)


def _identity(target: Target, source: PictureSource) -> str:
    """Return a text that changes when the pixels of an image change."""
    file = File().load(target.document['largeImage']['fileId'], force=True)
    if file is None:
        raise RefusedError
    return f'{file["_id"]}:{file.get("updated")}:{file["size"]}:{source.state}:{PICTURE_VERSION}'


def _rights(document: Document) -> str | None:
    meta = document.get('meta') or {}
    return presentation.rights_uri(meta.get('rights')) or presentation.rights_uri(meta.get('license'))


def _cache_control(target: Target, seconds: int = 0) -> str:
    if not target.rights.is_public:
        return 'private, no-cache'
    return f'public, max-age={seconds}' if seconds else 'public, no-cache'


def _json_answer(request: IiifRequest, target: Target, document: dict[str, Any], context: str) -> HttpAnswer:
    body = json.dumps(document, ensure_ascii=False, separators=(',', ':')).encode()
    kind = json_type(request.headers.get('accept'), context)
    # Hashed here: `etag_of` keeps the texts that it was given.
    tag = etag_of(f'{kind}:{hashlib.sha256(body).hexdigest()}')
    headers = {'ETag': tag, 'Cache-Control': _cache_control(target)}
    if status_of_conditions(request.headers, tag) == 304:
        return HttpAnswer(304, headers)
    headers |= {'Content-Type': kind, 'Content-Length': str(len(body))}
    return HttpAnswer(200, headers, body)


def json_type(accept: str | None, context: str) -> str:
    """Return the media type of a document: JSON-LD, but for browsers and others who ask for JSON.

    :param accept: the header, whose preferences are not weighed: both types are the same text.
    """
    if accept is not None and JSON_LD not in accept and (JSON in accept or 'text/html' in accept):
        return JSON
    return f'{JSON_LD};profile="{context}"'


def forget_pictures() -> None:
    """Drop all pictures."""
    _pictures.clear()
