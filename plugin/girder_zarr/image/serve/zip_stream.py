"""A tree as a zip that is made while it is sent: stored, with zip64, entries as they lie.

Its length is known before anything is read, since sizes are all that the places of entries depend on. What
is small is read whole, so that its checksum stands before it and readers of streams take it; a large value
has it behind (APPNOTE.TXT of the zip format, 4.3.9).
"""

from __future__ import annotations

import struct
import tempfile
import zlib
from typing import IO, TYPE_CHECKING

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.store.zarr_names import ROOT_ORDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .tree import Tree

#: Values up to this size are read whole.
WHOLE_BYTES = 8 * 2**20
#: Bytes of the directory at the end that are held in memory; the rest is in a temporary file.
DIRECTORY_BYTES = 4 * 2**20
#: Blocks that are gathered before they are sent: entries of 100 bytes are many.
SENT_BYTES = 2**18

_LOCAL = struct.Struct('<4s5H3L2H')
_LARGE = struct.Struct('<2H2Q')
_DESCRIPTOR = struct.Struct('<4sL2Q')
_CENTRAL = struct.Struct('<4s6H3L5H2L')
_PLACED = struct.Struct('<2H3Q')
_END = struct.Struct('<4sQ2H2L4Q4sLQL4s4H2LH')
#: Version 4.5 has zip64; names are UTF-8; the checksum comes behind; what zip64 says in place of a number.
_VERSION, _UTF8, _BEHIND, _IN_ZIP64 = 45, 0x800, 0x8, 2**32 - 1
#: The first day that a zip can name: entries have no other time, so that the same image is the same bytes.
_DAY = 1 << 5 | 1


def entries_of(tree: Tree) -> Iterator[tuple[str, int]]:
    """Yield keys and sizes of all values, the root's metadata first, then folder by folder.

    :raises UnreadableImageError: a folder or a value cannot be told.
    """
    pending = ['']
    while pending:
        folder = pending.pop()
        listed = sorted(tree.listed(folder), key=lambda one: (_rank(one.name), one.name))
        for one in listed:
            key = f'{folder}/{one.name}' if folder else one.name
            if key.endswith('/'):
                continue
            size = one.size if one.size is not None else _size_of(tree, key)
            if size is not None:
                yield key, size
        names = [one.name.rstrip('/') for one in listed if one.name.endswith('/')]
        pending += [f'{folder}/{name}' if folder else name for name in reversed(names)]


def _rank(name: str) -> int:
    return ROOT_ORDER.index(name) if name in ROOT_ORDER else len(ROOT_ORDER)


def _size_of(tree: Tree, key: str) -> int | None:
    entry = tree.entry(key)
    if entry is None:
        return None
    entry.close()
    return entry.size


def length_of(tree: Tree, max_entries: int) -> int | None:
    """Return how many bytes `blocks` will yield, or None where there are more entries than so many."""
    total = _END.size
    for number, (key, size) in enumerate(entries_of(tree)):
        if number >= max_entries:
            return None
        name = len(key.encode())
        total += _LOCAL.size + _CENTRAL.size + _PLACED.size + 2 * name + size
        if size > WHOLE_BYTES:
            total += _LARGE.size + _DESCRIPTOR.size
    return total


def blocks(tree: Tree) -> Iterator[bytes]:
    """Yield the bytes of the zip.

    :raises UnreadableImageError: a value is gone, or has another size than it had when it was listed.
    """
    with tempfile.SpooledTemporaryFile(max_size=DIRECTORY_BYTES, prefix='girder-zarr-') as directory:
        waiting = bytearray()
        for block in _pieces(tree, directory):
            waiting += block
            if len(waiting) >= SENT_BYTES:
                yield bytes(waiting)
                waiting.clear()
        yield bytes(waiting)


def _pieces(tree: Tree, directory: IO[bytes]) -> Iterator[bytes | memoryview]:
    offset = count = 0
    for key, size in entries_of(tree):
        name = key.encode()
        flags = _UTF8 | (_BEHIND if size > WHOLE_BYTES else 0)
        begun = offset
        checksum = 0
        if size > WHOLE_BYTES:
            extra = _LARGE.pack(1, 16, size, size)
            yield _local(flags, 0, _IN_ZIP64, name, extra)
            for block in value_blocks(tree, key, size):
                checksum = zlib.crc32(block, checksum)
                yield block
            yield _DESCRIPTOR.pack(b'PK\7\10', checksum, size, size)
            offset += _LARGE.size + _DESCRIPTOR.size
        else:
            data = b''.join(value_blocks(tree, key, size))
            checksum = zlib.crc32(data)
            yield _local(flags, checksum, size, name, b'')
            yield data
        offset += _LOCAL.size + len(name) + size
        count += 1
        placed = _PLACED.pack(1, 24, size, size, begun)
        directory.write(
            _CENTRAL.pack(
                b'PK\1\2', _VERSION, _VERSION, flags, 0, 0, _DAY, checksum, _IN_ZIP64, _IN_ZIP64,
                len(name), len(placed), 0, 0, 0, 0, _IN_ZIP64,
            ) + name + placed
        )  # fmt: skip
    length = directory.tell()
    directory.seek(0)
    while block := directory.read(SENT_BYTES):
        yield block
    few = min(count, 2**16 - 1)
    yield _END.pack(
        b'PK\6\6', 44, _VERSION, _VERSION, 0, 0, count, count, length, offset,
        b'PK\6\7', 0, offset + length, 1,
        b'PK\5\6', 0, 0, few, few, min(length, _IN_ZIP64), min(offset, _IN_ZIP64), 0,
    )  # fmt: skip


def _local(flags: int, checksum: int, size: int, name: bytes, extra: bytes) -> bytes:
    head = _LOCAL.pack(
        b'PK\3\4', _VERSION, flags, 0, 0, _DAY, checksum, size, size, len(name), len(extra)
    )  # fmt: skip
    return head + name + extra


def value_blocks(tree: Tree, key: str, size: int | None = None) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a value.

    :param size: what a listing said.
    :raises UnreadableImageError: it is gone, or has another size.
    """
    entry = tree.entry(key)
    if entry is None or (size is not None and entry.size != size):
        if entry is not None:
            entry.close()
        msg = f'{key} has changed while it was sent.'
        raise UnreadableImageError(msg)
    try:
        for block in entry.blocks(0, entry.size):
            yield memoryview(block)
    finally:
        entry.close()
