"""Starting, stopping and ending runs, and the Girder job that people see of each."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Any

from girder.exceptions import RestException
from girder.models.user import User
from girder_jobs.constants import JobStatus
from girder_jobs.models.job import Job

from girder_zarr.errors import ConflictError
from girder_zarr.server.common import database
from girder_zarr.server.jobs import celery_json, girder_job
from girder_zarr.server.jobs.dispatch import QUEUE
from girder_zarr.server.sessions.states import COMPLETE, ERROR
from girder_zarr.server.tile_sources.first_choice import installed_sources

from . import settle
from .source_change import CHANGED, SourceChange
from .source_run import CHANGE, COUNT, RUNNING, UNDO, SourceRun, is_held

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document

logger = logging.getLogger(__name__)

JOB_TYPE = 'girder_zarr_sources'
CREATOR = 'girder_zarr_sources'
#: The name of the task on the wire.
LOOK_THROUGH = 'girder_zarr.server.tasks.look_through_sources'
_TITLES = {
    COUNT: 'Tile sources: count the items that another one would open',
    CHANGE: 'Tile sources: give items the one that is first',
    UNDO: 'Tile sources: undo',
}
_STATUSES = {COMPLETE: JobStatus.SUCCESS, ERROR: JobStatus.ERROR}


def begin(user: Document, kind: str, scope: Document, of: Document | None = None) -> Document:
    """Start a run; return it.

    :raises ConflictError: another one has not ended. :raises RestException: 503, there is no queue.
    """
    _remove_unsent()
    run = SourceRun().begin(user, kind, scope, installed_sources(), of['_id'] if of else None)
    try:
        run = _with_new_job(run, user)
        _send(run)
    except Exception as error:
        if database.was_lost(error):
            raise  # the reaper sends the message once the database is back
        logger.exception('The sources of items could not be looked through')
        # Before another can begin, which removes both then.
        girder_job.mark_unsent(run['jobId'])
        if SourceRun().fail({**run, 'run': None}, f'The job could not be started: {error}') is not None:
            finish(SourceRun().get(run['_id']))
            msg = 'The job could not be started: the queue of the workers cannot be reached.'
            raise RestException(msg, code=503) from error
    return SourceRun().get(run['_id'])


def _with_new_job(run: Document, user: Document | None) -> Document:
    """Make the job of a run that has none; return the run, with the job that it has now."""
    job = Job().createJob(
        title=_TITLES[run['kind']],
        type=JOB_TYPE,
        handler='celery_handler',
        user=user,
        otherFields={
            'celeryTaskId': uuid.uuid4().hex,
            'module': 'girder_zarr.server.tasks',  # see girder_job.create
            'meta': {'creator': CREATOR, 'sourceRunId': str(run['_id'])},
        },
    )
    changed = SourceRun().change(run['_id'], {'state': RUNNING, 'jobId': None}, {'jobId': job['_id']})
    if changed is None:  # it has ended, or the reaper has taken this server for dead
        Job().remove(job)
    return changed or SourceRun().get(run['_id'])


def _remove_unsent() -> None:
    """Remove the newest run and its job if no worker ever heard of it: one is left however many are tried."""
    for run in SourceRun().newest(1):
        if run['state'] != RUNNING and girder_job.remove_unsent(run['jobId']):
            SourceRun().remove(run)


def undo(run: Document, user: Document) -> Document:
    """Start a run that puts back what another has changed.

    :raises ConflictError: it changes nothing, has not ended, or nothing of it is left to be put back.
    """
    if run['kind'] != CHANGE:
        msg = f'A run of the kind "{run["kind"]}" changes nothing that could be put back.'
        raise ConflictError(msg)
    if run['state'] == RUNNING or is_held(run):
        msg = 'The run has not ended; cancel it first.'
        raise ConflictError(msg)
    settle.settle(run['_id'])
    if not SourceChange().counts(run['_id']).get(CHANGED):
        msg = 'Nothing is left of this run that could be put back.'
        raise ConflictError(msg)
    return begin(user, UNDO, run['scope'], run)


def cancel(run: Document) -> Document:
    """Stop a run; what it has changed stays, and can be undone.

    :raises ConflictError: it has ended.
    """
    cancelled = SourceRun().cancel(run)
    if cancelled is None:
        msg = f'The run is {SourceRun().get(run["_id"])["state"]}; only one that goes on can be cancelled.'
        raise ConflictError(msg)
    job = girder_job.load(cancelled['jobId'])
    if job is not None and job['status'] not in (*girder_job.ENDED, *girder_job.STOPPED):
        Job().cancelJob(job)
    if not is_held(cancelled):
        finish(cancelled)
    return SourceRun().get(run['_id'])


def job_changed(event: Any) -> None:
    """End a run whose job was stopped or failed outside of it (an event handler)."""
    job = event.info['job']
    meta = job.get('meta') or {}
    if meta.get('creator') != CREATOR or job['status'] not in (*girder_job.STOPPED, JobStatus.ERROR):
        return
    run = SourceRun().findOne({'_id': database.object_id(meta['sourceRunId'], 'run')})
    if run is None or run['state'] != RUNNING or run['jobId'] != job['_id']:
        return
    if job['status'] == JobStatus.ERROR:
        SourceRun().fail({**run, 'run': None}, 'The job ended with an error; see its log.')
    else:
        SourceRun().cancel(run)


def finish(run: Document) -> None:
    """Settle what a run that has ended leaves, and end its job; may be done twice, by any process."""
    of = run['of'] or run['_id']
    settle.settle(of)
    counts = SourceChange().counts(of)
    if run.get('run'):
        SourceRun().release(run, counts)
    else:
        SourceRun().collection.update_one({'_id': run['_id']}, {'$set': {'counts': counts}})
    girder_job.close(run['jobId'], _STATUSES.get(run['state'], JobStatus.CANCELED))


def look_after() -> None:
    """Send runs again that no worker has, and finish those whose worker died in the end (the reaper)."""
    for run in list(SourceRun().find({'state': RUNNING})):
        if SourceRun().claim_dispatch(run):
            logger.info('Sending the run %s over sources of items again', run['_id'])
            # Without a job where the server that began it died before it had made one.
            user = None if run['jobId'] else User().load(run['userId'], force=True)
            _send(run if run['jobId'] else _with_new_job(run, user))
    for run in list(SourceRun().find({'run.id': {'$gt': ''}})):
        if run['state'] != RUNNING and not is_held(run):
            finish(run)
    for job in girder_job.list_open(JOB_TYPE):
        found = SourceRun().findOne({'_id': database.object_id(job['meta']['sourceRunId'], 'run')})
        if found is None or found['jobId'] not in (job['_id'], None):
            girder_job.close(job['_id'])
        elif found['state'] != RUNNING and not is_held(found):
            finish(found)


def _send(run: Document) -> None:
    job = girder_job.load(run['jobId'])
    task_id = job['celeryTaskId'] if job is not None else None
    celery_json.send(LOOK_THROUGH, {'runId': str(run['_id'])}, queue=QUEUE, task_id=task_id)
