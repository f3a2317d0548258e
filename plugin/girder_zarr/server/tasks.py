"""The Celery task that makes the image of a session, on queue ``local``, whose workers reach the database.

It can be run again at any time: it begins by removing what an earlier run left, and only the run whose
attempt the session still waits for can complete it.
"""

from __future__ import annotations

import io
import logging
import math
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from girder.models.user import User
from girder_jobs.constants import JobStatus
from girder_jobs.models.job import Job
from girder_plugin_worker.status import CustomJobStatus
from girder_worker.app import app

from girder_zarr.errors import CancelledError, GirderZarrError, InvalidInputError, UnsupportedFormatError
from girder_zarr.stitch import formats
from girder_zarr.stitch.assemble import assemble_file, make_plan, values_of
from girder_zarr.stitch.verify import verify_file

from . import publish
from .patch_files import read_source
from .patches import StitchPatch, to_patch
from .references import references_of
from .sessions import CANCELLED, MAX_RUNS, Document, StitchSession, may_write, spec_of

if TYPE_CHECKING:
    from girder_zarr.stitch.patch import Patch
    from girder_zarr.stitch.plan import Plan

logger = logging.getLogger(__name__)

#: The queue whose workers reach the database.
QUEUE = 'local'
_REPORT_SECONDS = 0.5
_CHECK_SECONDS = 0.5
#: After so long the time that is left is told.
_PACE_SECONDS = 1.0
_STOPPED = (CustomJobStatus.CANCELING, JobStatus.CANCELED)


@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def stitch(self: Any, sessionId: str, attempt: str) -> None:
    """Run one attempt of a session's job.

    :param sessionId: the session.
    :param attempt: the attempt that the session was moved to finalizing with.
    """
    spec = getattr(self.request, 'jobInfoSpec', None) or {}
    run(sessionId, attempt, spec.get('reference'))


def run(session_id: str, attempt: str, job_id: str | None = None) -> None:
    """Make, verify and publish the image of a session, and settle the session.

    :param job_id: Girder's job, where there is one; it gets progress and log.
    :raises GirderZarrError: the image could not be made; the session is in error and nothing is left behind.
    """
    session = StitchSession().begin_run(session_id, attempt)
    if session is None:
        logger.info('Stitch session %s no longer waits for attempt %s', session_id, attempt)
        return
    reporter = Reporter(session, job_id)
    directory = Path(tempfile.gettempdir(), f'girder-zarr-stitch-{session["_id"]}-{attempt}')
    try:
        if session['runs'] > MAX_RUNS:
            msg = f'The job was given up after {MAX_RUNS} workers died with it.'
            raise GirderZarrError(msg)
        _make(session, directory, reporter)
    except CancelledError:
        publish.remove_leftovers(session)
        StitchSession().settle(session, CANCELLED)
        reporter.log('Cancelled.')
    except Exception as error:
        publish.remove_leftovers(session)
        sentence = str(error) if isinstance(error, GirderZarrError) else repr(error)
        if StitchSession().fail(session, sentence) is None:
            # Cancelled or deleted meanwhile, which is often what made it fail.
            reporter.log(f'Stopped: {sentence}')
            return
        reporter.log(f'Failed: {sentence}')
        raise
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _make(session: Document, directory: Path, reporter: Reporter) -> None:
    publish.remove_leftovers(session)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    user = User().load(session['finalizerId'], force=True)
    if user is None or not may_write(session, user):
        msg = 'Whoever asked for the image may no longer write into the folder.'
        raise InvalidInputError(msg)
    documents = list(StitchPatch().settled(session))
    StitchPatch().recount(session, documents)
    patches = [to_patch(document) for document in documents]
    spec = spec_of(session)
    if spec.registration is not None:
        reporter.say(f'Comparing {len(patches)} patches with their neighbours')
    plan = make_plan(patches, load_patch, spec, references_of(session), check=reporter.check)
    reporter.begin(values_of(plan), f'Stitching {len(patches)} patches into {_size_text(plan)}')
    target = directory / publish.file_name(session)
    assemble_file(
        plan, load_patch, target, name=session['name'], progress=reporter.advance, check=reporter.check
    )
    reporter.say('Verifying')
    verify_file(plan, load_patch, target)
    reporter.say(f'Storing {target.stat().st_size} bytes')
    item = publish.publish(session, target, user, reporter.check)
    reporter.finish(f'Complete: item {item["_id"]}, {item["name"]}')
    if not spec.keep_patches:
        publish.drop_patches(session)


