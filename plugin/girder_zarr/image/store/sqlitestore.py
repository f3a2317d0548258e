"""An SQLite database as zarr 2's ``SQLiteStore`` writes it, read in place by ranges.

The file format is that of https://www.sqlite.org/fileformat2.html: b-tree pages (1.6), records (2.1) and
overflow pages. Reading it ourselves needs no local file, keeps no file open, needs no lock, and follows
nothing that a hostile database says beyond the table ``zarr`` and its index.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from girder_zarr.common.cache import LRU
from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.limits import DEFAULT

from .bytesource import FileBytes
from .entries import BLOCK_BYTES, Block, Entry
from .keystore import KeyStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .bytesource import ByteSource

SQLITE_MAGIC = b'SQLite format 3\0'
TABLE, INDEX = 'zarr', 'sqlite_autoindex_zarr_1'
INNER_INDEX, INNER_TABLE, LEAF_INDEX, LEAF_TABLE = 2, 5, 10, 13
INNER = (INNER_INDEX, INNER_TABLE)
#: SQLite's trees of 2**47 bytes are at most 20 pages deep.
MAX_DEPTH = 24
#: Bytes of pages that one store caches: the inner pages of a tree of some hundred thousand keys.
CACHE_BYTES = 4 * 2**20
#: Bytes that are read at once where a value is scattered over pages: a chunk of the size limit in two reads.
RUN_BYTES = 64 * 2**20
#: A row of the schema, and of the index: a key and a number.
SCHEMA_BYTES, KEY_BYTES = 2**16, DEFAULT.name_bytes + 32
#: What a cell takes beside its payload: its place in the page's list, and a number of one byte at least.
MIN_CELL_BYTES = 3


class BTreeCell(NamedTuple):
    """The contents of one cell of a page.

    :param child: the page below, or 0.
    :param rowid: of tables.
    :param size: of the whole payload; ``payload`` is the part in the page, ``more`` the page of the rest
        or 0.
    """

    child: int
    rowid: int
    size: int
    payload: bytes
    more: int


class SqliteFile:
    """The pages of a database.

    :raises UnreadableImageError: it is not one that we read.
    """

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        head = source.read(0, min(100, source.size))
        if len(head) < 100 or not head.startswith(SQLITE_MAGIC):
            raise self.broken('its header is missing')
        side = int.from_bytes(head[16:18], 'big')
        self.page_bytes = 65536 if side == 1 else side
        self.usable = self.page_bytes - head[20]
        if self.page_bytes not in {2**power for power in range(9, 17)} or self.usable < 480:
            raise self.broken(f'its pages have {self.page_bytes} bytes')
        if int.from_bytes(head[56:60], 'big') not in (0, 1):
            msg = f'{source.name} is a database whose text is UTF-16; UTF-8 is read.'
            raise UnreadableImageError(msg)
        self.count = source.size // self.page_bytes
        self._pages: LRU[int, bytes] = LRU(max_items=CACHE_BYTES // self.page_bytes)

    def broken(self, why: str) -> UnreadableImageError:
        """Return the error for a damaged file."""
        return UnreadableImageError(f'{self.source.name} is a damaged SQLite database: {why}.')

    def page(self, number: int) -> bytes:
        """Return a page; the first has the number 1."""
        found = self._pages.get(number)
        if found is not None:
            return found
        if not 1 <= number <= self.count:
            raise self.broken(f'it has {self.count} pages and refers to page {number}')
        found = self.source.read((number - 1) * self.page_bytes, self.page_bytes)
        self._pages.put(number, found)
        return found

    def cells(self, number: int) -> tuple[int, list[int], int]:
        """Return a b-tree page's kind, where its cells begin, and its rightmost child (or 0)."""
        page = self.page(number)
        start = 100 if number == 1 else 0
        kind = page[start]
        if kind not in (INNER_INDEX, INNER_TABLE, LEAF_INDEX, LEAF_TABLE):
            raise self.broken(f'page {number} is no b-tree page')
        count = int.from_bytes(page[start + 3 : start + 5], 'big')
        head = start + (12 if kind in INNER else 8)
        if head + 2 * count > self.usable:
            raise self.broken(f'page {number} claims {count} cells')
        places = [int.from_bytes(page[at : at + 2], 'big') for at in range(head, head + 2 * count, 2)]
        last = int.from_bytes(page[start + 8 : start + 12], 'big') if kind in INNER else 0
        return kind, places, last

    def cell(self, number: int, kind: int, at: int) -> BTreeCell:
        """Return the cell at byte ``at`` of a page."""
        page = self.page(number)
        child = rowid = 0
        if kind in INNER:
            child = int.from_bytes(page[at : at + 4], 'big')
            at += 4
        if kind == INNER_TABLE:
            return BTreeCell(child, self.varint(page, at)[0], 0, b'', 0)
        size, at = self.varint(page, at)
        if kind == LEAF_TABLE:
            rowid, at = self.varint(page, at)
        local = self._local(size, table=kind == LEAF_TABLE)
        if at + local > self.usable:
            raise self.broken(f'a cell leads out of page {number}')
        more = int.from_bytes(page[at + local : at + local + 4], 'big') if local < size else 0
        return BTreeCell(child, rowid, size, page[at : at + local], more)

    def _local(self, size: int, *, table: bool) -> int:
        """Return how much of a payload lies in its b-tree page (1.6, 'Cell payload overflow pages')."""
        most = self.usable - 35 if table else (self.usable - 12) * 64 // 255 - 23
        if size <= most:
            return size
        least = (self.usable - 12) * 32 // 255 - 23
        kept = least + (size - least) % (self.usable - 4)
        return kept if kept <= most else least

    def varint(self, data: bytes, at: int) -> tuple[int, int]:
        """Return a variable-length integer and where it ends."""
        value = 0
        for index in range(9):
            if at + index >= len(data):
                break
            byte = data[at + index]
            if index == 8:
                return value << 8 | byte, at + 9
            value = value << 7 | byte & 127
            if byte < 128:
                return value, at + index + 1
        raise self.broken('a number is cut off')

    def payload(self, cell: BTreeCell, most: int) -> bytes:
        """Return a cell's whole payload.

        :param most: the bytes that it may have.
        """
        if cell.size > min(most, self.source.size):
            raise self.broken(f'a row claims {cell.size} bytes')
        return b''.join(self.pieces(cell, RUN_BYTES))

    def pieces(self, cell: BTreeCell, at_once: int) -> Iterator[bytes]:
        """Iterate over a cell's payload. Its overflow pages mostly follow each other: they are read at once.

        :param at_once: the most bytes that are read at once, though at least a page.
        """
        if cell.size > self.source.size:
            raise self.broken(f'a row claims {cell.size} bytes')
        yield cell.payload
        left, number, room = cell.size - len(cell.payload), cell.more, self.usable - 4
        while left > 0:
            pages = min(-(-left // room), self.count + 1 - number, max(1, at_once // self.page_bytes))
            if number < 1 or pages < 1:
                raise self.broken(f'it has {self.count} pages and refers to page {number}')
            run = self.source.read((number - 1) * self.page_bytes, pages * self.page_bytes)
            for at in range(0, len(run), self.page_bytes):
                following = int.from_bytes(run[at : at + 4], 'big')
                yield run[at + 4 : at + 4 + min(room, left)]
                left -= min(room, left)
                number += 1
                if following != number or left <= 0:
                    number = following
                    break

    def values(self, record: bytes, most: int) -> list[bytes | int | None]:
        """Return the first ``most`` values of a record; those that are no text, blob or integer are None."""
        end, at = self.varint(record, 0)
        body = end
        found: list[bytes | int | None] = []
        while at < end and len(found) < most:
            kind, at = self.varint(record, at)
            size = (kind - 12) // 2 if kind >= 12 else (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0)[kind]
            data = record[body : body + size]
            if len(data) < size:
                raise self.broken('a row is cut off')
            if kind >= 12:
                found.append(data)
            elif kind in (8, 9):
                found.append(kind - 8)
            else:
                found.append(int.from_bytes(data, 'big', signed=True) if 1 <= kind <= 6 else None)
            body += size
        return found + [None] * (most - len(found))

    def walk(self, root: int) -> Iterator[BTreeCell]:
        """Iterate over the cells of a tree that hold rows, in order."""
        seen = 0
        stack = [iter([root])]
        while stack:
            number = next(stack[-1], 0)
            if not number:
                stack.pop()
                continue
            seen += 1
            if seen > self.count or len(stack) > MAX_DEPTH:
                raise self.broken('its pages refer to each other in a circle')
            kind, places, last = self.cells(number)
            cells = self._separate(number, kind, places)
            if kind in INNER:
                stack.append(iter([*(cell.child for cell in cells), last]))
            if kind != INNER_TABLE:
                # Rows of an index also lie in its inner pages; their order does not matter to callers.
                yield from cells

    def _separate(self, number: int, kind: int, places: list[int]) -> list[BTreeCell]:
        """Return the cells of a page, none of whose bytes can belong to two of them."""
        cells, used = [], 0
        for at in places:
            cells.append(self.cell(number, kind, at))
            used += MIN_CELL_BYTES + len(cells[-1].payload)
            if used > self.page_bytes:
                raise self.broken(f'the cells of page {number} overlap')
        return cells


class RowEntry(Entry):
    """The second value of a row, a blob or a text, read along the chain of its pages.

    :param first: the byte of the row's payload that is the value's first.
    """

    def __init__(self, file: SqliteFile, cell: BTreeCell, first: int, size: int, identity: str) -> None:
        super().__init__(size, identity)
        self._file, self._cell, self._first = file, cell, first

    @classmethod
    def of(cls, file: SqliteFile, cell: BTreeCell, identity: str) -> RowEntry | None:
        """Return the entry of a row, or None where its second value is a number or nothing."""
        # The header gives the kinds of the values (2.1): a few bytes, followed by the values themselves.
        header, at = file.varint(cell.payload, 0)
        key_kind, at = file.varint(cell.payload, at)
        kind, at = file.varint(cell.payload, at)
        if key_kind < 12 or kind < 12 or at > header:
            return None
        first, size = header + (key_kind - 12) // 2, (kind - 12) // 2
        if first + size > cell.size:
            raise file.broken('a row is cut off')
        return cls(file, cell, first, size, f'{identity}:{cell.rowid}:{size}')

    def blocks(self, start: int, stop: int) -> Iterator[Block]:
        """Iterate over bytes; see the base class. What lies before them is passed over page by page."""
        at, waiting, held = -self._first, [], 0
        for piece in self._file.pieces(self._cell, BLOCK_BYTES):
            part = piece[max(0, start - at) : max(0, stop - at)]
            at += len(piece)
            while part:
                room = BLOCK_BYTES - held
                waiting.append(part[:room])
                held += len(waiting[-1])
                part = part[room:]
                if held == BLOCK_BYTES:
                    yield b''.join(waiting)
                    waiting, held = [], 0
            if at >= stop:
                break
        if waiting:
            yield b''.join(waiting)


class SqliteStore(KeyStore):
    """A zarr hierarchy as rows (k, v) of the table ``zarr``.

    :param source: the database.
    :raises UnreadableImageError: it is not such a database.
    """

    has_fast_lookup = False

    def __init__(self, source: ByteSource) -> None:
        super().__init__(source.name, source.identity)
        self.is_remote = self.supports_batch = not isinstance(source, FileBytes)
        self._file = SqliteFile(source)
        roots = {}
        for number, cell in enumerate(self._file.walk(1)):
            kind, name, _, root = self._file.values(self._file.payload(cell, SCHEMA_BYTES), 4)
            if isinstance(root, int) and isinstance(name, bytes):
                roots[kind, name.decode(errors='replace')] = root
            if number > 1000:
                break
        if (b'table', TABLE) not in roots or (b'index', INDEX) not in roots:
            msg = f'{self.name} is a database, but not one that zarr writes (a table zarr with the key k).'
            raise UnreadableImageError(msg)
        self._table, self._index = roots[b'table', TABLE], roots[b'index', INDEX]
        self._keys: list[str] | None = None

    def _rowid(self, key: bytes) -> int | None:
        """Look a key up in the index. Keys are compared as bytes, as SQLite does."""
        file, number = self._file, self._index
        for _ in range(MAX_DEPTH):
            kind, places, last = file.cells(number)
            if kind not in (INNER_INDEX, LEAF_INDEX):
                raise file.broken(f'page {number} is no index page')

            def stored(at: int, number: int = number, kind: int = kind) -> bytes:
                value = file.values(file.payload(file.cell(number, kind, at), KEY_BYTES), 1)[0]
                return value if isinstance(value, bytes) else b''

            place = bisect_left(places, key, key=stored)
            if place < len(places):
                cell = file.cell(number, kind, places[place])
                found, rowid = file.values(file.payload(cell, KEY_BYTES), 2)
                if found == key:
                    return rowid if isinstance(rowid, int) else None
                number = cell.child
            else:
                number = last
            if kind == LEAF_INDEX:
                return None
        raise file.broken('its index is too deep')

    def _row(self, rowid: int) -> BTreeCell | None:
        file, number = self._file, self._table
        for _ in range(MAX_DEPTH):
            kind, places, last = file.cells(number)
            if kind not in (INNER_TABLE, LEAF_TABLE):
                raise file.broken(f'page {number} is no table page')

            def stored(at: int, number: int = number, kind: int = kind) -> int:
                return file.cell(number, kind, at).rowid

            place = bisect_left(places, rowid, key=stored)
            cell = file.cell(number, kind, places[place]) if place < len(places) else None
            if kind == LEAF_TABLE:
                return cell if cell is not None and cell.rowid == rowid else None
            number = cell.child if cell is not None else last
        raise file.broken('its table is too deep')

    def read(self, key: str, limit: int | None = None) -> bytes | None:
        """Return a value; see the base class."""
        rowid = self._rowid(key.encode())
        cell = None if rowid is None else self._row(rowid)
        if cell is None:
            return None
        self._check_size(cell.size - len(key.encode()) - 16, limit, key)
        value = self._file.values(self._file.payload(cell, self._file.source.size), 2)[1]
        if not isinstance(value, bytes):
            return None
        self._check_size(len(value), limit, key)
        return value

    def read_range(self, key: str, start: int, length: int) -> bytes | None:
        """Return a part of a value; see the base class. Its pages are chained, so that it is read whole."""
        value = self.read(key)
        if value is None:
            return None
        first, length = self._range(start, length, len(value), key)
        return value[first : first + length]

    def entry(self, key: str) -> Entry | None:
        """Return a value to be handed on; see the base class."""
        rowid = self._rowid(key.encode())
        cell = None if rowid is None else self._row(rowid)
        return None if cell is None else RowEntry.of(self._file, cell, self.identity)

    def has(self, key: str) -> bool:
        """Return whether there is such a key."""
        return self._rowid(key.encode()) is not None

    def _listed(self) -> list[str]:
        if self._keys is None:
            found, left = [], self._file.source.size
            for cell in self._file.walk(self._index):
                key = self._file.values(self._file.payload(cell, KEY_BYTES), 1)[0]
                left -= cell.size
                if left < 0:  # rows that share their overflow pages
                    raise self._file.broken('its rows have more bytes than the file')
                if isinstance(key, bytes):
                    found.append(key.decode(errors='replace'))
                if len(found) > DEFAULT.zip_entries:
                    msg = f'{self.name} has more than {DEFAULT.zip_entries} rows.'
                    raise UnreadableImageError(msg)
            self._keys = sorted(found)
        return self._keys

    def names(self, folder: str) -> list[str]:
        """Return what lies directly in a folder; see the base class."""
        prefix = folder + '/' if folder else ''
        found = set()
        for key in self.keys(prefix):
            name, slash, _ = key[len(prefix) :].partition('/')
            found.add(name + slash)
        return sorted(found)

    def keys(self, prefix: str = '') -> Iterator[str]:
        """Iterate over all keys that begin with ``prefix``."""
        keys = self._listed()
        for key in keys[bisect_left(keys, prefix) :]:
            if not key.startswith(prefix):
                return
            yield key
