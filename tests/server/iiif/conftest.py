"""Images of several formats, and links to them."""

import json

import pytest
from girder.models.item import Item

from support.girder_images import upload


@pytest.fixture
def put(api, people, folder):
    """Store an image of any format, and return its item."""

    def put(name, body, into=None, meta=None):
        item, _ = upload(into or folder, people['owner'], name, body)
        if 'largeImage' not in item:
            status, answer = api.call('POST', f'/item/{item["_id"]}/tiles')
            assert status == 200, answer
        found = Item().load(item['_id'], force=True)
        return Item().setMetadata(found, meta) if meta else found

    return put


@pytest.fixture
def link(api):
    """Make a share link of the owner, and return its key."""

    def link(**fields):
        body = json.dumps(fields)
        status, made = api.call('POST', '/zarr_link', body=body, content_type='application/json')
        assert status == 200, made
        return made['key']

    return link
