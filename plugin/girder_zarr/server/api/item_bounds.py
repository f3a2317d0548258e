"""How much of an item's pictures somebody who has not signed in may ask for, whichever source makes them.

large_image's routes take any size. They are looked at before they begin, since an answer that is streamed has
its status by the time that a tile source refuses. What they answer with 500 for no fault of the server's,
an item that is gone or no image, is refused here as well.
"""

from __future__ import annotations

import time
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
from girder_zarr.common.cache import LRU
from girder_zarr.errors import GirderZarrError
from girder_zarr.image.iiif.picture_request import Box
from girder_zarr.image.iiif.picture_source import StoredLevels
from girder_zarr.image.source import ZarrFileTileSource
from girder_zarr.server.common.names import HANDLER
from girder_zarr.server.http_input.tile_params import MAX_STYLE, REGION_NAMES
from girder_zarr.server.tile_sources.tile_source import ZarrGirderTileSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.server.common.names import Document

#: Pixels of one picture for anybody: 2048 x 2048, more than a screen shows, in some 50 MB.
MAX_PIXELS = 2**22
#: Stored pixels that are decoded for one answer, in a few tenths of a second: where an image lacks lower
#: resolutions, a picture of all of it is made of its full resolution.
MAX_READ = 2**25
#: Seconds for which it is remembered what an item's levels are: a viewer asks for many tiles.
KNOWN_SECONDS = 4
#: Bands that a style puts together: each is read by itself.
MAX_BANDS = 16
#: The picture that a histogram is made of where no sides are given.
_HISTOGRAM = {'maxWidth': 2048, 'maxHeight': 2048}
#: The routes that take a style; those of the second line make pictures of any size.
_STYLED = ('zxy/:z/:x/:y', 'fzxy/:frame/:z/:x/:y', 'dzi_files/:level/:xandy', 'pixel')
_SIZED = ('region', 'thumbnail', 'tile_frames', 'histogram', 'bands')
_TILES = ('zxy/:z/:x/:y', 'fzxy/:frame/:z/:x/:y')
_STATISTICS = ('histogram', 'bands')
#: The routes that answer with 500 where an item is no image.
_UNCHECKED = (*_STATISTICS, 'dzi_files/:level/:xandy', 'images/:image/metadata', 'tile_frames/quad_info')
_FIELDS = {**REGION_NAMES, 'unitsWH': ('region', 'unitsWH')}
_TEXTS = ('units', 'unitsWH')
_BOX = ('left', 'top', 'width', 'height')

_known: LRU[str, tuple[float, StoredLevels | None]] = LRU(max_items=100)


def bind() -> None:
    """Look at large_image's routes before they begin."""
    checks = (
        ((*_STYLED, *_SIZED), _check_style),
        (_SIZED, _check_size),
        (_TILES, _check_tile),
        (_TILES, _check_label),
        (('region',), _check_fields),
        (_UNCHECKED, _check_image),
        (('images/:image',), _check_there),
    )
    for routes, check in checks:
        for route in routes:
            event = f'rest.get.item/:itemId/tiles/{route}.before'
            events.bind(event, f'{HANDLER}.{check.__name__}', check)
    events.bind('model.item.remove', HANDLER, lambda event: _known.pop(str(event.info['_id'])))


@access.public
def _check_there(event: Any) -> None:
    """Refuse pictures of an item that is gone (an event handler)."""
    item_id = event.info['itemId']
    _check_found(item_id, _item_of(item_id))


@access.public
def _check_image(event: Any) -> None:
    """Refuse what is made of an item that is no image, or none any more (an event handler)."""
    item = _item_of(event.info['itemId'])
    if item is None or not Item().hasAccess(item, getCurrentUser(), AccessType.READ):
        return  # the route says what is wrong
    image = item.get('largeImage')
    if not image:
        msg = 'No large image file in this item.'
        raise RestException(msg)
    if image.get('expected'):
        msg = 'The large image file for this item is still pending creation.'
        raise RestException(msg)


