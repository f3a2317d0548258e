"""What a client says a stitched image shall be, checked whole before anything is stored."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from girder_zarr.errors import ConflictError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Overlap = Literal['last', 'first', 'mean', 'max', 'min']
Output = Literal['zarr.zip', 'ozx']

OVERLAPS: tuple[Overlap, ...] = ('last', 'first', 'mean', 'max', 'min')
OUTPUTS: tuple[Output, ...] = ('zarr.zip', 'ozx')
VERSIONS = ('0.5', '0.4')
CHUNKS = tuple(2**power for power in range(6, 13))
MAX_EXPECTED = 10_000_000
#: Pixels of a result along y or x.
MAX_SIDE = 2**22
#: Pixels of a whole result, all frames and bands together.
MAX_PIXELS = 2**40
MAX_CHANNELS = 1024
MAX_TEXT = 256

#: The units of length of OME-NGFF (UDUNITS-2 names).
UNITS = frozenset(
    {
        *('angstrom', 'attometer', 'centimeter', 'decimeter', 'exameter', 'femtometer', 'foot', 'gigameter'),
        *('hectometer', 'inch', 'kilometer', 'megameter', 'meter', 'micrometer', 'mile', 'millimeter'),
        *('nanometer', 'parsec', 'petameter', 'picometer', 'terameter', 'yard', 'yoctometer', 'yottameter'),
        *('zeptometer', 'zettameter'),
    }
)


@dataclass(frozen=True, slots=True)
class PixelSize:
    """The size of a pixel along x and y, in ``unit``."""

    x: float
    y: float
    unit: str = 'micrometer'


@dataclass(frozen=True, slots=True)
class StitchSpec:
    """What the result shall be; docs/rest.md says what each field means."""

    output: Output = 'zarr.zip'
    version: Literal['0.5', '0.4'] = '0.5'
    overlap: Overlap = 'last'
    background: int | float = 0
    pixel_size: PixelSize | None = None
    channel_names: tuple[str, ...] | None = None
    channel_colors: tuple[str, ...] | None = None
    expected: int | None = None
    size: tuple[int, int] | None = None  # x, y
    chunk: int = 512
    keep_patches: bool = True

    @classmethod
    def from_json(cls, document: Any) -> StitchSpec:
        """Return the spec that a JSON document describes.

        :raises InvalidInputError: the message names the field, what was expected and what was found.
        """
        given = {} if document is None else document
        if not isinstance(given, dict):
            raise _wrong('spec', 'an object', given)
        unknown = sorted(set(given) - set(_FIELDS))
        if unknown:
            raise _wrong(f'spec.{unknown[0]}', f'one of the fields {", ".join(_FIELDS)}', unknown[0])
        values = {}
        for name, (field, check) in _FIELDS.items():
            if given.get(name) is not None:
                values[field] = check(f'spec.{name}', given[name])
        spec = cls(**values)
        if spec.output == 'ozx' and spec.version == '0.4':
            raise _wrong('spec.ngffVersion', "'0.5' with output 'ozx'", '0.4')
        return spec

    def to_json(self) -> dict[str, Any]:
        """Return the document of :meth:`from_json` with every field filled in."""
        pixel = self.pixel_size
        return {
            'output': self.output,
            'ngffVersion': self.version,
            'overlap': self.overlap,
            'background': self.background,
            'pixelSize': None if pixel is None else {'x': pixel.x, 'y': pixel.y, 'unit': pixel.unit},
            'channelNames': None if self.channel_names is None else list(self.channel_names),
            'channelColors': None if self.channel_colors is None else list(self.channel_colors),
            'expected': self.expected,
            'size': None if self.size is None else {'x': self.size[0], 'y': self.size[1]},
            'chunk': self.chunk,
            'keepPatches': self.keep_patches,
        }

    def check_dtype(self, dtype: str) -> None:
        """Check that patches of a dtype can be stitched under this spec.

        :raises ConflictError: the background is not a value of the dtype.
        """
        kind = np.dtype(dtype)
        if kind.kind == 'f':
            fits = abs(self.background) <= float(np.finfo(kind).max)
        else:
            limits = np.iinfo(kind)
            fits = (
                int(limits.min) <= self.background <= int(limits.max) and float(self.background).is_integer()
            )
        if not fits:
            msg = f'The session has background {self.background}, which is not a value of {dtype}.'
            raise ConflictError(msg)


def _wrong(name: str, expected: str, found: Any) -> InvalidInputError:
    shown = repr(found)
    if len(shown) > 80:
        shown = shown[:80] + '...'
    return InvalidInputError(f'{name}: expected {expected}, found {shown}.')


def _choice(choices: tuple[Any, ...]) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        if isinstance(value, bool) or value not in choices:
            raise _wrong(name, f'one of {", ".join(map(str, choices))}', value)
        return value

    return check


def _integer(name: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _wrong(name, f'an integer from {low} to {high}', value)
    return value


def _number(name: str, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, 'a number', value)
    if isinstance(value, float) and not math.isfinite(value):
        raise _wrong(name, 'a finite number', value)
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise _wrong(name, 'an integer of 64 bits', value)
    return value


def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, 'true or false', value)
    return value


def _expected(name: str, value: Any) -> int:
    return _integer(name, value, 1, MAX_EXPECTED)


def _object(name: str, value: Any, required: set[str], optional: set[str]) -> Mapping[str, Any]:
    known = f'an object with {", ".join(sorted(required | optional))}'
    if not isinstance(value, dict) or not required <= set(value) <= required | optional:
        raise _wrong(name, known, value)
    return cast('Mapping[str, Any]', value)


def _pixel_size(name: str, value: Any) -> PixelSize:
    given = _object(name, value, {'x', 'y'}, {'unit'})
    for axis in ('x', 'y'):
        if not 1e-12 < _number(f'{name}.{axis}', given[axis]) < 1e12:
            raise _wrong(f'{name}.{axis}', 'a positive number', given[axis])
    unit = given.get('unit') or 'micrometer'
    if not isinstance(unit, str) or unit not in UNITS:
        raise _wrong(f'{name}.unit', 'a unit of OME-NGFF such as micrometer', unit)
    return PixelSize(float(given['x']), float(given['y']), unit)


def _size(name: str, value: Any) -> tuple[int, int]:
    given = _object(name, value, {'x', 'y'}, set())
    return _integer(f'{name}.x', given['x'], 1, MAX_SIDE), _integer(f'{name}.y', given['y'], 1, MAX_SIDE)


def _texts(pattern: str, expected: str) -> Callable[[str, Any], tuple[str, ...]]:
    def check(name: str, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_CHANNELS:
            raise _wrong(name, f'a list of 1 to {MAX_CHANNELS} strings', value)
        for index, text in enumerate(value):
            if not isinstance(text, str) or not re.fullmatch(pattern, text):
                raise _wrong(f'{name}[{index}]', expected, text)
        return tuple(value)

    return check


_FIELDS: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    'output': ('output', _choice(OUTPUTS)),
    'ngffVersion': ('version', _choice(VERSIONS)),
    'overlap': ('overlap', _choice(OVERLAPS)),
    'background': ('background', _number),
    'pixelSize': ('pixel_size', _pixel_size),
    'channelNames': (
        'channel_names',
        _texts(rf'[^\x00-\x1f]{{1,{MAX_TEXT}}}', f'1 to {MAX_TEXT} characters'),
    ),
    'channelColors': ('channel_colors', _texts(r'[0-9A-Fa-f]{6}', 'six hexadecimal digits')),
    'expected': ('expected', _expected),
    'size': ('size', _size),
    'chunk': ('chunk', _choice(CHUNKS)),
    'keepPatches': ('keep_patches', _boolean),
}
