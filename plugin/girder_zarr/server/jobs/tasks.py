"""The Celery tasks that make the image of a session, on queue ``local``, whose workers reach the database.

Messages only wake workers up: what there is to do, who does it and what is done is in the database. So they
may come twice, late or in any order, and be lost with the broker: a keeper (`keeper.py`) sends them again.
"""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING

from girder.models.user import User
from girder_worker.app import app

from girder_zarr.errors import CancelledError, GirderZarrError, InvalidInputError
from girder_zarr.server.common import database
from girder_zarr.server.leases import run_lease
from girder_zarr.server.leases.heartbeat import Heart
from girder_zarr.server.leases.part_lease import StitchPart
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.patches.reader import PatchReader
from girder_zarr.server.sessions.model import (
    CANCELLED,
    COMPLETE,
    MAX_RUNS,
    Document,
    StitchSession,
    may_write,
    object_id,
    spec_of,
)
from girder_zarr.stitch.output.assemble import assemble_file, values_of
from girder_zarr.stitch.output.verify import verify_file

from . import distribute, girder_job, publish
from .celery_json import PlainTask
from .plan import plan_of
from .progress import Reporter, Stopper
from .workdir import work_folder

if TYPE_CHECKING:
    from pathlib import Path

    from girder_zarr.stitch.plan import Plan

logger = logging.getLogger(__name__)

#: The queue whose workers reach the database.
QUEUE = 'local'
_OPTIONS = {'base': PlainTask, 'acks_late': True, 'reject_on_worker_lost': True, 'ignore_result': True}


@app.task(name='girder_zarr.server.tasks.stitch', **_OPTIONS)
def stitch(sessionId: str, attempt: str) -> None:
    """Run one attempt of a session's job.

    :param sessionId: the session.
    :param attempt: the attempt that the session was moved to finalizing with.
    """
    run(sessionId, attempt)


@app.task(name='girder_zarr.server.tasks.stitch_parts', **_OPTIONS)
def stitch_parts(sessionId: str, attempt: str) -> None:
    """Make parts of an image that another worker has cut into parts, as long as there are any."""
    help_with(sessionId, attempt)


def send(session: Document) -> None:
    """Ask the workers to run the attempt of a session.

    :raises Exception: the broker cannot be reached.
    """
    job = girder_job.load(session['jobId'])
    stitch.apply_async(
        kwargs={'sessionId': str(session['_id']), 'attempt': session['attempt']},
        queue=QUEUE,
        task_id=job['celeryTaskId'] if job is not None else None,
    )


def _ask_for_help(session: Document, helpers: int) -> None:
    for _ in range(helpers):
        try:
            stitch_parts.apply_async(
                kwargs={'sessionId': str(session['_id']), 'attempt': session['attempt']}, queue=QUEUE
            )
        except Exception:
            # It is help: without a broker the parts are made all the same.
            logger.warning('No help could be asked for', exc_info=True)
            return


def run(session_id: str, attempt: str) -> None:
    """Make, verify and publish the image of a session, and settle the session.

    Does nothing where the attempt is over, or where another worker runs it. A run that loses the database is
    over as if its worker had been killed: the session goes on finalizing, and a keeper sends it again.

    :raises GirderZarrError: the image could not be made; the session is in error and nothing is left behind.
    """
    try:
        session = run_lease.begin(session_id, attempt)
        if session is None:
            logger.info('Stitch session %s does not wait for a run of attempt %s', session_id, attempt)
            return
        with Heart(lambda: run_lease.beat(session)) as beating:
            try:
                _run(session, Stopper(session, beating.check))
            finally:
                _finish(session)
    except Exception as error:
        if not database.was_lost(error):
            raise
        logger.warning('A run of stitch session %s lost the database', session_id, exc_info=True)


def _run(session: Document, stopper: Stopper) -> None:
    reporter = Reporter(session)
    girder_job.start(session['jobId'])
    try:
        if session['runs'] > MAX_RUNS:
            msg = f'The job was given up after {MAX_RUNS} runs whose workers died or lost the database.'
            raise GirderZarrError(msg)
        with work_folder(str(session['_id'])) as folder:
            _make(session, folder, reporter, stopper)
    except CancelledError as error:
        StitchSession().settle(session, CANCELLED)
        reporter.log(f'Stopped: {error}')
    except Exception as error:
        if database.was_lost(error):
            raise
        ours = isinstance(error, GirderZarrError)
        sentence = str(error) if ours else repr(error)
        if StitchSession().fail(session, sentence) is None:
            # Cancelled or deleted meanwhile, which is often what made it fail.
            reporter.log(f'Stopped: {sentence}')
            return
        reporter.log(f'Failed: {sentence}' if ours else f'Failed: {traceback.format_exc()}')
        raise


