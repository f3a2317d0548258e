"""Whole images from patches, read back with zarr and compared with what numpy makes of the same patches."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from scipy import ndimage

from girder_zarr.errors import ConflictError, LimitExceededError, UnsupportedFormatError
from girder_zarr.image.hierarchy.opening import open_hierarchy
from girder_zarr.image.store.stores import open_store
from girder_zarr.stitch.blend import block_maker as blocks
from girder_zarr.stitch.output import provenance
from girder_zarr.stitch.output.assemble import assemble_file, make_plan
from girder_zarr.stitch.spec.model import StitchSpec
from support.scenes import RANDOM, Scene, noise

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'float32'])
@pytest.mark.parametrize('bands', [1, 3])
def test_feathering_of_a_whole_image(tmp_path: Path, dtype: str, bands: int) -> None:
    """Against a sum over whole images with scipy's distances."""
    scene, total, norm = Scene(), np.zeros((300, 400, bands)), np.zeros((300, 400, 1))
    for index, (y, x) in enumerate([(0, 0), (0, 180), (130, 30), (140, 200)]):
        pixels = noise(160, 200, bands, dtype=dtype)
        weight = 1.0 + index
        scene.add(f'p{index}', pixels, x, y, weight=weight)
        inside = np.pad(np.ones((160, 200), bool), 1)
        reach = ndimage.distance_transform_cdt(inside, 'chessboard')[1:-1, 1:-1] - 0.5
        total[y : y + 160, x : x + 200] += pixels * (reach * weight)[:, :, np.newaxis]
        norm[y : y + 160, x : x + 200] += (reach * weight)[:, :, np.newaxis]
    expected = np.divide(total, norm, out=np.full_like(total, 7), where=norm > 0)
    found = scene.write(tmp_path / 'a.zarr.zip', overlap='feather', chunk=64, background=7)[:]
    found = found.reshape(bands, 300, 400).transpose(1, 2, 0)
    if dtype == 'float32':
        assert np.allclose(found, expected, rtol=1e-6)
    else:
        assert np.abs(found - expected).max() <= 0.501


@pytest.mark.parametrize('overlap', ['last', 'first', 'max', 'min', 'mean'])
def test_masks_by_alpha_and_by_key(tmp_path: Path, overlap: str) -> None:
    scene = Scene()
    pixels = [noise(90, 80, 3) for _ in range(3)]
    masks = [(noise(90, 80) > 100) * np.uint8(255) for _ in range(2)]
    scene.add('a', np.dstack([pixels[0], masks[0]]), 0, 0, alpha=True)
    scene.add('b', pixels[1], 20, 10, mask_key='ring')
    scene.add('c', pixels[2], 40, 5)
    scene.refer('ring', masks[1])
    stack = np.full((3, 100, 120, 3), np.nan)
    for index, (y, x) in enumerate([(0, 0), (10, 20), (5, 40)]):
        place = stack[index, y : y + 90, x : x + 80]
        place[...] = pixels[index]
        if index < 2:
            place[masks[index] == 0] = np.nan
    some = ~np.isnan(stack).all(axis=0)
    filled = np.where(np.isnan(stack), 0, stack)
    order = range(3) if overlap == 'last' else range(2, -1, -1)
    expected = np.zeros((100, 120, 3))
    if overlap in {'last', 'first'}:
        for index in order:
            known = ~np.isnan(stack[index])
            expected[known] = stack[index][known]
    elif overlap == 'mean':
        count = (~np.isnan(stack)).sum(axis=0)
        expected = np.floor(filled.sum(axis=0) / np.maximum(count, 1) + 0.5)
    else:
        worst = -np.inf if overlap == 'max' else np.inf
        best = getattr(np, overlap)(np.where(np.isnan(stack), worst, stack), axis=0)
        expected[some] = best[some]
    found = scene.write(tmp_path / 'a.ozx', output='ozx', overlap=overlap, chunk=64)[:]
    assert np.array_equal(found.transpose(1, 2, 0), expected)


