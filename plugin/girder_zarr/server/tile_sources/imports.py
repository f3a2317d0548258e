"""A zarr directory that is imported or uploaded becomes one image, not one a chunk.

An import walks directories and makes a folder of each and an item of each file. Where a directory has
zarr metadata, `install` makes it one item instead, with one imported file: the root's metadata, which stands
for the whole directory (see `storage.locations.open_location`). This works in every process that imports, the
workers of the queue ``local`` included.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from girder import events
from girder.exceptions import ValidationException
from girder.models.file import File
from girder.models.folder import Folder
from girder.models.item import Item
from girder.utility.filesystem_assetstore_adapter import FilesystemAssetstoreAdapter
from girder.utility.s3_assetstore_adapter import S3AssetstoreAdapter

from girder_zarr.common.bounded_json import parse_json
from girder_zarr.errors import GirderZarrError
from girder_zarr.image.ngff.parse import ome_attributes
from girder_zarr.image.store.zarr_names import ROOT_ORDER
from girder_zarr.server.storage.folder_store import open_folder
from girder_zarr.server.storage.s3_store import S3Bucket

from .item_image import set_large_image

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

MIME_TYPE = 'application/vnd+zarr'
SOURCE = 'zarr'
HANDLER = 'girder_zarr'
_MARK = 'before_girder_zarr'
#: The largest metadata of an uploaded root that is read: consolidated metadata of large plates have some MB.
MAX_METADATA_BYTES = 16 * 2**20
#: How many folders below an uploaded root are looked through for images of their own.
MAX_FOLDERS_BELOW = 10_000
#: What makes an uploaded group an image by itself.
IMAGE_KEYS = ('multiscales', 'plate', 'well', 'bioformats2raw.layout')

_walking = threading.local()


def install() -> None:
    """Let imports of this process recognise zarr directories. May be called again."""
    local, bucket = FilesystemAssetstoreAdapter, S3AssetstoreAdapter
    if not hasattr(local.importData, _MARK):
        local.importData = _from_directory(local.importData)
    if not hasattr(local._importDataAsItem, _MARK):
        local._importDataAsItem = _from_leaf(local._importDataAsItem)
    if not hasattr(bucket.importData, _MARK):
        bucket.importData = _from_bucket(bucket.importData)


def bind() -> None:
    """Register zarr hierarchies that are uploaded folder by folder."""
    events.bind('model.file.finalizeUpload.after', HANDLER, _uploaded)


def _from_directory(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a file system's ``importData`` that makes one item of a directory with zarr metadata."""

    @functools.wraps(original)
    def importData(
        self: Any,
        parent: Any,
        parentType: Any,
        params: Any,
        progress: Any,
        user: Any,
        leafFoldersAsItems: Any,
    ) -> Any:
        path = str(params['importPath'])
        metadata = _local_root(path)
        if metadata is not None:
            return import_root(self, path, metadata, parent, parentType, user)
        roots = _roots_in(path)
        if not roots:
            return original(self, parent, parentType, params, progress, user, leafFoldersAsItems)
        rest = sorted({entry.name for entry in os.scandir(path)} - set(roots))
        if parentType != 'folder' and any(Path(path, name).is_file() for name in rest):
            msg = f'Files cannot be imported directly underneath a {parentType}.'
            raise ValidationException(msg)
        for name, metadata in roots.items():
            progress.update(message=name)
            place = parent if parentType == 'folder' else _made(self, name, parent, parentType, path, user)
            import_root(self, str(Path(path, name)), metadata, place, 'folder', user)
        for name in rest:
            progress.update(message=name)
            _import_entry(self, name, parent, parentType, params, progress, user, leafFoldersAsItems)
        return None

    setattr(importData, _MARK, original)
    return importData


