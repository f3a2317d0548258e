"""Plates: few reads at opening however many fields there are, ragged wells, and the overview."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.hierarchy.opening import open_hierarchy
from girder_zarr.image.store.stores import open_store
from support.images import decoded, opened, region
from support.plates import SIDE, Counted, group, value, write_plate

if TYPE_CHECKING:
    from pathlib import Path


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
