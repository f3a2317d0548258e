"""Tables of positions as people make them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from girder_zarr.errors import InvalidInputError
from girder_zarr.stitch.positions.recognise import read_position_file
from support.arranged import assembled
from support.tile_folders import CORNER, PIXEL, cut, picture, save, tiles

if TYPE_CHECKING:
    from pathlib import Path

MICRO, MU = '\u00b5m', '\u03bcm'


def written(folder: Path) -> list[tuple[str, int, int]]:
    """Tiles in a folder, with name, x and y in pixels."""
    whole, found = picture(), []
    for at, (_row, _column, y, x) in enumerate(tiles()):
        save(folder / 'tiles' / f'Tile {at}.tif', cut(whole, y, x))
        found.append((f'Tile {at}.tif', x + CORNER[1], y + CORNER[0]))
    return found


@pytest.mark.parametrize(
    ('header', 'separator', 'factor', 'encoding', 'folder'),
    [
        ('Filename,X,Y', ',', 1, 'utf-8', 'tiles/'),
        ('FILE_NAME;x (um);y (um)', ';', PIXEL, 'utf-8-sig', 'tiles/'),
        (f'Image\tPos X [{MICRO}]\tPos Y [{MICRO}]', '\t', PIXEL, 'utf-16', 'D:\\scan\\tiles\\'),
        (f'name;Position X ({MU});Position Y ({MU})', ';', PIXEL, 'utf-8', 'tiles\\'),
        ('file;x_mm;y_mm', ';', PIXEL / 1000, 'utf-16-le', ''),
        ('file,stage_x (m),stage_y (m)', ',', PIXEL / 1e6, 'cp1252', ''),
        ('file,x_px,y_px,comment', ',', 1, 'utf-8', ''),
    ],
)
def test_a_table_is_read_as_people_write_it(
    header: str, separator: str, factor: float, encoding: str, folder: str, tmp_path: Path
) -> None:
    lines = [header]
    for name, x, y in written(tmp_path):
        place = [f'{one * factor:.9f}' for one in (x, y)]
        if separator == ';':
            place = [one.replace('.', ',') for one in place]
        lines.append(separator.join([f'{folder}{name}', *place]))
    (tmp_path / 'p.csv').write_bytes('\r\n'.join(lines).encode(encoding))
    spec = {'pixelSize': {'x': PIXEL, 'y': PIXEL}}
    pixels, multiscale, _ = assembled(tmp_path / 'p.csv', tmp_path / 'out', spec)
    assert np.array_equal(pixels, picture())
    place = multiscale['datasets'][0]['coordinateTransformations'][1]['translation']
    assert place == [CORNER[0] * PIXEL, CORNER[1] * PIXEL]


def test_units_stand_in_a_column_too(tmp_path: Path) -> None:
    lines = ['file,x,y,Unit,Z (um),Channel']
    whole = picture(2)
    for at, (_row, _column, y, x) in enumerate(tiles()):
        for z in range(2):
            save(tmp_path / f't{at}z{z}.tif', cut(whole[z], y, x))
            lines.append(f't{at}z{z}.tif,{x * PIXEL / 1000},{y * PIXEL / 1000},mm,{7.5 + z * 1.5},DAPI')
    (tmp_path / 'p.csv').write_text('\n'.join(lines))
    spec = {'pixelSize': {'x': PIXEL, 'y': PIXEL}}
    pixels, multiscale, prepared = assembled(tmp_path / 'p.csv', tmp_path / 'out', spec)
    assert np.array_equal(pixels[0], whole)
    assert [axis['name'] for axis in multiscale['axes']] == ['c', 'z', 'y', 'x']
    assert multiscale['omero']['channels'][0]['label'] == 'DAPI'
    assert prepared.spec['axes']['z'] == {'step': 1.5, 'unit': 'micrometer', 'values': [7.5, 9]}


def test_a_stack_becomes_planes(tmp_path: Path) -> None:
    whole = picture(2, 3)
    lines = ['file,x,y']
    for at, (_row, _column, y, x) in enumerate(tiles()):
        # ImageJ's order is t, z, c
        stack = np.moveaxis(cut(whole, y, x), 0, 1)
        tifffile.imwrite(tmp_path / f's{at}.tif', stack, imagej=True, metadata={'axes': 'ZCYX'})
        lines.append(f's{at}.tif,{x},{y}')
    (tmp_path / 'p.csv').write_text('\n'.join(lines))
    pixels, multiscale, _ = assembled(tmp_path / 'p.csv', tmp_path / 'out')
    assert [axis['name'] for axis in multiscale['axes']] == ['c', 'z', 'y', 'x']
    assert np.array_equal(pixels, whole)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('file,x,y,angle\na.tif,1,2,3\n', "found 'angle', which looks like an axis"),
        ('file,x,y,Z2\na.tif,1,2,3\n', "found 'Z2', which looks like an axis"),
        ('file,x,y,w\na.tif,1,2,3\n', 'looks like an axis'),
        ('file,x,y,stage offset\na.tif,1,2,3\n', 'looks like an axis'),
        ('file,x (um),y (mm)\na.tif,1,2\n', 'one unit for x and y, found micrometer and millimeter'),
        ('file,x (furlong),y\na.tif,1,2\n', "unit: expected px.*found 'furlong'"),
        ('file,x,y,unit\na.tif,1,2,parsecs per year\n', "unit: .*found 'parsecs per year'"),
        ('file;x;y\na.tif;1,5,2;3\n', "Line 2 of .*: x: expected a number, found '1,5,2'"),
        ('file,x,X position\na.tif,1,2\n', 'each column once, found x twice'),
    ],
)
def test_what_could_be_misread_is_refused(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / 'a.tif').write_bytes(b'')
    (tmp_path / 'p.csv').write_text(text)
    with pytest.raises(InvalidInputError, match=words):
        read_position_file(tmp_path / 'p.csv')
