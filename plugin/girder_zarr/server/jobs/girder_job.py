"""Girder's job of an attempt, as users and administrators see it. It follows the session's state."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from girder.constants import SortDir
from girder.exceptions import ValidationException
from girder_jobs.constants import JobStatus
from girder_jobs.models.job import Job
from girder_worker.utils import JobStatus as WorkerJobStatus

from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.server.sessions.states import COMPLETE, ERROR

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document

JOB_TYPE = 'girder_zarr_stitch'
CREATOR = 'girder_zarr'
STOPPED = (WorkerJobStatus.CANCELING, JobStatus.CANCELED)
ENDED = (JobStatus.SUCCESS, JobStatus.ERROR, JobStatus.CANCELED)


def ensure_index() -> None:
    """Make the index by which the reaper finds the jobs that have not ended."""
    Job().ensureIndex(([(name, SortDir.ASCENDING) for name in ('type', 'status')], {}))


def create(session: Document, user: Document) -> Document:
    """Make the job of an attempt that was begun, unless it has one; return the session."""
    job = Job().createJob(
        title=f'Stitch: {session["name"]}',
        type=JOB_TYPE,
        handler='celery_handler',
        user=user,
        otherFields={
            'celeryTaskId': uuid.uuid4().hex,
            # With any value here girder_worker gives the job no token and no address, which nothing of
            # ours needs; it is never imported.
            'module': 'girder_zarr.server.tasks',
            'meta': {
                'creator': CREATOR,
                'stitchSessionId': str(session['_id']),
                'attempt': session['attempt'],
            },
        },
    )
    fields = {'jobId': job['_id']}
    without = {'attempt': session['attempt'], 'jobId': None}
    changed = StitchSession().change(session['_id'], without, {'$set': fields})
    if changed is None:
        Job().remove(job)
    return changed or session


def load(job_id: Any) -> Document | None:
    """Return a job, or None."""
    job: Document | None = Job().load(job_id, force=True) if job_id else None
    return job


def mark_unsent(job_id: Any) -> None:
    """Note that no worker ever heard of a job."""
    if job_id:
        Job().update({'_id': job_id}, {'$set': {'meta.unsent': True}}, multi=False)


def remove_unsent(job_id: Any) -> bool:
    """Remove a job of which no worker ever heard; return whether it was one."""
    job = load(job_id)
    if job is None or not job['meta'].get('unsent'):
        return False
    Job().remove(job)
    return True


def is_stopped(job_id: Any) -> bool:
    """Return whether a job was stopped or removed."""
    job = load(job_id)
    return job_id is not None and (job is None or job['status'] in STOPPED)


def start(job_id: Any) -> None:
    """Show that a worker has begun, for the first time or again."""
    _move(load(job_id), JobStatus.RUNNING)


def log(job_id: Any, line: str) -> None:
    """Write a line into the job's log."""
    job = load(job_id)
    if job is not None:
        Job().updateJob(job, log=line + '\n')


def show(job_id: Any, current: int, total: int, message: str, line: str | None = None) -> None:
    """Show the progress of the work.

    :param line: is written into the log as well.
    """
    job = load(job_id)
    if job is None:
        return
    log_too = {} if line is None else {'log': line + '\n'}
    if job['status'] not in ENDED:
        shown = {'progressCurrent': current, 'progressTotal': total, 'progressMessage': message}
        Job().updateJob(job, **shown, **log_too)
    elif log_too:
        Job().updateJob(job, **log_too)


def end(session: Document) -> None:
    """End the job of an attempt in the way that the session has ended; a second call changes nothing."""
    statuses = {COMPLETE: JobStatus.SUCCESS, ERROR: JobStatus.ERROR}
    close(session['jobId'], statuses.get(session['state'], JobStatus.CANCELED))


def list_open(job_type: str = JOB_TYPE) -> list[Document]:
    """Return the jobs of a type that have not ended: of all sessions, where none is named."""
    # Two ranges of the index; workers have statuses of their own above Girder's.
    others = ({'$lt': min(ENDED)}, {'$gt': max(ENDED)})
    return [job for status in others for job in Job().find({'type': job_type, 'status': status})]


def close(job_id: Any, status: int = JobStatus.CANCELED) -> None:
    """End a job that has not ended."""
    job = load(job_id)
    if job is None or job['status'] in ENDED:
        return
    if status != JobStatus.CANCELED:
        job = _move(job, JobStatus.RUNNING)
    _move(job, status)


def _move(job: Document | None, status: int) -> Document | None:
    """Change the status, unless it has changed meanwhile to one from which Girder does not allow this one."""
    if job is None or job['status'] == status:
        return job
    try:
        changed: Document = Job().updateJob(job, status=status)
    except ValidationException:
        return load(job['_id'])
    return changed
