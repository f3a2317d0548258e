"""The values of one pixel: of frames and of labels, as JSON has them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from girder_zarr.errors import NotFoundError
from girder_zarr.image.render.values import MAX_PROPERTIES, MAX_TEXT, plain, shortened
from support.images import opened, write
from support.labelled_images import (
    NUCLEI,
    ORIGIN,
    PIXEL,
    RED,
    SHAPE,
    TISSUE,
    image_pixels,
    labelled_zarr,
    nuclei_pixels,
    on_image,
    tissue_pixels,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    labelled_zarr(tmp_path / 'a.zarr.zip')
    return tmp_path / 'a.zarr.zip'


def test_values_are_those_of_the_arrays(labelled: Path) -> None:
    image, source = image_pixels(), opened(labelled, labels=True)
    labels = {NUCLEI: nuclei_pixels(), TISSUE: on_image(tissue_pixels())}
    rng = np.random.default_rng(0)
    for x, y in zip(rng.integers(0, SHAPE[1], 40), rng.integers(0, SHAPE[0], 40), strict=True):
        for frame in range(6):
            assert source.valuesAt(x, y, frame) == [int(image[frame % 2, frame // 2, y, x])]
        for name, pixels in labels.items():
            assert source.labelAt(x, y, 5, name)['value'] == pixels[y, x], (name, x, y)
    assert source.labelAt(300, 300, 0, NUCLEI) == {
        'name': NUCLEI, 'value': 1, 'color': list(RED),
        'properties': {'class': '<i>mitotic</i>', 'area': 12.5},
    }  # fmt: skip
    assert source.labelAt(0, 0, 0, NUCLEI)['color'][3] == 0
    assert source.placeOf() == {
        'x': {'scale': PIXEL, 'translation': ORIGIN[1], 'unit': 'micrometer'},
        'y': {'scale': PIXEL, 'translation': ORIGIN[0], 'unit': 'micrometer'},
    }


def test_what_is_not_there_is_said(labelled: Path) -> None:
    source = opened(labelled, labels=True)
    beyond = (SHAPE[1], 0, 0, 'x'), (-1, 0, 0, 'x'), (0, SHAPE[0], 0, 'y'), (0, 0, 18, 'frame')
    for x, y, frame, name in beyond:
        with pytest.raises(NotFoundError, match=f'^{name}: expected a number from 0 to'):
            source.valuesAt(x, y, frame)
    with pytest.raises(NotFoundError, match="there are nuclei, tissue <b>, all, found 'cells'"):
        source.labelAt(0, 0, 0, 'cells')
    with pytest.raises(NotFoundError, match='the image has none'):
        opened(labelled).labelAt(0, 0, 0, NUCLEI)


def test_a_pixel_is_one_chunk(labelled: Path) -> None:
    source = opened(labelled, labels=True)
    assert source.valuesCost([0]) == 256 * 256
    assert source.valuesCost([0, 1, 5]) == 3 * 256 * 256
    assert source.valuesCost([0], labels=2) == 3 * 256 * 256
    # The first label has no lower resolution, the second has one.
    assert source.labelCost(0, (0, 0, *SHAPE[::-1]), 2) == 0
    assert source.labelCost(6, (0, 0, *SHAPE[::-1]), 2) == SHAPE[0] * SHAPE[1]
    assert source.labelCost(6, (0, 0, 1, 1), 1) == 256 * 256
    assert source.labelCost(12, (0, 0, 400, 300), 4) == 225 * 256


def test_colors_are_bands(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (3, 40, 50)).astype('uint8')
    write(tmp_path / 'a.zarr', [pixels], 'cyx')
    assert opened(tmp_path / 'a.zarr').valuesAt(7, 9, 0) == pixels[:, 9, 7].tolist()


@given(st.integers(-(2**63), 2**63 - 1))
def test_whole_numbers_stay_what_they_are(number: int) -> None:
    found = plain(np.int64(number))
    assert int(found) == number
    # What JavaScript makes of it, whose numbers are doubles, is the same.
    assert isinstance(found, str) or float(found) == number


@given(st.floats(width=32))
def test_floats_are_short_and_the_same(number: float) -> None:
    found = plain(np.float32(number))
    assert np.array_equal(np.float32(found), np.float32(number), equal_nan=True)
    json.dumps(found, allow_nan=False)


def test_properties_are_bounded() -> None:
    many = {f'k{number}': number for number in range(1000)}
    assert shortened(many) == {f'k{number}': number for number in range(MAX_PROPERTIES)}
    found = shortened({'a': 'x' * 1000, 'b': {'c': [1]}, 'd': float('nan'), 'e': None, 'f' * 1000: True})
    assert found == {
        'a': 'x' * (MAX_TEXT - 1) + '…', 'b': '{"c": [1]}', 'd': 'nan', 'e': None, 'f' * MAX_TEXT: True
    }  # fmt: skip
