"""The parts of images that are being made: the leases of the workers on them, and their files.

A part is claimed by one update, held by a lease that its worker renews, and done when its file is stored.
A lease that has run out, because its worker was killed or is cut off, may be claimed by anyone. What belongs
to an attempt that is over is removed by its workers, by the next attempt or by the reaper.
"""

from __future__ import annotations

import datetime as dt
import io
import uuid
from typing import TYPE_CHECKING, Any

from girder import events
from girder.constants import SortDir
from girder.models.file import File
from girder.models.folder import Folder
from girder.models.model_base import Model
from girder.models.upload import Upload

from girder_zarr.common.cache import LRU
from girder_zarr.server.common.costly import CostlyAnswers
from girder_zarr.server.common.database import updated
from girder_zarr.server.common.names import ATTACHED_TO, HANDLER, Document, now
from girder_zarr.server.sessions import quota
from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.server.sessions.states import FINALIZING
from girder_zarr.server.storage import disk_space, durable_files, target
from girder_zarr.server.storage.transfer import send_file, send_path
from girder_zarr.stitch.output.image_parts import ImagePart

from . import heartbeat, process_identity
from .part_front import PartFront

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bson import ObjectId

    from girder_zarr.image.write.file_digest import FileDigest

#: What the file of a part is called.
_NAME = 'stitch-part.zip'
WAITING, DONE, DROPPED = 'waiting', 'done', 'dropped'
#: The document that stands for all parts of an attempt has this index. While it is there, so are they.
_PLAN = -1
_LONG_AGO = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
#: What files are looked for by: their session, their part, what was stored lately; and, by Girder when one is
#: removed, others of the same contents.
_FILE_INDEXES: tuple[tuple[tuple[str, ...], dict[str, bool]], ...] = (
    (('attachedToId',), {'sparse': True}),
    (('stitchPartOf.sessionId',), {'sparse': True}),
    (('created',), {}),
    (('sha512', 'assetstoreId'), {'sparse': True}),
)
#: The attempts whose parts this process has read; one that is forgotten costs a reading of all of its parts.
_fronts: LRU[tuple[ObjectId, str], PartFront] = LRU(max_items=64)
#: The attempts that have parts, of which one document each is read.
_attempts = CostlyAnswers()


