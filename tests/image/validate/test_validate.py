"""What is wrong with a hierarchy is found, each fault by itself; what is right stays valid."""

from __future__ import annotations

import json
import shutil
from typing import Any

import numpy as np
import pytest

from girder_zarr import image
from girder_zarr.errors import MissingImageError, UnreadableImageError
from girder_zarr.image.validate.findings import Bounds
from girder_zarr.image.validate.hierarchy import validate

VERSIONS = ('0.4', '0.5', '0.6')


@pytest.fixture(scope='module')
def written(tmp_path_factory: Any) -> Any:
    """Return images of each version as the sink writes them."""
    pytest.importorskip('jsonschema')
    folder = tmp_path_factory.mktemp('valid')
    for version in VERSIONS:
        sink = image.new()
        pixels = np.random.default_rng(0).integers(0, 255, (900, 1000, 3)).astype('uint8')
        sink.addTile(pixels, 0, 0)
        sink.mm_x = sink.mm_y = 0.001
        sink.write(folder / f'{version}.zarr', version=version)
    return folder


@pytest.fixture
def edited(written: Any, tmp_path: Any) -> Any:
    """Return a function that changes the metadata of a copy, and its path."""

    def edit(version: Any, change: Any = None, where: Any = '') -> Any:
        copy = tmp_path / f'{version}.zarr'
        if not copy.exists():
            shutil.copytree(written / f'{version}.zarr', copy)
        path = next(
            copy / where / name for name in ('zarr.json', '.zattrs') if (copy / where / name).exists()
        )
        document = json.loads(path.read_text())
        if change is not None:
            attributes = document.get('attributes', document) if where == '' else document
            change(attributes.get('ome', attributes))
            path.write_text(json.dumps(document))
        return copy

    return edit


@pytest.mark.parametrize('version', VERSIONS)
def test_what_the_sink_writes_is_valid(written: Any, version: Any) -> None:
    report = validate(written / f'{version}.zarr')
    assert (report.valid, report.errors, report.hints) == (True, [], [])
    assert (report.groups, report.arrays) == (1, 2)
    assert report.keys > 0


def multiscale(ome: Any) -> Any:
    return ome['multiscales'][0]


FAULTS = {
    'a level is missing': (
        lambda ome: multiscale(ome)['datasets'].append({**multiscale(ome)['datasets'][-1], 'path': '9'}),
        '9: there is no array',
    ),
    'levels in another order': (lambda ome: multiscale(ome)['datasets'].reverse(), 'is larger than'),
    'an axis too many': (
        lambda ome: multiscale(ome)['axes'].insert(0, {'name': 't', 'type': 'time'}),
        'has 3 dimensions; the axes are t, c, y, x',
    ),
    'axes in another order': (lambda ome: multiscale(ome)['axes'].reverse(), 'are ordered time, channel'),
    'a scale of the wrong length': (
        lambda ome: multiscale(ome)['datasets'][0]['coordinateTransformations'][0]['scale'].append(1.0),
        'a scale has 4 numbers; there are 3 axes',
    ),
    'a path out of the hierarchy': (
        lambda ome: multiscale(ome)['datasets'][0].update(path='../../etc'),
        'The path of a dataset',
    ),
    'no datasets': (lambda ome: multiscale(ome).pop('datasets'), 'datasets'),
    'a type that is none': (lambda ome: ome.update(multiscales='many'), 'multiscales should be a list'),
    'no metadata': (lambda ome: ome.clear(), 'there is no OME-Zarr metadata'),
}


@pytest.mark.parametrize('version', ['0.4', '0.5'])
@pytest.mark.parametrize('fault', FAULTS)
def test_each_fault_of_an_image_is_an_error(edited: Any, version: Any, fault: Any) -> None:
    change, words = FAULTS[fault]
    report = validate(edited(version, change))
    assert not report.valid
    assert any(words in sentence for sentence in report.errors), report.errors


@pytest.mark.parametrize('version', ['0.5', '0.6'])
def test_names_of_dimensions(edited: Any, version: Any) -> None:
    copy = edited(version, lambda array: array.update(dimension_names=['c', 'x', 'y']), '0')
    assert any('its dimension_names are c, x, y' in one for one in validate(copy).errors)
    edited(version, lambda array: array.pop('dimension_names'), '0')
    assert any('has no dimension_names' in one for one in validate(copy).errors)


def test_an_array_of_the_other_format(edited: Any) -> None:
    copy = edited('0.5', lambda ome: ome.update(version='0.4'))
    assert not validate(copy).valid
    old = edited('0.4', lambda ome: multiscale(ome).update(version='0.5'))
    assert any('is zarr v2' in one for one in validate(old).errors)


def test_keys_that_are_no_chunks(edited: Any) -> None:
    copy = edited('0.4')
    (copy / '0' / '9').mkdir()
    (copy / '0' / '9' / 'notes').write_text('x')
    report = validate(copy)
    assert report.valid
    assert any('9/notes' in hint for hint in report.hints)
    array = json.loads((copy / '1' / '.zarray').read_text())
    (copy / '1' / '.zarray').write_text(json.dumps({**array, 'dimension_separator': '.'}))
    assert any('1: no key is one of its chunks' in one for one in validate(copy).errors)


