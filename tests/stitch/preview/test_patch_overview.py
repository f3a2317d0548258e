"""Overviews made from rows are those made from the whole patch, wherever it lies and however it is cut."""

from __future__ import annotations

import numpy as np
import pytest

from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.preview import patch_overview


@pytest.mark.parametrize('step', [1, 3, 8, 13, 100])
@pytest.mark.parametrize('y', [0, 5, -3])
@pytest.mark.parametrize(('bands', 'alpha'), [(1, False), (3, True), (4, False)])
def test_rows_make_the_same_overview(step: int, y: int, bands: int, alpha: bool) -> None:
    random = np.random.default_rng(step)
    pixels = random.integers(0, 255, (61, 43, bands + alpha), np.uint8)
    patch = Patch('a', Placement.make(7, y), (61, 43, bands), 'uint8', alpha=alpha)
    made = patch_overview.make_overviews(patch, (pixels[top : top + step] for top in range(0, 61, step)))
    for level in patch_overview.LEVELS:
        assert np.array_equal(made[level], patch_overview.make_overview(patch, pixels, level))
