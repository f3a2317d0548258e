"""Fixtures: tile sources of our own in place of those that happen to be installed."""

import pytest
from girder.models.folder import Folder
from girder_large_image import girder_tilesource
from large_image.constants import SourcePriority

from girder_zarr.server.tile_sources import priorities
from support.fake_sources import load_nothing, make_item, make_source


@pytest.fixture
def sources(monkeypatch):
    """Three sources of our own in place of those that happen to be installed."""
    registry = {
        'alpha': make_source('alpha', {None: SourcePriority.FALLBACK, 'ab': SourcePriority.HIGH}),
        'beta': make_source(
            'beta', {None: SourcePriority.MANUAL, 'ab': SourcePriority.MEDIUM, 'b': SourcePriority.LOW}
        ),
        'gamma': make_source(
            'gamma',
            {None: SourcePriority.MANUAL, 'g': SourcePriority.PREFERRED},
            reads=b'gamma',
            mimeTypes={None: SourcePriority.FALLBACK, 'image/gamma': SourcePriority.PREFERRED},
            nameMatches={r'.*\.gamma-\d+$': SourcePriority.PREFERRED},
        ),
    }
    monkeypatch.setattr(girder_tilesource, 'AvailableGirderTileSources', registry)
    monkeypatch.setattr(girder_tilesource, 'loadGirderTileSources', load_nothing)
    monkeypatch.setattr(girder_tilesource, 'KnownExtensions', {'ab', 'b', 'g', 'foreign'})
    priorities.overrides.invalidate()
    priorities.watch()
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
