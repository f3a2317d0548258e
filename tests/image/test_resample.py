"""Halving: against a plain mean, against Pillow, and against large_image's own function."""

from __future__ import annotations

from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from large_image.tilesource.resample import ResampleMethod, downsampleTileHalfRes

from girder_zarr.errors import EditError
from girder_zarr.image.resample import check_method, halve

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


def test_pillow_is_not_asked_for_what_it_would_round() -> None:
    with pytest.raises(EditError, match=r'PIL_LANCZOS .* float64'):
        halve(np.zeros((4, 4)), ResampleMethod.PIL_LANCZOS)
    bad: Any = 'cubic'
    with pytest.raises(EditError, match='resample must be'):
        check_method(bad)