def _import_entry(
    adapter: Any, name: str, parent: Any, kind: str, params: Any, progress: Any, user: Any, leaves: Any
) -> None:
    """Import what lies beside a zarr directory, as Girder does."""
    path = Path(params['importPath'], name)
    if not path.is_dir():
        if adapter.shouldImportFile(str(path), params):
            adapter._importFileToFolder(name, user, parent, kind, str(path))
        return
    names = [entry.name for entry in path.iterdir()]
    if leaves and adapter._hasOnlyFiles(str(path), names):
        adapter._importDataAsItem(name, user, parent, str(path), names, params=params)
        return
    folder = _made(adapter, name, parent, kind, params['importPath'], user)
    below = {**params, 'importPath': str(path)}
    adapter.importData(
        folder, 'folder', params=below, progress=progress, user=user, leafFoldersAsItems=leaves
    )


def _made(adapter: Any, name: str, parent: Any, kind: str, path: str, user: Any) -> dict[str, Any]:
    """Return the folder for a directory of the import."""
    folder: dict[str, Any] = Folder().createFolder(
        parent=parent, name=adapter.safeName(name), parentType=kind, creator=user, reuseExisting=True
    )
    info = {'id': folder['_id'], 'type': 'folder', 'importPath': str(Path(path, name))}
    events.trigger('filesystem_assetstore_imported', info)
    return folder


