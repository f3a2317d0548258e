"""Positions corrected from what the patches show, against mosaics whose true positions are known."""

from __future__ import annotations

import csv
import itertools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import skimage.data
import skimage.io
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from girder_zarr.errors import CancelledError, InvalidInputError
from girder_zarr.stitch.output.assemble import BlockMaker, make_plan
from girder_zarr.stitch.output.provenance import describe
from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.registration.global_fit import solve
from girder_zarr.stitch.spec.model import StitchSpec

if TYPE_CHECKING:
    from girder_zarr.stitch.plan import Plan

DATA = Path(os.environ.get('GIRDER_ZARR_TEST_DATA', Path(__file__).parents[4] / 'shared' / 'data'))
MOSAIC = DATA / 'mosaic'

Truth = dict[str, tuple[int, int]]


def cut(
    picture: np.ndarray, side: int, overlap: int, count: int, jitter: int, **spec: Any
) -> tuple[Plan, Truth, Any]:
    """Cut tiles from a picture, up to ``jitter`` pixels beside where they are said to lie; add noise."""
    random = np.random.default_rng(3)
    truth: Truth = {}
    pixels, patches = {}, []
    for row, column in np.ndindex(count, count):
        key = f'r{row}c{column}'
        y, x = (at * (side - overlap) + jitter for at in (row, column))
        top, left = (at + int(random.integers(-jitter, jitter + 1)) for at in (y, x))
        tile = picture[top : top + side, left : left + side].astype(int)
        pixels[key] = np.clip(tile + random.normal(0, 3, tile.shape).round().astype(int), 0, 255).astype('u1')
        truth[key] = top, left
        patches.append(Patch(key, Placement.make(x, y), (side, side, tile.shape[2]), 'uint8'))
    document = {'overlap': 'feather', 'registration': {'maxShift': 2 * jitter, **spec}}
    load = lambda patch: pixels[patch.key]  # noqa: E731 - a store of pixels
    return make_plan(patches, load, StitchSpec.from_json(document)), truth, load


def errors_of(plan: Plan, truth: Truth) -> np.ndarray:
    """How far patches lie from the truth, beside the shift of the mosaic as a whole."""
    off = np.array([np.subtract((p.placement.y, p.placement.x), truth[p.key]) for p in plan.patches])
    return np.asarray(np.abs(off - np.median(off, axis=0)))


@pytest.mark.parametrize(('side', 'overlap', 'count', 'jitter'), [(256, 40, 6, 9), (300, 60, 4, 14)])
def test_the_jitter_of_a_real_picture_is_found_within_a_pixel(
    side: int, overlap: int, count: int, jitter: int
) -> None:
    picture = skimage.io.imread(os.path.join(skimage.data.data_dir, 'retina.jpg'))  # noqa: PTH118
    plan, truth, load = cut(picture, side, overlap, count, jitter)
    assert errors_of(plan, truth).max() <= 1
    assert plan.registration is not None
    about = plan.registration.summary()
    assert about['pairsUsed'] >= 2 * count * (count - 1)
    assert about['residualRms'] < 0.5
    height, width = plan.size
    found = BlockMaker(plan, load).read((slice(0, 3), slice(0, height), slice(0, width)))
    assert found is not None
    first = min(plan.patches, key=lambda patch: patch.key)
    dy, dx = np.subtract(truth[first.key], (first.placement.y, first.placement.x)) + plan.origin
    true = picture[dy + 50 : dy + height - 50, dx + 50 : dx + width - 50].astype(int)
    assert np.abs(np.moveaxis(found, 0, -1)[50 : height - 50, 50 : width - 50] - true).mean() < 3


def seams(left: np.ndarray, right: np.ndarray, x: int) -> float:
    """The mean step between columns x - 1 and x, beside that between columns around it."""
    both = np.concatenate([left, right], axis=1).astype(float)
    steps = np.abs(np.diff(both, axis=1)).mean(axis=0)
    around = np.r_[steps[x - 12 : x - 2], steps[x + 1 : x + 11]]
    return float(steps[x - 1] / around.mean())


