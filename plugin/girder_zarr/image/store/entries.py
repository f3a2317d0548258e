"""Stored values as they are handed on: size, identity and blocks of bytes, not decoded.

A value may be larger than the memory, so that no entry holds more of it than a block.
"""

from __future__ import annotations

import os
import zlib
from abc import abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from girder_zarr.errors import UnreadableImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .bytesource import ByteSource, FileBytes

#: A piece of a value.
Block = bytes | bytearray | memoryview
#: The most bytes of one block. Two hundred slow readers hold two each, one of them in a socket: 50 MiB.
BLOCK_BYTES = 128 * 2**10
#: The most bytes of a value whose store gives it only as a whole.
MAX_WHOLE_BYTES = 128 * 2**20


class Listed(NamedTuple):
    """A value in a listing.

    :param name: without the folders above it; one that ends with a slash is a folder.
    :param size: bytes; None: only :meth:`~.keystore.KeyStore.entry` knows.
    :param identity: as :attr:`Entry.identity`.
    :param modified: seconds since 1970, or None if unknown.
    """

    name: str
    size: int | None = None
    identity: str = ''
    modified: float | None = None


class Entry:
    """One stored value. It is read by one thread at a time, not always the same.

    :param size: bytes.
    :param identity: a text that changes when the bytes change.
    :param modified: seconds since 1970, or None if unknown.
    """

    #: Bytes that stay in memory until the entry is closed, blocks that are under way aside.
    held = 0

    def __init__(self, size: int, identity: str, modified: float | None = None) -> None:
        self.size = size
        self.identity = identity
        self.modified = modified

    @abstractmethod
    def blocks(self, start: int, stop: int) -> Iterator[Block]:
        """Iterate over the bytes from ``start`` to ``stop``, in blocks of at most `BLOCK_BYTES`.

        :param start: with ``stop``, inside the value.
        :raises UnreadableImageError: they cannot be read, or are not what they were.
        """

    def at_once(self) -> Block | None:
        """Return the whole value where it is small and that takes no wait, else None.

        :raises UnreadableImageError: it cannot be read, or is not what it was.
        """
        return None

    def close(self) -> None:
        """Close the files or connections of the entry."""


class BytesEntry(Entry):
    """A value in memory."""

    def __init__(self, data: bytes | memoryview, identity: str, modified: float | None = None) -> None:
        super().__init__(len(data), identity, modified)
        self._data = memoryview(data)
        self.held = self.size

    def blocks(self, start: int, stop: int) -> Iterator[Block]:
        """Iterate over bytes; see the base class."""
        for at in range(start, stop, BLOCK_BYTES):
            yield self._data[at : min(at + BLOCK_BYTES, stop)]

    def at_once(self) -> Block | None:
        """Return the whole value; see the base class."""
        return self._data if self.size <= BLOCK_BYTES else None


