"""The Celery task that looks through items, on a queue whose workers reach the database."""

from __future__ import annotations

from girder_worker.app import app

from girder_zarr.server.jobs.celery_json import PlainTask

from . import look_through
from .source_jobs import LOOK_THROUGH

#: A message only wakes a worker; see jobs/tasks.
_OPTIONS = {'base': PlainTask, 'acks_late': False, 'ignore_result': True}


@app.task(name=LOOK_THROUGH, **_OPTIONS)
def look_through_sources(runId: str) -> None:
    """Do the work of a run.

    :param runId: the run.
    """
    look_through.run_through(runId)
