"""The fast way from a region to its chunks: store, decoder, pixels, with nothing in between."""

from __future__ import annotations

import itertools
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.common.budget import BUDGET
from girder_zarr.common.cache import LRU
from girder_zarr.errors import UnreadableChunkError, UnreadableImageError
from girder_zarr.image.limits import max_work_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from girder_zarr.image.store.keystore import Bytes, KeyStore

    from .arrays import ArrayInfo, Sharding

#: The offset and size of an inner chunk that is not stored (zarr v3, sharding-indexed codec).
MISSING = 2**64 - 1
#: Bytes of shard indexes that one array caches: one index of 2**20 chunks, or 4096 of 16 x 16.
INDEX_CACHE_BYTES = 16 * 2**20
#: Of a shard over the network, chunks this near to each other (bytes) are read at once: so many, and so many
#: bytes. Fetching 32 KiB more takes less time than another request; 32 MiB bound what a tile holds.
MAX_COALESCED_GAP, MAX_COALESCED, MAX_COALESCED_BYTES = 32 * 2**10, 1024, 32 * 2**20
#: Chunks that take more bytes than this are decoded by one thread at a time, so that any number of threads
#: stays in the bound of one large chunk.
LARGE_BYTES = 24 * 2**20
_one_at_a_time = threading.RLock()


