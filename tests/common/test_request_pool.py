"""Requests side by side: how many at a time, in which order, how many bytes, and what becomes of errors."""

from __future__ import annotations

import os
import threading
from collections import Counter, defaultdict

import pytest

from girder_zarr.common.request_pool import MAX_PER_SOURCE, REQUESTS, Request, RequestPool

PATIENCE = 60


class Counted:
    """Requests that note how many run at a time; none goes on before so many have run together."""

    def __init__(self, together: int = 1) -> None:
        self.lock = threading.Lock()
        self.running: Counter[object] = Counter()
        self.most: dict[object, int] = defaultdict(int)
        self.begun: list[object] = []
        self.together, self.met = together, threading.Event()

    def request(self, source: object, number: object, nbytes: int = 1) -> Request[object]:
        def run() -> object:
            with self.lock:
                self.begun.append(number)
                for key in (source, 'all'):
                    self.running[key] += 1
                    self.most[key] = max(self.most[key], self.running[key])
                if self.running['all'] >= self.together:
                    self.met.set()
            assert self.met.wait(PATIENCE)
            with self.lock:
                self.running[source] -= 1
                self.running['all'] -= 1
            return number

        return Request(nbytes, run)


def test_32_at_a_time_and_no_more() -> None:
    counted = Counted(MAX_PER_SOURCE)
    requests = [counted.request('here', number) for number in range(2 * MAX_PER_SOURCE)]
    assert sorted(REQUESTS.run('here', requests)) == list(range(2 * MAX_PER_SOURCE))
    assert counted.most['here'] == MAX_PER_SOURCE
    assert REQUESTS.bytes_in_use == 0


def in_threads(work, shares):
    threads = [threading.Thread(target=work, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_several_sources_share_what_a_process_may_send() -> None:
    pool = RequestPool(max_requests=6, max_per_source=4)
    counted = Counted(6)  # goes on only if six run together, of whichever sources
    found = []

    def read(source):
        found.extend(pool.run(source, [counted.request(source, (source, n)) for n in range(12)]))

    in_threads(read, ['a', 'b', 'c'])
    assert len(found) == 36
    assert counted.most['all'] == 6
    assert max(counted.most[source] for source in 'abc') <= 4


def test_the_order_is_that_of_need_and_readers_take_turns() -> None:
    pool = RequestPool(max_requests=1)
    begun, first_runs, go_on = [], threading.Event(), threading.Event()

    def first():
        first_runs.set()
        assert go_on.wait(PATIENCE)

    def noted(name):
        return Request(1, lambda: begun.append(name))

    def read(requests):
        list(pool.run('here', requests))

    blocking = threading.Thread(target=read, args=([Request(1, first)],))
    blocking.start()
    assert first_runs.wait(PATIENCE)
    readers = []
    for name in 'ab':
        readers.append(threading.Thread(target=read, args=([noted(f'{name}{n}') for n in range(3)],)))
        readers[-1].start()
        while len(pool._batches) < len(readers):
            pass  # the other thread needs no more than to be run
    go_on.set()
    for thread in (blocking, *readers):
        thread.join(PATIENCE)
    assert begun == ['a0', 'b0', 'a1', 'b1', 'a2', 'b2']


def test_bytes_are_bounded_until_the_answers_are_used() -> None:
    pool = RequestPool(max_bytes=100)
    counted = Counted()
    answers = pool.run('here', [counted.request('here', n, nbytes=40) for n in range(5)])
    seen = [next(answers)]
    for answer in answers:
        # Two at most: the one that is being used, and one more.
        assert pool.bytes_in_use <= 80
        assert len(counted.begun) <= len(seen) + 2
        seen.append(answer)
    assert sorted(seen) == [0, 1, 2, 3, 4]
    assert pool.bytes_in_use == 0
    assert list(pool.run('here', [counted.request('here', 'large', nbytes=10_000)])) == ['large']


def test_an_error_drops_what_has_not_begun() -> None:
    pool = RequestPool(max_requests=1)
    begun = []

    def fail():
        msg = 'number 1'
        raise KeyError(msg)

    requests = [Request(10, fail), *(Request(10, lambda n=n: begun.append(n)) for n in range(100))]
    with pytest.raises(KeyError, match='number 1'):
        list(pool.run('here', requests))
    assert begun == []
    assert list(pool.run('here', [Request(1, lambda: 'on')])) == ['on']
    assert pool.bytes_in_use == 0


def test_a_reader_that_goes_away_asks_for_no_more() -> None:
    pool = RequestPool(max_requests=2)
    running, go_on, ended = threading.Semaphore(0), threading.Event(), threading.Semaphore(0)
    begun = []

    def wait(number):
        begun.append(number)
        running.release()
        if number:
            assert go_on.wait(PATIENCE)
            ended.release()
        return number

    answers = pool.run('here', [Request(10, lambda n=n: wait(n)) for n in range(50)])
    assert next(answers) == 0
    running.acquire(timeout=PATIENCE)
    answers.close()
    go_on.set()
    assert list(pool.run('here', [Request(1, lambda: 'next')])) == ['next']
    assert len(begun) <= 3
    for _ in range(len(begun) - 1):
        assert ended.acquire(timeout=PATIENCE)


@pytest.mark.filterwarnings('ignore:.*multi-threaded.*fork')
def test_a_forked_process_has_threads_of_its_own() -> None:
    assert list(REQUESTS.run('here', [Request(1, lambda: 'parent')])) == ['parent']
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            found = list(REQUESTS.run('here', [Request(1, lambda: b'child')]))
            os.write(write, found[0])
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, 'rb') as pipe:
        assert pipe.read() == b'child'
    os.waitpid(child, 0)
