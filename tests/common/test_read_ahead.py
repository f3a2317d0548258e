"""Reading ahead of need: when it begins, what stops it, how much there is of it, what readers get."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from girder_zarr.common.chunk_cache import AHEAD_PART, ENTRY_BYTES, ChunkCache
from girder_zarr.common.read_ahead import AheadRequest, ReadAhead
from girder_zarr.common.request_pool import MAX_AHEAD, Request, RequestPool
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

PATIENCE = 60


class Far:
    """A far store whose answers are held until they are let go; everything that is asked for is noted."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.asked: list[Hashable] = []
        self.lock = threading.Lock()
        self.go_on = threading.Event()
        self.most = self.running = 0
        self.failing: set[Hashable] = set()
        if is_open:
            self.go_on.set()

    def read(self, key: Hashable) -> bytes:
        with self.lock:
            self.asked.append(key)
            self.running += 1
            self.most = max(self.most, self.running)
        assert self.go_on.wait(PATIENCE)
        with self.lock:
            self.running -= 1
        if key in self.failing:
            raise OSError(key)
        return str(key).encode()

    def ahead(self, key: Hashable, nbytes: int = 10) -> AheadRequest:
        return AheadRequest((key,), nbytes, lambda: {key: self.read(key)})


class Reader:
    """Offers requests, once each."""

    def __init__(self, *requests: AheadRequest) -> None:
        self.requests = list(requests)

    def next_requests(self) -> list[AheadRequest]:
        found, self.requests = self.requests, []
        return found


class World:
    def __init__(self, quiet: float = 0.0) -> None:
        self.pool = RequestPool()
        self.cache = ChunkCache(2**20)
        self.ahead = ReadAhead(self.pool, self.cache, quiet)

    def rest(self) -> None:
        wait_until(lambda: self.ahead.is_idle, what='what is read ahead')

    def need(self, far: Far, *keys: Hashable) -> list[Any]:
        return list(self.pool.run('far', [Request(10, lambda key=key: far.read(key)) for key in keys]))


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.rest()
    assert made.pool.bytes_in_use == 0


def test_what_is_offered_is_there_for_the_first_reader(world: World) -> None:
    far, reader = Far(), Reader()
    reader.requests = [far.ahead(number) for number in range(20)]
    world.ahead.offer(reader, 'far')
    world.rest()
    assert sorted(far.asked) == list(range(20))
    assert far.most <= MAX_AHEAD
    assert world.ahead.take(3, None) == b'3'
    assert world.ahead.take(3, None) is None
    assert world.ahead.take('other', 'none') == 'none'


def test_a_reader_is_asked_again_when_all_has_come(world: World) -> None:
    far = Far()

    class Twice(Reader):
        def next_requests(self) -> list[AheadRequest]:
            if self.requests:  # such as the index of a shard, and then its chunks
                return super().next_requests()
            return [] if 'chunk' in far.asked else [far.ahead('chunk')]

    world.ahead.offer(reader := Twice(far.ahead('index')), 'far')
    world.rest()
    assert far.asked == ['index', 'chunk']
    del reader


def test_it_waits_until_the_source_was_left_alone() -> None:
    world = World(quiet=PATIENCE)
    far = Far()
    reader = Reader(far.ahead('next'))
    world.ahead.offer(reader, 'far')
    assert not world.ahead.is_idle
    assert world.need(far, 'now') == [b'now']
    world.rest()  # it was dropped: somebody needed something first
    assert far.asked == ['now']


def test_nothing_begins_while_a_reader_is_served(world: World) -> None:
    near, far = Far(), Far(is_open=False)
    readers = [threading.Thread(target=world.need, args=(far, number)) for number in range(3)]
    for thread in readers:
        thread.start()
    wait_until(lambda: len(far.asked) == 3)
    reader, other = Reader(far.ahead('next')), Reader(near.ahead('elsewhere'))
    world.ahead.offer(reader, 'far')
    world.ahead.offer(other, 'near')
    world.rest()
    assert sorted(far.asked) == [0, 1, 2]
    # Of another source it may begin: nobody waits for what has not begun.
    assert near.asked == ['elsewhere']
    with world.pool.needed('near'):
        world.ahead.offer(other := Reader(near.ahead('more')), 'near')
        world.rest()
    assert near.asked == ['elsewhere']
    far.go_on.set()
    for thread in readers:
        thread.join(PATIENCE)


def test_nothing_begins_while_a_reader_waits_for_anything() -> None:
    world = World()
    world.pool = RequestPool(max_requests=1)
    world.ahead = ReadAhead(world.pool, world.cache, 0)
    near, far = Far(), Far(is_open=False)
    reader = threading.Thread(target=world.need, args=(far, 'first', 'second'))
    reader.start()
    wait_until(lambda: far.asked == ['first'])
    world.ahead.offer(other := Reader(near.ahead('elsewhere')), 'near')
    world.rest()
    far.go_on.set()
    reader.join(PATIENCE)
    assert near.asked == []
    del other


def test_what_is_needed_drops_what_has_not_begun_and_is_asked_at_once(world: World) -> None:
    far = Far(is_open=False)
    reader = Reader(*(far.ahead(('ahead', number)) for number in range(50)))
    world.ahead.offer(reader, 'far')
    wait_until(lambda: len(far.asked) == MAX_AHEAD)
    needed = threading.Thread(target=world.need, args=(far, *range(20)))
    needed.start()
    # All of it begins beside what is under way already, none of it after.
    wait_until(lambda: len(far.asked) == MAX_AHEAD + 20)
    assert sorted(far.asked[MAX_AHEAD:]) == list(range(20))
    far.go_on.set()
    needed.join(PATIENCE)
    world.rest()
    assert len(far.asked) == MAX_AHEAD + 20


