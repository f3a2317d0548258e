"""Items as trees of keys. Stores that know a directory by heart stay open; others are opened anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from girder.models.file import File
from girder_large_image.models.image_item import ImageItem

from girder_zarr.common.cache import LRU
from girder_zarr.image.store.objectstore import ObjectStore
from girder_zarr.image.store.stores import location_identity, open_store
from girder_zarr.image.virtual.series_tree import SeriesTree
from girder_zarr.image.virtual.tile_series import series_of
from girder_zarr.server.storage.locations import open_location

if TYPE_CHECKING:
    from collections.abc import Callable

    from girder_zarr.image.serve.tree import Tree
    from girder_zarr.image.store.entries import Entry, Listed
    from girder_zarr.image.store.keystore import KeyStore
    from girder_zarr.server.common.names import Document

#: Open stores; the directory of a zip of a million entries takes about 200 MB.
MAX_STORES = 32
SOURCE = 'zarr'
#: What comes before the keys of an image whose codec a viewer lacks, made anew with zstd.
TRANSCODED = '@zstd'

#: Part of the validators: raised when other bytes are made of the same image.
VIRTUAL_VERSION = 1

_virtuals: LRU[str, SeriesTree] = LRU(max_items=MAX_STORES)
_stores: LRU[tuple[str, str], KeyStore] = LRU(max_items=MAX_STORES)


def is_stored_zarr(item: Document) -> bool:
    """Whether an item is an image that our source reads."""
    return bool(item.get('largeImage', {}).get('sourceName') == SOURCE and item['largeImage'].get('fileId'))


def open_item(item: Document) -> Tree | None:
    """Return the keys of an item from the root of its hierarchy, or None: it is no image.

    :raises UnreadableImageError: it cannot be opened. :raises MissingImageError: its file has gone.
    """
    file_id = item.get('largeImage', {}).get('fileId')
    file = None if file_id is None else File().load(file_id, force=True)
    if file is None or item['largeImage'].get('expected'):  # its image is still being made
        return None
    return ImageTree(_stored(file) if is_stored_zarr(item) else None, lambda: _virtual(item, file))


class ImageTree:
    """The keys of an item; below `TRANSCODED` the same image with chunks that every viewer decodes.

    :param stored: its own keys, or None where it is of another format and has the others at its root, too.
    """

    def __init__(self, stored: KeyStore | None, make: Callable[[], Tree]) -> None:
        self._stored, self._make = stored, make

    def _find(self, key: str) -> tuple[Tree, str]:
        name, _, rest = key.partition('/')
        if name == TRANSCODED:
            return self._make(), rest
        return self._make() if self._stored is None else self._stored, key

    def entry(self, key: str) -> Entry | None:
        """Return a value; see `image.serve.tree.Tree`."""
        tree, inner = self._find(key)
        return tree.entry(inner) if inner else None

    def cached_entry(self, key: str) -> Entry | None:
        """Return a stored value that never waits; see `image.store.keystore.KeyStore`."""
        return None if self._stored is None else self._stored.cached_entry(key)

    def listed(self, folder: str) -> list[Listed]:
        """Return what lies in a folder; see `image.serve.tree.Tree`. No listing names `TRANSCODED`."""
        tree, inner = self._find(folder)
        return tree.listed(inner)


def _stored(file: Document) -> KeyStore:
    """Return the keys as they are stored.

    A directory of values that each cost a request is opened anew, so that nothing cached of them, nor of
    the rights to read them, is older than the grant.
    """
    location = open_location(file)
    key = str(file['_id']), location_identity(location)
    store = _stores.get(key)
    if store is None:
        store = open_store(location)
        if not isinstance(store, ObjectStore):
            _stores.put(key, store)
    return store


def _virtual(item: Document, file: Document) -> Tree:
    """Return an image of any format as OME-Zarr 0.5, made from its tiles."""
    name = item['largeImage']['sourceName']
    identity = f'{file["_id"]}:{file.get("updated")}:{file["size"]}:{name}:{VIRTUAL_VERSION}'
    return _virtuals.fetch(
        identity, lambda: SeriesTree(series_of(ImageItem().tileSource(item), item['name']), identity)
    )


def forget_stores() -> None:
    """Close all stores."""
    _stores.clear()
    _virtuals.clear()
