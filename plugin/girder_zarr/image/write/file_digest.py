"""The digest of a file, made beside the threads that write it, and its way to the disk begun meanwhile.

Hashing what was written, and waiting for the disk, take half of the time in which the chunks of an image
are made, with one processor at work or none. Two threads that follow the growing file do both meanwhile: one
hashes, and another, which waits where the disk has more to do than it takes at once, sends it to the disk.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Bytes that are hashed at a time, without the interpreter's lock: what stays in a processor's own cache.
_PIECE = 2**20
#: Bytes for which the thread wakes up: each time it takes the interpreter's lock from those who make chunks.
_WAKE = 2**22
#: Bytes that are sent to the disk at a time.
_SENT = 2**23
#: From Linux's fs.h: begin to write pages to the disk, and do not wait for it.
_BEGIN = 2


class FileDigest:
    """The digest of one file that is written from its beginning to its end.

    :param new: returns a new hash object.
    """

    def __init__(self, new: Callable[[], Any] = hashlib.sha512) -> None:
        #: The hash object; of the whole file where :meth:`covers` says so.
        self.hash = new()
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        self._end = self._done = 0
        self._finished = self._failed = False
        self._file: tuple[int, int] | None = None

    def begin(self, handle: int) -> None:
        """Begin to follow an empty file.

        :param handle: its descriptor, open for reading.
        """
        status = os.fstat(handle)
        self._file = status.st_dev, status.st_ino
        target, own = self._follow, os.dup(handle)
        self._thread = threading.Thread(target=target, args=(own,), name='file digest', daemon=True)
        self._thread.start()

    def advance(self, end: int) -> None:
        """Say that the bytes before a place will not be changed any more; some may not be in the file yet."""
        self._end = end
        if end - self._done >= _WAKE:
            with self._changed:
                self._changed.notify()

    def finish(self, end: int) -> None:
        """Say that the file ends at a place, and that all of it has been written."""
        with self._changed:
            self._end, self._finished = end, True
            self._changed.notify()

    def stop(self) -> None:
        """Give up, unless it is finished."""
        with self._changed:
            self._failed = self._failed or not self._finished
            self._finished = True
            self._changed.notify()

    def covers(self, path: Path) -> bool:
        """Return whether :attr:`hash` is that of all of a file, once it is made."""
        if self._thread is None or not self._finished:
            return False
        self._thread.join()
        status = path.stat()
        whole = not self._failed and self._done == status.st_size
        return whole and self._file == (status.st_dev, status.st_ino)

    def _follow(self, handle: int) -> None:
        buffer = memoryview(bytearray(_PIECE))
        sender = Sender(handle)
        try:
            while self._wait():
                count = os.preadv(handle, [buffer[: self._end - self._done]], self._done)
                self.hash.update(buffer[:count])
                self._done += count
                sender.advance(self._done)
                if not count and self._finished:
                    break  # it is shorter than was said
        except OSError:
            self._failed = True
        finally:
            sender.close()
            os.close(handle)

    def _wait(self) -> bool:
        """Wait for enough bytes to hash; return False where there are no more, or nobody wants the digest."""
        with self._changed:
            if self._end - self._done < _PIECE:
                self._changed.wait_for(lambda: self._finished or self._end - self._done >= _WAKE)
        return not self._failed and self._done < self._end


class Sender:
    """Lets the system begin to write a file to the disk while it grows, where it can be told to (Linux).

    Else it begins half a minute later, or when it is told to finish and everybody waits for it. A thread of
    its own: the system lets who tells it wait while the disk has enough to do.

    :param handle: a descriptor of the file, which is closed by the caller.
    """

    def __init__(self, handle: int) -> None:
        self._handle = os.dup(handle)
        self._end, self._closed = 0, False
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name='file to disk', daemon=True).start()

    def advance(self, end: int) -> None:
        """Say that the bytes before a place are in the file."""
        if end - self._end >= _SENT:
            with self._changed:
                self._end = end
                self._changed.notify()

    def close(self) -> None:
        """Let the thread end, without waiting for it."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        begun = 0
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or self._end > begun)  # noqa: B023
                    end = self._end
                    if self._closed:
                        return
                _begin_to_write(self._handle, begun, end - begun)
                begun = end
        finally:
            os.close(self._handle)


def _begin_to_write(handle: int, offset: int, length: int) -> None:
    """Let the system begin to write a part of a file to the disk, where it can be told to."""
    with contextlib.suppress(AttributeError, OSError):
        call = ctypes.CDLL(None).sync_file_range
        call(handle, ctypes.c_int64(offset), ctypes.c_int64(length), _BEGIN)
