"""A folder for what a job writes, gone with its process: what a killed one left, the next job removes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = 'girder-zarr-stitch-'
_LOCK = '.lock'
#: A folder without a lock is left alone for so many seconds: its owner may be about to take the lock.
_GRACE = 60.0


@contextlib.contextmanager
def work_folder(name: str) -> Iterator[Path]:
    """Yield a new folder below the temporary directory (what ``TMPDIR`` says).

    :param name: a part of its name.
    """
    sweep()
    path = Path(tempfile.gettempdir(), f'{_PREFIX}{name}-{uuid.uuid4().hex[:12]}')
    path.mkdir(mode=0o700)
    try:
        with (path / _LOCK).open('x') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def sweep() -> None:
    """Remove the folders of processes that are gone: nobody holds their locks any more."""
    for path in Path(tempfile.gettempdir()).glob(f'{_PREFIX}*'):
        with contextlib.suppress(OSError):
            found = path.stat()
            if found.st_uid == os.getuid() and time.time() - found.st_mtime > _GRACE and _is_free(path):
                shutil.rmtree(path, ignore_errors=True)


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
