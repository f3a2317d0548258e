"""Fixtures: tile sources of our own in place of those that happen to be installed."""

import pytest
from girder.models.folder import Folder

from girder_zarr.server.tile_sources import priorities
from support.fake_sources import make_item, three_sources, use_sources


@pytest.fixture
def sources(monkeypatch):
    """Three sources of our own in place of those that happen to be installed."""
    registry = three_sources()
    use_sources(monkeypatch, registry)
    return registry


@pytest.fixture(autouse=True)
def put_back():
    yield
    priorities.uninstall()
    priorities.overrides.invalidate()


@pytest.fixture
def installed(sources):
    priorities.install()
    return sources


@pytest.fixture
def assetstore(request):
    return request.getfixturevalue('fsAssetstore')


@pytest.fixture
def folder(admin):
    return Folder().createFolder(admin, 'images', parentType='user', public=True, reuseExisting=True)


@pytest.fixture
def ab(admin, assetstore, folder):
    return make_item(admin, folder, 'picture.ab')
