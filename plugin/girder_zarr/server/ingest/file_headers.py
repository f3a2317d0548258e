"""What files would be as patches, by their headers: items of Girder, and TIFFs that a browser has."""

from __future__ import annotations

import base64
import binascii
import io
from typing import TYPE_CHECKING, Any

from girder.models.item import Item

from girder_zarr.errors import GirderZarrError, InvalidInputError, LimitExceededError, NotFoundError
from girder_zarr.server.common.database import find_named, object_id
from girder_zarr.server.common.hidden_paths import shown_to
from girder_zarr.server.common.http_errors import status_of
from girder_zarr.server.sessions.access import readable_folders
from girder_zarr.server.storage.file_bytes import open_bytes
from girder_zarr.server.storage.file_stream import FileStream
from girder_zarr.stitch.arrange.plan_request import places_json
from girder_zarr.stitch.formats import registry as formats
from girder_zarr.stitch.positions.recognise import described_by, others_described, own_places

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO

    from girder_zarr.server.common.names import Document
    from girder_zarr.server.settings.session_limits import StitchLimits

#: Files of one request.
MAX_FILES = 200
#: Pages of all files of one request: what an answer lists.
MAX_PAGES = 20_000
#: Characters of the name of a file.
MAX_NAME = 1024
#: Of a header, nothing but tags is read, here and there.
_BUFFER = 2**14


def describe(body: Mapping[str, Any], user: Document, limits: StitchLimits) -> list[dict[str, Any]]:
    """Return for each file of a request what it is, in their order.

    :param body: ``files``, each with an ``itemId``, or with the directories of a ``tiff`` (base64), without
        pixels, and its ``name``; and ``pages``, along which axis pages lie (``auto``, c, z or t).
    :returns: ``format``, ``width``, ``height``, ``bands`` and ``dtype`` (of items only), ``pages`` (``[{page,
        index}]``, where there are several), ``places`` (where its tags say that its pages lie, of a file
        whose name is known), ``describedBy`` (the file that an OME-TIFF names in place of that),
        ``describes`` (how many other files an OME-TIFF describes), ``itemId``, ``fileId``, ``name`` and
        ``size``; or ``message`` and ``code`` where it cannot be a patch, unless by its places.
    :raises InvalidInputError: the request is malformed. :raises LimitExceededError: there are too many files.
    """
    unknown = sorted(set(body) - {'files', 'pages'})
    if unknown:
        raise InvalidInputError(f'{unknown[0]:.80}: expected files and pages.')
    along = body.get('pages') or 'auto'
    if along not in formats.PAGE_AXES:
        raise InvalidInputError(
            f'pages: expected one of {", ".join(formats.PAGE_AXES)}, found {along!r:.40}.'
        )
    asked = _asked(body.get('files'))
    items = _readable_items([one['itemId'] for one in asked if 'itemId' in one], user)
    left = min(MAX_PAGES, limits.requestPatches)
    found = []
    for one in asked:
        try:
            if 'tiff' in one:
                described = _planes_of(io.BytesIO(_bytes(one['tiff'])), one.get('name'), along, left, user)
            else:
                described = _of_item(items.get(one['itemId']), one['itemId'], along, limits, left, user)
        except GirderZarrError as error:
            described = {**_named(one), **_refused(error, user)}
        left -= max(len(described.get('pages', ())), len(described.get('places', {}).get('planes', ())))
        found.append(described)
    return found


def _refused(error: GirderZarrError, user: Document) -> dict[str, Any]:
    return {'message': shown_to(user, str(error)), 'code': status_of(error)}


def _named(one: Mapping[str, str]) -> dict[str, Any]:
    return {'itemId': one['itemId']} if 'itemId' in one else {}


