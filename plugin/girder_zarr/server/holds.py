"""A request that is about to change a patch says so in the patch's document, and is the only one to do so.

See `patches.py` for what it does then.
"""

from __future__ import annotations

import datetime as dt
import time
import uuid
from typing import TYPE_CHECKING

from girder.models.model_base import Model
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from girder_zarr.errors import ConflictError

from . import patch_document
from .patch_document import now

if TYPE_CHECKING:
    from .new_patch import NewPatch
    from .sessions import Document

#: How long a hold is respected, and how long another request waits for one.
STALE_SECONDS = 60
WAIT_SECONDS = 10
PAUSE = 0.02


class HeldModel(Model):
    """Documents under a key of their session, each held by at most one request at a time."""

    def release_stale(self, session: Document) -> int:
        """Undo what dead servers were about to do in a session; return how many patches that were."""
        limit = now() - dt.timedelta(seconds=STALE_SECONDS)
        query = {'sessionId': session['_id'], 'held': {'$gt': ''}, 'heldAt': {'$lt': limit}}
        found = list(self.find(query))
        for document in found:
            self._release_stale(document)
        return len(found)

    def _await_free(self, session: Document, key: str) -> Document | None:
        """Return the stored patch under a key, or None, once no other request is changing it.

        :raises ConflictError: another request goes on holding it.
        """
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            found: Document | None = self.findOne({'sessionId': session['_id'], 'key': key})
            if found is None:
                return None
            if found['held'] is not None and is_stale(found):
                self._release_stale(found)
            elif found['held'] is None:
                return found
            time.sleep(PAUSE)
        msg = f'Another request is storing patch {key}; try again.'
        raise ConflictError(msg)

    def _release_stale(self, document: Document) -> None:
        """Undo what a dead server was about to do; nobody was told that it was done."""
        query = {'_id': document['_id'], 'held': document['held']}
        if document['stored']:
            self.collection.update_one(query, {'$set': {'held': None}})
        else:
            self.collection.delete_one(query)

    def _insert(self, session: Document, new: NewPatch) -> Document | None:
        """Insert a held document that is not stored yet; None if the key is taken by now."""
        document = patch_document.make(session, new, uuid.uuid4().hex)
        try:
            document['_id'] = self.collection.insert_one(document).inserted_id
        except DuplicateKeyError:
            return None
        return document

    def _hold(self, document: Document) -> Document | None:
        """Hold a stored patch as it was found; None if it has changed."""
        query = {'_id': document['_id'], 'held': None, 'fileId': document['fileId']}
        found: Document | None = self.collection.find_one_and_update(
            query,
            {'$set': {'held': uuid.uuid4().hex, 'heldAt': now()}},
            return_document=ReturnDocument.AFTER,
        )
        return found

    def _let_go(self, held: Document) -> None:
        """Undo a hold: a document that was never stored disappears."""
        query = {'_id': held['_id'], 'held': held['held']}
        if held['stored']:
            self.collection.update_one(query, {'$set': {'held': None}})
        else:
            self.collection.delete_one(query)

    def _update(self, held: Document, update: Document) -> Document:
        found: Document | None = self.collection.find_one_and_update(
            {'_id': held['_id'], 'held': held['held']}, update, return_document=ReturnDocument.AFTER
        )
        if found is None:
            msg = f'Patch {held["key"]} was taken over by another request; try again.'
            raise ConflictError(msg)
        return found


def is_stale(document: Document) -> bool:
    """Return whether the request that holds a document is given up."""
    return now() - document['heldAt'] > dt.timedelta(seconds=STALE_SECONDS)