@access.public
def _check_style(event: Any) -> None:
    """Refuse styles of many bands (an event handler)."""
    style = event.info['params'].get('style')
    excess = _excess_of(str(style)) if style else None
    # Who asks is looked up last: of a tile that is cached it would be all that the database is asked.
    if excess is not None and getCurrentUser() is None:
        raise RestException(excess, code=413)


def _excess_of(style: str) -> str | None:
    """Return in words what of a style only somebody who has signed in may ask for, or None."""
    try:
        found = parse_json(style, MAX_STYLE, max_values=10 * MAX_STYLE)
    except JsonLimitError as error:
        return f'style: without signing in, expected less: {error}.'
    except ValueError:
        return None  # the route says what is wrong
    bands = found.get('bands') if isinstance(found, dict) else found
    if isinstance(bands, list) and len(bands) > MAX_BANDS:
        return f'style: without signing in, expected at most {MAX_BANDS} bands, found {len(bands)}.'
    return None


@access.public
def _check_size(event: Any) -> None:
    """Refuse large pictures (an event handler)."""
    if getCurrentUser() is not None:
        return
    route, params = event.name.removesuffix('.before').rpartition('/')[2], event.info['params']
    source = _source_of(event.info['itemId'], params)
    arguments = None if source is None else _arguments(params)
    if source is None or arguments is None:
        return
    if route in _STATISTICS:
        arguments['output'] = {**_HISTOGRAM, **arguments.get('output', {})}
    elif route == 'thumbnail' and 'output' not in arguments:
        arguments['output'] = {'maxWidth': 256, 'maxHeight': 256}
    try:
        info = TileIterator(source, resample=None, **arguments).info
    except Exception:  # noqa: BLE001 - whatever large_image does not take, the route refuses
        info = None
    if info:
        _check_read(source, info, _frames_of(params))
    pixels = _pixels_of(info, arguments, filled=bool(params.get('fill')))
    if route in _STATISTICS:
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


@access.public
def _check_tile(event: Any) -> None:
    """Refuse tiles that are made of much of a large full resolution (an event handler)."""
    known = _levels_of(event.info['itemId'])
    places = [_index(event.info.get(name)) for name in 'zxy']
    if known is None or None in places:
        return  # the route says what is wrong
    z, x, y = (place or 0 for place in places)
    level = len(known.stored) - 1 - z
    if level >= 0:
        width, height = known.tile.width << level, known.tile.height << level
        cost = known.cost(Box(x * width, y * height, width, height), level)
        if cost > MAX_READ and getCurrentUser() is None:
            _refuse_read(cost)


@access.public
def _check_fields(event: Any) -> None:
    """Refuse regions that show many fields of a plate; their answer begins before they are read."""
    params = event.info['params']
    frame = _index(params.get('frame') or 0)
    if getCurrentUser() is not None or frame is None:
        return
    arguments = _arguments(params)
    source = None if arguments is None else _source_of(event.info['itemId'], params)
    if isinstance(source, ZarrGirderTileSource):
        info = TileIterator(source, resample=None, **(arguments or {})).info
        if info:
            step = 1 << (source.levels - 1 - int(info['level']))
            left, top, width, height = (int(info['region'][name]) * step for name in _BOX)
            source.checkPart((left, top, left + width, top + height), step, frame)


@access.public
def _check_label(event: Any) -> None:
    """Refuse tiles that are made of much of a label that lacks lower resolutions (an event handler)."""
    params = event.info['params']
    if not params.get('labels') or getCurrentUser() is not None:
        return
    frames = _frames_of({**params, 'frame': event.info.get('frame', params.get('frame'))})
    places = [_index(event.info.get(name)) for name in 'zxy']
    if not frames or None in places:
        return
    source = _source_of(event.info['itemId'], params)
    z, x, y = (place or 0 for place in places)
    if not isinstance(source, ZarrFileTileSource) or z >= source.levels:
        return
    step = 1 << (source.levels - 1 - z)
    width, height = source.tileWidth * step, source.tileHeight * step
    box = x * width, y * height, min((x + 1) * width, source.sizeX), min((y + 1) * height, source.sizeY)
    _refuse_read(_label_cost(source, frames, box, step))


