"""Ranged reads of one file, wherever it lies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol, runtime_checkable

from girder_zarr.errors import MissingImageError, UnreadableImageError


@runtime_checkable
class ByteSource(Protocol):
    """One file that can be read in pieces. Safe under many threads."""

    @property
    def name(self) -> str:
        """What to call the file in messages."""

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
    :raises MissingImageError: there is no such file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.name = str(path)
        try:
            status = self.path.stat()
        except (OSError, ValueError):
            msg = f'There is no file {self.name}.'
            raise MissingImageError(msg) from None
        self.size = status.st_size
        self.identity = file_identity(status)

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly ``length`` bytes from ``offset``.

        :raises UnreadableImageError: there are not that many, or the file is gone or was replaced.
        """
        if offset < 0 or length < 0 or offset + length > self.size:
            msg = f'{self.name} ends at byte {self.size}; bytes {offset} to {offset + length} were asked for.'
            raise UnreadableImageError(msg)
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
            try:
                if file_identity(os.fstat(descriptor)) != self.identity:
                    msg = f'{self.name} has changed since it was opened.'
                    raise UnreadableImageError(msg)
                data = os.pread(descriptor, length, offset)
                while len(data) < length:
                    more = os.pread(descriptor, length - len(data), offset + len(data))
                    if not more:
                        msg = f'{self.name} ends before byte {offset + length}.'
                        raise UnreadableImageError(msg)
                    data += more
            finally:
                os.close(descriptor)
        except OSError as error:
            msg = f'{self.name} cannot be read: {error.strerror or error}.'
            raise UnreadableImageError(msg) from None
        return data
