"""A folder that is removed takes its sessions with it, in servers and workers: both remove folders."""

from __future__ import annotations

from typing import Any

from girder import events

from girder_zarr.server.common.names import HANDLER


def bind_folder_removal() -> None:
    """Remove a folder's sessions with it."""
    events.bind('model.folder.remove', HANDLER, _folder_removed)


def _folder_removed(event: Any) -> None:
    # Not before it is needed: it imports the app of girder_worker, which loads this very plugin meanwhile.
    from .removal import remove_in_folder

    remove_in_folder(event.info['_id'])
