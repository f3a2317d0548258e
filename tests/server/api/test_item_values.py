"""The labels of an item, and the values of one pixel of items and sessions, over REST."""

import io
import json

import numpy as np
import pytest
from girder.models.item import Item
from PIL import Image

from girder_zarr.server.api import item_bounds, item_values
from support import labelled_images
from support.girder_images import upload
from support.labelled_images import NUCLEI, RED, TISSUE
from support.server import npy

pytestmark = pytest.mark.plugin('zarr')

EVERYONE = {'owner': 200, 'reader': 200, 'stranger': 403, 'nobody': 401}
PLACE = {
    'x': {'scale': 0.5, 'translation': 20.0, 'unit': 'micrometer'},
    'y': {'scale': 0.5, 'translation': 10.0, 'unit': 'micrometer'},
}


@pytest.fixture
def item(people, folder, tmp_path, zarr_server):
    body = labelled_images.labelled_zarr(tmp_path / 'cells.zarr.zip')
    return upload(folder, people['owner'], 'cells.zarr.zip', body)[0]


def values(api, item, user=..., **params):
    return api.call('GET', f'/zarr/item/{item["_id"]}/values', params, user=user)


def test_labels_are_listed_and_are_frames_of_tiles(api, item):
    status, found = api.call('GET', f'/zarr/item/{item["_id"]}/labels')
    assert (status, found) == (200, {'labels': [NUCLEI, TISSUE], 'place': PLACE})
    path = f'/item/{item["_id"]}/tiles/zxy/3/0/0'
    params = {'labels': 'true', 'frame': 6, 'encoding': 'PNG'}
    tile = np.asarray(Image.open(io.BytesIO(api.call('GET', path, params, is_json=False)[1])))
    assert tile.shape[2] == 4
    assert tile[250, 250].tolist() == list(RED)
    assert tile[0, 0, 3] == 0
    tag = {'If-None-Match': str(api.headers['ETag'])}
    assert api.call('GET', path, params, headers=[*tag.items()], is_json=False)[0] == 304


