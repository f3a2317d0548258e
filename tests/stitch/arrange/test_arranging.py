"""Counting, directions, and the look at an image before it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from girder_zarr.errors import ConflictError, GirderZarrError, InvalidInputError
from girder_zarr.stitch.arrange.counting import arrange
from girder_zarr.stitch.arrange.direction import better_direction, combined
from girder_zarr.stitch.arrange.map_drawing import draw
from girder_zarr.stitch.arrange.placement_map import MapTile, make_map
from girder_zarr.stitch.arrange.plan_request import plan_of
from girder_zarr.stitch.arrange.stage_orientation import ALL, Orientation
from girder_zarr.stitch.positions.entry import PatchEntry, PositionSet
from girder_zarr.stitch.positions.recognise import recognise
from support.arranged import assembled, prepared_of
from support.tile_folders import cut, picture, save, tiles

if TYPE_CHECKING:
    from pathlib import Path


def entry(name: str, **said: Any) -> PatchEntry:
    index = {axis: said.pop(axis) for axis in 'ctz' if axis in said}
    return PatchEntry(name, name, index=index, **said)


def test_the_smallest_number_is_the_first_and_the_true_ones_are_values() -> None:
    positions = PositionSet(
        'x', tuple(entry(f'{c}{z}', x=0, y=0, c=c, z=z) for c in (3, 4) for z in (10, 12)),
        channel_names={3: 'DAPI', 4: 'GFP'},
    )  # fmt: skip
    found = arrange(positions)
    assert [one.index for one in found.entries] == [
        {'c': 0, 'z': 0}, {'c': 0, 'z': 2}, {'c': 1, 'z': 0}, {'c': 1, 'z': 2},
    ]  # fmt: skip
    assert found.spec == {
        'axes': {'c': {'values': [3, 4]}, 'z': {'values': [10, 11, 12]}},
        'channelNames': ['DAPI', 'GFP'],
    }
    given = arrange(positions, index_base=0)
    assert given.entries[0].index == {'c': 3, 'z': 10}
    assert given.spec['indexBase'] == 0


def test_patches_name_the_same_axes() -> None:
    with pytest.raises(InvalidInputError, match=r'b \(file b\): expected the axes c as .* found none'):
        arrange(
            PositionSet('x', (entry('a', x=0, y=0, c=1), entry('b', x=0, y=0), entry('d', x=1, y=0, c=1)))
        )


def test_numbered_places_need_a_path() -> None:
    with pytest.raises(InvalidInputError, match='path of the stage over a grid'):
        arrange(PositionSet('x', (entry('a', field=1), entry('b', field=2))))
    (alone,) = arrange(PositionSet('x', (entry('a', field=7),))).entries
    assert (alone.row, alone.column) == (0, 0)


def test_names_must_match_the_channels() -> None:
    positions = PositionSet('x', (entry('a', x=0, y=0, c=1), entry('b', x=0, y=0, c=2)))
    with pytest.raises(ConflictError, match='a name for each of 2 channels, found 3 names'):
        prepared_of(positions, {'channelNames': ['a', 'b', 'c']})


def test_directions_make_a_group() -> None:
    for one in ALL:
        for other in ALL:
            x, y = other.of(*one.of(3, 5))
            assert combined(one, other).of(3, 5) == (x, y)
    assert Orientation(rotate=90).of(1, 0) == (0, 1)
    assert Orientation(rotate=90).matrix == Orientation(swap_xy=True, flip_x=True).matrix
    with pytest.raises(InvalidInputError, match='rotate'):
        Orientation(rotate=45)


@pytest.mark.parametrize('orientation', ALL, ids=lambda one: one.options)
def test_another_direction_is_said_and_puts_it_right(orientation: Orientation, tmp_path: Path) -> None:
    whole = picture()
    inverse = next(one for one in ALL if combined(one, orientation).is_plain)
    lines = ['file,x,y']
    for at, (_row, _column, y, x) in enumerate(tiles()):
        save(tmp_path / f't{at}.tif', cut(whole, y, x))
        stage = inverse.of(x, y)
        lines.append(f't{at}.tif,{stage[0]},{stage[1]}')
    (tmp_path / 'p.csv').write_text('\n'.join(lines))
    positions = recognise(tmp_path / 'p.csv').positions
    prepared = prepared_of(positions)
    assert prepared.placement_map is not None
    entries = {one.key: one for one in prepared.arranged.entries}
    hint = better_direction(positions, entries, prepared.placement_map.tiles)
    if orientation.is_plain:
        assert hint is None
        return
    assert hint is not None
    assert hint.orientation == orientation
    assert hint.correlation > 0.99
    assert orientation.options in hint.sentence
    pixels, *_ = assembled(tmp_path / 'p.csv', tmp_path / 'out', orientation=orientation)
    assert np.array_equal(pixels, whole)


def test_the_map_shows_what_is_wrong() -> None:
    placed = [MapTile(f't{at}', x, y, 48, 40) for at, (_r, _c, y, x) in enumerate(tiles())]
    found = make_map(placed)
    assert (found.size, found.covered, found.warnings) == ((128, 72), 1, [])
    assert found.overlaps == {'x': [8] * 4, 'y': [8] * 3}
    more = [
        *placed,
        MapTile('twice', 0, 0, 48, 40),
        MapTile('far<&>', 9000, 9000, 48, 40),
        MapTile('gap', 134, 0, 48, 40),
    ]
    found = make_map(more)
    assert found.duplicates == [['t0', 'twice']]
    assert found.outliers == ['far<&>']
    assert -6 in found.overlaps['x']
    document = found.to_json()
    assert document['size'] == {'x': 9048, 'y': 9040}
    assert document['gaps'] == 1
    assert [line.split()[0] for line in document['warnings']] == ['Only', '1', '1', '1']
    assert document['covered'] == pytest.approx((128 * 72 + 2 * 48 * 40) / (9048 * 9040), rel=0.2)
    drawing = ET.fromstring(draw(found, 'a < b'))
    kinds = [one.get('class') for one in drawing.iter('{http://www.w3.org/2000/svg}rect')]
    assert [kinds.count(kind) for kind in ('tile', 'duplicate', 'outlier')] == [6, 2, 1]


def test_a_plane_without_a_patch_counts_as_empty() -> None:
    found = make_map(
        [MapTile('a', 0, 0, 10, 10, frame=(('z', 0),)), MapTile('b', 0, 0, 10, 10, frame=(('z', 3),))]
    )
    assert (found.axes, found.empty_frames, found.covered) == ({'z': 4}, 2, 0.5)


def test_a_plan_needs_no_files() -> None:
    files = [
        {'name': f'r{row}_c{column}.tif', 'width': 10, 'height': 8} for row in (1, 2) for column in (1, 2, 3)
    ]
    found = plan_of({'files': files, 'spec': {'channelNames': ['DAPI']}})
    assert found['size'] == {'x': 30, 'y': 16}
    assert found['covered'] == 1
    assert 'r{row}_c{col}.tif' in found['guess'][0]
    assert (found['pattern'], found['placedBy']) == ('r{row}_c{col}.tif', 'grid')
    assert found['placements'][-1] == {
        'key': 'r2_c3.tif', 'file': 'r2_c3.tif', 'x': 20, 'y': 8, 'width': 10, 'height': 8, 'index': {},
    }  # fmt: skip
    text = 'file;x (um);y (um)\nC:\\a\\r1_c1.tif;100,5;0\nr1_c2.tif;200;0'
    found = plan_of({
        'files': files, 'positions': {'name': 'p.csv', 'text': text},
        'spec': {'pixelSize': {'x': 0.5, 'y': 0.5}},
    })  # fmt: skip
    assert (found['origin'], found['size']) == ({'x': 201, 'y': 0}, {'x': 209, 'y': 8})
    assert (found['pattern'], found['guess'], found['placedBy']) == (None, [], 'position')
    numbered = {'files': files[:4], 'pattern': 'r1_c{field}', 'scan': {'columns': 2, 'path': 'snake'}}
    found = plan_of({**numbered, 'spec': {'grid': {'tile': {'x': 10, 'y': 8}, 'overlap': {'x': 1, 'y': 2}}}})
    assert [(one['x'], one['y']) for one in found['placements']] == [(0, 0), (9, 0), (9, 6)]
    assert found['placedBy'] == 'path'
    assert found['guess'][-1] == '  passed over: r2_c1.tif'
    given = [{'key': 'a', 'x': 5, 'y': -5, 'c': 1, 'width': 4, 'height': 4}]
    assert plan_of({'patches': given})['axes'] == {'c': 1}


@pytest.mark.parametrize(
    ('body', 'words'),
    [
        ({}, 'files: expected a list'),
        ({'file': []}, 'file: expected one of'),
        ({'patches': [{'key': 'a', 'x': 1}]}, 'expected x and y, found one of them'),
        ({'patches': [{'key': 'a', 'x': 1, 'y': True}]}, 'expected a number'),
        (
            {'patches': [{'key': 'a', 'x': 1, 'y': 2, 'width': 0, 'height': 1}]},
            'width: expected an integer from 1',
        ),
        ({'patches': [{'key': 'a', 'x': 1, 'y': 2, 'q': 0}]}, r'patches\[0\].q: expected one of'),
        ({'patches': [{'key': 'a', 'x': 1, 'y': 1}] * 20_001}, 'at most 20000'),
        ({'patches': [{'key': 'a', 'x': 1, 'y': 1}] * 2}, 'more than one patch with the key a'),
        ({'files': [{'name': 'a'}], 'positions': {'text': 'x' * 2**23 + 'y'}}, 'at most 8388608'),
        ({'files': [{'name': 'a'}], 'positions': 3}, 'positions: expected an object'),
        ({'patches': [{'key': 'a', 'x': 1, 'y': 1}], 'orientation': {'flipX': 1}}, 'flipX: expected true'),
        ({'patches': [{'key': 'a', 'x': 1, 'y': 1}], 'scan': {'columns': 'a'}}, 'scan.columns'),
        ({'patches': [{'key': 'a', 'x': 1, 'y': 1}], 'spec': {'nope': 1}}, 'spec.nope'),
    ],
)
def test_a_bad_request_is_refused(body: dict[str, Any], words: str) -> None:
    with pytest.raises(GirderZarrError, match=words):
        plan_of(body)
