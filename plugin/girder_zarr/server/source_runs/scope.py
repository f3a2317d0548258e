"""The items that a run looks at: all images, or those below a folder, a collection or a user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bson import ObjectId
from girder.models.collection import Collection
from girder.models.folder import Folder
from girder.models.item import Item
from girder.models.user import User

from girder_zarr.errors import InvalidInputError, LimitExceededError, NotFoundError
from girder_zarr.server.common.database import MAX_NAMED, object_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from girder_zarr.server.common.names import Document

ALL = 'all'
_MODELS: dict[str, Any] = {'folder': Folder, 'collection': Collection, 'user': User}
#: Twelve bytes each are kept in memory: more than any Girder that we know of has.
MAX_ITEMS = 5_000_000
#: Before all ids; the images alone have an id of a file there.
_FIRST_ID = ObjectId('0' * 24)


def scope_of(given: Mapping[str, str | None]) -> Document:
    """Return the scope that a request names.

    :param given: ids by ``folderId``, ``collectionId``, ``userId``; with none of them it is everything.
    :raises InvalidInputError: several are given. :raises NotFoundError: there is none of that id.
    """
    named = {name.removesuffix('Id'): value for name, value in given.items() if value}
    if len(named) > 1:
        names = ', '.join(f'{name}Id' for name in sorted(named))
        msg = f'{names}: expected one of them or none, found {len(named)}.'
        raise InvalidInputError(msg)
    for kind, value in named.items():
        found = _MODELS[kind]().load(object_id(value, kind), force=True)
        if found is None:
            msg = f'There is no {kind} {str(value)[:80]}.'
            raise NotFoundError(msg)
        name = found['login'] if kind == 'user' else found['name']
        return {'type': kind, 'id': found['_id'], 'name': name}
    return {'type': ALL, 'id': None, 'name': None}


def item_ids(scope: Document) -> list[bytes]:
    """Return the ids of the images in a scope, ascending, twelve bytes each.

    Read without an order and sorted here: the embedded database would read everything anew for each page.

    :raises LimitExceededError: they are more than are kept in memory.
    """
    found: list[bytes] = []
    for item in _images(scope):
        found.append(item['_id'].binary)
        if len(found) > MAX_ITEMS:
            msg = f'There are more than {MAX_ITEMS} images; look through one collection at a time.'
            raise LimitExceededError(msg)
    return sorted(found)


def _images(scope: Document) -> Iterator[Document]:
    if scope['type'] == ALL:
        yield from Item().collection.find({'largeImage.fileId': {'$gt': _FIRST_ID}}, {'_id': 1})
        return
    for folders in _batches(_folders(scope)):
        query = {'folderId': {'$in': folders}}
        for item in Item().collection.find(query, {'_id': 1, 'largeImage.fileId': 1}):
            if item.get('largeImage', {}).get('fileId') is not None:
                yield item


def _folders(scope: Document) -> Iterator[ObjectId]:
    """Yield the folders below something, and the folder itself."""
    if scope['type'] == 'folder':
        yield scope['id']
    above, kind = [scope['id']], scope['type']
    while above:
        below = []
        for parents in _batches(iter(above)):
            fields = {'_id': 1, 'parentCollection': 1}
            found = list(Folder().collection.find({'parentId': {'$in': parents}}, fields))
            below += [folder['_id'] for folder in found if folder['parentCollection'] == kind]
        yield from below
        above, kind = below, 'folder'


def _batches(ids: Iterator[ObjectId]) -> Iterator[list[ObjectId]]:
    batch: list[ObjectId] = []
    for one in ids:
        batch.append(one)
        if len(batch) == MAX_NAMED:
            yield batch
            batch = []
    if batch:
        yield batch
