"""What the plugin adds to a Girder worker."""

from __future__ import annotations

from typing import Any

from girder_worker import GirderWorkerPluginABC

from .server import girder3


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
        from .server import (
            followed,
            imports,
            job_transitions,
            parts,
            priorities,
            quota,
            sessions,
            tilesource,
            work_folder,
        )

        tilesource.prefer_ours()
        sessions.register_models()
        priorities.install()
        sessions.follow_folders()
        job_transitions.install()
        parts.follow()
        quota.follow()
        quota.install_in_worker()
        imports.install()
        followed.install()
        work_folder.sweep_with_each_worker()

    def task_imports(self) -> list[str]:
        """Return the modules that hold tasks."""
        return ['girder_zarr.server.tasks'] if girder3.has_sessions() else []
