"""Registration of the plugin in a server of Girder 5: models, routes, events, threads.

See worker_plugin.py for what it registers in a worker.
"""

from __future__ import annotations

from typing import Any

from girder import events
from girder.plugin import getPlugin

from . import web_client
from .api import administration, item_bounds, source_run_routes, zarr_links
from .api import sessions as session_routes
from .api import tile_sources as tile_source_routes
from .common.names import HANDLER
from .iiif import iiif_app
from .ingest import girder_uploads
from .jobs import celery_json, cleanup, finalize, girder_job, tasks
from .leases import part_lease
from .maintenance import reaper
from .maintenance.folder_removal import bind_folder_removal
from .patches import files as patch_files
from .patches import migration
from .patches.model import register_models
from .preview import builder, overview_store
from .sessions import lost_image, quota
from .settings import polled, session_limits
from .share import downloads, links, mount
from .source_runs import source_jobs, source_tasks
from .storage import target
from .tile_sources import imports, saved_results, tile_source, upload_check


def load(info: dict[str, Any]) -> None:
    """Register everything in a server; each line is one thing that the server can do afterwards.

    :param info: what Girder gives the ``load`` of plugins: the roots of its routes.
    """
    for required in ('jobs', 'worker', 'large_image'):
        getPlugin(required).load(info)
    tile_source.take_over()
    saved_results.install()
    register_models()
    girder_job.ensure_index()
    cleanup.ensure_index()
    migration.rename_lock_fields()
    session_routes.register(info)
    tile_source_routes.register(info)
    zarr_links.register(info)
    mount.install(iiif_app.add_routes)
    administration.register(info)
    source_run_routes.register(info)
    polled.install()
    _bind_events()
    celery_json.register_local(tasks.stitch, tasks.stitch_parts, source_tasks.look_through_sources)
    web_client.register(info)
    reaper.start()


def _bind_events() -> None:
    """Bind the handlers of a server."""
    bind_folder_removal()
    overview_store.subscribe()
    builder.subscribe()
    part_lease.bind()
    session_limits.bind()
    quota.bind()
    quota.bind_check()
    links.bind()
    lost_image.bind()
    events.bind(upload_check.EVENT, HANDLER, upload_check.refuse_unreadable)
    events.bind('rest.post.file.before', HANDLER, girder_uploads.check_upload)
    events.bind('model.upload.finalize', HANDLER, girder_uploads.take_upload)
    for change in ('save.after', 'remove'):
        events.bind(f'model.assetstore.{change}', HANDLER, target.forget)
    events.bind('data.process', HANDLER, girder_uploads.make_patch)
    events.bind('model.upload.remove', HANDLER, girder_uploads.drop_contents)
    events.bind('model.file.finalizeUpload.before', HANDLER, patch_files.attach_upload)
    imports.install()
    imports.bind()
    item_bounds.bind()
    downloads.install()
    events.bind('jobs.job.update.after', HANDLER, finalize.job_changed)
    events.bind('jobs.job.update.after', f'{HANDLER}.sources', source_jobs.job_changed)
