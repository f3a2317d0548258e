"""A folder for what a job writes, gone with its process.

What a killed one left is removed by the process that takes its place, or by the next job.
"""

from __future__ import annotations

import contextlib
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery.signals import worker_process_init

from girder_zarr.common.owned_folder import FolderKind, OwnedFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

WORK_FOLDERS = FolderKind(prefix='girder-zarr-stitch-', lock='.lock')


@contextlib.contextmanager
def work_folder(name: str) -> Iterator[Path]:
    """Yield a new folder below the temporary directory (what ``TMPDIR`` says).

    :param name: a part of its name.
    """
    folder = OwnedFolder(WORK_FOLDERS, f'{name}-{uuid.uuid4().hex[:12]}')
    try:
        yield folder.directory()
    finally:
        folder.close()


def sweep() -> None:
    """Remove the folders of processes that have ended, whose locks are free."""
    WORK_FOLDERS.sweep(Path(tempfile.gettempdir()))


def sweep_with_each_worker() -> None:
    """Sweep wherever a process of a worker begins, as one does at once for another that was killed."""
    worker_process_init.connect(_process_begins, weak=False, dispatch_uid='girder_zarr.work_folder')


def _process_begins(**_: Any) -> None:
    sweep()
