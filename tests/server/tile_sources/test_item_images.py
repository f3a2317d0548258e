"""What an item's file holds, and a small picture of each: a plate by its wells, a collection by its names."""

import io

import numpy as np
import pytest
from girder.models.folder import Folder
from girder.models.item import Item
from PIL import Image

from girder_zarr.errors import UnreadableImageError
from girder_zarr.server.tile_sources import item_images, tile_source
from support import plate_images
from support.girder_images import upload
from support.image_collections import picture, write_collection

pytestmark = pytest.mark.plugin('zarr')


def make_item(api, people, folder, path):
    item, _ = upload(folder, people['owner'], path.name, path.read_bytes())
    if 'largeImage' not in item:
        assert api.call('POST', f'/item/{item["_id"]}/tiles')[0] == 200
    return Item().load(item['_id'], force=True)


@pytest.fixture
def plate(api, people, folder, tmp_path):
    return make_item(api, people, folder, plate_images.plate_zip(tmp_path))


def test_a_plate_is_listed_by_its_wells(api, people, plate):
    path = f'/zarr/item/{plate["_id"]}/images'
    status, found = api.call('GET', path)
    assert status == 200, found
    assert (found['kind'], found['seriesCount'], found['series']) == ('plate', 20, [])
    assert [one['path'] for one in found['plate']['wells']] == plate_images.well_paths()
    fields = {one['path']: one['fields'] for one in found['plate']['wells']}
    assert fields == {path: 0 if path == plate_images.MISSING else 2 for path in plate_images.well_paths()}
    tag = api.headers['ETag']
    assert api.call('GET', path, headers=[('If-None-Match', tag)], is_json=False) == (304, b'')
    assert api.call('GET', path, user=people['stranger'])[0] == 403
    assert api.call('GET', path, user=None)[0] == 401
    assert api.call('GET', '/zarr/item/5f0000000000000000000000/images')[0] == 404


def test_pictures_of_fields_have_the_colours_of_the_file(api, people, plate):
    base = f'/zarr/item/{plate["_id"]}/images'
    version = api.call('GET', base)[1]['version']
    for number, (path, field) in {2: ('A/2', 0), 3: ('A/2', 1)}.items():
        asked = {'side': 160, 'version': version}
        status, body = api.call('GET', f'{base}/{number}/thumbnail', asked, is_json=False)
        assert (status, api.headers['Content-Type']) == (200, 'image/jpeg')
        assert api.headers['Cache-Control'] == 'private, max-age=86400'
        found = np.asarray(Image.open(io.BytesIO(body)).convert('RGB')).astype(float)
        small = plate_images.field_pixels(path, field)
        small = small.reshape(2, 100, 2, 160, 2).mean(axis=(2, 4))
        assert np.abs(found - plate_images.as_shown(small)).mean() < 5
    tag = api.headers['ETag']
    path = f'{base}/3/thumbnail'
    again = api.call('GET', path, {'side': 160}, headers=[('If-None-Match', tag)], is_json=False)
    assert again == (304, b'')
    assert api.headers['Cache-Control'] == 'private, no-cache'
    assert api.call('GET', path, user=people['stranger'])[0] == 403
    for params in ({'side': 0}, {'side': 257}, {'side': 'x'}, {'width': 3}):
        assert api.call('GET', path, params)[0] == 400, params


def test_pictures_that_are_not_there_have_a_status(api, plate):
    base = f'/zarr/item/{plate["_id"]}/images'
    wells = {one['path']: one['first'] for one in api.call('GET', base)[1]['plate']['wells']}
    for _ in range(2):
        empty = api.call('GET', f'{base}/{wells[plate_images.EMPTY]}/thumbnail', is_json=False)
        assert empty == (204, b'')
        status, answer = api.call('GET', f'{base}/{wells[plate_images.DAMAGED]}/thumbnail')
        assert (status, plate_images.DAMAGED in answer['message']) == (415, True)
        status, answer = api.call('GET', f'{base}/20/thumbnail')
        assert (status, answer['message']) == (404, 'There is no image 20; there are 20, counted from 0.')


