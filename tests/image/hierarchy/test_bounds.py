"""What metadata may cost: wells and fields, keys of a database, values of JSON, pixels of a thumbnail."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import girder_zarr.image as gz
from girder_zarr.errors import OutputSizeError, UnreadableImageError
from girder_zarr.image.store.stores import open_store
from support.hostile_files import nested_json
from support.images import write
from support.stores import database

if TYPE_CHECKING:
    from pathlib import Path


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def plate(wells: int, well: dict[str, Any]) -> dict[str, bytes]:
    listed = [{'path': f'A/{number}', 'rowIndex': 0, 'columnIndex': 0} for number in range(wells)]
    content = {'plate': {'rows': [{'name': 'A'}], 'columns': [{'name': '1'}], 'wells': listed}}
    return {
        '.zgroup': b'{"zarr_format": 2}',
        '.zattrs': json.dumps(content).encode(),
        'A/0/.zgroup': b'{"zarr_format": 2}',
        'A/0/.zattrs': json.dumps({'well': well}).encode(),
    }


def test_metadata_that_expands_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = zipped(tmp_path / 'a.zarr.zip', {'.zgroup': b'{"zarr_format": 2}', '.zattrs': nested_json(10**7)})
    assert path.stat().st_size < 60_000
    with pytest.raises(UnreadableImageError, match='values'):
        gz.open(path)


def test_wells_are_bounded(tmp_path: Path) -> None:
    path = zipped(tmp_path / 'a.zarr.zip', plate(30_000, {'images': [{'path': '0'}]}))
    with pytest.raises(UnreadableImageError, match='30000 wells; at most 20000'):
        gz.open(path)


def test_fields_of_all_wells_together_are_bounded(tmp_path: Path) -> None:
    well = {'images': [{'path': str(number)} for number in range(50_000)]}
    path = zipped(tmp_path / 'a.zarr.zip', plate(5_000, well))
    with pytest.raises(UnreadableImageError, match='at most 100000 fields'):
        gz.open(path)


def test_cells_of_a_database_page_cannot_share_bytes(tmp_path: Path) -> None:
    path = database(tmp_path / 'a.db', {f'{n:04}{"x" * 1000}': b'' for n in range(60)}, page=65536)
    data = bytearray(path.read_bytes())
    size = 65536
    for page in range(1, len(data) // size):
        start = page * size
        if data[start] == 10:  # a leaf of the index: its first cell, again and again
            count = 20_000
            struct.pack_into('>H', data, start + 3, count)
            place = data[start + 8 : start + 10]
            data[start + 8 : start + 8 + 2 * count] = bytes(place) * count
    path.write_bytes(data)
    with pytest.raises(UnreadableImageError, match='overlap'):
        list(open_store(path).keys())


def test_rows_that_share_overflow_pages_are_refused(tmp_path: Path) -> None:
    path = database(tmp_path / 'a.db', {f'{n:04}{"x" * 3000}': b'' for n in range(400)}, page=512)
    store = open_store(path)
    assert len(list(store.keys())) == 400  # honest ones are not


@pytest.mark.parametrize(
    'given',
    [{'width': 16_000, 'height': 16_000}, {'width': 16_000}, {'width': 5000, 'height': 5000, 'fill': '#fff'}],
)
def test_pixels_of_a_thumbnail_are_bounded(tmp_path: Path, given: dict[str, Any]) -> None:
    source = gz.open(write(tmp_path / 'a.zarr', [np.zeros((60, 50), np.uint8)], 'yx'))
    with pytest.raises(OutputSizeError, match='the limit is 16777216'):
        source.getThumbnail(**given)
    assert source.getThumbnail(width=100, height=100)


def test_other_thumbnails_are_made(tmp_path: Path) -> None:
    source = gz.open(write(tmp_path / 'a.zarr', [np.zeros((60, 50), np.uint8)], 'yx'))
    for given in ({}, {'width': 64}, {'height': 64}, {'width': 16_000, 'height': 20}):
        data, _ = source.getThumbnail(**given)
        assert io.BytesIO(data).read(2) == b'\xff\xd8'
