"""What is in a folder as members of a IIIF collection, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from girder.constants import SortDir
from girder.models.folder import Folder
from girder.models.item import Item

from girder_zarr.image.iiif.presentation import member
from girder_zarr.server.common.costly import CostlyAnswers

from .iiif_target import images_that_are_folders, is_image

if TYPE_CHECKING:
    from collections.abc import Callable

    from girder_zarr.server.common.names import Document

#: Images on one page, and folders and pages that one folder lists.
PAGE, MAX_FOLDERS, MAX_PAGES = 200, 1000, 1000
_FIELDS = ('name', 'largeImage', 'folderId')
_BY_NAME = [('lowerName', SortDir.ASCENDING), ('_id', SortDir.ASCENDING)]

_counts = CostlyAnswers()


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
        shown = _images(images, page, address) if 1 <= page <= MAX_PAGES else []
        return shown or None
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
        return found + _images(images, 1, address)
    pages = min(-(-count // PAGE), MAX_PAGES)
    for number in range(1, pages + 1):
        label = f'{(number - 1) * PAGE + 1} to {min(number * PAGE, count)}'
        found.append(member(f'{own};page={number}', label, is_image=False))
    return found


def _images(query: Document, page: int, address: Callable[[str, Any], str]) -> list[dict[str, Any]]:
    found = Item().find(query, limit=PAGE, offset=(page - 1) * PAGE, sort=_BY_NAME, fields=_FIELDS)
    return [member(address('item', one['_id']), one['name'], is_image=True) for one in found if is_image(one)]
