"""Temporary folders that go with the process that made them, or with the next one after it was killed.

The owner holds a lock (flock) on a file inside. The system releases it when the process ends in whatever
way, so that a folder whose lock is free is abandoned. A folder is made under another name, gets its lock
there and is renamed; so none is ever seen without one under its own name.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
import uuid
import weakref
from dataclasses import dataclass
from pathlib import Path

try:
    import fcntl
except ImportError as exc:
    raise ImportError(
        'girder_zarr.image needs the file locks of Linux, macOS or another POSIX system (the module fcntl), '
        'which Windows does not have; the Windows Subsystem for Linux does'
    ) from exc

#: Seconds for which a folder without a lock, or under its first name, is left alone: its owner may be about
#: to take the lock. That takes microseconds; a machine that swaps may need longer.
GRACE = 60.0
_NEW = 'new-'


@dataclass(frozen=True, slots=True)
class FolderKind:
    """Folders that are swept together.

    Releases that run beside each other must agree on both, and kinds must not begin with each other.

    :param prefix: how the names of the folders begin.
    :param lock: the name of the file that the owner locks.
    """

    prefix: str
    lock: str

    def sweep(self, parent: Path) -> None:
        """Remove the abandoned folders of this kind and user; errors leave a folder where it is.

        :param parent: the folder that they lie in.
        """
        for path in parent.glob(f'{self.prefix}*'):
            with contextlib.suppress(OSError):
                found = path.stat()
                if found.st_uid == os.getuid() and self._is_abandoned(path, time.time() - found.st_mtime):
                    shutil.rmtree(path, ignore_errors=True)

    def _is_abandoned(self, path: Path, age: float) -> bool:
        unfinished = path.name.startswith(self.prefix + _NEW) or not (path / self.lock).exists()
        if unfinished and age < GRACE:
            return False
        try:
            handle = os.open(path / self.lock, os.O_RDWR)
        except FileNotFoundError:
            return True
        return _can_lock(handle, fcntl.LOCK_EX)

    def is_owned(self, path: Path) -> bool:
        """Return whether there is such a folder and its owner lives."""
        try:
            handle = os.open(path / self.lock, os.O_RDWR)
        except OSError:
            return False
        return not _can_lock(handle, fcntl.LOCK_SH)


class OwnedFolder:
    """A folder below the temporary directory, made when it is first asked for, readable by this user alone.

    It is removed on :meth:`close`, garbage collection and exit of this process, or by the sweep of another.

    :param kind: whose abandoned folders are swept before this one is made.
    :param name: makes the folder's name unique, and lets another process find it.
    :param parent: where; None: what ``TMPDIR`` says.
    """

    def __init__(self, kind: FolderKind, name: str, parent: str | os.PathLike[str] | None = None) -> None:
        self.kind = kind
        self.path = Path(parent or tempfile.gettempdir(), kind.prefix + name)
        self._lock: int | None = None
        self._guard = threading.Lock()
        self._finalizer: weakref.finalize[..., OwnedFolder] | None = None

    def directory(self) -> Path:
        """Return the folder, which exists from now on until :meth:`close`.

        :raises OSError: it cannot be made.
        """
        with self._guard:
            if self._finalizer is None:
                self.kind.sweep(self.path.parent)
                self._lock = self._make()
                self._finalizer = weakref.finalize(self, _remove, self.path, self._lock, os.getpid())
        return self.path

    def _make(self) -> int:
        """Make the folder; return the handle that holds its lock."""
        if self.path.exists():
            raise FileExistsError(f'{self.path} exists already')
        new = self.path.with_name(f'{self.kind.prefix}{_NEW}{uuid.uuid4().hex}')
        new.mkdir(mode=0o700)
        try:
            lock = os.open(new / self.kind.lock, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                new.rename(self.path)
            except BaseException:
                os.close(lock)
                raise
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        return lock

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
        # Under another name first: what other processes would still add has nowhere to go from now on.
        gone = path.with_name(f'{path.name}.gone')
        with contextlib.suppress(OSError):
            path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.close(lock)


def _can_lock(handle: int, kind: int) -> bool:
    """Return whether a file can be locked now, and close it."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True
