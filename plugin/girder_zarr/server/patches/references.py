"""The reference images of a session: masks that many patches share, flat and dark fields.

Each is a Girder file attached to the session, with a document under a key of the client's choice. They lie
nowhere in the image, so they are counted with no patches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from girder.constants import SortDir

from girder_zarr.errors import ConflictError
from girder_zarr.server.common.names import Document, now
from girder_zarr.server.sessions.model import StitchSession, spec_of
from girder_zarr.server.sessions.states import EDITABLE, check_editable
from girder_zarr.server.settings.session_limits import current as limits_now
from girder_zarr.server.storage.transfer import remove_file
from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.spec.patch_parameters import Options

from .files import store_file
from .incoming import CREATED, REPLACED, UNCHANGED
from .locking import HeldModel

if TYPE_CHECKING:
    from .incoming import NewPatch


class StitchReference(HeldModel):
    """The reference images of all sessions, at most one for each key of a session."""

    noun = 'reference image'

    def initialize(self) -> None:
        """Name the collection and its unique index."""
        self.name = 'stitch_reference'
        keys = [('sessionId', SortDir.ASCENDING), ('key', SortDir.ASCENDING)]
        self.ensureIndex((keys, {'unique': True}))

    def list_session(self, session: Document) -> list[Document]:
        """Return the reference images of a session, ordered by key."""
        query = {'sessionId': session['_id'], 'stored': True}
        return list(self.find(query, sort=[('key', SortDir.ASCENDING)]))

    def settled(self, session: Document) -> list[Document]:
        """Wait until no request holds a reference image of a finalizing session, then return all of them."""
        self.await_settled(session)
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
        fields = {**self._fields(new), 'fileId': file['_id'], 'stored': True, 'held': None, 'updated': now()}
        document = self._update(held, {'$set': fields})
        if outcome == REPLACED:
            remove_file(held['fileId'])
        return document, outcome

    def _fields(self, new: NewPatch) -> Document:
        """Return what the document will hold, its file aside; a reference image has no position."""
        return {name: value for name, value in new.fields.items() if name not in {'position', 'order'}}

    def discard(self, session: Document, key: str) -> None:
        """Remove a reference image and its file.

        :raises NotFoundError: there is none under this key.
        :raises ConflictError: the session is not editable.
        """
        check_editable(session)
        held = self._hold_stored(session, key)
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
