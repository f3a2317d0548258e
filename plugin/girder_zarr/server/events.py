"""What happens in a Girder server that this plugin takes part in."""

from __future__ import annotations

from girder import events

from girder_zarr.server.common.names import HANDLER

from .ingest import girder_uploads as uploads
from .jobs import finalize
from .leases import part_lease
from .maintenance.folder_removal import bind_folder_removal
from .patches import files as patch_files
from .preview import builder, overview_store
from .sessions import quota
from .tile_sources import imports, upload_check


def bind_server() -> None:
    """Bind all handlers."""
    bind_folder_removal()
    overview_store.subscribe()
    builder.subscribe()
    part_lease.follow()
    quota.follow()
    quota.follow_check()
    events.bind(upload_check.EVENT, HANDLER, upload_check.refuse_unreadable)
    events.bind('rest.post.file.before', HANDLER, uploads.check_upload)
    events.bind('model.upload.finalize', HANDLER, uploads.take_upload)
    events.bind('data.process', HANDLER, uploads.make_patch)
    events.bind('model.upload.remove', HANDLER, uploads.drop_contents)
    events.bind('model.file.finalizeUpload.before', HANDLER, patch_files.attach_upload)
    imports.install()
    imports.bind()
    events.bind('jobs.job.update.after', HANDLER, finalize.follow_job)