@pytest.mark.skipif(not MOSAIC.is_dir(), reason=f'{MOSAIC} is missing (see GIRDER_ZARR_TEST_DATA)')
def test_no_seam_is_seen_in_a_real_mosaic() -> None:
    with (MOSAIC / 'positions.csv').open(encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    pixels = {row['file']: tifffile.imread(MOSAIC / row['file'])[:, :, np.newaxis] for row in rows}
    patches = [
        Patch(row['file'], Placement.make(int(row['x']), int(row['y'])), pixels[row['file']].shape, 'uint16')
        for row in rows
    ]

    def image(**spec: Any) -> tuple[Plan, np.ndarray]:
        plan = make_plan(patches, lambda patch: pixels[patch.key], StitchSpec.from_json(spec))
        block = BlockMaker(plan, lambda patch: pixels[patch.key]).read(tuple(slice(0, n) for n in plan.shape))
        assert block is not None
        return plan, block

    plan, feathered = image(overlap='feather', registration={})
    _, plain = image(overlap='last')
    assert plan.registration is not None
    (pair,) = plan.registration.pairs
    # what another implementation of the correlation finds, to the pixel
    assert np.abs(np.subtract(pair.shift, independent_shift(pixels, patches))).max() <= 1
    assert pair.correlation > 0.9
    assert pair.residual is not None
    assert np.hypot(*pair.residual) <= 0.75
    assert describe(plan)['registration']['residualMax'] <= 0.75
    # the edges of the overlap: where the second tile begins, and where the first one ends
    corner = plan.patches[1].placement
    begin, end = corner.x - plan.origin[1], patches[0].shape[1] - plan.origin[1]
    rows_ = slice(20, 600)
    for x in (begin, end):
        assert seams(feathered[rows_, x - 40 : x], feathered[rows_, x : x + 40], 40) < 1.1
    assert seams(plain[rows_, 832 - 40 : 832], plain[rows_, 832 : 832 + 40], 40) > 2


def independent_shift(pixels: dict[str, np.ndarray], patches: list[Patch]) -> tuple[int, int]:
    """Every shift up to 12 pixels, by the correlation of gradients."""
    one, two = (np.gradient(pixels[p.key][:, :, 0].astype(float))[1] for p in patches)
    left = patches[1].placement.x
    best, where = -1.0, (0, 0)
    for y in range(-12, 13):
        for x in range(-12, 13):
            a = one[20:600, left + 14 : 910]
            b = two[20 - y : 600 - y, 14 - x : 910 - left - x]
            found = float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
            if found > best:
                best, where = found, (y, x)
    return where


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), wrong=st.integers(0, 4))
def test_the_solution_is_that_of_least_squares_without_the_pairs_that_lie(seed: int, wrong: int) -> None:
    """Against numpy's lstsq on a grid of 5 x 5 with the first patch held; the true moves are recovered."""
    random = np.random.default_rng(seed)
    places = [(100 * row, 100 * column) for row in range(5) for column in range(5)]
    steps = ((0, 1), (1, 0), (1, 1), (1, -1))
    grid = np.arange(25).reshape(5, 5)
    links = [
        (int(grid[y, x]), int(grid[y + dy, x + dx]))
        for (y, x), (dy, dx) in itertools.product(np.ndindex(5, 5), steps)
        if y + dy < 5 and 0 <= x + dx < 5
    ]
    moves = random.uniform(-10, 10, (25, 2))
    moves -= moves[0]
    first, second = np.array(links).T
    shifts = moves[second] - moves[first] + random.normal(0, 0.05, (len(links), 2))
    # a patch of a corner has too few neighbours to know who lies
    inner = [at for at, link in enumerate(links) if not {0, 4, 20, 24} & set(link)]
    liars = random.choice(inner, wrong, replace=False)
    shifts[liars] += random.choice([-1, 1], (wrong, 2)) * random.uniform(15, 30, (wrong, 2))
    found, used = solve(places, links, shifts, np.ones(len(links)))
    assert not used[liars].any()
    matrix = np.zeros((len(links), 25))
    matrix[np.arange(len(links)), second] = 1
    matrix[np.arange(len(links)), first] = -1
    expected = np.linalg.lstsq(matrix[used][:, 1:], shifts[used], rcond=None)[0]
    if np.linalg.matrix_rank(matrix[used][:, 1:]) == 24:
        assert np.abs(found[1:] - expected).max() < 0.05
        assert np.abs(found - moves).max() < 0.5


