"""Which patches touch which block, and how large the result is."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from girder_zarr.errors import ConflictError, InvalidInputError, LimitExceededError
from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.plan import Plan
from girder_zarr.stitch.spec.model import StitchSpec


def patch(
    key: str,
    x: int,
    y: int,
    width: int = 10,
    height: int = 10,
    bands: int = 1,
    dtype: str = 'uint8',
    order: int = 0,
    **frame: int,
) -> Patch:
    return Patch(key, Placement.make(x, y, frame), (height, width, bands), dtype, order)


class SmallCells(Plan):
    CELL = 7


@st.composite
def patch_sets(draw: st.DrawFn) -> list[Patch]:
    count = draw(st.integers(1, 8))
    return [
        patch(
            f'k{index}',
            draw(st.integers(-30, 30)),
            draw(st.integers(-30, 30)),
            draw(st.integers(1, 25)),
            draw(st.integers(1, 25)),
            order=draw(st.integers(-2, 2)),
            z=draw(st.integers(0, 2)),
        )
        for index in range(count)
    ]


@settings(max_examples=150, deadline=None)
@given(patches=patch_sets(), top=st.integers(0, 40), left=st.integers(0, 40), side=st.integers(1, 20))
def test_a_block_is_touched_by_just_the_patches_with_pixels_in_it(
    patches: list[Patch], top: int, left: int, side: int
) -> None:
    plan = SmallCells(patches, StitchSpec(index_base=0))
    height, width = plan.size
    y, x = (
        slice(min(top, height - 1), min(top + side, height)),
        slice(min(left, width - 1), min(left + side, width)),
    )
    for z in range(plan.shape[0]):
        hits = plan.touching((0, 0, z), y, x)
        expected = []
        for one in sorted(patches, key=lambda each: (each.order, each.key)):
            rows = range(one.placement.y - plan.origin[0], one.placement.y - plan.origin[0] + one.shape[0])
            columns = range(one.placement.x - plan.origin[1], one.placement.x - plan.origin[1] + one.shape[1])
            rows_in = set(rows) & set(range(y.start, y.stop))
            columns_in = set(columns) & set(range(x.start, x.stop))
            if one.placement.index('z') == z and rows_in and columns_in:
                expected.append((one.key, rows.start - y.start, columns.start - x.start))
        assert [(hit.patch.key, hit.y, hit.x) for hit in hits] == expected
        assert plan.occupied((slice(z, z + 1), y, x)) or not hits


@settings(max_examples=100, deadline=None)
@given(patches=patch_sets())
@pytest.mark.parametrize('origin', ['corner', 'absolute'])
def test_without_a_size_everything_fits_and_the_smallest_position_is_the_corner(
    patches: list[Patch], origin: Any
) -> None:
    plan = Plan(patches, StitchSpec(origin=origin))
    tops = [one.placement.y - plan.origin[0] for one in patches]
    lefts = [one.placement.x - plan.origin[1] for one in patches]
    assert min(tops) >= 0
    assert min(lefts) >= 0
    corner = min(p.placement.y for p in patches), min(p.placement.x for p in patches)
    expected = corner if origin == 'corner' else (min(0, corner[0]), min(0, corner[1]))
    assert plan.origin == expected
    bottom = max(top + one.shape[0] for top, one in zip(tops, patches, strict=True))
    right = max(left + one.shape[1] for left, one in zip(lefts, patches, strict=True))
    assert plan.size == (bottom, right)


@pytest.mark.parametrize(
    ('frames', 'bands', 'axes', 'shape'),
    [
        ({}, 1, ('y', 'x'), (10, 10)),
        ({}, 3, ('c', 'y', 'x'), (3, 10, 10)),
        ({'c': 1}, 1, ('c', 'y', 'x'), (2, 10, 10)),
        ({'c': 1}, 3, ('c', 'y', 'x'), (6, 10, 10)),
        ({'z': 4, 't': 2}, 1, ('t', 'z', 'y', 'x'), (3, 5, 10, 10)),
        ({'z': 4, 't': 2, 'c': 0}, 4, ('t', 'c', 'z', 'y', 'x'), (3, 4, 5, 10, 10)),
    ],
)
def test_axes_are_those_that_patches_name_in_the_order_of_ngff(
    frames: dict[str, Any], bands: int, axes: tuple[str, ...], shape: tuple[int, ...]
) -> None:
    plan = Plan([patch('a', 0, 0, bands=bands, **frames)], StitchSpec(index_base=0))
    assert plan.axes == axes
    assert plan.shape == shape
    smallest = Plan([patch('a', 0, 0, bands=bands, **frames)], StitchSpec())
    assert smallest.axes == axes
    assert smallest.extent.frame == dict.fromkeys(frames, 1)


@pytest.mark.parametrize('bands', [1, 3])
def test_the_frames_of_a_region_cover_it_once(bands: int) -> None:
    plan = Plan([patch('a', 0, 0, bands=bands, t=2, z=3, c=1)], StitchSpec(index_base=0))
    for c_start, c_stop in itertools.combinations(range(2 * bands + 1), 2):
        region = (slice(1, 3), slice(c_start, c_stop), slice(0, 2), slice(0, 10), slice(0, 10))
        seen = np.zeros((2, c_stop - c_start, 2), int)
        for frame, place, kept in plan.frames(region):
            seen[place] += 1
            channels = range(c_start, c_stop)[place[1]]
            found = [channels] if isinstance(channels, int) else list(channels)
            assert found == list(range(2 * bands))[frame[1] * bands :][kept]
        assert (seen == 1).all()


def test_a_size_fixes_the_frame() -> None:
    plan = Plan([patch('a', -5, -5), patch('b', 100, 100)], StitchSpec(size=(20, 30)))
    assert (plan.origin, plan.size) == ((0, 0), (30, 20))
    assert [hit.patch.key for hit in plan.touching((0, 0, 0), slice(0, 30), slice(0, 20))] == ['a']


def test_what_cannot_be_one_image_is_refused() -> None:
    with pytest.raises(InvalidInputError, match='no patch'):
        Plan([], StitchSpec())
    with pytest.raises(ConflictError, match='dtype'):
        Plan([patch('a', 0, 0), patch('b', 0, 0, dtype='uint16')], StitchSpec())
    with pytest.raises(InvalidInputError, match='same of t, z, c'):
        Plan([patch('a', 0, 0, z=1), patch('b', 0, 0)], StitchSpec())
    with pytest.raises(LimitExceededError, match='4194304'):
        Plan([patch('a', 0, 0), patch('b', 2**29, 0)], StitchSpec())
    with pytest.raises(LimitExceededError, match='values'):
        Plan([patch('a', 0, 0), patch('b', 4_000_000, 4_000_000)], StitchSpec())
    with pytest.raises(ConflictError, match='background 300'):
        Plan([patch('a', 0, 0)], StitchSpec(background=300))
