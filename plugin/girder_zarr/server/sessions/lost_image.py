"""A complete session whose image was deleted is opened again, so that it can be finalized anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from girder import events
from girder.models.file import File
from girder.models.item import Item

from girder_zarr.server.common.names import HANDLER, Document

from .model import StitchSession
from .states import COMPLETE, OPEN

if TYPE_CHECKING:
    from bson import ObjectId

_HANDLER = f'{HANDLER}.lost_image'


def bind() -> None:
    """Bind the handlers that follow when an item or a file is removed that a session has made."""
    events.bind('model.item.remove', _HANDLER, lambda event: _item_removed(event.info['_id']))
    events.bind('model.file.remove', _HANDLER, lambda event: _reopen('fileId', event.info['_id']))


def _item_removed(item_id: ObjectId) -> None:
    _reopen('itemId', item_id)
    _forget(item_id)


def _forget(item_id: ObjectId) -> None:
    for session in StitchSession().find({'made': item_id}, fields=['_id']):
        StitchSession().change(session['_id'], {}, {'$pull': {'made': item_id}})


def reopen_if_lost(session: Document) -> Document:
    """Return a session, open again where it is complete and its image is gone by now.

    Normally that was noticed when the image was removed; not where a server died in between.
    """
    if session['state'] != COMPLETE:
        return session
    item = Item().load(session['itemId'], force=True)
    if item is not None and File().load(session['fileId'], force=True) is not None:
        return session
    _reopen('_id', session['_id'], itemId=session['itemId'])
    if item is None:
        _forget(session['itemId'])
    return StitchSession().get(session['_id'])


def _reopen(field: str, value: ObjectId, **more: Any) -> None:
    query = {field: value}
    fields = {'state': OPEN, 'jobId': None, 'itemId': None, 'fileId': None, 'error': None}
    for session in StitchSession().find(query, fields=['_id', 'state']):
        if session['state'] != COMPLETE:
            continue
        StitchSession().change(session['_id'], {'state': COMPLETE, **more}, {'$set': fields})
