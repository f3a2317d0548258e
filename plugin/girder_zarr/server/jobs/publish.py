"""Makes a Girder item with a large image of a finished file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from girder.models.folder import Folder
from girder.models.item import Item
from girder.models.upload import Upload

from girder_zarr.errors import CancelledError, InvalidInputError
from girder_zarr.server.sessions import quota
from girder_zarr.server.sessions.access import may_write
from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.server.storage import disk_space
from girder_zarr.server.storage.durable_files import make_durable
from girder_zarr.server.storage.transfer import send_path
from girder_zarr.server.tile_sources.item_image import set_large_image
from girder_zarr.stitch.spec.outputs import OUTPUTS, Output

from . import cleanup

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from girder_zarr.image.write.file_digest import FileDigest
    from girder_zarr.server.common.names import Document

#: Permissions may have changed since the user asked for the image.
NO_ACCESS = 'The user who asked for the image may no longer write into the folder.'


def file_name(session: Document) -> str:
    """Return what the result's file is called; it never is a path."""
    base = re.sub(r'[/\\\0]', '_', session['name']).strip('. ') or 'stitched'
    suffix = '.' + session['spec']['output']
    return base if base.lower().endswith(suffix) else base + suffix


def output_of(session: Document) -> Output:
    """Return what kind of file the result is."""
    return OUTPUTS[session['spec']['output']]


def publish(
    session: Document,
    path: Path,
    user: Document,
    check: Callable[[], None],
    digest: FileDigest | None = None,
) -> Document:
    """Make an item of a file and complete the session; return the item.

    Until then the item's description says which session it belongs to, so that `cleanup.remove_leftovers`
    finds it.

    :param path: it is moved into the assetstore where that can be done.
    :param check: called before each piece of the file; raises to stop.
    :param digest: sha512, made while the file was written.
    :raises CancelledError: the session did not wait for this attempt any more; the item is removed again.
    :raises InvalidInputError: the user may no longer write into the folder.
    :raises LimitExceededError: the file would exceed a quota.
    :raises NoSpaceError: the assetstore has no space for it.
    """
    check()
    if not may_write(session, user):
        raise InvalidInputError(NO_ACCESS)
    folder = Folder().load(session['folderId'], force=True)
    size = path.stat().st_size
    quota.check_size(folder, user, size)
    disk_space.check_taken(folder, path)
    item: Document = Item().createItem(
        session['name'], user, folder, description=cleanup.item_description(session)
    )
    mime_type = output_of(session).mime_type
    upload = Upload().createUpload(user, path.name, 'item', item, size, mimeType=mime_type)
    try:
        with quota.as_limit():
            file = send_path(upload, path, check, digest)
    except BaseException:
        Upload().cancelUpload(upload)
        raise
    # Once the session is complete its patches may go; by then the image is on the disk.
    make_durable(file)
    set_large_image(item, file, output_of(session).source, replace_source=True)
    if StitchSession().complete(session, item, file) is None:
        cleanup.remove_item(item)
        msg = 'The session was cancelled while its image was stored.'
        raise CancelledError(msg)
    cleanup.clear_description(item)
    return item