def _finish(session: Document) -> None:
    """Remove what a run leaves that has ended, and end its job, unless another run has taken over."""
    current = StitchSession().findOne({'_id': session['_id']})
    if current is None:
        StitchPart().discard(session['_id'])
        publish.remove_leftovers(session)
        girder_job.close(session['jobId'])
        return
    if (current.get('run') or {}).get('id') != session['run']['id']:
        publish.remove_leftovers(session, own=True)
        if current['attempt'] != session['attempt']:
            girder_job.close(session['jobId'])
            StitchPart().discard(session['_id'], keep=current['attempt'])
        return
    if run_lease.is_running(session):
        run_lease.abandon(session)
        return
    clean_up(current)


def clean_up(session: Document) -> None:
    """Remove what an attempt leaves that has ended, and end its job and its run; may be done twice.

    A worker or a server that dies meanwhile leaves the run, so that a keeper begins anew.
    """
    publish.remove_leftovers(session)
    StitchPart().discard(session['_id'])
    if session['state'] == COMPLETE and not spec_of(session).keep_patches:
        publish.drop_patches(session)
    girder_job.end(session)
    if session.get('run'):
        run_lease.end(session)


def _make(session: Document, folder: Path, reporter: Reporter, stopper: Stopper) -> None:
    publish.remove_leftovers(session)
    StitchPart().discard(session['_id'], keep=session['attempt'])
    user = User().load(session['finalizerId'], force=True)
    if user is None or not may_write(session, user):
        msg = 'Whoever asked for the image may no longer write into the folder.'
        raise InvalidInputError(msg)
    planned = StitchPart().plan(session)
    plan = plan_of(session, planned, check=stopper.check, say=reporter.say)
    StitchPatch().recount(session)
    target, load = folder / publish.file_name(session), PatchReader(plan.patches)
    if planned is not None or distribute.is_large(plan):
        planned = distribute.prepare(session, plan, user)
        left = StitchPart().left(session)
        reporter.begin(values_of(plan), f'{_what(plan)} in {left} parts', current=StitchPart().made(session))
        _ask_for_help(session, min(left - 1, distribute.MAX_HELPERS))
        distribute.make(session, plan, planned, target, user, reporter, stopper.check)
    else:
        reporter.begin(values_of(plan), _what(plan))
        name = session['name']
        assemble_file(plan, load, target, name=name, progress=reporter.advance, check=stopper.check)
    reporter.say('Verifying')
    verify_file(plan, load, target)
    reporter.say(f'Storing {target.stat().st_size} bytes')
    item = publish.publish(session, target, user, stopper.check)
    reporter.finish(f'Complete: item {item["_id"]}, {item["name"]}')


def _what(plan: Plan) -> str:
    counts = ', '.join(f'{axis} {count}' for axis, count in zip(plan.axes, plan.shape, strict=True))
    return f'Stitching {len(plan.patches)} patches into {counts} of {plan.dtype}'


def help_with(session_id: str, attempt: str) -> None:
    """Make parts of a session's image.

    :raises GirderZarrError: the image cannot be made; the session is in error.
    """
    waiting = {'_id': object_id(session_id, 'session'), 'state': 'finalizing', 'attempt': attempt}
    session = StitchSession().findOne(waiting)
    planned = StitchPart().plan(session) if session is not None else None
    if session is None or planned is None or not StitchPart().left(session):
        return
    stopper = Stopper({**session, 'run': None})
    try:
        with work_folder(session_id) as folder:
            plan = plan_of(session, planned, check=stopper.check)
            more = distribute.help_with(session, planned, plan, folder)
        if more:
            _ask_for_help(session, 1)
    except CancelledError:
        logger.info('Stitch session %s does not wait for parts of attempt %s', session_id, attempt)
    except Exception as error:
        if database.was_lost(error):
            logger.warning('A helper of stitch session %s lost the database', session_id, exc_info=True)
            return
        sentence = str(error) if isinstance(error, GirderZarrError) else repr(error)
        if StitchSession().fail({**session, 'run': None}, sentence) is not None:
            girder_job.log(session['jobId'], f'Failed: {sentence}')
            raise
