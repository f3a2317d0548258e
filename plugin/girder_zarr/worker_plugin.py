"""What the plugin adds to a Girder worker."""

from __future__ import annotations

from typing import Any

from girder_worker import GirderWorkerPluginABC

from girder_zarr.server import girder3


class ZarrWorkerPlugin(GirderWorkerPluginABC):
    """Tasks, and the same tile sources, models and events as in the server.

    A worker on queue ``local`` deletes folders and imports files, so that it needs them too. Nothing here may
    need the database: workers on other queues have none. A worker of Girder 3 gets nothing: it makes no
    sessions, and large_image finds the tile source by itself.
    """

    def __init__(self, app: Any, *_args: Any, **_kwargs: Any) -> None:
        self.app = app
        if not girder3.has_sessions():
            return
        from girder_zarr.server.jobs import job_transitions, workdir
        from girder_zarr.server.leases import part_lease
        from girder_zarr.server.maintenance.folder_removal import bind_folder_removal
        from girder_zarr.server.patches.model import register_models
        from girder_zarr.server.preview import overview_store
        from girder_zarr.server.sessions import quota
        from girder_zarr.server.settings import polled
        from girder_zarr.server.tile_sources import imports, priorities
        from girder_zarr.server.tile_sources import tile_source as tilesource

        tilesource.prefer_ours()
        register_models()
        priorities.install()
        bind_folder_removal()
        overview_store.subscribe()
        job_transitions.install()
        part_lease.follow()
        quota.follow()
        quota.install_in_worker()
        imports.install()
        polled.install()
        workdir.sweep_with_each_worker()

    def task_imports(self) -> list[str]:
        """Return the modules that hold tasks."""
        return ['girder_zarr.server.jobs.tasks'] if girder3.has_sessions() else []
