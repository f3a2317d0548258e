"""Messages to the workers. They carry the names of tasks, so that no worker's code is imported here.

Messages only wake workers up: what there is to do, who does it and what is done is in the database. So they
may come twice, late or in any order, or be lost with the broker: the reaper sends them again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from girder.models.user import User

from girder_zarr.server.leases import run_lease

from . import celery_json, girder_job

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document

logger = logging.getLogger(__name__)

#: The queue of girder_worker whose workers reach the database.
QUEUE = 'local'
#: The names of the tasks on the wire; workers of all versions know them, whichever module has the tasks.
STITCH = 'girder_zarr.server.tasks.stitch'
STITCH_PARTS = 'girder_zarr.server.tasks.stitch_parts'


def send(session: Document) -> None:
    """Ask the workers to run the attempt of a session.

    :raises Exception: the broker cannot be reached.
    """
    job = girder_job.load(session['jobId'])
    task_id = job['celeryTaskId'] if job is not None else None
    celery_json.send(STITCH, _arguments(session), queue=QUEUE, task_id=task_id)


def send_again(session: Document) -> bool:
    """Send the message of a finalizing session again if no worker runs it; return whether it was sent.

    Of any number of processes that ask at the same time one sends it.
    """
    if not run_lease.claim_dispatch(session):
        return False
    logger.info('Sending stitch session %s to the workers again', session['_id'])
    if session['jobId'] is None:
        session = _with_job(session)
    send(session)
    return True


def _with_job(session: Document) -> Document:
    """Make the job of an attempt whose server died before it had; return the session."""
    user = User().load(session['finalizerId'], force=True)
    return session if user is None else girder_job.create(session, user)


def ask_for_help(session: Document, helpers: int) -> None:
    """Ask for workers that make parts of an image; without a broker it is made by one worker alone."""
    for _ in range(helpers):
        try:
            celery_json.send(STITCH_PARTS, _arguments(session), queue=QUEUE)
        except Exception:
            logger.warning('No help could be asked for', exc_info=True)
            return


def _arguments(session: Document) -> Document:
    return {'sessionId': str(session['_id']), 'attempt': session['attempt']}
