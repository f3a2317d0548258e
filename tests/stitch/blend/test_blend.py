"""Blending, held against a model that goes pixel by pixel with exact arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from girder_zarr.stitch.blend.blend import Piece, blend, blend_each, paint_order
from girder_zarr.stitch.spec.model import OVERLAPS, Overlap

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
                weight = weight_at(piece, y, x, feather=rule == 'feather')
                if weight:
                    values.append((piece.pixels[y, x, place[2]].item(), weight))
        if values:
            out[place] = combined(values, rule, whole=dtype.kind != 'f')
    return out


def weight_at(piece: Piece, y: int, x: int, *, feather: bool) -> Fraction:
    weight = Fraction(piece.weight) * (1 if piece.mask is None else Fraction(float(piece.mask[y, x])))
    if not feather:
        return weight
    height, width = piece.pixels.shape[:2]
    ends = [(-1, x), (height, x), (y, -1), (y, width)]
    if piece.mask is not None:
        ends += [(int(row), int(column)) for row, column in np.argwhere(piece.mask == 0)]
    nearest = min(max(abs(row - y), abs(column - x)) for row, column in ends)
    return Fraction(weight * (nearest - Fraction(1, 2)))


def combined(values: list[tuple[Any, Fraction]], rule: Overlap, *, whole: bool) -> Any:
    if rule == 'last':
        return values[-1][0]
    if rule == 'first':
        return values[0][0]
    known = [(value, weight) for value, weight in values if not math.isnan(value)]
    if not known:
        return math.nan
    if rule in {'max', 'min'}:
        return (max if rule == 'max' else min)(value for value, _ in known)
    mean = sum(Fraction(value) * weight for value, weight in known) / sum(weight for _, weight in known)
    return math.floor(mean + Fraction(1, 2)) if whole else float(mean)


def reach_of(mask: np.ndarray) -> np.ndarray:
    ends = np.pad(mask > 0, 1)
    distance = ndimage.distance_transform_cdt(ends, 'chessboard')[1:-1, 1:-1]
    return np.asarray(distance - 0.5, np.float32)


Scene = tuple[list[Piece], tuple[int, int, int], np.dtype[Any]]


@st.composite
def scenes(draw: st.DrawFn, weighted: bool = False) -> Scene:
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
            limits: Any = np.iinfo(dtype)
            pixels = random.integers(limits.min, limits.max, size, dtype=dtype, endpoint=True)
        mask = None
        if weighted and draw(st.booleans()):
            mask = random.choice(np.array([0, 0.25, 1], np.float32), size[:2])
        reach = None if mask is None else reach_of(mask)
        weight = draw(st.sampled_from([1.0, 0.5, 4.0])) if weighted else 1.0
        where = draw(st.integers(-6, 6)), draw(st.integers(-6, 6))
        pieces.append(Piece(*where, pixels, mask, reach, weight))
    return pieces, shape, dtype


@settings(max_examples=100, deadline=None)
@given(scene=scenes(), rule=st.sampled_from(OVERLAPS))
def test_every_rule_agrees_with_the_model(scene: Scene, rule: Overlap) -> None:
    check_scene(scene, rule)


@settings(max_examples=100, deadline=None)
@given(scene=scenes(weighted=True), rule=st.sampled_from(OVERLAPS))
def test_masks_and_weights_agree_with_the_model(scene: Scene, rule: Overlap) -> None:
    check_scene(scene, rule)


def check_scene(scene: Scene, rule: Overlap) -> None:
    pieces, shape, dtype = scene
    before = [piece.pixels.copy() for piece in pieces]
    weighted = any(not piece.is_plain for piece in pieces)
    expected = naive(pieces, shape, dtype, rule, 9)
    whole = blend_each(paint_order(rule, pieces), shape, dtype, rule, 9, weighted)
    exact = rule not in {'mean', 'feather'} or (rule == 'mean' and not weighted)
    for result in (blend(pieces, shape, dtype, rule, 9), whole):
        assert result.shape == shape
        assert result.dtype == dtype
        if exact and dtype.kind != 'f':
            assert np.array_equal(result, expected)
        elif dtype.itemsize < 8:
            # halves may fall to either side of a float, and of each other when they are rounded
            assert np.allclose(result, expected, rtol=1e-5, atol=dtype.kind != 'f', equal_nan=True)
        else:
            far = np.abs(result.astype(object) - expected.astype(object))
            assert int(far.max()) <= 2**14
    assert all(np.array_equal(a, p.pixels, equal_nan=True) for a, p in zip(before, pieces, strict=True))


def test_feathering_leaves_no_trace_on_a_gradient() -> None:
    y, x = np.mgrid[0:90, 0:120]
    for dtype in ('uint8', 'uint16', 'int32', 'float32', 'float64'):
        ramp = (y + x).astype(dtype)[:, :, np.newaxis]
        corners = [(0, 0), (0, 53), (37, 11), (41, 60)]
        pieces = [Piece(top, left, ramp[top : top + 49, left : left + 67]) for top, left in corners]
        block = blend(pieces, (90, 120, 1), np.dtype(dtype), 'feather', 0)
        covered = np.zeros((90, 120), bool)
        for top, left in corners:
            covered[top : top + 49, left : left + 67] = True
        assert np.array_equal(block[covered], ramp[covered])
        assert not block[~covered].any()


def test_feathering_goes_from_one_patch_to_the_other_evenly() -> None:
    """Two flat patches of unequal brightness: from the first's 100 to the second's 200 without a step."""
    left, right = (np.full((64, 80, 1), value, np.float32) for value in (100, 200))
    block = blend([Piece(0, 0, left), Piece(0, 40, right)], (64, 120, 1), np.dtype(np.float32), 'feather', 0)
    row = block[32, :, 0]
    assert (row[0], row[-1]) == (100, 200)
    assert (np.diff(row) >= 0).all()
    assert np.diff(row).max() < 100 / 20
    assert np.allclose(row[40:80], 100 + 100 * weights_of(40), atol=1e-3)


def weights_of(overlap: int) -> np.ndarray:
    """The share of the right one of two patches of 64 x 80 along the middle row of their overlap."""
    first = np.array([min(32.5, 31.5, at + 40.5, 80 - at - 40.5) for at in range(overlap)])
    second = np.array([min(32.5, 31.5, at + 0.5, 80 - at - 0.5) for at in range(overlap)])
    return np.asarray(second / (first + second))


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
