"""The fast way from a region to its chunks: store, decoder, pixels, with nothing in between."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from contextlib import closing, contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from girder_zarr.common.budget import BUDGET
from girder_zarr.common.chunk_cache import CHUNKS
from girder_zarr.common.read_ahead import AHEAD, AheadRequest
from girder_zarr.common.request_pool import REQUESTS, Request
from girder_zarr.errors import ForbiddenPartError, UnreadableChunkError, UnreadableImageError
from girder_zarr.image.limits import max_work_bytes

from .shards import ShardIndexes

if TYPE_CHECKING:
    from collections.abc import Generator, Hashable, Iterable, Iterator, Mapping

    from girder_zarr.image.store.keystore import Bytes, KeyRequest, KeyStore

    from .arrays import ArrayInfo

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
        if self.is_large or not self._is_far:
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
        if not missing:
            return
        with closing(self._fetched(missing)) as fetched:
            for chunk, data in fetched:
                piece = missing[chunk]
                yield piece, self._chunk(chunk, data, is_whole=_is_whole(piece))

    def _fetched(self, chunks: Iterable[tuple[int, ...]]) -> Generator[tuple[tuple[int, ...], Bytes | None]]:
        """Yield the stored bytes of chunks in a far store: those read ahead, the others side by side."""
        # What comes ahead of need is begun no more, so that nothing is asked for twice.
        with REQUESTS.needed(self.store.source):
            unread, coming = [], []
            for chunk in chunks:
                key = self.cache_key(chunk)
                if key in AHEAD:
                    coming.append(chunk)
                    continue
                data = AHEAD.take(key, MISSING_BYTES)
                if isinstance(data, Missing):
                    unread.append(chunk)
                else:
                    yield chunk, data
            chunk_of, requests = self._requests(unread) if unread else ({}, [])
            ordered = [Request(one.nbytes, partial(self._asked, one)) for one in requests]
            ordered += [Request(self._max_stored, partial(self._awaited, chunk)) for chunk in coming]
            chunk_of |= {self._name(chunk): chunk for chunk in coming}
            with closing(REQUESTS.run(self.store.source, ordered)) as answers:
                for answer in answers:
                    for name, data in answer.items():
                        yield chunk_of[name], data

    def _requests(
        self, chunks: Iterable[tuple[int, ...]]
    ) -> tuple[dict[str, tuple[int, ...]], list[KeyRequest]]:
        """Return chunks by name, and the requests that give their stored bytes, in the order of need.

        Indexes of shards that are not cached are read first.
        """
        if self._shards is not None:
            return self._shards.requests(self.info, chunks, self._max_stored)
        keys = {self._key(chunk): chunk for chunk in chunks}
        try:
            return keys, self.store.requests(keys, self._max_stored)
        except UnreadableImageError as error:
            raise self._fail(next(iter(keys)), error) from error

    def _awaited(self, chunk: tuple[int, ...]) -> dict[str, bytes | None]:
        """Return a chunk that is under way, or ask for it where that has failed."""
        name, data = self.stored(chunk)
        return {name: None if data is None else bytes(data)}

    def _asked(self, request: KeyRequest) -> dict[str, bytes | None]:
        try:
            return request.run()
        except UnreadableImageError as error:
            beside = ' (or one beside it)' if len(request.keys) > 1 else ''
            raise self._fail(request.keys[0] + beside, error) from error

    @property
    def _is_far(self) -> bool:
        """Whether each chunk is a request over a network, and several take about as long as one."""
        return self.store.is_remote and self.store.supports_batch

    def _name(self, chunk: tuple[int, ...]) -> str:
        return self._key(chunk) if self._shards is None else self._shards.name(self.info, chunk)

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
        if not self._is_far:
            return self._stored(chunk)
        with REQUESTS.needed(self.store.source):
            data = AHEAD.take(self.cache_key(chunk), MISSING_BYTES)
            return self._stored(chunk) if isinstance(data, Missing) else (self._name(chunk), data)

    def _stored(self, chunk: tuple[int, ...]) -> tuple[str, Bytes | None]:
        if self._shards is not None:
            return self._shards.stored(self.info, chunk, self._max_stored)
        key = self._key(chunk)
        try:
            return key, self.store.read_view(key, self._max_stored)
        except UnreadableImageError as error:
            raise self._fail(key, error) from error

    def chunks_in(self, region: tuple[slice, ...]) -> Iterator[tuple[int, ...]]:
        """Iterate over the numbers of the chunks that a region touches, in the order of the array."""
        return itertools.product(
            *(
                range(part.start // side, -(-part.stop // side))
                for part, side in zip(region, self.chunks, strict=True)
            )
        )

    def requests_ahead(self, chunks: Iterable[tuple[int, ...]]) -> list[AheadRequest]:
        """Return the requests for chunks of a far store that nobody needs yet, without what is cached.

        For chunks of shards whose index is not cached they are for the index. None for other stores, and for
        chunks that are too large.
        """
        if not self._is_far or self.is_large or self._max_stored > CHUNKS.max_ahead:
            return []
        keys: dict[tuple[int, ...], Hashable] = {}
        found: dict[str, AheadRequest] = {}
        for chunk in chunks:
            key = self.cache_key(chunk)
            if key is None or key in CHUNKS or key in AHEAD:
                continue
            index = None if self._shards is None else self._shards.index_request(self.info, chunk)
            if index is None:
                keys[chunk] = key
            else:
                name = index.keys[0]
                found[name] = AheadRequest(
                    ((self._form, name, 'index'),), index.nbytes, partial(_renamed, index, {})
                )
        if keys:
            chunk_of, requests = self._requests(keys)
            for one in requests:
                own = {name: keys[chunk_of[name]] for name in one.keys}
                found[one.keys[0]] = AheadRequest(
                    tuple(own.values()), one.nbytes, partial(_renamed, one, own)
                )
        return list(found.values())

    def _fail(self, key: str, error: Exception) -> UnreadableImageError:
        if isinstance(error, ForbiddenPartError):
            return ForbiddenPartError(str(error))
        reason = str(error).rstrip('.') or type(error).__name__
        return UnreadableChunkError(f'The chunk {key} of {self.store.name} cannot be read: {reason}.')


def _renamed(request: KeyRequest, names: Mapping[str, Hashable]) -> dict[Hashable, bytes | None]:
    """Return the answer of a request under other names."""
    return {names[key]: data for key, data in request.run().items()}
