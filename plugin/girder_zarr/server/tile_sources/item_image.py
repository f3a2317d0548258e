"""The field ``largeImage`` of items: which file is an item's image, and which source opens it."""

from __future__ import annotations

from typing import Any

from girder.models.item import Item

from girder_zarr.server.common.names import now


def set_large_image(
    item: dict[str, Any], file: dict[str, Any], source: str, *, replace_source: bool = False
) -> None:
    """Make a file the image of an item that has none; by one update, so that no other image is replaced.

    The file is not opened for it: parts of an upload may be missing yet, and an import has to go on.

    :param source: the name of the source that opens it.
    :param replace_source: also where the file is the item's image already, since large_image chooses a source
        of its own when a file comes in.
    """
    # None stands for a field that is missing. For `$or` the embedded database would read all items.
    images = [None, file['_id']] if replace_source else [None]
    query = {'_id': item['_id'], 'largeImage.fileId': {'$in': images}}
    fields = {'largeImage': {'fileId': file['_id'], 'sourceName': source}}
    Item().update(query, {'$set': fields}, multi=False)


def change_source(item_id: Any, file_id: Any, before: str, after: str) -> bool:
    """Let another source open an item's image; return whether that was done, by one update.

    Nothing is done where the item has another image or another source by now, or is gone.
    """
    query = {'_id': item_id, 'largeImage.fileId': file_id, 'largeImage.sourceName': before}
    # Tiles carry `updated` in their ETag: browsers would go on with those of the other source.
    update = {'$set': {'largeImage.sourceName': after, 'updated': now()}}
    return bool(Item().collection.update_one(query, update).matched_count)
