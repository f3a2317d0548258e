"""Positions to a tenth of a pixel, over channels and planes, and what they do to pixels and metadata."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from scipy import ndimage

from girder_zarr.stitch.blend.fractional import shifted
from girder_zarr.stitch.output import plan_document, provenance
from girder_zarr.stitch.output.assemble import BlockMaker, assemble_file, make_plan
from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.spec.model import StitchSpec
from support import shaded_scenes as scenes
from support.shaded_scenes import CutScene, find

if TYPE_CHECKING:
    from pathlib import Path

    from girder_zarr.stitch.plan import Plan


def whole(plan: Plan, scene: CutScene) -> np.ndarray:
    block = BlockMaker(plan, scene.load).read(tuple(slice(0, size) for size in plan.shape))
    assert block is not None
    return block


@pytest.mark.parametrize('picture', [scenes.fundus, scenes.slide, scenes.beads])
@pytest.mark.parametrize('corner', [1.0, 0.6])
def test_positions_are_found_to_a_tenth_of_a_pixel(picture: Any, corner: float) -> None:
    scene = CutScene.cut(picture(), scenes.vignette(200, corner), overlap=40, count=4)
    plan = scene.plan(registration={'maxShift': 12})
    errors = scene.errors(plan)
    assert np.median(errors) <= 0.1
    assert errors.max() < 0.5
    # as they were said to lie, they were off by pixels
    said = scene.said - scene.true
    assert np.median(np.hypot(*(said - np.median(said, axis=0)).T)) > 2


def test_pixels_are_resampled_only_if_the_spec_says_so() -> None:
    """With fractions the image is the picture itself, shifted; without, pixels come out as they were."""
    picture = ndimage.gaussian_filter(np.random.default_rng(4).normal(2000, 3000, (700, 700)), 2) + 500
    scene = CutScene.cut(picture, np.ones((200, 200)), overlap=40, count=3, noise=0)
    off = {}
    for subpixel in (False, True):
        plan = scene.plan(registration={'maxShift': 12, 'subpixel': subpixel})
        found = whole(plan, scene)
        assert plan.registration is not None
        moves = np.array([plan.registration.moves.get(patch.key, (0, 0)) for patch in scene.patches])
        # where the image's first pixel lies in the picture
        start = np.median(scene.true - scene.said - moves, axis=0) + plan.origin
        rows, columns = np.mgrid[0 : plan.size[0], 0 : plan.size[1]]
        true = ndimage.map_coordinates(
            picture, [rows + start[0], columns + start[1]], order=5, mode='reflect'
        )
        inner = slice(20, -20), slice(20, -20)
        off[subpixel] = float(np.abs(found[inner] - true[inner]).mean())
        if not subpixel:
            last = plan.patches[-1]
            y, x = last.placement.y - plan.origin[0], last.placement.x - plan.origin[1]
            assert np.array_equal(found[y : y + 200, x : x + 200], scene.tiles[-1])
    assert off[True] < 0.15 * off[False]


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'int32', 'float32', 'float64'])
@pytest.mark.parametrize('bands', [1, 3, 5])
def test_a_shift_by_a_fraction_is_that_of_fourier(dtype: str, bands: int) -> None:
    smooth = ndimage.gaussian_filter(
        np.random.default_rng(1).normal(0, 60, (96, 80, bands)), (3, 3, 0), mode='wrap'
    )
    pixels = (100 + 4 * smooth).astype(dtype)
    found, mask = shifted(pixels, None, (0.3, -0.45))
    expected = ndimage.fourier_shift(np.fft.fftn(pixels, axes=(0, 1)), (0.3, -0.45, 0))
    expected = np.fft.ifftn(expected, axes=(0, 1)).real
    assert (found.dtype, found.shape, mask) == (pixels.dtype, pixels.shape, None)
    assert np.abs(found - expected)[12:-12, 12:-12].max() < 2


def test_what_a_mask_leaves_out_comes_into_no_pixel() -> None:
    pixels = np.full((40, 40, 1), 100, np.uint16)
    mask = np.ones((40, 40), np.float32)
    pixels[10:20, 10:20], mask[10:20, 10:20] = 60_000, 0
    found, moved = shifted(pixels, mask, (0.25, -0.5))
    assert moved is not None
    assert (found[moved > 0] == 100).all()
    assert 1600 - (moved > 0).sum() == 11 * 11
    floats = np.full((40, 40, 1), 7.0)
    floats[5, 5] = np.nan
    found, _ = shifted(floats, None, (0.5, 0.0))
    assert np.isnan(found).sum() == 2
    assert (found[~np.isnan(found)] == 7).all()


def test_channels_and_planes_decide_together() -> None:
    """Two channels of noise and one whose planes are faint: none is enough by itself."""
    random = np.random.default_rng(5)
    pixels: dict[str, np.ndarray] = {}
    patches = []
    structures = [ndimage.gaussian_filter(random.normal(0, 60, (200, 400)), 1.5) for _ in range(3)]
    for at, (said_x, true_x) in enumerate([(0, 0), (120, 126)]):
        for c in range(3):
            for z in range(3):
                key = f'{at}-{c}-{z}'
                shown = structures[z][20:180, true_x : true_x + 180] if c == 2 else 0
                tile = 500 + shown + random.normal(0, 10, (160, 180))
                pixels[key] = tile.round().astype(np.uint16)[:, :, np.newaxis]
                place = Placement.make(said_x, 0, {'c': c, 'z': z})
                patches.append(Patch(key, place, (160, 180, 1), 'uint16'))
    spec = {'maxShift': 16, 'planes': 9, 'minCorrelation': 0.2}
    plan = make_plan(patches, lambda patch: pixels[patch.key], StitchSpec.from_json({'registration': spec}))
    assert plan.registration is not None
    (pair,) = plan.registration.pairs
    assert pair.planes == 9
    assert np.abs(np.subtract(pair.shift, (0, 6))).max() < 0.2
    assert {patch.placement.x for patch in plan.patches} == {0, 126}


def test_what_was_done_is_written_beside_the_image(tmp_path: Path) -> None:
    scene = CutScene.cut(scenes.beads(), np.ones((200, 200)), overlap=40, count=2)
    for subpixel in (False, True):
        plan = scene.plan(registration={'maxShift': 12, 'subpixel': subpixel}, chunk=64)
        target = tmp_path / f'{subpixel}.zarr.zip'
        assemble_file(plan, scene.load, target)
        with zarr.storage.ZipStore(target, mode='r') as store:
            stitch = find(zarr.open_group(store, mode='r').attrs.asdict(), 'stitch')
        about = stitch['registration']
        assert about['subpixel'] is subpixel
        assert about['pairsUsed'] == sum(pair['residual'] is not None for pair in stitch['pairs']) >= 4
        assert about['residualMedian'] <= about['residualMax']
        assert about['correctionMedian'] <= about['correctionMax']
        assert plan.registration is not None
        assert about['moved'] == len(plan.registration.moves)
        for patch in stitch['patches']:
            y, x = plan.registration.moves.get(patch['key'], (0, 0))
            exact = patch.get('correction' if subpixel else 'measured', {'x': 0, 'y': 0})
            assert exact == {'x': x, 'y': y}
            given = scene.said[int(patch['key'][1:])]
            assert (patch['position']['y'], patch['position']['x']) == tuple(given)
        for pair in stitch['pairs']:
            assert pair['planes'] == 1
            assert pair['area'] > 16


def test_another_worker_makes_the_same_plan_of_the_document() -> None:
    scene = CutScene.cut(scenes.beads(), scenes.vignette(200), overlap=40, count=2)
    plan = scene.plan(registration={'maxShift': 12, 'subpixel': True}, illumination={})
    content = plan_document.dump(plan)
    assert content is not None
    again = plan_document.build_plan(scene.patches, plan.spec, (), content)
    assert json.dumps(provenance.describe(again)) == json.dumps(provenance.describe(plan))
    assert np.array_equal(whole(again, scene), whole(plan, scene))
    assert plan_document.dump(scene.plan()) is None
