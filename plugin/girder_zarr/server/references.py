"""The reference images of a session: masks that many patches share, flat and dark fields.

Each is a Girder file attached to the session, with a document under a key of the client's choice. They lie
nowhere in the image, so they are counted with no patches.
"""

from __future__ import annotations

import datetime as dt
import time
import uuid
from typing import TYPE_CHECKING, Any

from girder.constants import SortDir
from girder.models.model_base import Model
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from girder_zarr.errors import ConflictError, NotFoundError
from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.said import Options

from .limits import current as limits_now
from .new_patch import CREATED, REPLACED, UNCHANGED, check_editable
from .patch_document import now
from .patch_files import remove_file, store_file
from .sessions import EDITABLE, Document, StitchSession, spec_of

if TYPE_CHECKING:
    from .new_patch import NewPatch

#: How long a hold is respected, and how long another request waits for one.
STALE_SECONDS = 60
WAIT_SECONDS = 10
_PAUSE = 0.02


class StitchReference(Model):
    """The reference images of all sessions, at most one for each key of a session."""

    def initialize(self) -> None:
        """Name the collection and its unique index."""
        self.name = 'stitch_reference'
        keys = [('sessionId', SortDir.ASCENDING), ('key', SortDir.ASCENDING)]
        self.ensureIndex((keys, {'unique': True}))

    def validate(self, doc: Document) -> Document:
        """Accept the document; everything in it was checked where it came in."""
        return doc

    def get(self, session: Document, key: str) -> Document:
        """Return a reference image.

        :raises NotFoundError: there is none under this key.
        """
        found: Document | None = self.findOne({'sessionId': session['_id'], 'key': key, 'stored': True})
        if found is None:
            msg = f'The session has no reference image {key[:200]}.'
            raise NotFoundError(msg)
        return found

    def list_session(self, session: Document) -> list[Document]:
        """Return the reference images of a session, ordered by key."""
        query = {'sessionId': session['_id'], 'stored': True}
        return list(self.find(query, sort=[('key', SortDir.ASCENDING)]))

    def settled(self, session: Document) -> list[Document]:
        """Wait until no request holds a reference image of a finalizing session, then return all of them.

        A hold that a dead server left behind is waited for until it is stale.
        """
        end = time.monotonic() + STALE_SECONDS
        while self.findOne({'sessionId': session['_id'], 'held': {'$ne': None}}) and time.monotonic() < end:
            time.sleep(_PAUSE)
        return self.list_session(session)

    def put(self, session: Document, new: NewPatch, user: Document, *, replace: bool) -> tuple[Document, str]:
        """Store a reference image; return its document and what became of it.

        :raises ConflictError: the session is not editable, or the key holds something else.
        :raises LimitExceededError: the session would hold too much. After any error nothing is stored.
        """
        check_editable(session)
        existing = self._await_free(session, new.key)
        outcome = self._decide(session, existing, new, replace=replace)
        if existing is not None and outcome == UNCHANGED:
            return existing, UNCHANGED
        file = store_file(session, new, user)
        try:
            return self._put_file(session, new, file, replace=replace)
        except BaseException:
            remove_file(file['_id'])
            raise

    def _decide(self, session: Document, existing: Document | None, new: NewPatch, *, replace: bool) -> str:
        if existing is None:
            there = self.collection.count_documents({'sessionId': session['_id']})
            limits_now().check_references(there + 1)
            return CREATED
        if existing['digest'] == new.digest:
            return UNCHANGED
        if not replace:
            msg = f'Reference image {new.key} exists with another digest; replace=true replaces it.'
            raise ConflictError(msg)
        return REPLACED

    def _put_file(
        self, session: Document, new: NewPatch, file: Document, *, replace: bool
    ) -> tuple[Document, str]:
        """Hold the document, commit the session, settle the document; `patches` says why."""
        held = None
        while held is None:
            existing = self._await_free(session, new.key)
            outcome = self._decide(session, existing, new, replace=replace)
            if existing is not None and outcome == UNCHANGED:
                # The same image came in twice at the same time.
                remove_file(file['_id'])
                return existing, UNCHANGED
            held = self._insert(session, new) if existing is None else self._hold(existing)
        try:
            self._commit(session, new.size - (held['size'] if outcome == REPLACED else 0))
        except BaseException:
            self._let_go(held)
            raise
        fields = {**_fields(new), 'fileId': file['_id'], 'stored': True, 'held': None, 'updated': now()}
        query = {'_id': held['_id'], 'held': held['held']}
        document: Document | None = self.collection.find_one_and_update(
            query, {'$set': fields}, return_document=ReturnDocument.AFTER
        )
        if document is None:
            # The session was removed, or this took so long that another request took over.
            StitchSession().get(session['_id'])
            msg = f'Reference image {new.key} was taken over by another request; try again.'
            raise ConflictError(msg)
        if outcome == REPLACED:
            remove_file(held['fileId'])
        return document, outcome

    def _await_free(self, session: Document, key: str) -> Document | None:
        """Return the document under a key, or None, once no other request is changing it.

        :raises ConflictError: another request goes on holding it.
        """
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            found: Document | None = self.findOne({'sessionId': session['_id'], 'key': key})
            if found is None or found['held'] is None:
                return found
            if now() - found['heldAt'] > dt.timedelta(seconds=STALE_SECONDS):
                self._let_go(found)
            time.sleep(_PAUSE)
        msg = f'Another request is storing reference image {key}; try again.'
        raise ConflictError(msg)

    def _insert(self, session: Document, new: NewPatch) -> Document | None:
        """Insert a held document that is not stored yet; None if the key is taken by now."""
        held = {'stored': False, 'held': uuid.uuid4().hex, 'heldAt': now(), 'fileId': None}
        document = {'sessionId': session['_id'], 'key': new.key, **_fields(new), **held, 'updated': now()}
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

    def discard(self, session: Document, key: str) -> None:
        """Remove a reference image and its file.

        :raises NotFoundError: there is none under this key.
        :raises ConflictError: the session is not editable.
        """
        check_editable(session)
        held = None
        while held is None:
            document = self._await_free(session, key)
            held = self._hold(document) if document is not None else None
            if document is None:
                self.get(session, key)
        try:
            self._commit(session, -held['size'])
        except BaseException:
            self._let_go(held)
            raise
        self.collection.delete_one({'_id': held['_id']})
        remove_file(held['fileId'])

    def _commit(self, session: Document, nbytes: int) -> None:
        """Let the session know of a change, if it still takes it."""
        limits = limits_now()
        changed = StitchSession().change(
            session['_id'],
            {'state': {'$in': EDITABLE}, **limits.room_for(0, nbytes)},
            {'$set': {'state': EDITABLE[0], 'error': None}, '$inc': {'counts.bytes': nbytes, 'revision': 1}},
        )
        if changed is None:
            current = StitchSession().get(session['_id'])
            check_editable(current)
            limits.check_session(current['counts'], 0, nbytes)
            msg = 'The session changed while the reference image was stored; try again.'
            raise ConflictError(msg)

    def check_complete(self, session: Document, mask_keys: list[str]) -> None:
        """Check that every reference image that is named is there.

        :raises ConflictError: one is missing; the message names it.
        """
        needed = spec_of(session).reference_keys | set(mask_keys)
        missing = sorted(needed - {document['key'] for document in self.list_session(session)})
        if missing:
            msg = f'There is no reference image {missing[0]}, which the spec or a patch names; put it first.'
            raise ConflictError(msg)

    def remove_session(self, session: Document) -> None:
        """Forget the reference images of a session; their files go with all that is attached to it."""
        self.collection.delete_many({'sessionId': session['_id']})


def _fields(new: NewPatch) -> Document:
    """Return what the document of a reference image will hold, its file aside; it has no position."""
    return {name: value for name, value in new.fields.items() if name not in {'position', 'order'}}


def to_reference(document: Document) -> Patch:
    """Return what the stitching floor knows of a reference image."""
    height, width, bands = document['shape']
    options = Options.from_json(document.get('options'))
    return Patch(
        key=document['key'],
        placement=Placement.make(0, 0),
        shape=(height, width, bands),
        dtype=document['dtype'],
        source=str(document['fileId']),
        digest=document['digest'],
        layout=options.layout,
    )


def references_of(session: Document) -> list[Patch]:
    """Return the reference images of a session for the stitching floor."""
    return [to_reference(document) for document in StitchReference().settled(session)]


def view(document: Document, status: str | None = None) -> dict[str, Any]:
    """Return a reference image as docs/rest.md shows it."""
    shown = ('key', 'digest', 'size', 'shape', 'dtype', 'format')
    return {**{name: document[name] for name in shown}, **({'status': status} if status else {})}
