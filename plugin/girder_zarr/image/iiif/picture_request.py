"""The parameters of an image request (IIIF Image API 3.0, section 4) as numbers, and back as text.

https://iiif.io/api/image/3.0/. Nothing here knows pixels: a size, limits and texts go in, a box, a size, an
angle and a canonical text come out.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from girder_zarr.errors import InvalidInputError

#: Formats, with their media types.
FORMATS = {'jpg': 'image/jpeg', 'png': 'image/png', 'tif': 'image/tiff', 'webp': 'image/webp'}
QUALITIES = ('default', 'color', 'gray', 'bitonal')
#: Characters of one parameter.
MAX_TEXT = 100
#: How much larger than the largest picture the box around a rotated one may be: a square takes twice as much.
ROTATED_AREAS = 3

_WHOLE = '([0-9]{1,18})'
_DECIMAL = r'([0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})'
_BOX = re.compile(','.join([_WHOLE] * 4))
_PERCENT_BOX = re.compile('pct:' + ','.join([_DECIMAL] * 4))
_PERCENT = re.compile(f'pct:{_DECIMAL}')
_SIDES = re.compile('(!?)([0-9]{0,18}),([0-9]{0,18})')
_ROTATION = re.compile(f'(!?){_DECIMAL}')


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int


class Box(NamedTuple):
    """A part of an image: its corner and its sides in pixels of the full resolution."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class PictureLimits:
    """How large a picture may become.

    :param side: of the width and of the height, in pixels. :param area: width times height.
    """

    side: int
    area: int

    def allow(self, width: float, height: float) -> bool:
        """Whether a picture of this size is made."""
        return max(width, height) <= self.side and width * height <= self.area


@dataclass(frozen=True)
class PictureRequest:
    """A request that fits an image.

    :param box: inside the image. :param size: of the picture before it is rotated.
    :param degrees: clockwise, from 0 up to 360; 360 is 0.
    :param canonical: the request as text, by section 4.8.
    """

    box: Box
    size: Size
    is_mirrored: bool
    degrees: Fraction
    quality: str
    format: str
    canonical: str


def read_request(
    parts: tuple[str, str, str, str], image: Size, limits: PictureLimits, *, is_color: bool
) -> PictureRequest:
    """Return the request that the four last parts of an address make.

    :param parts: region, size, rotation, and quality and format, such as ``default.jpg``.
    :param image: the size of the full image.
    :param is_color: whether the image has colors; without them gray is the default quality.
    :raises InvalidInputError: a part is malformed or not supported, or asks for what the image or the limits
        do not give.
    """
    region, size, rotation, name = parts
    for text in parts:
        if len(text) > MAX_TEXT:
            raise _expected('a part of the address', f'at most {MAX_TEXT} characters', text)
    box = read_region(region, image)
    made, scaling = read_size(size, Size(box.width, box.height), limits)
    mirrored, degrees = read_rotation(rotation)
    turned, room = rotated_size(made, degrees), PictureLimits(limits.side, limits.area * ROTATED_AREAS)
    if degrees % 90 and not room.allow(*turned):
        msg = f'rotation: the rotated picture would be {turned.width} x {turned.height} pixels, '
        raise InvalidInputError(msg + _limit(room))
    quality, _, suffix = name.rpartition('.')
    if quality not in QUALITIES:
        raise _expected('quality', f'one of {", ".join(QUALITIES)}', quality)
    if suffix not in FORMATS:
        raise _expected('format', f'one of {", ".join(FORMATS)}', suffix)
    area = 'full' if box == Box(0, 0, *image) else ','.join(map(str, box))
    angle = f'{"!" if mirrored else ""}{decimal_text(degrees)}'
    if quality == 'color' or (quality == 'gray' and not is_color):
        quality = 'default'
    canonical = f'{area}/{scaling}/{angle}/{quality}.{suffix}'
    return PictureRequest(box, made, mirrored, degrees, quality, suffix, canonical)


