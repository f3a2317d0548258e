"""What happens in a Girder server that this plugin takes part in."""

from __future__ import annotations

from girder import events

from girder_zarr.server.sessions.model import HANDLER, follow_folders

from .ingest import girder_uploads as uploads
from .jobs import finalize
from .leases import part_lease
from .patches import files as patch_files
from .sessions import quota
from .storage import durable_files
from .tile_sources import imports, upload_check


def bind_server() -> None:
    """Bind all handlers."""
    follow_folders()
    part_lease.follow()
    quota.follow()
    quota.follow_check()
    events.bind(upload_check.EVENT, HANDLER, upload_check.refuse_unreadable)
    events.bind('rest.post.file.before', HANDLER, uploads.check_upload)
    events.bind('model.upload.finalize', HANDLER, uploads.take_upload)
    events.bind('data.process', HANDLER, uploads.make_patch)
    events.bind('model.upload.remove', HANDLER, durable_files.drop_contents)
    events.bind('model.file.finalizeUpload.before', HANDLER, patch_files.attach_upload)
    imports.install()
    imports.bind()
    events.bind('jobs.job.update.after', HANDLER, finalize.follow_job)
