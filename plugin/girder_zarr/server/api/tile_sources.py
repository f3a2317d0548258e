"""Routes that say which tile source opens what: ``GET /zarr/source`` and ``GET /zarr/item/{id}/source``."""

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
from girder_zarr.server.common.http_errors import answers_errors
from girder_zarr.server.tile_sources import explain as explanation
from girder_zarr.server.tile_sources import priorities

from .strict_resource import StrictResource


class ZarrResource(StrictResource):
    """``/zarr``."""

    def __init__(self) -> None:
        super().__init__()
        self.resourceName = 'zarr'
        self.route('GET', ('source',), self.listSources)
        self.route('GET', ('item', ':id', 'source'), self.explainItem)

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
        item = None
        if ObjectId.is_valid(id):
            item = Item().load(id, user=user, level=AccessType.READ)
        if item is None:
            msg = f'Expected the id of an item, found "{id}": there is no such item.'
            raise NotFoundError(msg)
        file = _file_of(item, fileId)
        return explanation.explain(item, file, probe=probe, show_paths=bool(user and user.get('admin')))


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
