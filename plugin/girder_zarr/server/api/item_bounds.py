"""How much of an item's pictures somebody who has not signed in may ask for, whichever source makes them.

large_image's routes take any size. They are looked at before they begin, since an answer that is streamed has
its status by the time that a tile source refuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bson import ObjectId
from girder import events
from girder.api import access
from girder.api.rest import getCurrentUser
from girder.constants import AccessType
from girder.exceptions import RestException
from girder.models.item import Item
from girder_large_image.models.image_item import ImageItem
from large_image.tilesource.tileiterator import TileIterator

from girder_zarr.common.bounded_json import JsonLimitError, parse_json
from girder_zarr.server.common.names import HANDLER
from girder_zarr.server.http_input.tile_params import MAX_STYLE, REGION_NAMES

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document

#: Pixels of one picture for anybody: 2048 x 2048, more than a screen shows, in some 50 MB.
MAX_PIXELS = 2**22
#: Bands that a style puts together: each is read by itself.
MAX_BANDS = 16
#: The picture that a histogram is made of where no sides are given.
_HISTOGRAM = {'maxWidth': 2048, 'maxHeight': 2048}
#: The routes that take a style; those of the second line make pictures of any size.
_STYLED = ('zxy/:z/:x/:y', 'fzxy/:frame/:z/:x/:y', 'dzi_files/:level/:xandy', 'bands', 'pixel')
_SIZED = ('region', 'thumbnail', 'tile_frames', 'histogram')
_FIELDS = {**REGION_NAMES, 'unitsWH': ('region', 'unitsWH')}
_TEXTS = ('units', 'unitsWH')


def bind() -> None:
    """Look at large_image's routes before they begin."""
    for routes, check in (((*_STYLED, *_SIZED), _check_style), (_SIZED, _check_size)):
        for route in routes:
            event = f'rest.get.item/:itemId/tiles/{route}.before'
            events.bind(event, f'{HANDLER}.{check.__name__}', check)


@access.public
def _check_style(event: Any) -> None:
    """Refuse styles of many bands (an event handler)."""
    style = event.info['params'].get('style')
    if not style or getCurrentUser() is not None:
        return
    try:
        found = parse_json(str(style), MAX_STYLE, max_values=10 * MAX_STYLE)
    except JsonLimitError as error:
        msg = f'style: without signing in, expected less: {error}.'
        raise RestException(msg, code=413) from error
    except ValueError:
        return  # the route says what is wrong
    bands = found.get('bands') if isinstance(found, dict) else found
    if isinstance(bands, list) and len(bands) > MAX_BANDS:
        msg = f'style: without signing in, expected at most {MAX_BANDS} bands, found {len(bands)}.'
        raise RestException(msg, code=413)


@access.public
def _check_size(event: Any) -> None:
    """Refuse large pictures (an event handler)."""
    if getCurrentUser() is not None:
        return
    route, params = event.name.removesuffix('.before').rpartition('/')[2], event.info['params']
    source = _source_of(event.info['itemId'])
    arguments = None if source is None else _arguments(params)
    if source is None or arguments is None:
        return
    if route == 'histogram':
        arguments['output'] = {**_HISTOGRAM, **arguments.get('output', {})}
    elif route == 'thumbnail' and 'output' not in arguments:
        return  # a small one
    pixels = _pixels_of(source, arguments, filled=bool(params.get('fill')))
    if route == 'histogram':
        pixels = min(pixels, source.sizeX * source.sizeY)  # it makes nothing larger
    if route == 'tile_frames':
        frames = str(params['frameList']).count(',') + 1 if params.get('frameList') else source.frames
        pixels *= frames
    if pixels > MAX_PIXELS:
        msg = (
            f'The picture would have {pixels} pixels; without signing in the limit is {MAX_PIXELS}: '
            'give a smaller width or height.'
        )
        raise RestException(msg, code=413)


def _source_of(item_id: str) -> Any:
    """Return the tile source of an item, or None where the route will refuse by itself."""
    item = Item().load(item_id, force=True) if ObjectId.is_valid(item_id) else None
    if item is None or not Item().hasAccess(item, None, AccessType.READ) or not item.get('largeImage'):
        return None
    try:
        return ImageItem().tileSource(item)
    except Exception:  # noqa: BLE001 - the route opens it again and says what is wrong
        return None


def _arguments(params: Document) -> Document | None:
    """Return the arguments of a region, grouped as large_image has them, or None: the route refuses them."""
    found: Document = {}
    for name, (group, inner) in _FIELDS.items():
        text = params.get(name)
        if text in (None, '') or name == 'exact':
            continue
        try:
            value = text if name in _TEXTS else int(text) if group == 'output' else float(text)
        except (TypeError, ValueError):
            return None
        found.setdefault(group, {})[inner] = value
    return found


def _pixels_of(source: Any, arguments: Document, *, filled: bool) -> int:
    """Return how many pixels a region will have, before anything is read; 0 where the route refuses it."""
    try:
        info = TileIterator(source, resample=None, **arguments).info
    except Exception:  # noqa: BLE001 - whatever large_image does not take
        return 0
    pixels = int(info['output']['width']) * int(info['output']['height']) if info else 0
    output = arguments.get('output', {})
    if filled:
        pixels = max(pixels, output.get('maxWidth', 1) * output.get('maxHeight', 1))
    return pixels
