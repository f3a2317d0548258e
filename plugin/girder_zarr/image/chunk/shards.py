"""Where the inner chunks of shards lie, and their bytes by ranged reads."""

from __future__ import annotations

from collections import defaultdict, deque
from functools import partial
from typing import TYPE_CHECKING, Any

from girder_zarr.common.cache import LRU
from girder_zarr.common.request_pool import REQUESTS, Request
from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.store.coalesce import ByteRange, runs
from girder_zarr.image.store.keystore import KeyRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np

    from girder_zarr.image.store.keystore import KeyStore

    from .arrays import ArrayInfo, Sharding

#: The offset and size of an inner chunk that is not stored (zarr v3, sharding-indexed codec).
MISSING = 2**64 - 1
#: Bytes of shard indexes that one array caches: one index of 2**20 chunks, or 4096 of 16 x 16.
INDEX_CACHE_BYTES = 16 * 2**20


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
        key, inner, name = self._place(info, chunk)
        found = self._range(key, inner, name, max_bytes)
        if found is None:
            return name, None
        try:
            return name, self._store.read_range(key, *found)
        except UnreadableImageError as error:
            raise self._fail(name, error) from error

    def _range(self, key: str, inner: tuple[int, ...], name: str, max_bytes: int) -> tuple[int, int] | None:
        """Return the first byte of a chunk in its shard and its bytes, or None where it is not stored."""
        index = self._index(key)
        if index is None:
            return None
        offset, size = (int(value) for value in index[inner])
        if offset == MISSING and size == MISSING:
            return None
        if size > max_bytes or offset >= 2**63:
            msg = f'its shard claims that it has {size} bytes'
            raise self._fail(name, ValueError(msg))
        return offset, size

    def key(self, info: ArrayInfo, chunk: tuple[int, ...]) -> str:
        """Return the key of the shard that an inner chunk lies in."""
        return self._place(info, chunk)[0]

    def has(self, info: ArrayInfo, chunk: tuple[int, ...]) -> bool:
        """Whether an inner chunk is stored."""
        key, inner, name = self._place(info, chunk)
        return self._range(key, inner, name, MISSING) is not None

    def _place(self, info: ArrayInfo, chunk: tuple[int, ...]) -> tuple[str, tuple[int, ...], str]:
        """Return the key of a chunk's shard, its numbers in there, and what to call it."""
        grid = self._sharding.grid
        shard = tuple(number // count for number, count in zip(chunk, grid, strict=True))
        inner = tuple(number % count for number, count in zip(chunk, grid, strict=True))
        key = info.key_prefix + info.separator.join(map(str, shard))
        return key, inner, f'{key}[{", ".join(map(str, inner))}]'

    def name(self, info: ArrayInfo, chunk: tuple[int, ...]) -> str:
        """Return what messages call an inner chunk."""
        return self._place(info, chunk)[2]

    def index_request(self, info: ArrayInfo, chunk: tuple[int, ...]) -> KeyRequest | None:
        """Return the request that reads and caches the index of a chunk's shard, or None: it is cached."""
        key = self.key(info, chunk)
        if key in self._indexes:
            return None

        def read() -> dict[str, bytes | None]:
            self._index(key)
            return {}

        return KeyRequest((key,), self._sharding.index_bytes, read)

    def requests(
        self, info: ArrayInfo, chunks: Iterable[tuple[int, ...]], max_bytes: int
    ) -> tuple[dict[str, tuple[int, ...]], list[KeyRequest]]:
        """Return the names of inner chunks, and the requests that give their bytes in the order of need.

        Chunks that lie near each other in a shard are one request. Indexes that are not cached are read
        first, side by side.

        :param max_bytes: the bytes that one chunk may have.
        :raises UnreadableChunkError: a shard or its index cannot be read.
        """
        places = {chunk: self._place(info, chunk) for chunk in chunks}
        unread = [
            key for key in dict.fromkeys(key for key, _, _ in places.values()) if key not in self._indexes
        ]
        asked = [Request(self._sharding.index_bytes, partial(self._index, key)) for key in unread]
        deque(REQUESTS.run(self._store.source, asked), maxlen=0)
        absent: list[str] = []
        ranges: dict[str, list[ByteRange]] = defaultdict(list)
        for key, inner, name in places.values():
            found = self._range(key, inner, name, max_bytes)
            if found is None:
                absent.append(name)
            else:
                ranges[key].append(ByteRange(found[0], sum(found), name))
        order = {name: number for number, (_, _, name) in enumerate(places.values())}
        wanted = [self._request(key, run, order) for key, parts in ranges.items() for run in runs(parts)]
        wanted.sort(key=lambda one: order[one.keys[0]])
        if absent:
            wanted.insert(0, KeyRequest(tuple(absent), 0, lambda: dict.fromkeys(absent)))
        return {name: chunk for chunk, (_, _, name) in places.items()}, wanted

    def _request(self, key: str, run: list[ByteRange], order: Mapping[str, int]) -> KeyRequest:
        start, length = run[0].start, max(part.stop for part in run) - run[0].start

        def read() -> dict[str, bytes | None]:
            data = self._store.read_range(key, start, length)
            return {
                part.key: None if data is None else data[part.start - start : part.stop - start]
                for part in run
            }

        names = sorted((part.key for part in run), key=order.__getitem__)
        return KeyRequest(tuple(names), length, read)

    def _index(self, key: str) -> np.ndarray | None:
        return self._indexes.fetch(key, lambda: self._read_index(key))

    def _read_index(self, key: str) -> np.ndarray | None:
        length = self._sharding.index_bytes
        try:
            data = self._store.read_range(key, -length if self._sharding.at_end else 0, length)
            return None if data is None else self._sharding.index.decode(data)
        except Exception as error:  # a damaged index fails in many ways
            raise self._fail(f'{key} (its index)', error) from error
