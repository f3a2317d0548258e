"""Makes the small copies of patches after they have arrived."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from typing import TYPE_CHECKING, Any

from girder_zarr.stitch import preview_copy

from .small_copies import SmallCopy
from .tasks import load_patch

if TYPE_CHECKING:
    from bson import ObjectId

    from girder_zarr.stitch.patch import Patch

logger = logging.getLogger(__name__)

#: How many patches wait to be reduced at most; the others are left to whoever looks at them.
MOST_WAITING = 100_000
#: How much the thread that reduces them gives way to requests, where the system knows of it.
_NICE = 10


class Reducer:
    """Makes small copies of patches after they have arrived, in a thread that gives way to requests."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[tuple[ObjectId, Patch]] = queue.Queue(MOST_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def offer(self, session_id: ObjectId, patch: Patch) -> None:
        """Take a patch that was stored, if there is not too much to do already."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name='small copies', daemon=True)
                self._thread.start()
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait((session_id, patch))

    def wait(self) -> None:
        """Wait until everything that was taken is done."""
        self._waiting.join()

    def _run(self) -> None:
        if hasattr(os, 'setpriority'):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while True:
            session_id, patch = self._waiting.get()
            try:
                reduce_and_store(session_id, patch)
            except Exception as error:  # noqa: BLE001 - it will be made when somebody looks
                logger.info('No small copy of patch %s was stored: %s', patch.key, error)
            finally:
                self._waiting.task_done()


def reduce_and_store(session_id: ObjectId, patch: Patch) -> Any:
    """Make the small copy of a patch from its file, store it and return it.

    :raises UnsupportedFormatError: the file is gone or cannot be decoded.
    """
    pixels = preview_copy.make_small(patch, load_patch(patch))
    SmallCopy().store(session_id, patch, pixels)
    return pixels


reducer = Reducer()
