"""The data folder of the stack, and the claims (lock, port) that keep two stacks from sharing anything."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path

from girder_zarr.errors import StackError

#: After its supervisor was killed the parts of a stack need a moment to end.
PATIENCE_SECONDS = 5.0
#: What the kernel accepts as the path of a Unix socket, less what the server may append to it.
LONGEST_SOCKET_PATH = 90
#: What the names of our temporary folders begin with.
PREFIX = 'girder-zarr-'


class DataFolder:
    """The folder behind ``--data``: database, assetstore, logs and what only lives while the stack runs."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).resolve()
        self.database = self.path / 'database'
        self.assetstore = self.path / 'assetstore'
        self.logs = self.path / 'logs'
        self.run = self.path / 'run'
        self.lock_path = self.run / 'lock'
        self._temporary_path = self.run / 'temporary'
        self._temporary: Path | None = None
        self._lock: int | None = None
        self._socket_folder: tempfile.TemporaryDirectory[str] | None = None

    def claim(self) -> None:
        """Create the folder where needed and lock it.

        :raises StackError: the folder cannot be written, or another stack uses it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            for private in (self.run, self.database, self.logs, self.assetstore):
                private.mkdir(exist_ok=True, mode=0o700)
            self._close_to_others()
            self._lock = os.open(self.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            msg = f'The data folder {self.path} cannot be used: {error.strerror}.'
            raise StackError(msg) from error
        self._wait_for_lock()
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def _close_to_others(self) -> None:
        """Take the folders that are the stack's own, also those of former versions, from all other users."""
        own = [self.run, self.database, self.logs, self.assetstore]
        if {entry.name for entry in self.path.iterdir()} <= {folder.name for folder in own}:
            own.append(self.path)  # and no folder with other files in it, such as a home
        for folder in own:
            status = folder.stat()
            if status.st_uid == os.getuid() and status.st_mode & 0o077:
                folder.chmod(0o700)

    def _wait_for_lock(self) -> None:
        assert self._lock is not None
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                owner = os.pread(self._lock, 20, 0).decode(errors='replace')
                # The database holds the lock as well: it is free once the files are, not the supervisor.
                if is_running(owner) or time.monotonic() > deadline:
                    self.release()
                    used_by = f' (process {owner})' if owner else ''
                    msg = f'The data folder {self.path} is in use by another girder-zarr{used_by}.'
                    raise StackError(msg) from None
                time.sleep(0.05)
            else:
                return

    @property
    def lock(self) -> int:
        """The descriptor of the lock, for a child that has to inherit it."""
        assert self._lock is not None
        return self._lock

    def temporary(self, part: str) -> Path:
        """Return the folder for a part's temporary files; `Part.start` makes it, new and empty.

        It lies below the system's folder for such files (``TMPDIR``), where paths are short and there may be
        more space. What a killed supervisor left there is removed at the next start.
        """
        if self._temporary is None:
            with contextlib.suppress(FileNotFoundError):
                left = Path(self._temporary_path.read_text(encoding='utf-8'))
                if left.name.startswith(PREFIX):
                    shutil.rmtree(left, ignore_errors=True)
            self._temporary = Path(tempfile.mkdtemp(prefix=PREFIX))
            self._temporary_path.write_text(str(self._temporary), encoding='utf-8')
        return self._temporary / part

    def release(self) -> None:
        """Give the lock back, and remove what is temporary."""
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary_path.unlink(missing_ok=True)
            self._temporary = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self._socket_folder is not None:
            self._socket_folder.cleanup()
            self._socket_folder = None

    def socket_path(self) -> Path:
        """Return where the broker's Unix socket goes; only this user can enter the folder it lies in."""
        path = self.run / 'broker.sock'
        if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
            self._socket_folder = tempfile.TemporaryDirectory(prefix=PREFIX)
            path = Path(self._socket_folder.name) / 'broker.sock'
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        return path


def is_running(pid: str) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def claim_port(host: str, port: int) -> socket.socket:
    """Return a socket that listens already, so that no other program can take the port; 0 takes any free one.

    Until the server is there to answer, clients wait.

    :raises StackError: the address is no address of this machine, or the port is in use or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, OverflowError) as error:
        msg = f'The host {host} is not an address to listen at: {error}.'
        raise StackError(msg) from error
    claimed = socket.socket(family, kind, protocol)
    try:
        claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        claimed.bind(address)
        # With SO_REUSEADDR two sockets may be bound while neither listens: only listening reserves the port.
        claimed.listen(1024)
    except OSError as error:
        claimed.close()
        msg = f'Port {port} on {host} cannot be used: {error.strerror}; choose another with --port.'
        raise StackError(msg) from error
    return claimed


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])
