"""The reference images of a session: masks that many patches share, flat and dark fields.

Each is a Girder file attached to the session, with a document under a key of the client's choice. They lie
nowhere in the image, so they are counted with no patches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from girder.constants import SortDir

from girder_zarr.errors import ConflictError
from girder_zarr.server.sessions.model import spec_of
from girder_zarr.server.sessions.states import check_editable
from girder_zarr.server.storage.transfer import remove_file
from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.spec.patch_parameters import PatchOptions

from .incoming import CREATED, REPLACED, UNCHANGED
from .keyed import KeyedModel

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document
    from girder_zarr.server.settings.session_limits import StitchLimits

    from .incoming import NewPatch


class StitchReference(KeyedModel):
    """The reference images of all sessions, at most one for each key of a session."""

    noun = 'reference image'

    def initialize(self) -> None:
        """Name the collection and its unique index."""
        self.name = 'stitch_reference'
        keys = [('sessionId', SortDir.ASCENDING), ('key', SortDir.ASCENDING)]
        # A sweep asks which of many files are named, and for what dead servers have left locked.
        listed: list[Any] = [([keys[0], (name, SortDir.ASCENDING)], {}) for name in ('lockedBy', 'stored')]
        self.ensureIndices([(keys, {'unique': True}), 'fileId', *listed])

    def list_session(self, session: Document) -> list[Document]:
        """Return the reference images of a session, ordered by key."""
        query = {'sessionId': session['_id'], 'stored': True}
        return list(self.find(query, sort=[('key', SortDir.ASCENDING)]))

    def list_unlocked(self, session: Document) -> list[Document]:
        """Wait until no request changes a reference image of a finalizing session; return all."""
        self.wait_unlocked(session)
        return self.list_session(session)

    # How it changes

    def check(self, session: Document, new: NewPatch, limits: StitchLimits) -> None:
        """Check that the session takes reference images; of what size they may be the spec does not say."""
        del new, limits
        check_editable(session)

    def decide(
        self,
        session: Document,
        existing: Document | None,
        new: NewPatch,
        *,
        replace: bool,
        limits: StitchLimits,
    ) -> str:
        """Return what becomes of a reference image; one is the same as another if its bytes are.

        :raises ConflictError: it differs and is not to replace the other.
        :raises LimitExceededError: the session would have too many.
        """
        if existing is None:
            there = self.collection.count_documents({'sessionId': session['_id']})
            limits.check_references(there + 1)
            return CREATED
        if existing['digest'] == new.digest:
            return UNCHANGED
        if not replace:
            msg = f'Reference image {new.key} exists with another digest; replace=true replaces it.'
            raise ConflictError(msg)
        return REPLACED

    def fields_of(self, new: NewPatch) -> Document:
        """Return what the document holds, its file aside; a reference image has no position."""
        return {name: value for name, value in new.fields.items() if name not in {'position', 'order'}}

    def dispose(self, session: Document, document: Document) -> None:
        """Remove the file of a reference image."""
        del session
        remove_file(document['fileId'])

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
    options = PatchOptions.from_json(document.get('options'))
    return Patch(
        key=document['key'],
        placement=Placement.make(0, 0),
        shape=(height, width, bands),
        dtype=document['dtype'],
        source=str(document['fileId']),
        digest=document['digest'],
        layout=options.layout,
        as_stored=options.as_stored,
    )


def references_of(session: Document) -> list[Patch]:
    """Return the reference images of a session for the stitching floor."""
    return [to_reference(document) for document in StitchReference().list_unlocked(session)]


def view(document: Document, status: str | None = None) -> dict[str, Any]:
    """Return a reference image as docs/rest.md shows it."""
    shown = ('key', 'digest', 'size', 'shape', 'dtype', 'format')
    return {**{name: document[name] for name in shown}, **({'status': status} if status else {})}
