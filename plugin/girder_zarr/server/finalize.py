"""Starting and stopping the job of a session."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

from girder.exceptions import RestException
from girder.models.user import User
from girder_jobs.constants import JobStatus
from girder_jobs.models.job import Job
from girder_plugin_worker.status import CustomJobStatus

from girder_zarr.errors import ConflictError
from girder_zarr.stitch.plan import Extent

from . import tasks
from .patches import StitchPatch
from .references import StitchReference
from .sessions import CANCELLED, COMPLETE, ERROR, FINALIZING, Document, StitchSession, spec_of

logger = logging.getLogger(__name__)

JOB_TYPE = 'girder_zarr_stitch'
#: After so long without a job, or with a job that has ended, nobody works on a finalizing session any more.
LOST_SECONDS = 60
STOPPED = (CustomJobStatus.CANCELING, JobStatus.CANCELED)
ENDED = (JobStatus.SUCCESS, JobStatus.ERROR, JobStatus.CANCELED)


def finalize(session: Document, user: Document, *, force: bool) -> Document:
    """Start the job that makes the image; return the session.

    However many ask, one job runs: in finalizing and complete the session is returned as it is.

    :raises ConflictError: there are no patches, or fewer than expected and not ``force``.
    :raises LimitExceededError: the image would be too large.
    :raises RestException: 503, no job could be started; the session is in error.
    """
    if session['state'] == FINALIZING:
        session = _recover(session)
    if session['state'] in {FINALIZING, COMPLETE}:
        return session
    check_ready(session, force=force)
    begun = StitchSession().begin_finalizing(session, user)
    if begun is None:
        return StitchSession().get(session['_id'])
    _dispatch(begun, user)
    return StitchSession().get(session['_id'])


def check_ready(session: Document, *, force: bool) -> None:
    """Check that there is something to make an image of.

    :raises ConflictError: there is not, or not all that was expected, or a reference image is missing.
    :raises LimitExceededError: it would be too large.
    """
    count, expected = StitchPatch().count(session), session['spec']['expected']
    if not count:
        msg = 'The session has no patches; put at least one before it is finalized.'
        raise ConflictError(msg)
    if expected is not None and count < expected and not force:
        msg = (
            f'The session has {count} of {expected} expected patches; force=true goes on without the others.'
        )
        raise ConflictError(msg)
    StitchReference().check_complete(session, StitchPatch().mask_keys(session))
    extent, axes = session['extent'], session['axes'] or ()
    frame = {axis: extent[axis + '1'] for axis in axes}
    box = Extent((extent['x0'], extent['x1']), (extent['y0'], extent['y1']), frame)
    box.check(spec_of(session), session['bands'])


def _dispatch(session: Document, user: Document) -> None:
    try:
        result = tasks.stitch.apply_async(
            kwargs={'sessionId': str(session['_id']), 'attempt': session['attempt']},
            queue=tasks.QUEUE,
            girder_user=user,
            girder_job_title=f'Stitch: {session["name"]}',
            girder_job_type=JOB_TYPE,
            girder_job_other_fields={
                'meta': {
                    'creator': 'girder_zarr',
                    'stitchSessionId': str(session['_id']),
                    'attempt': session['attempt'],
                }
            },
        )
    except Exception as error:
        # Where tasks run at once, in this process, it is the job's own error, and the session is settled.
        logger.exception('The job of stitch session %s ended with an error', session['_id'])
        if StitchSession().fail(session, f'The job could not be started: {error}') is not None:
            msg = 'The job could not be started: the queue of the workers cannot be reached.'
            raise RestException(msg, code=503) from error
        return
    job = getattr(result, 'job', None)
    if job is not None:
        StitchSession().change(
            session['_id'], {'attempt': session['attempt']}, {'$set': {'jobId': job['_id']}}
        )


def cancel(session: Document) -> Document:
    """Stop the job of a session or close an open session; return the session.

    :raises ConflictError: it is complete or in error.
    """
    cancelled = StitchSession().cancel(session)
    job = Job().load(cancelled['jobId'], force=True) if cancelled['jobId'] else None
    if job is not None and job['status'] not in (*ENDED, *STOPPED):
        Job().cancelJob(job)
    return cancelled


def _recover(session: Document) -> Document:
    """Move a finalizing session on whose job has ended or never began, so that it can be finalized again."""
    job = Job().load(session['jobId'], force=True) if session['jobId'] else None
    age = dt.datetime.now(dt.UTC) - session['updated']
    if age < dt.timedelta(seconds=LOST_SECONDS) or (job is not None and job['status'] not in ENDED):
        return session
    StitchSession().fail(session, 'The job ended without a result.')
    return StitchSession().get(session['_id'])


def follow_job(event: Any) -> None:
    """Let a session know that its job was stopped or failed outside of it (an event handler).

    This is how cancelling on Girder's job page, a revoked task or a lost worker reaches the session.
    """
    job = event.info['job']
    meta = job.get('meta') or {}
    if meta.get('creator') != 'girder_zarr' or job['status'] not in (*STOPPED, JobStatus.ERROR):
        return
    session = StitchSession().load(meta['stitchSessionId'], force=True)
    if session is None or session['state'] != FINALIZING or session['attempt'] != meta['attempt']:
        return
    if job['status'] == JobStatus.ERROR:
        StitchSession().settle(session, ERROR, error='The job ended with an error; its log says which.')
    else:
        StitchSession().settle(session, CANCELLED)


def finalizer_of(session: Document) -> Document | None:
    """Return the user who asked for the image, or None if there is no such user any more."""
    user: Document | None = User().load(session['finalizerId'], force=True)
    return user
