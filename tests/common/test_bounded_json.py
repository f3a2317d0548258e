"""JSON is refused by what it holds before anything is made of it."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from girder_zarr.common.bounded_json import JsonLimitError, parse_json
from support.hostile_files import nested_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def depth_of(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


@given(VALUES, st.integers(0, 4))
def test_what_is_within_the_bounds_is_what_json_reads(value: object, most: int) -> None:
    for data in (json.dumps(value).encode(), json.dumps(value, ensure_ascii=False).encode()):
        if depth_of(value) <= most:
            assert parse_json(data, 10**6, max_depth=most) == value
        else:
            with pytest.raises(JsonLimitError, match='nested'):
                parse_json(data, 10**6, max_depth=most)


def test_many_values_are_refused_before_they_are_made() -> None:
    data = nested_json(5_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(JsonLimitError, match='more than 1000000 values'):
            parse_json(data, 2**30)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(data)
    finally:
        tracemalloc.stop()


def test_what_stands_in_texts_does_not_count() -> None:
    text = '[{,' * 100 + '\\"\\\\'
    assert parse_json(json.dumps([text]), 10**6, max_values=3, max_depth=1) == [text]


@pytest.mark.parametrize('data', [b'[' * 100_000, b'{"a":' * 100_000, b'[' * 70 + b']' * 70, b'[[]' * 70])
def test_depth_is_bounded(data: bytes) -> None:
    with pytest.raises(JsonLimitError, match='nested'):
        parse_json(data, 10**6)


@pytest.mark.parametrize(
    'data', [b'', b'{', b'"' * 99_999, b'[' + b'"\\' * 50_000, b'\xff\xfe[\0]\0', b'[1}']
)
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has a message of its own
        parse_json(data, 10**6, max_values=10)
    with pytest.raises(JsonLimitError, match='bytes'):
        parse_json(b'[1, 2]', 5)
