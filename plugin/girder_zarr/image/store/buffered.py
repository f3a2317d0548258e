"""A file over the network: small reads beside each other become one request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from girder_zarr.common.cache import LRU

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .bytesource import ByteSource

#: Small reads fetch blocks of this size, each beginning at a multiple of it. 64 KiB take as long as one byte.
BLOCK = 64 * 2**10
#: The first and the last read of a file; zips have their directory at the end and, from most writers, their
#: metadata at the beginning.
ENDS = 256 * 2**10
#: What a read that goes to the end of the file fetches: this part of the file, but not more bytes than that.
#: A zip's directory of 60,000 entries, and what was written last, come with its end record.
TAIL_PART, MAX_TAIL = 8, 4 * 2**20
#: 6 MiB of each file: its two ends (see ``MAX_TAIL``) and the blocks of what is being read between them.
MAX_BLOCKS = 96


class BufferedBytes:
    """Ranged reads of another source, of which blocks are cached. Safe under many threads.

    :param source: where each read costs a request.
    :param block: bytes of a block.
    :param max_blocks: how many are cached.
    """

    def __init__(self, source: ByteSource, block: int = BLOCK, max_blocks: int = MAX_BLOCKS) -> None:
        self._source = source
        self.name, self.size, self.identity = source.name, source.size, source.identity
        self._block = block
        self._max_blocks = max_blocks
        tail = min(MAX_TAIL, self.size // TAIL_PART, (max_blocks - 2 * ENDS // block) * block)
        self._tail = max(ENDS, tail)
        self._cache: LRU[int, bytes] = LRU(max_items=max_blocks)

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly ``length`` bytes from ``offset``; see :class:`.bytesource.ByteSource`."""
        block = self._block
        to_the_end = 0 < length <= self._tail and offset >= 0 and offset + length == self.size
        if not to_the_end and (length >= block or length <= 0 or offset < 0 or offset + length > self.size):
            return self._read_large(offset, length)
        first, last = offset // block, (offset + length - 1) // block
        found = [self._cache.get(number) for number in range(first, last + 1)]
        if any(piece is None for piece in found):
            self._fetch(first, last)
            found = [self._cache.get(number) for number in range(first, last + 1)]
            if any(piece is None for piece in found):  # other threads have pushed them out
                return self._source.read(offset, length)
        data = b''.join(piece for piece in found if piece is not None)
        return data[offset - first * block : offset - first * block + length]

    def stream(self, offset: int, length: int, block: int) -> Iterator[bytes]:
        """Iterate over bytes, past what is kept, by one request where the source can."""
        stream = getattr(self._source, 'stream', None)
        if stream is not None:
            yield from stream(offset, length, block)
            return
        for at in range(offset, offset + length, block):
            yield self.read(at, min(block, offset + length - at))

    def _read_large(self, offset: int, length: int) -> bytes:
        """Read past the blocks, except for what is cached of them at the beginning or at the end."""
        block, size = self._block, self.size
        if length > 0 and offset >= 0 and offset + length <= size:
            numbers = range(offset // block, (offset + length - 1) // block + 1)
            if len(numbers) <= self._max_blocks:
                found = [self._cache.get(number) for number in numbers]
                if all(piece is not None for piece in found):
                    data = b''.join(piece for piece in found if piece is not None)
                    return data[offset - numbers[0] * block : offset - numbers[0] * block + length]
        return self._source.read(offset, length)

    def _fetch(self, first: int, last: int) -> None:
        block = self._block
        ends = ENDS // block
        if last < ends:
            first, last = 0, ends - 1
        start = first * block
        stop = min(self.size, (last + 1) * block)
        if stop > self.size - ENDS // 2:
            # Begins with a block so that what is read lies on the blocks.
            more = self._tail if stop == self.size else ENDS
            start = min(start, max(0, (self.size - more) // block * block))
            stop = self.size
        data = self._source.read(start, stop - start)
        for number in range(start // block, -(-stop // block)):
            self._cache.put(number, data[number * block - start : (number + 1) * block - start])
