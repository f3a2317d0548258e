"""Access to sessions: it is that of their folder. See `StitchSession.require`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from girder.constants import AccessType
from girder.exceptions import AccessException
from girder.models.folder import Folder

from girder_zarr.errors import NotFoundError
from girder_zarr.server.common.database import find_named, object_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bson import ObjectId

    from girder_zarr.server.common.names import Document


def require_folder(folder_id: Any, user: Document | None, level: int) -> Document:
    """Return a folder if the user has that access to it.

    :param level: of `girder.constants.AccessType`.
    :raises NotFoundError: there is no such folder.
    :raises AccessException: the user lacks the access, or the account is disabled.
    """
    if user is not None and is_disabled(user):
        msg = 'The account is disabled.'
        raise AccessException(msg)
    folder: Document | None = Folder().load(object_id(folder_id, 'folder'), user=user, level=level)
    if folder is None:
        msg = f'There is no folder {folder_id}.'
        raise NotFoundError(msg)
    return folder


def readable_folders(folder_ids: Iterable[ObjectId], user: Document | None) -> Iterator[ObjectId]:
    """Yield those of some folders that a user, or with None anybody, may read."""
    if user is not None and is_disabled(user):
        return
    for folder in find_named(Folder().find, '_id', folder_ids):
        if Folder().hasAccess(folder, user, AccessType.READ):
            yield folder['_id']


def may_write(session: Document, user: Document) -> bool:
    """Return whether a user may still write where the session's result goes."""
    folder = Folder().load(session['folderId'], force=True)
    if folder is None or is_disabled(user):
        return False
    return bool(Folder().hasAccess(folder, user, AccessType.WRITE))


def is_disabled(user: Document) -> bool:
    """Return whether an account was disabled; Girder then refuses its logins, but not its tokens."""
    return bool(user.get('status') == 'disabled')
