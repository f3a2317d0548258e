"""The patches of a session: a Girder file for the bytes of each, and a document for what is known of it.

A change of a patch is three steps, so that neither a second request nor a finalize that begins meanwhile
can lose it:

1. *hold*: the patch's document names the request (``held``). A new one is inserted, not yet ``stored``.
2. *commit*: one update of the session, which demands that it is editable and that dtype, bands and axes fit.
3. *settle*: the document takes its new values and lets go; the answer goes out after this.

A job waits for held documents before it reads them. If a server dies in between, the hold goes stale; nobody
was told that the patch was stored, so that either outcome is right.
"""

from __future__ import annotations

import datetime as dt
import time
import uuid
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from girder.constants import SortDir
from girder.models.file import File
from girder.models.folder import Folder
from girder.models.model_base import Model
from girder.models.upload import Upload
from girder.utility import RequestBodyStream
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from girder_zarr.errors import ConflictError, NotFoundError
from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.plan import Extent

from .sessions import ATTACHED_TO, EDITABLE, OPEN, Document, StitchSession, spec_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bson import ObjectId

    from girder_zarr.stitch.formats import PatchInfo

#: Files go to the assetstore in pieces of this size; S3 adapters accept no smaller ones.
UPLOAD_PIECE = 64 * 2**20
#: The largest body of one patch.
MAX_PATCH_BYTES = 2**30
#: How long a hold is respected, and how long another request waits for one.
STALE_SECONDS = 60
WAIT_SECONDS = 10
_PAUSE = 0.02
_MIME_TYPES = {
    'png': 'image/png',
    'jpeg': 'image/jpeg',
    'tiff': 'image/tiff',
    'npy': 'application/octet-stream',
}
CREATED, UNCHANGED, REPLACED = 'created', 'unchanged', 'replaced'


@dataclass(frozen=True)
class NewPatch:
    """A patch that arrived and passed every check that needs no database."""

    key: str
    placement: Placement
    order: int
    digest: str
    size: int
    info: PatchInfo
    stream: IO[bytes]

    @property
    def fields(self) -> Document:
        """What the patch's document will hold, its file aside."""
        return {
            'digest': self.digest,
            'size': self.size,
            'format': self.info.format,
            'shape': list(self.info.shape),
            'dtype': self.info.dtype,
            'position': self.placement.as_dict(),
            'order': self.order,
        }

    def same_as(self, document: Document) -> bool:
        """Return whether it is what the document describes."""
        return all(document[name] == self.fields[name] for name in ('digest', 'position', 'order'))


