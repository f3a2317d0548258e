"""The Digital Slide Archive's set: Girder 3.2 with girder-large-image 1.35.6. zarr itself is what pixels are
compared with.
"""

import io
import json
import logging
import threading
import zipfile

import girder
import numpy as np
import pytest
import tifffile
from girder.constants import AssetstoreType
from girder.exceptions import FilePathException
from girder.models.file import File
from girder.models.item import Item
from PIL import Image

pytestmark = pytest.mark.plugin('zarr')

HEIGHT, WIDTH = 300, 520


class Client:
    """REST as one user; every call answers 200 or fails the test."""

    def __init__(self, server, user):
        self.server, self.user = server, user

    def upload(self, name, data, folder):
        """Upload a file in one piece and return its item, as Girder has it afterwards."""
        file = self.server.uploadFile(name, data, self.user, folder)
        assert '_id' in file, file
        return Item().load(file['itemId'], force=True)

    def get(self, path, *, is_json=True, **params):
        response = self.server.request(path, user=self.user, params=params, isJson=is_json)
        assert response.output_status == b'200 OK', response.output_status
        return response.json if is_json else b''.join(response.body)

    def tiles(self, item, path='', **params):
        return self.get(f'/item/{item["_id"]}/tiles{path}', **params)

    def picture(self, item, path, **params):
        """Pixels of a route that answers with a PNG, as (y, x, 3)."""
        body = self.tiles(item, path, is_json=False, encoding='PNG', **params)
        with Image.open(io.BytesIO(body)) as image:
            assert image.format == 'PNG'
            return np.asarray(image.convert('RGB'))


@pytest.fixture
def client(server, people):
    yield Client(server, people['owner'])
    # girder_large_image keeps thumbnails from a thread of its own, which must not outlive the database.
    for thread in threading.enumerate():
        if '_saveDataFile' in thread.name:
            thread.join(30)


