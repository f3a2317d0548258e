"""A finished file into a Girder item with its large image set, and away with what an unfinished one left."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from girder.models.folder import Folder
from girder.models.item import Item
from girder.models.upload import Upload

from girder_zarr.errors import CancelledError, InvalidInputError
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.sessions import quota
from girder_zarr.server.sessions.model import Document, StitchSession, may_write
from girder_zarr.server.storage.durable_files import make_durable
from girder_zarr.server.storage.transfer import send_path
from girder_zarr.stitch.spec.outputs import OUTPUTS, Output

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def file_name(session: Document) -> str:
    """Return what the result's file is called; it never is a path."""
    base = re.sub(r'[/\\\0]', '_', session['name']).strip('. ') or 'stitched'
    suffix = '.' + session['spec']['output']
    return base if base.lower().endswith(suffix) else base + suffix


def output_of(session: Document) -> Output:
    """Return what kind of file the result is."""
    return OUTPUTS[session['spec']['output']]


def publish(session: Document, path: Path, user: Document, check: Callable[[], None]) -> Document:
    """Make an item of a file and complete the session; return the item.

    Until then the item's description says which session it belongs to, so that `remove_leftovers` finds it.

    :param path: it is moved into the assetstore where that can be done.
    :param check: called before each piece of the file; raises to stop.
    :raises CancelledError: the session did not wait for this attempt any more; the item is removed again.
    :raises InvalidInputError: the user may no longer write into the folder.
    :raises LimitExceededError: a quota has no room for the file.
    """
    check()
    if not may_write(session, user):
        msg = 'Whoever asked for the image may no longer write into the folder.'
        raise InvalidInputError(msg)
    folder = Folder().load(session['folderId'], force=True)
    size = path.stat().st_size
    quota.check_room(folder, user, size)
    item = Item().createItem(session['name'], user, folder, description=_marker(session))
    mime_type = output_of(session).mime_type
    upload = Upload().createUpload(user, path.name, 'item', item, size, mimeType=mime_type)
    try:
        with quota.as_limit():
            file = send_path(upload, path, check)
    except BaseException:
        Upload().cancelUpload(upload)
        raise
    # Once the session is complete its patches may go; by then the image is on the disk.
    make_durable(file)
    _set_large_image(item, file, output_of(session).source)
    if StitchSession().complete(session, item, file) is None:
        _remove_item(item)
        msg = 'The session was cancelled while its image was stored.'
        raise CancelledError(msg)
    _show_finished(item)
    return item


def _set_large_image(item: Document, file: Document, source: str) -> None:
    """Let large_image open the file with its own source, whatever it chose when the file came in."""
    fields = {'largeImage': {'fileId': file['_id'], 'sourceName': source}}
    query = {
        '_id': item['_id'],
        '$or': [{'largeImage.fileId': {'$exists': False}}, {'largeImage.fileId': file['_id']}],
    }
    Item().update(query, {'$set': fields}, multi=False)


def _marker(session: Document) -> str:
    run = (session.get('run') or {}).get('id')
    return f'Being stitched by session {session["_id"]}, attempt {session["attempt"]}, run {run}.'


def remove_leftovers(session: Document, *, own: bool = False) -> None:
    """Remove the items that unfinished runs of a session left behind, with what was on its way into them.

    :param own: only those of this very run.
    """
    pattern = _marker(session) if own else f'Being stitched by session {session["_id"]}, '
    query = {'folderId': session['folderId'], 'description': {'$regex': f'^{re.escape(pattern)}'}}
    for item in list(Item().find(query)):
        current = StitchSession().findOne({'_id': session['_id']}) or {}
        if item['_id'] not in current.get('made', ()):
            _remove_item(item)
        else:
            _show_finished(item)


def _show_finished(item: Document) -> None:
    Item().update({'_id': item['_id']}, {'$set': {'description': ''}}, multi=False)


def _remove_item(item: Document) -> None:
    for upload in list(Upload().find({'parentType': 'item', 'parentId': item['_id']})):
        Upload().cancelUpload(upload)
    found = Item().load(item['_id'], force=True)
    if found is not None:
        Item().remove(found)


def drop_patches(session: Document) -> None:
    """Remove the patches of a complete session whose spec does not keep them."""
    StitchPatch().remove_all(session)
    StitchSession().change(session['_id'], {}, {'$set': {'counts': {'patches': 0, 'bytes': 0}, 'extent': {}}})
