"""Whole images written and read back by zarr and tensorstore, their levels against a separate computation."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorstore as ts
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from girder_zarr.errors import CancelledError, EditError
from girder_zarr.image.write.encode import Codec
from girder_zarr.image.write.output_spec import OutputSpec
from girder_zarr.image.write.pyramid import in_parallel, write_image

if TYPE_CHECKING:
    from pathlib import Path

    from girder_zarr.image.ngff.metadata import Version

VERSIONS: list[Version] = ['0.4', '0.5', '0.6']


def picture(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == 'bool':
        return rng.random(shape) > 0.5
    return (rng.random(shape) * 250).astype(dtype)


def halved(level: np.ndarray) -> np.ndarray:
    """The next level as the docs describe it: mean of 2 x 2, half up, edges repeated, sizes rounded up."""
    pad = [(0, 0)] * (level.ndim - 2) + [(0, size % 2) for size in level.shape[-2:]]
    even = np.pad(level, pad, mode='edge').astype('float64')
    *outer, height, width = even.shape
    mean = even.reshape(*outer, height // 2, 2, width // 2, 2).mean(axis=(-3, -1))
    if level.dtype.kind in 'iu':
        mean = np.floor(mean + 0.5)
    return np.asarray(mean >= 0.5 if level.dtype.kind == 'b' else mean.astype(level.dtype))


def read_with_tensorstore(path: Path, version: str) -> np.ndarray:
    driver = 'zarr' if version == '0.4' else 'zarr3'
    kvstore = {'driver': 'file', 'path': str(path)}
    return np.asarray(ts.open({'driver': driver, 'kvstore': kvstore}).result().read().result())


def check_levels(directory: Path, spec: OutputSpec, pixels: np.ndarray) -> None:
    group = zarr.open_group(directory, mode='r')
    expected = pixels
    for index, shape in enumerate(spec.level_shapes()):
        level: Any = group[str(index)]
        assert level.shape == shape
        assert level.dtype == pixels.dtype
        np.testing.assert_allclose(level[:], expected, rtol=1e-6)
        np.testing.assert_array_equal(read_with_tensorstore(directory / str(index), spec.version), level[:])
        expected = halved(expected)
    np.testing.assert_array_equal(group['0'][:], pixels)  # type: ignore[index]


@pytest.mark.parametrize('version', VERSIONS)
@pytest.mark.parametrize(
    ('shape', 'axes', 'bands', 'dtype'),
    [
        ((3, 301, 517), 'cyx', 3, 'uint8'),
        ((2, 3, 2, 130, 97), 'tczyx', 0, 'uint16'),
        ((33, 41), 'yx', 0, 'float32'),
        ((1, 1), 'yx', 0, 'int64'),
        ((200, 1), 'yx', 0, 'bool'),
    ],
)
def test_every_level_is_right_in_every_version(
    tmp_path: Path, version: Version, shape: tuple[int, ...], axes: str, bands: int, dtype: str
) -> None:
    pixels = picture(shape, dtype)
    spec = OutputSpec.create(shape, dtype, axes=axes, bands=bands, version=version, chunk=64)
    done: list[int] = []
    write_image(tmp_path, spec, lambda region: pixels[region], progress=done.append)
    check_levels(tmp_path, spec, pixels)
    assert sum(done) == pixels.size


@pytest.mark.parametrize('codec', [Codec('zstd', 3), Codec('none'), Codec('blosc', 5, 'bitshuffle')], ids=str)
@pytest.mark.parametrize('version', ['0.4', '0.5'])
def test_other_codecs_are_read_by_others(tmp_path: Path, version: Version, codec: Codec) -> None:
    pixels = picture((2, 150, 170), 'uint16')
    spec = OutputSpec.create(pixels.shape, 'uint16', axes='cyx', version=version, chunk=64, codec=codec)
    write_image(tmp_path, spec, lambda region: pixels[region])
    check_levels(tmp_path, spec, pixels)


@pytest.mark.parametrize('shape', [(3, 301, 517), (3, 40, 50), (3, 64, 700)])
def test_shards_are_read_by_others_and_hold_no_empty_chunks(tmp_path: Path, shape: tuple[int, ...]) -> None:
    pixels = picture(shape, 'uint8')
    pixels[:, :64, :64] = 0
    spec = OutputSpec.create(shape, 'uint8', axes='cyx', bands=3, chunk=32, shard=128)
    write_image(tmp_path, spec, lambda region: pixels[region])
    check_levels(tmp_path, spec, pixels)


@given(st.data())
@settings(max_examples=15, deadline=None)
def test_any_size_chunk_and_number_of_threads(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp('image')
    frames = data.draw(st.sampled_from([1, 2, 9]))
    sides = data.draw(st.tuples(st.integers(1, 50), st.integers(1, 50)))
    chunk = data.draw(st.sampled_from([2, 6, 8, 16, 30]))
    pixels = picture((frames, *sides), 'uint8', seed=frames)
    hole = data.draw(st.integers(0, 40))
    pixels[:, :hole, :hole] = 0
    spec = OutputSpec.create(pixels.shape, 'uint8', axes='zyx', chunk=chunk)

    def read(region: tuple[slice, ...]) -> np.ndarray | None:
        return pixels[region] if pixels[region].any() else None

    threads = data.draw(st.integers(1, 4))
    occupied = data.draw(st.sampled_from([None, lambda region: bool(pixels[region].any())]))
    write_image(directory, spec, read, threads=threads, occupied=occupied)
    check_levels(directory, spec, pixels)


def test_empty_chunks_are_not_stored_and_not_asked_for_twice(tmp_path: Path) -> None:
    spec = OutputSpec.create((3, 30_000, 30_000), 'uint8', axes='cyx', bands=3)
    asked = []

    def read(region: tuple[slice, ...]) -> np.ndarray | None:
        asked.append(tuple((part.start, part.stop) for part in region))
        return np.full((3, 512, 512), 7, np.uint8) if region[1].start == region[2].start == 1024 else None

    write_image(tmp_path, spec, read)
    assert len(asked) == len(set(asked)) == 59 * 59
    chunks = [path for path in tmp_path.rglob('*') if path.is_file() and path.name != 'zarr.json']
    assert len(chunks) == len(spec.level_shapes())
    group: Any = zarr.open_group(tmp_path, mode='r')
    assert group['1'][0, 511:515, 511:515].tolist() == [[0] * 4, [0, 7, 7, 7], [0, 7, 7, 7], [0, 7, 7, 7]]


@pytest.mark.parametrize('fill', [255, 0])
def test_the_fill_value_is_what_others_read_in_gaps(tmp_path: Path, fill: int) -> None:
    spec = OutputSpec.create((40, 40), 'uint8', chunk=16, fill_value=fill)
    write_image(tmp_path, spec, lambda _region: None)
    group: Any = zarr.open_group(tmp_path, mode='r')
    assert (group['0'][:] == fill).all()
    assert (group['1'][:] == fill).all()


def test_not_a_number_and_minus_zero_survive(tmp_path: Path) -> None:
    pixels = np.array([[np.nan, -0.0], [-0.0, 0.0]], 'float32')
    for name, fill in (('zero', 0.0), ('nan', float('nan'))):
        spec = OutputSpec.create((2, 2), 'float32', fill_value=fill)
        (tmp_path / name).mkdir()
        write_image(tmp_path / name, spec, lambda region: pixels[region])
        group: Any = zarr.open_group(tmp_path / name, mode='r')
        assert group['0'][:].tobytes() == pixels.tobytes()
    minus = np.full((2, 2), -0.0, 'float32')
    (tmp_path / 'minus').mkdir()
    write_image(tmp_path / 'minus', OutputSpec.create((2, 2), 'float32'), lambda region: minus[region])
    whole: Any = zarr.open_group(tmp_path / 'minus', mode='r')
    assert np.signbit(whole['0'][:]).all()


def test_colours_of_rgba_are_weighted_with_opacity(tmp_path: Path) -> None:
    pixels = np.zeros((4, 128, 128), np.uint8)
    pixels[:, ::2, ::2] = np.array([200, 100, 50, 255], np.uint8)[:, None, None]
    spec = OutputSpec.create(pixels.shape, 'uint8', axes='cyx', bands=4, chunk=64)
    write_image(tmp_path, spec, lambda region: pixels[region])
    group: Any = zarr.open_group(tmp_path, mode='r')
    assert group['1'][:, 5, 5].tolist() == [200, 100, 50, 64]


def test_a_check_that_raises_stops_all_threads(tmp_path: Path) -> None:
    pixels = picture((512, 512), 'uint8')
    spec = OutputSpec.create(pixels.shape, 'uint8', chunk=16)
    calls = []

    def check() -> None:
        calls.append(threading.get_ident())
        if len(calls) > 20:
            raise CancelledError('stop')

    with pytest.raises(CancelledError):
        write_image(tmp_path, spec, lambda region: pixels[region], threads=4, check=check)
    assert len(calls) < 40


def test_a_block_of_another_shape_or_type_is_refused(tmp_path: Path) -> None:
    spec = OutputSpec.create((64, 64), 'uint8')
    with pytest.raises(EditError, match=r'uint8 \(64, 64\), not uint16'):
        write_image(tmp_path, spec, lambda _region: np.zeros((64, 64), np.uint16))


def test_parallel_results_keep_their_order_and_the_first_error_comes_out() -> None:
    assert in_parallel(lambda item: item * 2, range(50), 4) == [item * 2 for item in range(50)]

    def fail(item: int) -> int:
        if item == 7:
            raise ValueError('seven')
        return item

    with pytest.raises(ValueError, match='seven'):
        in_parallel(fail, range(1000), 3)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'shape': (4,), 'axes': 'yx'}, 'one size for each of the axes'),
        ({'shape': (4, 4), 'axes': 'xy'}, 'last two axes must be y and x'),
        ({'shape': (0, 4)}, 'positive size'),
        ({'shape': (40, 40), 'chunk': 15}, 'even sides'),
        ({'shape': (4, 4), 'dtype': 'complex64'}, 'booleans, integers or floats'),
        ({'shape': (4, 4), 'version': '0.3'}, 'version must be one of'),
        ({'shape': (40, 40), 'chunk': 16, 'shard': 24}, 'multiple of that of a chunk'),
        ({'shape': (40, 40), 'chunk': 16, 'shard': 32, 'version': '0.4'}, 'Shards need zarr v3'),
        ({'shape': (4, 4, 4), 'axes': 'cyx', 'bands': 3}, 'multiple of the 3 bands'),
        ({'shape': (4, 4), 'max_levels': 0}, 'max_levels'),
    ],
)
def test_a_spec_that_does_not_fit_together_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(EditError, match=message):
        OutputSpec.create(options.pop('shape'), options.pop('dtype', 'uint8'), **options)
