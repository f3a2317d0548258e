"""What the names of files say, with a pattern, as those of a program, or by a guess."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from girder_zarr.errors import InvalidInputError
from girder_zarr.stitch.arrange.scan_path import ScanPath
from girder_zarr.stitch.positions.name_guess import PRESETS, guess, of_preset
from girder_zarr.stitch.positions.name_pattern import match_names
from support.arranged import assembled
from support.tile_folders import GRID, STEP, TILE, cut, picture, save, tiles

if TYPE_CHECKING:
    from pathlib import Path

OVERLAP = {'grid': {'tile': {'x': TILE[1], 'y': TILE[0]},
                    'overlap': {'x': TILE[1] - STEP[1], 'y': TILE[0] - STEP[0]}}}  # fmt: skip


@pytest.mark.parametrize(
    'name',
    [
        'img_r{row:03d}_c{column:03d}_ch{c}.tif',
        'tile_x{column:02d}_y{row:02d}_w{c}.tif',
        'Row{row}Col{column}_Channel{c}.tif',
        'scan 7 R{row} C{column} ch{c}.tif',
        'a{c}_pos_y{py}_x{px}.tif'.replace('a{c}', 'ch{c}'),
    ],
)
@pytest.mark.parametrize('base', [1, 0, 7])
def test_names_that_count_from_anything_are_guessed(name: str, base: int, tmp_path: Path) -> None:
    whole = picture(2)
    for row, column, y, x in tiles():
        for c in range(2):
            file = name.format(row=row + base, column=column + base, c=c + base, px=x, py=y)
            save(tmp_path / 'in' / file, cut(whole[c], y, x))
    spec = {**OVERLAP, 'channelNames': ['DAPI', 'GFP']}
    pixels, multiscale, prepared = assembled(tmp_path / 'in', tmp_path / 'out', spec)
    assert np.array_equal(pixels, whole)
    assert [one['label'] for one in multiscale['omero']['channels']] == ['DAPI', 'GFP']
    values = prepared.spec.get('axes', {}).get('c', {}).get('values')
    assert values == ([base, base + 1] if base else None)


def test_rows_may_be_letters(tmp_path: Path) -> None:
    whole = picture()
    for row, column, y, x in tiles():
        save(tmp_path / 'in' / f'{"BC"[row]}-{column + 9}.tif', cut(whole, y, x))
    pixels, *_ = assembled(tmp_path / 'in', tmp_path / 'out', OVERLAP, pattern='{row}-{col}')
    assert np.array_equal(pixels, whole)


@pytest.mark.parametrize('path', ['raster', 'snake'])
@pytest.mark.parametrize('by', ['rows', 'columns'])
@pytest.mark.parametrize('corner', ['top-left', 'top-right', 'bottom-left', 'bottom-right'])
def test_numbers_follow_the_path_of_the_stage(path: str, by: str, corner: str, tmp_path: Path) -> None:
    whole, (rows, columns) = picture(), GRID
    lines = range(rows) if by == 'rows' else range(columns)
    steps = range(columns) if by == 'rows' else range(rows)
    number = 1
    for line in lines:
        for step in steps if path == 'raster' or line % 2 == 0 else reversed(steps):
            row, column = (line, step) if by == 'rows' else (step, line)
            row = rows - 1 - row if 'bottom' in corner else row
            column = columns - 1 - column if 'right' in corner else column
            save(tmp_path / 'in' / f'tile_{number}.tif', cut(whole, row * STEP[0], column * STEP[1]))
            number += 1
    scan = ScanPath(columns=columns, path=path, by=by, corner=corner)
    pixels, *_ = assembled(tmp_path / 'in', tmp_path / 'out', OVERLAP, scan=scan)
    assert np.array_equal(pixels, whole)


def test_a_path_needs_a_grid_that_holds_all() -> None:
    with pytest.raises(InvalidInputError, match='at least 7 places, found 2 rows x 3 columns'):
        ScanPath(columns=3, rows=2).grid(7)
    for wrong in ({}, {'columns': 0}, {'columns': 2, 'path': 'spiral'}, {'rows': 2, 'corner': 'middle'}):
        with pytest.raises(InvalidInputError):
            ScanPath(**wrong)


NAMES: list[tuple[str, str, dict[str, Any]]] = [
    ('harmony', 'r02c03f07p01-ch2sk1fk1fl1.tiff', {'well': 'B03', 'field': 7, 'z': 1, 'c': 2, 't': 1}),
    ('metaxpress', 'plate_B02_s4_w2.TIF', {'well': 'B02', 'field': 4, 'c': 2}),
    ('metaxpress', 'B02_s4_w2.tif', {'well': 'B02', 'field': 4, 'c': 2}),
    ('incell', 'C - 11(fld 03 wv DAPI - DAPI z 2).tif', {'well': 'C11', 'field': 3, 'c': 0, 'z': 2}),
    ('cellvoyager', 'AB_P24_T0001F012L01A02Z03C04.tif', {'well': 'P24', 'field': 12, 'z': 3, 'c': 4, 't': 1}),
    (
        'micromanager',
        '1-Pos_002_001/img_channel001_position004_time000000000_z003.tif',
        {'column': 2, 'row': 1, 'c': 1, 'z': 3, 't': 0},
    ),
    ('mist', 'img_r004_c001.tif', {'row': 4, 'column': 1}),
    ('fiji', 'tile_17.tif', {'field': 17}),
]


@pytest.mark.parametrize(('program', 'name', 'said'), NAMES)
def test_names_of_programs_are_known(program: str, name: str, said: dict[str, Any]) -> None:
    found = of_preset([name], program)
    assert found is not None
    (entry,) = found.entries
    numbers = {'well': entry.well, 'field': entry.field, 'row': entry.row, 'column': entry.column}
    assert {**{key: one for key, one in numbers.items() if one is not None}, **entry.index} == said
    guessed = guess([name])
    assert guessed is not None
    assert guessed.program == program
    assert any(name in line for line in guessed.lines())


@pytest.mark.parametrize(
    ('xs', 'pattern'),
    [
        (('-480', '0', '480'), 'a_x{x}_y{y}.png'),
        (('_-960', '_-480', '_0'), 'a_x_{x}_y{y}.png'),
        # each name has it: it parts the word from its number
        (('-0', '-480', '-960'), 'a_x-{x}_y{y}.png'),
    ],
)
def test_a_dash_before_a_coordinate_is_its_sign(xs: tuple[str, ...], pattern: str) -> None:
    found = guess([f'a_x{x}_y{y}.png' for x in xs for y in (0, 480)])
    assert found is not None
    assert (found.pattern, found.unmatched, len(found.entries)) == (pattern, (), 6)


def test_a_guess_shows_what_it_passes_over() -> None:
    found = guess(['r0_c0.tif', 'r0_c1.tif', 'overview.tif', 'r1_c0.tif'])
    assert found is not None
    assert [(one.row, one.column) for one in found.entries] == [(0, 0), (0, 1), (1, 0)]
    lines = '\n'.join(found.lines())
    assert '3 of 4 files' in lines
    assert 'passed over: overview.tif' in lines
    assert guess(['a.tif', 'b.tif']) is None
    assert guess(['p1_q2.tif', 'p2_q1.tif', 'p2_q3_.tif']) is None
    with pytest.raises(InvalidInputError, match='preset: expected one of'):
        of_preset(['a'], 'none')
    assert set(PRESETS) >= {'harmony', 'metaxpress', 'incell', 'micromanager', 'mist', 'fiji'}


def test_channels_may_be_words() -> None:
    names = ['t_1_DAPI.tif', 't_1_Cy5.tif', 't_2_DAPI.tif']
    found = match_names(names, 't_{field}_{channel}.tif')
    # in the order of names, which is that of people
    assert [(one.field, one.index['c']) for one in found] == [(1, 0), (1, 1), (2, 1)]
