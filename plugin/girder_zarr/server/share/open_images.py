"""Items as trees of keys. Stores that know a directory by heart stay open; others are opened anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from girder.models.file import File
from girder_large_image.models.image_item import ImageItem

from girder_zarr.common.cache import LRU
from girder_zarr.image.serve.zmetadata import KEY as ZMETADATA
from girder_zarr.image.serve.zmetadata import consolidated
from girder_zarr.image.store.objectstore import ObjectStore
from girder_zarr.image.store.stores import location_identity, open_store
from girder_zarr.image.virtual.series_tree import SeriesTree
from girder_zarr.image.virtual.served_form import ServedForm, split_form
from girder_zarr.image.virtual.tile_series import associated_of, series_of
from girder_zarr.image.virtual.transcoded_tree import TranscodedTree
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
#: Forms of one image that stay open.
MAX_FORMS = 8

#: Part of the validators: raised when other bytes are made of the same image.
VIRTUAL_VERSION = 2

_virtuals: LRU[tuple[str, ServedForm], SeriesTree] = LRU(max_items=MAX_STORES)
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
    if is_stored_zarr(item):
        stored = _stored(file)
        return ImageTree(stored, lambda form: TranscodedTree(stored, form))
    return ImageTree(None, lambda form: _virtual(item, file, form))


class ImageTree:
    """The keys of an item; below the words of `image.virtual.served_form` the same image in another form.

    :param stored: its own keys, or None where it is of another format: then all of them are made.
    :param make: returns the tree of a form.
    """

    def __init__(self, stored: KeyStore | None, make: Callable[[ServedForm], Tree]) -> None:
        self._stored, self._make = stored, make
        self._made: LRU[ServedForm, Tree] = LRU(max_items=MAX_FORMS)

    def makes(self, key: str) -> bool:
        """Whether values are made of pixels below a key, which takes work."""
        return self._stored is None or key.startswith('@')

    def entry(self, key: str) -> Entry | None:
        """Return a value, or what is made where zarr v2 has no consolidated metadata."""
        tree, inner = self._find(key)
        found = tree.entry(inner) if inner else None
        return consolidated(tree) if found is None and inner == ZMETADATA else found

    def cached_entry(self, key: str) -> Entry | None:
        """Return a value that never waits; see `image.serve.tree.Tree`."""
        if self._stored is not None and not key.startswith('@'):
            return self._stored.cached_entry(key)
        form, inner = split_form(key)
        tree = self._made.get(form or ServedForm())
        return (
            None if tree is None or (form is None and self._stored is not None) else tree.cached_entry(inner)
        )

    def listed(self, folder: str) -> list[Listed]:
        """Return what lies in a folder; see `image.serve.tree.Tree`. No listing names forms."""
        tree, inner = self._find(folder)
        return tree.listed(inner)

    def _find(self, key: str) -> tuple[Tree, str]:
        form, inner = split_form(key)
        if form is None and self._stored is not None:
            return self._stored, key
        form = form or ServedForm()
        return self._made.fetch(form, lambda: self._make(form)), inner


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


def _virtual(item: Document, file: Document, form: ServedForm) -> Tree:
    """Return an image of any format as OME-Zarr, made from its tiles."""
    name = item['largeImage']['sourceName']
    identity = f'{file["_id"]}:{file.get("updated")}:{file["size"]}:{name}:{VIRTUAL_VERSION}'

    def make() -> SeriesTree:
        source = ImageItem().tileSource(item)
        return SeriesTree(series_of(source, item['name']), identity, form, associated_of(source))

    return _virtuals.fetch((identity, form), make)


def forget_stores() -> None:
    """Close all stores."""
    _stores.clear()
    _virtuals.clear()
