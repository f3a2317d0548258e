"""Starting and stopping the job of a session."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from girder.exceptions import RestException
from girder.models.folder import Folder
from girder_jobs.constants import JobStatus
from girder_jobs.models.job import Job

from girder_zarr.errors import ConflictError
from girder_zarr.server.common import database
from girder_zarr.server.patches.lent import check_lent
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.patches.references import StitchReference
from girder_zarr.server.sessions import lost_image
from girder_zarr.server.sessions.model import StitchSession, spec_of, to_extent
from girder_zarr.server.sessions.states import CANCELLED, COMPLETE, EDITABLE, ERROR, FINALIZING
from girder_zarr.server.settings.session_limits import current as limits_now
from girder_zarr.server.storage import disk_space

from . import cleanup, dispatch, girder_job

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document

logger = logging.getLogger(__name__)

_ENDING_STATUSES = (*girder_job.STOPPED, JobStatus.ERROR)


def finalize(session: Document, user: Document, *, force: bool) -> Document:
    """Start the job that makes the image; return the session.

    Of any number of requests one starts a job: a session that is finalizing or complete is returned as it is,
    unless its image was deleted.

    :raises ConflictError: there are no patches, or fewer than expected and not ``force``.
    :raises LimitExceededError: the image would be too large.
    :raises RestException: 503, no job could be started; the session is in error.
    :raises pymongo.errors.PyMongoError: the database went away; where the session is finalizing, it goes on.
    """
    session = lost_image.reopen_if_lost(session)
    if session['state'] == FINALIZING:
        dispatch.send_again(session)
        session = StitchSession().get(session['_id'])
    if session['state'] in {FINALIZING, COMPLETE}:
        return session
    check_ready(session, force=force)
    cleanup.clean_up_if_abandoned(session)
    # A client that tries until the broker is back leaves one failed job, not one for each time.
    girder_job.remove_unsent(session['jobId'])
    begun = StitchSession().begin_finalizing(session, user)
    if begun is None:
        # Another request was faster. Where its attempt has ended for want of a broker it is our turn.
        session = StitchSession().get(session['_id'])
        return finalize(session, user, force=force) if session['state'] in EDITABLE else session
    _dispatch(begun, user)
    return StitchSession().get(session['_id'])


def check_ready(session: Document, *, force: bool) -> None:
    """Check that there is something to make an image of.

    :raises ConflictError: there is not, or not all that was expected, a reference image is missing, or a file
        that was lent may not be read any more.
    :raises LimitExceededError: it would be too large, or there are more patches or bytes than the limits of
        now allow.
    :raises NoSpaceError: what is free in the assetstore is reserved.
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
    check_lent(session)
    box = to_extent(session['extent'], session['axes'] or ())
    limits, spec = limits_now(), spec_of(session)
    limits.check_extent(box, spec, session['bands'])
    box.check_channels(spec)
    limits.check_registration(spec_of(session), count)
    counts = session['counts']
    limits.check_session({'patches': 0, 'bytes': 0}, counts['patches'], counts['bytes'])
    folder = Folder().load(session['folderId'], force=True)
    if folder is not None:
        disk_space.check_open(folder, counts['bytes'])


def _dispatch(session: Document, user: Document) -> None:
    try:
        session = girder_job.create(session, user)
        dispatch.send(session)
    except Exception as error:
        if database.was_lost(error):
            raise  # the reaper sends the message once the database is back
        # Where tasks run in this process, it is the job's own error, and the session has ended already.
        logger.exception('The job of stitch session %s ended with an error', session['_id'])
        present = StitchSession().find_there(session['_id'])
        if present is not None and (present['state'], present['attempt']) == (FINALIZING, session['attempt']):
            # Before another attempt can begin, which removes the job then.
            girder_job.mark_unsent(session['jobId'])
        failed = StitchSession().fail({**session, 'run': None}, f'The job could not be started: {error}')
        if failed is not None:
            girder_job.end(failed)
            msg = 'The job could not be started: the queue of the workers cannot be reached.'
            raise RestException(msg, code=503) from error


def cancel(session: Document) -> Document:
    """Stop the job of a session or close an open session; return the session.

    A worker that is at work stops within a second and cleans up; where there is none, that is done here.

    :raises ConflictError: it is complete or in error.
    """
    cancelled = StitchSession().cancel(session)
    job = girder_job.load(cancelled['jobId'])
    if job is not None and job['status'] not in (*girder_job.ENDED, *girder_job.STOPPED):
        Job().cancelJob(job)
    cleanup.clean_up_if_abandoned(cancelled)
    return cancelled


def job_changed(event: Any) -> None:
    """End the attempt of a session whose job was stopped or failed outside of it (an event handler).

    So cancelling on Girder's job page, a revoked task or a lost worker reaches the session.
    """
    job = event.info['job']
    meta = job.get('meta') or {}
    if meta.get('creator') != girder_job.CREATOR or job['status'] not in _ENDING_STATUSES:
        return
    session = StitchSession().load(meta['stitchSessionId'], force=True)
    if session is None or session['state'] != FINALIZING or session['attempt'] != meta['attempt']:
        return
    session = {**session, 'run': None}  # any run of the attempt
    if job['status'] == JobStatus.ERROR:
        StitchSession().end_finalizing(session, ERROR, error='The job ended with an error; see its log.')
    else:
        StitchSession().end_finalizing(session, CANCELLED)