def test_a_later_arrival_counts_where_it_is_asked_for(tmp_path: Path) -> None:
    scene = Scene()
    for key, value, arrival, order in (('a', 10, 3, 0), ('b', 20, 1, 0), ('c', 30, 2, -1)):
        scene.add(key, np.full((8, 8), value, np.uint8), arrival=arrival, order=order)
    by_key = scene.write(tmp_path / 'a.zip')
    by_arrival = scene.write(tmp_path / 'b.zip', overlapBy='arrival')
    first = scene.write(tmp_path / 'c.zip', overlapBy='arrival', overlap='first')
    assert [int(found[0, 0]) for found in (by_key, by_arrival, first)] == [20, 10, 30]


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'float32', 'int32'])
def test_flat_and_dark_fields_of_a_channel(tmp_path: Path, dtype: str) -> None:
    scene = Scene()
    raw = {c: noise(40, 60, dtype='uint8').astype(dtype) for c in range(3)}
    flat = RANDOM.uniform(0.3, 1.5, (40, 60)).astype(np.float32)
    flat[3, 4] = 0.0
    dark = RANDOM.integers(0, 20, (40, 60)).astype(np.uint16)
    for c, pixels in raw.items():
        scene.add(f'c{c}', pixels, frame={'c': c})
    scene.refer('flat', (flat * 100 + dark).astype(np.float32))
    scene.refer('dark', dark)
    scene.pixels['flat'][3, 4] = 0
    found = scene.write(
        tmp_path / 'a.zip', flatField=['flat', None, 'flat'], darkField=['dark', 'dark'], chunk=64
    )[:]
    light = scene.pixels['flat'][:, :, 0].astype(np.float64)
    for c, pixels in raw.items():
        value = pixels.astype(np.float64)
        shade = np.zeros((40, 60)) if c == 2 else dark.astype(np.float64)
        value -= shade
        if c != 1:
            alive = light - shade > 0
            mean = (light - shade)[alive].mean()
            value[alive] *= mean / (light - shade)[alive]
        if dtype == 'float32':
            assert np.allclose(found[c], value, rtol=1e-5, atol=1e-4)
        else:
            limits = np.iinfo(dtype)
            assert np.abs(found[c] - np.clip(value, limits.min, limits.max)).max() <= 0.51


def test_references_that_do_not_fit_are_named() -> None:
    def plan(scene: Scene, **spec: Any) -> None:
        make_plan(scene.patches, scene.load, StitchSpec.from_json(spec), scene.references)

    scene = Scene()
    scene.add('a', noise(10, 10), mask_key='m')
    with pytest.raises(ConflictError, match='no reference image m'):
        plan(scene)
    scene.refer('m', noise(10, 9))
    with pytest.raises(ConflictError, match='10 x 10 pixels; its mask m has 9 x 10'):
        plan(scene)
    scene.references.clear()
    scene.refer('m', noise(10, 10, 3))
    with pytest.raises(ConflictError, match='m has 3 bands; expected 1'):
        plan(scene)
    scene = Scene()
    scene.add('a', noise(10, 10))
    with pytest.raises(ConflictError, match='no reference image gain'):
        plan(scene, flatField=['gain'])
    scene.refer('gain', noise(20, 20))
    spec = StitchSpec.from_json({'flatField': ['gain']})
    maker = blocks.BlockMaker(make_plan(scene.patches, scene.load, spec, scene.references), scene.load)
    with pytest.raises(ConflictError, match='gain has 20 x 20'):
        maker.read((slice(0, 10), slice(0, 10)))


def test_axes_of_other_names(tmp_path: Path) -> None:
    scene, expected = Scene(), np.zeros((2, 3, 2, 4, 20, 30), np.uint8)
    for where in np.ndindex(2, 3, 2, 4):
        expected[where] = noise(20, 30)
        frame = dict(zip(('t', 'angle', 'c', 'z'), where, strict=True))
        scene.add('-'.join(map(str, where)), expected[where], frame=frame)
    found = scene.write(tmp_path / 'a.zip')
    assert np.array_equal(found[:], expected)
    assert found.metadata.dimension_names == ('t', 'angle', 'c', 'z', 'y', 'x')
    axes = open_hierarchy(open_store(tmp_path / 'a.zip')).series[0].multiscale.axes
    assert [axis.type for axis in axes][:3] == ['time', 'custom', 'channel']


@pytest.mark.parametrize('version', ['0.4', '0.5', '0.6'])
def test_crop_codec_and_resampling_are_as_asked(tmp_path: Path, version: str) -> None:
    scene, picture = Scene(), noise(300, 420, 3)
    for y in (0, 150):
        for x in (0, 140, 280):
            scene.add(f'{y}-{x}', picture[y : y + 150, x : x + 140], x - 50, y - 20)
    spec: dict[str, Any] = {
        'crop': {'x': -40, 'y': 10, 'width': 333, 'height': 201},
        'codec': {'name': 'zstd', 'level': 3},
        'resample': 'nearest',
        'chunk': 64,
        'ngffVersion': version,
    }
    found = scene.write(tmp_path / 'a.zip', **spec)
    assert np.array_equal(found[:].transpose(1, 2, 0), picture[30:231, 10:343])
    half = zarr.open_array(zarr.storage.ZipStore(tmp_path / 'a.zip', mode='r'), path='1', mode='r')
    assert np.array_equal(half[:], found[:][:, ::2, ::2])
    metadata: Any = found.metadata
    last = metadata.compressor.codec_id if version == '0.4' else metadata.codecs[-1].to_dict()['name']
    assert last == 'zstd'
    series = open_hierarchy(open_store(tmp_path / 'a.zip')).series[0]
    assert series.multiscale.version == version


