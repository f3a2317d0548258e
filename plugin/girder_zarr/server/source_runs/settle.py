"""What a worker has left between two steps is told by the items themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from girder.models.item import Item
from girder_large_image.models.image_item import ImageItem

from girder_zarr.server.common.database import MAX_NAMED

from .source_change import CHANGED, CHANGING, KEPT, SourceChange

if TYPE_CHECKING:
    from bson import ObjectId

    from girder_zarr.server.common.names import Document

GONE = 'The item has been deleted.'
OTHER_IMAGE = 'The item has another image by now.'
#: Documents that are read at a time.
BATCH = MAX_NAMED


def settle(run_id: ObjectId) -> None:
    """Say of each item that was being changed whether it was; may be done twice."""
    waiting = SourceChange().in_state(run_id, CHANGING)
    for start in range(0, len(waiting), BATCH):
        for entry in SourceChange().load_some(waiting[start : start + BATCH]):
            settle_one(entry)


def settle_one(entry: Document) -> str:
    """Say of an item that was to be changed whether it has the new source; return its state."""
    item = Item().findOne({'_id': entry['itemId']})
    if why_not(item, entry, entry['after']) is None:
        # Those of the other source may be there still.
        forget_pictures(entry['itemId'])
        SourceChange().settle(entry, CHANGED)
        return CHANGED
    reason = why_not(item, entry, entry['before']) or 'The run ended before the item was changed.'
    SourceChange().settle(entry, KEPT, reason)
    return KEPT


def why_not(item: Document | None, entry: Document, source: str) -> str | None:
    """Return why an item does not open the image of an entry with a source, or None: it does."""
    if item is None:
        return GONE
    large_image = item.get('largeImage') or {}
    if large_image.get('fileId') != entry['fileId']:
        return OTHER_IMAGE
    if large_image.get('sourceName') != source:
        return f'The item was given the source {large_image.get("sourceName")} by now.'
    return None


def forget_pictures(item_id: ObjectId) -> None:
    """Remove the thumbnails that large_image has stored of an item, which another source has made."""
    ImageItem().removeThumbnailFiles({'_id': item_id})
