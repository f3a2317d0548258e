"""Pictures and statistics of items that are gone or no images: refused in words, never with status 500."""

import numpy as np
import pytest
from girder.models.item import Item

from support.girder_images import upload, write_zarr

pytestmark = pytest.mark.plugin('zarr')
TILES = ('zxy/0/0/0', 'fzxy/0/0/0/0')
OTHERS = ('histogram', 'bands', 'region', 'thumbnail', 'pixel', 'tile_frames', 'internal_metadata', 'images')
BELOW = ('dzi.dzi', 'dzi_files/8/0_0.jpg', 'images/label', 'images/label/metadata', 'tile_frames/quad_info')


@pytest.fixture
def image(folder, people, tmp_path):
    body = write_zarr(tmp_path / 'z', '0.5', np.ones((64, 64), 'u1'), 'yx')
    item, _ = upload(folder, people['owner'], 'image.zarr.zip', body)
    return item


def ask(api, people, item, route):
    path = f'/item/{item["_id"]}/tiles/{route}'
    status, answer = api.call('GET', path, {}, user=people['owner'], is_json=False)
    return status, str(answer)


@pytest.mark.parametrize('route', [*TILES, *OTHERS, *BELOW])
def test_an_item_that_is_gone(api, people, image, route):
    assert ask(api, people, image, TILES[0])[0] == 200
    Item().remove(Item().load(image['_id'], force=True))
    status, answer = ask(api, people, image, route)
    assert status == 400
    assert 'Invalid item id' in answer


@pytest.mark.parametrize('route', [*TILES, *OTHERS, *BELOW])
@pytest.mark.parametrize('state', [None, {'expected': True}])
def test_an_item_that_is_no_image(api, people, folder, route, state):
    item = Item().createItem('notes', people['owner'], folder)
    if state:
        item['largeImage'] = state
        Item().save(item)
    status, answer = ask(api, people, item, route)
    assert status == (404 if route in TILES else 400)
    assert ('pending' if state else 'No large image file in this item.') in answer
