"""What the official JSON schemas find stands in the internal metadata."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

import girder_zarr.image as gz
from girder_zarr.image.ngff import schemas

if TYPE_CHECKING:
    from pathlib import Path

GOOD: dict[str, Any] = {
    'multiscales': [
        {
            'axes': [
                {'name': 'y', 'type': 'space', 'unit': 'micrometer'},
                {'name': 'x', 'type': 'space', 'unit': 'micrometer'},
            ],
            'datasets': [
                {'path': '0', 'coordinateTransformations': [{'type': 'scale', 'scale': [0.5, 0.5]}]},
            ],
        }
    ]
}


def internal(folder: Path, version: str, change: dict[str, Any] | None = None) -> dict[str, Any]:
    content = json.loads(json.dumps(GOOD))
    content['multiscales'][0].update(change or {})
    if version == '0.4':
        content['multiscales'][0]['version'] = version
    group = zarr.create_group(folder, zarr_format=2 if version == '0.4' else 3)
    array = group.create_array('0', shape=(20, 30), chunks=(20, 30), dtype='uint8')
    array[...] = 5
    group.attrs.update(content if version == '0.4' else {'ome': {**content, 'version': version}})
    result: dict[str, Any] = gz.open(folder, noCache=True).getInternalMetadata()['zarr']
    return result


@pytest.mark.parametrize('version', ['0.4', '0.5'])
def test_good_metadata(tmp_path: Path, version: str) -> None:
    found = internal(tmp_path / 'a.zarr', version)
    assert not any('schema' in problem for problem in found['problems'])
    assert found['schemas'] == f'Checked by the official JSON schemas of version {version}: image.'


@pytest.mark.parametrize('version', ['0.4', '0.5'])
def test_what_is_wrong_is_listed(tmp_path: Path, version: str) -> None:
    found = internal(tmp_path / 'a.zarr', version, {'name': 5})
    place = '$.multiscales[0].name' if version == '0.4' else '$.ome.multiscales[0].name'
    assert f"image schema {version}, {place}: 5 is not of type 'string'" in found['problems']


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name: None if name == 'jsonschema' else find(name)
    )
    schemas._folder.cache_clear()
    try:
        found = internal(tmp_path / 'a.zarr', '0.4', {'axes': [{'name': 'y'}, {'name': 'x'}]})
        assert 'girder-zarr[validate]' in found['schemas']
        assert any('no unit' in problem for problem in found['problems'])
    finally:
        schemas._folder.cache_clear()


def test_large_metadata_is_not_checked(tmp_path: Path) -> None:
    found = internal(tmp_path / 'a.zarr', '0.5', {'metadata': {str(n): n for n in range(30_000)}})
    assert found['schemas'].startswith('Not checked: the metadata has more than')
    found = internal(tmp_path / 'b.zarr', '0.5', {'name': 'x' * 10_000_000})
    assert found['schemas'].startswith('Not checked: the metadata has more than')


def test_what_we_write_is_valid(tmp_path: Path) -> None:
    for version in ('0.4', '0.5'):
        sink = gz.new()
        sink.addTile(np.full((60, 80, 3), 90, np.uint8), x=0, y=0)
        sink.mm_x = sink.mm_y = 0.001
        sink.write(str(tmp_path / f'{version}.zarr'), lossy=False, version=version)
        found = gz.open(tmp_path / f'{version}.zarr').getInternalMetadata()['zarr']
        assert found['problems'] == []
        assert found['schemas'].startswith('Checked by')


ALIKE = [
    [],
    [1, 2],
    [1, 1.0],
    [1, True],
    [0, False, None, '', [], {}],
    ['a', 'b', 'a'],
    [{'a': 1, 'b': [2]}, {'b': [2], 'a': 1.0}],
    [{'a': 1}, {'a': True}],
    [[1, 2], [2, 1]],
    [[{}], [{}]],
    [{'a': [1]}, ['a', [1]]],
    [None, None],
]


@pytest.mark.parametrize('items', ALIKE, ids=str)
def test_what_is_unique_is_what_jsonschema_says(items: list[Any]) -> None:
    jsonschema: Any = pytest.importorskip('jsonschema')
    schema = {'items': {'type': 'array', 'uniqueItems': True}}
    ours = jsonschema.validators.extend(
        jsonschema.Draft202012Validator, {'uniqueItems': schemas._unique_items}
    )
    expected = [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors([items])]
    assert [error.message for error in ours(schema).iter_errors([items])] == expected
    assert ours({'uniqueItems': False}).is_valid(items)
    assert ours({'uniqueItems': True}).is_valid({'no': 'list'})


def test_wells_of_a_plate_are_not_compared_in_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each well is looked at once, and that only while the document is new."""
    wells = [
        {'path': f'A/{at}', 'rowIndex': 0, 'columnIndex': at - 1} for at in range(1, 401)
    ]  # fmt: skip
    columns = [{'name': str(at)} for at in range(1, 401)]
    plate = {'version': '0.4', 'rows': [{'name': 'A'}], 'columns': columns, 'wells': wells}
    looked: list[object] = []
    original = schemas._comparable

    def comparable(value: Any) -> Any:
        looked.append(value)
        return original(value)

    monkeypatch.setattr(schemas, '_comparable', comparable)
    schemas._answers.clear()
    found = schemas.check_schemas({'plate': plate}, '0.4')
    assert found[0] == [], found
    # The 801 entries of three lists, and four values of each well at most.
    assert 801 <= len(looked) <= 801 + 2 * 400 + 3 * 400 + 1
    del looked[:]
    found[0].append('changed by who asked')
    assert schemas.check_schemas({'plate': {**plate}}, '0.4')[0] == []
    assert not looked
    plate['wells'] = [*wells, wells[0]]
    assert any('non-unique' in one for one in schemas.check_schemas({'plate': plate}, '0.4')[0])
