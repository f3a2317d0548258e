"""Targets for the files of a zarr hierarchy: a directory, or a zip with no copy in between."""

from __future__ import annotations

import os
import sqlite3
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import imagecodecs

from girder_zarr.errors import EditError
from girder_zarr.image.store.zarr_names import ROOT_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

    from girder_zarr.image.store.entries import Block

    from .file_digest import FileDigest

_U16, _U32 = 0xFFFF, 0xFFFFFFFF
#: Where the CRC-32 stands in the header of an entry of a zip (APPNOTE.TXT, 4.3.7).
_CRC_PLACE = 14


def crc32(content: Block, before: int = 0) -> int:
    """Return the CRC-32 of bytes as `zlib.crc32` does; libdeflate is several times faster.

    :param before: that of the bytes before them.
    """
    return int(imagecodecs.deflate_crc32(content, before))


class Outlet(Protocol):
    """Takes whole files, each name once, from any thread."""

    def put(self, name: str, content: bytes) -> None:
        """Store a file; ``name`` is relative, with forward slashes."""

    def put_blocks(self, name: str, size: int, blocks: Iterable[Block]) -> None:
        """Store a file of ``size`` bytes as :meth:`put` does, one piece after the other."""

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes | None:
        """Return a file that was put, or None.

        :param start: the first byte; negative: counted from the end.
        :param length: how many bytes; None: up to the end.
        """


class _Nowhere:
    """Takes everything and has nothing."""

    def put(self, name: str, content: bytes) -> None:
        """Do nothing."""

    def put_blocks(self, name: str, size: int, blocks: Iterable[Block]) -> None:
        """Do nothing."""

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes | None:
        """Return None."""
        del name, start, length
        return None


NOWHERE = _Nowhere()


class DirectoryOutlet:
    """Files below an existing directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._made: set[str] = set()

    def put(self, name: str, content: bytes) -> None:
        """Store a file; see :class:`Outlet`."""
        self.put_blocks(name, len(content), (content,))

    def put_blocks(self, name: str, size: int, blocks: Iterable[Block]) -> None:
        """Store a file; see :class:`Outlet`."""
        parent, _, _ = name.rpartition('/')
        if parent not in self._made:
            (self.directory / parent).mkdir(parents=True, exist_ok=True)
            self._made.add(parent)
        with open(f'{self.directory}/{name}', 'xb') as file:  # noqa: PTH123 - a Path costs as much as a small chunk
            file.writelines(_counted(name, size, blocks))

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes | None:
        """Return a file that was put, or None; see :class:`Outlet`."""
        try:
            with open(f'{self.directory}/{name}', 'rb') as file:  # noqa: PTH123 - as above
                if start:
                    file.seek(start, os.SEEK_END if start < 0 else os.SEEK_SET)
                return file.read(-1 if length is None else length)
        except FileNotFoundError:
            return None

    def sync(self) -> None:
        """Return when everything is on the disk."""
        for directory, _, names in os.walk(self.directory):
            for name in names:
                sync_path(Path(directory, name))
            sync_path(Path(directory))


def sync_path(path: Path) -> None:
    """Return when a file's content, or a directory's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True)
class _Entry:
    name: bytes
    crc: int
    size: int
    offset: int