def test_a_reader_waits_for_what_is_under_way(world: World) -> None:
    far = Far(is_open=False)
    world.ahead.offer(reader := Reader(far.ahead('next')), 'far')
    wait_until(lambda: far.asked == ['next'])
    assert 'next' in world.ahead
    found: list[Any] = []
    waiting = threading.Thread(target=lambda: found.append(world.ahead.take('next', None)))
    waiting.start()
    far.go_on.set()
    waiting.join(PATIENCE)
    assert found == [b'next']
    assert far.asked == ['next']
    del reader


def test_a_reader_waits_for_what_had_to_wait_for_room(world: World) -> None:
    far = Far(is_open=False)
    reader = Reader(*(far.ahead(number) for number in range(MAX_AHEAD + 1)))
    world.ahead.offer(reader, 'far')
    wait_until(lambda: len(far.asked) == MAX_AHEAD)
    slow = threading.Event()
    original, last = far.read, MAX_AHEAD

    def read(key: Hashable) -> bytes:
        if key == last:
            assert slow.wait(PATIENCE)
        return original(key)

    far.read = read  # type: ignore[method-assign]
    far.go_on.set()
    wait_until(lambda: world.pool.bytes_in_use == 10)
    found: list[Any] = []
    waiting = threading.Thread(target=lambda: found.append(world.ahead.take(last, 'none')))
    waiting.start()
    slow.set()
    waiting.join(PATIENCE)
    assert found == [str(last).encode()]


def test_errors_are_nobodys(world: World) -> None:
    far = Far()
    far.failing = {1}
    world.ahead.offer(reader := Reader(far.ahead(1), far.ahead(2)), 'far')
    world.rest()
    assert world.ahead.take(1, 'none') == 'none'
    assert world.ahead.take(2, 'none') == b'2'

    class Broken(Reader):
        def next_requests(self) -> list[AheadRequest]:
            raise OSError

    world.ahead.offer(broken := Broken(), 'far')
    world.rest()
    world.ahead.offer(after := Reader(far.ahead(3)), 'far')
    world.rest()
    assert world.ahead.take(3, None) == b'3'
    del reader, broken, after


def test_it_stops_when_the_reader_is_gone(world: World) -> None:
    far = Far(is_open=False)
    reader = Reader(*(far.ahead(number) for number in range(50)))
    world.ahead.offer(reader, 'far')
    wait_until(lambda: len(far.asked) == MAX_AHEAD)
    del reader
    gc.collect()
    far.go_on.set()
    world.rest()
    assert len(far.asked) == MAX_AHEAD
    world.ahead.offer(Reader(far.ahead('never')), 'far')
    gc.collect()
    world.rest()
    assert 'never' not in far.asked


def test_a_later_offer_takes_the_place_of_an_earlier_one(world: World) -> None:
    far = Far(is_open=False)
    reader = Reader(*(far.ahead(('old', number)) for number in range(50)))
    world.ahead.offer(reader, 'far')
    wait_until(lambda: len(far.asked) == MAX_AHEAD)
    reader.requests = [far.ahead('new')]
    world.ahead.offer(reader, 'far')
    far.go_on.set()
    world.rest()
    assert len(far.asked) == MAX_AHEAD + 1
    assert far.asked[-1] == 'new'


def test_its_bytes_count_with_those_of_all(world: World) -> None:
    world.pool = RequestPool(max_bytes=800)
    world.ahead = ReadAhead(world.pool, world.cache, 0)
    far = Far(is_open=False)
    reader = Reader(*(far.ahead(number, 40) for number in range(6)))
    world.ahead.offer(reader, 'far')
    wait_until(lambda: len(far.asked) == 2)  # an eighth of 800 has no room for three
    assert world.pool.bytes_in_use == 80
    far.go_on.set()
    world.rest()
    assert sorted(far.asked) == list(range(6))
    assert far.most == 2


def test_what_is_cached_is_not_asked_for(world: World) -> None:
    far = Far()
    world.cache.fetch('decoded', lambda: np.zeros(10, np.uint8))
    world.cache.put_ahead('stored', b'stored')
    world.ahead.offer(reader := Reader(far.ahead('decoded'), far.ahead('stored'), far.ahead('new')), 'far')
    world.rest()
    assert far.asked == ['new']
    del reader


def test_what_is_needed_gives_way_up_to_a_part_of_the_cache() -> None:
    side = 9 * 1024
    cache = ChunkCache(96 * (side + ENTRY_BYTES))
    limit = 96 * (side + ENTRY_BYTES)
    # As much as the main list holds: chunks that come back after they have left the list of recent ones.
    for _ in range(2):
        for number in range(96):
            cache.fetch(number, lambda: np.zeros(side, np.uint8))
    before = sum(number in cache for number in range(96))
    for number in range(500):
        cache.put_ahead(('ahead', number), bytes(side))
        assert cache.size <= limit
    after = sum(number in cache for number in range(96))
    assert before - after <= 96 // AHEAD_PART + 1
    assert sum(('ahead', number) in cache for number in range(500)) == 96 // AHEAD_PART
    for number in range(500):
        cache.take_ahead(('ahead', number), None)
    for number in range(96):  # all of it is for what is needed again
        cache.fetch(number, lambda: np.zeros(side, np.uint8))
        cache.fetch(number, lambda: np.zeros(side, np.uint8))
    assert sum(number in cache for number in range(96)) >= before


def test_a_cache_of_nothing_keeps_nothing() -> None:
    cache = ChunkCache(0)
    assert cache.max_ahead == 0
    cache.put_ahead('a', b'data')
    assert cache.take_ahead('a', 'none') == 'none'
