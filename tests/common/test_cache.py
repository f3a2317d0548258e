"""The cache of girder_zarr.common, by counts and bytes, and under threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from girder_zarr.common.cache import LRU, Uncached
from support.waiting import wait_until


def test_the_value_used_longest_ago_goes_first():
    cache = LRU(max_items=2)
    cache.put('a', 1)
    cache.put('b', 2)
    assert cache.get('a') == 1
    cache.put('c', 3)
    assert (cache.get('a'), cache.get('b'), cache.get('c')) == (1, None, 3)
    assert len(cache) == cache.size == cache.max_size == 2


def test_bytes_bound_the_cache():
    cache = LRU(max_bytes=10, size_of=len)
    cache.put('a', b'1234')
    cache.put('b', b'123456')
    assert cache.size == 10
    cache.put('a', b'12345')
    assert (cache.get('a'), cache.get('b'), cache.size) == (b'12345', None, 5)


def test_a_value_larger_than_the_cache_is_not_stored_and_replaces_what_was():
    cache = LRU(max_bytes=4, size_of=len)
    cache.put('a', b'1')
    cache.put('b', b'1')
    cache.put('a', b'12345')
    assert 'a' not in cache
    assert 'b' in cache
    assert cache.fetch('a', lambda: b'123456') == b'123456'
    assert cache.size == 1


def test_none_is_a_value():
    cache = LRU(max_items=2)
    assert cache.get('a', 'nothing') == 'nothing'
    calls = []
    for _ in range(2):
        assert cache.fetch('a', lambda: calls.append(1)) is None
    assert calls == [1]
    assert cache.get('a', 'nothing') is None


def test_removed_keys_are_gone():
    cache = LRU(max_items=4)
    cache.put('a', 1)
    cache.put('b', 2)
    assert cache.pop('a') == 1
    assert cache.pop('a') is None
    cache.clear()
    assert len(cache) == cache.size == 0


@pytest.mark.parametrize(
    'bounds',
    [
        {},
        {'max_items': 1, 'max_bytes': 1, 'size_of': len},
        {'max_bytes': 1},
        {'max_items': 1, 'size_of': len},
    ],
)
def test_exactly_one_bound_is_needed(bounds):
    with pytest.raises(ValueError, match='either max_items, or max_bytes with size_of'):
        LRU(**bounds)


class Held:
    """A computation that waits to be let on, and counts its calls."""

    def __init__(self, result=None):
        self.result, self.calls = result, 0
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self):
        self.calls += 1
        self.begun.set()
        assert self.go.wait(30)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def waiting(cache, key):
    """Return once another thread waits for a key."""
    flight = cache._flights[key]
    wait_until(lambda: flight.done._cond._waiters)


def fetch_beside(cache, held, others):
    """Fetch a key in two threads, the second while the first computes."""
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.fetch, 'a', held)
        assert held.begun.wait(30)
        second = pool.submit(cache.fetch, 'a', others)
        waiting(cache, 'a')
        held.go.set()
        return first, second.result(30)


@pytest.mark.parametrize('result', ['value', None, Uncached('value')])
def test_threads_that_wait_get_the_value_computed_once(result):
    cache, held = LRU(max_items=2), Held(result)
    expected = None if result is None else 'value'
    first, second = fetch_beside(cache, held, pytest.fail)
    assert (first.result(), second, held.calls) == (expected, expected, 1)
    assert ('a' in cache) == (not isinstance(result, Uncached))


def test_an_error_is_not_cached_and_the_next_thread_computes():
    cache, held = LRU(max_items=2), Held(OSError('lost'))
    first, second = fetch_beside(cache, held, lambda: 'value')
    assert second == 'value'
    with pytest.raises(OSError, match='lost'):
        first.result()
    assert cache.get('a') == 'value'


@pytest.mark.parametrize('remove', [lambda cache: cache.pop('a'), lambda cache: cache.clear()])
def test_a_key_removed_while_it_is_computed_is_computed_anew(remove):
    cache, held = LRU(max_items=2), Held('old')
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(cache.fetch, 'a', held)
        assert held.begun.wait(30)
        remove(cache)
        assert cache.fetch('a', lambda: 'new') == 'new'
        held.go.set()
        assert first.result(30) == 'old'
    assert cache.get('a') == 'new'


def test_a_computation_that_asks_for_itself_is_refused():
    cache = LRU(max_items=2)
    with pytest.raises(RuntimeError, match="The value of 'a' is asked for while it is computed"):
        cache.fetch('a', lambda: cache.fetch('a', int))
    assert cache.fetch('a', int) == 0


def test_two_keys_are_computed_side_by_side():
    cache, held = LRU(max_items=2), Held(1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(cache.fetch, 'a', held)
        assert held.begun.wait(30)
        assert cache.fetch('b', lambda: 2) == 2
        held.go.set()
        assert first.result(30) == 1
