"""All fields of a plate as one image, from the whole plate down to the full resolution of each field."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.hierarchy.mosaic import offsets_from, place_fields
from girder_zarr.image.hierarchy.opening import open_hierarchy
from girder_zarr.image.hierarchy.selection import select
from girder_zarr.image.store.stores import open_store
from support.images import decoded, level_tile, opened, region
from support.plates import Counted, write_plate
from support.wells import noise, write_wells

if TYPE_CHECKING:
    from pathlib import Path


def composed(
    places: dict[str, tuple[int, int]], fields: dict[str, np.ndarray], shape: Any, step: int
) -> np.ndarray:
    """Put fields together by hand: each pixel as zarr reads it, where it belongs."""
    out = np.zeros([-(-side // step) for side in shape], next(iter(fields.values())).dtype)
    for path, corner in places.items():
        small = fields[path][::step, ::step]
        top, left = (one // step for one in corner)
        target = out[top : top + small.shape[0], left : left + small.shape[1]]
        target[...] = small[: target.shape[0], : target.shape[1]]
    return out


def test_every_level_holds_the_pixels_of_the_fields(tmp_path: Path) -> None:
    paths = [f'{row}/{column}/{number}' for row in 'AB' for column in '123' for number in range(4)]
    paths = [path for path in paths if not path.startswith('A/2')]
    fields = dict(zip(paths, noise(len(paths), (256, 384)), strict=True))
    folder = write_wells(tmp_path / 'p', fields)
    source = opened(folder, series='overview')
    gap = 2 * 384 // 24
    pitch = 2 * 256 + gap, 2 * 384 + gap
    places = {
        path: (
            'AB'.index(path[0]) * pitch[0] + int(path[4]) // 2 * 256,
            '132'.index(path[2]) * pitch[1] + int(path[4]) % 2 * 384,  # in the order of the metadata
        )
        for path in paths
    }
    columns = list(dict.fromkeys(path[2] for path in paths))
    assert columns == ['1', '3', '2']
    shape = source.sizeY, source.sizeX
    assert shape == (2 * pitch[0] - gap, 3 * pitch[1] - gap)
    for step in (1, 2, 4):
        expected = composed(places, fields, shape, step)
        np.testing.assert_array_equal(level_tile(source, step)[..., 0], expected)
    part = {'left': 260, 'top': 140, 'width': 922, 'height': 511}
    np.testing.assert_array_equal(
        region(source, region=part)[..., 0], composed(places, fields, shape, 1)[140:651, 260:1182]
    )
    assert source.getNativeMagnification()['mm_x'] == 0.0005
    assert decoded(source.getThumbnail(width=200, encoding='PNG')[0]).any()


def test_channels_and_depth_are_frames_of_the_plate(tmp_path: Path) -> None:
    paths = ['A/1/0', 'A/1/1', 'A/2/0', 'A/2/1']
    fields = dict(zip(paths, noise(4, (2, 3, 32, 32)), strict=True))
    channels = [{'label': name, 'color': '00FF00'} for name in ('DAPI', 'GFP')]
    source = opened(write_wells(tmp_path / 'p', fields, axes='czyx', channels=channels), series='overview')
    metadata = source.getMetadata()
    assert metadata['channels'] == ['DAPI', 'GFP']
    assert metadata['IndexRange'] == {'IndexC': 2, 'IndexZ': 3}
    for number, frame in enumerate(metadata['frames']):
        found = region(source, frame=number)[..., 0]
        np.testing.assert_array_equal(found[:, :32], fields['A/1/0'][frame['IndexC'], frame['IndexZ']])
        np.testing.assert_array_equal(found[:, -32:], fields['A/2/1'][frame['IndexC'], frame['IndexZ']])
        assert decoded(source.getTile(0, 0, 0, frame=number)).any()


def test_translations_lay_the_fields_of_a_well_out(tmp_path: Path) -> None:
    corners = {0: (40, 60), 1: (30, 150), 2: (110, 70), 3: (100, 166)}  # of pixels, stitched with overlap
    paths = [f'A/{column}/{number}' for column in '12' for number in range(4)]
    fields = dict(zip(paths, noise(8, (80, 100)), strict=True))
    moved = {
        path: (1000 + corners[int(path[4])][0] / 2, 500 + corners[int(path[4])][1] / 2) for path in paths
    }
    source = opened(write_wells(tmp_path / 'p', fields, corners=moved), series='overview')
    well = 110 - 30 + 80, 166 - 60 + 100
    gap = max(well) // 24
    assert (source.sizeY, source.sizeX) == (well[0], 2 * well[1] + gap)
    places = {
        path: (
            corners[int(path[4])][0] - 30,
            corners[int(path[4])][1] - 60 + (path[2] == '2') * (well[1] + gap),
        )
        for path in paths
    }
    np.testing.assert_array_equal(
        level_tile(source, 1)[..., 0], composed(places, fields, (source.sizeY, source.sizeX), 1)
    )


@pytest.mark.parametrize(
    'moved',
    [
        [(0, 0)] * 4,
        [(0, 0), (1, 1), (2, 2), (3, 3)],
        [(0, 0), (0, 1e7), (1e7, 0), (5, 5)],
        [(1e200, 0), (0, 1), (5, 5), (9, 9)],
    ],
)
def test_translations_that_cannot_be_meant(tmp_path: Path, moved: list[tuple[float, float]]) -> None:
    paths = [f'A/1/{number}' for number in range(4)]
    fields = dict(zip(paths, noise(4, (80, 100)), strict=True))
    corners = dict(zip(paths, moved, strict=True))
    source = opened(write_wells(tmp_path / 'p', fields, corners=corners), series='overview')
    assert (source.sizeY, source.sizeX) == (160, 200)
    np.testing.assert_array_equal(region(source)[80:, 100:, 0], fields['A/1/3'])


def test_fields_of_different_sizes_lie_in_cells_of_the_largest_that_was_seen(tmp_path: Path) -> None:
    shapes = [(64, 64), (48, 80), (40, 40), (64, 64), (96, 120), (64, 64), (128, 64), (64, 64), (100, 100)]
    paths = [f'A/{number}/0' for number in range(9)]
    fields = {
        path: noise(1, shape)[0] + number
        for number, (path, shape) in enumerate(zip(paths, shapes, strict=True))
    }
    folder = write_wells(tmp_path / 'p', fields)
    source = opened(folder, series='overview')
    assert (source.sizeY, source.sizeX) == (100, 9 * 120)  # of the first, the middle one and the last
    whole = region(source)[..., 0]
    for number, path in enumerate(paths):
        cell, pixels = whole[:, 120 * number : 120 * number + 120], fields[path]
        if pixels.shape[0] <= 100:
            expected = np.zeros((100, 120), 'uint16')
            expected[: pixels.shape[0], : pixels.shape[1]] = pixels
            np.testing.assert_array_equal(cell, expected)
        else:  # nothing of it is hidden: it is shown in full, smaller
            assert cell[:99, :49].all()
            assert not cell[:, 51:].any()
    for number, path in enumerate(paths):
        assert region(opened(folder, series=path)).shape == (*fields[path].shape, 1)
        frame = region(opened(folder), frame=number)[..., 0]
        height, width = (min(one, two) for one, two in zip(fields[path].shape, (100, 120), strict=True))
        np.testing.assert_array_equal(frame[:height, :width], fields[path][:height, :width])
    assert source.getInternalMetadata()['zarr']['problems'][-1].startswith(
        "The field 'A/6/0' has 64 x 128 pixels"
    )


def test_fields_with_fewer_levels_or_none(tmp_path: Path) -> None:
    paths = [f'A/{number}/0' for number in range(6)]
    fields = dict(zip(paths, noise(6, (64, 64)), strict=True))
    folder = write_wells(tmp_path / 'p', fields)
    for path, numbers in (('A/1/0', [2]), ('A/3/0', [1, 2]), ('A/4/0', [0, 1, 2])):
        there = zarr.open_group(folder / path, mode='r+')
        described: Any = dict(there.attrs)
        sets = described['ome']['multiscales'][0]['datasets']
        described['ome']['multiscales'][0]['datasets'] = [
            one for one in sets if int(one['path']) not in numbers
        ]
        for number in numbers:
            del there[str(number)]
        if path == 'A/4/0':
            described['ome'].pop('multiscales')
        there.attrs.update(described)
    source = opened(folder, series='overview')
    level = source._series[0].levels[2]
    found = level.read(tuple(slice(0, side) for side in level.shape)).astype(float)
    for number, path in enumerate(paths):
        cell = found[:16, number * 16 : number * 16 + 16]
        if path == 'A/4/0':
            assert not cell.any()
        elif path in ('A/1/0', 'A/3/0'):
            assert abs(cell.mean() - fields[path].mean()) < 5  # from the level that there is
        else:
            np.testing.assert_array_equal(cell, fields[path][::4, ::4])
    assert "There is no image at 'A/4/0'." in source.getInternalMetadata()['zarr']['problems']


def test_a_field_that_claims_to_be_far_larger_is_an_error_of_its_own(tmp_path: Path) -> None:
    folder = write_plate(tmp_path / 'p', 1, 5, 1, count=1)
    for level in '01':
        document = json.loads((folder / 'A' / '2' / '0' / level / '.zarray').read_text())
        document['shape'] = [2**38, 2**38]
        (folder / 'A' / '2' / '0' / level / '.zarray').write_text(json.dumps(document))
    source = opened(folder, series='overview')
    assert region(source, region={'left': 128}).all()
    with pytest.raises(UnreadableImageError, match='levels of lower resolution'):
        region(source)
    assert region(opened(folder), frame=1, region={'width': 64, 'height': 64}).any()


def test_a_field_of_other_axes_is_an_error_that_names_it(tmp_path: Path) -> None:
    fields = dict(zip([f'A/{number}/0' for number in range(5)], noise(5, (64, 64)), strict=True))
    folder = write_wells(tmp_path / 'p', fields)
    write_wells(tmp_path / 'q', {'A/1/0': noise(1, (2, 64, 64))[0]}, axes='cyx')
    target = folder / 'A' / '1' / '0'
    for path in sorted(target.rglob('*'), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    target.rmdir()
    (tmp_path / 'q' / 'A' / '1' / '0').rename(target)
    source = opened(folder, series='overview')
    assert region(source, region={'left': 128, 'width': 64}).all()
    with pytest.raises(UnreadableImageError, match="'A/1/0' has the axes c, y, x"):
        region(source)
    assert opened(folder, series='A/1/0').frames == 2


@pytest.mark.parametrize('far', [False, True])
@pytest.mark.parametrize('count', [1, 2, 3, 30, 0, -1, True, 'many'])
def test_a_wrong_field_count_hides_nothing(tmp_path: Path, count: Any, far: bool) -> None:
    names = {(0, 0): 2, (0, 1): 2, (0, 2): 2, (0, 3): 2, (0, 4): 3}
    wells = {place: [str(number) for number in range(fields)] for place, fields in names.items()}
    store = Counted(open_store(write_plate(tmp_path / 'p', 1, 5, wells, count=count)))
    store.has_fast_lookup = not far
    images = open_hierarchy(store)
    shown = {
        (one.place['Column'], one.place['Field']): int(one.levels[0].read((slice(5, 6), slice(5, 6)))[0, 0])
        for one in images.series[:-1]
    }
    for (_, column), fields in names.items():
        for field in range(fields):
            assert shown[str(column + 1), field] == 1000 + 100 * (column + 1) + field + 1
    assert not any(value for (column, field), value in shown.items() if field >= names[0, int(column) - 1])
    told = [problem for problem in images.problems if 'field_count' in problem]
    assert len(told) == ((count in (1, 2) and count is not True) or (count == 30 and not far))


def test_a_well_with_more_fields_where_listing_costs_a_request(tmp_path: Path) -> None:
    wells = {(0, column): ['0', '1'] for column in range(9)}
    wells[0, 2] = ['0', '1', '2', '3']
    store = Counted(open_store(write_plate(tmp_path / 'p', 1, 9, wells, count=2)))
    store.is_remote, store.has_fast_lookup = True, False
    images = open_hierarchy(store)
    assert len(images.series) == 19
    assert (store.reads, store.listings) < (25, 1)
    images.series[4].levels[0].read((slice(0, 1), slice(0, 1)))
    assert images.problems[-1].startswith("The well 'A/3' has 4 fields, more than the plate says")
    alone = select(store, images, 'A/3/3').series[0]
    assert (alone.levels[0].read((slice(0, 64), slice(0, 64))) == 1304).all()


def test_a_tile_reads_what_it_shows_and_no_more(tmp_path: Path) -> None:
    store = Counted(open_store(write_plate(tmp_path / 'p', 6, 8, 9, count=9)))
    mosaic = select(store, open_hierarchy(store), 'overview').series[0]
    height, width = mosaic.levels[0].shape
    assert (height, width) == (6 * 3 * 64 + 5 * 8, 8 * 3 * 64 + 7 * 8)
    opening = store.reads
    assert opening <= 30
    tile = mosaic.levels[0].read((slice(500, 628), slice(600, 728)))
    assert np.unique(tile[tile > 0]).size <= 9
    assert store.reads - opening <= 9 * 6
    tracemalloc.start()
    smallest = mosaic.levels[-1].read(tuple(slice(0, side) for side in mosaic.levels[-1].shape))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(smallest.shape) <= 256
    assert peak < 8 * 2**20  # the metadata of 432 arrays
    reads = store.reads
    mosaic.levels[-1].read(tuple(slice(0, side) for side in mosaic.levels[-1].shape))
    assert store.reads == reads  # kept


def test_a_damaged_chunk_is_named(tmp_path: Path) -> None:
    folder = write_plate(tmp_path / 'p', 2, 2, 4, count=4)
    (folder / 'B' / '1' / '2' / '0' / '0.0').write_bytes(b'short')
    source = opened(folder, series='overview')
    assert region(source, region={'left': 0, 'top': 0, 'width': 128, 'height': 128}).all()
    with pytest.raises(UnreadableImageError, match='B/1/2/0/0'):
        region(source)


def test_a_plate_of_two_levels_and_a_zip_of_it(tmp_path: Path) -> None:
    import zipfile

    folder = write_plate(tmp_path / 'p', 2, 3, 4, count=4)
    with zipfile.ZipFile(tmp_path / 'p.zip', 'w') as archive:
        for path in sorted(folder.rglob('*')):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
    sources = [opened(place, series='overview') for place in (folder, tmp_path / 'p.zip')]
    np.testing.assert_array_equal(region(sources[0]), region(sources[1]))
    plate = json.loads((folder / '.zattrs').read_text())
    assert sources[1].getInternalMetadata()['zarr']['base'] == plate


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_no_field_covers_another_in_a_grid(data: Any) -> None:
    cells = data.draw(
        st.lists(
            st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 8)),
            min_size=1,
            max_size=40,
            unique=True,
        )
    )
    cell = data.draw(st.tuples(st.integers(1, 3000), st.integers(1, 3000)))
    steps = [1, *data.draw(st.lists(st.sampled_from([2, 3, 4, 8, 16, 64]), unique=True))]
    places = place_fields(cells, cell, steps)
    assert (places.tops + cell[0] <= places.height).all()
    assert (places.lefts + cell[1] <= places.width).all()
    down = np.abs(places.tops[:, None] - places.tops) >= cell[0]
    across = np.abs(places.lefts[:, None] - places.lefts) >= cell[1]
    apart = down | across
    np.fill_diagonal(apart, val=True)
    assert apart.all()


@settings(deadline=None, max_examples=100)
@given(
    places=st.dictionaries(
        st.integers(0, 8), st.tuples(st.floats(-1e12, 1e12), st.floats(-1e12, 1e12)), max_size=9
    ),
    cell=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
)
def test_positions_are_used_or_not(places: dict[int, tuple[float, float]], cell: tuple[int, int]) -> None:
    found = offsets_from(places, cell)
    if found is not None:
        assert set(found) == set(places)
        assert min(top for top, _ in found.values()) == min(left for _, left in found.values()) == 0
