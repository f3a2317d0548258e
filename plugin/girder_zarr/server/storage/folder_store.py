"""A zarr hierarchy that was uploaded file by file: Girder folders and items are its keys."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from girder.constants import AccessType
from girder.models.file import File
from girder.models.folder import Folder
from girder.models.item import Item

from girder_zarr.common.cache import LRU
from girder_zarr.errors import ForbiddenPartError, UnreadableImageError
from girder_zarr.image.store.bytesource import FileBytes
from girder_zarr.image.store.entries import Entry, SourceEntry
from girder_zarr.image.store.objectstore import MAX_LISTED, ObjectStore
from girder_zarr.image.store.zarr_names import ROOT_KEYS, ROOT_ORDER

from .file_bytes import open_bytes

if TYPE_CHECKING:
    from bson import ObjectId

    from girder_zarr.image.store.bytesource import ByteSource

logger = logging.getLogger(__name__)

#: The folders whose ids one store caches, at some 200 bytes each.
MAX_FOLDERS = 20_000
#: The files that one store caches, each with its assetstore's adapter.
MAX_FILES = 2_000
#: How far above a folder an image's root is looked for: a plate with labels is seven folders deep.
MAX_DEPTH = 20


class FolderHierarchy(ObjectStore):
    """The hierarchy in a folder and those below it.

    A user who may read the image reads all of it, so folders with stricter access are no part of it.

    :param root: the folder that holds the root's metadata.
    :param identity: see the base class.
    """

    def __init__(self, root: dict[str, Any], identity: str) -> None:
        super().__init__(root['name'], identity)
        self._root = root
        self._folders: LRU[str, ObjectId | None] = LRU(max_items=MAX_FOLDERS)
        self._files: LRU[str, ByteSource] = LRU(max_items=MAX_FILES)
        self._adapters: dict[ObjectId, Any] = {}

    def _folder(self, path: str) -> ObjectId | None:
        """Return the folder at a path, or None.

        :raises ForbiddenPartError: its access is stricter than that of the image, or that of one above.
        """
        if not path:
            root: ObjectId = self._root['_id']
            return root
        return self._folders.fetch(path, lambda: self._find_folder(path))

    def _find_folder(self, path: str) -> ObjectId | None:
        parent, _, name = path.rpartition('/')
        above = self._folder(parent)
        if above is None:
            return None
        found = folder_named(above, name)
        if found is None:
            return None
        if not as_open(found, self._root):
            logger.info('The folder %s of the image %s may be read by fewer people.', path, self._root['_id'])
            msg = f'{self.name} has a part that fewer people may read than the image itself.'
            raise ForbiddenPartError(msg)
        folder_id: ObjectId = found['_id']
        return folder_id

    def _file(self, key: str) -> ByteSource | None:
        known = self._files.get(key)
        if known is not None:
            return known
        path, _, name = key.rpartition('/')
        folder = self._folder(path)
        item = None if folder is None else Item().findOne({'folderId': folder, 'name': name}, fields=['_id'])
        file = None if item is None else File().findOne({'itemId': item['_id'], 'name': name})
        if file is None or not file.get('assetstoreId'):
            return None
        source = open_bytes(file, self._adapter(file))
        if not isinstance(source, FileBytes):
            self.supports_batch = True  # files in an assetstore elsewhere; those on this machine gain nothing
        self._files.put(key, source)
        return source

    def fetch(self, key: str, start: int | None, length: int) -> bytes | None:
        """Return bytes of a value; see the base class."""
        source = self._file(key)
        if source is None:
            return None
        if start is None:
            self._check_size(source.size, length, key)
            return source.read(0, source.size)
        first, length = self._range(start, length, source.size, key)
        return source.read(first, length)

    def _adapter(self, file: dict[str, Any]) -> Any:
        """Return the adapter of a file's assetstore; making one anew takes longer than reading a chunk."""
        known = self._adapters.get(file['assetstoreId'])
        if known is None:
            known = self._adapters[file['assetstoreId']] = File().getAssetstoreAdapter(file)
        return known

    def entry(self, key: str) -> Entry | None:
        """Return a value to be handed on; see the base class."""
        source = self._file(key)
        return None if source is None else SourceEntry(source, 0, source.size, source.identity)

    def list_folder(self, folder: str) -> list[str]:
        """Return what lies directly in a folder, without folders of stricter access; see the base class."""
        found = self._folder(folder)
        if found is None:
            return []
        query = {'parentId': found, 'parentCollection': 'folder'}
        fields = ['name', 'public', 'access']
        below = Folder().find(query, fields=fields, limit=MAX_LISTED)
        names = [child['name'] + '/' for child in below if as_open(child, self._root)]
        return names + [
            item['name'] for item in Item().find({'folderId': found}, fields=['name'], limit=MAX_LISTED)
        ]


def folder_named(parent_id: Any, name: str) -> dict[str, Any] | None:
    """Return the folder of a name in a folder, or None."""
    # Two fields, as the index has: with a third the embedded database reads all folders beside it.
    found: dict[str, Any] | None = Folder().findOne({'parentId': parent_id, 'name': name})
    return found if found is not None and found['parentCollection'] == 'folder' else None


def as_open(folder: dict[str, Any], root: dict[str, Any]) -> bool:
    """Return whether all users with access to ``root`` have access to ``folder``."""
    if folder.get('public'):
        return True
    if root.get('public'):
        return False
    return all(_readers(root, kind) <= _readers(folder, kind) for kind in ('users', 'groups'))


def _readers(folder: dict[str, Any], kind: str) -> set[Any]:
    return {
        entry['id'] for entry in folder.get('access', {}).get(kind, ()) if entry['level'] >= AccessType.READ
    }


def has_metadata(folder_id: Any) -> str | None:
    """Return the name of the zarr metadata that lies in a folder, or None."""
    found = {
        item['name']
        for item in Item().find({'folderId': folder_id, 'name': {'$in': list(ROOT_KEYS)}}, fields=['name'])
    }
    return next((name for name in ROOT_ORDER if name in found), None)


def _image_above(folder: dict[str, Any]) -> dict[str, Any] | None:
    """Return a folder above that holds zarr metadata, or None."""
    above: dict[str, Any] | None = folder
    for _ in range(MAX_DEPTH):
        if above is None or above['parentCollection'] != 'folder':
            return None
        above = Folder().load(above['parentId'], force=True)
        if above is not None and has_metadata(above['_id']):
            return above
    return None


def open_folder(file: dict[str, Any]) -> FolderHierarchy:
    """Return the hierarchy whose root's metadata is a file in a Girder folder.

    :raises UnreadableImageError: the folder is a part of another image, or another file stands for this one.
    """
    item = Item().load(file['itemId'], force=True)
    folder = None if item is None else Folder().load(item['folderId'], force=True)
    if folder is None:
        msg = f'{file["name"]} does not lie in a folder.'
        raise UnreadableImageError(msg)
    above = _image_above(folder)
    if above is not None:
        msg = f'{file["name"]} belongs to a part of the image in the folder {above["name"]}.'
        raise UnreadableImageError(msg)
    root = has_metadata(folder['_id'])
    if root != file['name']:
        msg = f'The image in the folder {folder["name"]} is opened by {root}, not by {file["name"]}.'
        raise UnreadableImageError(msg)
    return FolderHierarchy(folder, f'girder:{folder["_id"]}:{file["_id"]}:{file.get("updated")}')
