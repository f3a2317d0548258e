"""The progress of a run, in the session and its job, and whether the run is to stop."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

from girder_zarr.errors import CancelledError
from girder_zarr.server.leases import run_lease
from girder_zarr.server.sessions.model import StitchSession

from . import girder_job

if TYPE_CHECKING:
    from collections.abc import Callable

    from girder_zarr.server.common.names import Document

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
    """Writes the progress of a run into the session and the job. Thread safe."""

    def __init__(self, session: Document) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._current, self._total, self._message = 0, 0, ''
        self._begun, self._reported = time.monotonic(), 0.0
        self._before = 0

    def begin(self, total: int, message: str, current: int = 0) -> None:
        """Set the amount of work in values (pixels times bands), and what earlier runs have done of it."""
        self._total, self._current, self._before = total, current, current
        self._begun = time.monotonic()
        self.show(message)

    def show(self, message: str, current: int | None = None) -> None:
        """Show a message with the progress and write it into the job's log.

        :param current: the values made so far, where they differ from what :meth:`advance` has counted.
        """
        with self._lock:
            self._message = message
            self._current = self._current if current is None else current
            self._report(message)

    def advance(self, values: int) -> None:
        """Add to the values that are made."""
        with self._lock:
            self._current += values
            if self._is_due():
                self._report()

    def update(self, count: Callable[[], int]) -> None:
        """Report a new count of values if a report is due.

        :param count: returns it; called only if it is reported, since it asks the database.
        """
        with self._lock:
            if self._is_due():
                self._current = count()
                self._report()

    def finish(self, message: str) -> None:
        """Show the end in the job; the attempt of the session has ended before."""
        self._message = message
        girder_job.show(self._session['jobId'], self._total, self._total, message, message)

    def log(self, line: str) -> None:
        """Write a line into the job's log."""
        girder_job.log(self._session['jobId'], line)

    def _is_due(self) -> bool:
        return time.monotonic() - self._reported > REPORT_SECONDS

    def _report(self, line: str | None = None) -> None:
        self._reported = time.monotonic()
        StitchSession().report(self._session, self._current, self._total, self._message, self._time_left())
        girder_job.show(self._session['jobId'], self._current, self._total, self._message, line)

    def _time_left(self) -> int | None:
        """Return the seconds that the other values take at the pace so far, or None before there is one."""
        spent, made = time.monotonic() - self._begun, self._current - self._before
        if made <= 0 or spent < PACE_SECONDS:
            return None
        return math.ceil(spent * (self._total - self._current) / made)
