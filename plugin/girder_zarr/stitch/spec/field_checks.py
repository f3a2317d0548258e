"""The fields of a spec and the checks that parse them from JSON.

Each check takes the name of a field and its value, and returns the parsed value. Its `InvalidInputError`
gives the name, what was expected and what was found.
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from large_image.tilesource.resample import ResampleMethod

from girder_zarr.errors import EditError, InvalidInputError
from girder_zarr.image.write.encode import Codec
from girder_zarr.image.write.resample import AREA, NEAREST
from girder_zarr.stitch.patch import MAX_INDEX, MAX_OFFSET, check_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from girder_zarr.image.write.resample import Resample

#: Pixels of a result along y or x: 4 million, some two metres at half a micrometre.
MAX_SIDE = 2**22
#: Entries of lists with one for each channel.
MAX_CHANNELS = 1024
#: Characters of a name or unit.
MAX_TEXT = 256
#: Pixels along y and x: registration compares 512 pixels (`phase_correlation.MAX_COMPARED`) of an overlap.
MAX_SHIFT = 512
#: Pairs that registration may compare: each loads two patches and takes several Fourier transforms.
MAX_PAIRS = 100_000
#: Patches of a channel that are looked at for its light: each is read once, and held in 64 x 64 cells.
MAX_TILES = 1000
#: Planes of two neighbours that registration may compare: each costs as much as a pair.
MAX_PLANES = 16
_CODEC_NAMES = ('blosc', 'zstd', 'none')
_SHUFFLES = ('auto', 'noshuffle', 'shuffle', 'bitshuffle')

#: The units of length of OME-NGFF (UDUNITS-2 names).
UNITS = frozenset(
    {
        *('angstrom', 'attometer', 'centimeter', 'decimeter', 'exameter', 'femtometer', 'foot', 'gigameter'),
        *('hectometer', 'inch', 'kilometer', 'megameter', 'meter', 'micrometer', 'mile', 'millimeter'),
        *('nanometer', 'parsec', 'petameter', 'picometer', 'terameter', 'yard', 'yoctometer', 'yottameter'),
        *('zeptometer', 'zettameter'),
    }
)
#: The methods that make lower levels, by ``spec.resample``: mean, nearest, and those of large_image.
RESAMPLES: dict[str, Resample] = {
    'area': AREA,
    'nearest': NEAREST,
    **{name: method for name, method in ResampleMethod.__members__.items() if name != 'PIL_MAX_ENUM'},
}


@dataclass(frozen=True, slots=True)
class PixelSize:
    """The size of a pixel along x and y, in ``unit``."""

    x: float
    y: float
    unit: str = 'micrometer'


@dataclass(frozen=True, slots=True)
class Crop:
    """The part of the image that the result shows, in pixels; x and y in the coordinates of patches."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class TileGrid:
    """The grid that turns rows and columns into positions: size of a tile and overlap of neighbours.

    :param tile: ``(x, y)`` in pixels.
    :param overlap: ``(x, y)`` in pixels, may be a fraction.
    """

    tile: tuple[float, float]
    overlap: tuple[float, float]


@dataclass(frozen=True, slots=True)
class RegistrationSpec:
    """The parameters of registration, which corrects positions.

    :param max_shift: the largest error of the distance of two neighbours, in pixels along y and x.
    :param min_overlap: neighbours that share fewer pixels along y or x are not compared.
    :param min_correlation: pairs with a lower correlation coefficient are not used.
    :param max_pairs: at most so many pairs are compared, those with the largest overlaps.
    :param channel: the only channel that is compared; None: all, within ``planes``.
    :param planes: at most so many planes (channels and z) of two neighbours are compared.
    :param subpixel: whether patches are resampled, so that they move by fractions of a pixel.
    """

    max_shift: int = 32
    min_overlap: int = 16
    min_correlation: float = 0.3
    max_pairs: int = 10_000
    channel: int | None = None
    planes: int = 3
    subpixel: bool = False


@dataclass(frozen=True, slots=True)
class IlluminationSpec:
    """The parameters of estimating flat fields.

    :param tiles: at most so many patches of a channel are looked at.
    """

    tiles: int = 100


