"""The fast way from a region to its chunks: store, decoder, pixels, with nothing in between."""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict, deque
from collections.abc import Sequence
from contextlib import closing, contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from girder_zarr.common.budget import BUDGET
from girder_zarr.common.cache import LRU
from girder_zarr.common.chunk_cache import CHUNKS
from girder_zarr.common.request_pool import REQUESTS, Request
from girder_zarr.errors import ForbiddenPartError, UnreadableChunkError, UnreadableImageError
from girder_zarr.image.limits import max_work_bytes
from girder_zarr.image.store.coalesce import ByteRange, runs
from girder_zarr.image.store.keystore import KeyRequest

if TYPE_CHECKING:
    from collections.abc import Generator, Hashable, Iterable, Iterator, Mapping

    from girder_zarr.image.store.keystore import Bytes, KeyStore

    from .arrays import ArrayInfo, Sharding

#: The offset and size of an inner chunk that is not stored (zarr v3, sharding-indexed codec).
MISSING = 2**64 - 1
#: Bytes of shard indexes that one array caches: one index of 2**20 chunks, or 4096 of 16 x 16.
INDEX_CACHE_BYTES = 16 * 2**20
#: Chunks that take more bytes than this are decoded by one thread at a time, so that any number of threads
#: stays in the bound of one large chunk.
LARGE_BYTES = 24 * 2**20
_one_at_a_time = threading.RLock()


class Missing:
    """The type of what stands for stored bytes that have not been read."""


MISSING_BYTES = Missing()


class Overlap(NamedTuple):
    """What a chunk and a region have in common along one axis.

    :param number: of the chunk. :param source: the part in the chunk. :param target: the same in the region.
    :param is_whole: it is all that the chunk has inside the array.
    """

    number: int
    source: slice
    target: slice
    is_whole: bool


#: A chunk and a region: one overlap an axis.
Piece = Sequence[Overlap]


