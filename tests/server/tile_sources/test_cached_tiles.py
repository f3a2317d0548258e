"""A tile that is in large_image's cache costs no command of the database but those by which Girder checks."""

import numpy as np
import pytest
from girder.constants import AccessType, TokenScope
from girder.models.folder import Folder
from girder.models.token import Token
from girder_large_image import loadmodelcache

from girder_zarr.server.api import item_bounds
from support.girder_images import upload, write_zarr
from support.queries import recorded_queries

pytestmark = pytest.mark.plugin('zarr')


@pytest.fixture
def tile(folder, people, tmp_path, monkeypatch):
    """The route of a tile of an image in a private folder; nothing is remembered of other tests."""
    loadmodelcache.invalidateLoadModelCache()
    monkeypatch.setattr(item_bounds, 'KNOWN_SECONDS', 600)
    pixels = np.random.default_rng(0).integers(0, 255, (300, 300)).astype('uint8')
    item, _ = upload(
        folder, people['owner'], 'image.zarr.zip', write_zarr(tmp_path / 'z', '0.5', pixels, 'yx')
    )
    yield f'/item/{item["_id"]}/tiles/zxy/0/0/0'
    loadmodelcache.invalidateLoadModelCache()


def header_of(user):
    token = Token().createToken(user, days=1, scope=TokenScope.DATA_READ)
    return [('Girder-Token', str(token['_id']))]


def ask(api, tile, headers, **params):
    """Ask for a tile with a token; return the status and what the database was asked."""
    with recorded_queries() as made:
        status, _ = api.call('GET', tile, params, user=None, headers=headers, is_json=False)
    return status, [
        f'{query.collection}.{query.operation}' for query in made if query.collection != 'setting'
    ]


@pytest.mark.parametrize('params', [{}, {'encoding': 'PNG'}, {'style': '{"min": 0, "max": 99}'}])
def test_a_cached_tile_costs_no_command(api, people, tile, params):
    headers = header_of(people['reader'])
    assert ask(api, tile, headers, **params)[0] == 200
    status, asked = ask(api, tile, headers, **params)
    assert (status, asked) == (200, [])


def test_a_cached_tile_of_a_public_image_costs_no_command_for_anybody(api, people, folder, tile):
    Folder().setPublic(folder, True, save=True)
    for headers in ([], header_of(people['stranger'])):
        assert ask(api, tile, headers)[0] == 200
        assert ask(api, tile, headers) == (200, [])


def test_rights_that_girder_asks_for_again_are_asked_for(api, people, folder, tile):
    """What large_image remembers of items for five minutes is all that is remembered."""
    headers = header_of(people['reader'])
    assert ask(api, tile, headers)[0] == 200
    Folder().setUserAccess(folder, people['reader'], None, save=True)
    loadmodelcache.invalidateLoadModelCache()
    status, asked = ask(api, tile, headers)
    assert status == 403
    assert 'folder.find_one' in asked
    Folder().setUserAccess(folder, people['reader'], AccessType.READ, save=True)
    assert ask(api, tile, headers)[0] == 200
    assert ask(api, tile, [])[0] == 401
