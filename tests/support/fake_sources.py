"""Tile sources of our own, with the plugin as far as priorities go, and items to choose a source for."""

import io

import pytest
from girder import plugin
from girder.models.file import File
from girder.models.item import Item
from girder.models.upload import Upload
from girder.plugin import GirderPlugin
from girder_large_image import girder_tilesource
from girder_large_image.girder_tilesource import GirderTileSource, getGirderTileSourceName
from large_image.constants import SourcePriority
from large_image.exceptions import TileSourceError

from girder_zarr.server.api import tile_sources
from girder_zarr.server.settings.define import SettingKey
from girder_zarr.server.tile_sources import priorities

KEY = SettingKey.SOURCE_PRIORITIES


class PrioritiesPlugin(GirderPlugin):
    """As much of the plugin as this file is about."""

    def load(self, info):
        plugin.getPlugin('large_image').load(info)
        tile_sources.register(info)


with_plugin = pytest.mark.plugin('priorities_test', PrioritiesPlugin)


def make_source(label, extensions, reads=b'', **attributes):
    """Make a source for files that start with `reads`."""

    class Source(GirderTileSource):
        name = label

        def __init__(self, item, **kwargs):  # noqa: ARG002  large_image passes its own
            file = File().load(item['largeImage']['fileId'], force=True)
            with File().open(file) as handle:
                if handle.read(len(reads)) != reads:
                    path = File().getLocalFilePath(file)
                    raise TileSourceError(f'{label} expected a file that begins with {reads!r}, not {path}.')

        @classmethod
        def canRead(cls, item, **kwargs):  # noqa: ARG003
            try:
                cls(item)
            except TileSourceError:
                return False
            return True

        def getMetadata(self):
            return {'sizeX': 1, 'sizeY': 1}

        def getTile(self, *args, **kwargs):  # noqa: ARG002  large_image's own signature
            return label.encode()

    Source.extensions = dict(extensions)
    Source.mimeTypes = attributes.pop('mimeTypes', {None: SourcePriority.MANUAL})
    for key, value in attributes.items():
        setattr(Source, key, value)
    return Source


def three_sources():
    """Make a registry: alpha and beta read everything, gamma files that begin with its name."""
    return {
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


def use_sources(monkeypatch, registry):
    """Put sources in the place of those that happen to be installed."""
    monkeypatch.setattr(girder_tilesource, 'AvailableGirderTileSources', registry)
    monkeypatch.setattr(girder_tilesource, 'loadGirderTileSources', load_nothing)
    monkeypatch.setattr(girder_tilesource, 'KnownExtensions', {'ab', 'b', 'g', 'foreign'})
    monkeypatch.setattr(girder_tilesource, 'KnownMimeTypes', {'image/gamma', 'image/foreign'})
    priorities.overrides.invalidate()
    priorities.watch()


def load_nothing():
    for source in girder_tilesource.AvailableGirderTileSources.values():
        girder_tilesource.KnownExtensions.update(key for key in source.extensions if key is not None)
        girder_tilesource.KnownMimeTypes.update(key for key in source.mimeTypes if key is not None)


def make_item(admin, folder, name, content=b'nothing', mime_type='application/octet-stream'):
    """Upload a file as users do, then take the large image away that may have been set."""
    item = Item().createItem(name, admin, folder)
    file = Upload().uploadFromFile(
        io.BytesIO(content), len(content), name, 'item', item, admin, mimeType=mime_type
    )
    item = Item().load(item['_id'], force=True)
    item.pop('largeImage', None)
    return Item().save(item), file


def chosen(item, file):
    return getGirderTileSourceName({**item, 'largeImage': {'fileId': file['_id']}}, file)
