"""OME-NGFF metadata of every version, and as other programs bend it, to the one model."""

from __future__ import annotations

from typing import Any

import pytest

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.ngff.metadata import Axis, Channel, Window
from girder_zarr.image.ngff.parse import parse_attributes
from girder_zarr.image.ngff.units import millimeters

SCALE = {'type': 'scale', 'scale': [1.0, 0.5, 0.25]}
AXES = [
    {'name': 'c', 'type': 'channel'},
    {'name': 'y', 'type': 'space', 'unit': 'micrometer'},
    {'name': 'x', 'type': 'space', 'unit': 'micrometer'},
]


def image(**change: Any) -> dict[str, Any]:
    """Return a 0.4 multiscale."""
    return {
        'version': '0.4',
        'axes': AXES,
        'datasets': [{'path': 's0', 'coordinateTransformations': [SCALE]}],
        **change,
    }


def test_0_1_has_five_implicit_axes() -> None:
    parsed = parse_attributes(
        {'multiscales': [{'version': '0.1', 'datasets': [{'path': '0'}, {'path': '1'}]}]}
    )
    multiscale = parsed.multiscales[0]
    assert [axis.name for axis in multiscale.axes] == list('tczyx')
    assert [axis.type for axis in multiscale.axes] == ['time', 'channel', 'space', 'space', 'space']
    assert [level.path for level in multiscale.levels] == ['0', '1']
    assert parsed.version == '0.1'
    assert parsed.problems


def test_0_2_with_fewer_axes_takes_the_last() -> None:
    parsed = parse_attributes({'multiscales': [{'version': '0.2', 'datasets': [{'path': '0'}]}]}, lambda _: 3)
    assert [axis.name for axis in parsed.multiscales[0].axes] == list('zyx')


def test_0_3_names() -> None:
    parsed = parse_attributes({'multiscales': [image(version='0.3', axes=['t', 'y', 'x'])]})
    assert parsed.multiscales[0].axes == (Axis('t', 'time'), Axis('y', 'space'), Axis('x', 'space'))


def test_0_4() -> None:
    outer = [
        {'type': 'scale', 'scale': [1.0, 2.0, 2.0]},
        {'type': 'translation', 'translation': [0.0, 5.0, 7.0]},
    ]
    inner = [SCALE, {'type': 'translation', 'translation': [0.0, 1.0, 1.0]}]
    parsed = parse_attributes({
        'multiscales': [
            image(
                name='n',
                datasets=[{'path': 's0', 'coordinateTransformations': inner}],
                coordinateTransformations=outer,
                metadata={'description': 'words'},
            )
        ],
        'omero': {'channels': [{'label': 'DAPI', 'color': '0000ff', 'active': False,
                                'window': {'min': 0, 'max': 255, 'start': 3, 'end': 90}}]},
        'girder_zarr': {'bands': 1},
    })  # fmt: skip
    multiscale = parsed.multiscales[0]
    assert multiscale.levels[0].scale == (1.0, 1.0, 0.5)
    assert multiscale.levels[0].translation == (0.0, 7.0, 9.0)
    assert multiscale.axes[2] == Axis('x', 'space', 'micrometer')
    assert (multiscale.name, multiscale.description, multiscale.version) == ('n', 'words', '0.4')
    assert multiscale.channels == (Channel('DAPI', '0000FF', Window(0, 255, 3, 90), active=False),)
    assert multiscale.extra == {'bands': 1}
    assert parsed.problems == ()


@pytest.mark.parametrize('wrap', [True, False])
def test_0_5_inside_and_outside_of_ome(wrap: bool) -> None:
    inner = {'multiscales': [image()], 'omero': {'channels': [{'label': 'a'}]}}
    inner['multiscales'][0].pop('version')  # type: ignore[index]
    attributes = {'ome': {'version': '0.5', **inner}} if wrap else {'version': '0.5', **inner}
    parsed = parse_attributes(attributes)
    assert parsed.version == '0.5'
    assert parsed.multiscales[0].version == '0.5'
    assert parsed.multiscales[0].channels == (Channel('a'),)


@pytest.mark.parametrize('named', [True, False])
def test_0_6_coordinate_systems(named: bool) -> None:
    output = {'name': 'physical'} if named else 'physical'
    steps = [SCALE, {'type': 'translation', 'translation': [0.0, 3.0, 4.0]}]
    transform = {'type': 'sequence', 'transformations': steps, 'input': {'path': 's0'}, 'output': output}
    multiscale = {
        'coordinateSystems': [
            {'name': 'other', 'axes': [{'name': 'q'}]},
            {'name': 'physical', 'axes': AXES},
        ],
        'datasets': [{'path': 's0', 'coordinateTransformations': [transform]}],
    }
    parsed = parse_attributes({'ome': {'version': '0.6.dev3', 'multiscales': [multiscale]}})
    found = parsed.multiscales[0]
    assert [axis.name for axis in found.axes] == ['c', 'y', 'x']
    assert found.levels[0].scale == (1.0, 0.5, 0.25)
    assert found.levels[0].translation == (0.0, 3.0, 4.0)
    assert parsed.version == '0.6.dev3'


