"""One look at the sources of many items: a count, a change, or the undoing of a change.

Every change of state is one update with what is expected in its query, as with sessions. ``run`` names the
worker that is at work and holds its last sign of life; any other may take over when that has run out, and
goes on behind ``cursor``. What was found for each item stands in `SourceChange`.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from girder.constants import SortDir
from girder.models.model_base import Model

from girder_zarr.errors import ConflictError, NotFoundError
from girder_zarr.server.common.database import object_id, update_and_find
from girder_zarr.server.common.names import Document, now
from girder_zarr.server.leases import process_identity, run_lease
from girder_zarr.server.sessions.states import CANCELLED, COMPLETE, ERROR

from .source_change import SourceChange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bson import ObjectId

COUNT, CHANGE, UNDO = 'count', 'change', 'undo'
RUNNING = 'running'
#: How many are kept, with what they have recorded: after so many others a change cannot be undone any more.
MAX_KEPT = 100
MAX_ERROR = 1000
#: How often a run is begun that gets no further: more than once only after a worker died.
MAX_RUNS = 3


class SourceRun(Model):
    """All counts, changes and undoings. Only administrators see them."""

    def initialize(self) -> None:
        """Name the collection and its indexes."""
        self.name = 'source_run'
        self.ensureIndices(['state', 'run.id', 'jobId', 'created'])

    def validate(self, doc: Document) -> Document:
        """Accept the document; only we make them."""
        return doc

    def begin(
        self,
        user: Document,
        kind: str,
        scope: Document,
        sources: Sequence[str],
        of: ObjectId | None = None,
    ) -> Document:
        """Make a run that waits for a worker.

        :param scope: of `scope.scope_of`. :param sources: the tile sources that servers have.
        :param of: the run that is undone.
        :raises ConflictError: another one has not ended.
        """
        moment = now()
        made: Document = self.save(
            {
                'kind': kind,
                'scope': scope,
                'of': of,
                'sources': list(sources),
                'state': RUNNING,
                'userId': user['_id'],
                'jobId': None,
                'runs': 0,
                'run': None,
                'sent': {'at': moment, 'count': 1},
                # What is done already: the last id, and how many items that makes.
                'cursor': None,
                'examined': 0,
                'total': None,
                'counts': {},
                # The item that is being opened, and how often that was begun.
                'opening': None,
                'error': None,
                'created': moment,
                'updated': moment,
            }
        )
        # Looked at afterwards: of two that begin at once neither passes.
        others = [one for one in self.find({'state': RUNNING}) if one['_id'] != made['_id']]
        if others:
            self.remove(made)
            msg = 'Items are being looked through already; wait until that has ended, or cancel it.'
            raise ConflictError(msg)
        self._drop_old()
        return made

    def _drop_old(self) -> None:
        order = [('created', SortDir.DESCENDING)]
        for old in list(self.find({'created': {'$lte': now()}}, sort=order))[MAX_KEPT:]:
            SourceChange().remove_run(old['_id'])
            self.remove(old)

    def get(self, run_id: Any) -> Document:
        """Return a run.

        :raises NotFoundError: there is none.
        """
        found: Document | None = self.findOne({'_id': object_id(run_id, 'run')})
        if found is None:
            msg = f'There is no run {run_id}.'
            raise NotFoundError(msg)
        return found

    def newest(self, limit: int) -> list[Document]:
        """Return the newest runs, the newest first."""
        order = [('created', SortDir.DESCENDING)]
        return list(self.find({'created': {'$lte': now()}}, sort=order, limit=limit))

    def change(self, run_id: ObjectId, query: Document, fields: Document) -> Document | None:
        """Set fields if the run still matches the query; return it afterwards, or None."""
        update = {'$set': {**fields, 'updated': now()}}
        return update_and_find(self.collection, {'_id': run_id, **query}, update)

    # The lease

    def acquire(self, run_id: Any) -> Document | None:
        """Begin or go on with a run; None where it has ended, or another worker has it."""
        found: Document | None = self.findOne({'_id': object_id(run_id, 'run')})
        if found is None or found['state'] != RUNNING or is_held(found):
            return None
        fields = {
            'run': {'id': uuid.uuid4().hex, 'worker': process_identity.current(), 'beat': now()},
            'runs': found['runs'] + 1,
            'sent': {'at': now(), 'count': 0},
        }
        return self.change(found['_id'], {'state': RUNNING, **_unchanged(found)}, fields)

    def renew(self, run: Document) -> bool:
        """Record a heartbeat; return whether the run is still this worker's."""
        return self.change(run['_id'], _ours(run), {'run.beat': now()}) is not None

    def hand_over(self, run: Document) -> bool:
        """Let another worker go on at once with a run that has not ended; False where it has."""
        return self.change(run['_id'], _ours(run), {'run': None}) is not None

    def advance(self, run: Document, **fields: Any) -> bool:
        """Record how far the run is; return False where it is not this worker's any more."""
        return self.change(run['_id'], _ours(run), fields) is not None

    def claim_dispatch(self, run: Document) -> bool:
        """Return whether the message of a run is to be sent again, and by this process."""
        if is_held(run):
            return False
        sent = run['sent']
        if sent['count'] and now() - sent['at'] < run_lease.resend_pause(sent['count']):
            return False
        query = {'state': RUNNING, 'sent': sent, **_unchanged(run)}
        return self.change(run['_id'], query, {'sent': {'at': now(), 'count': sent['count'] + 1}}) is not None

    # The end

    def end(self, run: Document, state: str, error: str | None = None) -> Document | None:
        """End a run; None where it has ended, or is another worker's."""
        query = _ours(run) if run.get('run') else {'state': RUNNING}
        return self.change(run['_id'], query, {'state': state, 'error': error and error[:MAX_ERROR]})

    def complete(self, run: Document) -> Document | None:
        """End a run that has come to its end."""
        return self.end(run, COMPLETE)

    def fail(self, run: Document, sentence: str) -> Document | None:
        """End a run with an error."""
        return self.end(run, ERROR, sentence)

    def cancel(self, run: Document) -> Document | None:
        """End a run that is not wanted any more, whoever has it; None where it has ended."""
        return self.end({**run, 'run': None}, CANCELLED)

    def release(self, run: Document, counts: Document) -> None:
        """Give the lease of a run back that has ended, with its last counts."""
        query = {'_id': run['_id'], 'run.id': run['run']['id']}
        self.collection.update_one(query, {'$set': {'run': None, 'counts': counts, 'opening': None}})


def is_held(run: Document) -> bool:
    """Return whether a worker holds the lease of a run."""
    return run['run'] is not None and not run_lease.has_expired(run['run'])


def _ours(run: Document) -> Document:
    return {'state': RUNNING, 'run.id': run['run']['id']}


def _unchanged(run: Document) -> Document:
    held = run['run']
    return {'run': None} if held is None else {'run.id': held['id'], 'run.beat': held['beat']}
