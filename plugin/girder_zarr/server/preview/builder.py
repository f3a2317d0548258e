"""Builds the overviews of patches after they have arrived, then the coarse blocks of their previews."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from girder_zarr.common.cache import LRU, Uncached
from girder_zarr.server.patches import hooks
from girder_zarr.server.patches.document import source_of, to_patch
from girder_zarr.server.patches.model import StitchPatch
from girder_zarr.server.patches.reader import PatchReader, load_patch, load_rows
from girder_zarr.server.patches.references import StitchReference, to_reference
from girder_zarr.server.sessions.model import StitchSession, spec_of
from girder_zarr.server.sessions.states import EDITABLE
from girder_zarr.stitch.preview import patch_overview
from girder_zarr.stitch.preview.prepare import Preparer

from .overview_store import PatchOverview, forget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from bson import ObjectId

    from girder_zarr.server.common.names import Document
    from girder_zarr.stitch.patch import Patch

logger = logging.getLogger(__name__)

#: How many patches are queued at most, which bounds the memory of the queue; the overviews of the others are
#: built when a preview needs them.
MAX_QUEUED = 100_000
#: Patches of a session that are built with the same questions to the database, which else take longer than
#: the overviews of small patches. A session that stops taking patches is noticed after so many.
BATCH_PATCHES = 16
#: The niceness of the thread, where threads have one (Linux): requests go before it.
_NICE = 10
#: While patches arrive at shorter intervals than `_QUIET_SECONDS`, and no preview was requested for
#: `_VIEWED_SECONDS`, the thread sleeps after each patch for `_THROTTLE_SHARE` times what the patch took: so
#: it works a tenth of the time.
_QUIET_SECONDS = 0.5
_VIEWED_SECONDS = 10.0
_THROTTLE_SHARE = 9
#: While patches go on arriving, blocks are composed at intervals of so many times what it took the last time,
#: since each of them is composed again after every patch that touches it.
_COMPOSE_SHARE = 20

#: What is being built; nothing is kept.
_building: LRU[tuple[str, ...], dict[int, Any]] = LRU(max_items=1)


class OverviewBuilder:
    """Builds overviews of patches after they have arrived, in a thread that gives way to requests.

    Clients that send as fast as they can are slowed down by a tenth at most; once they are done, or a preview
    is requested, the overviews are built at full speed.
    """

    def __init__(self) -> None:
        # None: compose now.
        self._queue: queue.Queue[tuple[ObjectId, Patch] | None] = queue.Queue(MAX_QUEUED)
        #: Taken from the queue, and not of the session that was worked on.
        self._held: list[tuple[ObjectId, Patch] | None] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._boosted = threading.Event()
        self._arrived = self._viewed = self._compose_from = float('-inf')
        self._changed: set[ObjectId] = set()
        #: By session, the keys of the patches that are queued or being built, by their sources.
        self._waiting: dict[ObjectId, dict[str, str]] = {}
        #: Composes the coarse blocks of a session's preview; set by `tracker`, which imports this module.
        self.compose: Callable[[ObjectId], None] | None = None

    def enqueue(self, session_id: ObjectId, patch: Patch) -> None:
        """Queue a patch that was stored, unless the queue is full."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name='stitch overviews', daemon=True)
                self._thread.start()
            self._waiting.setdefault(session_id, {})[patch.source] = patch.key
        self._arrived = time.monotonic()
        try:
            self._queue.put_nowait((session_id, patch))
        except queue.Full:
            self._no_longer_waiting([(session_id, patch)])

    def waiting_of(self, session_id: ObjectId) -> list[str]:
        """Return the keys of a session's patches that are queued or being built, in the order of arrival."""
        with self._lock:
            return list(self._waiting.get(session_id, {}).values())

    def waiting_among(self, session_id: ObjectId, patches: Sequence[Patch]) -> set[str]:
        """Return the keys of those of some patches of a session that are queued or being built."""
        with self._lock:
            waiting = self._waiting.get(session_id, {})
            return {patch.key for patch in patches if patch.source in waiting}

    def _no_longer_waiting(self, tasks: Iterable[tuple[ObjectId, Patch] | None]) -> None:
        with self._lock:
            for session_id, patch in filter(None, tasks):
                waiting = self._waiting.get(session_id, {})
                waiting.pop(patch.source, None)
                if not waiting:
                    self._waiting.pop(session_id, None)

    def boost(self) -> None:
        """Work at full speed for a while: a preview was requested."""
        self._viewed = time.monotonic()
        self._boosted.set()

    def wait(self) -> None:
        """Wait until everything in the queue is built."""
        self.boost()
        with self._lock:
            started = self._thread is not None
        if started:
            self._queue.put(None)
        self._queue.join()

    def _run(self) -> None:
        if hasattr(os, 'setpriority'):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while True:
            try:
                tasks = self._next_tasks()
            except queue.Empty:
                self._compose()
                continue
            try:
                self._handle(tasks)
            finally:
                self._no_longer_waiting(tasks)
                for _ in tasks:
                    self._queue.task_done()

    def _next_tasks(self) -> list[tuple[ObjectId, Patch] | None]:
        """Wait for a task; return it, with those behind it where they are patches of the same session.

        :raises queue.Empty: there is none, and blocks are to be composed.
        """
        first = self._held.pop() if self._held else self._queue.get(timeout=self._timeout())
        tasks = [first]
        while first is not None and len(tasks) < BATCH_PATCHES:
            try:
                task = self._queue.get_nowait()
            except queue.Empty:
                break
            if task is None or task[0] != first[0]:
                self._held.append(task)
                break
            tasks.append(task)
        return tasks

    def _handle(self, tasks: list[tuple[ObjectId, Patch] | None]) -> None:
        wanted = [task for task in tasks if task is not None]
        if not wanted:
            self._compose()
            return
        session_id, patches = wanted[0][0], [patch for _, patch in wanted]
        try:
            self._build(session_id, patches)
        except Exception as error:  # noqa: BLE001 - they are built when a preview needs them
            logger.info('No overviews of session %s were stored: %s', session_id, error)
        self._changed.add(session_id)
        # With many still to be built, composing would build them at once.
        left = len(self._held) + self._queue.qsize()
        if 0 < left <= BATCH_PATCHES and time.monotonic() > self._compose_from:
            self._compose()

    def _timeout(self) -> float | None:
        """Return after how many seconds without a patch blocks are composed, or None if there are none."""
        if not self._changed:
            return None
        return max(_QUIET_SECONDS, self._compose_from - time.monotonic())

    def _compose(self) -> None:
        begun = time.monotonic()
        while self._changed:
            session_id = self._changed.pop()
            try:
                if self.compose is not None and _editable(session_id) is not None:
                    self.compose(session_id)
            except Exception as error:  # noqa: BLE001 - they are composed when a preview needs them
                logger.info('No blocks of the preview of session %s were stored: %s', session_id, error)
        ended = time.monotonic()
        self._compose_from = ended + max(_COMPOSE_SHARE * (ended - begun), _QUIET_SECONDS)

    def _build(self, session_id: ObjectId, patches: list[Patch]) -> None:
        session = _editable(session_id)
        if session is None:
            return
        preparer = preparer_of(session, with_masks=any(patch.mask_key for patch in patches))
        reader = PatchReader(patches)
        try:
            for patch in patches:
                begun = time.monotonic()
                try:
                    build_and_store(session_id, preparer.shown(patch), preparer, reader.rows)
                except Exception as error:  # noqa: BLE001 - it is built when a preview needs it
                    logger.info('No overview of patch %s was stored: %s', patch.key, error)
                self._no_longer_waiting([(session_id, patch)])
                self._throttle(time.monotonic() - begun)
        finally:
            forget_removed(session_id, patches)

    def _throttle(self, spent: float) -> None:
        """Leave the processor to requests that store patches, until a preview is requested."""
        end = time.monotonic() + _THROTTLE_SHARE * spent
        while (now := time.monotonic()) < end:
            if now - self._arrived > _QUIET_SECONDS or now - self._viewed < _VIEWED_SECONDS:
                return
            self._boosted.clear()
            self._boosted.wait(min(end - now, _QUIET_SECONDS))