class StitchPatch(Model):
    """The patches of all sessions, at most one for each key of a session."""

    def initialize(self) -> None:
        """Name the collection and its unique index."""
        self.name = 'stitch_patch'
        keys = [('sessionId', SortDir.ASCENDING), ('key', SortDir.ASCENDING)]
        self.ensureIndex((keys, {'unique': True}))

    def validate(self, doc: Document) -> Document:
        """Accept the document; everything in it was checked where it came in."""
        return doc

    # Reading

    def find_key(self, session: Document, key: str) -> Document | None:
        """Return a stored patch, or None."""
        found: Document | None = self.findOne({'sessionId': session['_id'], 'key': key, 'stored': True})
        return found

    def get(self, session: Document, key: str) -> Document:
        """Return a stored patch.

        :raises NotFoundError: there is none under this key.
        """
        found = self.find_key(session, key)
        if found is None:
            msg = f'The session has no patch {key[:200]}.'
            raise NotFoundError(msg)
        return found

    def list_session(self, session: Document, limit: int = 0, offset: int = 0) -> Any:
        """Return a cursor over the stored patches of a session, ordered by key."""
        query = {'sessionId': session['_id'], 'stored': True}
        return self.find(query, limit=limit, offset=offset, sort=[('key', SortDir.ASCENDING)])

    def count(self, session: Document) -> int:
        """Return how many patches are stored."""
        return int(self.collection.count_documents({'sessionId': session['_id'], 'stored': True}))

    def settled(self, session: Document) -> Iterator[Document]:
        """Wait until no request holds a patch of a finalizing session, then yield all of its patches.

        A hold that a dead server left behind is waited for until it is stale.
        """
        end = time.monotonic() + STALE_SECONDS
        while self.findOne({'sessionId': session['_id'], 'held': {'$ne': None}}) and time.monotonic() < end:
            time.sleep(_PAUSE)
        yield from self.list_session(session)

    # Putting

    def put(self, session: Document, new: NewPatch, user: Document, *, replace: bool) -> tuple[Document, str]:
        """Store a patch; return its document and what became of it.

        :raises ConflictError: the session is not editable, the key holds something else, or dtype, bands or
            axes differ.
        :raises LimitExceededError: the image would become too large. After any error nothing is stored.
        """
        check_fits(session, new)
        existing = self._await_free(session, new.key)
        if existing is not None and _decide(existing, new, replace=replace) == UNCHANGED:
            return existing, UNCHANGED
        file = store_file(session, new, user)
        try:
            return self._put_file(session, new, file, replace=replace)
        except BaseException:
            File().remove(file)
            raise

    def _put_file(
        self, session: Document, new: NewPatch, file: Document, *, replace: bool
    ) -> tuple[Document, str]:
        while True:
            existing = self._await_free(session, new.key)
            outcome = CREATED if existing is None else _decide(existing, new, replace=replace)
            if outcome == UNCHANGED:
                # The same patch came in twice at the same time.
                File().remove(file)
                return existing or {}, UNCHANGED
            held = self._insert(session, new) if existing is None else self._hold(existing)
            if held is not None:
                break
        try:
            change = new.size - (held['size'] if outcome == REPLACED else 0)
            self._commit(session, new, patches=int(outcome == CREATED), nbytes=change)
        except BaseException:
            self._let_go(held)
            if not held['stored']:
                self.measure(session)
            raise
        fields = {**new.fields, 'fileId': file['_id'], 'stored': True, 'held': None, 'updated': _now()}
        document = self._update(held, {'$set': fields})
        if outcome == REPLACED:
            _remove_file(held['fileId'])
            self.measure(session)
        return document, outcome

    def _await_free(self, session: Document, key: str) -> Document | None:
        """Return the stored patch under a key, or None, once no other request is changing it.

        :raises ConflictError: another request goes on holding it.
        """
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            found: Document | None = self.findOne({'sessionId': session['_id'], 'key': key})
            if found is None:
                return None
            if found['held'] is not None and _is_stale(found):
                self._release_stale(found)
            elif found['held'] is None:
                return found
            time.sleep(_PAUSE)
        msg = f'Another request is storing patch {key}; try again.'
        raise ConflictError(msg)

    def _release_stale(self, document: Document) -> None:
        query = {'_id': document['_id'], 'held': document['held']}
        if document['stored']:
            self.collection.update_one(query, {'$set': {'held': None}})
        else:
            self.collection.delete_one(query)

    def _insert(self, session: Document, new: NewPatch) -> Document | None:
        """Insert a held document that is not stored yet; None if the key is taken by now."""
        now = _now()
        document = {
            'sessionId': session['_id'],
            'key': new.key,
            **new.fields,
            'fileId': None,
            'stored': False,
            'held': uuid.uuid4().hex,
            'heldAt': now,
            'created': now,
            'updated': now,
        }
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
            {'$set': {'held': uuid.uuid4().hex, 'heldAt': _now()}},
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

    def _commit(self, session: Document, new: NewPatch, *, patches: int, nbytes: int) -> None:
        """Let the session know of a patch, if it still takes it.

        :raises ConflictError: it does not.
        """
        kind = {'dtype': new.info.dtype, 'bands': new.info.shape[2], 'axes': list(new.placement.axes)}
        edges = _edges(new)
        changed = StitchSession().change(
            session['_id'],
            {'state': {'$in': EDITABLE}, '$or': [{'dtype': None}, kind]},
            {
                '$set': {**kind, 'state': OPEN, 'error': None},
                '$inc': {'counts.patches': patches, 'counts.bytes': nbytes, 'revision': 1},
                '$min': {f'extent.{axis}0': low for axis, (low, _) in edges.items()},
                '$max': {f'extent.{axis}1': high for axis, (_, high) in edges.items()},
            },
        )
        if changed is None:
            session = StitchSession().get(session['_id'])
            check_fits(session, new)
            msg = 'The session changed while the patch was stored; try again.'
            raise ConflictError(msg)

    # Removing

    def discard(self, session: Document, key: str) -> None:
        """Remove a patch and its file.

        :raises NotFoundError: there is none under this key.
        :raises ConflictError: the session is not editable.
        """
        check_editable(session)
        held = None
        while held is None:
            document = self._await_free(session, key)
            if document is None:
                self.get(session, key)
                continue
            held = self._hold(document)
        update = {
            '$set': {'state': OPEN, 'error': None},
            '$inc': {'counts.patches': -1, 'counts.bytes': -held['size'], 'revision': 1},
        }
        changed = StitchSession().change(session['_id'], {'state': {'$in': EDITABLE}}, update)
        if changed is None:
            self._let_go(held)
            check_editable(StitchSession().get(session['_id']))
            msg = 'The session changed while the patch was removed; try again.'
            raise ConflictError(msg)
        self.collection.delete_one({'_id': held['_id']})
        _remove_file(held['fileId'])
        self.measure(session)

    def measure(self, session: Document) -> None:
        """Set the session's extent from its patches, and forget dtype, bands and axes when none is left."""
        while True:
            current = StitchSession().findOne({'_id': session['_id'], 'deleting': False})
            if current is None:
                return
            boxes = list(self.find({'sessionId': session['_id']}, fields=['position', 'shape']))
            fields: Document = {'extent': _extent(boxes)}
            if not boxes:
                fields.update(dtype=None, bands=None, axes=None)
            query = {'revision': current['revision']}
            if StitchSession().change(session['_id'], query, {'$set': fields, '$inc': {'revision': 1}}):
                return

    def remove_all(self, session: Document) -> None:
        """Remove all patches of a session with their files."""
        for file in list(File().find({'attachedToType': ATTACHED_TO, 'attachedToId': session['_id']})):
            File().remove(file)
        self.collection.delete_many({'sessionId': session['_id']})