class FileEntry(Entry):
    """An open file, which stays what it was opened as even where another takes its name.

    :param descriptor: of a regular file; closed with the entry.
    """

    def __init__(self, descriptor: int, name: str, identity: str, status: os.stat_result) -> None:
        super().__init__(status.st_size, identity, status.st_mtime)
        self._descriptor: int | None = descriptor
        self._name = name

    def blocks(self, start: int, stop: int) -> Iterator[Block]:
        """Iterate over bytes; see the base class."""
        while start < stop:
            if self._descriptor is None:
                msg = f'{self._name} was closed while it was read.'
                raise UnreadableImageError(msg)
            try:
                data = os.pread(self._descriptor, min(BLOCK_BYTES, stop - start), start)
            except OSError as error:
                msg = f'{self._name} cannot be read: {error.strerror or error}.'
                raise UnreadableImageError(msg) from None
            if not data:
                msg = f'{self._name} ends before byte {stop}.'
                raise UnreadableImageError(msg)
            start += len(data)
            yield data

    def close(self) -> None:
        """Close the file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


class SourceEntry(Entry):
    """A part of a file, or all of it.

    :param first: the byte of the source that is the value's first.
    """

    def __init__(
        self, source: ByteSource, first: int, size: int, identity: str, modified: float | None = None
    ) -> None:
        super().__init__(size, identity, modified)
        self._source = source
        self._first = first

    def blocks(self, start: int, stop: int) -> Iterator[Block]:
        """Iterate over bytes; see the base class."""
        return source_blocks(self._source, self._first + start, self._first + stop)


class CachedEntry(Entry):
    """A part of a local file of which only what the system has in memory is read."""

    def __init__(self, source: FileBytes, first: int, size: int, identity: str) -> None:
        super().__init__(size, identity)
        self._source = source
        self._first = first

    def blocks(self, start: int, stop: int) -> Iterator[Block]:
        """Iterate over bytes; see the base class.

        :raises BlockingIOError: it would take a wait for the disk.
        """
        for at in range(start, stop, BLOCK_BYTES):
            data = self._source.read_cached(self._first + at, min(BLOCK_BYTES, stop - at))
            if data is None:
                raise BlockingIOError
            yield data

    def at_once(self) -> Block | None:
        """Return the whole value; see the base class."""
        return self._source.read_cached(self._first, self.size) if self.size <= BLOCK_BYTES else None


def source_blocks(source: ByteSource, start: int, stop: int) -> Iterator[bytes]:
    """Iterate over bytes of a source: by one request where it can give a stream, else by one a block."""
    stream = getattr(source, 'stream', None)
    if stream is not None and stop - start > BLOCK_BYTES:
        yield from stream(start, stop - start, BLOCK_BYTES)
        return
    for at in range(start, stop, BLOCK_BYTES):
        yield source.read(at, min(BLOCK_BYTES, stop - at))


class DeflatedEntry(Entry):
    """A deflated part of a file, inflated block by block from its beginning.

    :param stored: bytes of the source. :param size: bytes that they inflate to.
    :param crc: CRC-32 of the value, checked where the reading comes to its end.
    """

    def __init__(
        self, source: ByteSource, first: int, stored: int, size: int, crc: int, identity: str
    ) -> None:
        super().__init__(size, identity)
        self._source = source
        self._first, self._stored, self._crc = first, stored, crc

    def blocks(self, start: int, stop: int) -> Iterator[Block]:
        """Iterate over bytes; see the base class."""
        at = 0
        for block in self._inflated(stop):
            piece = memoryview(block)[max(0, start - at) : max(0, stop - at)]
            at += len(block)
            if piece:
                yield piece

    def _inflated(self, stop: int) -> Iterator[bytes]:
        decoder, done, crc = zlib.decompressobj(-zlib.MAX_WBITS), 0, 0
        for stored in source_blocks(self._source, self._first, self._first + self._stored):
            waiting = stored
            while waiting:
                block = self._inflate(decoder, waiting)
                waiting = decoder.unconsumed_tail
                done, crc = done + len(block), zlib.crc32(block, crc)
                if done > self.size:
                    raise self._damaged('it is longer than the directory says')
                if done == self.size and crc != self._crc:
                    raise self._damaged('its checksum differs')
                if block:
                    yield block
                if done >= stop:
                    return
        # What the decoder holds back without more input.
        while done < stop:
            block = decoder.flush(BLOCK_BYTES) if not decoder.eof else b''
            if not block:
                raise self._damaged('it is shorter than the directory says')
            done, crc = done + len(block), zlib.crc32(block, crc)
            if done > self.size or (done == self.size and crc != self._crc):
                raise self._damaged('its size or its checksum differs')
            yield block

    def _inflate(self, decoder: zlib._Decompress, data: bytes) -> bytes:
        try:
            return decoder.decompress(data, BLOCK_BYTES)
        except zlib.error as error:
            raise self._damaged(str(error)) from None

    def _damaged(self, why: str) -> UnreadableImageError:
        return UnreadableImageError(f'An entry of {self._source.name} cannot be inflated: {why}.')
