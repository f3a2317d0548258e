"""What is cached of decoded chunks: bounds, what comes back, and what one pass does not push out."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from girder_zarr.common.chunk_cache import ENTRY_BYTES, MANY_READS, ChunkCache

SIDE = 9 * 1024


class Decoder:
    """Makes chunks and counts them."""

    def __init__(self, cache: ChunkCache) -> None:
        self.cache = cache
        self.made: list[object] = []

    def read(self, key: object) -> np.ndarray:
        found = self.cache.fetch(key, lambda: self._make(key))
        assert found is not None
        assert found[0] == hash(key) % 251
        return found

    def _make(self, key: object) -> np.ndarray:
        self.made.append(key)
        return np.full(SIDE, hash(key) % 251, np.uint8)


@pytest.fixture
def decoder() -> Decoder:
    return Decoder(ChunkCache(100 * (SIDE + ENTRY_BYTES)))


def test_a_chunk_is_made_once_and_read_only(decoder: Decoder) -> None:
    first = decoder.read('a')
    assert decoder.read('a') is first
    assert decoder.made == ['a']
    with pytest.raises(ValueError, match='read-only'):
        first[0] = 1
    assert decoder.cache.get('a', None) is first
    assert decoder.cache.get('b', 5) == 5


def test_the_bound_holds_whatever_is_read(decoder: Decoder) -> None:
    random = np.random.default_rng(3)
    for key in random.zipf(1.3, 5000):
        decoder.read(int(key))
        assert decoder.cache.size <= 100 * (SIDE + ENTRY_BYTES)
    assert len(decoder.made) < 5000


def test_one_pass_does_not_push_out_what_is_used_all_the_time(decoder: Decoder) -> None:
    used = [('used', number) for number in range(40)]
    for _ in range(MANY_READS + 1):
        for key in used:
            decoder.read(key)
    decoder.made.clear()
    for number in range(2000):
        for _ in range(MANY_READS):  # as tiles do that share a chunk
            decoder.read(('pass', number))
    assert len(decoder.made) == 2000
    decoder.made.clear()
    for key in used:
        decoder.read(key)
    assert decoder.made == []


def test_a_second_pass_counts_as_one_too(decoder: Decoder) -> None:
    for key in range(60):  # more than the recent ones, so that they come back from outside
        decoder.read(('used', key))
    for key in range(30):
        decoder.read(('used', key))
    for _ in range(2):
        for number in range(2000):
            decoder.read(('pass', number))
    decoder.made.clear()
    for key in range(30):
        decoder.read(('used', key))
    assert decoder.made == []


def test_what_is_not_stored_is_known_too() -> None:
    cache, asked = ChunkCache(10_000), []
    for _ in range(3):
        assert cache.fetch('absent', lambda: asked.append(1)) is None
    assert asked == [1]


def test_memory_that_an_array_does_not_show_counts() -> None:
    cache = ChunkCache(4 * 100_000)
    for key in range(20):
        cache.fetch(key, lambda: np.zeros(90_000, np.uint8)[:10])
    assert len(cache._lists.recent) == 1


def test_the_size_is_followed() -> None:
    sizes = [10_000_000]
    cache = ChunkCache()
    cache.bind(lambda: sizes[0])
    decoder = Decoder(cache)
    decoder.read('a')
    sizes[0] = 0
    decoder.read('b')
    decoder.read('b')
    assert cache.size == 0
    assert decoder.made == ['a', 'b', 'b']


def test_threads_that_ask_at_once_get_one_chunk(decoder: Decoder) -> None:
    begun, go_on = threading.Event(), threading.Event()
    made, found = [], []

    def make() -> np.ndarray:
        made.append(1)
        begun.set()
        assert go_on.wait(60)
        return np.zeros(5, np.uint8)

    threads = [
        threading.Thread(target=lambda: found.append(decoder.cache.fetch('a', make))) for _ in range(5)
    ]
    threads[0].start()
    assert begun.wait(60)
    for thread in threads[1:]:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert made == [1]
    assert all(one is found[0] for one in found)


def test_an_error_is_not_cached(decoder: Decoder) -> None:
    def fail() -> np.ndarray:
        msg = 'broken'
        raise OSError(msg)

    with pytest.raises(OSError, match='broken'):
        decoder.cache.fetch('a', fail)
    decoder.read('a')
    assert decoder.made == ['a']