def check_editable(session: Document) -> None:
    """Check that patches may be put and removed.

    :raises ConflictError: they may not.
    """
    if session['state'] not in EDITABLE:
        msg = f'The session is {session["state"]}; patches can be put or removed while it is open.'
        raise ConflictError(msg)


def check_fits(session: Document, new: NewPatch) -> None:
    """Check a new patch against the session.

    :raises ConflictError: the session is not editable, or dtype, bands or axes differ from what it holds.
    :raises LimitExceededError: the image would become too large.
    """
    check_editable(session)
    if session['dtype'] is not None:
        pairs = (
            ('dtype', session['dtype'], new.info.dtype),
            ('bands', session['bands'], new.info.shape[2]),
            ('axes besides x and y', session['axes'] or 'none', list(new.placement.axes) or 'none'),
        )
        for name, expected, found in pairs:
            if expected != found:
                msg = f'{name}: the patches of this session have {expected}, this one has {found}.'
                raise ConflictError(msg)
    spec = spec_of(session)
    spec.check_dtype(new.info.dtype)
    merge_extent(session, new).check(spec, new.info.shape[2])


def merge_extent(session: Document, new: NewPatch) -> Extent:
    """Return what the session will cover with a new patch."""
    extent, edges = session['extent'], _edges(new)
    merged = {
        axis: (min(low, extent.get(axis + '0', low)), max(high, extent.get(axis + '1', high)))
        for axis, (low, high) in edges.items()
    }
    frame = {axis: high for axis, (_, high) in merged.items() if axis not in {'x', 'y'}}
    return Extent(x=merged['x'], y=merged['y'], frame=frame)