def test_affine_without_turning_is_a_scale() -> None:
    affine = {'type': 'affine', 'affine': [[1, 0, 0, 0], [0, 2, 0, 5], [0, 0, 3, 6]]}
    turned = {'type': 'affine', 'affine': [[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0]]}
    level = (
        parse_attributes(
            {'multiscales': [image(datasets=[{'path': '0', 'coordinateTransformations': [affine]}])]}
        )
        .multiscales[0]
        .levels[0]
    )
    assert (level.scale, level.translation) == ((1.0, 2.0, 3.0), (0.0, 5.0, 6.0))
    parsed = parse_attributes(
        {'multiscales': [image(datasets=[{'path': '0', 'coordinateTransformations': [turned]}])]}
    )
    assert parsed.multiscales[0].levels[0].scale == (1.0, 1.0, 1.0)
    assert any('affine' in problem for problem in parsed.problems)


@pytest.mark.parametrize('version', ['0.4-dev-spatialdata', 'latest', None, 0.4, '9.9'])
def test_any_version_and_none(version: object) -> None:
    parsed = parse_attributes({'multiscales': [image(version=version)]})
    assert parsed.multiscales[0].levels[0].path == 's0'
    assert parsed.version == (None if version is None else str(version))


def test_omero_in_the_metadata_of_spatialdata() -> None:
    parsed = parse_attributes(
        {'multiscales': [image(metadata={'omero': {'channels': [{'label': 0}, {'label': 1}]}})]}
    )
    assert parsed.multiscales[0].channels == (Channel('0'), Channel('1'))


@pytest.mark.parametrize(
    ('stored', 'expected'),
    [
        ('#ff00aa', 'FF00AA'),
        ('FF00AA80', 'FF00AA'),
        ('red', None),
        (16711680, None),
        ('', None),
        (None, None),
    ],
)
def test_colors(stored: object, expected: str | None) -> None:
    parsed = parse_attributes({'multiscales': [image()], 'omero': {'channels': [{'color': stored}]}})
    assert parsed.multiscales[0].channels == (Channel(None, expected),)


def test_incomplete_windows() -> None:
    windows = [{'start': 1, 'end': 5}, {'min': 0, 'max': 9}, {'start': 1}, {'start': 'a', 'end': 5}, 'no']
    parsed = parse_attributes({
        'multiscales': [image()], 'omero': {'channels': [{'window': window} for window in windows]},
    })  # fmt: skip
    found = [channel.window for channel in parsed.multiscales[0].channels or ()]
    assert found == [Window(1, 5, 1, 5), Window(0, 9, 0, 9), None, None, None]
    assert parsed.problems == ('Some omero channels have no complete window.',)


def test_axes_in_upper_case_and_with_values() -> None:
    axes = [
        {'name': 'Z', 'values': [1, 2.5]},
        {'name': 'Y'},
        {'name': 'Wavelength', 'type': 'odd', 'unit': ''},
    ]
    parsed = parse_attributes({'multiscales': [image(axes=axes)]})
    assert parsed.multiscales[0].axes == (
        Axis('z', 'space', None, (1, 2.5), label='Z'),
        Axis('y', 'space', label='Y'),
        Axis('Wavelength', 'custom'),
    )


def test_scale_zero_counts_as_one() -> None:
    zero = {'type': 'scale', 'scale': [0, 0, 1.0]}
    parsed = parse_attributes(
        {'multiscales': [image(datasets=[{'path': '0', 'coordinateTransformations': [zero]}])]}
    )
    assert parsed.multiscales[0].levels[0].scale == (1.0, 1.0, 1.0)
    assert any('zero' in problem for problem in parsed.problems)


def test_collections_plates_wells_labels() -> None:
    assert parse_attributes({'bioformats2raw.layout': 3}).layout == 3
    assert parse_attributes({'ome': {'series': ['b', 'a']}}).series == ('b', 'a')
    assert parse_attributes({'labels': ['cells', 'a/b']}).labels == ('cells', 'a/b')
    assert parse_attributes({'ome': {'plate': {'wells': []}}}).plate == {'wells': []}
    assert parse_attributes({'well': {'images': []}}).well == {'images': []}
    assert parse_attributes({}).multiscales == ()


@pytest.mark.parametrize(
    'attributes',
    [
        {'multiscales': 5},
        {'multiscales': [5]},
        {'multiscales': [image(datasets=[5])]},
        {'multiscales': [image(datasets=[{'path': '../x'}])]},
        {'multiscales': [image(datasets=[{'path': '0'}] * 1000)]},
        {'multiscales': [image(axes=[{'name': 'x'}, {'name': 'X'}])]},
        {'multiscales': [image(axes=[{}, {}])]},
        {'multiscales': [image(axes=['a'] * 100)]},
        {'labels': ['/etc']},
        {'series': [['a']]},
    ],
)
def test_what_cannot_be_read(attributes: dict[str, Any]) -> None:
    with pytest.raises(UnreadableImageError):
        parse_attributes(attributes)


@pytest.mark.parametrize(
    ('unit', 'expected'),
    [
        ('micrometer', 1e-3), ('millimeter', 1), ('meter', 1e3), ('nanometer', 1e-6), ('angstrom', 1e-7),
        ('inch', 25.4), ('um', 1e-3), ('µm', 1e-3), ('Micrometers', 1e-3), ('micrometre', 1e-3),
        ('foot', 304.8), ('centimeter', 10), ('kilometer', 1e6), ('pixel', None), ('second', None),
        (None, None), (5, None), ('s', None),
    ],
)  # fmt: skip
def test_units(unit: Any, expected: float | None) -> None:
    found = millimeters(unit)
    assert found == (None if expected is None else pytest.approx(expected))
