"""The field ``largeImage`` of items: which file is an item's image, and which source opens it."""

from __future__ import annotations

from typing import Any

from girder.models.item import Item


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
