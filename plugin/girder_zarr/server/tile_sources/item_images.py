"""The images in the OME-Zarr of an item: what there is, and a small picture of each."""

from __future__ import annotations

import hashlib
from typing import Any

from girder.api.rest import getCurrentUser
from girder_large_image.models.image_item import ImageItem
from large_image.exceptions import TileSourceError

from girder_zarr.errors import NotFoundError, UnreadableImageError, UnsupportedFormatError
from girder_zarr.image.hierarchy.contents import contents
from girder_zarr.image.hierarchy.overview import NAME as WHOLE
from girder_zarr.image.render.series_picture import field_picture
from girder_zarr.server.common.hidden_paths import shown_to

from .tile_source import ZarrGirderTileSource


def source_of(item: dict[str, Any], series: int | str | None = None) -> ZarrGirderTileSource:
    """Return the tile source of an item.

    :param series: the number or name of one image of several; None: all that are shown together.
    :raises NotFoundError: it has no image.
    :raises UnsupportedFormatError: its image is no OME-Zarr.
    :raises UnreadableImageError: it cannot be read.
    """
    if not item.get('largeImage') or item['largeImage'].get('expected'):
        msg = 'The item has no image.'
        raise NotFoundError(msg)
    try:
        source = ImageItem().tileSource(item, **({} if series is None else {'series': series}))
    except UnreadableImageError:
        raise
    except TileSourceError as error:
        raise UnreadableImageError(str(error)) from error
    if not isinstance(source, ZarrGirderTileSource) or source._opened is None:
        msg = f'The image of the item is opened by the source {source.name!r}, not as OME-Zarr.'
        raise UnsupportedFormatError(msg)
    return source


def version_of(source: ZarrGirderTileSource) -> str:
    """Return a text that changes with the file."""
    return hashlib.sha256(source.getState().encode()).hexdigest()[:16]


def images_of(item: dict[str, Any]) -> dict[str, Any]:
    """Return what there is to choose from; see `contents`. ``version`` changes with the file."""
    source = source_of(item)
    assert source._opened is not None
    return {**contents(source._opened, source._store), 'version': version_of(source)}


def damage_of(item: dict[str, Any]) -> dict[str, Any]:
    """Return what of a plate cannot be read: ``problems``, ``fields`` that were looked at, and ``all``.

    :raises NotFoundError: as :func:`source_of`, also where it is no plate.
    """
    source = source_of(item, WHOLE) if is_plate(source_of(item)) else None
    if source is None:
        msg = 'The image of the item is no plate.'
        raise NotFoundError(msg)
    problems, count = source.unreadableFields()
    assert source._opened is not None
    user = getCurrentUser()
    return {
        'problems': [shown_to(user, text) for text in problems],
        'fields': count,
        'all': len(source._opened.every),
    }


def is_plate(source: ZarrGirderTileSource) -> bool:
    """Whether an image is put together from fields."""
    return source._opened is not None and WHOLE in source._opened.named


def image_source(item: dict[str, Any], source: ZarrGirderTileSource, number: int) -> ZarrGirderTileSource:
    """Return the source of one image: that of all for the fields of a plate, which are frames of it.

    :param source: of all that are shown together.
    :raises UnreadableImageError: there is no such image, or it cannot be read.
    """
    opened = source._opened
    assert opened is not None
    if not 0 <= number < len(opened.every):
        msg = f'There is no image {number}; there are {len(opened.every)}, counted from 0.'
        raise NotFoundError(msg)
    return source if opened.reopen is not None else source_of(item, number)


def picture_of(one: ZarrGirderTileSource, number: int, side: int) -> tuple[bytes, str]:
    """Return a small picture of an image as bytes and their MIME type; no bytes where no pixel is stored.

    :param one: as `image_source` returns it.
    :raises MissingImageError: there is nothing where the plate says that it is.
    :raises UnreadableImageError: it cannot be read.
    """
    if one._opened is not None and one._opened.reopen is not None:
        return field_picture(one, number, side) or (b'', '')
    data, mime = one.getThumbnail(side, side)
    return bytes(data), str(mime)
