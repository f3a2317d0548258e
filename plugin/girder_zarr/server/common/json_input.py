"""JSON from outside."""

from __future__ import annotations

from typing import Any

from girder_zarr.common import bounded_json
from girder_zarr.errors import InvalidInputError

_NAMES: dict[type, str] = {dict: 'object', list: 'list'}


def parse_json(data: bytes, kind: type | tuple[type, ...] = dict, what: str = 'The body') -> Any:
    """Return a JSON object or list.

    :param kind: ``dict``, ``list`` or both.
    :param what: what the JSON is, for messages.
    :param data: within the caller's bound of bytes; values and depth are bounded here.
    :raises InvalidInputError: it is something else, or holds too much. ``NaN`` and ``Infinity``, which Python's parser takes,
        are not JSON.
    """
    kinds = kind if isinstance(kind, tuple) else (kind,)
    expected = ' or '.join(_NAMES[one] for one in kinds)
    try:
        value = bounded_json.parse_json(data, len(data), parse_constant=_refuse_constant)
    except ValueError as error:
        msg = f'{what}: expected a JSON {expected}, found something that is not JSON ({error}).'
        raise InvalidInputError(msg) from error
    if not isinstance(value, kinds):
        msg = f'{what}: expected a JSON {expected}, found {type(value).__name__}.'
        raise InvalidInputError(msg)
    return value


def _refuse_constant(name: str) -> None:
    msg = f'{name} is not JSON'
    raise ValueError(msg)
