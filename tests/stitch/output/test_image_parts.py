"""Images made in parts: byte for byte what is made at once, whoever makes which part in whichever order."""

from __future__ import annotations

import threading
import zipfile
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from girder_zarr.stitch.output import assemble
from girder_zarr.stitch.output.assemble import assemble_file, make_plan, values_of
from girder_zarr.stitch.output.image_parts import ImagePart, PartMaker, cut, merge_file
from girder_zarr.stitch.output.verify import verify_file
from girder_zarr.stitch.spec.model import StitchSpec
from support.scenes import Scene, noise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from girder_zarr.stitch.patch import Patch
    from girder_zarr.stitch.plan import Plan


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def opened(paths: Iterable[Path]) -> Iterator[IO[bytes]]:
    for path in paths:
        with path.open('rb') as stream:
            yield stream


def write_in_parts(plan: Plan, scene: Scene, folder: Path, values: int, *, order: int = 1) -> Path:
    """Make the parts in another order than they are put together in; return the file."""
    parts: list[ImagePart] = cut(plan, values)
    told: list[int] = []
    paths = {}
    for part in parts[::order]:
        maker = PartMaker(plan, scene.load, values)
        paths[part.first] = folder / f'part{part.first}.zip'
        before = sum(told)
        maker.write(part, paths[part.first], progress=told.append, threads=2)
        assert sum(told) - before == part.values
    target = folder / 'parts.zarr.zip'
    merge_file(plan, opened(paths[part.first] for part in parts), target, values, name='scene', threads=2)
    for path in paths.values():
        path.unlink()
    assert sorted(path.name for path in folder.iterdir()) == [target.name]
    return target


def compare(scene: Scene, folder: Path, values: int, **spec: Any) -> tuple[Path, Plan]:
    plan = make_plan(scene.patches, scene.load, StitchSpec.from_json(spec), scene.references)
    (folder / 'a').mkdir()
    (folder / 'b').mkdir()
    whole = folder / 'a' / 'whole.zarr.zip'
    assemble_file(plan, scene.load, whole, name='scene')
    made = write_in_parts(plan, scene, folder / 'b', values, order=-1)
    assert contents(made) == contents(whole)
    verify_file(plan, scene.load, made)
    return made, plan


def mosaic(bands: int = 3, dtype: str = 'uint8', **frame: int) -> Scene:
    scene = Scene()
    for row in range(3):
        for column in range(4):
            key, place = f'{row}-{column}', {axis: at for axis, at in frame.items() if at}
            pixels = noise(170, 170, bands, dtype=dtype)
            scene.add(key, pixels, column * 150, row * 150, frame=place or None)
    return scene


@pytest.mark.parametrize('values', [1, 64 * 64 * 3 * 4, 2**16, 2**19, 2**40])
@pytest.mark.parametrize('resample', ['area', 'PIL_LANCZOS'])
def test_parts_of_every_size_make_the_same_file(tmp_path: Path, values: int, resample: str) -> None:
    compare(mosaic(), tmp_path, values, chunk=64, overlap='mean', resample=resample)


@pytest.mark.parametrize(
    'spec',
    [
        {'shard': 128},
        {'ngffVersion': '0.4'},
        {'background': 7},
        {'codec': {'name': 'zstd', 'level': 3}},
    ],
    ids=str,
)
def test_parts_of_every_kind_of_file(tmp_path: Path, spec: dict[str, Any]) -> None:
    compare(mosaic(1, 'uint16'), tmp_path, 2**15, chunk=64, **spec)


def test_the_pixels_are_those_of_the_patches(tmp_path: Path) -> None:
    scene = Scene()
    for index in range(6):
        scene.add(str(index), noise(100, 90), (index % 3) * 90, index // 3 * 100)
    made, _ = compare(scene, tmp_path, 2**13, chunk=64)
    expected = np.block(
        [[scene.pixels[str(row * 3 + column)][:, :, 0] for column in range(3)] for row in range(2)]
    )
    with zarr.storage.ZipStore(made, mode='r') as store:
        levels = [zarr.open_array(store, path=str(level), mode='r') for level in range(4)]
        assert np.array_equal(levels[0][:], expected)
        half = expected[:200, :270].astype(float).reshape(100, 2, 135, 2).mean((1, 3))
        assert np.abs(np.asarray(levels[1][:], float) - half).max() <= 0.5


def test_frames_are_shared_out_too(tmp_path: Path) -> None:
    scene = Scene()
    for time in range(5):
        for depth in range(3):
            scene.add(f'{time}-{depth}', noise(100, 130), frame={'t': time, 'z': depth})
    _, plan = compare(scene, tmp_path, 2**15, chunk=64)
    assert len(cut(plan, 2**15)) == 15
    assert sum(part.values for part in cut(plan, 2**15)) == values_of(plan)


def test_what_no_patch_touches_is_nobodys_part(tmp_path: Path) -> None:
    scene = Scene()
    scene.add('near', noise(64, 64))
    scene.add('far', noise(64, 64), 100_000, 70_000)
    _, plan = compare(scene, tmp_path, 2**24, chunk=64)
    assert len(cut(plan, 2**24)) == 2


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    places=st.lists(st.tuples(st.integers(-300, 700), st.integers(-300, 700)), min_size=1, max_size=6),
    values=st.integers(1, 2**18),
    bands=st.sampled_from([1, 3]),
)
def test_wherever_patches_lie(
    tmp_path_factory: pytest.TempPathFactory, places: list[tuple[int, int]], values: int, bands: int
) -> None:
    scene = Scene()
    for index, (x, y) in enumerate(places):
        scene.add(str(index), noise(70, 90, bands), x, y)
    compare(scene, tmp_path_factory.mktemp('parts'), values, chunk=64)


def test_a_part_that_was_damaged_is_noticed(tmp_path: Path) -> None:
    scene = mosaic(1)
    plan = make_plan(scene.patches, scene.load, StitchSpec.from_json({'chunk': 64}))
    (part,) = cut(plan, 2**40)
    path = tmp_path / 'part.zip'
    PartMaker(plan, scene.load, 2**40).write(part, path)
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(data)
    with pytest.raises(zipfile.BadZipFile), path.open('rb') as stream:
        merge_file(plan, [stream], tmp_path / 'image.zarr.zip', 2**40)
    assert not (tmp_path / 'image.zarr.zip').exists()


@pytest.mark.parametrize('is_part', [False, True])
def test_a_patch_that_is_late_keeps_no_processor_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_part: bool
) -> None:
    """With one processor, another patch is read while the first has not come."""
    monkeypatch.setattr(assemble, 'processors', lambda: 1)
    scene, others, lock = Scene(), threading.Event(), threading.Lock()
    for at in range(4):
        scene.add(f'p{at}', noise(64, 64), 64 * at, 0)
    asked: list[str] = []

    def load(patch: Patch) -> np.ndarray:
        with lock:
            asked.append(patch.key)
            is_first = len(asked) == 1
        if is_first:
            assert others.wait(60)
        else:
            others.set()
        return scene.load(patch)

    plan = make_plan(scene.patches, load, StitchSpec.from_json({'chunk': 64}))
    if is_part:
        (part,) = cut(plan, 16 * values_of(plan))
        PartMaker(plan, load, 16 * values_of(plan)).write(part, tmp_path / 'part.zip')
    else:
        assemble_file(plan, load, tmp_path / 'a.zarr.zip')
    assert sorted(asked) == ['p0', 'p1', 'p2', 'p3']