class StoredLevel:
    """A zarr array in a store, as a LevelReader.

    :param store: where it lies.
    :param info: its metadata.
    """

    def __init__(self, store: KeyStore, info: ArrayInfo) -> None:
        self.store = store
        self.info = info
        self.shape = info.shape
        self.dtype = info.dtype
        self.chunks = info.chunks
        self._shards = None if info.sharding is None else ShardIndexes(store, info.sharding, self._fail)
        # No compressor makes a chunk much larger than its pixels.
        self._max_stored = info.decoder.stored_size * 9 // 8 + 2**16
        self.is_large = max(info.decoder.size, info.decoder.work_bytes) > LARGE_BYTES
        if self.is_large:
            self._max_stored = max(2**16, min(self._max_stored, max_work_bytes() - info.decoder.work_bytes))
        #: The last large chunk while several reads are going on; see :meth:`several_reads`.
        self._last_large: tuple[tuple[int, ...], np.ndarray | None] | None = None
        self._readers = 0

    def read(self, region: tuple[slice, ...]) -> np.ndarray:
        """Return the pixels of a region; see :class:`.series.LevelReader`.

        :raises UnreadableChunkError: a chunk exists and cannot be read or decoded.
        """
        if not self.is_large:
            return self._read(region)
        with self.several_reads():
            return self._read(region)

    @contextmanager
    def several_reads(self) -> Iterator[None]:
        """Keep the last large chunk for further reads in this context; no other is decoded meanwhile."""
        # The budget first: who holds it waits for the lock, never the other way round.
        with BUDGET.acquire(self.info.decoder.size + self.info.decoder.work_bytes), _one_at_a_time:
            self._readers += 1
            try:
                yield
            finally:
                self._readers -= 1
                if not self._readers:
                    self._last_large = None

    def _read(self, region: tuple[slice, ...]) -> np.ndarray:
        ranges = [
            range(part.start // side, (part.stop - 1) // side + 1)
            for part, side in zip(region, self.chunks, strict=True)
        ]
        shape = tuple(part.stop - part.start for part in region)
        if all(len(numbers) == 1 for numbers in ranges):
            return self._read_one(tuple(numbers[0] for numbers in ranges), region, shape)
        out = None
        ahead: dict[tuple[int, ...], bytes] = {}
        if self.store.is_remote and not self.is_large:
            ahead = self._read_coalesced(itertools.product(*ranges))
        for chunk in itertools.product(*ranges):
            pixels = self._chunk(chunk, ahead.get(chunk))
            if pixels is None:
                continue
            if out is None:
                out = self._filled(shape)
            source, target = self._overlap(chunk, region)
            out[target] = pixels[source]
            del pixels  # before the next one is decoded
        return np.broadcast_to(self.info.fill, shape) if out is None else out

    def _read_coalesced(self, chunks: Iterable[tuple[int, ...]]) -> dict[tuple[int, ...], bytes]:
        """Return the stored bytes of those chunks that lie beside each other, read at once."""
        if self._shards is not None:
            return self._shards.read_coalesced(self.info, chunks, self._max_stored)
        keys = {self._key(chunk): chunk for chunk in itertools.islice(chunks, MAX_COALESCED)}
        try:
            return {
                keys[key]: data for key, data in self.store.read_coalesced(keys, self._max_stored).items()
            }
        except UnreadableImageError as error:
            raise self._fail(f'{next(iter(keys))} (or one beside it)', error) from error

    def _key(self, chunk: tuple[int, ...]) -> str:
        return self.info.key_prefix + self.info.separator.join(map(str, chunk))

    def _read_one(
        self, chunk: tuple[int, ...], region: tuple[slice, ...], shape: tuple[int, ...]
    ) -> np.ndarray:
        pixels = self._chunk(chunk)
        if pixels is None:
            return np.broadcast_to(self.info.fill, shape)
        part = pixels[self._overlap(chunk, region)[0]]
        # A small part that is kept must not keep all of a large chunk.
        return part if part.nbytes * 2 >= pixels.nbytes else part.copy()

    def _chunk(self, chunk: tuple[int, ...], known: bytes | None = None) -> np.ndarray | None:
        if not self.is_large:
            return self.chunk(chunk, known)
        if self._last_large is None or self._last_large[0] != chunk:
            self._last_large = None  # before the next one is decoded
            self._last_large = chunk, self.chunk(chunk, known)
        return self._last_large[1]

    def _filled(self, shape: tuple[int, ...]) -> np.ndarray:
        if not self.info.fill:
            return np.zeros(shape, self.dtype)
        return np.full(shape, self.info.fill, self.dtype)

    def _overlap(
        self, chunk: tuple[int, ...], region: tuple[slice, ...]
    ) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """Return the part of the chunk that lies in the region, in the chunk and in the region."""
        source, target = [], []
        for number, side, part in zip(chunk, self.chunks, region, strict=True):
            start = max(part.start, number * side)
            stop = min(part.stop, (number + 1) * side)
            source.append(slice(start - number * side, stop - number * side))
            target.append(slice(start - part.start, stop - part.start))
        return tuple(source), tuple(target)

    def chunk(self, chunk: tuple[int, ...], known: bytes | None = None) -> np.ndarray | None:
        """Return the pixels of a whole chunk by its numbers, or None where it is not stored.

        :param known: its stored bytes, if they have been read already.
        :raises UnreadableChunkError: it exists and cannot be read or decoded.
        """
        key, data = (self._key(chunk), known) if known is not None else self.stored(chunk)
        if data is None:
            return None
        try:
            return self.info.decoder.decode(data)
        except Exception as error:  # every decoder has errors of its own
            raise self._fail(key, error) from error

    def stored(self, chunk: tuple[int, ...]) -> tuple[str, Bytes | None]:
        """Return the name of a chunk and its bytes as they are stored, or None for the bytes.

        The bytes may lie in memory that the thread's next call overwrites.

        :raises UnreadableChunkError: it exists and cannot be read.
        """
        if self._shards is None:
            key = self._key(chunk)
            try:
                return key, self.store.read_view(key, self._max_stored)
            except UnreadableImageError as error:
                raise self._fail(key, error) from error
        return self._shards.stored(self.info, chunk, self._max_stored)

    def _fail(self, key: str, error: Exception) -> UnreadableChunkError:
        reason = str(error).rstrip('.') or type(error).__name__
        return UnreadableChunkError(f'The chunk {key} of {self.store.name} cannot be read: {reason}.')


def _runs(
    places: Sequence[tuple[str, int, int, tuple[int, ...]]],
) -> list[list[tuple[str, int, int, tuple[int, ...]]]]:
    """Return sorted places (shard, offset, size, chunk) in groups that lie beside each other."""
    runs: list[list[tuple[str, int, int, tuple[int, ...]]]] = []
    end = 0
    for place in places:
        key, offset, size, _ = place
        if not runs or runs[-1][0][0] != key or not 0 <= offset - end <= MAX_COALESCED_GAP:
            runs.append([])
        runs[-1].append(place)
        end = offset + size
    return runs


class ShardIndexes:
    """The inner chunks of shards, by ranged reads; indexes are cached."""

    def __init__(self, store: KeyStore, sharding: Sharding, fail: Any) -> None:
        self._store = store
        self._sharding = sharding
        self._fail = fail
        self._indexes: LRU[str, np.ndarray | None] = LRU(
            max_items=max(4, INDEX_CACHE_BYTES // sharding.index_bytes)
        )

    def stored(self, info: ArrayInfo, chunk: tuple[int, ...], max_bytes: int) -> tuple[str, bytes | None]:
        """Return the name of an inner chunk and its bytes, or None for the bytes where it is not stored.

        :param chunk: the numbers of the inner chunk in the whole array.
        :param max_bytes: the bytes that it may have.
        :raises UnreadableChunkError: the shard or its index cannot be read.
        """
        grid = self._sharding.grid
        shard = tuple(number // count for number, count in zip(chunk, grid, strict=True))
        inner = tuple(number % count for number, count in zip(chunk, grid, strict=True))
        key = info.key_prefix + info.separator.join(map(str, shard))
        name = f'{key}[{", ".join(map(str, inner))}]'
        index = self._index(key)
        if index is None:
            return name, None
        offset, size = (int(value) for value in index[inner])
        if offset == MISSING and size == MISSING:
            return name, None
        if size > max_bytes or offset >= 2**63:
            msg = f'its shard claims that it has {size} bytes'
            raise self._fail(name, ValueError(msg))
        try:
            return name, self._store.read_range(key, offset, size)
        except UnreadableImageError as error:
            raise self._fail(name, error) from error

    def read_coalesced(
        self, info: ArrayInfo, chunks: Iterable[tuple[int, ...]], max_bytes: int
    ) -> dict[tuple[int, ...], bytes]:
        """Return the stored bytes of those chunks that lie beside others in a shard, a run by one read.

        :param max_bytes: the bytes that one chunk may have.
        :raises UnreadableChunkError: a shard or its index cannot be read.
        """
        places: list[tuple[str, int, int, tuple[int, ...]]] = []
        grid = self._sharding.grid
        for chunk in itertools.islice(chunks, MAX_COALESCED):
            shard = tuple(number // count for number, count in zip(chunk, grid, strict=True))
            inner = tuple(number % count for number, count in zip(chunk, grid, strict=True))
            key = info.key_prefix + info.separator.join(map(str, shard))
            index = self._index(key)
            if index is not None:
                offset, size = (int(value) for value in index[inner])
                if size <= max_bytes and offset < 2**63:
                    places.append((key, offset, size, chunk))
        found: dict[tuple[int, ...], bytes] = {}
        left = MAX_COALESCED_BYTES
        for run in _runs(sorted(places)):
            key, start = run[0][:2]
            length = max(offset + size for _, offset, size, _ in run) - start
            if len(run) == 1 or length > left:
                continue
            left -= length
            try:
                data = self._store.read_range(key, start, length)
            except UnreadableImageError as error:
                raise self._fail(f'{key} (bytes {start} to {start + length})', error) from error
            if data is None:
                continue
            for _, offset, size, chunk in run:
                found[chunk] = data[offset - start : offset - start + size]
        return found

    def _index(self, key: str) -> np.ndarray | None:
        return self._indexes.fetch(key, lambda: self._read_index(key))

    def _read_index(self, key: str) -> np.ndarray | None:
        length = self._sharding.index_bytes
        try:
            data = self._store.read_range(key, -length if self._sharding.at_end else 0, length)
            return None if data is None else self._sharding.index.decode(data)
        except Exception as error:  # a damaged index fails in many ways
            raise self._fail(f'{key} (its index)', error) from error
