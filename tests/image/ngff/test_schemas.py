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