def test_hints_are_no_errors(edited: Any) -> None:
    def unlike(ome: Any) -> Any:
        for channel in ome['omero']['channels'][:1]:
            ome['omero']['channels'] = [channel]
        multiscale(ome)['datasets'][1]['coordinateTransformations'][0]['scale'][-1] *= 3

    report = validate(edited('0.5', unlike))
    assert report.valid, report.errors
    assert any('omero names 1 channels; the image has 3' in hint for hint in report.hints)
    assert any('pixels along x do not fit its scale' in hint for hint in report.hints)


def test_labels(edited: Any, written: Any) -> None:
    copy = edited('0.5')
    labels = copy / 'labels'
    labels.mkdir()
    document = {'zarr_format': 3, 'node_type': 'group'}
    ome = {'version': '0.5', 'labels': ['cells', 'lost']}
    (labels / 'zarr.json').write_text(json.dumps({**document, 'attributes': {'ome': ome}}))
    shutil.copytree(written / '0.5.zarr', labels / 'cells')
    report = validate(copy)
    assert [one for one in report.errors if one.startswith('labels/lost: is missing')]
    assert any('labels/cells: is a label without image-label' in hint for hint in report.hints)


def test_a_plate(written: Any, tmp_path: Any) -> None:
    plate = tmp_path / 'plate.zarr'
    group = {'zarr_format': 3, 'node_type': 'group'}

    def make(path: Any, **ome: Any) -> Any:
        (plate / path).mkdir(parents=True, exist_ok=True)
        document = {**group, 'attributes': {'ome': {'version': '0.5', **ome}} if ome else {}}
        (plate / path / 'zarr.json').write_text(json.dumps(document))

    def describe(**changes: Any) -> Any:
        whole = {
            'name': 'p', 'field_count': 1, 'version': '0.5', 'acquisitions': [{'id': 0}],
            'rows': [{'name': 'A'}], 'columns': [{'name': '1'}, {'name': '2'}],
            'wells': [{'path': 'A/1', 'rowIndex': 0, 'columnIndex': 0}],
        }  # fmt: skip
        make('', plate={**whole, **changes})

    describe()
    make('A')
    make('A/1', well={'version': '0.5', 'images': [{'path': '0', 'acquisition': 0}]})
    shutil.copytree(written / '0.5.zarr', plate / 'A' / '1' / '0')
    report = validate(plate)
    assert (report.errors, report.groups) == ([], 3)
    describe(wells=[{'path': 'A/1', 'rowIndex': 0, 'columnIndex': 1}])
    errors = validate(plate).errors
    assert any('is said to lie at row 0, column 1, which is A/2' in one for one in errors), errors
    describe(wells=[{'path': 'A/2', 'rowIndex': 0, 'columnIndex': 1}])
    assert any(one.startswith('A/2: is missing') for one in validate(plate).errors)
    describe()
    make('A/1', well={'version': '0.5', 'images': [{'path': '0', 'acquisition': 7}, {'path': '1'}]})
    errors = validate(plate).errors
    assert any('names the acquisition 7' in one for one in errors)
    assert any(one.startswith('A/1/1: is missing') for one in errors)


def test_an_attributes_document(tmp_path: Any, written: Any) -> None:
    whole = json.loads((written / '0.5.zarr' / 'zarr.json').read_text())['attributes']
    path = tmp_path / 'attributes.json'
    path.write_text(json.dumps(whole))
    assert validate(path).valid
    whole['ome']['multiscales'][0]['axes'][1]['name'] = 7
    path.write_text(json.dumps(whole))
    assert not validate(path).valid
    path.write_text(json.dumps({'ome': {'version': '0.5'}}))
    assert not validate(path).valid
    path.write_text('[1')
    with pytest.raises(UnreadableImageError):
        validate(path)


def test_what_is_bounded(written: Any) -> None:
    report = validate(written / '0.5.zarr', Bounds(keys=1))
    assert report.valid
    assert any('only 1 of its keys were looked at' in hint for hint in report.hints)


def test_nothing_and_something_else(tmp_path: Any) -> None:
    with pytest.raises(MissingImageError):
        validate(tmp_path / 'none.zarr')
    (tmp_path / 'a.txt').write_text('x' * 100)
    with pytest.raises(UnreadableImageError):
        validate(tmp_path / 'a.txt')
    assert not validate(tmp_path).valid


def test_an_endless_hierarchy(tmp_path: Any) -> None:
    """Groups that name themselves, or each other, end."""
    for name, other in (('a', '../b'), ('b', '../a')):
        (tmp_path / name).mkdir()
        ome = {'version': '0.5', 'series': [other, '.'], 'bioformats2raw.layout': 3}
        document = {'zarr_format': 3, 'node_type': 'group', 'attributes': {'ome': ome}}
        (tmp_path / name / 'zarr.json').write_text(json.dumps(document))
    assert not validate(tmp_path / 'a').valid
