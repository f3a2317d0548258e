"""What clients say of patches: positions in every way, axes by name, weights, masks, layouts."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from girder_zarr.errors import InvalidInputError
from girder_zarr.stitch.formats.raw import Layout
from girder_zarr.stitch.spec import patch_parameters
from girder_zarr.stitch.spec.model import StitchSpec
from girder_zarr.stitch.spec.patch_parameters import PatchOptions

SPEC = StitchSpec.from_json(
    {
        'pixelSize': {'x': 0.5, 'y': 0.25, 'unit': 'micrometer'},
        'grid': {'tile': {'x': 512, 'y': 256}, 'overlap': {'x': 51.2, 'y': 0}},
    }
)


def place(spec: StitchSpec = SPEC, **given_: Any) -> dict[str, int]:
    return patch_parameters.parse(given_, spec).placement.as_dict()


@pytest.mark.parametrize(
    ('given_', 'expected'),
    [
        ({'x': 3, 'y': -4}, (3, -4)),
        ({'x': '3', 'y': ' -4 '}, (3, -4)),
        ({'x': 2.5, 'y': -2.5}, (3, -2)),
        ({'x': '2.49', 'y': '-2.51'}, (2, -3)),
        ({'x': 10, 'y': 10, 'unit': 'pixel'}, (10, 10)),
        ({'x': 10, 'y': 10, 'unit': 'micrometer'}, (20, 40)),
        ({'x': '-0.01', 'y': '1e-2', 'unit': 'millimeter'}, (-20, 40)),
        ({'x': 1000, 'y': 125, 'unit': 'nanometer'}, (2, 1)),
        ({'row': 0, 'column': 0}, (0, 0)),
        ({'row': 3, 'column': 2}, (922, 768)),
        ({'row': '-1', 'column': '-2'}, (-922, -256)),
        ({'row': '1', 'column': '1', 'x': '', 'y': None}, (461, 256)),
    ],
)
def test_a_position_is_said_in_many_ways(given_: dict[str, Any], expected: tuple[int, int]) -> None:
    found = place(**given_)
    assert (found['x'], found['y']) == expected


@settings(max_examples=100, deadline=None)
@given(start=st.integers(-(10**6), 10**6), step=st.integers(0, 7))
def test_equal_distances_stay_equal_on_both_sides_of_zero(start: int, step: int) -> None:
    """Halves go up everywhere: moving everything by a whole number moves every patch by it."""
    fraction = step / 8
    assert place(x=start + fraction, y=0)['x'] == start + math.floor(fraction + 0.5)


def test_axes_have_any_name() -> None:
    found = place(x=0, y=0, t='2', index='{"angle": 3, "c": 1}')
    assert found == {'x': 0, 'y': 0, 't': 2, 'angle': 3, 'c': 1}
    assert place(x=0, y=0, index={'phase': 4}) == {'x': 0, 'y': 0, 'phase': 4}


@pytest.mark.parametrize(
    ('given_', 'field'),
    [
        ({}, 'x'),
        ({'x': 1}, 'y'),
        ({'x': 'left', 'y': 0}, 'x'),
        ({'x': 'nan', 'y': 0}, 'x'),
        ({'x': '1e400', 'y': 0}, 'x'),
        ({'x': float('inf'), 'y': 0}, 'x'),
        ({'x': True, 'y': 0}, 'x'),
        ({'x': 0, 'y': 2.0**31}, 'y'),
        ({'x': 0, 'y': 0, 'unit': 'furlong'}, 'unit'),
        ({'x': 1e300, 'y': 0, 'unit': 'micrometer'}, 'x'),
        ({'row': 1}, 'column'),
        ({'row': 1, 'column': 1.5}, 'column'),
        ({'row': 1, 'column': 1, 'x': 5}, 'row, column'),
        ({'row': 1, 'column': 1, 'unit': 'pixel'}, 'row, column'),
        ({'x': 0, 'y': 0, 't': -1}, 't'),
        ({'x': 0, 'y': 0, 't': 1, 'index': '{"t": 1}'}, 'index'),
        ({'x': 0, 'y': 0, 'index': '[1]'}, 'index'),
        ({'x': 0, 'y': 0, 'index': '{'}, 'index'),
        ({'x': 0, 'y': 0, 'index': '{"Angle": 1}'}, 'index'),
        ({'x': 0, 'y': 0, 'index': '{"x": 1}'}, 'index'),
        ({'x': 0, 'y': 0, 'index': '{"angle": "a"}'}, r'index\.angle'),
        ({'x': 0, 'y': 0, 'index': dict.fromkeys('abdef', 0)}, 'index'),
        ({'x': 0, 'y': 0, 'weight': 0}, 'weight'),
        ({'x': 0, 'y': 0, 'weight': '-1'}, 'weight'),
        ({'x': 0, 'y': 0, 'mask': 'red'}, 'mask'),
        ({'x': 0, 'y': 0, 'maskKey': 'a/b'}, 'key'),
        ({'x': 0, 'y': 0, 'mask': 'alpha', 'maskKey': 'a'}, 'maskKey'),
        ({'x': 0, 'y': 0, 'dtype': 'uint8'}, 'shape'),
        ({'x': 0, 'y': 0, 'shape': '5,5', 'dtype': 'U4'}, 'dtype'),
        ({'x': 0, 'y': 0, 'order': '1.5'}, 'order'),
    ],
)
def test_the_refusal_names_the_parameter(given_: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError, match=f'^{field}: expected '):
        patch_parameters.parse(given_, SPEC)


def test_units_and_grids_need_a_spec_that_has_them() -> None:
    for given_ in ({'x': 1, 'y': 1, 'unit': 'micrometer'}, {'row': 0, 'column': 0}):
        with pytest.raises(InvalidInputError, match=r'spec\.(pixelSize|grid)'):
            patch_parameters.parse(given_, StitchSpec())


def test_options_survive_their_document() -> None:
    given_ = {'x': 0, 'y': 0, 'weight': '2.5', 'maskKey': 'm', 'order': '-3'}
    raw = {'shape': '4,5', 'dtype': '>uint16', 'compression': 'gzip'}
    found = patch_parameters.parse({**given_, **raw}, SPEC)
    assert found.order == -3
    assert found.options == PatchOptions(
        2.5, alpha=False, mask_key='m', layout=Layout((4, 5), '>uint16', 'gzip')
    )
    assert PatchOptions.from_json(found.options.to_json()) == found.options
    assert PatchOptions().to_json() == {}
    assert PatchOptions.from_json(None) == PatchOptions()
    masked = patch_parameters.parse({'x': 0, 'y': 0, 'mask': 'alpha'}, SPEC).options
    assert masked.alpha
    assert PatchOptions.from_json(masked.to_json()) == masked
