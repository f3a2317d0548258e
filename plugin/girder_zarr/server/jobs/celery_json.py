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

register(SERIALIZER, json.dumps, json.loads, content_type=CONTENT_TYPE, content_encoding='utf-8')
app.conf.accept_content = [*app.conf.accept_content, SERIALIZER]


class PlainTask(girder_worker.task.Task):
    """A task whose message is JSON, and of which girder_worker makes no job: that is ours to keep."""

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Send the task; parameters are those of Celery."""
        headers = {**_HEADERS, **(options.pop('headers', None) or {})}
        return celery.Task.apply_async(
            self, args=args, kwargs=kwargs, headers=headers, serializer=SERIALIZER, **options
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task with what the message says."""
        return celery.Task.__call__(self, *args, **kwargs)
