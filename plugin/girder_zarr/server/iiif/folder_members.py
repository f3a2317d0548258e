"""What is in a folder as members of a IIIF collection, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bson import ObjectId
from girder.constants import SortDir
from girder.models.folder import Folder
from girder.models.item import Item

from girder_zarr.image.iiif.presentation import member
from girder_zarr.server.common.costly import CostlyAnswers
from girder_zarr.server.common.database import find_named

from .iiif_target import images_that_are_folders, is_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from girder_zarr.server.common.names import Document

#: Images on one page, and folders and pages that one folder lists.
PAGE, MAX_FOLDERS, MAX_PAGES = 200, 1000, 1000
_FIELDS = ('name', 'largeImage', 'folderId')
_BY_NAME = [('lowerName', SortDir.ASCENDING), ('_id', SortDir.ASCENDING)]

_counts = CostlyAnswers()
#: The ids of the images of folders of several pages in their order, twelve bytes each: the embedded database
#: has no order by index, so that it would read all of a folder for each page.
_ids = CostlyAnswers(max_items=64)
_ID_BYTES = 12


def members(
    folder: Document, user: Document | None, page: int | None, own: str, address: Callable[[str, Any], str]
) -> list[dict[str, Any]] | None:
    """Return the folders in a folder that a user may read and its images, or pages where these are many.

    :param user: may read the folder. The items in it have its rights.
    :param page: that of the images that is asked for, counted from 1; None: the folder itself.
    :param own: the base URI of the folder.
    :param address: returns the base URI of an item or a folder from its kind and id.
    :returns: None: there is no such page.
    """
    images = {'folderId': folder['_id'], 'largeImage.fileId': {'$exists': True}}
    if page is not None:
        shown = _page(folder, images, page) if 1 <= page <= MAX_PAGES else []
        return _members(shown, address) or None
    below = list(
        Folder().childFolders(
            folder, 'folder', user=user, limit=MAX_FOLDERS, sort=[('lowerName', SortDir.ASCENDING)]
        )
    )
    whole = images_that_are_folders([one['_id'] for one in below])
    found = []
    for one in below:
        image = whole.get(one['_id'])
        place = address('folder', one['_id']) if image is None else address('item', image['_id'])
        found.append(member(place, one['name'], is_image=image is not None))
    count = _counts.fetch(folder['_id'], lambda: Item().collection.count_documents(images))
    if count <= PAGE:
        return found + _members(Item().find(images, limit=PAGE, sort=_BY_NAME, fields=_FIELDS), address)
    pages = min(-(-count // PAGE), MAX_PAGES)
    for number in range(1, pages + 1):
        label = f'{(number - 1) * PAGE + 1} to {min(number * PAGE, count)}'
        found.append(member(f'{own};page={number}', label, is_image=False))
    return found


def _page(folder: Document, query: Document, page: int) -> list[Document]:
    """Return the items of a page; those that have come since the folder was read are not there yet."""

    def read() -> bytes:
        found = Item().find(query, limit=PAGE * MAX_PAGES, sort=_BY_NAME, fields=['_id'])
        return b''.join(item['_id'].binary for item in found)

    known: Any = _ids.fetch(folder['_id'], read)
    first, end = ((page - 1) * PAGE * _ID_BYTES, page * PAGE * _ID_BYTES)
    some = known[first:end]
    wanted = [ObjectId(some[at : at + _ID_BYTES]) for at in range(0, len(some), _ID_BYTES)]
    found = {item['_id']: item for item in find_named(Item().find, '_id', wanted, fields=_FIELDS)}
    here = (found[one] for one in wanted if one in found)
    return [item for item in here if item['folderId'] == folder['_id']]


def _members(items: Iterable[Document], address: Callable[[str, Any], str]) -> list[dict[str, Any]]:
    shown = (item for item in items if is_image(item))
    return [member(address('item', one['_id']), one['name'], is_image=True) for one in shown]
