"""The one protocol by which what is stored under a key changes: patches, batches of them, reference images.

A change is three steps, so that neither a second request nor a finalize that begins meanwhile can lose it:

1. *lock*: the document names the request, see `locking`. A new one is inserted, not yet ``stored``.
2. *commit*: one update of the session, which demands that it is editable and has room.
3. *unlock*: the document takes its new values and is free again; the answer goes out after this.

After an error before the third step the lock is undone: a document that was never stored disappears, another
one is as it was. The bytes that a document named before are removed last. The answer does not depend on that,
since the document names the new ones by then: what cannot be removed is left to `maintenance.orphans`.

A job waits for locked documents before it reads them. If a server dies in between, the lock goes stale;
nobody was told that the change was made, so that either outcome is right.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import uuid
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import ConflictError
from girder_zarr.server.common.names import now
from girder_zarr.server.sessions.states import check_editable
from girder_zarr.server.settings.session_limits import current as limits_now
from girder_zarr.server.storage import durable_files

from . import document as patch_document
from . import files
from .commits import CommittingModel
from .incoming import CREATED, REPLACED, UNCHANGED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from girder_zarr.server.common.names import Document
    from girder_zarr.server.settings.session_limits import StitchLimits

    from .incoming import NewPatch

logger = logging.getLogger(__name__)

#: A file of a session that no document names belongs to a request that is under way, or after so many seconds
#: to nobody. A request that takes half as long gives up by itself, see `LockedModel.check_fresh`.
ORPHAN_SECONDS = 600
#: What every document has that is stored and that nobody changes.
_FREE: dict[str, Any] = {'stored': True, 'lockedBy': None}


class KeyedModel(CommittingModel):
    """What is stored under a key of a session, and how it changes."""

    # What models differ in

    def decide(
        self,
        session: Document,
        existing: Document | None,
        new: NewPatch,
        *,
        replace: bool,
        limits: StitchLimits,
    ) -> str:
        """Return what becomes of something new: CREATED, UNCHANGED or REPLACED.

        :param existing: what is stored under its key.
        :raises ConflictError: it differs from that, and is not to replace it.
        """
        raise NotImplementedError

    def own_bytes(self, document: Document) -> int:
        """Return the bytes that a session holds only because of a document."""
        return int(document['size'])

    def dispose(self, session: Document, document: Document) -> None:
        """Remove what belonged to a document that was replaced or removed, its bytes first of all.

        :param session: as it is after the change.
        """
        raise NotImplementedError

    def reverted(self, session: Document) -> None:
        """Set right what a commit that failed may have changed of the session."""

    def stored(self, session: Document, document: Document) -> None:
        """Notify others of a document that was created or replaced."""

    # Changing

    def put(
        self,
        session: Document,
        new: NewPatch,
        user: Document,
        *,
        replace: bool,
        limits: StitchLimits | None = None,
        folder: Document | None = None,
    ) -> tuple[Document, str]:
        """Store something under its key; return its document and what became of it.

        :param limits: those that hold now, where the caller has them.
        :param folder: the session's, where the caller has it.
        :returns: the document, and CREATED, UNCHANGED or REPLACED.
        :raises ConflictError: the session is not editable, the key holds something else, or it does not fit.
        :raises LimitExceededError: the session would hold too much. After any error nothing is stored.
        """
        limits = limits or limits_now()
        self.check(session, new, limits)
        hashed = files.hash_ahead(new, folder)
        existing = self._wait_free(session, new.key)
        outcome = self.decide(session, existing, new, replace=replace, limits=limits)
        if existing is not None and outcome == UNCHANGED:
            return existing, UNCHANGED
        pending: list[Future[None]] = []
        file = files.store_file(session, new, user, folder, pending, hashed)
        try:
            found = self._store(session, new, file, existing, replace=replace, limits=limits, pending=pending)
            if found[1] == UNCHANGED and new.options.page is not None:
                self.drop_unnamed(file)
            return found
        except BaseException:
            self.drop_unnamed(file)
            raise

    def put_file(
        self,
        session: Document,
        new: NewPatch,
        file: Document,
        *,
        replace: bool,
        lender: Document | None = None,
    ) -> tuple[Document, str]:
        """Store something whose bytes are a Girder file already; all else is as with :meth:`put`.

        After an error the file is still there, and where a page of it is unchanged: see :meth:`drop_unnamed`.

        :param lender: the user whose right to read it lets the file count, where it is not the session's own;
            such a file is never removed.
        """
        limits = limits_now()
        self.check(session, new, limits)
        durable_files.make_durable(file)
        existing = self._wait_free(session, new.key)
        return self._store(session, new, file, existing, replace=replace, limits=limits, lender=lender)

    def put_held(
        self,
        session: Document,
        new: NewPatch,
        held: Document,
        *,
        replace: bool,
        limits: StitchLimits | None = None,
    ) -> tuple[Document, str]:
        """Store something whose bytes the session has under another key; all else is as with :meth:`put`.

        :param held: the document of that key, which is a page of a file as the new one is.
        :raises ConflictError: as :meth:`put`, or it was removed meanwhile.
        """
        limits = limits or limits_now()
        self.check(session, new, limits)
        existing = self._wait_free(session, new.key)
        with self._claimed(session, new, held):
            file = {'_id': held['fileId']}
            return self._store(session, new, file, existing, replace=replace, limits=limits, held=held)

    @contextlib.contextmanager
    def _claimed(self, session: Document, new: NewPatch, held: Document) -> Iterator[None]:
        """Name the file of a document once more, so that it is not removed before the new one names it."""
        token = uuid.uuid4().hex
        claim = patch_document.make(session, f' {token}', self.fields_of(new), token)
        claim.update(fileId=held['fileId'], offset=held.get('offset', 0))
        self.collection.insert_one(claim)
        try:
            found = self.findOne({'_id': held['_id']})
            if found is None or found['fileId'] != held['fileId']:
                msg = f'{self.noun.capitalize()} {held["key"]} was removed or replaced meanwhile.'
                raise ConflictError(msg)
            yield
        except BaseException:
            self.collection.delete_one({'_id': claim['_id']})
            self._dispose(session, claim)
            self.reverted(session)
            raise
        self.collection.delete_one({'_id': claim['_id']})

    def _store(
        self,
        session: Document,
        new: NewPatch,
        file: Document,
        existing: Document | None,
        *,
        replace: bool,
        limits: StitchLimits,
        lender: Document | None = None,
        held: Document | None = None,
        pending: Iterable[Future[None]] = (),
    ) -> tuple[Document, str]:
        """Lock, commit and unlock.

        :param pending: what has to be done by then besides, which the lock need not wait for.
        """
        is_new = lender is None and held is None
        offset = held.get('offset', 0) if held is not None else 0
        while True:
            outcome = self.decide(session, existing, new, replace=replace, limits=limits)
            if existing is not None and outcome == UNCHANGED:
                # The same came in twice at the same time.
                if is_new and new.options.page is None:
                    _remove(file)
                return existing, UNCHANGED
            locked = self._locked_for(session, new, existing)
            if locked is not None:
                break
            existing = self._wait_free(session, new.key)
        named = {**locked, **self.fields_of(new), 'fileId': file['_id'], 'offset': offset}
        before = self.own_bytes(locked) if outcome == REPLACED else 0
        with self._undone_on_error(session, locked):
            for one in pending:
                one.result()
            if is_new:
                self.check_fresh(file)
            added = self.own_bytes(named) - before
            gone = [locked] if outcome == REPLACED else []
            changed = self.commit(session, [new], int(outcome == CREATED), added, limits, gone)
        fields = {'fileId': file['_id'], 'arrival': changed['revision'], **_FREE, 'updated': now()}
        place = None if new.options.page is None else offset
        update = patch_document.stored_at({**self.fields_of(new), **fields}, place, lender)
        document = self._update(locked, update)
        if outcome == REPLACED:
            self._dispose(changed, locked)
        self.stored(session, document)
        return document, outcome

    def _locked_for(self, session: Document, new: NewPatch, existing: Document | None) -> Document | None:
        """Return the document under the key of something new, locked; None if it is another by now."""
        if existing is None:
            return self._insert(session, new)
        return self._lock(existing, self.fields_of(new))

    def put_together(
        self, session: Document, news: Sequence[NewPatch], file: Document, offsets: Sequence[int]
    ) -> dict[str, Document | Exception]:
        """Store things of different keys that lie in one file, with one write for all in each step.

        Only what has a free key is stored; after an error nothing is, and the file is gone.

        :param offsets: where in the file each begins.
        :returns: by key the document, or why it was not stored. Keys that were taken are missing.
        """
        token = uuid.uuid4().hex
        documents = [
            {
                **patch_document.make(session, new.key, self.fields_of(new), token),
                'fileId': file['_id'],
                'offset': offset,
                'arrival': at,
            }
            for at, (new, offset) in enumerate(zip(news, offsets, strict=True))
        ]
        mine = {'sessionId': session['_id'], 'lockedBy': token}
        try:
            locked = self._insert_many(documents)
            news = [new for new in news if new.key in locked]
            if not news:
                _remove(file)
                return {}
            self.check_fresh(file)
            sizes = {document['offset']: document['size'] for document in locked.values()}
            changed = self.commit(session, news, len(news), sum(sizes.values()))
        except BaseException:
            self.collection.delete_many(mine)
            _remove(file)
            self.reverted(session)
            raise
        return self._update_many(session, mine, locked, changed['revision'] - len(news) + 1)

    def discard(self, session: Document, key: str) -> None:
        """Remove what is stored under a key.

        :raises NotFoundError: there is nothing.
        :raises ConflictError: the session is not editable.
        """
        check_editable(session)
        locked = self._lock_stored(session, key)
        with self._undone_on_error(session, locked):
            changed = self.commit(session, [], -1, -self.own_bytes(locked), gone=[locked])
        self.collection.delete_one({'_id': locked['_id']})
        self._dispose(changed, locked)

    def check_fresh(self, file: Document) -> None:
        """Check that a file was stored so recently that nobody takes it for left behind.

        :raises ConflictError: it was not, because the server stood still.
        """
        if now() - file['created'] > dt.timedelta(seconds=ORPHAN_SECONDS / 2):
            msg = f'The server stood still while the {self.noun} was stored; try again.'
            raise ConflictError(msg)

    def drop_unnamed(self, file: Document) -> None:
        """Remove a file after an error, unless a document names it and only the answer failed."""
        named = self.find({'fileId': file['_id']}, fields=['stored'])
        if not any(document['stored'] for document in named):
            _remove(file)

    def _update_many(
        self, session: Document, mine: Document, locked: Mapping[str, Document], first: int
    ) -> dict[str, Document | Exception]:
        """Unlock documents that were stored together; return them by key, or why one was not stored.

        :param mine: the query for those that this request has locked.
        :param first: the arrival of the first of them.
        """
        fields = {**_FREE, 'updated': now()}
        # By the index of locks: with ids as well the embedded database would look at all of the session.
        changed = self.collection.update_many(mine, {'$set': fields, '$inc': {'arrival': first}})
        there = set(locked)
        if changed.modified_count != len(locked):
            ids = [document['_id'] for document in locked.values()]
            query = {'_id': {'$in': ids}, 'stored': True}
            there = {document['key'] for document in self.find(query, fields=['key'])}
        found: dict[str, Document | Exception] = {}
        for key, document in locked.items():
            if key not in there:
                found[key] = self._taken_over(key)
                continue
            stored = {**document, **fields, 'arrival': document['arrival'] + first}
            self.stored(session, stored)
            found[key] = stored
        return found

    @contextlib.contextmanager
    def _undone_on_error(self, session: Document, locked: Document) -> Iterator[None]:
        """Undo a lock where the work inside fails."""
        try:
            yield
        except BaseException:
            self._unlock(locked)
            # Whoever measured the session meanwhile saw where it would have been moved.
            if not locked['stored'] or 'moving' in locked:
                self.reverted(session)
            raise

    def _dispose(self, session: Document, document: Document) -> None:
        """Remove what belonged to a document; the answer does not depend on it."""
        try:
            self.dispose(session, document)
        except Exception:
            logger.warning(
                'The bytes of %s %s are left to the sweep', self.noun, document['key'], exc_info=True
            )


def _remove(file: Document) -> None:
    """Remove a file that no document names; one that cannot be removed now is left to the sweep."""
    try:
        durable_files.remove_file(file)
    except Exception:
        logger.warning('File %s is left to the sweep', file['_id'], exc_info=True)