def _edges(new: NewPatch) -> dict[str, tuple[int, int]]:
    return _box(new.placement.as_dict(), new.info.shape)


def _box(position: dict[str, int], shape: Any) -> dict[str, tuple[int, int]]:
    lengths = {'y': shape[0], 'x': shape[1]}
    return {axis: (start, start + lengths.get(axis, 1)) for axis, start in position.items()}


def _extent(documents: list[Document]) -> dict[str, int]:
    boxes = [_box(document['position'], document['shape']) for document in documents]
    axes = set.intersection(*(set(box) for box in boxes)) if boxes else set()
    lows = {axis + '0': min(box[axis][0] for box in boxes) for axis in axes}
    return {**lows, **{axis + '1': max(box[axis][1] for box in boxes) for axis in axes}}


def _decide(existing: Document, new: NewPatch, *, replace: bool) -> str:
    if new.same_as(existing):
        return UNCHANGED
    if not replace:
        differs = [name for name in ('digest', 'position', 'order') if existing[name] != new.fields[name]]
        msg = f'Patch {new.key} exists with another {" and ".join(differs)}; replace=true replaces it.'
        raise ConflictError(msg)
    return REPLACED


def store_file(session: Document, new: NewPatch, user: Document) -> Document:
    """Store the bytes of a patch as a Girder file attached to the session; on any error nothing remains.

    The upload is made into the folder, which is what quotas look at; `attach_upload` ties it to the session.
    """
    folder = Folder().load(session['folderId'], force=True)
    name, mime_type = f'patch.{new.info.format}', _MIME_TYPES[new.info.format]
    upload = Upload().createUpload(
        user, name, 'folder', folder, new.size, mimeType=mime_type, attachParent=True, save=False
    )
    upload['stitchSessionId'] = session['_id']
    upload = Upload().save(upload)
    try:
        return send_file(upload, new.stream)
    except BaseException:
        Upload().cancelUpload(upload)
        raise


def send_file(upload: Document, stream: IO[bytes], check: Any = None) -> Document:
    """Send a stream into an upload, from its beginning; return the Girder file.

    :param check: called before each piece; raises to stop.
    """
    stream.seek(0)
    left, result = upload['size'], upload
    while left > 0:
        if check is not None:
            check()
        length = min(UPLOAD_PIECE, left)
        result = Upload().handleChunk(result, RequestBodyStream(_Piece(stream, length), length))
        left -= length
    return result


class _Piece:
    """The next ``length`` bytes of a stream, as a stream of its own."""

    def __init__(self, stream: IO[bytes], length: int) -> None:
        self._stream, self._left = stream, length

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(self._left if size is None or size < 0 else min(size, self._left))
        self._left -= len(data)
        return data


def attach_upload(event: Any) -> None:
    """Tie an upload of :func:`store_file` to its session before the file is saved (an event handler)."""
    session_id = event.info['upload'].get('stitchSessionId')
    if session_id is not None:
        event.info['file'].update(attachedToType=list(ATTACHED_TO), attachedToId=session_id)


def _remove_file(file_id: ObjectId | None) -> None:
    file = File().load(file_id, force=True) if file_id else None
    if file is not None:
        File().remove(file)


def to_patch(document: Document) -> Patch:
    """Return what the stitching floor knows of a patch."""
    height, width, bands = document['shape']
    return Patch(
        key=document['key'],
        placement=Placement.from_dict(document['position']),
        shape=(height, width, bands),
        dtype=document['dtype'],
        order=document['order'],
        source=str(document['fileId']),
    )


def view(document: Document, status: str | None = None) -> Document:
    """Return the patch as docs/rest.md shows it."""
    shown = ('key', 'digest', 'size', 'shape', 'dtype', 'format', 'position', 'order')
    return {**{name: document[name] for name in shown}, **({'status': status} if status else {})}


def _is_stale(document: Document) -> bool:
    return _now() - document['heldAt'] > dt.timedelta(seconds=STALE_SECONDS)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
