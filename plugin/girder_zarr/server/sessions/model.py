"""The stitch session: its document and every change of its state.

Every change of state is one update with the expected state in its query, so that of any number of requests
and workers exactly one makes it. ``attempt`` names one run of the job: the session ignores a
worker whose attempt is not its own any more.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from girder.constants import SortDir
from girder.models.model_base import Model
from girder.utility.acl_mixin import AccessControlMixin

from girder_zarr.errors import ConflictError, InvalidInputError, NotFoundError
from girder_zarr.server.common.costly import CostlyAnswers
from girder_zarr.server.common.database import object_id, set_if, unsynced, update_and_find, updated
from girder_zarr.server.common.hidden_paths import without_paths
from girder_zarr.server.common.names import Document, now
from girder_zarr.server.settings import session_limits
from girder_zarr.stitch.extent import Extent
from girder_zarr.stitch.spec.model import StitchSpec

from . import notifications
from .access import require_folder
from .states import CANCELLED, COMPLETE, EDITABLE, ERROR, FINALIZING, OPEN, UNFINISHED

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

    from bson import ObjectId

#: How often the job of one attempt is begun before it is given up: more than once only after a worker died,
#: and a session that kills three workers would kill a fourth.
MAX_RUNS = 3
MAX_NAME = 200
MAX_ERROR = 1000

#: Behind all keys of patches, whose characters are printable ASCII.
LAST_KEY = '\x7f'

#: What is known of how many sessions there are.
counted = CostlyAnswers()

_NO_PROGRESS = {'current': 0, 'total': 0, 'message': '', 'timeLeft': None}


class StitchSession(AccessControlMixin, Model):
    """A folder's stitch sessions. Access is that of the folder."""

    def initialize(self) -> None:
        """Name the collection and its indexes: one for each query, with all fields of it."""
        self.name = 'stitch_session'
        self.resourceColl = 'folder'
        self.resourceParent = 'folderId'
        together = (
            # Lists of a folder, of a user, of everybody.
            ('folderId', 'deleting', 'updated'),
            ('creatorId', 'deleting', 'updated'),
            ('creatorId', 'deleting', 'folderId', 'updated'),
            ('deleting', 'updated'),
            # How many sessions a user has open; the reaper; what expires.
            ('creatorId', 'deleting', 'state'),
            ('state', 'deleting'),
            ('deleting', 'expires', 'updated'),
        )
        indices: list[Any] = [([(name, SortDir.ASCENDING) for name in names], {}) for names in together]
        self.ensureIndices([*indices, 'run.id', 'jobId', 'itemId', 'fileId', 'made'])

    def validate(self, doc: Document) -> Document:
        """Accept the document; everything in it was checked where it came in."""
        return doc

    def create(
        self,
        folder: Document,
        user: Document,
        name: Any,
        spec: Any,
        expires: float | dt.datetime | None = None,
    ) -> Document:
        """Create an open session.

        :param expires: hours without a change, or when.

        :raises InvalidInputError: the name or the spec is not acceptable.
        :raises TooManyError: the user has as many open sessions as one may have.
        """
        checked = StitchSpec.from_json(spec)
        checked.check_installed()
        session_limits.current().check_registration(checked)
        moment = now()
        session: Document = self.save(
            {
                'name': check_name(name),
                'folderId': folder['_id'],
                'creatorId': user['_id'],
                'state': OPEN,
                'deleting': False,
                'spec': checked.to_json(),
                'specRevision': 0,
                'expires': expires,
                'counts': {'patches': 0, 'bytes': 0},
                'extent': {},
                # Of all patches that were ever put: wider than those that are there.
                'largest': {'x': 0, 'y': 0},
                'keyRange': {'first': LAST_KEY, 'last': ''},
                'dtype': None,
                'bands': None,
                'axes': None,
                'revision': 0,
                'attempt': None,
                'runs': 0,
                'run': None,
                'sent': None,
                'finalizerId': None,
                'jobId': None,
                'itemId': None,
                'fileId': None,
                'made': [],
                'progress': dict(_NO_PROGRESS),
                'error': None,
                'created': moment,
                'updated': moment,
            }
        )
        counted.forget()
        # Counted afterwards: of two that are created at once neither passes over the limit.
        unfinished = {'creatorId': user['_id'], 'deleting': False, 'state': {'$in': UNFINISHED}}
        try:
            session_limits.current().check_open_sessions(self.collection.count_documents(unfinished))
        except BaseException:
            # A new session has no patches: only its document has to be removed.
            self.remove(session)
            raise
        return session

    def get(self, session_id: Any) -> Document:
        """Return a session, without a look at permissions.

        :raises NotFoundError: there is none.
        """
        found = self.find_there(object_id(session_id, 'session'))
        if found is None:
            msg = f'There is no stitch session {session_id}.'
            raise NotFoundError(msg)
        return found

    def find_there(self, session_id: ObjectId) -> Document | None:
        """Return a session, or None if there is none or it is being removed."""
        # By the id alone: with another field the embedded database takes several times as long.
        found: Document | None = self.findOne({'_id': session_id})
        return None if found is None or found['deleting'] else found

    def require(self, session_id: Any, user: Document | None, level: int) -> Document:
        """Return a session if the user has that access to its folder.

        :raises NotFoundError: there is none, or its folder is gone. :raises AccessException: no access.
        """
        return self.require_both(session_id, user, level)[0]

    def require_both(self, session_id: Any, user: Document | None, level: int) -> tuple[Document, Document]:
        """Return a session and its folder if the user has that access; raises as :meth:`require`."""
        session = self.get(session_id)
        return session, require_folder(session['folderId'], user, level)

    def change(self, session_id: ObjectId, query: Document, update: Document) -> Document | None:
        """Update the session if it still matches the query; return it afterwards, or None if it did not."""
        update = {**update, '$set': {**update.get('$set', {}), 'updated': now()}}
        demanded = {'_id': session_id, 'deleting': False, **query}
        found = update_and_find(self.collection, demanded, update)
        if found is not None:
            if found['deleting']:
                counted.forget()
            notifications.announce(found)
        return found

    def change_as_read(self, session: Document, update: Document) -> Document | None:
        """Update a session that is still in the state and revision that it was read in, with one command.

        Whatever else of it is demanded is looked for in what was read: all that depends on patches or spec
        has another revision after a change, and so has a session that is being removed. What the update makes
        of the fields that it names is worked out here, for the same reason.

        The change is on the disk after a later write of the request, see `database.unsynced`.

        :param session: as it was read; what no revision counts, such as its name, may be out of date in what
            is returned as well.
        :param update: raises the revision; without ``$unset``.
        """
        found = updated(session, {**update, '$set': {**update.get('$set', {}), 'updated': now()}})
        named = {path.partition('.')[0] for fields in update.values() for path in fields} | {'updated'}
        demanded = {name: session[name] for name in ('revision', 'state')}
        # Whoever has changed the session asks for a write that waits for the disk afterwards.
        collection = unsynced(self.collection)
        if not set_if(collection, session['_id'], demanded, {name: found[name] for name in named}):
            return None
        notifications.announce(found)
        return found

    def mark_removed(self, session_id: ObjectId, query: Document) -> Document | None:
        """Let no request find a session that matches the query any more; return it, or None."""
        return self.change(session_id, query, {'$set': {'deleting': True}, '$inc': {'revision': 1}})

    # States

    def begin_finalizing(self, session: Document, user: Document) -> Document | None:
        """Move an editable session to finalizing with a new attempt; None if another request was faster.

        :param session: as it was read; an attempt that has begun since was faster even if it has ended.
        """
        fields = {
            'state': FINALIZING,
            'attempt': uuid.uuid4().hex,
            'runs': 0,
            'run': None,
            'sent': {'at': now(), 'count': 1},
            'finalizerId': user['_id'],
            'jobId': None,
            'itemId': None,
            'fileId': None,
            'error': None,
            'progress': {**_NO_PROGRESS, 'message': 'Waiting for a worker'},
        }
        demanded = {'state': {'$in': EDITABLE}, 'attempt': session.get('attempt')}
        return self.change(session['_id'], demanded, {'$set': fields})

    def end_finalizing(
        self, session: Document, state: str, *, item_id: ObjectId | None = None, **fields: Any
    ) -> Document | None:
        """Move the session from finalizing to a state; return it, or None if its attempt has ended already.

        :param session: if it has a ``run``, None is returned also if another run has taken over.
        :param item_id: the published item; recorded in ``made``, the items of all its images, which no
            cleanup removes.
        """
        query = {'state': FINALIZING, 'attempt': session['attempt']}
        if session.get('run'):
            query['run.id'] = session['run']['id']
        update: Document = {'$set': {'state': state, **fields}}
        if item_id is not None:
            update['$push'] = {'made': item_id}
        return self.change(session['_id'], query, update)

    def complete(self, session: Document, item: Document, file: Document) -> Document | None:
        """End the attempt with a published item."""
        fields = {'itemId': item['_id'], 'fileId': file['_id'], 'progress.message': 'Complete'}
        return self.end_finalizing(session, COMPLETE, item_id=item['_id'], **fields)

    def fail(self, session: Document, sentence: str) -> Document | None:
        """End the attempt with an error. Users read the sentence, so paths of the server are taken out."""
        return self.end_finalizing(session, ERROR, error=without_paths(sentence)[:MAX_ERROR])

    def cancel(self, session: Document) -> Document:
        """Cancel an open or finalizing session.

        :raises ConflictError: the session is complete or in error.
        """
        if session['state'] == CANCELLED:
            return session
        changed = self.change(
            session['_id'], {'state': {'$in': [OPEN, FINALIZING]}}, {'$set': {'state': CANCELLED}}
        )
        if changed is None:
            session = self.get(session['_id'])
            if session['state'] != CANCELLED:
                msg = f'A session that is {session["state"]} cannot be cancelled.'
                raise ConflictError(msg)
        return changed or session

    def report(
        self, session: Document, current: int, total: int, message: str, time_left: int | None = None
    ) -> None:
        """Show how far the attempt is.

        :param time_left: seconds, where it is known.
        """
        progress = {'current': current, 'total': total, 'message': message, 'timeLeft': time_left}
        query = {'_id': session['_id'], 'deleting': False, 'state': FINALIZING, 'attempt': session['attempt']}
        update = {'$set': {'progress': progress, 'updated': now()}}
        # What else an event shows does not change while the session is finalizing.
        if self.collection.update_one(query, update).matched_count:
            notifications.announce({**session, 'progress': progress})


