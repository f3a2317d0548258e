"""How much is covered, and where the holes are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.preview.patch_coverage import MAX_HOLES, MAX_SQUARES, Hole, cover
from girder_zarr.stitch.spec.model import StitchSpec


def patch(key: str, x: int, y: int, width: int, height: int, **frame: int) -> Patch:
    return Patch(key, Placement.make(x, y, frame), (height, width, 1), 'uint8')


def test_a_missing_patch_is_a_hole_at_its_place() -> None:
    patches = [patch(f'{x}-{y}', 100 * x - 150, 80 * y, 100, 80) for x in range(4) for y in range(5)]
    found = cover([one for one in patches if one.key != '2-3'], StitchSpec())
    assert found.holes == (Hole((), (50, 150), (240, 320), 8000),)
    assert (found.cell, found.frames, found.empty_frames) == (1, 1, 0)
    assert math.isclose(found.share, 19 / 20)
    whole = cover(patches, StitchSpec())
    assert (whole.share, whole.holes) == (1.0, ())


@given(
    st.lists(
        st.tuples(st.integers(-30, 60), st.integers(-30, 60), st.integers(1, 40), st.integers(1, 40)),
        min_size=1,
        max_size=8,
    )
)
@settings(max_examples=60, deadline=None)
def test_small_images_are_counted_exactly(boxes: list[tuple[int, int, int, int]]) -> None:
    found = cover([patch(str(n), *box) for n, box in enumerate(boxes)], StitchSpec())
    left, top = min(x for x, _, _, _ in boxes), min(y for _, y, _, _ in boxes)
    seen = np.zeros((200, 200), bool)
    for x, y, width, height in boxes:
        seen[y - top : y - top + height, x - left : x - left + width] = True
    right, bottom = (max(box[axis] + box[axis + 2] for box in boxes) for axis in (0, 1))
    seen = seen[: max(bottom - top, 1), : max(right - left, 1)]
    assert math.isclose(found.share, seen.mean())
    assert len(found.holes) == MAX_HOLES or sum(hole.pixels for hole in found.holes) == (~seen).sum()


def test_frames_without_a_patch_count_as_empty() -> None:
    patches = [patch('a', 0, 0, 50, 50, z=0, t=0), patch('b', 0, 0, 50, 100, z=3, t=1)]
    found = cover(patches, StitchSpec())
    assert (found.frames, found.empty_frames) == (8, 6)
    assert math.isclose(found.share, 1.5 / 8)
    assert [(hole.frame, hole.y) for hole in found.holes] == [((('t', 0), ('z', 0)), (50, 100))]


def test_a_size_that_was_asked_for_is_what_has_to_be_covered() -> None:
    found = cover([patch('a', -50, -50, 100, 100)], StitchSpec(size=(100, 200)))
    assert math.isclose(found.share, 50 * 50 / (100 * 200))


@pytest.mark.parametrize('side', [1 << 16, 1 << 20])
def test_large_images_are_estimated_on_a_grid(side: int) -> None:
    quarter = side // 4
    patches = [
        patch(f'{x}-{y}', x * quarter, y * quarter, quarter, quarter)
        for x in range(4)
        for y in range(4)
        if (x, y) != (1, 2)
    ]
    found = cover(patches, StitchSpec())
    assert found.cell == side // MAX_SQUARES
    assert math.isclose(found.share, 15 / 16)
    (hole,) = found.holes
    assert (hole.x, hole.y) == ((quarter, 2 * quarter), (2 * quarter, 3 * quarter))


@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 900), st.integers(1, 900))
@settings(max_examples=100, deadline=None)
def test_a_complete_mosaic_has_no_hole(rows: int, columns: int, height: int, width: int) -> None:
    places = [(row, column) for row in range(rows) for column in range(columns)]
    patches = [patch(f'{y}-{x}', x * width, y * height, width, height) for y, x in places]
    found = cover(patches, StitchSpec())
    assert (found.share, found.holes) == (1.0, ())


def test_512_by_5() -> None:
    patches = [patch(f'{y}-{x}', x * 512, y * 512, 512, 512) for y in range(5) for x in range(5)]
    assert cover(patches, StitchSpec()).share == 1
    found = cover(patches[:-1], StitchSpec())
    assert math.isclose(found.share, 24 / 25, abs_tol=0.002)
    assert len(found.holes) == 1
