"""The reference images of a session: masks that many patches share, flat and dark fields.

Each is a Girder file attached to the session, with a document under a key of the client's choice. They lie
nowhere in the image, so they are counted with no patches.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from girder.constants import SortDir
from girder.models.file import File
from girder.models.model_base import Model
from pymongo import ReturnDocument

from girder_zarr.errors import ConflictError, NotFoundError
from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.said import Options

from .limits import current as limits_now
from .new_patch import CREATED, REPLACED, UNCHANGED, check_editable
from .patch_files import remove_file, store_file
from .sessions import EDITABLE, Document, StitchSession, spec_of

if TYPE_CHECKING:
    from .new_patch import NewPatch


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
        found: Document | None = self.findOne({'sessionId': session['_id'], 'key': key})
        if found is None:
            msg = f'The session has no reference image {key[:200]}.'
            raise NotFoundError(msg)
        return found

    def list_session(self, session: Document) -> list[Document]:
        """Return the reference images of a session, ordered by key."""
        return list(self.find({'sessionId': session['_id']}, sort=[('key', SortDir.ASCENDING)]))

    def put(self, session: Document, new: NewPatch, user: Document, *, replace: bool) -> tuple[Document, str]:
        """Store a reference image; return its document and what became of it.

        :raises ConflictError: the session is not editable, or the key holds something else.
        :raises LimitExceededError: the session would hold too much. After any error nothing is stored.
        """
        check_editable(session)
        existing: Document | None = self.findOne({'sessionId': session['_id'], 'key': new.key})
        if existing is not None and existing['digest'] == new.digest:
            return existing, UNCHANGED
        if existing is not None and not replace:
            msg = f'Reference image {new.key} exists with another digest; replace=true replaces it.'
            raise ConflictError(msg)
        if existing is None:
            there = self.collection.count_documents({'sessionId': session['_id']})
            limits_now().check_references(there + 1)
        file = store_file(session, new, user)
        try:
            before = existing['size'] if existing else 0
            self._commit(session, new.size - before)
            document = self._replace(session, new, file)
        except BaseException:
            File().remove(file)
            raise
        if existing is not None:
            remove_file(existing['fileId'])
        return document, CREATED if existing is None else REPLACED

    def _replace(self, session: Document, new: NewPatch, file: Document) -> Document:
        fields = {name: value for name, value in new.fields.items() if name not in {'position', 'order'}}
        found: Document = self.collection.find_one_and_update(
            {'sessionId': session['_id'], 'key': new.key},
            {'$set': {**fields, 'fileId': file['_id'], 'updated': dt.datetime.now(dt.UTC)}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        return found

    def discard(self, session: Document, key: str) -> None:
        """Remove a reference image and its file.

        :raises NotFoundError: there is none under this key.
        :raises ConflictError: the session is not editable.
        """
        check_editable(session)
        document = self.get(session, key)
        self._commit(session, -document['size'])
        self.collection.delete_one({'_id': document['_id']})
        remove_file(document['fileId'])

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
    return [to_reference(document) for document in StitchReference().list_session(session)]


def view(document: Document, status: str | None = None) -> dict[str, Any]:
    """Return a reference image as docs/rest.md shows it."""
    shown = ('key', 'digest', 'size', 'shape', 'dtype', 'format')
    return {**{name: document[name] for name in shown}, **({'status': status} if status else {})}
