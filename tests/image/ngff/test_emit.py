"""What we write about images, held against the official schemas and other people's models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from girder_zarr.errors import EditError
from girder_zarr.image.ngff import emit
from girder_zarr.image.ngff.metadata import Axis, Channel, Version, Window
from girder_zarr.image.ngff.parse import parse_attributes
from girder_zarr.image.write.output_spec import OutputSpec
from girder_zarr.image.write.pyramid import write_image

if TYPE_CHECKING:
    from pathlib import Path

ngff_validate = pytest.importorskip('ngff_zarr.validate', reason='needs ngff-zarr for the official schemas')
yaozarrs = pytest.importorskip('yaozarrs', reason='needs yaozarrs')
VERSIONS: list[Version] = ['0.4', '0.5', '0.6']

CASES: dict[str, dict[str, Any]] = {
    'plain': {'shape': (70, 90), 'axes': 'yx'},
    'rgb': {'shape': (3, 70, 90), 'axes': 'cyx', 'bands': 3},
    'channels and bands': {'shape': (2, 6, 70, 90), 'axes': 'tcyx', 'bands': 3},
    'five axes': {'shape': (2, 3, 4, 70, 90), 'axes': 'tczyx'},
    'values': {
        'shape': (2, 70, 90),
        'axes': [Axis('t', 'time', 'second', (0.0, 2.5)), 'y', 'x'],
        'units': {'x': 'micrometer'},
    },
}


def spec_of(case: str, version: Version) -> OutputSpec:
    options = {'chunk': 32, 'scale': {'x': 0.25, 'y': 0.5}, 'name': 'a name', **CASES[case]}
    return OutputSpec.create(options.pop('shape'), 'uint16', version=version, **options)


@pytest.mark.parametrize('version', VERSIONS)
@pytest.mark.parametrize('case', CASES)
def test_metadata_is_valid(tmp_path: Path, case: str, version: Version) -> None:
    spec = spec_of(case, version)
    write_image(
        tmp_path, spec, lambda region: np.ones([part.stop - part.start for part in region], np.uint16)
    )
    attributes = dict(zarr.open_group(tmp_path, mode='r').attrs)
    ngff_validate.validate(attributes, version=version, strict=version == '0.4')
    if version != '0.6':
        yaozarrs.validate_zarr_store(str(tmp_path))


@pytest.mark.parametrize('version', VERSIONS)
@pytest.mark.parametrize('case', CASES)
def test_what_is_written_is_parsed_to_the_same_model(case: str, version: Version) -> None:
    multiscale = spec_of(case, version).described()
    parsed = parse_attributes(emit.image_attributes(multiscale, version))
    assert parsed.multiscales == (multiscale,)


def test_levels_keep_the_image_where_it_is() -> None:
    level = spec_of('rgb', '0.5').described().levels[2]
    assert level.scale == (1, 2, 1)
    # the centre of the first pixel of a level of 4 x 4 pixels lies 1.5 pixels further in
    assert level.translation == (0, 1.5 * 0.5, 1.5 * 0.25)


def test_channels_have_six_digits_and_a_whole_window() -> None:
    channels = spec_of('channels and bands', '0.5').multiscale.channels
    assert channels is not None
    assert [channel.label for channel in channels[:4]] == [
        'Channel 1 Red', 'Channel 1 Green', 'Channel 1 Blue', 'Channel 2 Red',
    ]  # fmt: skip
    assert [channel.color for channel in channels[:3]] == ['FF0000', '00FF00', '0000FF']
    assert channels[0].window == Window(0, 65535, 0, 65535)
    attributes = emit.image_attributes(spec_of('rgb', '0.5').described(), '0.5')
    assert attributes['ome']['omero']['channels'][0]['window'] == {
        'min': 0,
        'max': 65535,
        'start': 0,
        'end': 65535,
    }


def test_a_channel_without_anything_still_gets_colour_and_window() -> None:
    spec = OutputSpec.create((1, 8, 8), 'float32', axes='cyx', channels=[Channel()])
    omero = emit.image_attributes(spec.described(), '0.4')['omero']
    assert omero['channels'][0]['color'] == 'FFFFFF'
    assert set(omero['channels'][0]['window']) == {'min', 'max', 'start', 'end'}


def test_dimensions_have_the_names_of_the_axes(tmp_path: Path) -> None:
    spec = spec_of('five axes', '0.5')
    write_image(tmp_path, spec, lambda _region: None)
    array: Any = zarr.open_group(tmp_path, mode='r')['1']
    assert array.metadata.dimension_names == ('t', 'c', 'z', 'y', 'x')


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(EditError, match='must be JSON'):
        emit.document({'value': float('nan')})
    with pytest.raises(EditError, match='must be JSON'):
        emit.document({'value': object()})
