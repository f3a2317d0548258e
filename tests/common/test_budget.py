"""One budget of memory: in order, alone if larger than all of it, never waiting for itself."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from girder_zarr.common.budget import MemoryBudget


def test_no_more_is_in_use_than_there_is() -> None:
    budget, most = MemoryBudget(100), []
    started = threading.Barrier(8)

    def work(_: int) -> None:
        started.wait()
        for _ in range(50):
            with budget.acquire(40):
                most.append(budget.used)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert max(most) <= 100
    assert budget.used == 0


def test_those_who_ask_first_are_first() -> None:
    budget, order = MemoryBudget(100), []
    threads = []

    def work(name: int, nbytes: int) -> None:
        with budget.acquire(nbytes):
            order.append(name)

    with budget.acquire(60):
        # the small ones would fit beside what is in use, but the large one came first
        for name, nbytes in enumerate((80, 10, 10)):
            thread = threading.Thread(target=work, args=(name, nbytes))
            thread.start()
            threads.append(thread)
            while len(budget._queue) <= name:
                pass
        assert order == []
    for thread in threads:
        thread.join()
    assert order[0] == 0


def test_a_request_larger_than_the_budget_runs_alone() -> None:
    budget = MemoryBudget(100)
    entered, leave = threading.Event(), threading.Event()

    def large() -> None:
        with budget.acquire(1000):
            entered.set()
            leave.wait()

    with budget.acquire(1):
        thread = threading.Thread(target=large)
        thread.start()
        while not budget._queue:
            pass
        assert not entered.is_set()
    assert entered.wait(30)
    assert budget.used == 1000
    leave.set()
    thread.join()


def test_a_thread_never_waits_for_itself() -> None:
    budget = MemoryBudget(100)
    with budget.acquire(90):
        with budget.acquire(50):
            assert budget.used == 90
        with budget.acquire(300):
            assert budget.used == 300
        assert budget.used == 90
    assert budget.used == 0


def test_bytes_come_back_after_an_error() -> None:
    budget = MemoryBudget(100)
    with pytest.raises(KeyError), budget.acquire(70):
        raise KeyError
    assert budget.used == 0
