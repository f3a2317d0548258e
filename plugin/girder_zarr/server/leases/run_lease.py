"""The lease on a run: which worker makes the image of an attempt now, and when another may take over.

``session['run']`` names the run, its worker and its last heartbeat. Any number of messages may ask workers to
run an attempt; the one update of :func:`acquire` lets one of them, and the next only when that one has exited
or its last heartbeat is older than `heartbeat.STALE_SECONDS`. The clocks of the machines have to agree within
a few seconds. The fields of the document keep the names that workers of earlier versions read and write.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from girder_zarr.server.common.database import object_id
from girder_zarr.server.common.names import Document, now
from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.server.sessions.states import FINALIZING

from . import heartbeat, process_identity

#: A message is sent again if no run has begun after so long, since a broker may lose messages; then after
#: twice as long each time, so that a queue behind which it only waits is not filled with copies of it.
RESEND_SECONDS = 30.0
MAX_RESEND_SECONDS = 600.0
#: 2 ** 20 pauses are far beyond the maximum; larger powers would only cost time.
_MAX_DOUBLINGS = 20


def acquire(session_id: Any, attempt: str) -> Document | None:
    """Begin a run of an attempt.

    :returns: the session with the new run, or None where the attempt is over or another worker runs it.
    """
    oid = object_id(session_id, 'session')
    waiting = {'state': FINALIZING, 'attempt': attempt}
    session = StitchSession().findOne({'_id': oid, 'deleting': False, **waiting})
    if session is None:
        return None
    run, moment = session.get('run'), now()
    if run is not None and not has_expired(run):
        return None
    fields = {
        'run': {'id': uuid.uuid4().hex, 'worker': process_identity.current(), 'beat': moment},
        'sent': {'at': moment, 'count': 0},
    }
    return StitchSession().change(oid, {**waiting, **_unchanged(run)}, {'$set': fields, '$inc': {'runs': 1}})


def _unchanged(run: Document | None) -> Document:
    """Return the query for a run that has had no heartbeat since it was read."""
    return {'run': None} if run is None else {'run.id': run['id'], 'run.beat': run['beat']}


def renew(session: Document) -> bool:
    """Record a heartbeat; return whether the session still waits for this run."""
    query = {'_id': session['_id'], **running(session)}
    update = {'$set': {'run.beat': now()}}
    return bool(StitchSession().collection.update_one(query, update).matched_count)


def running(session: Document) -> Document:
    """Return the query for a session that still waits for this run of its attempt."""
    query = {'state': FINALIZING, 'attempt': session['attempt'], 'deleting': False}
    return {**query, 'run.id': session['run']['id']} if session.get('run') else query


def is_running(session: Document) -> bool:
    """Return whether the session still waits for this run of its attempt."""
    query = {'_id': session['_id'], **running(session)}
    return StitchSession().findOne(query, fields=['_id']) is not None


def has_expired(run: Document) -> bool:
    """Return whether a run may be taken over: its worker has exited, or its last heartbeat is too old."""
    silent = now() - run['beat']
    if silent > dt.timedelta(seconds=heartbeat.STALE_SECONDS):
        return True
    return process_identity.has_exited(run['worker'])


def is_held(session: Document) -> bool:
    """Return whether a worker holds the lease of a session."""
    return session.get('run') is not None and not has_expired(session['run'])


def end(session: Document) -> None:
    """Remove a run that has cleaned up, whatever the state of its session."""
    query = {'_id': session['_id'], 'run.id': session['run']['id']}
    StitchSession().collection.update_one(query, {'$set': {'run': None}})


def release(session: Document) -> None:
    """Let any worker take over at once: this one has to stop before the run is complete."""
    query = {'_id': session['_id'], **running(session)}
    StitchSession().collection.update_one(query, {'$set': {'run': None}})


def record_progress(session: Document) -> None:
    """Begin to count the runs of an attempt anew, since it makes progress in spite of lost workers."""
    query = {'_id': session['_id'], 'state': FINALIZING, 'attempt': session['attempt']}
    StitchSession().collection.update_one(query, {'$set': {'runs': 1}})


def resend_pause(count: int) -> dt.timedelta:
    """Return how long to wait before a message that was sent so often is sent again."""
    pause = min(RESEND_SECONDS * 2 ** min(count - 1, _MAX_DOUBLINGS), MAX_RESEND_SECONDS)
    return dt.timedelta(seconds=pause)


def claim_dispatch(session: Document) -> bool:
    """Return whether the message of a finalizing session is to be sent again, and by this process."""
    if is_held(session):
        return False
    sent = session.get('sent') or {'at': session['updated'], 'count': 1}
    if sent['count'] and now() - sent['at'] < resend_pause(sent['count']):
        return False
    query = {
        '_id': session['_id'],
        'state': FINALIZING,
        'attempt': session['attempt'],
        'sent': session.get('sent'),
        **_unchanged(session.get('run')),
    }
    update = {'$set': {'sent': {'at': now(), 'count': sent['count'] + 1}}}
    return bool(StitchSession().collection.update_one(query, update).matched_count)
