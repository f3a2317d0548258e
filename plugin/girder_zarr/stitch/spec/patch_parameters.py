"""What a client says of a patch besides its bytes: in a query, a manifest, or with an upload.

Values may be of their own types or text, as queries and tables have them; None and '' say nothing.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import InvalidInputError
from girder_zarr.stitch.formats.raw import Layout
from girder_zarr.stitch.patch import FRAME_AXES, Placement, check_key, check_order, check_weight

from . import position

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .model import StitchSpec

#: The names that `read` knows; docs/rest.md says what each means.
NAMES = (
    *('x', 'y', 'unit', 'row', 'column', *FRAME_AXES, 'index'),
    *('order', 'weight', 'mask', 'maskKey', 'shape', 'dtype', 'compression'),
)
_MAX_INDEX_TEXT = 4096
_INTEGER = re.compile(r'[+-]?[0-9]{1,15}')
_NUMBER = re.compile(r'[+-]?([0-9]{1,30}\.?[0-9]{0,30}|\.[0-9]{1,30})([eE][+-]?[0-9]{1,3})?')


@dataclass(frozen=True, slots=True)
class Options:
    """How a patch counts and how its bytes are to be read; the defaults are what most patches have.

    :param weight: how much it counts in means and feathering.
    :param alpha: its alpha is its mask.
    :param mask_key: the key of the reference image that is its mask, or empty.
    :param layout: of raw pixels.
    """

    weight: float = 1.0
    alpha: bool = False
    mask_key: str = ''
    layout: Layout | None = None

    @property
    def for_patch(self) -> dict[str, Any]:
        """The same as arguments of `Patch`."""
        return {
            'weight': self.weight,
            'alpha': self.alpha,
            'mask_key': self.mask_key,
            'layout': self.layout,
        }

    @property
    def for_formats(self) -> dict[str, Any]:
        """What `formats.inspect` and `formats.decode` need to know."""
        return {'layout': self.layout, 'alpha': self.alpha}

    def to_json(self) -> dict[str, Any]:
        """Return what is not the default, by the names of docs/rest.md; the layout under ``layout``."""
        found: dict[str, Any] = {}
        if self.weight != 1:
            found['weight'] = self.weight
        if self.alpha:
            found['mask'] = 'alpha'
        if self.mask_key:
            found['maskKey'] = self.mask_key
        if self.layout is not None:
            found['layout'] = self.layout.to_json()
        return found

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None) -> Options:
        """Return what :meth:`to_json` was made from."""
        given = document or {}
        return cls(
            weight=given.get('weight', 1.0),
            alpha=given.get('mask') == 'alpha',
            mask_key=given.get('maskKey', ''),
            layout=Layout.from_json(given.get('layout')),
        )


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of a patch, checked."""

    placement: Placement
    order: int
    options: Options


def read(given: Mapping[str, Any], spec: StitchSpec) -> Said:
    """Check and return what was said of a patch of a session.

    :param given: values by the names of ``NAMES``; other names are passed over.
    An axis that the spec declares and that is not named is at 0.

    :raises InvalidInputError: a value is missing, malformed or out of range; the message names it.
    """
    said = {name: given[name] for name in NAMES if given.get(name) is not None and given[name] != ''}
    x, y = position.resolve(
        spec,
        _optional(_number, 'x', said),
        _optional(_number, 'y', said),
        _optional(_text, 'unit', said),
        _optional(_integer, 'row', said),
        _optional(_integer, 'column', said),
    )
    order = check_order(_integer('order', said.get('order', 0)))
    frame = dict.fromkeys((axis.name for axis in spec.axes or ()), 0) | _frame(said)
    return Said(Placement.make(x, y, frame), order, _options(said))


def _frame(said: Mapping[str, Any]) -> dict[str, int | None]:
    frame: dict[str, int | None] = {axis: _integer(axis, said[axis]) for axis in FRAME_AXES if axis in said}
    for axis, index in _index(said.get('index')).items():
        if axis in frame:
            msg = f'index: expected axes that are not given otherwise, found {axis} twice.'
            raise InvalidInputError(msg)
        frame[axis] = _integer(f'index.{axis}', index)
    return frame


def _index(value: Any) -> Mapping[str, Any]:
    if isinstance(value, str):
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(value) if len(value) <= _MAX_INDEX_TEXT else value
    if value is None:
        return {}
    if not isinstance(value, dict):
        msg = f'index: expected a JSON object such as {{"angle": 2}}, found {value!r:.80}.'
        raise InvalidInputError(msg)
    return value


def _options(said: Mapping[str, Any]) -> Options:
    mask, key = said.get('mask'), _optional(_text, 'maskKey', said)
    if mask not in {None, 'alpha'}:
        msg = f'mask: expected alpha, found {mask!r:.80}.'
        raise InvalidInputError(msg)
    if mask is not None and key is not None:
        msg = 'maskKey: expected nothing beside mask=alpha, found both.'
        raise InvalidInputError(msg)
    return Options(
        weight=check_weight(_number('weight', said.get('weight', 1.0))),
        alpha=mask is not None,
        mask_key='' if key is None else check_key(key),
        layout=Layout.parse(*(_optional(_text, name, said) for name in ('shape', 'dtype', 'compression'))),
    )


def _optional(read_one: Any, name: str, said: Mapping[str, Any]) -> Any:
    return read_one(name, said[name]) if name in said else None


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        msg = f'{name}: expected a text, found {value!r:.80}.'
        raise InvalidInputError(msg)
    return value


def _integer(name: str, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return int(value)
    msg = f'{name}: expected an integer, found {value!r:.80}.'
    raise InvalidInputError(msg)


def _number(name: str, value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e300:
        return float(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    msg = f'{name}: expected a number, found {value!r:.80}.'
    raise InvalidInputError(msg)
