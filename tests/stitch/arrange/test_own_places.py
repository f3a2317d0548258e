"""Positions that lie in TIFFs: a plan of what each file says of itself is that of the command line."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from girder_zarr.errors import GirderZarrError
from girder_zarr.stitch.arrange.counting import arrange
from girder_zarr.stitch.arrange.plan_request import places_json, plan_of
from girder_zarr.stitch.formats import registry as formats
from girder_zarr.stitch.positions.reading import FileLookup
from girder_zarr.stitch.positions.recognise import own_places, recognise
from support.microscopes import PROGRAMS
from support.tile_folders import TILE

if TYPE_CHECKING:
    from pathlib import Path

    from girder_zarr.stitch.positions.entry import PositionSet

OWN = ('ome_tiffs', 'metaxpress', 'mmstack', 'mmstack_together')


def said(folder: Path) -> list[dict[str, Any]]:
    """What the server would answer of the files of a folder, through JSON."""
    files = []
    for name in FileLookup(folder).images:
        with (folder / name).open('rb') as stream:
            own = own_places(stream, f'scan/{name}', formats.count_pages(stream))
        more = {} if own is None else {'places': json.loads(json.dumps(places_json(own)))}
        files.append({'name': name, 'width': TILE[1], 'height': TILE[0], **more})
    return files


def of_request(positions: PositionSet) -> dict[str, Any]:
    """The same patches as a request that gives each its place."""
    patches = [
        {
            'key': one.key, 'file': one.file, 'page': one.page, 'x': one.x, 'y': one.y, 'unit': one.unit,
            'index': dict(one.index), 'width': TILE[1], 'height': TILE[0],
        }
        for one in positions.entries
    ]  # fmt: skip
    return {'patches': [{name: value for name, value in one.items() if value is not None} for one in patches]}


@pytest.mark.parametrize('program', OWN)
def test_a_plan_equals_what_the_command_line_finds(tmp_path: Path, program: str) -> None:
    made = PROGRAMS[program](tmp_path)
    line = recognise(made.source).positions
    found = plan_of({'files': said(tmp_path)})
    arranged = arrange(line)
    assert found['program'] == line.program
    assert found['spec'] == {**found['spec'], **arranged.spec}
    assert found['spec']['pixelSize']['x'] == made.pixel
    assert (found['placedBy'], found['pattern'], found['refusals']) == ('position', None, [])
    pixel_size = found['spec']['pixelSize']
    asked = plan_of(
        {**of_request(replace(line, entries=arranged.entries)), 'spec': {'pixelSize': pixel_size}}
    )
    assert found['placements'] == asked['placements']
    assert [one['key'] for one in found['placements']] == [one.key for one in arranged.entries]
    assert len(found['placements']) == len(line.entries) >= 6


def test_the_summary_of_a_stack_counts(tmp_path: Path) -> None:
    frames = [{'XPositionUm': 3.0, 'YPositionUm': 4.5, 'Channel': name} for name in ('DAPI', 'FITC')]
    for at in range(2):
        with tifffile.TiffWriter(tmp_path / f'stack_{at}.tif') as tiff:
            for frame in frames:
                value = json.dumps({**frame, 'XPositionUm': 10.0 * at})
                tiff.write(
                    np.zeros((40, 48), np.uint8), photometric='minisblack', metadata=None, contiguous=False,
                    extratags=[(51123, 's', 0, value, True)],
                )  # fmt: skip
        with_summary(tmp_path / f'stack_{at}.tif', {'ChNames': ['FITC', 'DAPI'], 'PixelSize_um': 0.5})
    line = recognise(tmp_path).positions
    assert line.pixel_size is not None
    assert (line.pixel_size.x, dict(line.channel_names)) == (0.5, {0: 'FITC', 1: 'DAPI'})
    assert [dict(one.index) for one in line.entries] == [{'c': 1}, {'c': 0}] * 2
    found = plan_of({'files': said(tmp_path)})
    assert [(one['x'], one['index']) for one in found['placements']] == [
        (0, {'c': 1}), (0, {'c': 0}), (20, {'c': 1}), (20, {'c': 0}),
    ]  # fmt: skip
    assert found['spec']['channelNames'] == ['FITC', 'DAPI']


def with_summary(path: Path, summary: dict[str, Any]) -> None:
    """Let a TIFF begin as an MMStack: the summary behind byte 40, and all else behind it."""
    text = json.dumps(summary).encode().ljust(2048)
    head = b'\0' * 24 + (2355492).to_bytes(4, 'little') + len(text).to_bytes(4, 'little') + text
    path.write_bytes(moved(path.read_bytes(), head))


def moved(data: bytes, head: bytes) -> bytes:
    """A TIFF of classic form whose directories and values lie behind `head`."""
    by, out = len(head), bytearray(data[:8] + head + data[8:])

    def add(at: int) -> int:
        out[at : at + 4] = (int.from_bytes(out[at : at + 4], 'little') + by).to_bytes(4, 'little')
        return int.from_bytes(out[at : at + 4], 'little')

    sizes = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1}
    place = add(4)
    while place:
        count = int.from_bytes(out[place : place + 2], 'little')
        for entry in range(place + 2, place + 2 + 12 * count, 12):
            tag, kind = (int.from_bytes(out[entry + at : entry + at + 2], 'little') for at in (0, 2))
            values = int.from_bytes(out[entry + 4 : entry + 8], 'little')
            if sizes[kind] * values > 4 or tag == 273:
                add(entry + 8)
        link = place + 2 + 12 * count
        place = add(link) if any(out[link : link + 4]) else 0
    return bytes(out)


def test_a_file_without_a_position_is_named(tmp_path: Path) -> None:
    PROGRAMS['ome_tiffs'](tmp_path)
    files = said(tmp_path)
    tifffile.imwrite(tmp_path / 'other.tif', np.zeros(TILE, np.uint16))
    (own,) = {one['name'] for one in said(tmp_path)} - {one['name'] for one in files}
    assert own == 'other.tif'
    found = plan_of({'files': said(tmp_path)})
    assert [(one['file'], one['message']) for one in found['refusals']] == [
        ('other.tif', 'expected a position in its tags, as others have; found none.')
    ]
    assert {one['file'] for one in found['placements']} == {one['name'] for one in files}
    files[1] = {**files[1], 'places': {'program': 'MetaXpress', 'planes': [{'x': 1, 'y': 2}]}}
    found = plan_of({'files': files})
    assert [one['file'] for one in found['refusals']] == [files[1]['name']]
    assert 'expected a position by OME' in found['refusals'][0]['message']


def test_names_and_tables_come_before_places(tmp_path: Path) -> None:
    PROGRAMS['ome_tiffs'](tmp_path)
    files = said(tmp_path)[:2]
    found = plan_of({'files': files, 'pattern': 'tile_{field}.ome.tif', 'scan': {'columns': 2}})
    assert (found['program'], found['placedBy']) == ('names', 'path')
    text = 'file,x,y\ntile_0.ome.tif,0,0\ntile_1.ome.tif,40,0\n'
    found = plan_of({'files': files, 'positions': {'name': 'p.csv', 'text': text}})
    assert [one['x'] for one in found['placements']] == [0, 40]


def test_a_document_of_several_files_is_asked_for_one(tmp_path: Path) -> None:
    """Each file of an acquisition may hold what all are; only its own pages count, by its name."""
    made = PROGRAMS['ome_companion'](tmp_path)
    text = (made.source / 'scan.companion.ome').read_text(encoding='utf-8').encode()
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as tiff:
        for _ in range(2):
            tiff.write(np.zeros(TILE, np.uint16), photometric='minisblack', metadata=None, description=text)
    own = own_places(stream, 'scan/tile_3.ome.tif', 2)
    assert own is not None
    assert len(own.planes) == 2
    line = recognise(made.source).positions
    assert {(one.x, one.y) for one in own.planes} == {
        (one.x, one.y) for one in line.entries if one.file == 'tile_3.ome.tif'
    }
    assert own_places(stream, 'scan/renamed.ome.tif', 2) is None
    assert own_places(stream, 'scan/tile_3.ome.tif', 1) is None  # more planes than pages


PLANE = {'x': 1.0, 'y': 2.0}


@pytest.mark.parametrize(
    ('places', 'words'),
    [
        ('OME', 'an object with program'),
        ({'program': 'Other', 'planes': [PLANE]}, 'one of Micro-Manager, OME, MetaXpress'),
        ({'program': 'OME', 'planes': []}, 'a list of objects'),
        ({'program': 'OME'}, 'a list of objects'),
        ({'program': 'OME', 'planes': [{'x': 1}]}, 'planes[0]: expected page, x and y'),
        ({'program': 'OME', 'planes': [{'x': 1, 'y': '2'}]}, 'planes[0].y: expected a number'),
        ({'program': 'OME', 'planes': [{'x': 1, 'y': None}]}, 'planes[0].y: expected a number'),
        ({'program': 'OME', 'planes': [{**PLANE, 'page': -1}]}, 'page: expected an integer'),
        ({'program': 'OME', 'planes': [{**PLANE, 'index': {'q': 1}}]}, 'index with c, z and t'),
        ({'program': 'OME', 'planes': [{**PLANE, 'well': 'A1'}]}, 'planes[0]: expected page'),
        ({'program': 'OME', 'planes': [PLANE], 'more': 1}, 'places.more: expected one of'),
        ({'program': 'OME', 'planes': [PLANE], 'pixelSizes': [1]}, 'pixelSizes: expected pairs'),
        ({'program': 'OME', 'planes': [PLANE], 'pixelSizes': {'x': 1}}, 'pixelSizes: expected a list'),
        ({'program': 'OME', 'planes': [PLANE], 'heights': {'a': 1}}, 'heights: expected whole numbers'),
        ({'program': 'OME', 'planes': [PLANE], 'channels': {'0': 3}}, 'channels: expected 1 to 1024'),
        ({'program': 'OME', 'planes': [PLANE], 'channels': ['a']}, 'channels: expected an object'),
        ({'program': 'OME', 'planes': [PLANE] * 20_001}, 'at most 20000'),
        ({'program': 'OME', 'planes': [PLANE], 'pixelSizes': [[0, 0]]}, 'pixelSize'),
        ({'program': 'OME', 'planes': [{'page': 0}]}, 'one at least with x and y'),
    ],
)
def test_malformed_places_are_refused(places: Any, words: str) -> None:
    with pytest.raises(GirderZarrError) as refused:
        plan_of({'files': [{'name': 'a.tif', 'width': 4, 'height': 4, 'places': places}]})
    assert words in str(refused.value)


def test_planes_of_all_files_are_counted() -> None:
    places = {'program': 'OME', 'planes': [{**PLANE, 'page': at} for at in range(10_001)]}
    files = [{'name': f'{at}.tif', 'width': 4, 'height': 4, 'places': places} for at in range(2)]
    with pytest.raises(GirderZarrError, match='at most 20000 pages in all'):
        plan_of({'files': files})
