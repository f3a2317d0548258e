"""The validator finds every fault that the official JSON schemas find, wherever a document is changed."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import referencing
from referencing.jsonschema import DRAFT202012

from girder_zarr.image.validate.hierarchy import validate_attributes

if TYPE_CHECKING:
    from collections.abc import Iterator

jsonschema: Any = pytest.importorskip('jsonschema', reason='needs the extra validate')
ngff_zarr: Any = pytest.importorskip('ngff_zarr', reason='needs ngff-zarr for the official schemas')

AXES = [
    {'name': 't', 'type': 'time', 'unit': 'second'},
    {'name': 'c', 'type': 'channel'},
    {'name': 'y', 'type': 'space', 'unit': 'micrometer'},
    {'name': 'x', 'type': 'space', 'unit': 'micrometer'},
]
WINDOW = {'start': 0, 'end': 1500, 'min': 0, 'max': 65535}
OMERO = {'channels': [{'color': '0000FF', 'label': 'DAPI', 'window': WINDOW}], 'rdefs': {'model': 'color'}}
PLATE = {
    'acquisitions': [{'id': 1, 'maximumfieldcount': 2, 'name': 'one', 'starttime': 5, 'endtime': 9}],
    'columns': [{'name': '1'}, {'name': '2'}],
    'rows': [{'name': 'A'}],
    'field_count': 4,
    'name': 'a plate',
    'wells': [{'path': 'A/1', 'rowIndex': 0, 'columnIndex': 0}],
}
WELL = {'images': [{'acquisition': 1, 'path': '0'}, {'acquisition': 1, 'path': '1'}]}
LABEL = {
    'colors': [{'label-value': 0, 'rgba': [0, 0, 128, 128]}, {'label-value': 1, 'rgba': [0, 0, 128, 128]}],
    'properties': [{'label-value': 0, 'class': 'a'}],
    'source': {'image': '../../'},
}
#: What each place of a document is replaced by.
VALUES: tuple[Any, ...] = (None, -1, 'x y', [], {})


def multiscale(version: str) -> dict[str, Any]:
    steps = [
        {'type': 'scale', 'scale': [1, 1, 0.5, 0.5]},
        {'type': 'translation', 'translation': [0, 0, 1, 1]},
    ]
    if version != '0.6':
        return {'name': 'n', 'axes': AXES, 'datasets': [{'path': '0', 'coordinateTransformations': steps}]}
    ends = {'input': {'path': '0'}, 'output': {'name': 'physical'}}
    whole = [{'type': 'sequence', **ends, 'transformations': steps}]
    return {
        'name': 'n',
        'coordinateSystems': [{'name': 'physical', 'axes': AXES}],
        'datasets': [{'path': '0', 'coordinateTransformations': whole}],
    }


def documents(version: str) -> dict[str, dict[str, Any]]:
    """A valid document of each kind, by the name of its schema."""
    found: dict[str, dict[str, Any]] = {
        'image': {'multiscales': [multiscale(version)], 'omero': OMERO},
        'plate': {'plate': PLATE},
        'well': {'well': WELL},
        'label': {'image-label': LABEL},
        'bf2raw': {'bioformats2raw.layout': 3},
    }
    if version != '0.4':
        return {name: {'ome': {'version': version, **content}} for name, content in found.items()}
    found['image']['multiscales'][0]['version'] = version
    for name, key in (('plate', 'plate'), ('well', 'well'), ('label', 'image-label')):
        found[name] = {key: {**found[name][key], 'version': version}}
    return found


def official(version: str, model: str) -> Any:
    folder = Path(ngff_zarr.__file__).parent / 'spec' / version / 'schemas'
    schemas = {path.stem: json.loads(path.read_bytes()) for path in folder.glob('*.schema')}
    registry: Any = referencing.Registry().with_resources(
        (one['$id'], referencing.Resource.from_contents(one, default_specification=DRAFT202012))
        for one in schemas.values()
    )
    return jsonschema.Draft202012Validator(schemas[model], registry=registry)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield from places(one, (*path, key))


def changed(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the document with each place removed and replaced; lists with their last entry twice."""
    for *above, last in places(document):

        def at(content: Any, above: list[Any] = above) -> Any:
            for key in above:
                content = content[key]
            return content

        removed = copy.deepcopy(document)
        del at(removed)[last]
        yield f'{[*above, last]} removed', removed
        old = at(document)[last]
        for value in (*VALUES, *([[*old, old[-1]]] if isinstance(old, list) and old else [])):
            other = copy.deepcopy(document)
            at(other)[last] = value
            yield f'{[*above, last]} = {value!r}', other


@pytest.mark.parametrize('version', ['0.4', '0.5', '0.6'])
@pytest.mark.parametrize('model', ['image', 'plate', 'well', 'label', 'bf2raw'])
def test_what_the_schemas_refuse_is_refused(version: str, model: str) -> None:
    document, schema = documents(version)[model], official(version, model)
    assert schema.is_valid(document)
    report = validate_attributes(document)
    assert report.valid, report.errors
    passed = [
        what
        for what, other in changed(document)
        if not schema.is_valid(other) and validate_attributes(other).valid
    ]
    assert not passed


@pytest.mark.parametrize('version', ['0.4-dev-spatialdata', '0.5.dev1', '0.6.dev4', '0.9.dev2'])
def test_development_versions_are_those_that_they_lead_to(version: str) -> None:
    document = documents('0.6' if version[:3] == '0.9' else version[:3])['image']
    content = document.get('ome') or document['multiscales'][0]
    content['version'] = version
    report = validate_attributes(document)
    assert report.valid, report.errors
    (document.get('ome') or document)['multiscales'][0]['datasets'] = []
    assert not validate_attributes(document).valid


@pytest.mark.parametrize('value', [1.5, 'latest', '', '1', [], True])
def test_what_is_no_version_is_an_error(value: Any) -> None:
    for version in ('0.4', '0.5'):
        document = documents(version)['image']
        (document.get('ome') or document['multiscales'][0])['version'] = value
        assert not validate_attributes(document).valid


def test_a_missing_version_was_allowed_before_0_5() -> None:
    old: dict[str, Any] = {'multiscales': [{'datasets': [{'path': '0'}]}]}
    assert validate_attributes(old).valid
    document = documents('0.4')['image']
    del document['multiscales'][0]['version']
    assert validate_attributes(document).valid
    del document['multiscales'][0]['axes']
    assert not validate_attributes(document).valid