def check_thumbnail(source: Any, side: int) -> None:
    """Refuse, without a login, a small picture of all of an image that is made of a large full resolution.

    :raises RestException: it would be, with status 413.
    """
    if getCurrentUser() is None:
        output = {'maxWidth': side, 'maxHeight': side}
        info = TileIterator(source, resample=None, output=output).info
        stored = StoredLevels.of(source)
        whole = Box(0, 0, source.sizeX, source.sizeY)
        _refuse_read(stored.cost(whole, len(stored.stored) - 1 - int(info['level'])))


def _check_read(source: Any, info: Document, frames: Sequence[int] = ()) -> None:
    """Refuse a region that is made of much of a large full resolution, of the image or of a label."""
    found = StoredLevels.of(source)
    level = len(found.stored) - 1 - int(info['level'])
    left, top, width, height = (int(info['region'][name]) << level for name in _BOX)
    _refuse_read(found.cost(Box(left, top, width, height), level))
    if isinstance(source, ZarrFileTileSource):
        _refuse_read(_label_cost(source, frames, (left, top, left + width, top + height), 1 << level))


def _label_cost(
    source: ZarrFileTileSource, frames: Sequence[int], box: tuple[int, int, int, int], step: int
) -> int:
    try:
        return sum(source.labelCost(frame, box, step) for frame in frames)
    except GirderZarrError:
        return 0  # the route says what is wrong with the label


def _frames_of(params: Document) -> list[int]:
    """Return the frames that a request names; those that are no numbers are left to the route."""
    found = map(_index, str(params.get('frameList') or params.get('frame') or '').split(','))
    return [frame for frame in found if frame is not None]


def _index(value: object) -> int | None:
    text = str(value).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _refuse_read(cost: int) -> None:
    if cost > MAX_READ:
        msg = (
            f'{cost} stored pixels would have to be read, because the image lacks lower resolutions; '
            f'without signing in the limit is {MAX_READ}: ask for a smaller part, or sign in.'
        )
        raise RestException(msg, code=413)


def _levels_of(item_id: str) -> StoredLevels | None:
    """Return what is stored of an item where a read of it can become large; None otherwise."""
    known = _known.get(item_id)
    if known is None or time.monotonic() - known[0] > KNOWN_SECONDS:
        item = _item_of(item_id)
        _check_found(item_id, item)
        source = _opened(item)
        is_large = source is not None and source.sizeX * source.sizeY > MAX_READ
        known = time.monotonic(), StoredLevels.of(source) if is_large else None
        _known.put(item_id, known)
    return known[1]


def _source_of(item_id: str, params: Document | None = None) -> Any:
    """Return the tile source of an item, or None where the route will refuse by itself.

    :param params: of the request, of which it takes what chooses images in a file.
    """
    return _opened(_item_of(item_id), params)


def _check_found(item_id: str, item: Document | None) -> None:
    if item is None and ObjectId.is_valid(item_id):
        msg = f'Invalid item id ({item_id}).'
        raise RestException(msg)


def _item_of(item_id: str) -> Document | None:
    return Item().load(item_id, force=True) if ObjectId.is_valid(item_id) else None


def _opened(item: Document | None, params: Document | None = None) -> Any:
    if item is None or not Item().hasAccess(item, None, AccessType.READ) or not item.get('largeImage'):
        return None
    try:
        chosen = {name: params[name] for name in ('series', 'labels') if params and params.get(name)}
        return ImageItem().tileSource(item, **chosen)
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


def _pixels_of(info: Document | None, arguments: Document, *, filled: bool) -> int:
    """Return how many pixels a region will have, before anything is read.

    :param info: of large_image's iterator, None where the route refuses the region: it has no pixels then.
    """
    pixels = int(info['output']['width']) * int(info['output']['height']) if info else 0
    output = arguments.get('output', {})
    if filled:
        pixels = max(pixels, output.get('maxWidth', 1) * output.get('maxHeight', 1))
    return pixels
