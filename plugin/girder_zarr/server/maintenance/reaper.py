"""The reaper: a thread of every server that looks for work whose worker is lost.

A message that is lost with its broker, a worker killed with SIGKILL, a machine that is gone: sooner or later
the lease of a finalizing session's run expires, or no run has begun. The reaper that is first to claim the
dispatch sends the message again. It also removes leftovers of ended attempts, and expired sessions. Any
number of reapers may scan at the same time.
"""

from __future__ import annotations

import atexit
import logging
import threading
from typing import TYPE_CHECKING

from girder_zarr.server.jobs import cleanup, dispatch, girder_job
from girder_zarr.server.leases.part_lease import StitchPart
from girder_zarr.server.sessions.model import StitchSession
from girder_zarr.server.sessions.states import FINALIZING
from girder_zarr.server.source_runs import source_jobs

from . import expired, orphans

if TYPE_CHECKING:
    from collections.abc import Callable

    from girder_zarr.server.common.names import Document

logger = logging.getLogger(__name__)

#: How often a server scans. A scan of a server without finalizing sessions is four indexed queries; a lost
#: worker is found 30 s after its last heartbeat, to which this adds little.
SCAN_SECONDS = 5.0

_stop = threading.Event()
_thread: threading.Thread | None = None


def start() -> None:
    """Scan from now on until the process ends, in a thread of its own."""
    global _thread  # noqa: PLW0603 - one for the process
    if _thread is not None and _thread.is_alive():
        return
    _stop.clear()
    _thread = threading.Thread(target=_run, name='stitch reaper', daemon=True)
    _thread.start()


def stop() -> None:
    """Stop scanning."""
    _stop.set()


atexit.register(stop)


def _run() -> None:
    while not _stop.wait(SCAN_SECONDS):
        scan()


def scan() -> None:
    """Run one scan. An error in one session is logged and does not stop the scan."""
    try:
        for session in list(StitchSession().find({'state': FINALIZING, 'deleting': False})):
            _logging_errors(dispatch.send_again, session)
        # Few have a run; those that are finalizing as well are passed over.
        for session in list(StitchSession().find({'run.id': {'$gt': ''}})):
            _logging_errors(cleanup.clean_up_if_abandoned, session)
        for job in girder_job.list_open():
            _logging_errors(cleanup.end_job_of_ended_attempt, job)
        source_jobs.look_after()
        _discard_parts()
        expired.sweep_if_due()
        orphans.sweep_if_due()
    except Exception:
        logger.warning('A scan of the stitch sessions failed', exc_info=True)


def _discard_parts() -> None:
    for session_id in StitchPart().list_ended():
        session = StitchSession().findOne({'_id': session_id}) or {}
        attempt = session.get('attempt') if session.get('state') == FINALIZING else None
        StitchPart().discard(session_id, keep=attempt)


def _logging_errors(work: Callable[[Document], object], document: Document) -> None:
    try:
        work(document)
    except Exception:
        logger.warning('The reaper could not finish %s', document['_id'], exc_info=True)
