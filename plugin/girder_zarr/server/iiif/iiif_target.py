"""The item or folder that an address names, with the rights of whoever asks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from bson import ObjectId
from girder.models.folder import Folder
from girder.models.item import Item

from girder_zarr.common.cache import LRU
from girder_zarr.image.store.zarr_names import ROOT_KEYS
from girder_zarr.server.share.folder_tree import MAX_DEPTH
from girder_zarr.server.share.grants import MAX_GRANTS, Address, RefusedError, Rights, check_rights
from girder_zarr.server.share.links import load_target, may_read
from girder_zarr.server.storage.folder_store import folder_named

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document

    from .iiif_address import IiifAddress


_rights: LRU[Address, Rights] = LRU(max_items=MAX_GRANTS)


def rights_of(address: Address) -> Rights:
    """Return the rights of an address, cached for seconds or checked now.

    :raises RefusedError: there is no right to read it, or it does not exist.
    """
    found = _rights.get(address)
    if found is not None and time.monotonic() < found.until:
        return found
    _rights.pop(address)
    return _rights.fetch(address, lambda: check_rights(address))


def forget_rights() -> None:
    """Drop all rights, so that they are checked anew."""
    _rights.clear()


class Target(NamedTuple):
    """An image or a folder that may be read.

    :param kind: 'item' or 'folder'. :param below: its id, where the address names it below a folder's link.
    """

    kind: str
    document: Document
    below: str | None
    rights: Rights


def is_image(item: Document) -> bool:
    """Whether an item has an image that is ready."""
    image = item.get('largeImage') or {}
    return bool(image.get('fileId')) and not image.get('expected')


def images_that_are_folders(folder_ids: list[ObjectId]) -> dict[ObjectId, Document]:
    """Return the items of images that were uploaded as folders, by the folders; they have their rights."""
    # One after the other: for one of many ids and names the embedded database reads all items of the folders.
    names = {'$in': list(ROOT_KEYS)}
    found = (item for one in folder_ids for item in Item().find({'folderId': one, 'name': names}))
    return {item['folderId']: item for item in found if is_image(item)}


def label_of(document: Document) -> str:
    """Return what an item or a folder is called: an image that is a folder by the name of that."""
    if document['name'] not in ROOT_KEYS or 'folderId' not in document:
        return str(document['name'])
    folder = Folder().load(document['folderId'], force=True)
    return str(document['name'] if folder is None else folder['name'])


def find_target(address: IiifAddress, token: str | None) -> Target:
    """Return what an address names.

    :param token: Girder's; with a share key it is not looked at.
    :raises RefusedError: it does not exist, may not be read, or is no image.
    """
    token = None if address.door == 'k' else token
    rights = rights_of(Address(address.door, address.name, token))
    kind, document = rights.kind, rights.target
    if address.below is not None:
        if kind != 'folder':
            raise RefusedError
        kind, document = _find_below(document, address.below, rights.user)
    if kind == 'folder':
        image = images_that_are_folders([document['_id']]).get(document['_id'])
        if image is not None:
            kind, document = 'item', image
    if kind not in ('item', 'folder') or (kind == 'item' and not is_image(document)):
        raise RefusedError
    below = None if address.below is None else str(document['_id'])
    return Target(kind, document, below, rights)


def _find_below(folder: Document, name: str, user: Document | None) -> tuple[str, Document]:
    """Return an item or folder in a folder, by its id or by its path.

    :raises RefusedError: there is none that the user may read.
    """
    if ObjectId.is_valid(name):
        for kind in ('item', 'folder'):
            found = load_target(kind, ObjectId(name))
            if found is not None and _is_below(kind, found, folder, user):
                return kind, found
    return _by_path(folder, name, user)


def _is_below(kind: str, document: Document, folder: Document, user: Document | None) -> bool:
    """Whether a user reads a document and every folder on the way to it from another folder."""
    for _ in range(MAX_DEPTH):
        if not may_read(kind, document, user):
            return False
        if kind == 'folder' and document.get('parentCollection') != 'folder':
            return False
        parent = document['folderId' if kind == 'item' else 'parentId']
        if parent == folder['_id']:
            return True
        above = Folder().load(parent, force=True)
        if above is None:
            return False
        kind, document = 'folder', above
    return False


def _by_path(folder: Document, path: str, user: Document | None) -> tuple[str, Document]:
    """Return what a path of names leads to, as it does below ``/zarr/k``."""
    *above, last = path.split('/')
    if len(above) > MAX_DEPTH:
        raise RefusedError
    for name in above:
        found = folder_named(folder['_id'], name)
        if found is None or not may_read('folder', found, user):
            raise RefusedError
        folder = found
    item = Item().findOne({'folderId': folder['_id'], 'name': last})
    if item is not None and may_read('item', item, user):
        return 'item', item
    found = folder_named(folder['_id'], last)
    if found is None or not may_read('folder', found, user):
        raise RefusedError
    return 'folder', found
