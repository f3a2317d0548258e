"""Large patches are read by rows: the same pixels as of whole patches, and few of them in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from girder_zarr.errors import UnsupportedFormatError
from girder_zarr.stitch.blend import row_bands
from girder_zarr.stitch.blend.block_maker import BlockMaker
from girder_zarr.stitch.blend.row_bands import RowBands
from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.plan import Plan
from girder_zarr.stitch.spec.model import StitchSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES = ('last', 'first', 'mean', 'max', 'min', 'feather')


class Patches:
    """Patches in memory, given whole, or in pieces of some rows; counts the rows that were asked for."""

    def __init__(self, *, alpha: bool = False, bands: int = 3) -> None:
        random = np.random.default_rng(1)
        self.given = 0
        self.patches, self.pixels = [], {}
        for number, (y, x, height, width) in enumerate(
            [(0, 0, 90, 120), (-20, 70, 100, 130), (60, 10, 77, 101), (50, 90, 64, 64)]
        ):
            key = f'p{number}'
            patch = Patch(
                key, Placement.make(x, y), (height, width, bands), 'uint8', alpha=alpha, weight=1 + number
            )
            self.patches.append(patch)
            pixels = random.integers(0, 256, (height, width, bands + alpha), np.uint8)
            if alpha:
                pixels[random.random((height, width)) < 0.3, -1] = 0
            self.pixels[key] = pixels

    def __call__(self, patch: Patch) -> np.ndarray:
        return self.pixels[patch.key]

    def rows(self, patch: Patch) -> Iterator[np.ndarray]:
        pixels = self.pixels[patch.key]
        for top in range(0, len(pixels), 7):
            self.given += 7
            yield pixels[top : top + 7]


@pytest.fixture
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_bands, 'LARGE_BYTES', 0)
    monkeypatch.setattr(row_bands, 'BAND_BYTES', 4000)
    monkeypatch.setattr(BlockMaker, 'MAX_SQUARE', 48)


def stitched(plan: Plan, load: Any) -> np.ndarray:
    found = BlockMaker(plan, load).read(tuple(slice(0, side) for side in plan.shape))
    assert found is not None
    return found


@pytest.mark.usefixtures('small_is_large')
@pytest.mark.parametrize('rule', RULES)
@pytest.mark.parametrize('alpha', [False, True])
def test_blocks_are_those_of_whole_patches(rule: Any, alpha: bool) -> None:
    patches = Patches(alpha=alpha)
    plan = Plan(patches.patches, StitchSpec(overlap=rule))
    expected = stitched(plan, patches.__call__)
    assert patches.given == 0
    np.testing.assert_array_equal(stitched(plan, patches), expected)
    # the distance to masked pixels needs all of a mask
    assert (patches.given == 0) == (alpha and rule == 'feather')


@pytest.mark.usefixtures('small_is_large')
def test_a_band_is_decoded_once_for_the_blocks_beside_each_other() -> None:
    patches = Patches()
    bands = RowBands(patches.rows)
    patch = patches.patches[0]
    for left in range(0, 120, 30):
        part = bands.read(patch, slice(20, 31), slice(left, left + 30))
        np.testing.assert_array_equal(part, patches(patch)[20:31, left : left + 30])
    assert patches.given <= 49, 'rows 0 to 44 hold the four bands of 11 rows; the rest is not decoded'


@pytest.mark.usefixtures('small_is_large')
def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_bands, 'KEPT_BYTES', 9000)
    patches = Patches()
    bands = RowBands(patches.rows)
    for top in range(0, 90, 10):
        np.testing.assert_array_equal(
            bands.read(patches.patches[0], slice(top, top + 10), slice(0, 120)),
            patches.pixels['p0'][top : top + 10],
        )
        assert bands._kept.size <= 9000


@pytest.mark.usefixtures('small_is_large')
@pytest.mark.parametrize(
    'change', [lambda found: found[:60], lambda found: found[:, :50], lambda found: found / 2]
)
def test_rows_that_are_not_what_is_known_are_refused(change: Any) -> None:
    patches = Patches()
    patches.pixels['p0'] = change(patches.pixels['p0'])
    with pytest.raises(UnsupportedFormatError, match='Patch p0 should hold'):
        RowBands(patches.rows).read(patches.patches[0], slice(0, 90), slice(0, 10))
