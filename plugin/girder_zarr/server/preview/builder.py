"""Makes the small copies of patches after they have arrived, then the coarse blocks of their previews."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from girder_zarr.server.patches import hooks
from girder_zarr.server.patches.document import source_of, to_patch
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.patches.reader import load_patch
from girder_zarr.server.patches.references import StitchReference, to_reference
from girder_zarr.server.sessions.model import EDITABLE, StitchSession, spec_of
from girder_zarr.stitch.preview import patch_overview
from girder_zarr.stitch.preview.prepare import Preparer

from .overview_store import all_copies, forget

if TYPE_CHECKING:
    from collections.abc import Callable

    from bson import ObjectId

    from girder_zarr.server.sessions.model import Document
    from girder_zarr.stitch.patch import Patch

logger = logging.getLogger(__name__)

#: How many patches wait to be reduced at most; the others are left to whoever looks at them.
MOST_WAITING = 100_000
#: How much the thread that reduces them gives way to requests, where the system knows of it.
_NICE = 10
#: While patches arrive at shorter intervals than these seconds and nobody has looked at a preview for so
#: many, the thread rests after each patch for so many times what it took.
_QUIET_SECONDS = 0.5
_LOOKED_SECONDS = 10.0
_REST_SHARE = 9
#: While patches go on arriving, blocks are composed at intervals of so many times what it took the last time.
_COMPOSE_SHARE = 20


class Reducer:
    """Makes small copies of patches after they have arrived, in a thread that gives way to requests.

    Clients that send as fast as they can are not slowed down by more than a tenth; once they are done, or
    somebody looks, the copies are made at full speed.
    """

    def __init__(self) -> None:
        # None: compose now.
        self._waiting: queue.Queue[tuple[ObjectId, Patch] | None] = queue.Queue(MOST_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._hurry = threading.Event()
        self._arrived = self._looked = self._compose_from = float('-inf')
        self._changed: set[ObjectId] = set()
        #: Makes the coarse blocks of a session's preview; see `preview.py`.
        self.compose: Callable[[ObjectId], None] | None = None

    def offer(self, session_id: ObjectId, patch: Patch) -> None:
        """Take a patch that was stored, if there is not too much to do already."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name='small copies', daemon=True)
                self._thread.start()
        self._arrived = time.monotonic()
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait((session_id, patch))

    def look(self) -> None:
        """Note that somebody looks at a preview."""
        self._looked = time.monotonic()
        self._hurry.set()

    def wait(self) -> None:
        """Wait until everything that was taken is done."""
        self.look()
        with self._lock:
            started = self._thread is not None
        if started:
            self._waiting.put(None)
        self._waiting.join()

    def _run(self) -> None:
        if hasattr(os, 'setpriority'):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while True:
            try:
                task = self._waiting.get(timeout=self._patience())
            except queue.Empty:
                self._compose()
                continue
            try:
                self._do(task)
            finally:
                self._waiting.task_done()

    def _do(self, task: tuple[ObjectId, Patch] | None) -> None:
        if task is None:
            self._compose()
            return
        begun = time.monotonic()
        session_id, patch = task
        try:
            self._reduce(session_id, patch)
        except Exception as error:  # noqa: BLE001 - it will be made when somebody looks
            logger.info('No small copy of patch %s was stored: %s', patch.key, error)
        self._changed.add(session_id)
        self._rest(time.monotonic() - begun)
        if self._waiting.qsize() and time.monotonic() > self._compose_from:
            self._compose()

    def _patience(self) -> float | None:
        """Return after how many seconds without a patch blocks are composed; None: there is nothing to do."""
        if not self._changed:
            return None
        return max(_QUIET_SECONDS, self._compose_from - time.monotonic())

    def _compose(self) -> None:
        begun = time.monotonic()
        while self._changed:
            session_id = self._changed.pop()
            try:
                if self.compose is not None and _awaiting(session_id) is not None:
                    self.compose(session_id)
            except Exception as error:  # noqa: BLE001 - they will be made when somebody looks
                logger.info('No blocks of the preview of session %s were stored: %s', session_id, error)
        ended = time.monotonic()
        self._compose_from = ended + max(_COMPOSE_SHARE * (ended - begun), _QUIET_SECONDS)

    @staticmethod
    def _reduce(session_id: ObjectId, patch: Patch) -> None:
        session = _awaiting(session_id)
        if session is not None:
            preparer = preparer_of(session, named=bool(patch.mask_key))
            reduce_and_store(session_id, preparer.shown(patch), preparer)

    def _rest(self, spent: float) -> None:
        """Leave the processor to requests that store patches, until somebody looks."""
        end = time.monotonic() + _REST_SHARE * spent
        while (now := time.monotonic()) < end:
            if now - self._arrived > _QUIET_SECONDS or now - self._looked < _LOOKED_SECONDS:
                return
            self._hurry.clear()
            self._hurry.wait(min(end - now, _QUIET_SECONDS))


def _awaiting(session_id: ObjectId) -> Document | None:
    """Return a session that goes on taking patches.

    One that is being finalized is soon an image of its own; the workers want the processors, and what its
    preview lacks is made when somebody looks.
    """
    query = {'_id': session_id, 'deleting': False, 'state': {'$in': EDITABLE}}
    found: Document | None = StitchSession().findOne(query)
    return found


def preparer_of(session: Document, *, named: bool) -> Preparer:
    """Return what applies the reference images of a session.

    :param named: whether any patch may name one as its mask.
    """
    spec = spec_of(session)
    documents = StitchReference().list_session(session) if named or spec.reference_keys else []
    return Preparer(spec, map(to_reference, documents), load_patch)


def reduce_and_store(session_id: ObjectId, patch: Patch, preparer: Preparer) -> dict[int, Any]:
    """Make the small copies of a patch from its file, store them and return them by level.

    :param patch: as it is shown.
    :raises UnsupportedFormatError: the file is gone or cannot be decoded.
    """
    pixels = preparer.pixels(patch)
    made = {}
    for copies in all_copies():
        made[copies.level] = patch_overview.make_overview(patch, pixels, copies.level)
        copies.store(session_id, patch, made[copies.level], preparer.cache_key(patch))
    # A patch is removed before its small copies are; one that went before this was stored is found here.
    there = StitchPatch().findOne({'sessionId': session_id, 'key': patch.key})
    if there is None or source_of(there) != patch.source:
        forget(patch.source)
    return made


reducer = Reducer()


def subscribe() -> None:
    """Make the small copies of patches after they have arrived, in servers."""
    hooks.subscribe(hooks.stored, _patch_stored)


def _patch_stored(session_id: ObjectId, document: Document) -> None:
    reducer.offer(session_id, to_patch(document))
