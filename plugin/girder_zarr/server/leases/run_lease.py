"""Runs of an attempt: which worker makes the image now, and who may take over from it.

``session['run']`` names the run and holds its last sign of life. Any number of messages may ask workers to
run an attempt; the one update of :func:`begin` lets one of them, and the next only when that one is gone or
has given no sign for `heart.STALE_SECONDS`. The clocks of the machines have to agree within a few seconds.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from girder_zarr.server.sessions.model import FINALIZING, Document, StitchSession, object_id

from . import heartbeat, process_identity

#: A message is sent again when nobody has begun: after so long, then twice as long, up to the most.
RESEND_SECONDS = 30.0
RESEND_MOST_SECONDS = 600.0


def begin(session_id: Any, attempt: str) -> Document | None:
    """Begin to run an attempt; return the session, or None where it is over or another worker runs it."""
    oid = object_id(session_id, 'session')
    waiting = {'state': FINALIZING, 'attempt': attempt}
    session = StitchSession().findOne({'_id': oid, 'deleting': False, **waiting})
    if session is None:
        return None
    run, moment = session.get('run'), now()
    if run is not None and not is_over(run):
        return None
    fields = {
        'run': {'id': uuid.uuid4().hex, 'worker': process_identity.identity(), 'beat': moment},
        'sent': {'at': moment, 'count': 0},
    }
    return StitchSession().change(oid, {**waiting, **_as_found(run)}, {'$set': fields, '$inc': {'runs': 1}})


def _as_found(run: Document | None) -> Document:
    """Return the query for a run that has given no sign since it was looked at."""
    return {'run': None} if run is None else {'run.id': run['id'], 'run.beat': run['beat']}


def beat(session: Document) -> bool:
    """Give a sign of life; return whether the run is still the session's."""
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


def is_over(run: Document) -> bool:
    """Return whether a run may be taken over: its worker is gone, or has given no sign for long."""
    silent = now() - run['beat']
    return silent > dt.timedelta(seconds=heartbeat.STALE_SECONDS) or process_identity.is_gone(run['worker'])


def is_alive(session: Document) -> bool:
    """Return whether a worker is at work for a session."""
    return session.get('run') is not None and not is_over(session['run'])


def end(session: Document) -> None:
    """Note that a run has ended and cleaned up behind itself."""
    query = {'_id': session['_id'], 'run.id': session['run']['id']}
    StitchSession().collection.update_one(query, {'$set': {'run': None}})


def abandon(session: Document) -> None:
    """Let any worker take over at once: this one has to stop before the run is at its end."""
    query = {'_id': session['_id'], **running(session)}
    StitchSession().collection.update_one(query, {'$set': {'run': None}})


def made_progress(session: Document) -> None:
    """Let an attempt that gets on be taken up again as often as a new one."""
    query = {'_id': session['_id'], 'state': FINALIZING, 'attempt': session['attempt']}
    StitchSession().collection.update_one(query, {'$set': {'runs': 1}})


def claim_sending(session: Document) -> bool:
    """Return whether the message for a finalizing session is to be sent again, and by this process."""
    if is_alive(session):
        return False
    sent = session.get('sent') or {'at': session['updated'], 'count': 1}
    if sent['count']:
        pause = min(RESEND_SECONDS * 2 ** min(sent['count'] - 1, 20), RESEND_MOST_SECONDS)
        if now() - sent['at'] < dt.timedelta(seconds=pause):
            return False
    query = {
        '_id': session['_id'],
        'state': FINALIZING,
        'attempt': session['attempt'],
        'sent': session.get('sent'),
        **_as_found(session.get('run')),
    }
    update = {'$set': {'sent': {'at': now(), 'count': sent['count'] + 1}}}
    return bool(StitchSession().collection.update_one(query, update).matched_count)


def now() -> dt.datetime:
    """Return the time as it is stored."""
    moment = dt.datetime.now(dt.UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
