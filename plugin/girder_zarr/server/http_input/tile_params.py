"""The parameters of tiles, regions and thumbnails, named as large_image's routes name them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from girder_zarr.common.bounded_json import parse_json
from girder_zarr.errors import InvalidInputError, LimitExceededError
from girder_zarr.image.style_functions import functions_of
from girder_zarr.server.common.strict_resource import GENERAL_PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: What pictures can be encoded as.
ENCODINGS = ('JPEG', 'JFIF', 'PNG', 'TIFF')
COMPRESSIONS = ('none', 'raw', 'lzw', 'tiff_lzw', 'jpeg', 'deflate', 'tiff_adobe_deflate')
UNITS = ('base_pixels', 'pixels', 'mm', 'fraction')
#: Bytes and values of a style.
MAX_STYLE, MAX_STYLE_VALUES = 2**16, 10_000
MAX_TEXT = 100


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    :param read: text to value; raises ValueError or KeyError for what it does not take.
    :param expected: what it takes, in words.
    """

    read: Callable[[str], Any]
    expected: str


def _integer(low: int, high: int) -> Parameter:
    def read(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError
        return value

    return Parameter(read, f'an integer from {low} to {high}')


def _choice(*choices: str) -> Parameter:
    return Parameter({choice: choice for choice in choices}.__getitem__, f'one of {", ".join(choices)}')


def _read_number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _read_style(text: str) -> str:
    style = parse_json(text, MAX_STYLE, MAX_STYLE_VALUES)
    if not isinstance(style, dict):
        raise ValueError
    if next(functions_of(style), None) is not None:
        msg = 'style: expected a style without functions.'
        raise InvalidInputError(msg)
    return text


def _read_text(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise ValueError
    return text


def _read_edge(text: str) -> str | bool:
    return {'false': False, 'true': True}.get(text, _read_text(text))


_NUMBER = Parameter(_read_number, 'a number')
_BOOLEAN = Parameter({'true': True, 'false': False}.__getitem__, 'true or false')
_COLOR = Parameter(_read_text, 'the name of a color or #rrggbb')
_SIDE = _integer(1, 2**16)
INDEX = _integer(0, 2**31 - 1)

#: Parameters that make a tile source.
SOURCE: dict[str, Parameter] = {
    'encoding': _choice(*ENCODINGS),
    'jpegQuality': _integer(1, 100),
    'jpegSubsampling': _integer(0, 2),
    'tiffCompression': _choice(*COMPRESSIONS),
    'edge': Parameter(_read_edge, 'true, false, crop or a color'),
    'style': Parameter(_read_style, 'a style of large_image, a JSON object'),
}
FRAME: dict[str, Parameter] = {'frame': INDEX}
#: Of sessions, whose patches still arrive.
PARTIAL: dict[str, Parameter] = {'partial': _BOOLEAN}
THUMBNAIL: dict[str, Parameter] = {'width': _SIDE, 'height': _SIDE, 'fill': _COLOR}
REGION: dict[str, Parameter] = {
    **dict.fromkeys(('left', 'top', 'right', 'bottom', 'regionWidth', 'regionHeight'), _NUMBER),
    'units': _choice(*UNITS),
    'width': _SIDE,
    'height': _SIDE,
    **dict.fromkeys(('magnification', 'mm_x', 'mm_y'), _NUMBER),
    'exact': _BOOLEAN,
    'fill': _COLOR,
}
#: Where large_image has them, apart from those that it has under their own name.
REGION_NAMES: dict[str, tuple[str, str]] = {
    **{name: ('region', name) for name in ('left', 'top', 'right', 'bottom', 'units')},
    'regionWidth': ('region', 'width'),
    'regionHeight': ('region', 'height'),
    'width': ('output', 'maxWidth'),
    'height': ('output', 'maxHeight'),
    **{name: ('scale', name) for name in ('magnification', 'mm_x', 'mm_y', 'exact')},
}


def read_numbers(name: str, text: str, most: int) -> list[int]:
    """Return the whole numbers of a list such as ``0,2,3``, each once, in its order.

    :param most: how many there may be.
    :raises InvalidInputError: it is no such list. :raises LimitExceededError: it is longer.
    """
    parts = text.split(',', most)
    if len(parts) > most:
        msg = f'{name}: expected at most {most} numbers, found more.'
        raise LimitExceededError(msg)
    try:
        found = [INDEX.read(part) for part in parts]
    except ValueError:
        msg = f'{name}: expected whole numbers with commas between them, found {text[:80]!r}.'
        raise InvalidInputError(msg) from None
    return list(dict.fromkeys(found))


def read_parameters(params: Mapping[str, Any], known: Mapping[str, Parameter]) -> dict[str, Any]:
    """Return the values of parameters.

    :raises InvalidInputError: one is unknown or malformed.
    """
    values = {}
    for name, text in params.items():
        if name in GENERAL_PARAMETERS:
            continue
        if name not in known:
            msg = f'{name[:80]}: expected one of the parameters {", ".join(sorted(known))}.'
            raise InvalidInputError(msg)
        try:
            values[name] = known[name].read(str(text))
        except (ValueError, KeyError, RecursionError):
            msg = f'{name}: expected {known[name].expected}, found {str(text)[:80]!r}.'
            raise InvalidInputError(msg) from None
    return values
