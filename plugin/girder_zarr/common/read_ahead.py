"""What will probably be needed next of far stores, asked for when nothing else waits.

Who reads offers what may come next. Once nobody has asked the same source for anything for a while, it is
asked for, few requests at a time, and kept as it is stored in the cache of chunks. As soon as a reader needs
anything of that source, what has not begun is dropped; what is under way is waited for by readers who need
the same. Errors are nobody's: who needs the chunk asks again.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from .chunk_cache import CHUNKS
from .request_pool import REQUESTS, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from .chunk_cache import ChunkCache
    from .request_pool import RequestPool

#: Nothing is asked for until a source has been left alone for so long, in seconds. The tiles of a screen, and
#: those of a program that goes through an image, follow each other faster; a person looks for longer.
QUIET_SECONDS = 0.1
#: The most chunks that one reader offers at a time unless :meth:`ReadAhead.bind` says otherwise: what lies
#: beside and behind a screen of 12 tiles of 512 x 512 in four channels.
DEFAULT_CHUNKS = 128

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AheadRequest:
    """One request for chunks that nobody needs yet.

    :param keys: of the chunks in the cache.
    :param nbytes: the most bytes that its answer takes in memory.
    :param run: sends it and returns what is stored for each key, None where nothing is.
    """

    keys: tuple[Hashable, ...]
    nbytes: int
    run: Callable[[], Mapping[Hashable, bytes | None]]


class AheadReader(Protocol):
    """Somebody who knows what will probably be needed next."""

    def next_requests(self) -> Sequence[AheadRequest]:
        """Return what to ask for, in the order of probability; asked again when all of it has come."""


@dataclass(eq=False, slots=True)
class _Plan:
    """What one reader has offered.

    :param due: when it may begin, by `time.monotonic`.
    """

    reader: weakref.ref[AheadReader]
    source: Hashable
    due: float
    is_dropped: bool = False

    @property
    def is_over(self) -> bool:
        return self.is_dropped or self.reader() is None


class ReadAhead:
    """Asks for what readers offer. Safe under many threads.

    :param pool: sends the requests. :param cache: keeps what comes.
    :param quiet: see `QUIET_SECONDS`.
    """

    def __init__(self, pool: RequestPool, cache: ChunkCache, quiet: float = QUIET_SECONDS) -> None:
        self._pool, self._cache, self._quiet = pool, cache, quiet
        #: The most chunks that one reader offers at a time; 0: nothing is read ahead.
        self.max_chunks: Callable[[], int] = lambda: DEFAULT_CHUNKS
        self.reset()
        pool.on_need.append(self._drop)

    def reset(self) -> None:
        """Forget everything; a process that was forked has none of its parent's threads."""
        self._changed = threading.Condition()
        self._plans: dict[int, _Plan] = {}
        self._current: _Plan | None = None
        self._coming: dict[Hashable, threading.Event] = {}
        self._under_way = 0
        self._is_working = False

    def bind(self, max_chunks: Callable[[], int]) -> None:
        """Take from a function from now on how many chunks one reader may offer at a time; 0: none."""
        self.max_chunks = max_chunks

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way and nothing will be."""
        with self._changed:
            return not (self._plans or self._current or self._under_way)

    def offer(self, reader: AheadReader, source: Hashable) -> None:
        """Ask a reader for what comes next when its source has been left alone for a while.

        It takes the place of what the reader has offered before. The reader is not kept alive for it, and
        nothing more is asked for when it is gone.
        """
        plan = _Plan(weakref.ref(reader), source, time.monotonic() + self._quiet)
        with self._changed:
            if self._current is not None and self._current.reader() is reader:
                self._current.is_dropped = True
            self._plans.pop(id(reader), None)
            self._plans[id(reader)] = plan
            self._changed.notify_all()
            if not self._is_working:
                self._is_working = True
                threading.Thread(target=self._work, name='read-ahead', daemon=True).start()

    def __contains__(self, key: object) -> bool:
        """Return whether a chunk is under way."""
        return key in self._coming

    def take(self, key: Hashable, default: Any) -> Any:
        """Return a chunk that was read ahead as it is stored, and drop it; ``default`` if there is none.

        Where it is under way, wait for it.
        """
        event = self._coming.get(key)
        if event is not None:
            event.wait()
        return self._cache.take_ahead(key, default)

    def _drop(self, source: Hashable) -> None:
        if not self._is_working:
            return
        with self._changed:
            for plan in (*self._plans.values(), self._current):
                if plan is not None and plan.source == source:
                    plan.is_dropped = True
                    self._changed.notify_all()

    def _work(self) -> None:
        while (plan := self._next()) is not None:
            try:
                self._carry_out(plan)
            except Exception as error:  # noqa: BLE001 - nobody waits for it
                logger.debug('Reading ahead has failed: %s', error)

    def _next(self) -> _Plan | None:
        """Wait until a plan is due; return None where there are none any more."""
        with self._changed:
            self._current = None
            while self._plans:
                number, plan = min(self._plans.items(), key=lambda item: (not item[1].is_over, item[1].due))
                wait = plan.due - time.monotonic()
                if wait <= 0 or plan.is_over:
                    del self._plans[number]
                if plan.is_over:
                    continue
                if wait <= 0:
                    self._current = plan
                    return plan
                self._changed.wait(wait)
            self._is_working = False
            return None

    def _carry_out(self, plan: _Plan) -> None:
        while (reader := plan.reader()) is not None and not plan.is_dropped:
            requests = reader.next_requests()
            del reader  # it may go while they are under way
            if not requests or not all(self._begin(plan, request) for request in requests):
                return
            with self._changed:
                while self._under_way and not plan.is_over:
                    self._changed.wait()

    def _begin(self, plan: _Plan, request: AheadRequest) -> bool:
        """Begin a request when there is room for it; return False where it is to be dropped."""
        sent = Request(request.nbytes, request.run)
        with self._changed:
            while not plan.is_over:
                if any(key in self._coming or key in self._cache for key in request.keys):
                    return True
                begun, event = False, threading.Event()  # a new one: that of a refused attempt is set
                self._coming.update(dict.fromkeys(request.keys, event))
                try:
                    begun = self._pool.begin_ahead(plan.source, sent, partial(self._ended, request, event))
                finally:
                    if begun:
                        self._under_way += 1
                    else:
                        self._forget(request, event)
                if begun or not self._under_way:
                    return begun
                self._changed.wait()
        return False

    def _ended(
        self, request: AheadRequest, event: threading.Event, answer: Mapping[Hashable, bytes | None] | None
    ) -> None:
        try:
            for key, data in (answer or {}).items():
                self._cache.put_ahead(key, data)
        finally:
            with self._changed:
                self._forget(request, event)
                self._under_way -= 1
                self._changed.notify_all()

    def _forget(self, request: AheadRequest, event: threading.Event) -> None:
        """Let nobody wait for a request any more. The lock is held."""
        for key in request.keys:
            self._coming.pop(key, None)
        event.set()


#: That of this process.
AHEAD = ReadAhead(REQUESTS, CHUNKS)

if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=AHEAD.reset)