def _from_leaf(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return the file system's import of a directory without directories, which may be a zarr array."""

    @functools.wraps(original)
    def _importDataAsItem(
        self: Any, name: str, user: Any, folder: Any, path: str, *args: Any, **kwargs: Any
    ) -> Any:
        metadata = _local_root(path)
        if metadata is None:
            return original(self, name, user, folder, path, *args, **kwargs)
        return import_root(self, path, metadata, folder, 'folder', user)

    setattr(_importDataAsItem, _MARK, original)
    return _importDataAsItem


def _from_bucket(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a bucket's ``importData`` that makes one item of a prefix with zarr metadata."""

    @functools.wraps(original)
    def importData(self: Any, parent: Any, parentType: Any, params: Any, *args: Any, **kwargs: Any) -> Any:
        path = str(params.get('importPath') or '')
        metadata = _s3_root(self, path)
        depth = getattr(_walking, 'depth', 0)
        if metadata is None:
            _walking.depth = depth + 1
            try:
                return original(self, parent, parentType, params, *args, **kwargs)
            finally:
                _walking.depth = depth
        user = kwargs['user'] if 'user' in kwargs else args[1]
        if depth:
            parent, parentType = _without_folder(parent, parentType)
        return import_root(self, path, metadata, parent, parentType, user)

    setattr(importData, _MARK, original)
    return importData


def _local_root(path: str) -> str | None:
    for name in ROOT_ORDER:
        metadata = Path(path) / name
        if metadata.is_file():
            return str(metadata)
    return None


def _roots_in(path: str) -> dict[str, str]:
    """Return the zarr directories in a directory by name, each with the path of its metadata."""
    if not Path(path).is_dir():
        return {}
    found = {entry.name: _local_root(entry.path) for entry in os.scandir(path) if entry.is_dir()}
    return {name: metadata for name, metadata in sorted(found.items()) if metadata is not None}


def _s3_root(adapter: Any, path: str) -> str | None:
    prefix = path.strip().lstrip('/')
    if prefix and not prefix.endswith('/'):
        return None  # Girder imports all keys that begin so
    bucket = S3Bucket(adapter)
    for name in ROOT_ORDER:
        if bucket.size(prefix + name) is not None:
            return prefix + name
    return None


def _without_folder(folder: dict[str, Any], kind: str) -> tuple[dict[str, Any], str]:
    """Return where the item belongs: beside the folder that the import has just made for the prefix.

    That folder is removed. It stays where it is not empty, or where its parent is no folder.
    """
    if kind != 'folder' or folder['parentCollection'] != 'folder':
        return folder, kind
    above = Folder().load(folder['parentId'], force=True)
    is_used = Item().findOne({'folderId': folder['_id']}) or Folder().findOne(
        {'parentId': folder['_id'], 'parentCollection': 'folder'}
    )
    if above is None or is_used:
        logger.warning('The folder %s stays beside its image, since it is not empty.', folder['name'])
        return (folder if above is None else above), kind
    Folder().remove(folder)
    return above, kind


def import_root(
    adapter: Any, path: str, metadata: str, folder: dict[str, Any], kind: str, user: dict[str, Any]
) -> dict[str, Any]:
    """Make an item for a zarr directory, with its metadata as the only file; return the item.

    :param path: of the directory, or its prefix in a bucket; ``metadata`` likewise of the root's metadata.
    :param folder: where the item belongs; ``kind`` has to be ``folder``.
    :raises ValidationException: it is not.
    """
    if kind != 'folder':
        msg = f'A zarr image cannot be imported directly underneath a {kind}: {path}.'
        raise ValidationException(msg)
    name = path.rstrip('/').rpartition('/')[2] or adapter.assetstore['name']
    item = Item().createItem(name=adapter.safeName(name), creator=user, folder=folder, reuseExisting=True)
    is_local = isinstance(adapter, FilesystemAssetstoreAdapter)
    event = f'{"filesystem" if is_local else "s3"}_assetstore_imported'
    events.trigger(event, {'id': item['_id'], 'type': 'item', 'importPath': path})
    file_name = metadata.rpartition('/')[2]
    if is_local:
        file = adapter.importFile(item, metadata, user, name=file_name, mimeType=MIME_TYPE)
    else:
        size = S3Bucket(adapter).size(metadata) or 0
        file = File().createFile(
            name=file_name, creator=user, item=item, reuseExisting=True, assetstore=adapter.assetstore,
            mimeType=MIME_TYPE, size=size, saveFile=False,
        )  # fmt: skip
        file.update(s3Key=metadata, imported=True)
        file = File().save(file)
    set_large_image(item, file, SOURCE)
    registered: dict[str, Any] = Item().load(item['_id'], force=True)
    return registered


def _uploaded(event: Any) -> None:
    """Register an uploaded file that is the metadata of an image's root (an event handler)."""
    file = event.info['file']
    if file['name'] not in ROOT_ORDER[:2] or not file.get('itemId') or file['size'] > MAX_METADATA_BYTES:
        return
    try:
        hierarchy = open_folder(file)
        document = parse_json(hierarchy.read(file['name'], MAX_METADATA_BYTES) or b'{}', MAX_METADATA_BYTES)
    except (GirderZarrError, ValueError):
        return
    attributes = document
    if file['name'] == 'zarr.json':
        attributes = document.get('attributes') if isinstance(document, dict) else None
    if not isinstance(attributes, dict) or not any(key in ome_attributes(attributes) for key in IMAGE_KEYS):
        return
    item = Item().load(file['itemId'], force=True)
    _forget_parts(item)
    set_large_image(item, file, SOURCE)


def _forget_parts(root: dict[str, Any]) -> None:
    """Take back what was registered of the parts of an image before its root's item arrived."""
    pending, seen = [root['folderId']], 0
    _forget({'folderId': root['folderId'], '_id': {'$ne': root['_id']}})
    while pending and seen < MAX_FOLDERS_BELOW:
        children = [
            child['_id']
            for child in Folder().find(
                {'parentId': {'$in': pending}, 'parentCollection': 'folder'},
                fields=['_id'],
                limit=MAX_FOLDERS_BELOW,
            )
        ]
        seen += len(children)
        if children:
            _forget({'folderId': {'$in': children}})
        pending = children


def _forget(query: dict[str, Any]) -> None:
    query = {**query, 'name': {'$in': list(ROOT_ORDER)}, 'largeImage.sourceName': SOURCE}
    Item().update(query, {'$unset': {'largeImage': ''}})
