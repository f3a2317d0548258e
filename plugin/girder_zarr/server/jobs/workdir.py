"""A folder for what a job writes, gone with its process.

What a killed one left is removed by the process that takes its place, or by the next job.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery.signals import worker_process_init

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = 'girder-zarr-stitch-'
_LOCK = '.lock'
#: Folders whose owners may be about to take the lock, so that they are left alone for so many seconds.
_NEW = _PREFIX + 'new-'
_GRACE = 60.0


@contextlib.contextmanager
def work_folder(name: str) -> Iterator[Path]:
    """Yield a new folder below the temporary directory (what ``TMPDIR`` says).

    :param name: a part of its name.
    """
    sweep()
    path = Path(tempfile.gettempdir(), f'{_PREFIX}{name}-{uuid.uuid4().hex[:12]}')
    new = Path(tempfile.mkdtemp(prefix=_NEW))
    try:
        with (new / _LOCK).open('x') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            new.rename(path)
            yield path
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(path, ignore_errors=True)


def sweep() -> None:
    """Remove the folders of processes that are gone: nobody holds their locks any more."""
    for path in Path(tempfile.gettempdir()).glob(f'{_PREFIX}*'):
        with contextlib.suppress(OSError):
            found = path.stat()
            young = path.name.startswith(_NEW) and time.time() - found.st_mtime < _GRACE
            if found.st_uid == os.getuid() and not young and _is_free(path):
                shutil.rmtree(path, ignore_errors=True)


def sweep_with_each_worker() -> None:
    """Sweep wherever a process of a worker begins, as one does at once for another that was killed."""
    worker_process_init.connect(_process_begins, weak=False, dispatch_uid='girder_zarr.work_folder')


def _process_begins(**_: Any) -> None:
    sweep()


def _is_free(path: Path) -> bool:
    try:
        lock = (path / _LOCK).open('r+')
    except FileNotFoundError:
        return True
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
