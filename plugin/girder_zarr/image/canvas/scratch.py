"""A folder for temporary data, removed on close, garbage collection and exit, or by the next run."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
import weakref
from pathlib import Path

from girder_zarr.errors import EditError

try:
    import fcntl
except ImportError as exc:
    raise ImportError(
        'girder_zarr.image needs the file locks of Linux, macOS or another POSIX system (the module fcntl), '
        'which Windows does not have; the Windows Subsystem for Linux does'
    ) from exc

# Of its own: the jobs, the demo and other folders of ours must not match it.
_PREFIX = 'girder-zarr-new-'
_LOCK = 'lock'
#: A folder without a lock is left alone for so many seconds: its owner may be about to take the lock.
_GRACE = 60.0


class Scratch:
    """A folder below the temporary directory, made when it is first asked for.

    The owner holds a lock on a file inside; a folder whose lock is free belongs to nobody.

    :param name: makes the folder's name unique, and lets another process find it.
    :param parent: where; None: what ``TMPDIR`` says.
    """

    def __init__(self, name: str, parent: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(parent or tempfile.gettempdir(), _PREFIX + name)
        self._lock: int | None = None
        self._guard = threading.Lock()
        self._finalizer: weakref.finalize[..., Scratch] | None = None

    def directory(self) -> Path:
        """Return the folder, which exists from now on until :meth:`close`."""
        with self._guard:
            if self._finalizer is None:
                sweep(self.path.parent)
                try:
                    self.path.mkdir(mode=0o700)
                    self._lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
                except OSError as exc:
                    raise EditError(f'Temporary data cannot be written to {self.path}: {exc}') from exc
                fcntl.flock(self._lock, fcntl.LOCK_EX)
                self._finalizer = weakref.finalize(self, _remove, self.path, self._lock, os.getpid())
        return self.path

    def leave(self) -> None:
        """Leave the folder to the process that this one was forked from."""
        self._guard = threading.Lock()
        if self._finalizer is not None and self._lock is not None:
            self._finalizer.detach()
            os.close(self._lock)
            self._lock = None

    def close(self) -> None:
        """Remove the folder and all it holds."""
        if self._finalizer is not None:
            self._finalizer()
            self._finalizer = None


def _remove(path: Path, lock: int, owner: int) -> None:
    """Remove the folder, unless this process is a fork of its owner."""
    if os.getpid() == owner:
        # under another name first: what other processes would still add has nowhere to go from now on
        gone = path.with_name(f'{path.name}.gone')
        with contextlib.suppress(OSError):
            path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.close(lock)


def sweep(parent: Path) -> None:
    """Remove what processes that are gone have left behind."""
    for path in parent.glob(_PREFIX + '*'):
        with contextlib.suppress(OSError):
            if (
                path.stat().st_uid == os.getuid()
                and time.time() - path.stat().st_mtime > _GRACE
                and _is_free(path)
            ):
                shutil.rmtree(path, ignore_errors=True)


def is_owned(path: Path) -> bool:
    """Return whether there is such a folder and its owner lives."""
    try:
        handle = os.open(path / _LOCK, os.O_RDWR)
    except OSError:
        return False
    return not _can_lock(handle, fcntl.LOCK_SH)


def _is_free(path: Path) -> bool:
    return _can_lock(os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_EX)


def _can_lock(handle: int, kind: int) -> bool:
    """Return whether a file can be locked now, and close it."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True