def _editable(session_id: ObjectId) -> Document | None:
    """Return a session that accepts patches, or None.

    One that is being finalized is soon an image of its own, and its workers need the processors; what its
    preview lacks is made when it is requested.
    """
    found = StitchSession().find_there(session_id)
    return found if found is not None and found['state'] in EDITABLE else None


def preparer_of(session: Document, *, with_masks: bool) -> Preparer:
    """Return what applies the reference images of a session to its patches.

    :param with_masks: whether a patch may name a reference image as its mask.
    """
    spec = spec_of(session)
    documents = StitchReference().list_session(session) if with_masks or spec.reference_keys else []
    return Preparer(spec, map(to_reference, documents), load_patch, load_rows)


def build_and_store(
    session_id: ObjectId,
    patch: Patch,
    preparer: Preparer,
    rows: Callable[[Patch], Iterator[Any]] | None = None,
) -> dict[int, Any]:
    """Build the overviews of a patch from its file, store them and return them by level.

    Who needs those that another thread is building waits for them: of a large patch they take a minute. The
    caller calls `forget_removed` afterwards.

    :param patch: as the preview shows it.
    :param rows: as `PatchReader.rows`, which finds the files of several patches at once.
    :raises UnsupportedFormatError: the file is gone or cannot be decoded.
    """
    key = (patch.source, *preparer.cache_key(patch))
    return _building.fetch(key, lambda: Uncached(_build_and_store(session_id, patch, preparer, rows)))


def _build_and_store(
    session_id: ObjectId,
    patch: Patch,
    preparer: Preparer,
    rows: Callable[[Patch], Iterator[Any]] | None,
) -> dict[int, Any]:
    made = patch_overview.make_overviews(patch, preparer.rows(patch, rows))
    for level, overview in made.items():
        PatchOverview().store(session_id, patch, level, overview, preparer.cache_key(patch))
    return made


def forget_removed(session_id: ObjectId, patches: Sequence[Patch]) -> None:
    """Remove the overviews of those patches that are not there any more, or have other bytes.

    A patch is removed before its overviews are; one removed before these were stored is found here.
    """
    current = StitchPatch().list_named(session_id, (patch.key for patch in patches))
    there = {document['key']: source_of(document) for document in current}
    for patch in patches:
        if there.get(patch.key) != patch.source:
            forget(patch.source)


overview_builder = OverviewBuilder()


def subscribe() -> None:
    """Build the overviews of patches after they are stored, in servers."""
    hooks.subscribe(hooks.stored, _patch_stored)


def _patch_stored(session_id: ObjectId, document: Document) -> None:
    overview_builder.enqueue(session_id, to_patch(document))