class StitchPart(Model):
    """The parts of all attempts that are under way."""

    def initialize(self) -> None:
        """Name the collection and its indexes; files are found by the session that they are attached to."""
        self.name = 'stitch_part'
        keys = [(name, SortDir.ASCENDING) for name in ('sessionId', 'attempt', 'index')]
        leased = [*keys[:2], *((name, SortDir.ASCENDING) for name in ('state', 'leaseUntil'))]
        self.ensureIndices([(keys, {'unique': True}), (leased, {})])
        for names, options in _FILE_INDEXES:
            File().ensureIndex(([(name, SortDir.ASCENDING) for name in names], options))

    def validate(self, doc: Document) -> Document:
        """Accept the document; only we make them."""
        return doc

    # The plan

    def plan(self, session: Document) -> Document | None:
        """Return the plan document (``values`` of a part, ``fileId`` of the registration), or None."""
        found: Document | None = self.findOne({**_of(session), 'index': _PLAN})
        return found

    def set_plan(self, session: Document, parts: Sequence[ImagePart], values: int, file_id: Any) -> None:
        """Store the plan of an attempt with all of its parts."""
        self.collection.delete_many({**_of(session), 'index': {'$gt': _PLAN}})
        _fronts.pop((session['_id'], session['attempt']))
        _attempts.forget()
        new = {**_of(session), 'state': WAITING, 'lease': None, 'leaseUntil': _LONG_AGO, 'worker': None}
        documents = [
            {**new, 'index': at, 'region': [part.first, part.end], 'values': part.values}
            | {'made': 0, 'tries': 0, 'fileId': None}
            for at, part in enumerate(parts)
        ]
        if documents:
            self.collection.insert_many(documents)
        plan = {**_of(session), 'index': _PLAN, 'state': 'plan', 'values': values, 'fileId': file_id}
        self.collection.insert_one(plan)

    # Leases

    def claim(self, session: Document) -> Document | None:
        """Lease a part that no worker makes to the caller and return it, or None if there is none."""
        front = self._front(session)
        while candidates := [part for part in front.read()[1] if _is_free(part)]:
            for part in candidates:
                if (claimed := self._claim(part)) is not None:
                    return claimed
        return None

    def _front(self, session: Document) -> PartFront:
        own = _of(session)

        def read(first: int, end: int) -> list[Document]:
            between = {**own, 'index': {'$gte': first, '$lt': end}}
            return list(self.find(between, sort=[('index', SortDir.ASCENDING)]))

        key = (session['_id'], session['attempt'])
        return _fronts.fetch(key, lambda: PartFront(read, lambda part: part['state'] == DONE))

    def _claim(self, part: Document) -> Document | None:
        """Lease a part as it was found; None if another worker was faster."""
        fields = {
            'lease': uuid.uuid4().hex,
            'worker': process_identity.current(),
            'leaseUntil': _expiry(),
            'made': 0,
        }
        update = {'$set': fields, '$inc': {'tries': 1}}
        # Each claim counts a try, and what it does not change is changed by nobody else.
        query = {**_leased(part), 'leaseUntil': part['leaseUntil'], 'tries': part['tries']}
        return updated(part, update) if self.collection.update_one(query, update).matched_count else None

    def renew(self, part: Document) -> bool:
        """Renew the lease on a part; return whether the caller still holds it."""
        return self._change(part, {'leaseUntil': _expiry()})

    def add_made(self, part: Document, values: int) -> None:
        """Add to the values that are made of a part."""
        self.collection.update_one(_leased(part), {'$inc': {'made': values}})

    def finish(self, part: Document, file: Document) -> bool:
        """Mark a part done. Returns False (and removes the file) if the lease was taken over meanwhile."""
        fields = {'state': DONE, 'fileId': file['_id'], 'lease': None, 'made': part['values']}
        if self._change(part, fields):
            return True
        # By its document: whoever has removed that may not have found the contents in their place yet.
        durable_files.remove_file(file)
        self._remove_dropped(part)
        return False

    def release(self, part: Document) -> None:
        """Give up the lease on a part that was not made."""
        if not self._change(part, {'lease': None, 'leaseUntil': _LONG_AGO, 'made': 0}):
            self._remove_dropped(part)

    def release_exited(self, session: Document) -> None:
        """End the leases of workers of this machine that have exited, without waiting for their expiry."""
        query = {**_of(session), 'state': WAITING, 'leaseUntil': {'$gt': _LONG_AGO}}
        for part in list(self.find(query)):
            if part['lease'] is not None and process_identity.has_exited(part['worker']):
                self.release(part)

    def _change(self, part: Document, fields: Document) -> bool:
        return bool(self.collection.update_one(_leased(part), {'$set': fields}).matched_count)

    def _remove_dropped(self, part: Document) -> None:
        self.collection.delete_one({'_id': part['_id'], 'lease': part['lease'], 'state': DROPPED})

    # Progress

    def made(self, session: Document) -> int:
        """Return how many values all workers together have made."""
        made, others = self._front(session).read()
        return int(made + sum(part['made'] for part in others))

    def left(self, session: Document) -> int:
        """Return how many parts are not done."""
        return int(self.collection.count_documents({**_of(session), 'state': WAITING}))

    def count_parts(self, session: Document) -> int:
        """Return how many parts there are."""
        return int(self.collection.count_documents({**_of(session), 'index': {'$gt': _PLAN}}))

    def find_done(self, session: Document, index: int) -> Document | None:
        """Return a part if it is stored."""
        found: Document | None = self.findOne({**_of(session), 'index': index})
        return found if found is not None and found['state'] == DONE else None

    # Files and removal

    def store(
        self,
        session: Document,
        content: bytes | Path,
        user: Document,
        check: Callable[[], None] | None = None,
        digest: FileDigest | None = None,
    ) -> Document:
        """Store a file that belongs to an attempt and to no item.

        :param content: the bytes, or a file, which may be moved away.
        :param check: called now and then; raises to stop.
        :param digest: sha512, made while the file was written.
        :raises NoSpaceError: the assetstore has no space for it.
        """
        folder = Folder().load(session['folderId'], force=True)
        of = {'sessionId': session['_id'], 'attempt': session['attempt']}
        if isinstance(content, bytes):
            upload = self._upload(user, folder, len(content), of)
            return _sent(upload, lambda: send_file(upload, io.BytesIO(content), check))
        disk_space.check_taken(folder, content)
        size, assetstore = content.stat().st_size, target.assetstore_of(folder)
        adapter = durable_files.adapter_of(assetstore)
        if adapter is None:
            upload = self._upload(user, folder, size, of)
            return _sent(upload, lambda: send_path(upload, content, check, digest))
        quota.check_size(folder, user, size)
        file = File().createFile(user, None, _NAME, size, assetstore, saveFile=False)
        return durable_files.store_path(adapter, {**file, **_attached(of)}, content, check, digest)

    def _upload(self, user: Document, folder: Document, size: int, of: Document) -> Document:
        upload = Upload().createUpload(user, _NAME, 'folder', folder, size, attachParent=True, save=False)
        upload['stitchPartOf'] = of
        return Upload().save(upload)  # type: ignore[no-any-return]

    def discard(self, session_id: ObjectId, *, keep: str | None = None) -> None:
        """Remove what attempts of a session have stored.

        A part that is leased is marked, so that its worker or the reaper removes what comes late.

        :param keep: an attempt whose parts stay.
        """
        attempts = [
            one for one in self.collection.distinct('attempt', {'sessionId': session_id}) if one != keep
        ]
        over = [{'sessionId': session_id, 'attempt': attempt} for attempt in attempts]
        # From here on no part can be claimed or be done, so that no file of one comes after they are listed.
        for of in over:
            self.collection.update_many({**of, 'state': WAITING}, {'$set': {'state': DROPPED}})
        for upload in list(Upload().find({'stitchPartOf.sessionId': session_id})):
            if upload['stitchPartOf']['attempt'] != keep:
                Upload().cancelUpload(upload)
        for file in list(File().find({'stitchPartOf.sessionId': session_id})):
            if file['stitchPartOf']['attempt'] != keep:
                durable_files.remove_file(file)
        for of in over:
            self._delete_unleased(of)
        _attempts.forget()

    def _delete_unleased(self, of: Document) -> None:
        """Delete the parts of an attempt that is over, but for those that a worker has leased."""
        leased = {**of, 'state': DROPPED, 'leaseUntil': {'$gt': now()}}
        still = [part['_id'] for part in self.find(leased) if not process_identity.has_exited(part['worker'])]
        if not still:
            self.collection.delete_many(of)
            return
        for part in list(self.find(of, fields=['_id'])):
            if part['_id'] not in still:
                self.collection.delete_one({'_id': part['_id']})

    def list_ended(self) -> list[ObjectId]:
        """Return the sessions that have parts of an attempt that is over.

        What other processes have stored or removed shows later, where there are many parts.
        """
        found = []
        for session_id, attempts in _attempts.fetch('all', self._list_attempts).items():
            session = StitchSession().find_there(session_id)
            is_running = session is not None and session['state'] == FINALIZING
            current = session['attempt'] if session is not None and is_running else None
            if any(attempt != current for attempt in attempts):
                found.append(session_id)
        return found

    def _list_attempts(self) -> dict[ObjectId, set[str]]:
        """Return the attempts that have parts by their sessions."""
        found: dict[ObjectId, set[str]] = {}
        groups = {'$group': {'_id': {'sessionId': '$sessionId', 'attempt': '$attempt'}}}
        for group in self.collection.aggregate([groups]):
            found.setdefault(group['_id']['sessionId'], set()).add(group['_id']['attempt'])
        return found


