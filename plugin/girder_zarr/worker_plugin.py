"""The plugin of a Girder worker."""

from __future__ import annotations

from typing import Any

from girder_worker import GirderWorkerPluginABC

from girder_zarr.image.store import stores
from girder_zarr.server import girder3


class ZarrWorkerPlugin(GirderWorkerPluginABC):
    """Tasks, and the same tile sources, models and events as in the server.

    A worker on queue ``local`` deletes folders and imports files, so that it needs them too. Nothing here may
    need the database: workers on other queues have none. A worker of Girder 3 makes no sessions, and
    large_image finds the tile source by itself; it follows no links.
    """

    def __init__(self, app: Any, *_args: Any, **_kwargs: Any) -> None:
        self.app = app
        stores.bind_links(tuple)
        if not girder3.has_sessions():
            return
        # Nothing of these may import girder_worker.app, which is being made while its plugins are.
        from girder_zarr.server.jobs import workdir
        from girder_zarr.server.leases import part_lease
        from girder_zarr.server.maintenance.folder_removal import bind_folder_removal
        from girder_zarr.server.patches.model import register_models
        from girder_zarr.server.preview import overview_store
        from girder_zarr.server.sessions import lost_image, quota
        from girder_zarr.server.settings import polled
        from girder_zarr.server.tile_sources import imports, priorities, tile_source

        _outlive_closed_channels(self.app)
        tile_source.prefer_ours()
        register_models()
        priorities.install()
        bind_folder_removal()
        overview_store.subscribe()
        _allow_job_transitions()
        part_lease.bind()
        quota.bind()
        lost_image.bind()
        quota.install_in_worker()
        imports.install()
        polled.install()
        workdir.sweep_with_each_worker()

    def task_imports(self) -> list[str]:
        """Return the modules that hold tasks."""
        if not girder3.has_sessions():
            return []
        return ['girder_zarr.server.jobs.tasks', 'girder_zarr.server.source_runs.source_tasks']


def _outlive_closed_channels(app: Any) -> None:
    """Let a worker connect again when RabbitMQ closes its channel, where Celery ends it by default.

    RabbitMQ does so when a message waits in the worker, behind others, for longer than ``consumer_timeout``.
    """
    if app is not None:
        app.conf.broker_channel_error_retry = True


def _allow_job_transitions() -> None:
    """Let a worker change a job's status as girder_worker's plugin lets a server do."""
    from girder import events

    events.bind('jobs.status.validate', girder3.HANDLER, _validate_job_status)
    events.bind('jobs.status.validTransitions', girder3.HANDLER, _valid_job_transitions)


# These import late, since girder_plugin_worker needs girder_worker.app too.


def _validate_job_status(event: Any) -> None:
    from girder_plugin_worker.event_handlers import validateJobStatus

    validateJobStatus(event)


def _valid_job_transitions(event: Any) -> None:
    from girder_plugin_worker.event_handlers import validTransitions

    validTransitions(event)
