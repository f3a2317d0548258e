"""The document ``info.json`` (IIIF Image API 3.0, section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .picture_request import Box, PictureLimits, Size

if TYPE_CHECKING:
    from .picture_source import PictureSource

CONTEXT = 'http://iiif.io/api/image/3/context.json'
PROFILE = 'level2'
#: The document that says what the profile has, for the header Link.
PROFILE_ADDRESS = f'http://iiif.io/api/image/3/{PROFILE}.json'
SERVICE_TYPE = 'ImageService3'
#: What is given beyond level 2. `sizeUpscaling` is left out, though sizes with ^ are served by section 4.2:
#: the validators expect of those who announce it that ^max is not larger than the image.
EXTRA_FEATURES = ('canonicalLinkHeader', 'mirroring', 'profileLinkHeader', 'rotationArbitrary')
EXTRA_FORMATS = ('tif', 'webp')
#: The longest side of the smallest size that is listed.
SMALLEST = 100


def image_information(
    address: str, source: PictureSource, limits: PictureLimits, max_cost: int, rights: str | None = None
) -> dict[str, Any]:
    """Return the document.

    :param address: the base URI of the image.
    :param limits: those of whoever asks. :param max_cost: the stored pixels that may be read for a picture.
    :param rights: the URI of a licence or a statement of rights.
    """
    size = source.size
    found: dict[str, Any] = {
        '@context': CONTEXT,
        'id': address,
        'type': SERVICE_TYPE,
        'protocol': 'http://iiif.io/api/image',
        'profile': PROFILE,
        'width': size.width,
        'height': size.height,
        'maxWidth': limits.side,
        'maxHeight': limits.side,
        'maxArea': limits.area,
        'sizes': [{'width': one.width, 'height': one.height} for one in _sizes(source, limits, max_cost)],
        'tiles': [_tiles(source, max_cost)],
    }
    if rights is not None:
        found['rights'] = rights
    found['extraQualities'] = [*(['color'] if source.is_color else []), 'gray', 'bitonal']
    found['extraFormats'] = list(EXTRA_FORMATS)
    found['extraFeatures'] = list(EXTRA_FEATURES)
    return found


def _sizes(source: PictureSource, limits: PictureLimits, max_cost: int) -> list[Size]:
    """Return the sizes that cost least, the smallest first: those of levels, as far as limits allow."""
    full = source.size
    found: list[Size] = []
    for level in range(source.levels):
        size = Size(-(-full.width >> level), -(-full.height >> level))
        fits = limits.allow(*size) and source.cost(Box(0, 0, *full), level) <= max_cost
        if fits and (max(size) >= SMALLEST or not found):
            found.append(size)
    return found[::-1]


def _tiles(source: PictureSource, max_cost: int) -> dict[str, Any]:
    tile: dict[str, Any] = {'width': source.tile.width}
    if source.tile.height != source.tile.width:
        tile['height'] = source.tile.height
    factors = [
        2**level
        for level in range(source.levels)
        if source.cost(Box(0, 0, source.tile.width << level, source.tile.height << level), level) <= max_cost
    ]
    return {**tile, 'scaleFactors': factors}
