"""The Celery tasks that make the image of a session, on a queue whose workers reach the database."""

from __future__ import annotations

from girder_worker.app import app

from . import dispatch, run
from .celery_json import PlainTask

#: A message is acknowledged when a process takes it: it only wakes a worker, and what a worker that dies has
#: not done the reaper sends again. RabbitMQ takes a message that is acknowledged when the task ends for lost
#: after half an hour, closes the channel, and gives it to others while the job still runs.
_OPTIONS = {'base': PlainTask, 'acks_late': False, 'ignore_result': True}


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
