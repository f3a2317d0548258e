"""Requests to far stores side by side: one bounded pool of threads for the whole process.

A request waits for a network nearly all of its time, so that many threads cost little and one after the
other costs the sum of all waits. What bounds them is what servers accept and what answers take in memory.

Requests that nobody waits for (``read_ahead.py``) take what is left over: they begin only while no reader
waits, and none of their source is being served.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable, Iterator, Sequence

T = TypeVar('T')

#: Requests under way to one source and in one process. Browsers send six to one host, S3 documents hundreds
#: a prefix; with 32 a tile of 64 chunks takes two round trips.
MAX_PER_SOURCE, MAX_REQUESTS = 32, 64
#: Bytes of answers that are under way, or have come and are not used yet, in one process.
MAX_BYTES = 64 * 2**20
#: Requests ahead of need under way in one process: as many as a browser sends to one host. A reader that
#: comes meanwhile finds 26 of 32 free.
MAX_AHEAD = 6
#: The most of the bytes, one part in so many, that they may take; a larger one runs when no other does.
AHEAD_BYTES_PART = 8

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """One request.

    :param nbytes: the most bytes that its answer takes in memory.
    :param run: sends it, in any thread, and returns the answer.
    """

    nbytes: int
    run: Callable[[], T]


@dataclass(eq=False, slots=True)
class _Batch:
    """The requests of one reader, in the order of need."""

    source: Hashable
    waiting: deque[Request[Any]]
    answers: SimpleQueue[tuple[Request[Any], Any, BaseException | None]] = field(default_factory=SimpleQueue)
    is_closed: bool = False


class RequestPool:
    """Sends requests in threads of its own. Safe under many threads.

    Each reader's requests are begun in the order in which it needs them; readers take turns, so that one with
    many requests does not keep another waiting.

    :param max_requests: the most at a time.
    :param max_per_source: the most at a time to one source.
    :param max_bytes: of answers; a request that may give more than all of it runs when no other is under way.
    """

    def __init__(
        self,
        max_requests: int = MAX_REQUESTS,
        max_per_source: int = MAX_PER_SOURCE,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._max_requests, self._max_per_source, self._max_bytes = max_requests, max_per_source, max_bytes
        #: Called with the source of whatever a reader begins to wait for.
        self.on_need: list[Callable[[Hashable], None]] = []
        self._reset()
        _pools.add(self)

    def _reset(self) -> None:
        """Begin with nothing under way; a process that was forked has none of its parent's threads."""
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._batches: deque[_Batch] = deque()
        self._running: Counter[Hashable] = Counter()
        self._needed: Counter[Hashable] = Counter()
        self._bytes = 0
        self._ahead = self._ahead_bytes = 0
        self._own = threading.local()

    @property
    def bytes_in_use(self) -> int:
        """The bytes of answers that are accounted for now."""
        return self._bytes

    def run(self, source: Hashable, requests: Sequence[Request[T]]) -> Generator[T]:
        """Yield the answers as they come, in whichever order.

        The reader must not wait for other requests of this pool before it has taken the last answer or closed
        the iterator. With the first error, and where the reader goes away (the iterator is closed), requests
        that have not begun are dropped, and the answers of the others.

        :param source: what a request is counted for, such as the host.
        :raises Exception: that of the first request that failed.
        """
        batch = _Batch(source, deque(requests))
        if not batch.waiting:
            return
        with self.needed(source):
            yield from self._answers(batch, len(requests))

    def _answers(self, batch: _Batch, count: int) -> Generator[Any]:
        with self._lock:
            self._batches.append(batch)
            self._start()
        try:
            for _ in range(count):
                request, answer, error = batch.answers.get()
                try:
                    if error is not None:
                        raise error
                    yield answer
                finally:
                    del answer
                    self._release(request)
        finally:
            self._close(batch)

    @contextmanager
    def needed(self, source: Hashable) -> Iterator[None]:
        """Let nothing of a source be begun ahead of need in this context, in which a reader waits for it.

        The readers of this pool do so themselves, and for what runs in its threads this does nothing.
        """
        if getattr(self._own, 'is_ours', False):
            yield
            return
        with self._lock:
            self._needed[source] += 1
        try:
            for told in self.on_need:
                told(source)
            yield
        finally:
            with self._lock:
                self._needed[source] -= 1
                if self._needed[source] <= 0:
                    del self._needed[source]

    def begin_ahead(self, source: Hashable, request: Request[T], ended: Callable[[T | None], None]) -> bool:
        """Begin a request that nobody waits for, if there is room for it; return whether it was begun.

        There is none while a reader waits for anything that has not begun, while one is being served from
        the same source, and beside `MAX_AHEAD` others. It counts among the requests and bytes of all.

        :param ended: called in a thread of the pool with the answer, or with None: it has failed.
        """
        with self._lock:
            running, limit = self._running, self._max_bytes
            if self._batches or self._needed[source] or self._ahead >= MAX_AHEAD:
                return False
            if running[source] >= self._max_per_source or running.total() >= self._max_requests:
                return False
            too_many = self._ahead and self._ahead_bytes + request.nbytes > limit // AHEAD_BYTES_PART
            if too_many or self._bytes + request.nbytes > limit:
                return False
            self._submit(self._perform_ahead, source, request, ended)
            self._count_ahead(source, 1, request.nbytes)
        return True

    def _count_ahead(self, source: Hashable, count: int, nbytes: int) -> None:
        """Account for a request ahead of need that begins or, with negative numbers, has ended."""
        self._running[source] += count
        if not self._running[source]:
            del self._running[source]
        self._ahead += count
        self._ahead_bytes += nbytes
        self._bytes += nbytes

    def _perform_ahead(
        self, source: Hashable, request: Request[T], ended: Callable[[T | None], None]
    ) -> None:
        answer = None
        try:
            answer = request.run()
        except Exception as error:  # noqa: BLE001 - whoever needs it will ask, and be told
            logger.debug('A request ahead of need has failed: %s', error)
        finally:
            with self._lock:
                self._count_ahead(source, -1, -request.nbytes)
                self._start()
            ended(answer)

    def _submit(self, work: Callable[..., None], *arguments: Any) -> None:
        """Run a function in a thread of the pool. The lock is held."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._max_requests, 'far-request', self._mark)
        self._threads.submit(work, *arguments)

    def _mark(self) -> None:
        self._own.is_ours = True

    def _start(self) -> None:
        """Begin what may begin. The lock is held."""
        passed = 0
        while passed < len(self._batches) and self._running.total() < self._max_requests:
            batch = self._batches[0]
            if self._running[batch.source] >= self._max_per_source:
                self._batches.rotate(-1)
                passed += 1
                continue
            request = batch.waiting[0]
            if self._bytes and self._bytes + request.nbytes > self._max_bytes:
                return  # smaller ones do not overtake it, or it might wait for ever
            batch.waiting.popleft()
            self._batches.popleft()
            if batch.waiting:
                self._batches.append(batch)
            passed = 0
            self._running[batch.source] += 1
            self._bytes += request.nbytes
            self._submit(self._perform, batch, request)

    def _perform(self, batch: _Batch, request: Request[Any]) -> None:
        answer, error = None, None
        try:
            if not batch.is_closed:
                answer = request.run()
        except BaseException as raised:  # noqa: BLE001 - raised again in the reader's thread
            error = raised
        with self._lock:
            self._running[batch.source] -= 1
            if not self._running[batch.source]:
                del self._running[batch.source]
            if batch.is_closed:
                self._bytes -= request.nbytes
            else:
                batch.answers.put((request, answer, error))
            if error is not None:
                self._drop(batch)
            self._start()

    def _drop(self, batch: _Batch) -> None:
        """Forget the requests that have not begun. The lock is held."""
        batch.waiting.clear()
        if batch in self._batches:
            self._batches.remove(batch)

    def _release(self, request: Request[Any]) -> None:
        with self._lock:
            self._bytes -= request.nbytes
            self._start()

    def _close(self, batch: _Batch) -> None:
        with self._lock:
            batch.is_closed = True
            self._drop(batch)
            while not batch.answers.empty():
                self._bytes -= batch.answers.get()[0].nbytes
            self._start()


_pools: WeakSet[RequestPool] = WeakSet()


def _begin_anew() -> None:
    for pool in list(_pools):
        pool._reset()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_begin_anew)

#: That of this process.
REQUESTS = RequestPool()
