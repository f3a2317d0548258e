"""Celery messages of ours: plain JSON, whatever else girder_worker's app accepts.

girder_worker sends its tasks through jsonpickle, and decodes every message of type ``application/json`` with
it, because it registers its serializer under that type. Ours have a type of their own, which nothing but the
JSON of the standard library decodes.
"""

from __future__ import annotations

import json
from typing import Any

import celery
import girder_worker.task
from girder_worker.app import app
from kombu.serialization import register

SERIALIZER = 'girder_zarr_json'
CONTENT_TYPE = 'application/vnd.girder-zarr+json'
#: What girder_worker would otherwise fill in; no task of ours calls back over HTTP.
_HEADERS = {
    'girder_job_disable': True,
    'girder_api_url': 'http://girder.invalid/api/v1',
    'girder_client_token': '',
}
_local: dict[str, PlainTask] = {}

register(SERIALIZER, json.dumps, json.loads, content_type=CONTENT_TYPE, content_encoding='utf-8')  # type: ignore[no-untyped-call]
app.conf.accept_content = [*app.conf.accept_content, SERIALIZER]


class PlainTask(girder_worker.task.Task):
    """A task whose message is JSON, and for which girder_worker makes no job: we make our own."""

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Send the task; parameters are those of Celery."""
        return celery.Task.apply_async(self, args=args, kwargs=kwargs, **_as_json(options))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task with the arguments of its message."""
        return celery.Task.__call__(self, *args, **kwargs)


def send(name: str, kwargs: dict[str, Any], **options: Any) -> None:
    """Send the message of a task by the task's name; this process need not have imported the task.

    :param options: those of `celery.Task.apply_async`.
    :raises Exception: the broker cannot be reached; which exception depends on the broker.
    """
    # `send_task` would send a message even where tasks run at once.
    if app.conf.task_always_eager and name in _local:
        _local[name].apply_async(kwargs=kwargs, **options)
    else:
        app.send_task(name, kwargs=kwargs, ignore_result=True, **_as_json(options))


def register_local(*tasks: PlainTask) -> None:
    """Make tasks known to `send` in a process that runs them at once (Celery's ``task_always_eager``)."""
    _local.update({task.name: task for task in tasks})


def _as_json(options: dict[str, Any]) -> dict[str, Any]:
    headers = {**_HEADERS, **(options.get('headers') or {})}
    return {**options, 'headers': headers, 'serializer': SERIALIZER}
