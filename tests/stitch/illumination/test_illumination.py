"""Light that is estimated from tiles, against the light under which they were cut."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import pytest
import tifffile
import zarr

from girder_zarr.errors import ConflictError
from girder_zarr.stitch.illumination.field_picture import to_png, to_tiff
from girder_zarr.stitch.output.assemble import BlockMaker, assemble_file, make_plan
from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.spec.model import StitchSpec
from support import shaded_scenes as scenes
from support.scenes import Scene
from support.shaded_scenes import CutScene, find, seam

if TYPE_CHECKING:
    from pathlib import Path

    from girder_zarr.stitch.plan import Plan

OVERLAP = 44


def whole(plan: Plan, scene: CutScene) -> np.ndarray:
    block = BlockMaker(plan, scene.load).read(tuple(slice(0, size) for size in plan.shape))
    assert block is not None
    return block


def deviation(plan: Plan, light: np.ndarray) -> float:
    """The standard deviation of estimated over true light; 0.01 is one per cent."""
    field = plan.illumination[0].image()[:, :, 0]
    assert field.shape == light.shape
    assert abs(float(field.mean()) - 1) < 1e-3
    return float(np.std(field / (light / light.mean())))


@pytest.mark.parametrize(
    ('picture', 'count', 'most'),
    [(scenes.fundus, 5, 0.03), (scenes.slide, 4, 0.03), (scenes.beads, 3, 0.005)],
)
def test_no_seam_is_seen_under_estimated_light(picture: Any, count: int, most: float) -> None:
    """With patches one upon the other, nothing but the correction of the light hides their edges."""
    light = scenes.vignette(260 if count == 3 else 220)
    scene = CutScene.cut(picture(), light, OVERLAP, count)
    registration = {'maxShift': 12}
    shaded = scene.plan(registration=registration)
    plan = scene.plan(registration=registration, illumination={})
    assert deviation(plan, light) < most
    field = plan.illumination[0]
    assert (field.tiles, field.channel) == (count * count, 0)
    assert field.pairs >= 2 * count * (count - 1)
    assert field.residual is not None
    assert field.before is not None
    assert field.residual < field.before / 2
    assert seam(whole(plan, scene), plan, OVERLAP) <= 1.05
    assert seam(whole(shaded, scene), shaded, OVERLAP) > 1.3
    assert np.median(scene.errors(plan)) <= 0.1


def test_even_light_stays_even() -> None:
    light = np.ones((220, 220))
    plan = CutScene.cut(scenes.slide(), light, OVERLAP, 4).plan(illumination={})
    assert deviation(plan, light) < 0.03


def test_tiles_that_do_not_overlap_tell_by_their_background() -> None:
    light = scenes.vignette(200)
    scene = CutScene.cut(scenes.beads(1400), light, -20, 5)
    plan = scene.plan(illumination={})
    assert plan.illumination[0].pairs == 0
    assert plan.illumination[0].residual is None
    assert deviation(plan, light) < 0.02


def test_each_channel_and_band_has_its_light_and_given_fields_stay() -> None:
    """Channel 0 has a flat field; channel 1 is estimated, with the dark field subtracted; colours differ."""
    random = np.random.default_rng(2)
    lights = np.stack([scenes.vignette(200, corner) for corner in (0.5, 0.7, 0.9)], axis=2)
    scene, dark = Scene(), np.full((200, 200, 1), 300, np.uint16)
    for c in range(2):
        for at in range(9):
            level = 1000 + random.uniform(0, 1000)
            tile = level * lights + 300 + random.normal(0, 5, lights.shape)
            scene.add(f'{c}-{at}', tile.astype(np.uint16), x=180 * at, frame={'c': c})
    scene.refer('flat', np.ones((200, 200, 1), np.uint16) * 500)
    scene.refer('dark', dark)
    spec = StitchSpec.from_json({'illumination': {}, 'flatField': ['flat'], 'darkField': ['dark', 'dark']})
    plan = make_plan(scene.patches, scene.load, spec, scene.references)
    assert list(plan.illumination) == [1]
    found = plan.illumination[1].image()
    assert found.shape == (200, 200, 3)
    assert np.std(found / (lights / lights.mean(axis=(0, 1))), axis=(0, 1)).max() < 0.01
    block = BlockMaker(plan, scene.load).read((slice(3, 6), slice(0, 200), slice(0, 100)))
    assert block is not None
    # flat where it was level x light
    assert (block.std(axis=(1, 2)) / block.mean(axis=(1, 2))).max() < 0.02
    plain = BlockMaker(plan, scene.load).read((slice(0, 3), slice(0, 200), slice(0, 100)))
    assert plain is not None
    assert plain[0].std() / plain[0].mean() > 0.05


def test_masked_overexposed_and_empty_pixels_do_not_count() -> None:
    random = np.random.default_rng(3)
    light, scene = scenes.vignette(180), Scene()
    for at in range(12):
        tile = (random.uniform(8000, 9000) * light + random.normal(0, 20, light.shape)).astype(np.uint16)
        mask = np.full(light.shape, 65535, np.uint16)
        # bubbles in one corner, dark pixels in another, saturated ones in the middle
        tile[:60, :60], mask[:60, :60] = 40_000, 0
        tile[120:, :50] = 0
        if at % 2:
            tile[60:120, 60:120] = 65535
        scene.add(f'p{at:02}', np.dstack([tile, mask]), x=170 * at, alpha=True)
    plan = make_plan(scene.patches, scene.load, StitchSpec.from_json({'illumination': {}}))
    field = plan.illumination[0].image()[60:, :, 0] / light[60:]
    assert np.std(field[:, 50:]) / field.mean() < 0.02


def test_the_sample_is_bounded_and_the_same_every_time() -> None:
    scene = CutScene.cut(scenes.beads(), scenes.vignette(120), 20, 8)
    read: list[str] = []

    def load(patch: Patch) -> np.ndarray:
        read.append(patch.key)
        return scene.load(patch)

    spec = StitchSpec.from_json({'illumination': {'tiles': 20}})
    plan = make_plan(scene.patches, load, spec)
    assert len(read) == len(set(read)) <= 20
    field = plan.illumination[0]
    assert field.tiles == len(read)
    assert field.pairs >= 8
    again = make_plan(list(reversed(scene.patches)), load, spec)
    assert again.illumination == plan.illumination


def test_patches_of_several_sizes_are_refused_with_their_names() -> None:
    sizes = {'a': (40, 50, 1), 'b': (40, 50, 1), 'odd': (40, 30, 1)}
    patches = [Patch(key, Placement.make(0, 0), shape, 'uint8') for key, shape in sizes.items()]
    with pytest.raises(ConflictError, match=r'50 x 40 as most; found 30 x 40 in odd'):
        make_plan(
            patches, lambda patch: np.ones(patch.shape, np.uint8), StitchSpec.from_json({'illumination': {}})
        )


def test_a_channel_that_shows_nothing_stays_as_it_is() -> None:
    patches = [Patch(key, Placement.make(0, at), (40, 50, 1), 'uint8') for at, key in enumerate('ab')]
    plan = make_plan(
        patches, lambda patch: np.zeros(patch.shape, np.uint8), StitchSpec.from_json({'illumination': {}})
    )
    assert np.allclose(plan.illumination[0].image(), 1)


def test_the_light_is_recorded_beside_the_image(tmp_path: Path) -> None:
    light = scenes.vignette(200)
    scene = CutScene.cut(scenes.beads(), light, OVERLAP, 2)
    plan = scene.plan(illumination={}, chunk=64)
    assemble_file(plan, scene.load, tmp_path / 'a.zarr.zip')
    with zarr.storage.ZipStore(tmp_path / 'a.zarr.zip', mode='r') as store:
        (about,) = find(zarr.open_group(store, mode='r').attrs.asdict(), 'stitch')['illumination']
        content = store._zf.read(about['path'])
    assert about['tiles'] == 4
    recorded = tifffile.imread(io.BytesIO(content))
    assert (recorded.dtype, recorded.shape) == (np.dtype('float32'), (200, 200))
    field = plan.illumination[0]
    assert np.allclose(recorded, field.image()[:, :, 0], rtol=1e-5)
    assert to_tiff(field) == content
    shown = np.asarray(PIL.Image.open(io.BytesIO(to_png(field))))
    assert shown.shape == (200, 200)
    assert np.abs(shown / shown.max() - recorded / recorded.max()).max() < 0.01
