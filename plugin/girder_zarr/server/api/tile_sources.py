"""Routes about what opens what, and whether it is valid: ``/zarr/source``, ``/zarr/item/{id}/...``."""

from __future__ import annotations

from typing import Any

from bson.objectid import ObjectId
from girder.api import access
from girder.api.describe import Description, autoDescribeRoute
from girder.constants import AccessType, TokenScope
from girder.models.file import File
from girder.models.item import Item
from large_image.constants import SourcePriority

from girder_zarr.errors import NotFoundError
from girder_zarr.image.validate.findings import Bounds
from girder_zarr.image.validate.hierarchy import validate
from girder_zarr.server.common.http_errors import answers_errors
from girder_zarr.server.common.strict_resource import StrictResource
from girder_zarr.server.storage.locations import open_location
from girder_zarr.server.tile_sources import explain as explanation
from girder_zarr.server.tile_sources import priorities

from .item_values import ItemValueRoutes

#: What one request looks at: some seconds of work.
VALIDATION_BOUNDS = Bounds(groups=2000, keys=5000, all_keys=50_000)


class ZarrResource(StrictResource):
    """``/zarr``."""

    def __init__(self) -> None:
        super().__init__()
        self.resourceName = 'zarr'
        self.route('GET', ('source',), self.listSources)
        self.route('GET', ('item', ':id', 'source'), self.explainItem)
        self.route('GET', ('item', ':id', 'validation'), self.validateItem)
        ItemValueRoutes(self, _item_of)

    @access.user(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description(
            'List the tile sources with their own and their effective priorities by file extension.'
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
