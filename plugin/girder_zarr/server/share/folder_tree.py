"""A Girder folder as a tree: ``<item name>/<key>``, and folders below it, as far as one user may read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from girder.models.folder import Folder
from girder.models.item import Item

from girder_zarr.common.cache import LRU
from girder_zarr.image.store.entries import Listed
from girder_zarr.server.storage.folder_store import folder_named, has_metadata

from .links import may_read
from .open_images import ImageTree

if TYPE_CHECKING:
    from collections.abc import Callable

    from girder_zarr.image.serve.tree import Tree
    from girder_zarr.image.store.entries import Entry
    from girder_zarr.server.common.names import Document

#: Folders below each other, and what one folder shows.
MAX_DEPTH, MAX_SHOWN = 20, 100_000
#: Names whose trees are cached, for as long as the grant.
MAX_KNOWN = 1000
_UNKNOWN = object()


class FolderTree:
    """The images in a folder that a user may read. A folder that is an uploaded hierarchy is that image.

    :param user: the reader; None: the public.
    :param open_image: gives the tree of an item, or None where it is no image.
    """

    def __init__(
        self, folder: Document, user: Document | None, open_image: Callable[[Document], Tree | None]
    ) -> None:
        self._folder, self._user, self._open = folder, user, open_image
        self._known: LRU[tuple[object, str], Tree | Document | None] = LRU(max_items=MAX_KNOWN)

    def entry(self, key: str) -> Entry | None:
        """Return a value; see :class:`.tree.Tree`."""
        found = self._find(key)
        return found[0].entry(found[1]) if isinstance(found, tuple) and found[1] else None

    def makes(self, key: str) -> bool:
        """Whether values are made of pixels below a key; a listing of folders takes no such work."""
        found = self._find(key)
        return isinstance(found, tuple) and isinstance(found[0], ImageTree) and found[0].makes(found[1])

    def cached_entry(self, key: str) -> Entry | None:
        """Return a value that never waits; see :class:`.tree.Tree`."""
        folder, rest = self._folder, key
        for _ in range(MAX_DEPTH):
            name = ''
            found = self._known.get((folder['_id'], name), _UNKNOWN)
            if found is None:  # the folder is no image itself
                name, _, rest = rest.partition('/')
                found = self._known.get((folder['_id'], name), _UNKNOWN)
            if found is None or found is _UNKNOWN:
                return None
            if not isinstance(found, dict):
                return found.cached_entry(rest)  # type: ignore[attr-defined, no-any-return]
            folder = found
        return None

    def listed(self, folder: str) -> list[Listed]:
        """Return what lies in a folder; see :class:`.tree.Tree`."""
        found = self._find(folder)
        if found is None:
            return []
        if isinstance(found, tuple):
            return found[0].listed(found[1])
        query = {'parentId': found['_id'], 'parentCollection': 'folder'}
        shown = [one for one in Folder().find(query, limit=MAX_SHOWN) if self._may_read('folder', one)]
        images = Item().find(
            {'folderId': found['_id'], 'largeImage.fileId': {'$exists': True}}, limit=MAX_SHOWN
        )
        names = {one['name'] for one in [*shown, *images] if '/' not in one['name']}
        return [Listed(name + '/') for name in names]

    def _find(self, path: str) -> tuple[Tree, str] | Document | None:
        """Return the image that a path leads into with the rest of the path, or the folder that it names."""
        folder, rest = self._folder, path
        for _ in range(MAX_DEPTH):
            root = self._step(folder, '')
            if root is not None:
                return root, rest  # type: ignore[return-value]
            if not rest:
                return folder
            name, _, rest = rest.partition('/')
            found = self._step(folder, name)
            if not isinstance(found, dict):
                return None if found is None else (found, rest)
            folder = found
        return None

    def _step(self, folder: Document, name: str) -> Tree | Document | None:
        return self._known.fetch((folder['_id'], name), lambda: self._look_up(folder, name))

    def _look_up(self, folder: Document, name: str) -> Tree | Document | None:
        """Return the image or folder of a name in a folder; without a name, the image that the folder is."""
        wanted = name or has_metadata(folder['_id'])
        if wanted is None:
            return None
        item = Item().findOne({'folderId': folder['_id'], 'name': wanted})
        if item is not None and self._may_read('item', item):
            tree = self._open(item)
            if tree is not None or not name:
                return tree
        below = folder_named(folder['_id'], name) if name else None
        return below if below is not None and self._may_read('folder', below) else None

    def _may_read(self, kind: str, document: Document) -> bool:
        return may_read(kind, document, self._user)
