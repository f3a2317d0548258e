"""Routes about one place of an item's OME-Zarr: ``/zarr/item/{id}/labels`` and ``/zarr/item/{id}/values``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from girder.api import access
from girder.api.describe import Description, autoDescribeRoute
from girder.api.rest import getCurrentUser, setResponseHeader
from girder.constants import TokenScope
from girder_large_image.models.image_item import ImageItem
from large_image.exceptions import TileSourceError

from girder_zarr.errors import (
    GirderZarrError,
    InvalidInputError,
    LimitExceededError,
    NotFoundError,
    UnreadableImageError,
)
from girder_zarr.image.source import ZarrFileTileSource
from girder_zarr.server.common.http_errors import answers_errors
from girder_zarr.server.common.json_input import parse_json
from girder_zarr.server.http_input.tile_params import read_numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from girder.api.rest import Resource

    from girder_zarr.server.common.names import Document

#: Frames, and labels, of one question; a viewer shows eight channels.
MAX_FRAMES, MAX_LABELS = 64, 16
#: Stored pixels that are decoded for one answer to anybody: a chunk may be a whole large image.
MAX_READ = 2**25


class ItemValueRoutes:
    """Values at a place, and the names of labels.

    :param find: returns an item that the user who asks may read.
    """

    def __init__(self, resource: Resource, find: Callable[[str, Document | None], Document]) -> None:
        self._find = find
        resource.route('GET', ('item', ':id', 'labels'), self.listLabels)
        resource.route('GET', ('item', ':id', 'values'), self.getValues)

    @access.public(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description('Get the names of the labels of an OME-Zarr, and where its pixels lie.')
        .notes(
            'The routes of tiles show a label with labels=true, as frame (n + 1) * (frames of the image) '
            '+ (frame of the image), n being its place in the list; PNG has the transparency.'
        )
        .param('id', 'The id of the item.', paramType='path')
        .param('series', 'One image of several, by its number or name.', required=False)
        .errorResponse('The item has no image that this plugin opens, or no such series.')
        .errorResponse('Read access was denied for the item.', 403)
        .errorResponse('There is no such item.', 404)
        .errorResponse('The image cannot be read.', 415)
    )
    @answers_errors
    def listLabels(self, id: str, series: str | None) -> Document:  # noqa: A002 - Girder's name for it
        """Answer ``GET /zarr/item/{id}/labels``."""
        source = self._source(id, series)
        return {'labels': source.labelNames(), 'place': source.placeOf()}

    @access.public(scope=TokenScope.DATA_READ)
    @autoDescribeRoute(
        Description('Get the values of one pixel of an OME-Zarr: of frames, and of labels over them.')
        .param('id', 'The id of the item.', paramType='path')
        .param('x', 'The column of the pixel in the full resolution, from 0.', dataType='integer')
        .param('y', 'The row of the pixel.', dataType='integer')
        .param('frames', 'Frames of the image, as "0,1,2".', required=False, default='0')
        .param('labels', 'A JSON list of names of labels.', required=False)
        .param('series', 'One image of several, by its number or name.', required=False)
        .errorResponse('A parameter is malformed, or the item has no image that this plugin opens.')
        .errorResponse('Read access was denied for the item.', 403)
        .errorResponse('There is no such item, pixel, frame or label.', 404)
        .errorResponse('More frames or labels, or larger chunks, than the limit.', 413)
        .errorResponse('The image, or a chunk of it, cannot be read.', 415)
    )
    @answers_errors
    def getValues(
        self,
        id: str,  # noqa: A002
        x: int,
        y: int,
        frames: str,
        labels: str | None,
        series: str | None,
    ) -> Document:
        """Answer ``GET /zarr/item/{id}/values``."""
        numbers, names = read_numbers('frames', frames, MAX_FRAMES), _names(labels or '[]')
        source = self._source(id, series)
        setResponseHeader('Cache-Control', 'private, no-cache')
        found = values_of(source, x, y, numbers, labels=len(names))
        return {**found, 'labels': [source.labelAt(x, y, numbers[0], name) for name in names]}

    def _source(self, item_id: str, series: str | None) -> ZarrFileTileSource:
        """Return the tile source of an item, with its labels.

        :raises InvalidInputError: it has none, or not one of ours.
        :raises UnreadableImageError: it cannot be read.
        """
        item = self._find(item_id, getCurrentUser())
        options = {'labels': 'true', **({'series': series} if series else {})}
        if (item.get('largeImage') or {}).get('sourceName') != ZarrFileTileSource.name:
            msg = 'Expected an item whose image the tile source "zarr" opens, found another.'
            raise InvalidInputError(msg)
        try:
            source: ZarrFileTileSource = ImageItem().tileSource(item, **options)
        except GirderZarrError:
            raise
        except TileSourceError as error:
            raise UnreadableImageError(str(error)) from error
        return source


def _names(text: str) -> list[str]:
    labels = parse_json(text.encode(), list, 'labels', MAX_LABELS)
    if not all(isinstance(name, str) for name in labels):
        msg = 'labels: expected a JSON list of names.'
        raise InvalidInputError(msg)
    return list(dict.fromkeys(labels))


def values_of(source: ZarrFileTileSource, x: int, y: int, frames: list[int], labels: int = 0) -> Document:
    """Return the values of a pixel as the routes of items and sessions answer them.

    :raises NotFoundError: there is no such pixel or frame.
    :raises LimitExceededError: too much would be decoded for somebody who has not signed in.
    """
    missing = [frame for frame in frames if frame >= source.imageFrames()]
    if missing:
        msg = f'frames: the image has {source.imageFrames()}, counted from 0; found {missing[0]}.'
        raise NotFoundError(msg)
    cost = source.valuesCost(frames, labels)
    if cost > MAX_READ and getCurrentUser() is None:
        msg = f'{cost} stored pixels would have to be read; without signing in the limit is {MAX_READ}.'
        raise LimitExceededError(msg)
    values = [{'frame': frame, 'values': source.valuesAt(x, y, frame)} for frame in frames]
    return {'x': x, 'y': y, 'place': source.placeOf(frames[0]), 'values': values}