def test_shards_are_made_in_squares_and_hold_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks.BlockMaker, 'MAX_SQUARE', 100)
    scene = Scene()
    for index in range(6):
        scene.add(f'p{index}', noise(200, 210), 90 * index, 60 * (index % 3))
    plain = scene.write(tmp_path / 'a.zip', overlap='feather', chunk=64)
    sharded = scene.write(tmp_path / 'b.zip', overlap='feather', chunk=64, shard=256)
    assert sharded.shards == (256, 256)
    assert np.array_equal(plain[:], sharded[:])
    with pytest.raises(LimitExceededError, match=r'spec\.shard'):
        scene.write(tmp_path / 'c.zip', shard=16384)


def test_patches_that_do_not_fit_into_memory_together_come_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for together in (2**26, 1):
        monkeypatch.setattr(blocks.BlockMaker, 'MAX_TOGETHER_BYTES', together)
        for overlap in ('mean', 'feather', 'max', 'last', 'first'):
            scene = Scene()
            random = np.random.default_rng(1)
            for index in range(9):
                pixels = random.integers(0, 255, (70, 70, 3)).astype(np.uint8)
                scene.add(f'p{index}', pixels, 9 * index, 5 * index)
            results.append(scene.write(tmp_path / f'{together}{overlap}.zip', overlap=overlap, chunk=64)[:])
    for together_, alone in zip(results[:5], results[5:], strict=True):
        assert np.array_equal(together_, alone)


def test_a_patch_is_decoded_once(tmp_path: Path) -> None:
    scene = Scene()
    for y in range(6):
        for x in range(6):
            scene.add(f'{y}{x}', noise(100, 100), 90 * x, 90 * y)
    plan = make_plan(scene.patches, scene.load, StitchSpec.from_json({'overlap': 'feather', 'chunk': 64}))
    assemble_file(plan, scene.load, tmp_path / 'a.zip', threads=2)
    assert scene.loads == 36


def test_what_is_hidden_altogether_is_not_even_decoded() -> None:
    scene = Scene()
    for index in range(5):
        scene.add(f'p{index}', noise(64, 64))
    for overlap, expected in (('last', 'p4'), ('first', 'p0')):
        scene.loads = 0
        plan = make_plan(scene.patches, scene.load, StitchSpec.from_json({'overlap': overlap}))
        block = blocks.BlockMaker(plan, scene.load).read((slice(0, 64), slice(0, 64)))
        assert block is not None
        assert np.array_equal(block, scene.pixels[expected][:, :, 0])
        assert scene.loads == 1


def test_a_patch_that_is_not_what_was_announced_is_named() -> None:
    scene = Scene()
    scene.add('liar', noise(10, 10))
    scene.pixels['liar'] = noise(10, 11, 1)
    plan = make_plan(scene.patches, scene.load, StitchSpec())
    with pytest.raises(UnsupportedFormatError, match='Patch liar should hold'):
        blocks.BlockMaker(plan, scene.load).read((slice(0, 10), slice(0, 10)))


def test_the_result_says_what_it_was_made_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    for index in range(5):
        options = {'weight': 2.0, 'digest': f'sha-256=:{index}:', 'order': index}
        scene.add(f'p{index}', noise(30, 30), 20 * index - 7, 3, **options)
    scene.write(tmp_path / 'a.zip', overlap='feather')
    about = open_hierarchy(open_store(tmp_path / 'a.zip')).series[0].multiscale.extra['stitch']
    assert about['software']['name'] == 'girder-zarr'
    assert about['origin'] == {'x': -7, 'y': 3}
    assert about['patches'][1] == {
        'key': 'p1', 'digest': 'sha-256=:1:', 'position': {'x': 13, 'y': 3}, 'order': 1, 'weight': 2.0,
    }  # fmt: skip
    monkeypatch.setattr(provenance, 'MAX_INLINE', 3)
    scene.write(tmp_path / 'b.zip', overlap='feather')
    short = open_hierarchy(open_store(tmp_path / 'b.zip')).series[0].multiscale.extra['stitch']
    assert short['document'] == 'girder_zarr/stitch.json'
    assert 'patches' not in short
    group = zarr.open_group(zarr.storage.ZipStore(tmp_path / 'b.zip', mode='r'), mode='r')
    assert isinstance(group['0'], zarr.Array)
    with zipfile.ZipFile(tmp_path / 'b.zip') as archive:
        assert json.loads(archive.read(short['document']))['patches'] == about['patches']
