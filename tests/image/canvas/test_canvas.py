"""The canvas against a plain numpy model: any tiles, anywhere, in any order, type and number of bands."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from girder_zarr.errors import EditError
from girder_zarr.image.canvas.bands import common_type
from girder_zarr.image.canvas.canvas import Canvas
from girder_zarr.image.canvas.canvas_level import CanvasLevel
from girder_zarr.image.canvas.chunk_coverage import ChunkCoverage
from girder_zarr.image.canvas.scratch import SCRATCH, Scratch

if TYPE_CHECKING:
    from pathlib import Path

#: The model's plane covers this much of the lattice on each side of the origin.
REACH = 90


class Model:
    """All pixels in one plain array a frame, with what is set beside it; slow and obvious."""

    def __init__(self) -> None:
        self.frames: dict[tuple[tuple[str, int], ...], tuple[np.ndarray, np.ndarray]] = {}
        self.dtype: np.dtype[Any] | None = None
        self.bands = 0

    def add(self, pixels: np.ndarray, where: dict[str, int], y: int, x: int, mask: np.ndarray | None) -> None:
        bands = pixels.shape[-1]
        self.dtype = pixels.dtype if self.dtype is None else np.result_type(self.dtype, pixels.dtype)
        union = self.bands or bands
        if union != bands:
            colors = 3 if max(union, bands) > 2 else 1
            union = colors + (1 if 0 in (union % 2, bands % 2) else 0)
        self.frames = {
            key: (self.converted(frame.astype(self.dtype), union, covered), covered)
            for key, (frame, covered) in self.frames.items()
        }
        self.bands = union
        key = tuple(sorted((axis, at) for axis, at in where.items() if at))
        size = 2 * REACH
        if key not in self.frames:
            self.frames[key] = np.zeros((size, size, union), self.dtype), np.zeros((size, size), bool)
        frame, covered = self.frames[key]
        height, width = pixels.shape[:2]
        part = (slice(y + REACH, y + REACH + height), slice(x + REACH, x + REACH + width))
        chosen = np.ones((height, width), bool) if mask is None else mask
        everywhere = np.ones((height, width), bool)
        frame[part][chosen] = self.converted(pixels.astype(self.dtype), union, everywhere)[chosen]
        covered[part] |= chosen

    @staticmethod
    def converted(pixels: np.ndarray, bands: int, covered: np.ndarray) -> np.ndarray:
        own = pixels.shape[-1]
        if own == bands:
            return pixels
        full = np.iinfo(pixels.dtype).max if pixels.dtype.kind in 'iu' else 1
        gray, has_alpha = own < 3, own % 2 == 0
        color = pixels[..., :1] if gray else pixels[..., :3]
        if bands > 2 and gray:
            color = np.repeat(color, 3, axis=-1)
        if bands % 2 == 0:
            alpha = pixels[..., -1:] if has_alpha else np.full((*pixels.shape[:-1], 1), full, pixels.dtype)
            color = np.concatenate([color, alpha], axis=-1)
        return np.where(covered[..., None], color, np.zeros((), pixels.dtype))


tiles = st.fixed_dictionaries(
    {
        'y': st.integers(-80, 70),
        'x': st.integers(-80, 70) | st.sampled_from([-32, 0]),
        'height': st.integers(1, 40) | st.just(32),
        'width': st.integers(1, 40) | st.just(32),
        'bands': st.integers(1, 4),
        'dtype': st.sampled_from(['uint8', 'uint8', 'uint16', 'int16', 'float32', 'bool']),
        'frame': st.dictionaries(st.sampled_from(['t', 'c', 'w']), st.integers(0, 2), max_size=2),
        'masked': st.booleans(),
        'read': st.booleans(),
    }
)


def compare(canvas: Canvas, model: Model) -> None:
    for key, (expected, _) in model.frames.items():
        found = canvas.read(dict(key), -REACH, -REACH, 2 * REACH, 2 * REACH)
        if found is None:
            assert not expected.any()
        else:
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)


@given(st.lists(tiles, min_size=1, max_size=7), st.sampled_from([0, 9000, 10**9]))
@settings(max_examples=120, deadline=None)
def test_any_sequence_of_tiles_gives_the_pixels_of_the_model(
    tmp_path_factory: pytest.TempPathFactory, sequence: list[dict[str, Any]], memory: int
) -> None:
    rng = np.random.default_rng(0)
    model, scratch = Model(), Scratch('model', tmp_path_factory.mktemp('scratch'))
    canvas = Canvas(scratch, memory=memory, side=32)
    for tile in sequence:
        shape = (min(tile['height'], REACH - tile['y']), min(tile['width'], REACH - tile['x']), tile['bands'])
        pixels = (rng.random(shape) * 300).astype(tile['dtype'])
        mask = rng.random(shape[:2]) > 0.5 if tile['masked'] else None
        canvas.add(pixels, (), {'y': tile['y'], 'x': tile['x'], **tile['frame']}, mask=mask)
        model.add(pixels, tile['frame'], tile['y'], tile['x'], mask)
        if tile['read']:
            compare(canvas, model)
    extent = canvas.extent()
    assert extent is not None
    assert (extent.dtype, extent.bands) == (model.dtype, model.bands)
    assert extent.top == min(0, *(tile['y'] for tile in sequence), 0)
    assert extent.left == min(0, *(tile['x'] for tile in sequence), 0)
    compare(canvas, model)
    scratch.close()


def new_canvas(tmp_path: Path, memory: int = 10**9) -> Canvas:
    return Canvas(Scratch('test', tmp_path), memory=memory)


def test_nothing_is_there_before_the_first_tile(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path)
    assert canvas.extent() is None
    assert canvas.read({}, 0, 0, 10, 10) is None
    assert list(tmp_path.iterdir()) == []


def test_a_tile_of_many_frames_lands_in_each(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path)
    pixels = np.arange(2 * 3 * 5 * 7).reshape(2, 3, 5, 7, 1).astype(np.uint16)
    canvas.add(pixels, ('t', 'z'), {'t': 1, 'z': 2, 'y': 3, 'x': 4})
    extent = canvas.extent()
    assert extent is not None
    assert (extent.axes, extent.sizes, extent.height, extent.width) == (('t', 'z'), (3, 5), 8, 11)
    level = CanvasLevel(canvas, extent)
    everything = level.read(tuple(slice(0, size) for size in level.shape))
    assert (everything[1:, 2:, 3:, 4:] == pixels).all()
    assert everything.sum() == pixels.sum()
    part = level.read((slice(2, 3), slice(3, 5), slice(4, 6), slice(5, 11), slice(0, 1)))
    assert (part == everything[2:3, 3:5, 4:6, 5:11]).all()


def test_an_axis_that_comes_late_copies_nothing(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path)
    canvas.add(np.full((600, 600, 1), 5, np.uint8), (), {'y': 0, 'x': 0})
    chunks = dict(canvas._chunks)
    data = {key: chunk.data for key, chunk in chunks.items()}
    canvas.add(np.full((1, 1, 1), 6, np.uint8), (), {'y': 0, 'x': 0, 't': 3})
    assert all(canvas._chunks[key].data is data[key] for key in chunks)
    plane = canvas.read({'t': 0}, 0, 0, 600, 600)
    assert plane is not None
    assert (plane == 5).all()
    assert canvas.read({'t': 1}, 0, 0, 600, 600) is None


def test_bands_that_are_named_are_not_taken_for_colours(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path)
    for band in range(6):
        canvas.add(np.full((4, 4, 1), band + 1, np.uint8), (), {'y': 0, 'x': 0}, band=band)
    pixel = canvas.read({}, 0, 0, 1, 1)
    assert pixel is not None
    assert pixel.tolist() == [[[1, 2, 3, 4, 5, 6]]]


@pytest.mark.parametrize(
    ('image', 'tile'), [('int64', 'float64'), ('uint64', 'int8'), ('float32', 'int64'), ('float16', 'uint64')]
)
def test_a_type_that_loses_values_is_refused_and_nothing_changes(
    tmp_path: Path, image: str, tile: str
) -> None:
    canvas = new_canvas(tmp_path)
    canvas.add(np.full((4, 4, 1), 3, image), (), {'y': 0, 'x': 0})
    before = canvas.extent()
    with pytest.raises(EditError, match=f'{tile} does not fit in an image of {image}'):
        canvas.add(np.full((9, 9, 3), 3, tile), ('q',)[:0], {'y': 0, 'x': 0, 't': 5})
    assert canvas.extent() == before


def test_types_are_promoted_by_numpys_rules() -> None:
    assert common_type(np.dtype('uint8'), np.dtype('int8')) == 'int16'
    assert common_type(np.dtype('uint16'), np.dtype('float32')) == 'float32'
    assert common_type(np.dtype('int32'), np.dtype('float32')) == 'float64'
    assert common_type(np.dtype('bool'), np.dtype('uint8')) == 'uint8'


@pytest.mark.parametrize('memory', [0, 2_000_000, 10**9])
def test_threads_lose_no_tile_whatever_they_share(tmp_path: Path, memory: int) -> None:
    canvas = new_canvas(tmp_path, memory)
    rng = np.random.default_rng(0)
    expected = rng.integers(1, 255, (1300, 1300, 3), np.uint8)
    places = [(y, x) for y in range(0, 1300, 100) for x in range(0, 1300, 100)]
    rng.shuffle(places)
    errors: list[BaseException] = []

    def add(own: list[tuple[int, int]]) -> None:
        try:
            for y, x in own:
                canvas.add(expected[y : y + 100, x : x + 100], (), {'y': y - 650, 'x': x - 650})
                canvas.read({}, y - 700, x - 700, 200, 200)
        except BaseException as exc:  # noqa: BLE001 - told by the test
            errors.append(exc)

    threads = [threading.Thread(target=add, args=(places[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    found = canvas.read({}, -650, -650, 1300, 1300)
    assert found is not None
    np.testing.assert_array_equal(found, expected)


def test_threads_may_widen_the_type_and_the_bands_at_the_same_time(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path, 1_000_000)
    kinds = [('uint8', 1), ('uint16', 3), ('float32', 4), ('uint8', 2)]
    start = threading.Barrier(len(kinds))

    def add(index: int) -> None:
        start.wait()
        name, bands = kinds[index]
        for x in range(0, 2000, 50):
            canvas.add(np.full((50, 50, bands), 200 + index, name), (), {'y': index * 50, 'x': x})

    threads = [threading.Thread(target=add, args=(index,)) for index in range(len(kinds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = canvas.read({}, 0, 0, 200, 2000)
    assert found is not None
    assert found.dtype == 'float32'
    for index in range(4):
        assert (found[index * 50 : index * 50 + 50, :, :3] == 200 + index).all()
    assert (found[150:, :, 3] == 203).all()
    assert (found[:100, :, 3] > 0).all()


def test_memory_stays_within_its_bound_and_files_go_away(tmp_path: Path) -> None:
    scratch = Scratch('bound', tmp_path)
    canvas = Canvas(scratch, memory=3_000_000)
    tile = np.random.default_rng(0).integers(0, 255, (512, 512, 3), np.uint8)
    for x in range(20):
        canvas.add(tile, (), {'y': 0, 'x': x * 512})
        assert (
            sum(0 if chunk.data is None else chunk.data.nbytes for chunk in canvas._chunks.values())
            <= 3_000_000
        )
    assert [path.name for path in scratch.path.glob('chunk*')] == ['chunks']
    assert (scratch.path / 'chunks').stat().st_size < 20 * tile.nbytes
    for x in range(20):
        np.testing.assert_array_equal(canvas.read({}, 0, x * 512, 512, 512), tile)
    scratch.close()
    assert list(tmp_path.iterdir()) == []


def test_chunks_that_grow_in_their_file_leave_their_room_to_others(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path, 0)
    rng = np.random.default_rng(0)
    expected = np.zeros((512, 4 * 512, 3), np.uint8)
    for y in range(0, 512, 32):
        tile = rng.integers(0, 255, (32, 4 * 512, 3), np.uint8)
        expected[y : y + 32] = tile
        canvas.add(tile, (), {'y': y, 'x': 0})
        np.testing.assert_array_equal(canvas.read({}, 0, 0, 512, 4 * 512), expected)
    # 16 times as often put aside, and never more than three times the room of the pixels
    assert canvas._spill.path is not None
    assert canvas._spill.path.stat().st_size < 3 * expected.nbytes


def test_a_full_disk_is_said_and_loses_no_pixel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canvas = new_canvas(tmp_path, 0)
    write = os.pwrite

    def full(handle: int, content: bytes, offset: int) -> int:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'pwrite', full)
    with pytest.raises(EditError, match='No space left on device'):
        canvas.add(np.full((512, 512, 1), 9, np.uint8), (), {'y': 0, 'x': 0})
    monkeypatch.setattr(os, 'pwrite', write)
    found = canvas.read({}, 0, 0, 512, 512)
    assert found is not None
    assert (found == 9).all()


def test_what_a_crash_left_is_removed_by_the_next(tmp_path: Path) -> None:
    left, made_just_now = tmp_path / 'girder-zarr-new-left', tmp_path / 'girder-zarr-new-begun'
    left.mkdir()
    (left / 'lock').touch()
    made_just_now.mkdir()
    # what another part of girder_zarr keeps in the same folder is none of the sweep's business
    (tmp_path / 'girder-zarr-stitch-of-a-job').mkdir()
    alive = Scratch('alive', tmp_path)
    alive.directory()
    SCRATCH.sweep(tmp_path)
    assert not left.exists()
    assert made_just_now.exists()
    made_just_now.rmdir()
    kept = {'girder-zarr-new-alive', 'girder-zarr-stitch-of-a-job'}
    assert {path.name for path in tmp_path.iterdir()} == kept
    alive.close()
    assert [path.name for path in tmp_path.iterdir()] == ['girder-zarr-stitch-of-a-job']


def test_scratch_goes_with_its_owner(tmp_path: Path) -> None:
    scratch = Scratch('short', tmp_path)
    scratch.directory()
    del scratch
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.tuples(*[st.integers(0, 16)] * 4, st.booleans()), max_size=30))
@settings(max_examples=100, deadline=None)
def test_coverage_knows_every_pixel(rectangles: list[tuple[int, int, int, int, bool]]) -> None:
    coverage, expected = ChunkCoverage(16), np.zeros((16, 16), bool)
    for top, bottom, left, right, masked in rectangles:
        rows, columns = slice(min(top, bottom), max(top, bottom)), slice(min(left, right), max(left, right))
        mask = np.indices(expected[rows, columns].shape).sum(0) % 2 == 0 if masked else None
        coverage.add(rows, columns, mask)
        expected[rows, columns] |= True if mask is None else mask
    holes = coverage.holes()
    assert (expected if holes is None else expected ^ holes).all()