def test_parts_that_nothing_connects_stay_where_they_are() -> None:
    places = [(0, 0), (0, 90), (5000, 5000), (5000, 5090), (9000, 0)]
    found, _ = solve(places, [(0, 1), (2, 3)], np.array([[1.0, 2.0], [-3.0, 0.0]]), np.ones(2))
    assert np.allclose(found, [[0, 0], [1, 2], [0, 0], [-3, 0], [0, 0]], atol=1e-2)


def test_channels_and_planes_of_a_place_move_together() -> None:
    random = np.random.default_rng(8)
    picture = random.integers(0, 255, (200, 400)).astype(np.uint8)
    pixels, patches = {}, []
    for at, (said_x, true_x) in enumerate([(0, 0), (120, 125)]):
        for c in range(2):
            for z in range(3):
                key = f'{at}-{c}-{z}'
                tile = picture[30:190, true_x : true_x + 180]
                # only one channel shows anything
                pixels[key] = (tile if c == 1 else np.zeros_like(tile))[:, :, np.newaxis]
                place = Placement.make(said_x, 0, {'c': c, 'z': z})
                patches.append(Patch(key, place, (160, 180, 1), 'uint8'))

    def load(patch: Patch) -> np.ndarray:
        return pixels[patch.key]

    plan = make_plan(patches, load, StitchSpec.from_json({'registration': {'channel': 1}}))
    assert {patch.placement.x for patch in plan.patches} == {0, 125}
    assert plan.extent.x == (0, 305)
    blind = make_plan(patches, load, StitchSpec.from_json({'registration': {'channel': 0}}))
    assert {patch.placement.x for patch in blind.patches} == {0, 120}
    assert blind.registration is not None
    assert blind.registration.summary()['pairsUsed'] == 0


def test_noise_moves_nothing() -> None:
    random = np.random.default_rng(2)
    pixels = {f'p{at}': random.integers(0, 255, (128, 128, 1)).astype(np.uint8) for at in range(4)}
    patches = [
        Patch(key, Placement.make(100 * at, 0), (128, 128, 1), 'uint8') for at, key in enumerate(pixels)
    ]
    plan = make_plan(patches, lambda patch: pixels[patch.key], StitchSpec.from_json({'registration': {}}))
    assert plan.registration is not None
    assert not plan.registration.moves
    assert [patch.placement.x for patch in plan.patches] == [0, 100, 200, 300]


def test_the_work_is_bounded_and_can_be_stopped() -> None:
    random = np.random.default_rng(2)
    same = random.integers(0, 255, (64, 64, 1)).astype(np.uint8)
    frames = [Placement.make(0, 0, {'t': at % 2}) for at in range(60)]
    patches = [Patch(f'p{at:03}', place, (64, 64, 1), 'uint8') for at, place in enumerate(frames)]
    # patches of one position are one site: they move together
    plan = make_plan(patches, lambda _: same, StitchSpec.from_json({'registration': {}}))
    assert plan.registration is not None
    assert not plan.registration.pairs
    near = [Patch(f'p{at:03}', Placement.make(at, 0), (64, 64, 1), 'uint8') for at in range(60)]
    spec = StitchSpec.from_json({'registration': {'maxPairs': 25}})
    asked: list[int] = []
    plan = make_plan(near, lambda _: same, spec, check=lambda: asked.append(1))
    assert len(asked) == 25

    def stop() -> None:
        raise CancelledError('enough')

    with pytest.raises(CancelledError):
        make_plan(near, lambda _: same, spec, check=stop)


def test_without_scikit_image_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'skimage.registration', None)
    patches = [Patch('a', Placement.make(0, 0), (8, 8, 1), 'uint8')]
    with pytest.raises(InvalidInputError, match=r'girder-zarr\[registration\]'):
        make_plan(patches, lambda _: np.zeros((8, 8, 1)), StitchSpec.from_json({'registration': {}}))
