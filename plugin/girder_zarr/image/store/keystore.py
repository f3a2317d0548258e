"""A zarr store that is read with plain calls, for the fast way to chunks, and by zarr itself."""

from __future__ import annotations

import hashlib
import math
import threading
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)

from girder_zarr.errors import UnreadableImageError

from .entries import MAX_WHOLE_BYTES, BytesEntry, Entry, Listed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator

    from zarr.core.buffer import Buffer, BufferPrototype


#: Bytes, or a view of bytes.
Bytes = bytes | memoryview
#: Bytes that a thread holds for reading: the stored form of nearly all chunks; larger ones are allocated.
THREAD_MEMORY_BYTES = 8 * 2**20


#: Memory that is copied into begins at a multiple of this; elsewhere copying a file takes a third longer.
ALIGNED = 64


def aligned(size: int) -> np.ndarray:
    """Return ``size`` bytes of any content as a flat array of uint8 that begins at a cache line."""
    block = np.empty(size + ALIGNED, np.uint8)
    start = -block.ctypes.data % ALIGNED
    return block[start : start + size]


def walk(names: Callable[[str], list[str]], prefix: str, max_folders: float = math.inf) -> Iterator[str]:
    """Iterate over all keys that begin with ``prefix``, folder by folder.

    :param names: returns what lies directly in a folder, as :meth:`KeyStore.names`.
    :param max_folders: the most folders that are looked into.
    """
    pending, seen = [prefix.rpartition('/')[0]], 0
    while pending and seen < max_folders:
        folder = pending.pop()
        seen += 1
        for name in names(folder):
            key = f'{folder}/{name}' if folder else name
            if name.endswith('/'):
                pending.append(key.rstrip('/'))
            elif key.startswith(prefix):
                yield key


class _ThreadMemory(threading.local):
    """Memory of each thread for compressed bytes.

    Allocating and freeing these for every chunk beside the pixels makes the C library give memory back to the
    system and fetch it again, which took longer than reading and decoding together.
    """

    def __init__(self) -> None:
        self._memory = memoryview(b'')

    def take(self, size: int) -> memoryview:
        """Return ``size`` bytes of any content, which the thread's next call hands out again."""
        if size > THREAD_MEMORY_BYTES:
            return aligned(size).data
        if len(self._memory) < size:
            self._memory = aligned(1 << (size - 1).bit_length()).data
        return self._memory[:size]


THREAD_MEMORY = _ThreadMemory()


class KeyRequest(NamedTuple):
    """One request that gives the values of some keys.

    :param nbytes: the most bytes that it takes in memory.
    :param run: sends it and returns the value of each key, None for those that are absent.
    """

    keys: tuple[str, ...]
    nbytes: int
    run: Callable[[], dict[str, bytes | None]]


