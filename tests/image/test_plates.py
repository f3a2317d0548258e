"""Plates: few reads at opening however many fields there are, ragged wells, and the overview."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.hierarchy.opening import open_hierarchy
from girder_zarr.image.store.keystore import KeyStore
from girder_zarr.image.store.stores import open_store
from support.images import decoded, opened, region

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIDE = 64


class Counted(KeyStore):
    """A store of which every read is counted, and what costs less by itself."""

    def __init__(self, inner: KeyStore) -> None:
        super().__init__(inner.name, inner.identity)
        self.inner, self.reads, self.looks, self.listings = inner, 0, 0, 0
        self.far, self.quick = inner.far, inner.quick

    def read(self, key: str, limit: int | None = None) -> bytes | None:
        self.reads += 1
        return self.inner.read(key, limit)

    def read_range(self, key: str, start: int, length: int) -> bytes | None:
        self.reads += 1
        return self.inner.read_range(key, start, length)

    def has(self, key: str) -> bool:
        self.looks += 1
        return self.inner.has(key)

    def names(self, folder: str) -> list[str]:
        self.listings += 1
        return self.inner.names(folder)

    def keys(self, prefix: str = '') -> Iterator[str]:
        return self.inner.keys(prefix)


def group(folder: Path, attributes: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / '.zgroup').write_text('{"zarr_format": 2}')
    (folder / '.zattrs').write_text(json.dumps(attributes))


def value(row: int, column: int, number: int) -> int:
    return 1000 * (row + 1) + 100 * (column + 1) + number + 1


def write_plate(
    folder: Path,
    rows: int,
    columns: int,
    fields: dict[tuple[int, int], list[str]] | int,
    *,
    count: int | None = None,
    dtype: str = '<u2',
) -> Path:
    """Write a plate of two levels with one value a field; ``fields`` are names by well, or how many."""
    letters, numbers = 'ABCDEFGHIJKLMNOP'[:rows], [str(number + 1) for number in range(columns)]
    wells: list[dict[str, Any]] = [
        {'path': f'{letter}/{number}', 'rowIndex': row, 'columnIndex': column}
        for row, letter in enumerate(letters)
        for column, number in enumerate(numbers)
    ]
    plate: dict[str, Any] = {
        'rows': [{'name': name} for name in letters],
        'columns': [{'name': name} for name in numbers],
        'wells': wells,
        'version': '0.4',
    }
    if count is not None:
        plate['field_count'] = count
    group(folder, {'plate': plate})
    axes = [{'name': name, 'type': 'space', 'unit': 'micrometer'} for name in 'yx']
    datasets = [
        {'path': str(at), 'coordinateTransformations': [{'type': 'scale', 'scale': [2**at] * 2}]}
        for at in range(2)
    ]
    image = {'multiscales': [{'version': '0.4', 'axes': axes, 'datasets': datasets}]}
    for well in wells:
        place = well['rowIndex'], well['columnIndex']
        names = [str(n) for n in range(fields)] if isinstance(fields, int) else fields.get(place, [])
        images = [{'path': name, 'acquisition': 3} for name in names]
        group(folder / well['path'], {'well': {'images': images, 'version': '0.4'}})
        for number, name in enumerate(names):
            group(folder / well['path'] / name, image)
            for level in range(2):
                array = folder / well['path'] / name / str(level)
                array.mkdir()
                side = SIDE >> level
                document = {
                    'zarr_format': 2, 'shape': [side, side], 'chunks': [side, side], 'dtype': dtype,
                    'compressor': None, 'filters': None, 'fill_value': 0, 'order': 'C',
                }  # fmt: skip
                (array / '.zarray').write_text(json.dumps(document))
                pixel = np.array(value(*place, number)).astype(dtype)
                (array / '0.0').write_bytes(np.full((side, side), pixel).tobytes())
    return folder


def test_reads_at_opening_do_not_grow_with_the_fields(tmp_path: Path) -> None:
    found = {}
    for rows, columns, fields in ((1, 2, 1), (1, 2, 9), (4, 6, 9), (8, 12, 4)):
        folder = write_plate(tmp_path / f'{rows}{columns}{fields}', rows, columns, fields, count=fields)
        store = Counted(open_store(folder))
        images = open_hierarchy(store)
        assert len(images.series) == rows * columns * fields + 1
        assert store.listings == 0
        assert store.looks <= 2 * rows * columns + 20  # a stat for each well, however many fields it has
        found[rows, columns, fields] = store.reads
    assert max(found.values()) - min(found.values()) <= 5, found  # of two fields none lies between
    assert found[4, 6, 9] == found[8, 12, 4]
    assert max(found.values()) <= 24


def test_without_a_field_count_reads_grow_with_the_wells_alone(tmp_path: Path) -> None:
    reads = []
    for fields in (1, 8):
        store = Counted(open_store(write_plate(tmp_path / str(fields), 3, 4, fields)))
        open_hierarchy(store)
        reads.append(store.reads)
    assert reads[0] == reads[1]


@pytest.mark.parametrize('count', [None, 3])
def test_wells_with_different_fields(tmp_path: Path, count: int | None) -> None:
    wells = {(0, 0): ['0', '1'], (0, 1): ['2', '5', '9'], (1, 1): ['x']}
    source = opened(write_plate(tmp_path / 'p', 2, 2, wells, count=count))
    frames = source.getMetadata()['frames']
    assert frames[-1]['Overview'] == 'plate'
    shown = {
        (frame['Row'], frame['Column'], frame['Field']): int(region(source, frame=number)[0, 0, 0])
        for number, frame in enumerate(frames[:-1])
    }
    expected = {
        ('AB'[row], '12'[column], number): value(row, column, number)
        for (row, column), names in wells.items()
        for number in range(len(names))
    }
    assert {place: found for place, found in shown.items() if found} == expected
    assert frames[0]['Acquisition'] == 3
    if count is None:
        assert len(shown) == len(expected)


@pytest.mark.parametrize('dtype', ['<u2', '>i4', '|u1'])
def test_the_overview(tmp_path: Path, dtype: str) -> None:
    wells = {(row, column): ['0', '1', '2'] for row, column in ((0, 0), (0, 3), (1, 1))}
    folder = write_plate(tmp_path / 'p', 3, 4, wells, dtype=dtype)
    plate = json.loads((folder / '.zattrs').read_text())
    used = [well for well in plate['plate']['wells'] if (well['rowIndex'], well['columnIndex']) in wells]
    plate['plate']['wells'] = used
    (folder / '.zattrs').write_text(json.dumps(plate))
    source = opened(folder)
    assert (source.frames, source.sizeX, source.sizeY) == (10, SIDE, SIDE)
    overview = region(source, frame=9)[..., 0]
    order = {(0, 0): (0, 0), (0, 3): (0, 2), (1, 1): (1, 1)}
    # Three columns of wells are used, with two by two fields in each, and a gap between wells.
    whole = 3 * (2 * SIDE + 4) + 2
    step = -(-whole // SIDE)
    for (row, column), (down, across) in order.items():
        for number in range(4):
            top = down * (2 * SIDE + 4) + number // 2 * SIDE + SIDE // 2
            left = across * (2 * SIDE + 4) + number % 2 * SIDE + SIDE // 2
            pixel = np.array(value(row, column, number) if number < 3 else 0).astype(dtype)
            assert overview[top // step, left // step] == pixel
    assert 'overview' in source.getAssociatedImagesList()
    assert decoded(source.getAssociatedImage('overview', encoding='PNG')[0]).any()
    assert source.getTile(0, 0, 0, frame=9)
    well = opened(folder / 'A' / '1')
    assert (well.frames, well.getMetadata()['frames'][3]['Overview']) == (4, 'well')


def test_a_damaged_field_is_an_error_of_its_own(tmp_path: Path) -> None:
    folder = write_plate(tmp_path / 'p', 1, 2, 2, count=2)
    (folder / 'A' / '2' / '0' / '0' / '0.0').write_bytes(b'short')
    source = opened(folder)
    assert region(source, frame=3)[0, 0, 0] == value(0, 1, 1)
    with pytest.raises(UnreadableImageError, match='A/2/0'):
        region(source, frame=2)


@pytest.mark.parametrize('path', ['../..', '/etc', 'A/../../x', 'http://example.org/a'])
def test_paths_that_lead_out(tmp_path: Path, path: str) -> None:
    folder = write_plate(tmp_path / 'p', 1, 2, 1)
    plate = json.loads((folder / '.zattrs').read_text())
    plate['plate']['wells'][1]['path'] = path
    (folder / '.zattrs').write_text(json.dumps(plate))
    with pytest.raises(UnreadableImageError, match='inside the image'):
        opened(folder)
    folder = write_plate(tmp_path / 'q', 1, 2, 1)
    group(folder / 'A' / '1', {'well': {'images': [{'path': path}]}})
    with pytest.raises(UnreadableImageError, match='inside the image'):
        opened(folder)