def _size_text(plan: Plan) -> str:
    counts = ', '.join(f'{axis} {count}' for axis, count in zip(plan.axes, plan.shape, strict=True))
    return f'{counts} of {plan.dtype}'


def load_patch(patch: Patch) -> Any:
    """Return the pixels ``(y, x, bands)`` of a patch from its Girder file.

    :raises UnsupportedFormatError: it cannot be read or decoded; the message names it.
    """
    data = read_source(patch)
    try:
        return formats.decode(io.BytesIO(data), layout=patch.layout, alpha=patch.alpha)
    except GirderZarrError as error:
        msg = f'Patch {patch.key}: {error}'
        raise UnsupportedFormatError(msg) from error


class Reporter:
    """Tells session and job how far an attempt is, and notices when it shall stop. Thread safe."""

    def __init__(self, session: Document, job_id: str | None) -> None:
        self._session = session
        self._job_id = job_id
        self._lock = threading.Lock()
        self._current, self._total, self._message = 0, 0, ''
        self._reported = self._checked = self._begun = 0.0

    def begin(self, total: int, message: str) -> None:
        """Set what there is to do."""
        self._total = total
        self._begun = time.monotonic()
        self.say(message)

    def say(self, message: str) -> None:
        """Show a message in the progress and write it into the job's log."""
        with self._lock:
            self._message = message
            self._report()
        self.log(message)

    def advance(self, values: int) -> None:
        """Add to what is done."""
        with self._lock:
            self._current += values
            if time.monotonic() - self._reported > _REPORT_SECONDS:
                self._report()

    def finish(self, message: str) -> None:
        """Show the end in the job, the session having been settled."""
        with self._lock:
            self._message = message
            self._update_job(log=message + '\n')

    def check(self) -> None:
        """Stop if the session no longer waits for this attempt or the job was cancelled.

        :raises CancelledError: it is so.
        """
        with self._lock:
            if time.monotonic() - self._checked < _CHECK_SECONDS:
                return
            self._checked = time.monotonic()
        job = self._job()
        stopped = self._job_id is not None and (job is None or job['status'] in _STOPPED)
        if stopped or not StitchSession().is_running(self._session['_id'], self._session['attempt']):
            msg = 'The job was cancelled.'
            raise CancelledError(msg)

    def log(self, line: str) -> None:
        """Write a line into the job's log."""
        job = self._job()
        if job is not None:
            Job().updateJob(job, log=line + '\n')

    def _job(self) -> Document | None:
        job: Document | None = Job().load(self._job_id, force=True) if self._job_id else None
        return job

    def _report(self) -> None:
        self._reported = time.monotonic()
        left = self._time_left()
        StitchSession().report(self._session, self._current, self._total, self._message, left)
        self._update_job()

    def _time_left(self) -> int | None:
        """Return the seconds that the pixels will take at the pace so far, once there is one."""
        spent = time.monotonic() - self._begun
        if not self._current or spent < _PACE_SECONDS:
            return None
        return math.ceil(spent * (self._total - self._current) / self._current)

    def _update_job(self, **fields: Any) -> None:
        job = self._job()
        if job is not None:
            Job().updateJob(
                job,
                progressCurrent=self._current,
                progressTotal=self._total,
                progressMessage=self._message,
                **fields,
            )
