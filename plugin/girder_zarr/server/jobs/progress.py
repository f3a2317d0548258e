"""The progress of a run, in the session and its job, and whether the run is to stop."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from girder_zarr.errors import CancelledError
from girder_zarr.server.leases import run_lease
from girder_zarr.server.sessions.model import StitchSession

from . import girder_job

if TYPE_CHECKING:
    from collections.abc import Callable

    from girder_zarr.server.common.names import Document

logger = logging.getLogger(__name__)

#: A page that follows the job looks alive at two changes a second; each costs two writes to the database.
REPORT_SECONDS = 0.5
#: A cancelled run stops within a second: this, and the time of a block. Each check asks the database twice.
CHECK_SECONDS = 0.5
#: The time left is estimated after so long; before, opening files weighs more than the pixels.
PACE_SECONDS = 1.0


class CancellationCheck:
    """Notices that a run is no longer wanted. Thread safe.

    :param check_more: raises where there are more reasons to stop.
    """

    def __init__(self, session: Document, check_more: Callable[[], None] = lambda: None) -> None:
        self._session, self._check_more = session, check_more
        self._lock = threading.Lock()
        self._checked = float('-inf')

    def check(self) -> None:
        """Stop the run if the session does not wait for it; asks the database every `CHECK_SECONDS`.

        :raises CancelledError: the session was cancelled or deleted, another run took over, or the job was
            stopped.
        """
        self._check_more()
        with self._lock:
            if time.monotonic() - self._checked < CHECK_SECONDS:
                return
            self._checked = time.monotonic()
        if girder_job.is_stopped(self._session['jobId']) or not run_lease.is_running(self._session):
            msg = 'The job was cancelled.'
            raise CancelledError(msg)


class ProgressReporter:
    """Writes the progress of a run into the session and the job. Thread safe.

    A thread of its own writes: each report waits twice until the database has it on its disk, and nobody who
    makes pixels waits for that. What went wrong there is raised in the next call of :meth:`show`,
    :meth:`advance` or :meth:`update`.
    """

    def __init__(self, session: Document) -> None:
        self._session = session
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._error: Exception | None = None
        self._current, self._total, self._message = 0, 0, ''
        #: Messages to show, in their order.
        self._waiting: deque[str] = deque()
        self._has_advanced = False
        self._count: Callable[[], int] | None = None
        self._begun, self._before = time.monotonic(), 0

    def begin(self, total: int, message: str, current: int = 0) -> None:
        """Set the amount of work in values (pixels times bands), and what earlier runs have done of it."""
        with self._changed:
            self._total, self._current, self._before = total, current, current
            self._begun = time.monotonic()
        self.show(message)

    def show(self, message: str, current: int | None = None) -> None:
        """Show a message with the progress and write it into the job's log.

        :param current: the values made so far, where they differ from what :meth:`advance` has counted.
        """
        with self._changed:
            self._check()
            self._message = message
            self._current = self._current if current is None else current
            self._waiting.append(message)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name='stitch progress', daemon=True)
                self._thread.start()
            self._changed.notify()

    def advance(self, values: int) -> None:
        """Add to the values that are made."""
        with self._changed:
            self._check()
            self._current += values
            self._has_advanced = True

    def update(self, count: Callable[[], int]) -> None:
        """Report a new count of values with the next report.

        :param count: returns it; called only if it is reported, since it asks the database.
        """
        with self._changed:
            self._check()
            self._count = count

    def finish(self, message: str) -> None:
        """Show the end in the job; the attempt of the session has ended before."""
        self.close()
        if self._error is not None:
            # It no longer matters to the image.
            name = self._session['_id']
            logger.warning('Progress of stitch session %s was not shown', name, exc_info=self._error)
        self._message = message
        girder_job.show(self._session['jobId'], self._total, self._total, message, message)

    def log(self, line: str) -> None:
        """Write a line into the job's log, behind all messages."""
        self.close()
        girder_job.log(self._session['jobId'], line)

    def close(self) -> None:
        """Return when all messages are written, or one of them could not be; more may follow."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._is_closing = True
            self._changed.notify()
        if thread is not None:
            thread.join()
        self._is_closing = False

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while self._write():
                pass
        except Exception as error:  # noqa: BLE001 - it is raised in the thread that makes the image
            self._error = error

    def _write(self) -> bool:
        """Write the next message, or how far the work is; return False where nothing more will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing, REPORT_SECONDS)
            line, count = None, None
            if self._waiting:
                line = self._waiting.popleft()
            elif self._is_closing:
                return False
            elif self._count is None and not self._has_advanced:
                return True
            else:
                count, self._count = self._count, None
            message, current, self._has_advanced = line or self._message, self._current, False
        if count is not None:
            current = count()
            with self._changed:
                if not self._waiting:  # which may say more
                    self._current = current
        left = self._time_left(current)
        StitchSession().report(self._session, current, self._total, message, left)
        girder_job.show(self._session['jobId'], current, self._total, message, line)
        return True

    def _time_left(self, current: int) -> int | None:
        """Return the seconds that the other values take at the pace so far, or None before there is one."""
        spent, made = time.monotonic() - self._begun, current - self._before
        if made <= 0 or spent < PACE_SECONDS:
            return None
        return math.ceil(spent * (self._total - current) / made)
