"""Blending, held against a model that goes pixel by pixel with exact arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from girder_zarr.stitch.blend import Piece, blend
from girder_zarr.stitch.spec import OVERLAPS, Overlap

if TYPE_CHECKING:
    from collections.abc import Sequence

DTYPES = ('uint8', 'int16', 'uint64', 'int64', 'float32')


def naive(
    pieces: Sequence[Piece], shape: tuple[int, int, int], dtype: np.dtype[Any], rule: Overlap, background: int
) -> np.ndarray:
    out = np.full(shape, background, dtype)
    for place in np.ndindex(*shape):
        values = []
        for piece in pieces:
            y, x = place[0] - piece.y, place[1] - piece.x
            if 0 <= y < piece.pixels.shape[0] and 0 <= x < piece.pixels.shape[1]:
                values.append(piece.pixels[y, x, place[2]].item())
        if values:
            out[place] = combined(values, rule, whole=dtype.kind != 'f')
    return out


def combined(values: list[Any], rule: Overlap, *, whole: bool) -> Any:
    if rule == 'last':
        return values[-1]
    if rule == 'first':
        return values[0]
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return math.nan
    if rule in {'max', 'min'}:
        return max(known) if rule == 'max' else min(known)
    mean = sum(map(Fraction, known)) / len(known)
    return math.floor(mean + Fraction(1, 2)) if whole else float(mean)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[list[Piece], tuple[int, int, int], np.dtype[Any]]:
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    bands = draw(st.sampled_from([1, 3]))
    shape = (draw(st.integers(1, 6)), draw(st.integers(1, 6)), bands)
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    pieces = []
    for _ in range(draw(st.integers(0, 4))):
        size = (draw(st.integers(1, 7)), draw(st.integers(1, 7)), bands)
        if dtype.kind == 'f':
            pixels = random.integers(-50, 50, size).astype(dtype)
            pixels[random.random(size) < 0.2] = np.nan
        else:
            limits = np.iinfo(dtype)
            pixels = random.integers(limits.min, limits.max, size, dtype=dtype, endpoint=True)
        pieces.append(Piece(draw(st.integers(-6, 6)), draw(st.integers(-6, 6)), pixels))
    return pieces, shape, dtype


@settings(max_examples=200, deadline=None)
@given(scene=scenes(), rule=st.sampled_from(OVERLAPS))
def test_every_rule_agrees_with_the_model(
    scene: tuple[list[Piece], tuple[int, int, int], np.dtype[Any]], rule: Overlap
) -> None:
    pieces, shape, dtype = scene
    before = [piece.pixels.copy() for piece in pieces]
    result = blend(pieces, shape, dtype, rule, 9)
    expected = naive(pieces, shape, dtype, rule, 9)
    assert result.shape == shape
    assert result.dtype == dtype
    if dtype.kind == 'f':
        assert np.allclose(result, expected, rtol=1e-6, equal_nan=True)
    else:
        assert np.array_equal(result, expected)
    assert all(np.array_equal(a, p.pixels, equal_nan=True) for a, p in zip(before, pieces, strict=True))


def test_the_mean_of_many_extreme_values_does_not_overflow() -> None:
    top = np.full((2, 2, 1), np.iinfo(np.uint64).max, np.uint64)
    pieces = [Piece(0, 0, top) for _ in range(300)]
    assert np.array_equal(blend(pieces, (2, 2, 1), np.dtype(np.uint64), 'mean', 0), top)


def test_the_only_piece_is_handed_on_without_a_copy() -> None:
    pixels = np.arange(100, dtype=np.uint8).reshape(10, 10, 1)
    block = blend([Piece(-2, -3, pixels)], (4, 4, 1), pixels.dtype, 'mean', 0)
    assert np.shares_memory(block, pixels)
    assert np.array_equal(block, pixels[2:6, 3:7])
    with pytest.raises(ValueError, match='read-only'):
        block[0, 0] = 1
