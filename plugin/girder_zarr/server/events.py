"""What happens in a Girder server that this plugin takes part in."""

from __future__ import annotations

from girder import events

from . import durable, finalize, imports, parts, patch_files, quota, upload_guard, uploads
from .sessions import HANDLER, follow_folders


def bind_server() -> None:
    """Bind all handlers."""
    follow_folders()
    parts.follow()
    quota.follow()
    quota.follow_check()
    events.bind(upload_guard.EVENT, HANDLER, upload_guard.refuse_unreadable)
    events.bind('rest.post.file.before', HANDLER, uploads.check_upload)
    events.bind('model.upload.finalize', HANDLER, uploads.take_upload)
    events.bind('data.process', HANDLER, uploads.make_patch)
    events.bind('model.upload.remove', HANDLER, durable.drop_contents)
    events.bind('model.file.finalizeUpload.before', HANDLER, patch_files.attach_upload)
    imports.install()
    imports.bind()
    events.bind('jobs.job.update.after', HANDLER, finalize.follow_job)
