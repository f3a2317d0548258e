"""JSON from outside, bounded in bytes, values and depth before it is parsed.

A parser makes objects of what it reads: 64 MiB of ``[],`` are 22 million lists, gigabytes of memory and many
seconds in which no other thread runs. Counting brackets and commas first takes milliseconds.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: Values that a document may hold where the caller says nothing: objects, lists and what stands in them. They
#: take some 100 MB and a second at most.
MAX_VALUES = 1_000_000
MAX_DEPTH = 64
#: Strings, whose content does not count, and what separates values.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_OTHERS = re.compile(rb'[^\[\]{}]+')
_OPENING = b'[{'


class JsonLimitError(ValueError):
    """A JSON document is larger or deeper than what is read."""


def parse_json(
    data: bytes | str,
    max_bytes: int,
    max_values: int = MAX_VALUES,
    max_depth: int = MAX_DEPTH,
    *,
    parse_constant: Callable[[str], Any] | None = None,
) -> Any:
    """Return what a JSON document holds.

    :param max_bytes: bytes that it may have.
    :param max_values: values that it may hold, at all depths.
    :param max_depth: lists and objects that may lie in each other.
    :param parse_constant: called for NaN and infinities, as in `json.loads`.
    :raises JsonLimitError: it is over a bound. :raises ValueError: it is not JSON.
    """
    raw = data.encode() if isinstance(data, str) else bytes(data)
    if len(raw) > max_bytes:
        msg = f'it has {len(raw)} bytes; at most {max_bytes} are read'
        raise JsonLimitError(msg)
    _check(raw, max_values, max_depth)
    try:
        return json.loads(raw, parse_constant=parse_constant)
    except RecursionError:
        msg = 'it is nested too deep'
        raise JsonLimitError(msg) from None


def _check(raw: bytes, max_values: int, max_depth: int) -> None:
    """Check the numbers of values and of nested lists, without making objects of them."""
    if raw.startswith((b'\xff\xfe', b'\xfe\xff')) or b'\0' in raw[:4]:
        msg = 'it is not in UTF-8'
        raise ValueError(msg)
    # A separator or bracket for each value; those in strings count only where there seem to be too many.
    if _separators(raw) > max_values or raw.count(b'[') + raw.count(b'{') > max_depth:
        plain = _STRING.sub(b'', raw)
        found = _separators(plain)
        if found > max_values:
            msg = f'it holds more than {max_values} values'
            raise JsonLimitError(msg)
        if _depth(plain, max_depth) > max_depth:
            msg = f'it is nested more than {max_depth} levels deep'
            raise JsonLimitError(msg)


def _separators(raw: bytes) -> int:
    return raw.count(b',') + raw.count(b'[') + raw.count(b'{')


def _depth(plain: bytes, most: int) -> int:
    """Return how deep lists and objects lie in each other, or a number above ``most``.

    Pairs that enclose nothing are taken out, level by level: one pass for each level of depth.
    """
    brackets = _OTHERS.sub(b'', plain).replace(b'{', b'[').replace(b'}', b']')
    depth = 0
    while brackets and depth <= most:
        inner = brackets.replace(b'[]', b'')
        if len(inner) == len(brackets):
            break  # not balanced, and so no JSON, unless it opens more than it closes
        brackets, depth = inner, depth + 1
    return depth + (brackets.count(b'[') if depth <= most else 0)