@pytest.mark.parametrize('name', ['slide.ome.zarr.zip', 'slide.zip', 'slide.ozx'])
def test_an_uploaded_image_is_registered_and_served(client, folder, rgb, name):
    data, levels = rgb
    item = client.upload(name, data, folder)
    assert item['largeImage']['sourceName'] == 'zarr'

    metadata = client.tiles(item)
    assert (metadata['sizeX'], metadata['sizeY']) == (WIDTH, HEIGHT)
    assert metadata['mm_x'] == metadata['mm_y'] == pytest.approx(0.0005)
    assert metadata['bandCount'] == 3
    assert 'frames' not in metadata

    full = levels[0]
    top, side = metadata['levels'] - 1, metadata['tileWidth']
    for y in range(-(-HEIGHT // side)):
        for x in range(-(-WIDTH // side)):
            expected = full[y * side : (y + 1) * side, x * side : (x + 1) * side]
            tile = client.picture(item, f'/zxy/{top}/{x}/{y}')
            assert np.array_equal(tile[: expected.shape[0], : expected.shape[1]], expected)

    region = client.picture(item, '/region', left=70, top=33, regionWidth=301, regionHeight=214)
    assert np.array_equal(region, full[33 : 33 + 214, 70 : 70 + 301])


def test_lower_levels_and_the_thumbnail_are_those_of_the_file(client, folder, rgb):
    data, levels = rgb
    item = client.upload('slide.zip', data, folder)
    metadata = client.tiles(item)
    top, side = metadata['levels'] - 1, metadata['tileWidth']
    half = client.picture(item, f'/zxy/{top - 1}/0/0')
    expected = levels[1][:side, :side]
    assert np.array_equal(half[: expected.shape[0], : expected.shape[1]], expected)

    quarter = levels[2]
    thumbnail = client.picture(item, '/thumbnail', width=quarter.shape[1], height=quarter.shape[0])
    assert np.array_equal(thumbnail, quarter)


def test_every_frame_of_a_stack_keeps_its_values(client, folder, stack):
    data, levels = stack
    item = client.upload('stack.zip', data, folder)
    assert item['largeImage']['sourceName'] == 'zarr'
    metadata = client.tiles(item)
    assert metadata['dtype'] == 'uint16'
    assert metadata['IndexRange'] == {'IndexC': 2, 'IndexZ': 3}
    assert len(metadata['frames']) == 6
    for frame in metadata['frames']:
        body = client.tiles(item, '/region', is_json=False, encoding='TIFF', frame=frame['Frame'])
        pixels = tifffile.imread(io.BytesIO(body))
        assert pixels.dtype == np.uint16
        assert np.array_equal(pixels.reshape(HEIGHT, WIDTH), levels[0][frame['IndexC'], frame['IndexZ']])


def test_a_file_is_read_where_it_lies(client, folder, rgb, assetstore):
    data, levels = rgb
    item = client.upload('slide.zip', data, folder)
    file = File().load(item['largeImage']['fileId'], force=True)
    if assetstore['type'] == AssetstoreType.GRIDFS:
        with pytest.raises(FilePathException):
            File().getLocalFilePath(file)
    else:
        assert not File().getLocalFilePath(file).endswith('.zip')
    assert np.array_equal(client.picture(item, '/region'), levels[0])


def test_other_zips_are_left_alone(client, folder):
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as archive:
        archive.writestr('readme.txt', 'nothing to see')
    assert 'largeImage' not in client.upload('notes.zip', out.getvalue(), folder)


def test_the_log_says_that_sessions_need_girder_5(caplog, request):
    with caplog.at_level(logging.INFO, logger='girder'):
        request.getfixturevalue('server')
    said = [record.getMessage() for record in caplog.records if 'Stitch sessions' in record.getMessage()]
    expected = (
        f'Stitch sessions need Girder 5; this is Girder {girder.__version__}, '
        'to which girder_zarr gives its tile source only.'
    )
    assert said == [expected]


@pytest.mark.parametrize(
    ('method', 'path'),
    [
        ('GET', '/stitch_session'),
        ('POST', '/stitch_session'),
        ('GET', '/stitch_session/0123456789abcdef01234567'),
        ('PUT', '/stitch_session/0123456789abcdef01234567/patch/a'),
        ('POST', '/stitch_session/0123456789abcdef01234567/finalize'),
    ],
)
def test_session_routes_are_unknown(server, people, method, path):
    unknown = server.request('/no_such_resource', method, user=people['admin'], isJson=False)
    response = server.request(path, method, user=people['admin'], isJson=False)
    assert response.output_status == unknown.output_status == b'404 Not Found'


def test_the_description_of_the_api_has_no_sessions(client):
    paths = client.get('/describe')['paths']
    assert '/item/{itemId}/tiles' in paths
    assert not [path for path in paths if path.startswith('/stitch_session')]


def set_priorities(server, admin, value):
    """Save the setting over REST, or remove it."""
    params = {'key': 'zarr.source_priorities'}
    method = 'DELETE'
    if value is not None:
        method, params['value'] = 'PUT', json.dumps(value)
    response = server.request('/system/setting', method, user=admin, params=params)
    assert response.output_status == b'200 OK', response.json


def test_priorities_decide_here_too(client, people, folder, rgb):
    data, _ = rgb
    set_priorities(client.server, people['admin'], {'zarr': 'off'})
    item = client.upload('slide.zip', data, folder)
    assert 'largeImage' not in item
    explained = client.get(f'/zarr/item/{item["_id"]}/source')
    assert explained['wouldChoose'] is None

    set_priorities(client.server, people['admin'], None)
    assert client.get(f'/zarr/item/{item["_id"]}/source')['wouldChoose'] == 'zarr'
    assert client.upload('again.zip', data, folder)['largeImage']['sourceName'] == 'zarr'


def test_an_extension_that_the_setting_adds_counts_from_the_next_upload(client, people, folder, rgb):
    data, _ = rgb
    assert 'largeImage' not in client.upload('before.slide', data, folder)
    set_priorities(client.server, people['admin'], {'zarr': {'slide': 'HIGH'}})
    assert client.upload('after.slide', data, folder)['largeImage']['sourceName'] == 'zarr'


def test_a_worker_of_girder_3_starts_and_gets_no_tasks_of_ours():
    from girder_worker.app import app
    from girder_worker.entrypoint import get_plugin_task_modules

    assert not [module for module in get_plugin_task_modules(app) if module.startswith('girder_zarr')]
    app.loader.import_default_modules()
