"""What the first read of an image costs, and those after it: queries of the database, counted."""

import json

import pytest

from support.queries import recorded_queries

pytestmark = pytest.mark.plugin('zarr')


def test_queries_of_a_read(web, api, make_image):
    image = make_image('zip')
    body = json.dumps({'itemId': str(image.item['_id'])})
    _, link = api.call('POST', '/zarr_link', body=body, content_type='application/json')
    path = f'/zarr/k/{link["key"]}'
    chunk = next(key for key in image.snapshot if '/c/' in key)
    with recorded_queries() as made:
        assert web.ask(f'{path}/{chunk}').body == image.snapshot[chunk]
    assert [query.collection for query in made] == [
        'zarr_link',
        'user',
        'item',
        'folder',
        'file',
        'assetstore',
    ]
    assert not any(query.is_write for query in made)
    with recorded_queries() as made:
        for key, value in image.snapshot.items():
            assert web.ask(f'{path}/{key}').body == value
    assert made == []
