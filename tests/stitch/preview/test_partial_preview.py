"""The image of a growing session without the patches that still wait for their overviews."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.preview import patch_overview
from girder_zarr.stitch.preview.image import PreviewImage
from girder_zarr.stitch.preview.preview_blocks import Sources, block_cache
from girder_zarr.stitch.spec.model import StitchSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from girder_zarr.image.series.series import Series

SIDE, ROWS, COLUMNS = 512, 6, 10


class Pouring:
    """Patches of one value each, some of which wait for their overviews."""

    def __init__(self) -> None:
        self.waiting: set[str] = set()
        self.made: list[str] = []
        sources = Sources(self._pixels, self._overviews, waiting=self._waiting_among)
        self.image = PreviewImage('pouring', StitchSpec(), sources, block_cache(2**26))
        self.patches = [
            Patch(f'{row}-{column}', Placement.make(SIDE * column, SIDE * row, {}), (SIDE, SIDE, 1), 'uint8')
            for row in range(ROWS)
            for column in range(COLUMNS)
        ]
        self.patches = [replace(patch, source=patch.key) for patch in self.patches]
        self.image.put(self.patches)

    def value(self, patch: Patch) -> int:
        return 1 + self.patches.index(patch)

    def _pixels(self, patch: Patch) -> np.ndarray:
        return np.full(patch.shape, self.value(patch), np.uint8)

    def _overviews(self, patches: Sequence[Patch], level: int) -> Mapping[str, np.ndarray | str]:
        self.made += [patch.key for patch in patches]
        return {
            patch.key: patch_overview.make_overview(patch, self._pixels(patch), level) for patch in patches
        }

    def _waiting_among(self, patches: Sequence[Patch]) -> set[str]:
        return {patch.key for patch in patches} & self.waiting

    def expected(self, level: int, *, partial: bool) -> np.ndarray:
        values = [
            0
            if partial and level >= patch_overview.MIN_LEVEL and patch.key in self.waiting
            else self.value(patch)
            for patch in self.patches
        ]
        side = SIDE >> level
        return np.kron(np.array(values).reshape(ROWS, COLUMNS), np.ones((side, side))).astype(np.uint8)


def level_of(series: Series, level: int) -> np.ndarray:
    reader = series.levels[level]
    return reader.read(tuple(slice(0, size) for size in reader.shape)).squeeze()


def test_only_coarse_levels_leave_out_patches_and_only_where_that_is_asked_for() -> None:
    pouring = Pouring()
    pouring.waiting = {'0-0', '2-7', '5-9'}
    partial, exact = pouring.image.series(partial=True), pouring.image.series()
    assert len(partial.levels) == 5
    for level in range(5):
        assert np.array_equal(level_of(partial, level), pouring.expected(level, partial=True))
        if level >= patch_overview.MIN_LEVEL:
            assert not pouring.waiting & set(pouring.made)
    # What was left out is in no cache.
    for level in reversed(range(5)):
        assert np.array_equal(level_of(exact, level), pouring.expected(level, partial=False))
    assert pouring.waiting <= set(pouring.made)


def test_what_waits_no_longer_is_shown() -> None:
    pouring = Pouring()
    pouring.waiting = {patch.key for patch in pouring.patches[10:]}
    partial = pouring.image.series(partial=True)
    while pouring.waiting:
        for level in (4, 3, 2):
            assert np.array_equal(level_of(partial, level), pouring.expected(level, partial=True))
        pouring.waiting = set(sorted(pouring.waiting)[10:])
    pouring.made.clear()
    assert np.array_equal(level_of(partial, 4), pouring.expected(4, partial=False))
    pouring.made.clear()
    # Now it is whole, and kept.
    assert np.array_equal(level_of(partial, 4), pouring.expected(4, partial=False))
    assert pouring.made == []


def test_where_everything_waits_there_is_background() -> None:
    pouring = Pouring()
    pouring.waiting = {patch.key for patch in pouring.patches}
    assert not level_of(pouring.image.series(partial=True), 4).any()
    assert pouring.made == []