def _asked(files: Any) -> list[dict[str, str]]:
    if not isinstance(files, list) or not files:
        raise InvalidInputError('files: expected a list of files, found none.')
    if len(files) > MAX_FILES:
        raise LimitExceededError(f'files: expected at most {MAX_FILES}, found {len(files)}.')
    for at, one in enumerate(files):
        if not isinstance(one, dict) or set(one) not in ({'itemId'}, {'tiff'}, {'tiff', 'name'}):
            raise InvalidInputError(
                f'files[{at}]: expected an object with itemId or tiff, and name with tiff.'
            )
        for name, value in one.items():
            if not isinstance(value, str):
                raise InvalidInputError(f'files[{at}].{name}: expected a text, found {type(value).__name__}.')
        if len(one.get('name', '')) > MAX_NAME:
            raise InvalidInputError(f'files[{at}].name: expected at most {MAX_NAME} characters.')
    return files


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInputError('tiff: expected bytes in base64, found something else.') from None


def _readable_items(ids: Sequence[str], user: Document) -> dict[str, Document]:
    """Return the items that a user may read, by their ids: with the rights of their folders."""
    wanted = {object_id(one, 'item') for one in ids}
    found = list(find_named(Item().find, '_id', wanted))
    readable = set(readable_folders({item['folderId'] for item in found}, user))
    return {str(item['_id']): item for item in found if item['folderId'] in readable}


def _of_item(
    item: Document | None,
    item_id: str,
    along: formats.PageAxis,
    limits: StitchLimits,
    left: int,
    user: Document,
) -> dict[str, Any]:
    files = [] if item is None else list(Item().childFiles(item, limit=2))
    if item is None or not files:
        raise NotFoundError(f'There is no file of an item {item_id:.40}.')
    if len(files) > 1:
        raise InvalidInputError(f'{item["name"][:80]}: expected an item of one file, found more.')
    (file,) = files
    if not file.get('size') or not file.get('assetstoreId'):
        raise InvalidInputError(f'The file {file["name"][:80]} is empty or only a link; expected an image.')
    stream = io.BufferedReader(FileStream(open_bytes(file)), _BUFFER)
    described = _planes_of(stream, file['name'], along, left, user)
    planes = described.get('pages') or described.get('places', {}).get('planes')
    if not planes:  # of several pages that another file describes, the first says what all are
        planes = [{'page': 0}] if 'message' in described else [{}]
    page = formats.PageAt(planes[0]['page']) if 'page' in planes[0] else None
    info = formats.inspect(stream, limits.for_formats, page=page)
    height, width, bands = info.shape
    return {
        'itemId': item_id,
        'fileId': str(file['_id']),
        'name': file['name'],
        'size': file['size'],
        'format': info.format,
        'width': width,
        'height': height,
        'bands': bands,
        'dtype': info.dtype,
        **described,
    }


def _planes_of(
    stream: IO[bytes], name: str | None, along: formats.PageAxis, left: int, user: Document
) -> dict[str, Any]:
    """Return pages and places of a file.

    :raises GirderZarrError: its pages are not known, and it does not say where they lie.
    """
    most = min(left, formats.count_pages(stream)) if name else 0
    own = own_places(stream, name, most) if name and most else None
    companion = described_by(stream) if name and most and own is None else None
    said: dict[str, Any] = {} if own is None else {'places': places_json(own)}
    if companion is not None:
        said['describedBy'] = companion
    others = others_described(stream, name) if name and own is not None else 0
    if others:
        said['describes'] = others
    try:
        return {**_pages_of(stream, along, left), **said}
    except GirderZarrError as error:
        if companion is not None:
            msg = f'What its pages are stands in {companion}, which has to be chosen, too.'
            return {**said, 'message': msg, 'code': status_of(error)}
        if own is None:
            raise
        return {**said, **_refused(error, user)}


def _pages_of(stream: IO[bytes], along: formats.PageAxis, most: int) -> dict[str, Any]:
    planes = formats.planes(stream, along, most)
    if len(planes) < 2:
        return {}
    return {'pages': [{'page': plane.page.number, 'index': dict(plane.index)} for plane in planes]}
