"""Looks after sessions whose workers were lost: a thread of every server.

A message that is lost with its broker, a worker killed with SIGKILL, a machine that is gone: sooner or later
the run of a finalizing session gives no sign of life any more, or none has begun. The keeper that is first to
note so in the session sends the message again. It also removes what ended attempts have left, and expired
sessions. Any number of keepers may look at the same time.
"""

from __future__ import annotations

import atexit
import logging
import threading
from typing import TYPE_CHECKING

from bson import ObjectId

from girder_zarr.server.jobs import girder_job, tasks
from girder_zarr.server.leases import run_lease
from girder_zarr.server.leases.part_lease import StitchPart
from girder_zarr.server.sessions.model import FINALIZING, Document, StitchSession

from . import expired as expiry
from . import orphans

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

#: How often a server looks.
LOOK_SECONDS = 5.0

_stop = threading.Event()
_thread: threading.Thread | None = None


def start() -> None:
    """Look from now on until the process ends, in a thread of its own."""
    global _thread  # noqa: PLW0603 - one for the process
    if _thread is not None and _thread.is_alive():
        return
    _stop.clear()
    _thread = threading.Thread(target=_run, name='stitch keeper', daemon=True)
    _thread.start()


def stop() -> None:
    """Stop looking."""
    _stop.set()


atexit.register(stop)


def _run() -> None:
    while not _stop.wait(LOOK_SECONDS):
        look()


def look() -> None:
    """Do everything once; what goes wrong with one session does not keep the others from their due."""
    try:
        for session in list(StitchSession().find({'state': FINALIZING, 'deleting': False})):
            _carefully(resume, session)
        for session in list(
            StitchSession().find({'state': {'$ne': FINALIZING}, 'run.id': {'$exists': True}})
        ):
            _carefully(tidy, session)
        for job in girder_job.list_open():
            _carefully(end_job, job)
        for session_id in StitchPart().sessions_over():
            session = StitchSession().findOne({'_id': session_id}) or {}
            attempt = session.get('attempt') if session.get('state') == FINALIZING else None
            StitchPart().discard(session_id, keep=attempt)
        expiry.sweep_if_due()
        orphans.sweep_if_due()
    except Exception:
        logger.warning('The keeper of stitch sessions could not look', exc_info=True)


def _carefully(work: Callable[[Document], object], document: Document) -> None:
    try:
        work(document)
    except Exception:
        logger.warning('The keeper could not help with %s', document['_id'], exc_info=True)


def resume(session: Document) -> bool:
    """Send the message of a finalizing session again if nobody works on it; return whether it was sent."""
    if not run_lease.claim_sending(session):
        return False
    logger.info('Sending stitch session %s to the workers again', session['_id'])
    tasks.send(session)
    return True


def tidy(session: Document) -> None:
    """Remove what the attempt of a session left that has ended while its worker was lost, or had none."""
    if session['state'] == FINALIZING or run_lease.is_alive(session):
        return
    tasks.clean_up(session)


def end_job(job: Document) -> None:
    """End a job whose attempt has ended, if no worker does."""
    session = StitchSession().findOne({'_id': ObjectId(job['meta']['stitchSessionId'])})
    if session is None or session['attempt'] != job['meta']['attempt']:
        girder_job.close(job['_id'])
    elif session['state'] != FINALIZING and not run_lease.is_alive(session):
        girder_job.end(session)
        girder_job.close(job['_id'])
