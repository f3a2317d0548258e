"""What a file holds: a plate as a grid of wells, other images by name; and the small picture of each."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from girder_zarr.errors import MissingImageError, UnreadableImageError
from girder_zarr.image.hierarchy.contents import contents
from girder_zarr.image.hierarchy.opening import open_hierarchy
from girder_zarr.image.ngff.ome_names import image_names
from girder_zarr.image.render.series_picture import field_picture
from girder_zarr.image.store.stores import open_store
from support.image_collections import write_collection
from support.images import decoded, opened
from support.plates import Counted, value, write_plate

if TYPE_CHECKING:
    from pathlib import Path


def listed(folder: Path) -> dict[str, Any]:
    store = open_store(folder)
    return contents(open_hierarchy(store), store)


def change_plate(folder: Path, change: Any) -> None:
    """Change the metadata of a plate."""
    document = json.loads((folder / '.zattrs').read_text())
    change(document['plate'])
    (folder / '.zattrs').write_text(json.dumps(document))


def test_a_plate_is_a_grid_of_wells_with_their_fields(tmp_path: Path) -> None:
    wells = {(0, 0): ['0', '1'], (0, 1): ['2', '5', '9'], (1, 1): ['x']}
    folder = write_plate(tmp_path / 'p', 2, 3, wells)

    def change(plate: dict[str, Any]) -> None:
        plate['wells'].pop(2)  # A/3 was not imaged
        plate['acquisitions'] = [{'id': 3, 'name': 'Day <1>'}, {'id': [1]}, 'x', {'id': 4, 'name': 7}]

    change_plate(folder, change)
    found = listed(folder)
    assert (found['kind'], found['series'], found['seriesCount']) == ('plate', [], 6)
    plate = found['plate']
    assert (plate['rows'], plate['columns']) == (['A', 'B'], ['1', '2', '3'])
    assert plate['acquisitions'] == [{'id': 3, 'name': 'Day <1>'}, {'id': 4}]
    places = [(one['row'], one['column'], one['path'], one['first'], one['fields']) for one in plate['wells']]
    assert places == [
        (0, 0, 'A/1', 0, 2),
        (0, 1, 'A/2', 2, 3),
        (1, 0, 'B/1', 5, 0),
        (1, 1, 'B/2', 5, 1),
        (1, 2, 'B/3', 6, 0),
    ]
    assert [one.get('acquisitions') for one in plate['wells']] == [[3, 3], [3, 3, 3], None, [3], None]
    source = opened(folder)
    frames = source.getMetadata()['frames']
    for one in plate['wells']:
        for number in range(one['first'], one['first'] + one['fields']):
            assert f'{frames[number]["Row"]}/{frames[number]["Column"]}' == one['path']
            assert frames[number]['Field'] == number - one['first']


def test_a_well_by_itself_has_its_fields(tmp_path: Path) -> None:
    folder = write_plate(tmp_path / 'p', 1, 1, {(0, 0): ['0', '1', '7']})
    plate = listed(folder / 'A' / '1')['plate']
    assert plate['wells'] == [
        {'row': 0, 'column': 0, 'path': '', 'first': 0, 'fields': 3, 'acquisitions': [3, 3, 3]}
    ]


def test_a_well_that_is_listed_twice(tmp_path: Path) -> None:
    folder = write_plate(tmp_path / 'p', 1, 2, 2)
    change_plate(folder, lambda plate: plate['wells'].insert(1, plate['wells'][0]))
    wells = listed(folder)['plate']['wells']
    assert [(one['path'], one['first'], one['fields']) for one in wells] == [
        ('A/1', 0, 2),
        ('A/1', 2, 2),
        ('A/2', 4, 2),
    ]


def test_a_grid_of_many_names_keeps_those_that_are_used(tmp_path: Path) -> None:
    folder = write_plate(tmp_path / 'p', 2, 2, 1)

    def change(plate: dict[str, Any]) -> None:
        for key in ('rows', 'columns'):
            plate[key] += [{'name': f'n{number}'} for number in range(1000)]

    change_plate(folder, change)
    plate = listed(folder)['plate']
    assert (plate['rows'], plate['columns']) == (['A', 'B'], ['1', '2'])


def test_listing_reads_nothing_more(tmp_path: Path) -> None:
    store = Counted(open_store(write_plate(tmp_path / 'p', 8, 12, 4)))
    images = open_hierarchy(store)
    before = store.reads, store.looks, store.listings
    assert len(contents(images, store)['plate']['wells']) == 96
    assert (store.reads, store.looks, store.listings) == before


def add_channels(folder: Path, color: str) -> None:
    """Give the fields of a plate one channel with a colour and a window."""
    window = {'min': 0, 'max': 65535, 'start': 0, 'end': 2550}
    for path in folder.glob('?/*/*/.zattrs'):
        document = json.loads(path.read_text())
        document['omero'] = {'channels': [{'label': 'GFP', 'color': color, 'window': window, 'active': True}]}
        document['multiscales'][0]['axes'].insert(0, {'name': 'c', 'type': 'channel'})
        for dataset in document['multiscales'][0]['datasets']:
            dataset['coordinateTransformations'][0]['scale'].insert(0, 1)
        path.write_text(json.dumps(document))
    for path in folder.glob('?/*/*/*/.zarray'):
        document = json.loads(path.read_text())
        for key in ('shape', 'chunks'):
            document[key].insert(0, 1)
        path.write_text(json.dumps(document))
        (path.parent / '0.0').rename(path.parent / '0.0.0')


def test_the_picture_of_a_field_has_the_colours_of_the_file(tmp_path: Path) -> None:
    folder = write_plate(tmp_path / 'p', 1, 2, 2)
    add_channels(folder, '00FF00')
    source = opened(folder)
    for number, place in enumerate([(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)]):
        found = field_picture(source, number, 32)
        assert found is not None
        assert found[1] == 'image/jpeg'
        pixels = decoded(found[0]).astype(int)
        assert pixels.shape[:2] == (32, 32)
        expected = np.array([0, round(value(*place) / 10), 0])
        assert np.abs(pixels[..., :3] - expected).max() <= 3  # JPEG


def test_fields_that_are_missing_empty_and_damaged_are_told_apart(tmp_path: Path) -> None:
    folder = write_plate(tmp_path / 'p', 1, 4, 2, count=2)
    shutil.rmtree(folder / 'A' / '2' / '0')
    for path in (folder / 'A' / '3' / '0').glob('*/0.0'):
        path.unlink()
    for path in (folder / 'A' / '4' / '0').glob('*/0.0'):
        path.write_bytes(b'short')
    source = opened(folder)
    for _ in range(2):  # the first says what the second does
        assert field_picture(source, 0, 32) is not None
        with pytest.raises(MissingImageError, match='A/2/0'):
            field_picture(source, 2, 32)
        assert field_picture(source, 4, 32) is None
        with pytest.raises(UnreadableImageError, match='A/4/0'):
            field_picture(source, 6, 32)
        with pytest.raises(MissingImageError, match='There is no image 8'):
            field_picture(source, 8, 32)


XML = """<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">
  <Image ID="Image:0" Name="Slide &lt;1&gt;"><Pixels SizeX="3"/></Image>
  <Image ID="Image:1"><Description>none</Description></Image>
  <Image ID="Image:2" Name="{long}"/>
