"""The Celery tasks that make the image of a session, on a queue whose workers reach the database."""

from __future__ import annotations

from girder_worker.app import app

from . import dispatch, run
from .celery_json import PlainTask

#: A message is acknowledged when the task ends, so that the broker gives it to another worker if one dies.
_OPTIONS = {'base': PlainTask, 'acks_late': True, 'reject_on_worker_lost': True, 'ignore_result': True}


@app.task(name=dispatch.STITCH, **_OPTIONS)
def stitch(sessionId: str, attempt: str) -> None:
    """Run one attempt of a session's job.

    :param sessionId: the session.
    :param attempt: the attempt that the session was moved to finalizing with.
    """
    run.run_attempt(sessionId, attempt)


@app.task(name=dispatch.STITCH_PARTS, **_OPTIONS)
def stitch_parts(sessionId: str, attempt: str) -> None:
    """Make parts of an image that another worker has divided into parts, as long as there are any."""
    run.make_parts(sessionId, attempt)
