"""Files that users lend to sessions: they count as long as the user may read them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from girder.constants import AccessType
from girder.exceptions import AccessException
from girder.models.file import File
from girder.models.folder import Folder
from girder.models.item import Item
from girder.models.user import User

from girder_zarr.errors import ConflictError
from girder_zarr.server.common.database import find_named
from girder_zarr.server.sessions.access import is_disabled

from .model import StitchPatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bson import ObjectId

    from girder_zarr.server.common.names import Document

#: Of how many patches the files are looked up at once.
_AT_ONCE = 1000


def check_lent(session: Document, documents: Iterable[Document] | None = None) -> None:
    """Check that each user who has lent a file to a session may still read it.

    Files that are gone are left to those who read them.

    :param documents: its patches, where they are known; those that no user has lent may be left out.
    :raises ConflictError: one may not; the message names the patch.
    """
    rights = _Rights(session)
    if documents is None:
        # No index has `shared`; with one field more than an index the embedded database reads all sessions.
        query = {'sessionId': session['_id'], 'stored': True}
        documents = StitchPatch().collection.find(query, {'key': 1, 'fileId': 1, 'lenderId': 1, 'shared': 1})
    patches = (patch for patch in documents if patch.get('shared'))
    while some := list(itertools.islice(patches, _AT_ONCE)):
        for patch in rights.refused(some):
            msg = (
                f'Patch {patch["key"]} is a file that may not be read any more by the user who has let it be '
                'a patch; remove it, or put it again.'
            )
            raise ConflictError(msg)


class _Rights:
    """What users may read, each folder asked for once.

    :param session: whose creator stands for the lender where that was not noted.
    """

    def __init__(self, session: Document) -> None:
        self._creator = session['creatorId']
        self._users: dict[ObjectId, Document | None] = {}
        self._folders: dict[tuple[ObjectId, ObjectId], bool] = {}

    def refused(self, patches: list[Document]) -> Iterator[Document]:
        """Yield the patches whose files may not be read."""
        files = _by_id(File(), [patch['fileId'] for patch in patches])
        items = _by_id(Item(), [file['itemId'] for file in files.values() if file.get('itemId')])
        for patch in patches:
            file, lender = files.get(patch['fileId']), patch.get('lenderId') or self._creator
            if file is None:
                continue
            item = items.get(file['itemId']) if file.get('itemId') else None
            may = self._in_folder(lender, item['folderId']) if item else self._alone(lender, file)
            if not may:
                yield patch

    def _user(self, user_id: ObjectId) -> Document | None:
        if user_id not in self._users:
            user = User().load(user_id, force=True)
            self._users[user_id] = None if user is None or is_disabled(user) else user
        return self._users[user_id]

    def _in_folder(self, user_id: ObjectId, folder_id: ObjectId) -> bool:
        at = user_id, folder_id
        if at not in self._folders:
            user, folder = self._user(user_id), Folder().load(folder_id, force=True)
            self._folders[at] = (
                user is not None and folder is not None and Folder().hasAccess(folder, user, AccessType.READ)
            )
        return self._folders[at]

    def _alone(self, user_id: ObjectId, file: Document) -> bool:
        """Return whether a user may read a file that lies in no item."""
        user = self._user(user_id)
        try:
            return user is not None and File().load(file['_id'], user=user, level=AccessType.READ) is not None
        except AccessException:
            return False


def _by_id(model: Any, ids: list[ObjectId]) -> dict[ObjectId, Document]:
    fields = ['itemId', 'folderId']
    return {one['_id']: one for one in find_named(model.find, '_id', ids, fields=fields)}
