"""Ranged reads of one file, wherever it lies."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from girder_zarr.errors import MissingImageError, UnreadableImageError

if TYPE_CHECKING:
    from collections.abc import Iterator


#: Of `os.preadv`; Linux has it.
_NO_WAIT = getattr(os, 'RWF_NOWAIT', 0)


@runtime_checkable
class ByteSource(Protocol):
    """One file that can be read in pieces. Safe under many threads."""

    @property
    def name(self) -> str:
        """The name of the file in messages."""

    @property
    def size(self) -> int:
        """The number of bytes."""

    @property
    def identity(self) -> str:
        """A text that changes when the content changes."""

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly ``length`` bytes from ``offset``.

        :raises UnreadableImageError: there are not that many, or they cannot be read.
        """


def file_identity(status: os.stat_result) -> str:
    """Return a text that changes when a file's content changes."""
    return f'{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}'


class FileBytes:
    """A local file. It is opened for each read, so that a deleted file does not go on taking space.

    :param path: the file.
    :param name: what messages call it, its path if not given.
    :raises MissingImageError: there is no such file.
    """

    def __init__(self, path: str | os.PathLike[str], *, name: str | None = None) -> None:
        self.path = Path(path)
        self._path = str(self.path)
        self.name = str(path) if name is None else name
        try:
            status = self.path.stat()
        except (OSError, ValueError):
            msg = f'There is no file {self.name}.'
            raise MissingImageError(msg) from None
        self.size = status.st_size
        self.identity = file_identity(status)
        self._same = status.st_ino, status.st_mtime_ns, status.st_size, status.st_dev
        #: Whether the file system says what is in memory.
        self._tells_cached = _NO_WAIT != 0

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly ``length`` bytes from ``offset``.

        :raises UnreadableImageError: there are not that many, or the file is gone or was replaced.
        """
        self._check(offset, length)
        try:
            with self._opened() as descriptor:
                data = os.pread(descriptor, length, offset)
                while len(data) < length:
                    more = os.pread(descriptor, length - len(data), offset + len(data))
                    if not more:
                        break
                    data += more
        except OSError as error:
            raise self._unreadable(error) from None
        self._check_length(len(data), offset, length)
        return data

    def read_into(self, offset: int, memory: memoryview) -> None:
        """Fill ``memory`` with the bytes from ``offset``; see :meth:`read`."""
        length = len(memory)
        self._check(offset, length)
        done = 0
        try:
            with self._opened() as descriptor:
                while done < length:
                    count = os.preadv(descriptor, [memory[done:]], offset + done)
                    if not count:
                        break
                    done += count
        except OSError as error:
            raise self._unreadable(error) from None
        self._check_length(done, offset, length)

    def read_cached(self, offset: int, length: int) -> memoryview | None:
        """Return bytes that the system has in memory, or None where it would have to wait for the disk.

        :raises UnreadableImageError: see :meth:`read`.
        """
        self._check(offset, length)
        if not self._tells_cached:
            return None
        data = np.empty(length, np.uint8).data  # not cleared before it is filled
        try:
            descriptor = os.open(self._path, os.O_RDONLY)
            try:
                self._check_same(os.fstat(descriptor))
                found = os.preadv(descriptor, [data], offset, _NO_WAIT)
            finally:
                os.close(descriptor)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                self._tells_cached = False
                return None
            raise self._unreadable(error) from None
        return data if found == length else None

    def _check_same(self, status: os.stat_result) -> None:
        if (status.st_ino, status.st_mtime_ns, status.st_size, status.st_dev) != self._same:
            msg = f'{self.name} has changed since it was opened.'
            raise UnreadableImageError(msg)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        descriptor = os.open(self._path, os.O_RDONLY)
        try:
            self._check_same(os.fstat(descriptor))
            yield descriptor
        finally:
            os.close(descriptor)

    def _unreadable(self, error: OSError) -> UnreadableImageError:
        return UnreadableImageError(f'{self.name} cannot be read: {error.strerror or error}.')

    def _check_length(self, found: int, offset: int, length: int) -> None:
        if found < length:
            msg = f'{self.name} ends before byte {offset + length}.'
            raise UnreadableImageError(msg)

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.size:
            msg = f'{self.name} ends at byte {self.size}; bytes {offset} to {offset + length} were asked for.'
            raise UnreadableImageError(msg)