def check_name(name: Any) -> str:
    """Return the name of a session.

    :raises InvalidInputError: it is none.
    """
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        msg = f'name: expected 1 to {MAX_NAME} printable characters, found {str(name)[:80]!r}.'
        raise InvalidInputError(msg)
    return name.strip()


def spec_of(session: Document) -> StitchSpec:
    """Return the session's spec."""
    return StitchSpec.from_json(session['spec'])


def bounds_of(session: Document) -> dict[str, list[int]] | None:
    """Return what the session's patches cover, ``{axis: [first, end)}``, or None without patches."""
    extent = session['extent']
    if not session['counts']['patches'] or not extent:
        return None
    axes = ('x', 'y', *(session['axes'] or ()))
    return {axis: [extent[axis + '0'], extent[axis + '1']] for axis in axes if axis + '0' in extent}


def to_extent(extent: Mapping[str, int], axes: Iterable[str]) -> Extent:
    """Return the extent of a session as the stitching floor takes it.

    :param axes: those besides x and y.
    """
    names = tuple(axes)
    return Extent(
        x=(extent['x0'], extent['x1']),
        y=(extent['y0'], extent['y1']),
        frame={axis: extent[axis + '1'] for axis in names},
        first={axis: extent[axis + '0'] for axis in names},
    )