</OME>"""


def test_names_in_ome_xml() -> None:
    data = XML.format(long='a  b' + 'c' * 1000).encode()
    assert image_names(data, 10) == ['Slide <1>', None, 'a b' + 'c' * 197]
    assert image_names(data, 1) == ['Slide <1>']
    assert image_names(data[: data.index(b'Image ID="Image:1')], 10) == ['Slide <1>']
    assert image_names(b'<!DOCTYPE x [<!ENTITY a "b">]>' + data, 10) == []
    assert image_names(b'\x00\xff', 10) == []


@pytest.mark.parametrize('zarr_format', [2, 3])
def test_series_have_the_names_that_bioformats2raw_writes_beside_them(
    tmp_path: Path, zarr_format: Any
) -> None:
    sides = [(120, 160), (120, 160), (20, 30)]
    folder = write_collection(tmp_path / 'c', sides, zarr_format=zarr_format, xml=XML.format(long='Label'))
    found = listed(folder)
    assert (found['kind'], found['plate'], found['seriesCount']) == ('collection', None, 3)
    assert [(one['series'], one['title'], one['path']) for one in found['series']] == [
        (0, 'Slide <1>', '0'),
        (1, 'Image one', '1'),
        (2, 'Label', '2'),
    ]
    assert [one['isShown'] for one in found['series']] == [True, True, False]
    assert [one['shape'] for one in found['series']] == [list(side) for side in sides]
    (folder / 'OME' / 'METADATA.ome.xml').unlink()
    assert [one['title'] for one in listed(folder)['series']] == ['Image zero', 'Image one', 'Image two']


def test_several_multiscales_of_one_group(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / 'm', mode='w', zarr_format=3)
    axes = [{'name': name, 'type': 'space'} for name in 'yx']
    multiscales: list[Any] = []
    for number, side in enumerate((64, 32, 64)):
        group.create_array(str(number), data=np.zeros((side, side), np.uint8))
        transforms = [{'type': 'scale', 'scale': [1, 1]}]
        one = {'axes': axes, 'datasets': [{'path': str(number), 'coordinateTransformations': transforms}]}
        multiscales.append({**one, **({'name': 'mean'} if number == 1 else {})})
    group.attrs['ome'] = {'version': '0.5', 'multiscales': multiscales}
    found = listed(tmp_path / 'm')
    titles = [(one['title'], one['shape'], one['isShown']) for one in found['series']]
    assert titles == [
        ('Image 1', [64, 64], True),
        ('mean', [32, 32], True),
        ('Image 3', [64, 64], True),
    ]
