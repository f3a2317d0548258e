"""Documents under a key of their session, each locked by at most one request at a time.

The document names the request that is about to change it (``lockedBy``). See `keyed` for what a request does
then. A lock that a dead server left behind goes stale.
"""

from __future__ import annotations

import datetime as dt
import time
import uuid
from typing import TYPE_CHECKING

from girder.models.model_base import Model
from pymongo.errors import BulkWriteError, DuplicateKeyError

from girder_zarr.errors import ConflictError, NotFoundError
from girder_zarr.server.common.database import set_if, unsynced, updated
from girder_zarr.server.common.names import now
from girder_zarr.server.sessions.model import StitchSession

from . import document as patch_document

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document

    from .incoming import NewPatch

#: How many seconds a lock is respected. A request needs it for two updates of the database, so that one that
#: is older belongs to a server that died, or that the database does not answer.
STALE_SECONDS = 60
#: How many seconds another request waits for a lock: less than clients wait for an answer.
WAIT_SECONDS = 10
#: Seconds between two looks at a lock, which lasts some milliseconds.
PAUSE_SECONDS = 0.02


class LockedModel(Model):
    """Documents under a key of their session, each locked by at most one request at a time."""

    #: What a document is, for messages.
    noun: str

    def validate(self, doc: Document) -> Document:
        """Accept the document; everything in it was checked where it came in."""
        return doc

    def fields_of(self, new: NewPatch) -> Document:
        """Return what the document holds of something new, its file aside."""
        return new.fields

    # Reading

    def find_key(self, session: Document, key: str) -> Document | None:
        """Return what is stored under a key, or None."""
        found: Document | None = self.findOne({'sessionId': session['_id'], 'key': key})
        return found if found is not None and found['stored'] else None

    def get(self, session: Document, key: str) -> Document:
        """Return what is stored under a key.

        :raises NotFoundError: there is nothing.
        """
        found = self.find_key(session, key)
        if found is None:
            msg = f'The session has no {self.noun} {key[:200]}.'
            raise NotFoundError(msg)
        return found

    def wait_unlocked(self, session: Document) -> None:
        """Wait until no request changes anything of a finalizing session.

        A lock that a dead server left behind is waited for until it is stale.
        """
        end = time.monotonic() + STALE_SECONDS
        query = {'sessionId': session['_id'], 'lockedBy': {'$gt': ''}}
        while self.findOne(query) and time.monotonic() < end:
            time.sleep(PAUSE_SECONDS)

    def release_stale(self, session: Document) -> int:
        """Undo what dead servers were about to do in a session; return how many locks that were."""
        limit = now() - dt.timedelta(seconds=STALE_SECONDS)
        locked = self.find({'sessionId': session['_id'], 'lockedBy': {'$gt': ''}})
        found = [document for document in locked if document['lockedAt'] < limit]
        for document in found:
            self._unlock(document)
        return len(found)

    # Locks

    def _wait_free(self, session: Document, key: str) -> Document | None:
        """Return what is stored under a key, or None, once no other request is changing it.

        :raises ConflictError: another request goes on changing it.
        """
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            found: Document | None = self.findOne({'sessionId': session['_id'], 'key': key})
            if found is None or not is_locked(found):
                return found
            if is_stale(found):
                # No client got a success for it.
                self._unlock(found)
            time.sleep(PAUSE_SECONDS)
        msg = f'Another request is storing {self.noun} {key}; try again.'
        raise ConflictError(msg)

    def _lock_stored(self, session: Document, key: str) -> Document:
        """Lock what is stored under a key, once it is free.

        :raises NotFoundError: there is nothing. :raises ConflictError: another request goes on changing it.
        """
        while True:
            document = self._wait_free(session, key)
            if document is None:
                self.get(session, key)
                continue
            locked = self._lock(document)
            if locked is not None:
                return locked

    def _insert(self, session: Document, new: NewPatch) -> Document | None:
        """Insert a locked document that is not stored yet; None if the key is taken by now."""
        document = patch_document.make(session, new.key, self.fields_of(new), uuid.uuid4().hex)
        try:
            document['_id'] = unsynced(self.collection).insert_one(document).inserted_id
        except DuplicateKeyError:
            return None
        return document

    def _insert_many(self, documents: list[Document]) -> dict[str, Document]:
        """Insert the documents whose keys are still free; return them by key."""
        try:
            self.collection.insert_many(documents, ordered=False)
            taken = set()
        except BulkWriteError as error:
            taken = {failure['index'] for failure in error.details['writeErrors']}
        return {document['key']: document for at, document in enumerate(documents) if at not in taken}

    def _lock(self, document: Document, fields: Document | None = None) -> Document | None:
        """Lock a stored document as it was found; None if it has changed.

        :param fields: those that it will have, if it is to be replaced. Whoever measures the session
            meanwhile sees where it will lie then.
        """
        # Every change of a document gives it another arrival, so that it is still the one that was found.
        seen = {name: document.get(name) for name in ('fileId', 'arrival')}
        changes: Document = {'lockedBy': uuid.uuid4().hex, 'lockedAt': now()}
        if fields is not None and 'position' in fields:
            changes['moving'] = {name: fields[name] for name in ('position', 'shape')}
        demanded = {'lockedBy': None, **seen}
        if not set_if(unsynced(self.collection), document['_id'], demanded, changes):
            return None
        return updated(document, {'$set': changes})

    def _unlock(self, locked: Document) -> None:
        """Undo a lock: a document that was never stored disappears."""
        query = {'_id': locked['_id'], 'lockedBy': locked['lockedBy']}
        if locked['stored']:
            self.collection.update_one(query, {'$set': {'lockedBy': None}, '$unset': {'moving': ''}})
        else:
            self.collection.delete_one(query)

    def _update(self, locked: Document, update: Document) -> Document:
        """Change a document that is locked; return it.

        :raises NotFoundError: the session was removed.
        :raises ConflictError: this took so long that another request took over.
        """
        # Nobody else has changed it since it was locked.
        found, mine = updated(locked, update), {'lockedBy': locked['lockedBy']}
        if locked.keys() - found.keys():
            is_mine = self.collection.update_one({'_id': locked['_id'], **mine}, update).matched_count
        else:
            fields = {
                name: value for name, value in found.items() if name not in locked or locked[name] != value
            }
            is_mine = set_if(self.collection, locked['_id'], mine, fields)
        if not is_mine:
            StitchSession().get(locked['sessionId'])
            raise self._taken_over(locked['key'])
        return found

    def _taken_over(self, key: str) -> ConflictError:
        return ConflictError(f'{self.noun.capitalize()} {key} was taken over by another request; try again.')


def is_locked(document: Document) -> bool:
    """Return whether a request is changing a document."""
    return document.get('lockedBy') is not None


def is_stale(document: Document) -> bool:
    """Return whether the request that has locked a document is given up."""
    locked_at: dt.datetime = document['lockedAt']
    return now() - locked_at > dt.timedelta(seconds=STALE_SECONDS)