def test_values_of_frames_and_labels(api, item):
    names = json.dumps([TISSUE, NUCLEI])
    status, found = values(api, item, x=600, y=360, frames='0,1,4', labels=names)
    image = labelled_images.image_pixels()
    tissue = labelled_images.on_image(labelled_images.tissue_pixels())
    assert status == 200
    assert (found['x'], found['y'], found['place']) == (600, 360, PLACE)
    assert found['values'] == [
        {'frame': frame, 'values': [int(image[frame % 2, frame // 2, 360, 600])]} for frame in (0, 1, 4)
    ]
    assert [one['name'] for one in found['labels']] == [TISSUE, NUCLEI]
    assert [one['value'] for one in found['labels']] == [int(tissue[360, 600]), 1]
    assert found['labels'][1]['color'] == list(RED)
    assert found['labels'][1]['properties'] == {'class': '<i>mitotic</i>', 'area': 12.5}


def test_who_may_ask(api, item, people):
    for route, params in (('labels', {}), ('values', {'x': 0, 'y': 0})):
        for who, expected in EVERYONE.items():
            user = people[who] if who != 'nobody' else None
            status, _ = api.call('GET', f'/zarr/item/{item["_id"]}/{route}', params, user=user)
            assert status == expected, (route, who)


@pytest.mark.parametrize(
    ('params', 'expected', 'said'),
    [
        ({}, 400, 'x'),
        ({'x': 'left'}, 400, 'x'),
        ({'x': -1}, 404, 'x: expected a number from 0 to 1919, found -1'),
        ({'x': 1920}, 404, 'x: expected a number from 0 to 1919, found 1920'),
        ({'x': 10**30}, 404, 'x: expected a number from 0 to 1919'),
        ({'y': 1536, 'x': 0}, 404, 'y: expected a number from 0 to 1535, found 1536'),
        ({'x': 0, 'frames': '6'}, 404, 'frames: the image has 6, counted from 0; found 6'),
        ({'x': 0, 'frames': ''}, 400, 'frames: expected whole numbers'),
        ({'x': 0, 'frames': '1,,2'}, 400, 'frames: expected whole numbers'),
        ({'x': 0, 'frames': '-1'}, 400, 'frames: expected whole numbers'),
        ({'x': 0, 'frames': ','.join(['0'] * 65)}, 413, 'frames: expected at most 64 numbers'),
        ({'x': 0, 'labels': '{'}, 400, 'labels: expected a JSON list'),
        ({'x': 0, 'labels': '{}'}, 400, 'labels: expected a JSON list'),
        ({'x': 0, 'labels': '[1]'}, 400, 'labels: expected a JSON list of names'),
        ({'x': 0, 'labels': '["cells"]'}, 404, f"there are {NUCLEI}, {TISSUE}, found 'cells'"),
        ({'x': 0, 'labels': '["../nuclei"]'}, 404, "found '../nuclei'"),
        ({'x': 0, 'labels': json.dumps(['a'] * 17)}, 413, 'labels is more than is read'),
        ({'x': 0, 'labels': '[' * 100_000}, 413, 'labels'),
        ({'x': 0, 'series': '7'}, 415, 'There is no series 7'),
        ({'x': 0, 'z': '7'}, 400, 'z: expected one of the parameters'),
    ],
)
def test_what_is_refused(api, item, params, expected, said):
    status, answer = values(api, item, **{'y': 0, **params})
    assert (status, said in answer['message']) == (expected, True), answer


def test_items_without_an_image_of_ours(api, item, people, folder):
    other = Item().createItem('notes', people['owner'], folder)
    for target, expected in ((other['_id'], 400), ('0' * 24, 404), ('x', 404)):
        for route in ('labels', 'values'):
            params = {'x': 0, 'y': 0} if route == 'values' else {}
            status, answer = api.call('GET', f'/zarr/item/{target}/{route}', params)
            assert status == expected, answer


def test_anybody_reads_no_more_than_costs_a_second(api, item, people, folder, monkeypatch):
    from girder.models.folder import Folder

    Folder().setPublic(folder, True, save=True)
    chunk = 256 * 256
    monkeypatch.setattr(item_values, 'MAX_READ', 3 * chunk)
    names = json.dumps([NUCLEI])
    assert values(api, item, user=None, x=0, y=0, frames='0,1', labels=names)[0] == 200
    status, answer = values(api, item, user=None, x=0, y=0, frames='0,1,2', labels=names)
    assert (status, f'{4 * chunk} stored pixels' in answer['message']) == (413, True)
    assert values(api, item, x=0, y=0, frames='0,1,2', labels=names)[0] == 200
    # The first label has one level only: a picture of all of it reads all of it.
    tiles = f'/item/{item["_id"]}/tiles'
    monkeypatch.setattr(item_bounds, 'MAX_READ', 1920 * 1536 - 1)
    for route, frame, expected in (
        ('zxy/0/0/0', 6, 413), ('fzxy/6/0/0/0', None, 413), ('fzxy/12/0/0/0', None, 200),
        ('zxy/0/0/0', 0, 200), ('zxy/1/0/0', 6, 200), ('region', 6, 413), ('region', 12, 200),
        ('thumbnail', 6, 413), ('tile_frames', '0,6', 413),
    ):  # fmt: skip
        params = {'labels': 'true', 'encoding': 'PNG'}
        if frame is not None:
            params['frameList' if route == 'tile_frames' else 'frame'] = frame
        if '/' not in route:
            params |= {'width': 64, 'height': 64}
        status, _ = api.call('GET', f'{tiles}/{route}', params, user=None, is_json=False)
        assert status == expected, (route, frame)
        assert api.call('GET', f'{tiles}/{route}', params, is_json=False)[0] == 200, (route, frame)


def test_values_of_a_session(api, folder, people):
    _, session = api.create(folder, pixelSize={'x': 0.5, 'y': 0.25, 'unit': 'micrometer'})
    pixels = np.arange(80 * 100, dtype=np.uint16).reshape(80, 100)
    for c in range(2):
        api.put(session, f'p{c}', npy(pixels + c), x=300, y=40, c=c)
    path = f'/stitch_session/{session["_id"]}/values'
    status, found = api.call('GET', path, {'x': 7, 'y': 9, 'frames': '0,1'})
    assert (status, found['values']) == (
        200,
        [{'frame': c, 'values': [int(pixels[9, 7]) + c]} for c in range(2)],
    )
    assert (found['revision'], found['x'], found['y']) == (api.get(session)[1]['revision'], 7, 9)
    assert (found['place']['x']['scale'], found['place']['y']['scale']) == (0.5, 0.25)
    assert (found['place']['x']['translation'], found['place']['y']['translation']) == (150, 10)
    for params, expected in (
        ({'x': 100, 'y': 0}, 404), ({'x': 0, 'y': 0, 'frames': '2'}, 404), ({'x': 0}, 400),
        ({'x': 0, 'y': 0, 'frames': 'all'}, 400), ({'x': 0, 'y': 0, 'labels': '[]'}, 400),
    ):  # fmt: skip
        status, answer = api.call('GET', path, params)
        assert status == expected, answer
    assert api.call('GET', path, {'x': 0, 'y': 0}, user=people['stranger'])[0] == 403
    assert api.call('GET', path, {'x': 0, 'y': 0}, user=None)[0] == 401