def wrong(name: str, expected: str, found: Any) -> InvalidInputError:
    """Return the error for a field, with what was expected and found."""
    shown = repr(found)
    if len(shown) > 80:
        shown = shown[:80] + '...'
    return InvalidInputError(f'{name}: expected {expected}, found {shown}.')


def choice(choices: tuple[Any, ...]) -> Callable[[str, Any], Any]:
    """Return a check for one of some values."""

    def check(name: str, value: Any) -> Any:
        if isinstance(value, bool) or value not in choices:
            raise wrong(name, f'one of {", ".join(map(str, choices))}', value)
        return value

    return check


def integer(name: str, value: Any, low: int, high: int) -> int:
    """Check for an integer within bounds."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise wrong(name, f'an integer from {low} to {high}', value)
    return value


def integer_in(low: int, high: int) -> Callable[[str, Any], int]:
    """Return a check for an integer within bounds."""
    return lambda name, value: integer(name, value, low, high)


def number(name: str, value: Any) -> int | float:
    """Check for a finite number; integers must be such as databases store, of 64 bits with a sign."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(name, 'a number', value)
    if isinstance(value, float) and not math.isfinite(value):
        raise wrong(name, 'a finite number', value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise wrong(name, f'an integer from {-(2**63)} to {2**63 - 1}', value)
    return value


def boolean(name: str, value: Any) -> bool:
    """Check for true or false."""
    if not isinstance(value, bool):
        raise wrong(name, 'true or false', value)
    return value


def mapping(name: str, value: Any, required: set[str], optional: set[str]) -> Mapping[str, Any]:
    """Check for an object with all required and no unknown fields."""
    known = f'an object with {", ".join(sorted(required | optional))}'
    if not isinstance(value, dict) or not required <= set(value) <= required | optional:
        raise wrong(name, known, value)
    return cast('Mapping[str, Any]', value)


def pixel_size(name: str, value: Any) -> PixelSize:
    """Check for ``{"x", "y", "unit"}``."""
    given = mapping(name, value, {'x', 'y'}, {'unit'})
    for axis in ('x', 'y'):
        if not 1e-12 < number(f'{name}.{axis}', given[axis]) < 1e12:
            raise wrong(f'{name}.{axis}', 'a positive number', given[axis])
    unit = given.get('unit') or 'micrometer'
    if not isinstance(unit, str) or unit not in UNITS:
        raise wrong(f'{name}.unit', 'a unit of OME-NGFF such as micrometer', unit)
    return PixelSize(float(given['x']), float(given['y']), unit)


def size(name: str, value: Any) -> tuple[int, int]:
    """Check for ``{"x", "y"}``."""
    given = mapping(name, value, {'x', 'y'}, set())
    return integer(f'{name}.x', given['x'], 1, MAX_SIDE), integer(f'{name}.y', given['y'], 1, MAX_SIDE)


def crop(name: str, value: Any) -> Crop:
    """Check for ``{"x", "y", "width", "height"}``."""
    given = mapping(name, value, {'x', 'y', 'width', 'height'}, set())
    corner = {axis: integer(f'{name}.{axis}', given[axis], -MAX_OFFSET, MAX_OFFSET) for axis in ('x', 'y')}
    sides = {side: integer(f'{name}.{side}', given[side], 1, MAX_SIDE) for side in ('width', 'height')}
    return Crop(**corner, **sides)


def grid(name: str, value: Any) -> TileGrid:
    """Check for ``{"tile": {"x", "y"}, "overlap": {"x", "y"}}``."""
    given = mapping(name, value, {'tile'}, {'overlap'})
    pairs = []
    for part, fallback in (('tile', None), ('overlap', {'x': 0, 'y': 0})):
        sides = given.get(part) if given.get(part) is not None else fallback
        pair = mapping(f'{name}.{part}', sides, {'x', 'y'}, set())
        pairs.append(tuple(float(number(f'{name}.{part}.{axis}', pair[axis])) for axis in ('x', 'y')))
    tile, overlap = pairs
    for axis, length, shared in zip(('x', 'y'), tile, overlap, strict=True):
        if not 1 <= length <= MAX_SIDE:
            raise wrong(f'{name}.tile.{axis}', f'pixels from 1 to {MAX_SIDE}', length)
        if not 0 <= shared < length:
            raise wrong(f'{name}.overlap.{axis}', 'pixels from 0 to less than the tile', shared)
    return TileGrid((tile[0], tile[1]), (overlap[0], overlap[1]))


def texts(pattern: str, expected: str) -> Callable[[str, Any], tuple[str, ...]]:
    """Return a check for a list of strings."""

    def check(name: str, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_CHANNELS:
            raise wrong(name, f'a list of 1 to {MAX_CHANNELS} strings', value)
        for index, text in enumerate(value):
            if not isinstance(text, str) or not re.fullmatch(pattern, text):
                raise wrong(f'{name}[{index}]', expected, text)
        return tuple(value)

    return check


def field_keys(name: str, value: Any) -> tuple[str | None, ...]:
    """Check for a list of keys of reference images or null, one for each channel."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_CHANNELS:
        raise wrong(name, f'a list of 1 to {MAX_CHANNELS} keys or nulls', value)
    for index, key in enumerate(value):
        if key is None:
            continue
        try:
            check_key(key if isinstance(key, str) else '')
        except InvalidInputError:
            raise wrong(f'{name}[{index}]', 'the key of a reference image, or null', key) from None
    return tuple(value)


def registration(name: str, value: Any) -> RegistrationSpec:
    """Check for an object with the fields of :class:`RegistrationSpec` in camelCase, all optional."""
    given = mapping(name, value, set(), set(_REGISTRATION))
    values = {}
    for key, (attribute, check) in _REGISTRATION.items():
        if given.get(key) is not None:
            values[attribute] = check(f'{name}.{key}', given[key])
    return RegistrationSpec(**values)


def _fraction(name: str, value: Any) -> float:
    if not 0 <= number(name, value) <= 1:
        raise wrong(name, 'a number from 0 to 1', value)
    return float(value)


_REGISTRATION: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    'maxShift': ('max_shift', integer_in(1, MAX_SHIFT)),
    'minOverlap': ('min_overlap', integer_in(4, MAX_SIDE)),
    'minCorrelation': ('min_correlation', _fraction),
    'maxPairs': ('max_pairs', integer_in(1, MAX_PAIRS)),
    'channel': ('channel', integer_in(0, MAX_INDEX)),
    'planes': ('planes', integer_in(1, MAX_PLANES)),
    'subpixel': ('subpixel', boolean),
}


def illumination(name: str, value: Any) -> IlluminationSpec:
    """Check for ``{"tiles"}``, which is optional."""
    given = mapping(name, value, set(), {'tiles'})
    if given.get('tiles') is None:
        return IlluminationSpec()
    return IlluminationSpec(integer(f'{name}.tiles', given['tiles'], 2, MAX_TILES))


def registration_json(spec: RegistrationSpec) -> dict[str, Any]:
    """Return the JSON object that :func:`registration` parses."""
    return {name: getattr(spec, attribute) for name, (attribute, _) in _REGISTRATION.items()}


def codec(name: str, value: Any) -> Codec:
    """Check for ``{"name", "level", "shuffle"}``."""
    given = mapping(name, value, {'name'}, {'level', 'shuffle'})
    found: dict[str, Any] = {'name': choice(_CODEC_NAMES)(f'{name}.name', given['name'])}
    if given.get('level') is not None:
        top = 22 if found['name'] == 'zstd' else 9
        found['level'] = integer(f'{name}.level', given['level'], 0, top)
    if given.get('shuffle') is not None:
        found['shuffle'] = choice(_SHUFFLES)(f'{name}.shuffle', given['shuffle'])
    try:
        return Codec(**found)
    except EditError as error:
        raise wrong(name, 'a compressor', value) from error


def codec_json(found: Codec) -> dict[str, Any]:
    """Return the JSON object that :func:`codec` parses."""
    return asdict(found)


Version = Literal['0.4', '0.5', '0.6']
