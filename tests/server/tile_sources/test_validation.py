"""What is wrong with an item's OME-Zarr, over REST and in its internal metadata."""

import json
import zipfile

import pytest

from girder_zarr import image
from support.girder_images import upload
from support.server import random_pixels

pytestmark = pytest.mark.plugin('zarr')


@pytest.fixture
def items(zarr_server, people, folder, tmp_path):
    """A valid image, and one of which a level is missing."""
    pytest.importorskip('jsonschema')
    sink = image.new()
    sink.addTile(random_pixels(900, 1000), 0, 0)
    sink.write(tmp_path / 'good.zarr.zip')
    with (
        zipfile.ZipFile(tmp_path / 'good.zarr.zip') as good,
        zipfile.ZipFile(tmp_path / 'bad.zarr.zip', 'w') as bad,
    ):
        for name in good.namelist():
            if not name.startswith('1/'):
                bad.writestr(name, good.read(name))
    return [
        upload(folder, people['owner'], name, (tmp_path / name).read_bytes())[0]
        for name in ('good.zarr.zip', 'bad.zarr.zip')
    ]


def test_over_rest_and_in_internal_metadata(api, items):
    for item, valid in zip(items, (True, False), strict=True):
        status, report = api.call('GET', f'/zarr/item/{item["_id"]}/validation')
        assert (status, report['valid']) == (200, valid), report
        assert any('1: there is no array' in one for one in report['errors']) is not valid
        status, known = api.call('GET', f'/item/{item["_id"]}/tiles/internal_metadata')
        assert known['zarr']['validation']['errors'] == report['errors']


def test_who_may_ask(api, people, items):
    path = f'/zarr/item/{items[0]["_id"]}/validation'
    for user, expected in (('reader', 200), ('stranger', 403), ('nobody', 401)):
        assert api.call('GET', path, user=people[user])[0] == expected, user
    assert api.call('GET', '/zarr/item/0123456789abcdef01234567/validation')[0] == 404
    assert api.call('GET', path, {'fileId': items[1]['_id']})[0] == 404


def test_what_is_no_zarr(api, people, folder):
    item = upload(folder, people['owner'], 'notes.txt', json.dumps([1] * 100).encode())[0]
    status, answer = api.call('GET', f'/zarr/item/{item["_id"]}/validation')
    assert (status, 'notes.txt' in answer['message']) == (415, True), answer
