"""A sign of life in the database, from a thread beside the work."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Self

from girder_zarr.errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

#: How often it is given, and for how long nobody may take the work away after one.
BEAT_SECONDS = 5.0
STALE_SECONDS = 30.0


class Heart:
    """Beats until the block ends.

    :param beat: gives the sign; returns False where the work is not this process's any more.
    """

    def __init__(self, beat: Callable[[], bool]) -> None:
        self._beat = beat
        self._stop = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._run, name='stitch heartbeat', daemon=True)

    def _run(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            try:
                if not self._beat():
                    self._lost = True
                    return
            except Exception:
                # A database that is away for a moment; others take over when it is away for longer.
                logger.warning('No sign of life could be given', exc_info=True)

    def check(self) -> None:
        """Stop when the work is not ours any more.

        :raises CancelledError: it is so.
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
