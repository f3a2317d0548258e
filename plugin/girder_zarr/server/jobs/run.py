"""The work of the tasks: one run of an attempt, and the help that other workers give it with parts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from girder.models.user import User

from girder_zarr.errors import CancelledError, GirderZarrError, InvalidInputError
from girder_zarr.image.write.file_digest import FileDigest
from girder_zarr.server.common import database
from girder_zarr.server.common.database import object_id
from girder_zarr.server.common.hidden_paths import without_paths
from girder_zarr.server.leases import run_lease
from girder_zarr.server.leases.heartbeat import Heartbeat
from girder_zarr.server.leases.part_lease import StitchPart
from girder_zarr.server.patches.document import to_patch
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.patches.reader import PatchReader
from girder_zarr.server.sessions.access import may_write
from girder_zarr.server.sessions.model import MAX_RUNS, StitchSession
from girder_zarr.server.sessions.states import CANCELLED, FINALIZING
from girder_zarr.server.storage import disk_space
from girder_zarr.stitch.output.assemble import assemble_file, nbytes_of, values_of
from girder_zarr.stitch.output.verify import verify_file

from . import cleanup, dispatch, distribute, girder_job, publish
from .progress import CancellationCheck, ProgressReporter
from .session_plan import build_plan, list_patches
from .workdir import work_folder

if TYPE_CHECKING:
    from pathlib import Path

    from girder_zarr.server.common.names import Document
    from girder_zarr.stitch.plan import Plan

logger = logging.getLogger(__name__)


def run_attempt(session_id: str, attempt: str) -> None:
    """Make, verify and publish the image of a session, and end the attempt.

    Does nothing where the attempt is over, or where another worker runs it. A run that loses the database
    counts as one whose worker was killed: the session goes on finalizing, and the reaper sends it again.

    :raises GirderZarrError: the image could not be made; the session is in error and nothing is left behind.
    """
    try:
        session = run_lease.acquire(session_id, attempt)
        if session is None:
            logger.info('Stitch session %s does not wait for a run of attempt %s', session_id, attempt)
            return
        with Heartbeat(lambda: run_lease.renew(session)) as heartbeat:
            try:
                _run(session, CancellationCheck(session, heartbeat.check))
            finally:
                cleanup.clean_up_after_run(session)
    except Exception as error:
        if not database.was_lost(error):
            raise
        logger.warning('A run of stitch session %s lost the database', session_id, exc_info=True)


def _run(session: Document, cancellation: CancellationCheck) -> None:
    reporter = ProgressReporter(session)
    girder_job.start(session['jobId'])
    try:
        if session['runs'] > MAX_RUNS:
            msg = f'The job was given up after {MAX_RUNS} runs whose workers died or lost the database.'
            raise GirderZarrError(msg)
        with work_folder(str(session['_id'])) as folder:
            _make_image(session, folder, reporter, cancellation)
    except CancelledError as error:
        StitchSession().end_finalizing(session, CANCELLED)
        reporter.log(f'Stopped: {error}')
    except Exception as error:
        if database.was_lost(error):
            raise
        ours = isinstance(error, GirderZarrError)
        sentence = str(error) if ours else repr(error)
        if StitchSession().fail(session, sentence) is None:
            # Cancelled or deleted meanwhile, which is often what made it fail.
            reporter.log(f'Stopped: {without_paths(sentence)}')
            return
        if not ours:
            # Users read the job's log, which is no place for the server's paths.
            logger.exception('A run of stitch session %s failed', session['_id'])
        reporter.log(f'Failed: {without_paths(sentence)}')
        raise
    finally:
        reporter.close()


def _make_image(
    session: Document, folder: Path, reporter: ProgressReporter, cancellation: CancellationCheck
) -> None:
    cleanup.remove_leftovers(session)
    StitchPart().discard(session['_id'], keep=session['attempt'])
    user = User().load(session['finalizerId'], force=True)
    if user is None or not may_write(session, user):
        raise InvalidInputError(publish.NO_ACCESS)
    patches, planned = list_patches(session), StitchPart().plan(session)
    plan = build_plan(session, patches, planned, check=cancellation.check, on_progress=reporter.show)
    with disk_space.told(folder, nbytes_of(plan)):
        item = _write_and_publish(session, plan, planned, folder, user, reporter, cancellation)
    reporter.finish(f'Complete: item {item["_id"]}, {item["name"]}')


def _write_and_publish(
    session: Document,
    plan: Plan,
    planned: Document | None,
    folder: Path,
    user: Document,
    reporter: ProgressReporter,
    cancellation: CancellationCheck,
) -> Document:
    target, load, digest = folder / publish.file_name(session), PatchReader(plan.patches), FileDigest()
    if planned is not None or distribute.is_large(plan):
        planned = distribute.prepare(session, plan, user)
        left = StitchPart().left(session)
        message = f'{_summary(plan)} in {left} parts'
        reporter.begin(values_of(plan), message, current=StitchPart().made(session))
        dispatch.ask_for_help(session, min(left - 1, distribute.MAX_HELPERS))
        distribute.make(session, plan, planned, target, user, reporter, cancellation.check, digest)
    else:
        reporter.begin(values_of(plan), _summary(plan))
        name = session['name']
        options = {'progress': reporter.advance, 'check': cancellation.check}
        assemble_file(plan, load, target, digest=digest, name=name, **options)
    reporter.show('Verifying')
    verify_file(plan, load, target)
    reporter.show(f'Storing {target.stat().st_size} bytes')
    return publish.publish(session, target, user, cancellation.check, digest)


def _summary(plan: Plan) -> str:
    counts = ', '.join(f'{axis} {count}' for axis, count in zip(plan.axes, plan.shape, strict=True))
    return f'Stitching {len(plan.patches)} patches into {counts} of {plan.dtype}'


def make_parts(session_id: str, attempt: str) -> None:
    """Make parts of the image of a session that another worker runs, as long as there are any.

    :raises GirderZarrError: the image cannot be made; the session is in error.
    """
    waiting = {'_id': object_id(session_id, 'session'), 'state': FINALIZING, 'attempt': attempt}
    session = StitchSession().findOne(waiting)
    planned = StitchPart().plan(session) if session is not None else None
    if session is None or planned is None or not StitchPart().left(session):
        return
    cancellation = CancellationCheck({**session, 'run': None})
    try:
        with work_folder(session_id) as folder:
            patches = [to_patch(document) for document in StitchPatch().list_unlocked(session)]
            plan = build_plan(session, patches, planned, check=cancellation.check)
            with disk_space.told(folder, nbytes_of(plan)):
                more = distribute.help_with(session, planned, plan, folder)
        if more:
            dispatch.ask_for_help(session, 1)
    except CancelledError:
        logger.info('Stitch session %s does not wait for parts of attempt %s', session_id, attempt)
    except Exception as error:
        if database.was_lost(error):
            logger.warning('A helper of stitch session %s lost the database', session_id, exc_info=True)
            return
        sentence = str(error) if isinstance(error, GirderZarrError) else repr(error)
        if StitchSession().fail({**session, 'run': None}, sentence) is not None:
            girder_job.log(session['jobId'], f'Failed: {without_paths(sentence)}')
            raise
