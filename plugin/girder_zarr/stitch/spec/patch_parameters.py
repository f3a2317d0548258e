"""The parameters of a patch that come with its bytes: in a query, a manifest, or beside an upload.

Values may have their own JSON types or be text, as in queries and tables; None and '' count as not given.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from girder_zarr.common.bounded_json import parse_json
from girder_zarr.errors import InvalidInputError
from girder_zarr.stitch.formats.info import PageAt
from girder_zarr.stitch.formats.raw import Layout
from girder_zarr.stitch.formats.tiff.tiff_directory import MAX_PAGES
from girder_zarr.stitch.formats.tiff.tiff_planes import PAGE_AXES, PageAxis
from girder_zarr.stitch.patch import FRAME_AXES, Placement, check_key, check_order, check_weight

from . import position

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .model import StitchSpec

#: The names that `parse` reads; docs/rest.md says what each means.
NAMES = (
    *('x', 'y', 'unit', 'row', 'column', *FRAME_AXES, 'index'),
    *('order', 'weight', 'mask', 'maskKey', 'shape', 'dtype', 'compression', 'orientation'),
    *('page', 'pages'),
)
#: Options as they are stored that clients do not see.
HIDDEN = frozenset(('layout', 'pageAt'))
#: Characters of ``index`` as JSON text: its few axes of up to 31 letters take far less.
_MAX_INDEX_TEXT = 4096
#: Bounded digits, because Python takes quadratic time for long integers; floats hold 15 exactly.
_INTEGER = re.compile(r'[+-]?[0-9]{1,15}')
_NUMBER = re.compile(r'[+-]?([0-9]{1,30}\.?[0-9]{0,30}|\.[0-9]{1,30})([eE][+-]?[0-9]{1,3})?')


@dataclass(frozen=True, slots=True)
class PatchOptions:
    """How a patch is weighted and masked and how its bytes are decoded. The defaults fit most patches.

    :param weight: its factor in the overlap rules ``mean`` and ``feather``, see `patch.check_weight`.
    :param alpha: whether its alpha band is its mask.
    :param mask_key: the key of the reference image that is its mask, or empty.
    :param layout: of raw pixels; None if its bytes are an image file.
    :param as_stored: the orientation that its file gives is ignored; else it is turned upright.
    :param page: of a file of several, the one that it is.
    """

    weight: float = 1.0
    alpha: bool = False
    mask_key: str = ''
    layout: Layout | None = None
    as_stored: bool = False
    page: PageAt | None = None

    @property
    def for_patch(self) -> dict[str, Any]:
        """The keyword arguments of `stitch.patch.Patch` for these options."""
        return {
            'weight': self.weight,
            'alpha': self.alpha,
            'mask_key': self.mask_key,
            'layout': self.layout,
            'as_stored': self.as_stored,
            'page': self.page,
        }

    @property
    def for_formats(self) -> dict[str, Any]:
        """The keyword arguments of `formats.registry.inspect` and `decode` for these options."""
        return {
            'layout': self.layout,
            'alpha': self.alpha,
            'as_stored': self.as_stored,
            'page': self.page,
        }

    def to_json(self) -> dict[str, Any]:
        """Return the options that differ from the default, by the names of docs/rest.md and of ``HIDDEN``."""
        found: dict[str, Any] = {}
        if self.weight != 1:
            found['weight'] = self.weight
        if self.alpha:
            found['mask'] = 'alpha'
        if self.mask_key:
            found['maskKey'] = self.mask_key
        if self.layout is not None:
            found['layout'] = self.layout.to_json()
        if self.as_stored:
            found['orientation'] = 'stored'
        if self.page is not None:
            found['page'] = self.page.number
            found['pageAt'] = [self.page.directory, self.page.plane]
        return found

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None) -> PatchOptions:
        """Return the options that :meth:`to_json` wrote; None stands for all defaults."""
        given = document or {}
        return cls(
            weight=given.get('weight', 1.0),
            alpha=given.get('mask') == 'alpha',
            mask_key=given.get('maskKey', ''),
            layout=Layout.from_json(given.get('layout')),
            as_stored=given.get('orientation') == 'stored',
            page=PageAt(given['page'], *given['pageAt']) if 'page' in given else None,
        )


@dataclass(frozen=True, slots=True)
class PatchParameters:
    """The checked parameters of one patch.

    :param placement: its position in whole pixels and its index along the frame axes.
    :param order: see `stitch.patch.Patch`.
    :param options: how it is weighted, masked and decoded.
    :param pages: its file is a patch for each of its pages, which lie along this axis; None: it is one patch.
    """

    placement: Placement
    order: int
    options: PatchOptions
    pages: PageAxis | None = None


def parse(given: Mapping[str, Any], spec: StitchSpec) -> PatchParameters:
    """Check and return the parameters of a patch of a session.

    >>> spec = StitchSpec.from_json({'pixelSize': {'x': 0.5, 'y': 0.5, 'unit': 'micrometer'}})
    >>> parse({'x': '10', 'y': '2.5', 'unit': 'micrometer', 'z': 3}, spec).placement.as_dict()
    {'x': 20, 'y': 5, 'z': 3}

    :param given: values by the names in ``NAMES``; other names are ignored.
    :param spec: of the session. Its pixel size and grid turn units, rows and columns into pixels; an axis
        that it declares and that is not given is at index 0.
    :raises InvalidInputError: a value is missing, malformed or out of range; the message names it.
    """
    values = {name: given[name] for name in NAMES if given.get(name) is not None and given[name] != ''}
    x, y = position.resolve(
        spec,
        _optional(_number, 'x', values),
        _optional(_number, 'y', values),
        _optional(_text, 'unit', values),
        _optional(_integer, 'row', values),
        _optional(_integer, 'column', values),
    )
    order = check_order(_integer('order', values.get('order', 0)))
    frame = dict.fromkeys((axis.name for axis in spec.axes or ()), 0) | _frame(values)
    return PatchParameters(Placement.make(x, y, frame), order, _options(values), _pages(values))


def _frame(values: Mapping[str, Any]) -> dict[str, int | None]:
    named = [axis for axis in FRAME_AXES if axis in values]
    frame: dict[str, int | None] = {axis: _integer(axis, values[axis]) for axis in named}
    for axis, index in _index(values.get('index')).items():
        if axis in frame:
            msg = f'index: expected axes that are not given otherwise, found {axis} twice.'
            raise InvalidInputError(msg)
        frame[axis] = _integer(f'index.{axis}', index)
    return frame


def _index(value: Any) -> Mapping[str, Any]:
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = parse_json(value, _MAX_INDEX_TEXT, _MAX_INDEX_TEXT)
    if value is None:
        return {}
    if not isinstance(value, dict):
        msg = f'index: expected a JSON object such as {{"angle": 2}}, found {value!r:.80}.'
        raise InvalidInputError(msg)
    return value


def _options(values: Mapping[str, Any]) -> PatchOptions:
    mask, key = values.get('mask'), _optional(_text, 'maskKey', values)
    if mask not in {None, 'alpha'}:
        msg = f'mask: expected alpha, found {mask!r:.80}.'
        raise InvalidInputError(msg)
    if mask is not None and key is not None:
        msg = 'maskKey: expected nothing beside mask=alpha, found both.'
        raise InvalidInputError(msg)
    orientation = values.get('orientation', 'upright')
    if orientation not in {'upright', 'stored'}:
        msg = f'orientation: expected upright or stored, found {orientation!r:.80}.'
        raise InvalidInputError(msg)
    layout = Layout.parse(*(_optional(_text, name, values) for name in ('shape', 'dtype', 'compression')))
    return PatchOptions(
        weight=check_weight(_number('weight', values.get('weight', 1.0))),
        alpha=mask is not None,
        mask_key='' if key is None else check_key(key),
        layout=layout,
        as_stored=orientation == 'stored',
        page=_page(values, layout),
    )


def _page(values: Mapping[str, Any], layout: Layout | None) -> PageAt | None:
    number = _optional(_integer, 'page', values)
    if number is None:
        return None
    if not 0 <= number < MAX_PAGES:
        msg = f'page: expected 0 to {MAX_PAGES - 1}, found {number}.'
        raise InvalidInputError(msg)
    if layout is not None:
        msg = 'page: expected an image file, found raw pixels.'
        raise InvalidInputError(msg)
    return PageAt(number)


def _pages(values: Mapping[str, Any]) -> PageAxis | None:
    given = values.get('pages')
    found = next((axis for axis in PAGE_AXES if axis == given), None)
    if given is not None and found is None:
        msg = f'pages: expected auto, c, z or t, found {given!r:.80}.'
        raise InvalidInputError(msg)
    for other in ('page', 'shape'):
        if found is not None and other in values:
            msg = f'pages: expected no {other} beside it, found both.'
            raise InvalidInputError(msg)
    return found


def _optional(parse_one: Any, name: str, values: Mapping[str, Any]) -> Any:
    return parse_one(name, values[name]) if name in values else None


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
