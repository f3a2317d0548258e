"""JSON from outside."""

from __future__ import annotations

from typing import Any

from girder_zarr.common import bounded_json
from girder_zarr.errors import InvalidInputError, LimitExceededError

_NAMES: dict[type, str] = {dict: 'object', list: 'list'}


#: Values of a document where the caller says nothing: a spec or a plan of the largest kind has some thousand.
MAX_VALUES = 100_000
#: Objects and lists in each other; nothing that is asked for is nested by more than six.
MAX_DEPTH = 32


def parse_json(
    data: bytes,
    kind: type | tuple[type, ...] = dict,
    what: str = 'The body',
    max_values: int = MAX_VALUES,
    max_texts: int | None = None,
) -> Any:
    """Return a JSON object or list; values and depth are counted before anything is made of them.

    :param data: as many bytes as the caller has let in.
    :param kind: ``dict``, ``list`` or both.
    :param what: what the JSON is, for messages.
    :param max_values: values that it may hold, at all depths.
    :param max_texts: texts, names of fields among them; if not given, as many as these values may have.
    :raises LimitExceededError: it holds more values, or they are nested deeper than any document is.
    :raises InvalidInputError: it is something else. ``NaN`` and ``Infinity``, which Python's parser takes,
        are not JSON.
    """
    kinds = kind if isinstance(kind, tuple) else (kind,)
    expected = ' or '.join(_NAMES[one] for one in kinds)
    # Telling texts from what lies between them takes more than all else, and that grows with their number.
    if data.count(b'"') > 2 * (2 * max_values if max_texts is None else max_texts):
        msg = f'{what} is more than is read as JSON: it holds too many texts.'
        raise LimitExceededError(msg)
    try:
        value = bounded_json.parse_json(
            data, len(data), max_values, MAX_DEPTH, parse_constant=_refuse_constant
        )
    except bounded_json.JsonLimitError as error:
        msg = f'{what} is more than is read as JSON: {error}.'
        raise LimitExceededError(msg) from error
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