def _overlaps(part: slice, side: int, length: int) -> list[Overlap]:
    """Return the overlaps of a region with chunks along one axis.

    :param side: of a chunk. :param length: of the array.
    """
    found = []
    for number in range(part.start // side, (part.stop - 1) // side + 1):
        first, end = number * side, (number + 1) * side
        start, stop = max(part.start, first), min(part.stop, end)
        is_whole = start == first and stop == min(end, length)
        source, target = slice(start - first, stop - first), slice(start - part.start, stop - part.start)
        found.append(Overlap(number, source, target, is_whole))
    return found


def _number(piece: Piece) -> tuple[int, ...]:
    return tuple(one.number for one in piece)


def _is_whole(piece: Piece) -> bool:
    return all(one.is_whole for one in piece)


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
        parts = [
            _overlaps(part, side, length)
            for part, side, length in zip(region, self.chunks, self.shape, strict=True)
        ]
        shape = tuple(part.stop - part.start for part in region)
        if all(len(along) == 1 for along in parts):
            return self._read_one([along[0] for along in parts], shape)
        out = None
        # Closed at once where a chunk cannot be read, so that no more of a far store is asked for.
        with closing(self._pieces(itertools.product(*parts))) as pieces:
            for piece, pixels in pieces:
                if pixels is None:
                    continue
                if out is None:
                    out = self._filled(shape)
                out[tuple(one.target for one in piece)] = pixels[tuple(one.source for one in piece)]
                del pixels  # before the next one is decoded
        return np.broadcast_to(self.info.fill, shape) if out is None else out

    def _pieces(self, pieces: Iterable[Piece]) -> Generator[tuple[Piece, np.ndarray | None]]:
        """Yield the chunk of each piece, in whichever order; those of a far store as they come."""
        if self.is_large or not (self.store.is_remote and self.store.supports_batch):
            for piece in pieces:
                yield piece, self._chunk(_number(piece), is_whole=_is_whole(piece))
            return
        missing: dict[tuple[int, ...], Piece] = {}
        for piece in pieces:
            chunk = _number(piece)
            found = CHUNKS.get(self.cache_key(chunk), self)
            if found is self:
                missing[chunk] = piece
            else:
                yield piece, found
        with closing(self._fetched(missing)) as fetched:
            for chunk, data in fetched:
                piece = missing[chunk]
                yield piece, self._chunk(chunk, data, is_whole=_is_whole(piece))

    def _fetched(self, chunks: Iterable[tuple[int, ...]]) -> Generator[tuple[tuple[int, ...], Bytes | None]]:
        """Yield the stored bytes of chunks in a far store, asked for side by side."""
        if self._shards is None:
            keys = {self._key(chunk): chunk for chunk in chunks}
            try:
                requests = self.store.requests(keys, self._max_stored)
            except UnreadableImageError as error:
                raise self._fail(next(iter(keys)), error) from error
        else:
            keys, requests = self._shards.requests(self.info, chunks, self._max_stored)
        ordered = [Request(one.nbytes, partial(self._asked, one)) for one in requests]
        with closing(REQUESTS.run(self.store.source, ordered)) as answers:
            for answer in answers:
                for key, data in answer.items():
                    yield keys[key], data

    def _asked(self, request: KeyRequest) -> dict[str, bytes | None]:
        try:
            return request.run()
        except UnreadableImageError as error:
            beside = ' (or one beside it)' if len(request.keys) > 1 else ''
            raise self._fail(request.keys[0] + beside, error) from error

    def _key(self, chunk: tuple[int, ...]) -> str:
        return self.info.key_prefix + self.info.separator.join(map(str, chunk))

    def cache_key(self, chunk: tuple[int, ...]) -> Hashable | None:
        """Return the key of a decoded chunk, which changes with its content, or None: it cannot be cached."""
        key = self._key(chunk) if self._shards is None else self._shards.key(self.info, chunk)
        version = self.store.version(key)
        return None if version is None else (self._form, key, version, chunk)

    @cached_property
    def _form(self) -> str:
        """What decides how bytes become pixels, and where they lie."""
        info = self.info
        kind = f'{type(self.store).__name__} {self.store.name!r}'
        return f'{kind} {info.path!r} {info.zarr_format} {info.dtype} {info.chunks} {info.codecs}'

    def _read_one(self, piece: Piece, shape: tuple[int, ...]) -> np.ndarray:
        is_whole = _is_whole(piece)
        pixels = self._chunk(_number(piece), is_whole=is_whole)
        if pixels is None:
            return np.broadcast_to(self.info.fill, shape)
        part = pixels[tuple(one.source for one in piece)]
        # A small part that is kept must not keep all of a large chunk, nor one that is cached.
        if (is_whole or self.is_large) and part.nbytes * 2 >= pixels.nbytes:
            return part
        return part.copy()

    def _chunk(
        self, chunk: tuple[int, ...], known: Bytes | Missing | None = MISSING_BYTES, *, is_whole: bool
    ) -> np.ndarray | None:
        """Return the pixels of a chunk, None where it is not stored; cached ones are read-only.

        :param known: its stored bytes, if they have been read already.
        :param is_whole: all of it is used now, so that it need not be cached.
        """
        if self.is_large:
            if self._last_large is None or self._last_large[0] != chunk:
                self._last_large = None  # before the next one is decoded
                self._last_large = chunk, self._decoded(chunk, known)
            return self._last_large[1]
        cache_key = None if is_whole else self.cache_key(chunk)
        if cache_key is None:
            return self._decoded(chunk, known)
        return CHUNKS.fetch(cache_key, lambda: self._decoded(chunk, known))

    def _filled(self, shape: tuple[int, ...]) -> np.ndarray:
        if not self.info.fill:
            return np.zeros(shape, self.dtype)
        return np.full(shape, self.info.fill, self.dtype)

    def _decoded(self, chunk: tuple[int, ...], known: Bytes | Missing | None) -> np.ndarray | None:
        """Return the pixels of a whole chunk by its numbers, or None where it is not stored.

        :raises UnreadableChunkError: it exists and cannot be read or decoded.
        """
        if isinstance(known, Missing):
            key, data = self.stored(chunk)
        else:
            key, data = self._key(chunk), known
        if data is None:
            return None
        try:
            return self.info.decoder.decode(data)
        except Exception as error:  # every decoder has errors of its own
            raise self._fail(key, error) from error

    def has_chunk(self, chunk: tuple[int, ...]) -> bool:
        """Whether a chunk is stored.

        :raises UnreadableImageError: it cannot be found out.
        """
        if self._shards is None:
            return self.store.has(self._key(chunk))
        return self._shards.has(self.info, chunk)

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

    def _fail(self, key: str, error: Exception) -> UnreadableImageError:
        if isinstance(error, ForbiddenPartError):
            return ForbiddenPartError(str(error))
        reason = str(error).rstrip('.') or type(error).__name__
        return UnreadableChunkError(f'The chunk {key} of {self.store.name} cannot be read: {reason}.')


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
