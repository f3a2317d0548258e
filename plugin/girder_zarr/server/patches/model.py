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
import logging
from typing import TYPE_CHECKING, Any

from girder.constants import SortDir
from girder.models.file import File
from girder.utility.model_importer import ModelImporter

from girder_zarr.errors import ConflictError
from girder_zarr.server.common.names import ATTACHED_TO, Document, now
from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.server.sessions.states import EDITABLE, FINALIZING, OPEN, check_editable
from girder_zarr.server.settings.session_limits import current as limits_now
from girder_zarr.server.storage import durable_files
from girder_zarr.server.storage.transfer import remove_file

from . import hooks
from .document import source_of
from .files import remove_uploads, store_file
from .incoming import (
    CREATED,
    REPLACED,
    UNCHANGED,
    NewPatch,
    check_fits,
    decide,
    edges_together,
    extent_of,
    reaches_edge,
)
from .locking import HeldModel
from .references import StitchReference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from girder_zarr.server.settings.session_limits import StitchLimits

logger = logging.getLogger(__name__)

_ASKED_AT_ONCE = 5000
#: How often a change of the session is tried while others change it.
_TRIES = 20
#: A file of a session that no patch names belongs to a request that is under way, or after so long to nobody.
ORPHAN_SECONDS = 600


class StitchPatch(HeldModel):
    """The patches of all sessions, at most one for each key of a session."""

    noun = 'patch'

    def initialize(self) -> None:
        """Name the collection and its unique index."""
        self.name = 'stitch_patch'
        keys = [('sessionId', SortDir.ASCENDING), ('key', SortDir.ASCENDING)]
        # Previews ask for what is changing and what has changed.
        followed = [([keys[0], (name, SortDir.ASCENDING)], {}) for name in ('held', 'arrival')]
        self.ensureIndices([(keys, {'unique': True}), 'fileId', *followed])

    # Reading

    def list_session(
        self, session: Document, limit: int = 0, offset: int = 0, fields: Sequence[str] | None = None
    ) -> Any:
        """Return a cursor over the stored patches of a session, ordered by key.

        :param fields: what is wanted of each; None: everything.
        """
        query = {'sessionId': session['_id'], 'stored': True}
        sort = [('key', SortDir.ASCENDING)]
        return self.find(query, limit=limit, offset=offset, sort=sort, fields=fields)

    def compare(self, session: Document, asked: Mapping[str, str | None]) -> Document:
        """Return which of the asked keys are missing, and which have another digest than the one given."""
        keys, missing, different = list(asked), [], []
        for at in range(0, len(keys), _ASKED_AT_ONCE):
            some = keys[at : at + _ASKED_AT_ONCE]
            query = {'sessionId': session['_id'], 'key': {'$in': some}, 'stored': True}
            found = self.collection.find(query, {'_id': 0, 'key': 1, 'digest': 1})
            there = {document['key']: document['digest'] for document in found}
            missing += [key for key in some if key not in there]
            different += [key for key in some if key in there and asked[key] not in {None, there[key]}]
        present = len(keys) - len(missing) - len(different)
        return {'missing': missing, 'different': different, 'present': present}

    def mask_keys(self, session: Document) -> list[str]:
        """Return the keys of the reference images that patches name as their masks."""
        query = {'sessionId': session['_id'], 'stored': True, 'options.maskKey': {'$exists': True}}
        return list(self.collection.distinct('options.maskKey', query))

    def count(self, session: Document) -> int:
        """Return how many patches are stored."""
        return int(self.collection.count_documents({'sessionId': session['_id'], 'stored': True}))

    def settled(self, session: Document) -> Iterator[Document]:
        """Wait until no request holds a patch of a finalizing session, then yield all of its patches."""
        self.await_settled(session)
        yield from self.list_session(session)

    # Putting

    def put(
        self,
        session: Document,
        new: NewPatch,
        user: Document,
        *,
        replace: bool,
        limits: StitchLimits | None = None,
    ) -> tuple[Document, str]:
        """Store a patch; return its document and what became of it.

        :param limits: those that hold now, where the caller has them.
        :raises ConflictError: the session is not editable, the key holds something else, or dtype, bands or
            axes differ.
        :raises LimitExceededError: the image would become too large. After any error nothing is stored.
        """
        limits = limits or limits_now()
        check_fits(session, new, limits)
        existing = self._await_free(session, new.key)
        if existing is not None and decide(existing, new, replace=replace) == UNCHANGED:
            return existing, UNCHANGED
        file = store_file(session, new, user)
        try:
            return self._put_file(session, new, file, existing, replace=replace, limits=limits)
        except BaseException:
            self.drop_unnamed(file)
            raise

    def put_file(
        self, session: Document, new: NewPatch, file: Document, *, replace: bool, shared: bool = False
    ) -> tuple[Document, str]:
        """Store a patch whose bytes are a Girder file already; errors are those of :meth:`put`.

        :param shared: the file is not the session's own and is never removed.
        """
        check_fits(session, new)
        durable_files.make_durable(file)
        existing = self._await_free(session, new.key)
        return self._put_file(session, new, file, existing, replace=replace, shared=shared)

    def _put_file(
        self,
        session: Document,
        new: NewPatch,
        file: Document,
        existing: Document | None,
        *,
        replace: bool,
        shared: bool = False,
        limits: StitchLimits | None = None,
    ) -> tuple[Document, str]:
        while True:
            outcome = CREATED if existing is None else decide(existing, new, replace=replace)
            if outcome == UNCHANGED:
                # The same patch came in twice at the same time.
                if not shared:
                    File().remove(file)
                return existing or {}, UNCHANGED
            held = self._insert(session, new) if existing is None else self._hold(existing)
            if held is not None:
                break
            existing = self._await_free(session, new.key)
        try:
            check_young(file, shared=shared)
            change = new.size - (held['size'] if outcome == REPLACED else 0)
            changed = self.commit(session, [new], int(outcome == CREATED), change, limits)
        except BaseException:
            self._let_go(held)
            if not held['stored']:
                self.measure(session)
            raise
        fields = {**new.fields, 'fileId': file['_id'], 'stored': True, 'held': None, 'updated': now()}
        update: Document = {'$set': {**fields, 'arrival': changed['revision']}, '$unset': {'offset': ''}}
        update['$set' if shared else '$unset']['shared'] = True
        document = self._update(held, update)
        if outcome == REPLACED:
            self._clear_up(changed, held)
        hooks.notify(hooks.stored, session['_id'], document)
        return document, outcome

    def _clear_up(self, session: Document, replaced: Document) -> None:
        """Remove what a patch held before it was replaced; the answer does not depend on it."""
        try:
            self._remove_bytes(replaced)
            if reaches_edge(session, replaced):
                self.measure(session)
        except Exception:
            logger.warning('The bytes of a replaced patch are left to the sweep', exc_info=True)

    def drop_unnamed(self, file: Document) -> None:
        """Remove a file after an error, unless a patch has become of it and only the answer failed."""
        if self.findOne({'fileId': file['_id'], 'stored': True}, fields=['_id']) is None:
            File().remove(file)

    def commit(
        self,
        session: Document,
        news: Sequence[NewPatch],
        patches: int,
        nbytes: int,
        limits: StitchLimits | None = None,
    ) -> Document:
        """Let the session know of patches that agree in kind, if it still takes them.

        :param patches: how many more it will have.
        :param nbytes: how many more bytes it will have.
        :returns: the session; its revision is the arrival of the last of them.
        :raises ConflictError: it does not take them. :raises LimitExceededError: it has no room for them.
        """
        limits = limits or limits_now()
        kind = news[0].kind
        lows, highs = edges_together(news)
        update = {
            '$set': {**kind, 'state': OPEN, 'error': None},
            '$inc': {'counts.patches': patches, 'counts.bytes': nbytes, 'revision': len(news)},
            '$min': {f'extent.{axis}0': low for axis, low in lows.items()},
            '$max': {f'extent.{axis}1': high for axis, high in highs.items()},
        }
        for _ in range(_TRIES):
            query = {
                'state': {'$in': EDITABLE},
                'specRevision': session.get('specRevision'),
                '$or': [{'dtype': None}, kind],
                **limits.room_for(patches, nbytes),
            }
            changed = StitchSession().change(session['_id'], query, update)
            if changed is not None:
                return changed
            session = StitchSession().get(session['_id'])
            for new in news:
                check_fits(session, new, limits)
            limits.check_session(session['counts'], patches, nbytes)
        msg = 'The session goes on changing while patches are stored; try again.'
        raise ConflictError(msg)

    # Removing

    def discard(self, session: Document, key: str) -> None:
        """Remove a patch and its file.

        :raises NotFoundError: there is none under this key.
        :raises ConflictError: the session is not editable.
        """
        check_editable(session)
        held = self._hold_stored(session, key)
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
        self._remove_bytes(held)
        if reaches_edge(changed, held):
            self.measure(session)

    def _remove_bytes(self, document: Document) -> None:
        """Remove the bytes of a patch that is not stored any more, unless they are not its own.

        A file that several patches share goes with the last of them.
        """
        hooks.notify(hooks.removed, source_of(document))
        if document.get('shared') or not document['fileId']:
            return
        others = {'sessionId': document['sessionId'], 'fileId': document['fileId']}
        if document.get('offset') is None or self.findOne(others) is None:
            remove_file(document['fileId'])

    def measure(self, session: Document) -> None:
        """Set the session's extent from its patches, and forget dtype, bands and axes when none is left."""
        while True:
            current = StitchSession().findOne({'_id': session['_id'], 'deleting': False})
            if current is None:
                return
            boxes = list(self.find({'sessionId': session['_id']}, fields=['position', 'shape']))
            fields: Document = {'extent': extent_of(boxes)}
            if not boxes:
                fields.update(dtype=None, bands=None, axes=None)
            query = {'revision': current['revision']}
            if StitchSession().change(session['_id'], query, {'$set': fields, '$inc': {'revision': 1}}):
                return

    def recount(self, session: Document) -> None:
        """Set a finalizing session's counts and extent, which a dead server may have left wrong."""
        references = StitchReference().list_session(session)
        counts = {'patches': 0, 'bytes': sum(document['size'] for document in references)}

        def counted() -> Iterator[Document]:
            for document in self.list_session(session, fields=['size', 'position', 'shape']):
                counts['patches'] += 1
                counts['bytes'] += document['size']
                yield document

        extent = extent_of(counted())
        query = {'state': FINALIZING, 'attempt': session['attempt']}
        StitchSession().change(session['_id'], query, {'$set': {'counts': counts, 'extent': extent}})

    def remove_all(self, session: Document) -> None:
        """Remove all patches and reference images of a session, with their files and what is on its way."""
        remove_uploads(session)
        for file in list(File().find({'attachedToType': ATTACHED_TO, 'attachedToId': session['_id']})):
            File().remove(file)
        self.collection.delete_many({'sessionId': session['_id']})
        StitchReference().remove_session(session)
        hooks.notify(hooks.emptied, session)
        durable_files.remove_temporary(session['_id'])


def check_young(file: Document, *, shared: bool = False) -> None:
    """Check that a file was stored so recently that nobody takes it for left behind.

    :raises ConflictError: it was not, because the server stood still.
    """
    if not shared and now() - file['created'] > dt.timedelta(seconds=ORPHAN_SECONDS / 2):
        msg = 'The server stood still while the patch was stored; try again.'
        raise ConflictError(msg)


def register_models() -> None:
    """Let Girder find the models by name, in servers and in workers: files name what they are attached to."""
    ModelImporter.registerModel('stitch_session', StitchSession, plugin=ATTACHED_TO[1])
    ModelImporter.registerModel('stitch_patch', StitchPatch, plugin=ATTACHED_TO[1])