class KeyStore(Store):
    """Keys to bytes, read-only, safe under many threads.

    :param name: what to call the store in messages.
    :param identity: a text that changes when the content changes.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = True
    #: Whether each read costs a request over a network.
    is_remote = False
    #: Whether several reads at a time take about as long as one.
    supports_batch = False
    #: Whether :meth:`has` takes microseconds.
    has_fast_lookup = True
    #: Whether :meth:`version` is the same wherever and whenever the image is opened.
    has_lasting_versions = True

    def __init__(self, name: str, identity: str) -> None:
        super().__init__(read_only=True)
        self.name = name
        self.identity = identity
        self._is_open = True

    @abstractmethod
    def read(self, key: str, limit: int | None = None) -> bytes | None:
        """Return a key's value, or None where there is no such key.

        :param limit: the most bytes that the value may have.
        :raises UnreadableImageError: the value is larger, or cannot be read.
        """

    def read_view(self, key: str, limit: int) -> Bytes | None:
        """Return a value as :meth:`read` does, perhaps in memory that the thread's next call overwrites."""
        return self.read(key, limit)

    @property
    def source(self) -> Hashable:
        """The host or bucket by which simultaneous requests are counted and bounded."""
        return urlsplit(self.name).netloc or self.name

    def requests(self, keys: Iterable[str], limit: int) -> list[KeyRequest]:
        """Return the requests that give values, in the order of need: one a key, or fewer where that is less.

        :param limit: the most bytes that one value may have.
        """

        def one(key: str) -> KeyRequest:
            return KeyRequest((key,), limit, lambda: {key: self.read(key, limit)})

        return [one(key) for key in keys]

    def version(self, key: str) -> Hashable | None:
        """Return what changes when a value changes, for caches of what was made from it.

        It costs no request. None: there is no value, or it is not known.
        """
        del key
        return self.identity

    def prefetch_metadata(self, nodes: Iterable[str]) -> None:
        """Fetch metadata that will be read next in parallel, where that is faster. Errors are not raised.

        :param nodes: paths of groups and arrays; there may be none there, or one that cannot be read.
        """
        del nodes

    @abstractmethod
    def read_range(self, key: str, start: int, length: int) -> bytes | None:
        """Return exactly ``length`` bytes of a value, or None where there is no such key.

        :param start: the first byte; negative counts from the end.
        :raises UnreadableImageError: there are not that many bytes, or they cannot be read.
        """

    @abstractmethod
    def has(self, key: str) -> bool:
        """Return whether there is such a key."""

    @abstractmethod
    def names(self, folder: str) -> list[str]:
        """Return what lies directly in a folder (``''`` is the root), sorted; folders end with a slash."""

    @abstractmethod
    def keys(self, prefix: str = '') -> Iterator[str]:
        """Iterate over all keys that begin with ``prefix``."""

    def entry(self, key: str) -> Entry | None:
        """Return a value as it is stored, to be handed on, or None where there is no such key.

        :raises UnreadableImageError: it cannot be looked up or read.
        """
        data = self.read(key, MAX_WHOLE_BYTES)
        return None if data is None else BytesEntry(data, hashlib.sha256(data).hexdigest())

    def cached_entry(self, key: str) -> Entry | None:
        """Return an entry that never waits, or None: there is none, or finding out takes a request."""
        del key
        return None

    def listed(self, folder: str) -> list[Listed]:
        """Return what lies directly in a folder, in no order, with what is known of it without asking more.

        :raises UnreadableImageError: it cannot be listed.
        """
        return [Listed(name) for name in self.names(folder)]

    def _range(self, start: int, length: int, size: int, key: str) -> tuple[int, int]:
        """Return first byte and length of a range, which has to lie inside a value of ``size`` bytes."""
        first = start + size if start < 0 else start
        if first < 0 or length < 0 or first + length > size:
            msg = f'{key} in {self.name} has {size} bytes; {length} bytes from byte {start} were expected.'
            raise UnreadableImageError(msg)
        return first, length

    def _check_size(self, size: int, limit: int | None, key: str) -> None:
        if limit is not None and size > limit:
            msg = f'{key} in {self.name} has {size} bytes; at most {limit} were expected.'
            raise UnreadableImageError(msg)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and (self.name, self.identity) == (other.name, other.identity)

    def __hash__(self) -> int:
        return hash((type(self), self.name, self.identity))

    def __str__(self) -> str:
        return self.name

    def get_sync(
        self,
        key: str,
        *,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Return a value or a part of it; see zarr's ``Store``."""
        if prototype is None:
            from zarr.core.buffer import default_buffer_prototype

            prototype = default_buffer_prototype()
        data = self._requested(key, byte_range)
        return None if data is None else prototype.buffer.from_bytes(data)

    def _requested(self, key: str, byte_range: ByteRequest | None) -> bytes | None:
        if isinstance(byte_range, RangeByteRequest):
            return self.read_range(key, byte_range.start, byte_range.end - byte_range.start)
        if isinstance(byte_range, SuffixByteRequest):
            return self.read_range(key, -byte_range.suffix, byte_range.suffix)
        data = self.read(key)
        if isinstance(byte_range, OffsetByteRequest) and data is not None:
            return data[byte_range.offset :]
        return data

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return a value or a part of it; see zarr's ``Store``."""
        return self.get_sync(key, prototype=prototype, byte_range=byte_range)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return several values or parts of them."""
        return [
            self.get_sync(key, prototype=prototype, byte_range=byte_range) for key, byte_range in key_ranges
        ]

    async def exists(self, key: str) -> bool:
        """Return whether there is such a key."""
        return self.has(key)

    async def set(self, key: str, value: Buffer) -> None:  # noqa: ARG002 - zarr's signature
        """Refuse to write."""
        msg = f'{self.name} is read-only.'
        raise UnreadableImageError(msg)

    async def delete(self, key: str) -> None:  # noqa: ARG002 - zarr's signature
        """Refuse to delete."""
        msg = f'{self.name} is read-only.'
        raise UnreadableImageError(msg)

    async def list(self) -> AsyncIterator[str]:
        """Iterate over all keys."""
        for key in self.keys():
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Iterate over the keys that begin with ``prefix``."""
        for key in self.keys(prefix):
            yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Iterate over what lies directly in a folder."""
        for name in self.names(prefix.rstrip('/')):
            yield name.rstrip('/')

    def __getstate__(self) -> dict[str, Any]:
        msg = 'A store that is read in place cannot be pickled; open it again where it is needed.'
        raise TypeError(msg)
