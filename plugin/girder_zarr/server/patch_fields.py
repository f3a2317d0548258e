"""What a client says of a patch besides its bytes: in a query, a manifest, a name or a reference."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import InvalidInputError
from girder_zarr.stitch.patch import FRAME_AXES, Placement, check_key, check_order, parse_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

_INTEGER = re.compile(r'[+-]?[0-9]{1,15}')
_BOOLEANS = {'true': True, '1': True, 'false': False, '0': False}
#: The names that `read` knows.
NAMES = ('key', 'x', 'y', *FRAME_AXES, 'order', 'digest', 'replace')


@dataclass(frozen=True, slots=True)
class PatchFields:
    """What was said of a patch, checked.

    :param digest: what its bytes shall have, as RFC 9530 writes it, if it was said.
    :param replace: whether it may take the place of another patch, if it was said.
    """

    key: str
    placement: Placement
    order: int
    digest: str | None
    replace: bool | None


def read(given: Mapping[str, Any]) -> PatchFields:
    """Check and return what was said; values may be text, as in a table, where '' is nothing.

    :raises InvalidInputError: a field is missing, unknown or malformed; the message names it.
    """
    said = {name: value for name, value in given.items() if value is not None and value != ''}
    unknown = sorted(str(name) for name in set(said) - set(NAMES))
    if unknown:
        msg = f'{unknown[0][:80]}: expected one of the fields {", ".join(NAMES)}.'
        raise InvalidInputError(msg)
    key = said.get('key')
    if not isinstance(key, str):
        msg = f'key: expected a text, found {key!r:.80}.'
        raise InvalidInputError(msg)
    check_key(key)
    frame = {axis: _integer(axis, said[axis]) for axis in FRAME_AXES if axis in said}
    placement = Placement.make(_integer('x', said.get('x')), _integer('y', said.get('y')), frame)
    return PatchFields(
        key=key,
        placement=placement,
        order=check_order(_integer('order', said.get('order', 0))),
        digest=_digest(said.get('digest')),
        replace=_boolean('replace', said.get('replace')),
    )


def _integer(name: str, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return int(value)
    msg = f'{name}: expected an integer, found {value!r:.80}.'
    raise InvalidInputError(msg)


def _boolean(name: str, value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    found = _BOOLEANS.get(str(value).strip().lower())
    if found is None:
        msg = f'{name}: expected true or false, found {value!r:.80}.'
        raise InvalidInputError(msg)
    return found


def _digest(value: Any) -> str | None:
    """Return a digest."""
    if value is None:
        return None
    if not isinstance(value, str):
        msg = f'digest: expected sha-256=:BASE64:, found {value!r:.80}.'
        raise InvalidInputError(msg)
    found = parse_digest(value)
    if found is None:
        msg = f'digest: expected sha-256=:BASE64:, found {value!r:.80}.'
        raise InvalidInputError(msg)
    return found
