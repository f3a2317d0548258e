"""How far a run is, for the session and its job, and whether it shall stop."""

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

    from girder_zarr.server.sessions.model import Document

REPORT_SECONDS = 0.5
CHECK_SECONDS = 0.5
#: After so long the time that is left is told.
PACE_SECONDS = 1.0


class Stopper:
    """Notices that nobody waits for a run any more. Thread safe.

    :param check_more: raises where there are more reasons to stop.
    """

    def __init__(self, session: Document, check_more: Callable[[], None] = lambda: None) -> None:
        self._session, self._check_more = session, check_more
        self._lock = threading.Lock()
        self._checked = float('-inf')

    def check(self) -> None:
        """Stop if the session no longer waits for this run, or its job was cancelled.

        :raises CancelledError: it is so.
        """
        self._check_more()
        with self._lock:
            if time.monotonic() - self._checked < CHECK_SECONDS:
                return
            self._checked = time.monotonic()
        if girder_job.is_stopped(self._session['jobId']) or not run_lease.is_running(self._session):
            msg = 'The job was cancelled.'
            raise CancelledError(msg)


class Reporter:
    """Tells session and job how far a run is. Thread safe."""

    def __init__(self, session: Document) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._current, self._total, self._message = 0, 0, ''
        self._begun, self._reported = time.monotonic(), 0.0
        self._before = 0

    def begin(self, total: int, message: str, current: int = 0) -> None:
        """Set what there is to do, and how much of it was done by runs before."""
        self._total, self._current, self._before = total, current, current
        self._begun = time.monotonic()
        self.say(message)

    def say(self, message: str, current: int | None = None) -> None:
        """Show a message in the progress and write it into the job's log.

        :param current: what is done by now, where that has to be said.
        """
        with self._lock:
            self._message = message
            self._current = self._current if current is None else current
            self._report()
        self.log(message)

    def advance(self, values: int) -> None:
        """Add to what is done."""
        with self._lock:
            self._current += values
            self._report_if_due()

    def reach(self, values: Callable[[], int]) -> None:
        """Set what is done, if it is time to tell.

        :param values: gives it.
        """
        with self._lock:
            if time.monotonic() - self._reported > REPORT_SECONDS:
                self._current = values()
                self._report()

    def finish(self, message: str) -> None:
        """Show the end in the job, the session having been settled."""
        self._message = message
        girder_job.show(self._session['jobId'], self._total, self._total, message)
        self.log(message)

    def log(self, line: str) -> None:
        """Write a line into the job's log."""
        girder_job.log(self._session['jobId'], line)

    def _report_if_due(self) -> None:
        if time.monotonic() - self._reported > REPORT_SECONDS:
            self._report()

    def _report(self) -> None:
        self._reported = time.monotonic()
        StitchSession().report(self._session, self._current, self._total, self._message, self._time_left())
        girder_job.show(self._session['jobId'], self._current, self._total, self._message)

    def _time_left(self) -> int | None:
        """Return the seconds that the pixels will take at the pace so far, once there is one."""
        spent, made = time.monotonic() - self._begun, self._current - self._before
        if made <= 0 or spent < PACE_SECONDS:
            return None
        return math.ceil(spent * (self._total - self._current) / made)
