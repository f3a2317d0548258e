"""Routes about what opens what, what it holds, whether it is valid: ``/zarr/source``, ``/zarr/item/...``."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any

from bson.objectid import ObjectId
from girder.api import access
from girder.api.describe import Description, autoDescribeRoute
from girder.constants import AccessType, TokenScope
from girder.models.file import File
from girder.models.item import Item
from large_image.constants import SourcePriority

from girder_zarr.errors import InvalidInputError, NotFoundError
from girder_zarr.image.validate.findings import Bounds
from girder_zarr.image.validate.hierarchy import validate
from girder_zarr.server.common.http_errors import answers_errors
from girder_zarr.server.common.strict_resource import StrictResource
from girder_zarr.server.http_input.conditional import answer_bytes, only_if_new
from girder_zarr.server.storage.locations import open_location
from girder_zarr.server.tile_sources import explain as explanation
from girder_zarr.server.tile_sources import item_images, priorities

from .item_bounds import check_thumbnail
from .item_values import ItemValueRoutes

#: What one request looks at: some seconds of work.
VALIDATION_BOUNDS = Bounds(groups=2000, keys=5000, all_keys=50_000)
#: Characters of a file's name or MIME type; file systems take 255.
MAX_NAME = 1000
#: The longest side of the small picture of an image, in pixels.
MAX_SIDE = 256
#: Seconds for which a browser keeps such a picture; its address changes with the file.
KEPT_SECONDS = 86_400


class ZarrResource(StrictResource):
    """``/zarr``."""

    def __init__(self) -> None:
        super().__init__()
        self.resourceName = 'zarr'
        self.route('GET', ('source',), self.listSources)
        self.route('GET', ('source', 'explanation'), self.explainName)
        self.route('GET', ('item', ':id', 'source'), self.explainItem)
        self.route('GET', ('item', ':id', 'validation'), self.validateItem)
        self.route('GET', ('item', ':id', 'images'), self.listImages)
        self.route('GET', ('item', ':id', 'images', 'problems'), self.listDamage)
        self.route('GET', ('item', ':id', 'images', ':number', 'thumbnail'), self.getImageThumbnail)
        ItemValueRoutes(self, _item_of)

    @access.user(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description(
            'List the tile sources with their own and their effective priorities by extension and MIME type.'
        ).notes(
            'Lower values come first. The extension "default" stands for files whose extension the source '
            'does not list. The setting zarr.source_priorities changes the effective priorities.'
        )
    )
    def listSources(self) -> dict[str, Any]:
        """Answer ``GET /zarr/source``."""
        return {
            'priorities': [{'name': priority.name, 'value': priority.value} for priority in SourcePriority],
            'sources': explanation.list_sources(),
            'fixedByEnvironment': priorities.fixed_by_environment(),
        }

    @access.user(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description('Say which tile sources would be asked for a file of a name, in their order, and why.')
        .notes('Nothing is opened or stored.')
        .param('name', 'The name of the file.')
        .param('mimeType', 'Its MIME type, where it has one.', required=False)
        .errorResponse('The name or the MIME type is empty or too long.', 400)
    )
    @answers_errors
    def explainName(self, name: str, mimeType: str | None) -> dict[str, Any]:
        """Answer ``GET /zarr/source/explanation``."""
        for label, text in (('name', name), ('mimeType', mimeType or 'none')):
            if not text.strip() or len(text) > MAX_NAME:
                msg = f'{label}: expected 1 to {MAX_NAME} characters, found {text[:60]!r}.'
                raise InvalidInputError(msg)
        return explanation.explain_name(name.strip(), (mimeType or '').strip())

    @access.public(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description('Say which tile source would open the file of an item, and why.')
        .param('id', 'The id of the item.', paramType='path')
        .param(
            'fileId',
            'The file of the item to look at. Default: that of its large image, else its first.',
            required=False,
        )
        .param(
            'probe',
            'Whether to open the file with each source to see if it can.',
            required=False,
            dataType='boolean',
            default=True,
        )
        .errorResponse('Read access was denied for the item.', 403)
        .errorResponse('There is no such item, or no such file in it.', 404)
    )
    @answers_errors
    def explainItem(self, id: str, fileId: str | None, probe: bool) -> dict[str, Any]:  # noqa: A002
        """Answer ``GET /zarr/item/{id}/source``."""
        user = self.getCurrentUser()
        item = _item_of(id, user)
        file = _file_of(item, fileId)
        return explanation.explain(item, file, probe=probe, show_paths=bool(user and user.get('admin')))

    @access.user(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description('Say what is wrong with the OME-Zarr of an item, by the specification.')
        .notes(
            'Errors are what it forbids, hints what it advises against and what was not looked at. '
            'girder-zarr validate says the same of a path or an address.'
        )
        .param('id', 'The id of the item.', paramType='path')
        .param('fileId', 'The file of the item to look at.', required=False)
        .errorResponse('Read access was denied for the item.', 403)
        .errorResponse('There is no such item, or no such file in it.', 404)
        .errorResponse('The file is no zarr.', 415)
    )
    @answers_errors
    def validateItem(self, id: str, fileId: str | None) -> dict[str, Any]:  # noqa: A002
        """Answer ``GET /zarr/item/{id}/validation``."""
        file = _file_of(_item_of(id, self.getCurrentUser()), fileId)
        return validate(open_location(file), VALIDATION_BOUNDS).to_json()

    @access.public(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description('List the images in the OME-Zarr of an item: a plate as a grid of wells, others by name.')
        .notes('See docs/rest.md of girder_zarr.')
        .param('id', 'The id of the item.', paramType='path')
        .errorResponse('Read access was denied for the item.', 403)
        .errorResponse('There is no such item, or it has no image.', 404)
        .errorResponse('The image is no OME-Zarr, or cannot be read.', 415)
    )
    @answers_errors
    def listImages(self, id: str) -> Any:  # noqa: A002
        """Answer ``GET /zarr/item/{id}/images``."""
        return only_if_new(item_images.images_of(_item_of(id, self.getCurrentUser())))

    @access.public(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description('Say which fields of the plate of an item cannot be read, and why.')
        .notes('The lowest level of each field is read. What tiles have found in the others is listed, too.')
        .param('id', 'The id of the item.', paramType='path')
        .errorResponse('Read access was denied for the item.', 403)
        .errorResponse('There is no such item, or it has no image, or that is no plate.', 404)
        .errorResponse('There are too many fields for somebody who has not signed in.', 413)
        .errorResponse('The image is no OME-Zarr, or cannot be read.', 415)
    )
    @answers_errors
    def listDamage(self, id: str) -> dict[str, Any]:  # noqa: A002
        """Answer ``GET /zarr/item/{id}/images/problems``."""
        return item_images.damage_of(_item_of(id, self.getCurrentUser()))

    @access.public(scope=TokenScope.DATA_READ, cookie=True)
    @autoDescribeRoute(
        Description('Get a small picture of one of the images of an item, such as a field of a plate.')
        .notes('In the colours of the file. 204: the image is there, and no pixel of it is stored.')
        .produces('image/jpeg')
        .param('id', 'The id of the item.', paramType='path')
        .param('number', 'Of the image, as they are listed.', paramType='path', dataType='integer')
        .param('side', 'The longest side, in pixels.', dataType='integer', required=False, default=96)
        .param('version', 'As listed; with it the picture need not be asked for again.', required=False)
        .errorResponse('A parameter is malformed.')
        .errorResponse('Read access was denied for the item.', 403)
        .errorResponse('There is no such item or image.', 404)
        .errorResponse('Too much would have to be read for somebody who has not signed in.', 413)
        .errorResponse('The image is no OME-Zarr, or cannot be read.', 415)
    )
    @answers_errors
    def getImageThumbnail(self, id: str, number: int, side: int, version: str | None) -> Any:  # noqa: A002
        """Answer ``GET /zarr/item/{id}/images/{number}/thumbnail``."""
        if not 1 <= side <= MAX_SIDE:
            msg = f'side: expected a whole number from 1 to {MAX_SIDE}, found {side}.'
            raise InvalidInputError(msg)
        item = _item_of(id, self.getCurrentUser())
        source = item_images.source_of(item)
        now = item_images.version_of(source)
        one = item_images.image_source(item, source, number)
        check_thumbnail(one, side)
        picture = partial(item_images.picture_of, one, number, side)
        tag = hashlib.sha256(f'{now} {number} {side}'.encode()).hexdigest()[:32]
        return answer_bytes(picture, tag, KEPT_SECONDS if version == now else 0)


def _item_of(item_id: str, user: dict[str, Any] | None) -> dict[str, Any]:
    """Return an item that the user may read. NotFoundError where there is none."""
    item = Item().load(item_id, user=user, level=AccessType.READ) if ObjectId.is_valid(item_id) else None
    if item is None:
        msg = f'Expected the id of an item, found "{item_id[:80]}": there is no such item.'
        raise NotFoundError(msg)
    return dict(item)


def _file_of(item: dict[str, Any], file_id: str | None) -> dict[str, Any]:
    """Find the file to explain. NotFoundError where there is none."""
    if file_id is not None:
        file = File().load(file_id, force=True) if ObjectId.is_valid(file_id) else None
        if file is None or file.get('itemId') != item['_id']:
            msg = f'Expected the id of a file of this item, found "{file_id}".'
            raise NotFoundError(msg)
        return dict(file)
    large_image = item.get('largeImage') or {}
    file_id = large_image.get('fileId') or large_image.get('originalId')
    file = File().load(file_id, force=True) if file_id else None
    if file is None:
        file = next(iter(Item().childFiles(item, limit=1)), None)
    if file is None:
        msg = 'Expected an item with a file, found one without.'
        raise NotFoundError(msg)
    return dict(file)


def register(info: dict[str, Any]) -> None:
    """Apply the priorities in this server and add the routes. Called from the plugin's ``load``.

    girder_large_image must be loaded before: it fills the registry of sources.
    """
    priorities.install()
    priorities.overrides.invalidate()
    info['apiRoot'].zarr = ZarrResource()