def test_the_whole_plate_is_shown_without_the_field_that_cannot_be_read(api, people, plate):
    tiles = f'/item/{plate["_id"]}/tiles'
    whole = {'series': 'overview'}
    metadata = api.call('GET', tiles, whole)[1]
    step = 2 ** (metadata['levels'] - 1)
    height, width = plate_images.SIDE
    gap = 2 * width // 24
    for style in ({}, {'style': '{"bands": [{"frame": 0, "min": 0, "max": 2000, "palette": "#fff"}]}'}):
        params = {**whole, **style, 'encoding': 'PNG'}
        status, body = api.call('GET', f'{tiles}/zxy/0/0/0', params, is_json=False)
        assert status == 200, body
        shown = np.asarray(Image.open(io.BytesIO(body)).convert('L'))

        def part(well, shown=shown):
            """The middle of the first field of a well."""
            y = plate_images.ROWS.index(well[0]) * (height + gap) + height // 2
            x = plate_images.COLUMNS.index(well[2]) * (2 * width + gap) + width // 2
            return shown[y // step, x // step]

        assert part('A/1') > 0
        assert part('C/1') > 0
        assert part(plate_images.DAMAGED) == part(plate_images.MISSING) == 0
    for route in ('thumbnail', 'histogram', 'images/overview'):
        status, _ = api.call('GET', f'{tiles}/{route}', {} if 'images' in route else whole, is_json=False)
        assert status == 200, route
    # What is measured is not made up, also where the tiles have been shown.
    source = item_images.source_of(plate, 'overview')
    with pytest.raises(UnreadableImageError, match=plate_images.DAMAGED):
        source.getRegion(format='numpy')
    base = f'/zarr/item/{plate["_id"]}/images/problems'
    status, found = api.call('GET', base)
    assert (status, found['fields'], found['all']) == (200, 20, 20)
    (problem,) = found['problems']
    assert problem.startswith(f"The field '{plate_images.DAMAGED}/0' cannot be read: The chunk ")
    assert api.call('GET', base, user=people['stranger'])[0] == 403


@pytest.mark.parametrize('route', ['histogram', 'bands'])
def test_a_field_that_cannot_be_read_is_no_error_of_the_server(api, plate, route):
    frame = 2 * 2 * (plate_images.well_paths().index(plate_images.DAMAGED) - 1)
    status, answer = api.call('GET', f'/item/{plate["_id"]}/tiles/{route}', {'frame': frame})
    assert (status, plate_images.DAMAGED in answer['message']) == (415, True)


def test_a_collection_is_listed_by_its_names(api, people, folder, tmp_path):
    sides = [(180, 240), (180, 240), (30, 50)]
    written = write_collection(tmp_path / 'series', sides)
    path = plate_images.zipped(written, tmp_path / 'series.zarr.zip')
    item = make_item(api, people, folder, path)
    base = f'/zarr/item/{item["_id"]}/images'
    found = api.call('GET', base)[1]
    assert [one['title'] for one in found['series']] == ['Image zero', 'Image one', 'Image two']
    for number, side in enumerate(sides):
        status, body = api.call('GET', f'{base}/{number}/thumbnail', {'side': max(side)}, is_json=False)
        assert status == 200
        shown = np.asarray(Image.open(io.BytesIO(body)).convert('L')).astype(int)
        assert np.abs(shown - picture(number, side)).mean() < 6
    assert api.call('GET', f'{base}/3/thumbnail')[0] == 404


def test_others_are_told_that_they_are_no_ome_zarr(api, people, folder):
    stream = io.BytesIO()
    Image.fromarray(np.zeros((300, 400, 3), np.uint8)).save(stream, 'PNG')
    for name, body, expected in (
        ('picture.png', stream.getvalue(), 415),  # another source opens it
        ('notes.txt', b'text', 404),
    ):
        item, _ = upload(folder, people['owner'], name, body)
        status, answer = api.call('GET', f'/zarr/item/{item["_id"]}/images')
        assert status == expected, answer
        assert ('no image' if expected == 404 else 'OME-Zarr') in answer['message']


def test_anybody_sees_small_pictures_of_what_is_public_and_costs_little(api, people, tmp_path):
    public = Folder().createFolder(
        people['owner'], 'open', parentType='user', public=True, creator=people['owner']
    )
    item = make_item(api, people, public, plate_images.plate_zip(tmp_path))
    base = f'/zarr/item/{item["_id"]}/images'
    assert api.call('GET', base, user=None)[0] == 200
    assert api.call('GET', f'{base}/0/thumbnail', user=None, is_json=False)[0] == 200


def test_a_plate_of_many_fields_is_put_together_for_those_who_sign_in(api, people, tmp_path, monkeypatch):
    public = Folder().createFolder(
        people['owner'], 'open', parentType='user', public=True, creator=people['owner']
    )
    item = make_item(api, people, public, plate_images.plate_zip(tmp_path, damage=False))
    tiles = f'/item/{item["_id"]}/tiles'
    whole = {'series': 'overview'}
    routes = (
        ('zxy/0/0/0', whole),
        ('thumbnail', whole),
        ('region', {**whole, 'width': 100, 'height': 100}),
        ('histogram', {**whole, 'width': 100, 'height': 100}),
        ('images/overview', {}),
        ('fzxy/40/0/0/0', {}),
    )
    monkeypatch.setattr(tile_source, 'ANYBODY', (19, 2**26))
    for route, params in routes:
        status, body = api.call('GET', f'{tiles}/{route}', params, user=None, is_json=False)
        assert (status, b'without signing in' in body) == (413, True), route
    last = api.call('GET', tiles, whole, user=None)[1]['levels'] - 1
    part = f'{tiles}/zxy/{last}/0/0'
    assert api.call('GET', part, whole, user=None, is_json=False)[0] == 200
    for route, params in routes:
        assert api.call('GET', f'{tiles}/{route}', params, is_json=False)[0] == 200, route
    monkeypatch.setattr(tile_source, 'ANYBODY', (80, 2**26))  # of two channels, each looked at twice
    for route, params in routes:
        address = f'{tiles}/{route}'
        assert api.call('GET', address, {**params, 'jpegQuality': 80}, user=None, is_json=False)[0] == 200
