"""Halving: against a plain mean, against Pillow, and against large_image's own function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from large_image.tilesource.resample import ResampleMethod, downsampleTileHalfRes

import girder_zarr.image
from girder_zarr.errors import EditError
from girder_zarr.image.write.resample import AREA, NEAREST, check_method, halve, is_pillow

if TYPE_CHECKING:
    from pathlib import Path

INTEGERS = ('uint8', 'int8', 'uint16', 'int16', 'uint32', 'int32', 'uint64', 'int64')
NAMED = [method for method in ResampleMethod if method.name != 'PIL_MAX_ENUM']


def mean_of(block: np.ndarray) -> np.ndarray:
    """The mean of 2 x 2 pixels in exact arithmetic; the last row or column of an odd size counts twice."""
    rows = [min(row, block.shape[-2] - 1) for row in range((block.shape[-2] + 1) // 2 * 2)]
    columns = [min(column, block.shape[-1] - 1) for column in range((block.shape[-1] + 1) // 2 * 2)]
    even = block.astype(object)[..., rows, :][..., columns]
    total = even[..., ::2, ::2] + even[..., 1::2, ::2] + even[..., ::2, 1::2] + even[..., 1::2, 1::2]
    return np.asarray((total + 2) // 4)


@given(st.data(), st.sampled_from(INTEGERS))
@settings(max_examples=80, deadline=None)
def test_the_mean_of_integers_is_exact_up_to_their_limits(data: st.DataObject, name: str) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=9))
    block = data.draw(hnp.arrays(name, shape))
    half = halve(block)
    assert half.dtype == block.dtype
    assert half.flags.c_contiguous
    assert (half.astype(object) == mean_of(block)).all()


@pytest.mark.parametrize('name', ['float16', 'float32', 'float64'])
def test_the_mean_of_floats_keeps_large_values_finite(name: str) -> None:
    top = np.finfo(name).max
    assert (halve(np.full((5, 7), top, name)) == top).all()
    block = np.random.default_rng(0).random((3, 8, 6)).astype(name)
    expected = block.astype('float64').reshape(3, 4, 2, 3, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(halve(block).astype('float64'), expected, rtol=2 * float(np.finfo(name).eps))


def test_the_mean_of_bytes_is_what_pillow_calls_a_box() -> None:
    block = np.random.default_rng(1).integers(0, 256, (64, 96), np.uint8)
    pillow = np.asarray(PIL.Image.fromarray(block).reduce(2))
    assert (halve(block) == pillow).all()


def test_most_of_four_booleans_wins() -> None:
    block = np.array([[1, 0, 1, 1], [0, 0, 0, 1]], bool)
    assert halve(block).tolist() == [[False, True]]


def test_labels_are_never_mixed() -> None:
    block = np.random.default_rng(2).integers(0, 2**31, (7, 9), np.int32)
    assert (halve(block, 'nearest') == block[::2, ::2]).all()


def test_a_clear_pixel_lends_no_colour_to_its_neighbours() -> None:
    block = np.zeros((4, 2, 2), np.uint8)
    block[:, 0, 0] = (200, 100, 50, 255)
    block[:3, 1, 1] = 255
    assert halve(block, bands=True, alpha=True).reshape(4).tolist() == [200, 100, 50, 64]
    assert halve(np.zeros((4, 2, 2), np.uint8), bands=True, alpha=True).max() == 0


def test_an_opacity_below_zero_counts_as_clear() -> None:
    block = np.full((2, 2, 2), 1000, np.int16)
    block[0, 0], block[1] = (30, -20000), ((1, -32768), (-5, 0))
    assert halve(block, 'area', bands=True, alpha=True)[0, 0, 0] == 30
    long = np.full((2, 2, 2), np.iinfo(np.int64).max)
    long[1, 0, 0] = 7
    assert halve(long, 'area', bands=True, alpha=True)[0, 0, 0] == np.iinfo(np.int64).max


@pytest.mark.parametrize('method', NAMED, ids=lambda method: method.name)
def test_named_methods_give_large_images_pixels(method: ResampleMethod) -> None:
    picture = np.random.default_rng(3).integers(0, 256, (40, 56, 3), np.uint8)
    expected = downsampleTileHalfRes(picture, method)
    half = halve(np.ascontiguousarray(np.moveaxis(picture, -1, 0)), method, bands=True)
    assert (np.moveaxis(half, 0, -1) == expected).all()


@pytest.mark.parametrize('method', NAMED, ids=lambda method: method.name)
@pytest.mark.parametrize('name', ['uint16', 'int8', 'float32'])
def test_named_methods_keep_flat_pixels_of_other_types(method: ResampleMethod, name: str) -> None:
    value = np.array(100.5 if name == 'float32' else 100, name)
    half = halve(np.full((9, 7), value), method)
    assert half.dtype == name
    assert half.shape == (5, 4)
    np.testing.assert_allclose(half, value, rtol=1e-6)


PILLOW = [method for method in NAMED if is_pillow(method)]


@pytest.mark.parametrize('method', PILLOW, ids=lambda method: method.name)
@pytest.mark.parametrize('name', ['uint8', 'uint16', 'int16', 'float32'])
def test_pillows_methods_give_large_images_pixels_of_other_types(method: ResampleMethod, name: str) -> None:
    scale = {'uint8': 250, 'uint16': 60_000, 'int16': 30_000, 'float32': 1}[name]
    base = scale / 2 if name[0] in 'if' else 0
    block = (np.random.default_rng(4).random((40, 56)) * scale - base).astype(name)
    expected = downsampleTileHalfRes(block, method)
    np.testing.assert_array_equal(halve(block, method), expected)


@pytest.mark.parametrize('method', PILLOW, ids=lambda method: method.name)
@pytest.mark.parametrize('name', INTEGERS[:4])
def test_pillows_methods_keep_to_the_limits_of_integers(method: ResampleMethod, name: str) -> None:
    limits = np.iinfo(name)
    block = np.full((12, 16), limits.min, name)
    block[:, 8:] = limits.max
    half = halve(block, method)
    assert half.dtype == name
    assert (half[:, 0].astype(object) <= limits.min + (limits.max // 8)).all()
    for value in (limits.max, limits.min):
        assert (halve(np.full((12, 16), value, name), method).astype(object) == value).all()
    # what a kernel with negative parts overshoots is cut off, not wrapped around
    assert (np.diff(half.astype(object), axis=1) >= -(limits.max // 8)).all()


@given(st.data(), st.sampled_from(['int64', 'uint64']))
@settings(max_examples=40, deadline=None)
def test_means_and_medians_of_long_integers_are_exact(data: st.DataObject, name: str) -> None:
    block = data.draw(hnp.arrays(name, (2, 2)))
    values = sorted(int(value) for value in block.flat)
    mean, middle = sum(values), values[1] + values[2]
    for method, total, count in [(ResampleMethod.NP_MEAN, mean, 4), (ResampleMethod.NP_MEDIAN, middle, 2)]:
        assert int(halve(block, method)[0, 0]) == (abs(total) // count) * (1 if total >= 0 else -1)


@pytest.mark.parametrize('method', PILLOW[1:], ids=lambda method: method.name)
def test_opacity_weighs_in_pillows_methods_too(method: ResampleMethod) -> None:
    picture = np.random.default_rng(6).integers(0, 256, (40, 56, 4), np.uint8)
    planes = np.ascontiguousarray(np.moveaxis(picture, -1, 0))
    half = halve(planes, method, bands=True, alpha=True)
    assert (np.moveaxis(half, 0, -1) == downsampleTileHalfRes(picture, method)).all()
    even = planes.astype(np.uint16) * 257
    even[:3], even[3] = np.array([60_000, 3, 777], np.uint16)[:, None, None], even[3] // 2 + 20_000
    wide = halve(even, method, bands=True, alpha=True)
    assert (wide[:3] == even[:3, ::2, ::2]).all()
    assert np.abs(wide[3].astype(int) - halve(even[3], method)).max() <= 1
    clear = np.zeros((4, 8, 8), np.uint16)
    clear[:3, ::2] = 60_000
    assert halve(clear, method, bands=True, alpha=True).max() == 0


def test_odd_sides_keep_the_grid_of_the_full_resolution() -> None:
    block = np.random.default_rng(7).integers(0, 256, (41, 57), np.uint8)
    even = np.pad(block, ((0, 1), (0, 1)), mode='edge')
    for method in PILLOW:
        assert (halve(block, method) == downsampleTileHalfRes(even, method)).all()


def test_what_is_no_method_is_refused() -> None:
    bad: Any = 'cubic'
    with pytest.raises(EditError, match='resample must be'):
        check_method(bad, np.dtype('uint8'))


@pytest.mark.parametrize('name', ['float64', 'uint32', 'int32', 'uint64', 'int64'])
def test_pillows_methods_are_refused_where_pillow_would_round(tmp_path: Path, name: str) -> None:
    dtype = np.dtype(name)
    works = 'use area or nearest, or .* types bool, float16, float32, int16, int8, uint16, uint8'
    for method in PILLOW[1:]:
        with pytest.raises(EditError, match=f'{method.name} would round {name}: {works}'):
            check_method(method, dtype)
    for method in (AREA, NEAREST, ResampleMethod.PIL_NEAREST, ResampleMethod.NP_MEAN):
        check_method(method, dtype)
    source = girder_zarr.image.new()
    source.addTile(np.arange(48, dtype=dtype).reshape(6, 8))
    with pytest.raises(EditError, match=f'PIL_LANCZOS would round {name}'):
        source.write(tmp_path / 'image.zarr', resample=ResampleMethod.PIL_LANCZOS)
    assert list(tmp_path.iterdir()) == []