def read_region(text: str, image: Size) -> Box:
    """Return the part of an image that is asked for, cut at its edges.

    :raises InvalidInputError: it is malformed, empty, or outside the image.
    """
    if text == 'full':
        return Box(0, 0, *image)
    if text == 'square':
        side = min(image)
        return Box((image.width - side) // 2, (image.height - side) // 2, side, side)
    if match := _BOX.fullmatch(text):
        left, top, width, height = map(int, match.groups())
        right, bottom = left + width, top + height
    elif match := _PERCENT_BOX.fullmatch(text):
        x, y, w, h = (Fraction(one) / 100 for one in match.groups())
        left, right = round(x * image.width), round((x + w) * image.width)
        top, bottom = round(y * image.height), round((y + h) * image.height)
    else:
        raise _expected('region', 'full, square, x,y,w,h or pct:x,y,w,h', text)
    right, bottom = min(right, image.width), min(bottom, image.height)
    if right <= left or bottom <= top:
        msg = f'region: expected a part of the image of {image.width} x {image.height} pixels, found {text}.'
        raise InvalidInputError(msg)
    return Box(left, top, right - left, bottom - top)


def read_size(text: str, region: Size, limits: PictureLimits) -> tuple[Size, str]:
    """Return the size of the picture, and the canonical text for it.

    :param region: the size of what is scaled.
    :raises InvalidInputError: it is malformed, larger than the limits, or larger than the region without ^.
    """
    up = text.startswith('^')
    largest = fit(region, limits, up=False)
    wanted = _wanted_size(text.removeprefix('^'), region, limits, up=up)
    if min(wanted) < 1:
        raise _expected('size', 'at least one pixel', text)
    grows = wanted.width > region.width or wanted.height > region.height
    if grows and not up:
        found = f'{wanted.width} x {wanted.height}'
        msg = f'size: expected at most {region.width} x {region.height}, or ^ before it, found {found}.'
        raise InvalidInputError(msg)
    if not limits.allow(*wanted):
        msg = f'size: the picture would be {wanted.width} x {wanted.height} pixels, '
        raise InvalidInputError(msg + _limit(limits))
    if wanted == largest:
        return wanted, 'max'
    if grows and wanted == fit(region, limits, up=True):
        return wanted, '^max'
    return wanted, f'{"^" if grows else ""}{wanted.width},{wanted.height}'


def _wanted_size(text: str, region: Size, limits: PictureLimits, *, up: bool) -> Size:
    if text == 'max':
        return fit(region, limits, up=up)
    if match := _PERCENT.fullmatch(text):
        share = Fraction(match[1]) / 100
        return Size(round(region.width * share), round(region.height * share))
    match = _SIDES.fullmatch(text)
    if match is None or not (match[2] or match[3]):
        raise _expected('size', 'max, w, ,h w,h !w,h or pct:n, with or without ^ before it', text)
    confined, width, height = match[1], match[2], match[3]
    if confined:
        if not (width and height):
            raise _expected('size', '!w,h', text)
        return _confine(region, Size(int(width), int(height)), limits, up=up)
    if width and height:
        return Size(int(width), int(height))
    if width:
        wide = int(width)
        return Size(wide, _at_least_one(Fraction(region.height * wide, region.width)))
    high = int(height)
    return Size(_at_least_one(Fraction(region.width * high, region.height)), high)


def _confine(region: Size, inside: Size, limits: PictureLimits, *, up: bool) -> Size:
    """Return the largest size of the region's shape inside another size and the limits.

    A box that is larger than the region is refused without ^, as IIIF's own validator wants it (`size_noup`)
    and other servers do it, though the text of section 4.2 could be read as the region at its own size.
    """
    if min(inside) < 1:
        return inside
    scale = min(Fraction(inside.width, region.width), Fraction(inside.height, region.height))
    size = Size(*(min(one, most) for one, most in zip(_scaled(region, scale), inside, strict=True)))
    grows = size.width > region.width or size.height > region.height
    return size if limits.allow(*size) or (grows and not up) else fit(region, limits, up=up)


def fit(region: Size, limits: PictureLimits, *, up: bool) -> Size:
    """Return the largest size of a region's shape within limits; without ``up`` no larger than the region."""
    if not up and limits.allow(*region):
        return region
    scale = Fraction(limits.side, max(region))
    area = region.width * region.height
    if scale * scale * area > limits.area:
        scale = Fraction(math.isqrt(limits.area * area), area)
    if not up:
        scale = min(scale, Fraction(1))
    return Size(*(max(1, math.floor(side * scale)) for side in region))


def _scaled(region: Size, scale: Fraction) -> Size:
    return Size(_at_least_one(region.width * scale), _at_least_one(region.height * scale))


def _at_least_one(side: Fraction) -> int:
    """Return a side that follows from the other one, which a thin image cannot make vanish."""
    return round(side) or int(side > 0)


def read_rotation(text: str) -> tuple[bool, Fraction]:
    """Return whether the picture is mirrored, and then by how many degrees it is rotated clockwise.

    :raises InvalidInputError: it is malformed or more than 360.
    """
    match = _ROTATION.fullmatch(text)
    if match is None or Fraction(match[2]) > 360:
        raise _expected('rotation', 'degrees from 0 to 360, with or without ! before them', text)
    return bool(match[1]), Fraction(match[2]) % 360


def rotated_size(size: Size, degrees: Fraction) -> Size:
    """Return the size of the box around a rotated picture."""
    quarters, rest = divmod(degrees, 90)
    if not rest:
        return Size(size.height, size.width) if quarters % 2 else size
    angle = math.radians(degrees)
    cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
    return Size(
        math.ceil(size.width * cos + size.height * sin), math.ceil(size.height * cos + size.width * sin)
    )


def decimal_text(number: Fraction) -> str:
    """Return a decimal number without needless zeros, such as 22.5, by section 4.7."""
    whole, rest = divmod(number, 1)
    digits = f'{int(rest * 10**18):018d}'.rstrip('0')
    return f'{whole}.{digits}' if digits else str(whole)


def _limit(limits: PictureLimits) -> str:
    return f'and the limit is {limits.area} pixels, {limits.side} on a side.'


def _expected(what: str, expected: str, found: str) -> InvalidInputError:
    return InvalidInputError(f'{what}: expected {expected}, found {found[:60]!r}.')
