"""A request that is about to change a patch says so in the patch's document, and is the only one to do so.

Reference images are held likewise. See `patches.py` for what a request does then.
"""

from __future__ import annotations

import datetime as dt
import time
import uuid
from typing import TYPE_CHECKING, Protocol

from girder.models.model_base import Model
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from girder_zarr.errors import ConflictError, NotFoundError
from girder_zarr.server.common.names import now
from girder_zarr.server.sessions.model import StitchSession

from . import document as patch_document

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document

    class Keyed(Protocol):
        """What is to be stored under a key."""

        @property
        def key(self) -> str:
            """The key, as the client chose it."""

        @property
        def fields(self) -> Document:
            """What the document will hold, its file aside."""


#: How long a hold is respected, and how long another request waits for one.
STALE_SECONDS = 60
WAIT_SECONDS = 10
PAUSE = 0.02


class HeldModel(Model):
    """Documents under a key of their session, each held by at most one request at a time."""

    #: What a document is, for messages.
    noun: str

    def validate(self, doc: Document) -> Document:
        """Accept the document; everything in it was checked where it came in."""
        return doc

    def find_key(self, session: Document, key: str) -> Document | None:
        """Return what is stored under a key, or None."""
        found: Document | None = self.findOne({'sessionId': session['_id'], 'key': key, 'stored': True})
        return found

    def get(self, session: Document, key: str) -> Document:
        """Return what is stored under a key.

        :raises NotFoundError: there is nothing.
        """
        found = self.find_key(session, key)
        if found is None:
            msg = f'The session has no {self.noun} {key[:200]}.'
            raise NotFoundError(msg)
        return found

    def await_settled(self, session: Document) -> None:
        """Wait until no request holds anything of a finalizing session.

        A hold that a dead server left behind is waited for until it is stale.
        """
        end = time.monotonic() + STALE_SECONDS
        while self.findOne({'sessionId': session['_id'], 'held': {'$gt': ''}}) and time.monotonic() < end:
            time.sleep(PAUSE)

    def release_stale(self, session: Document) -> int:
        """Undo what dead servers were about to do in a session; return how many holds that were."""
        limit = now() - dt.timedelta(seconds=STALE_SECONDS)
        query = {'sessionId': session['_id'], 'held': {'$gt': ''}, 'heldAt': {'$lt': limit}}
        found = list(self.find(query))
        for document in found:
            self._let_go(document)
        return len(found)

    def _await_free(self, session: Document, key: str) -> Document | None:
        """Return what is stored under a key, or None, once no other request is changing it.

        :raises ConflictError: another request goes on holding it.
        """
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            found: Document | None = self.findOne({'sessionId': session['_id'], 'key': key})
            if found is None or found['held'] is None:
                return found
            if is_stale(found):
                # Nobody was told that it was done.
                self._let_go(found)
            time.sleep(PAUSE)
        msg = f'Another request is storing {self.noun} {key}; try again.'
        raise ConflictError(msg)

    def _hold_stored(self, session: Document, key: str) -> Document:
        """Hold what is stored under a key, once it is free.

        :raises NotFoundError: there is nothing. :raises ConflictError: another request goes on holding it.
        """
        while True:
            document = self._await_free(session, key)
            if document is None:
                self.get(session, key)
                continue
            held = self._hold(document)
            if held is not None:
                return held

    def _fields(self, new: Keyed) -> Document:
        """Return what the document will hold, its file aside."""
        return new.fields

    def _insert(self, session: Document, new: Keyed) -> Document | None:
        """Insert a held document that is not stored yet; None if the key is taken by now."""
        document = patch_document.make(session, new.key, self._fields(new), uuid.uuid4().hex)
        try:
            document['_id'] = self.collection.insert_one(document).inserted_id
        except DuplicateKeyError:
            return None
        return document

    def _hold(self, document: Document) -> Document | None:
        """Hold a stored document as it was found; None if it has changed."""
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
        """Change a document that is held; return it.

        :raises NotFoundError: the session was removed.
        :raises ConflictError: this took so long that another request took over.
        """
        found: Document | None = self.collection.find_one_and_update(
            {'_id': held['_id'], 'held': held['held']}, update, return_document=ReturnDocument.AFTER
        )
        if found is None:
            StitchSession().get(held['sessionId'])
            msg = f'{self.noun.capitalize()} {held["key"]} was taken over by another request; try again.'
            raise ConflictError(msg)
        return found


def is_stale(document: Document) -> bool:
    """Return whether the request that holds a document is given up."""
    return now() - document['heldAt'] > dt.timedelta(seconds=STALE_SECONDS)