def to_part(document: Document) -> ImagePart:
    """Return a part as `girder_zarr.stitch` takes it."""
    first, end = document['region']
    return ImagePart(first, end, document['values'])


def bind() -> None:
    """Attach the files of parts to their sessions, in servers and in workers."""
    events.bind('model.file.finalizeUpload.before', f'{HANDLER}.parts', _attach_file)


def _attach_file(event: Any) -> None:
    of = event.info['upload'].get('stitchPartOf')
    if of is not None:
        event.info['file'].update(_attached(of))


def _attached(of: Document) -> Document:
    """Return the fields of a file that belongs to an attempt."""
    return {'attachedToType': list(ATTACHED_TO), 'attachedToId': of['sessionId'], 'stitchPartOf': of}


def _sent(upload: Document, send: Callable[[], Document]) -> Document:
    """Return the file of an upload; one that fails is cancelled."""
    try:
        return send()
    except BaseException:
        Upload().cancelUpload(upload)
        raise


def _of(session: Document) -> Document:
    return {'sessionId': session['_id'], 'attempt': session['attempt']}


def _is_free(part: Document) -> bool:
    """Return whether a worker may lease a part now."""
    return bool(part['state'] == WAITING and part['leaseUntil'] < now())


def _leased(part: Document) -> Document:
    return {'_id': part['_id'], 'lease': part['lease'], 'state': WAITING}


def _expiry() -> dt.datetime:
    return now() + dt.timedelta(seconds=heartbeat.STALE_SECONDS)