class ZipOutlet:
    """A zip archive with stored (uncompressed) entries, in ZIP64 where it has to be or is asked to be.

    Entries lie in the order in which they are put; the central directory lists the root's zarr.json first,
    then every other one breadth first, then the rest by name, as RFC-9 of OME-NGFF asks for .ozx.

    :param path: a file that does not exist yet.
    :param comment: the comment of the archive.
    :param zip64: write the ZIP64 end record even where it is not needed.
    :param digest: follows the file.
    """

    def __init__(
        self, path: Path, *, comment: bytes = b'', zip64: bool = False, digest: FileDigest | None = None
    ) -> None:
        self.path = path
        self._comment, self._zip64, self._digest = comment, zip64, digest
        self._file = path.open('x+b')
        if digest is not None:
            digest.begin(self._file.fileno())
        self._lock = threading.Lock()
        self._offset = self._flushed = 0
        self._entries: dict[str, _Entry] = {}
        now = time.localtime()
        self._time = now.tm_hour << 11 | now.tm_min << 5 | now.tm_sec // 2
        self._date = max(now.tm_year - 1980, 0) << 9 | now.tm_mon << 5 | now.tm_mday

    def put(self, name: str, content: bytes) -> None:
        """Store a file; see :class:`Outlet`."""
        self._put(name, len(content), (content,), crc32(content))

    def put_blocks(self, name: str, size: int, blocks: Iterable[Block]) -> None:
        """Store a file; see :class:`Outlet`."""
        self._put(name, size, blocks, None)

    def _put(self, name: str, size: int, blocks: Iterable[Block], known: int | None) -> None:
        """Store a file.

        :param known: its CRC-32; None: it is written into the header once all is there.
        """
        crc, raw = known or 0, name.encode()
        if size >= _U32:
            raise EditError(f'{name} would be {size} bytes long; one chunk or shard may take less than 4 GiB')
        header = struct.pack(
            '<4s5H3I2H', b'PK\3\4', 20, _utf8(raw), 0, self._time, self._date, crc, size, size, len(raw), 0
        )
        with self._lock:
            if name in self._entries:
                raise EditError(f'{name} was written twice')
            self._file.write(header + raw)
            for block in _counted(name, size, blocks):
                crc = crc if known is not None else crc32(block, crc)
                self._file.write(block)
            if known is None:
                self._file.flush()
                os.pwrite(self._file.fileno(), struct.pack('<I', crc), self._offset + _CRC_PLACE)
            self._entries[name] = _Entry(raw, crc, size, self._offset)
            self._offset += len(header) + len(raw) + size
            if self._digest is not None:
                self._digest.advance(self._offset)

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes | None:
        """Return a file that was put, or None; see :class:`Outlet`."""
        with self._lock:
            entry = self._entries.get(name)
            if entry is None:
                return None
            if entry.offset + entry.size >= self._flushed:
                self._file.flush()
                self._flushed = self._offset
        first = start % entry.size if start < 0 else start
        count = entry.size - first if length is None else length
        return os.pread(self._file.fileno(), count, entry.offset + 30 + len(entry.name) + first)

    def finish(self, *, sync: bool = True) -> None:
        """Write the central directory, and return when everything is on the disk.

        :param sync: False: do not wait for the disk.
        """
        start = self._offset
        for name in sorted(self._entries, key=json_first):
            self._file.write(self._central(self._entries[name]))
        length = self._file.tell() - start
        self._end(start, length)
        self._file.flush()
        if self._digest is not None:
            self._digest.finish(self._file.tell())
        if sync:
            os.fsync(self._file.fileno())

    def _central(self, entry: _Entry) -> bytes:
        far = entry.offset >= _U32
        extra = struct.pack('<2HQ', 1, 8, entry.offset) if far else b''
        version = 45 if far else 20
        fixed = struct.pack(
            '<4s6H3I5H2I',
            b'PK\1\2',
            3 << 8 | version,
            version,
            _utf8(entry.name),
            0,
            self._time,
            self._date,
            entry.crc,
            entry.size,
            entry.size,
            len(entry.name),
            len(extra),
            0,
            0,
            0,
            0o100644 << 16,
            _U32 if far else entry.offset,
        )
        return fixed + entry.name + extra

    def _end(self, start: int, length: int) -> None:
        count = len(self._entries)
        large = count >= _U16 or start >= _U32 or length >= _U32
        if large or self._zip64:
            self._file.write(
                struct.pack('<4sQ2H2I4Q', b'PK\6\6', 44, 3 << 8 | 45, 45, 0, 0, count, count, length, start)
            )
            self._file.write(struct.pack('<4sIQI', b'PK\6\7', 0, start + length, 1))
        few, size, at = min(count, _U16), min(length, _U32), min(start, _U32)
        comment = len(self._comment)
        self._file.write(
            struct.pack('<4s4H2IH', b'PK\5\6', 0, 0, few, few, size, at, comment) + self._comment
        )

    def close(self) -> None:
        """Close the file; without :meth:`finish` before, what it holds is not a zip."""
        if self._digest is not None:
            self._digest.stop()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SqliteOutlet:
    """An SQLite database with the table of zarr-python 2's SQLiteStore: ``zarr(k TEXT PRIMARY KEY, v BLOB)``.

    :param path: a file that does not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # the file is thrown away unless it is finished, so that nothing has to survive a crash before that
        self._database.execute('PRAGMA journal_mode = OFF')
        self._database.execute('PRAGMA synchronous = OFF')
        self._database.execute('CREATE TABLE zarr(k TEXT PRIMARY KEY, v BLOB)')
        self._database.execute('BEGIN')

    def put(self, name: str, content: bytes) -> None:
        """Store a file; see :class:`Outlet`."""
        with self._lock:
            self._database.execute('INSERT INTO zarr(k, v) VALUES(?, ?)', (name, content))

    def put_blocks(self, name: str, size: int, blocks: Iterable[Block]) -> None:
        """Store a file; see :class:`Outlet`."""
        with self._lock:
            query = 'INSERT INTO zarr(k, v) VALUES(?, zeroblob(?))'
            row = self._database.execute(query, (name, size)).lastrowid
            assert row is not None
            with self._database.blobopen('zarr', 'v', row) as blob:
                for block in _counted(name, size, blocks):
                    blob.write(block)

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes | None:
        """Return a file that was put, or None; see :class:`Outlet`."""
        # the first byte is number 1; without a length substr goes to the end
        at = start if start < 0 else start + 1
        query = 'SELECT substr(v, ?) FROM zarr WHERE k = ?'
        values: tuple[object, ...] = (at, name)
        if length is not None:
            query, values = 'SELECT substr(v, ?, ?) FROM zarr WHERE k = ?', (at, length, name)
        with self._lock:
            row = self._database.execute(query, values).fetchone()
        return None if row is None else bytes(row[0])

    def finish(self) -> None:
        """Commit everything that was put."""
        self._database.execute('COMMIT')

    def close(self) -> None:
        """Close the database."""
        self._database.close()


class DocumentsFirst:
    """Puts metadata files into another outlet before anything else; putting them again does nothing.

    Zips then begin with them, as RFC-9 of OME-NGFF asks for.

    :param documents: all metadata files of the hierarchy by their name.
    """

    def __init__(self, outlet: Outlet, documents: Mapping[str, bytes]) -> None:
        self._outlet = outlet
        self._names = frozenset(documents)
        for name in sorted(documents, key=json_first):
            outlet.put(name, documents[name])

    def put(self, name: str, content: bytes) -> None:
        """Store a file; see :class:`Outlet`."""
        if name not in self._names:
            self._outlet.put(name, content)

    def put_blocks(self, name: str, size: int, blocks: Iterable[Block]) -> None:
        """Store a file; see :class:`Outlet`."""
        if name not in self._names:
            self._outlet.put_blocks(name, size, blocks)

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes | None:
        """Return a file that was put, or None; see :class:`Outlet`."""
        return self._outlet.get(name, start, length)


class BelowOutlet:
    """Puts files into a folder of another outlet.

    :param folder: with a slash at its end.
    """

    def __init__(self, outlet: Outlet, folder: str) -> None:
        self._outlet, self._folder = outlet, folder

    def put(self, name: str, content: bytes) -> None:
        """Store a file; see :class:`Outlet`."""
        self._outlet.put(self._folder + name, content)

    def put_blocks(self, name: str, size: int, blocks: Iterable[Block]) -> None:
        """Store a file; see :class:`Outlet`."""
        self._outlet.put_blocks(self._folder + name, size, blocks)

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes | None:
        """Return a file that was put, or None; see :class:`Outlet`."""
        return self._outlet.get(self._folder + name, start, length)


def _counted(name: str, size: int, blocks: Iterable[Block]) -> Iterator[Block]:
    """Yield pieces, which have to be so many bytes together."""
    left = size
    for block in blocks:
        left -= len(block)
        if left < 0:
            break
        yield block
    if left:
        raise EditError(f'{name} has another size than the {size} bytes that it was to have')


def _utf8(name: bytes) -> int:
    """Flag bit 11: the name is UTF-8."""
    return 0 if name.isascii() else 0x800


def json_first(name: str) -> tuple[bool, int, str]:
    """Sort key: zarr.json (or what v2 has in its place) breadth first, then everything else by name."""
    document = name.rpartition('/')[2] in ROOT_KEYS
    return (not document, name.count('/') if document else 0, name)
