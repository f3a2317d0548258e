"""A heartbeat: a thread that renews a lease in the database while the work goes on."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Self

from girder_zarr.errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

#: Six heartbeats fit into the time after which a lease expires, so that a few that are lost or late (a slow
#: database, a worker that is short of processor time) do not cost a worker its lease.
HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 30.0


class Heartbeat:
    """Renews a lease every `HEARTBEAT_SECONDS` until the ``with`` block ends.

    :param renew: renews the lease; returns False if it is no longer held by this process.
    """

    def __init__(self, renew: Callable[[], bool]) -> None:
        self._renew = renew
        self._stop = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._run, name='stitch heartbeat', daemon=True)

    def _run(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            try:
                if not self._renew():
                    self._lost = True
                    return
            except Exception:
                # The database may be back before the lease expires; if not, another worker takes over.
                logger.warning('A lease could not be renewed', exc_info=True)

    def check(self) -> None:
        """Stop the work if the lease is lost.

        :raises CancelledError: the lease was lost to another worker.
        """
        if self._lost:
            msg = 'Another worker has taken over.'
            raise CancelledError(msg)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
