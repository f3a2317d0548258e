"""A zip, read in place: the directory once, then each entry by its own range.

The layout is PKWARE's APPNOTE 6.3 (4.3.7 local header, 4.3.12 central directory, 4.3.14 to 4.3.16 end
records, 4.5.3 zip64). Entries are stored or deflated; RFC-9 (``.ozx``) asks for stored ones.
"""

from __future__ import annotations

import struct
import zlib
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.limits import DEFAULT, Limits

from .bytesource import FileBytes
from .coalesce import ByteRange, runs
from .entries import CachedEntry, DeflatedEntry, Entry, SourceEntry
from .keystore import THREAD_MEMORY, Bytes, KeyRequest, KeyStore
from .top_folder import check_names, find_top

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .bytesource import ByteSource

LOCAL_HEADER = struct.Struct('<4s5H3I2H')
CENTRAL_HEADER = np.dtype([
    ('magic', 'S4'), ('made', '<u2'), ('needed', '<u2'), ('flags', '<u2'), ('method', '<u2'), ('time', '<u4'),
    ('crc', '<u4'), ('stored', '<u4'), ('size', '<u4'), ('name', '<u2'), ('extra', '<u2'), ('comment', '<u2'),
    ('disk', '<u2'), ('inner', '<u2'), ('outer', '<u4'), ('offset', '<u4'),
])  # fmt: skip
NAME_LENGTHS = struct.Struct('<3H')
END_RECORD = struct.Struct('<4s4H2IH')
END_RECORD_64 = struct.Struct('<4sQ2H2I4Q')
LOCATOR_64 = struct.Struct('<4sIQI')
LOCAL_MAGIC, CENTRAL_MAGIC, END_MAGIC = b'PK\3\4', b'PK\1\2', b'PK\5\6'
END_MAGIC_64, LOCATOR_MAGIC_64 = b'PK\6\6', b'PK\6\7'
STORED, DEFLATED, ENCRYPTED, UTF8 = 0, 8, 1, 0x800
#: Bytes more when a local header and its entry are read at once; the header's own extra field may be longer.
SLACK = 128
#: A deflated byte stands for at most 1032 bytes (zlib's technical note).
MAX_RATIO = 1032
#: The order of the numbers that a zip64 extra field gives, those that do not fit 32 bits alone.
ZIP64_ORDER = ('size', 'stored', 'offset')


def find_end(source: ByteSource) -> tuple[int, int, int, int]:
    """Return where a zip's central directory lies.

    :returns: its offset, its size, the number of entries, and how far bytes before the zip shift all offsets.
    :raises UnreadableImageError: the file is not a zip, or its end is missing.
    """
    length = min(source.size, END_RECORD.size + 65535)
    tail = source.read(source.size - length, length)
    at = tail.rfind(END_MAGIC)
    while at >= 0:
        if at + END_RECORD.size <= length:
            record = END_RECORD.unpack_from(tail, at)
            if at + END_RECORD.size + record[-1] <= length:
                break
        at = tail.rfind(END_MAGIC, 0, at)
    else:
        msg = f'{source.name} is not a complete zip: its end record is missing.'
        raise UnreadableImageError(msg)
    _, disk, start_disk, _, count, size, offset, _ = record
    if disk not in (0, 0xFFFF) or start_disk not in (0, 0xFFFF):
        msg = f'{source.name} is one part of a zip in several parts, which is not read.'
        raise UnreadableImageError(msg)
    end = source.size - length + at
    # A zip64 whose numbers also fit the plain record has its own two records before it all the same.
    if count == 0xFFFF or 0xFFFFFFFF in (size, offset) or end - size != offset:
        found = _find_end_64(source, end)
        if found is not None:
            return found
    return end - size, size, count, end - size - offset


def _find_end_64(source: ByteSource, end: int) -> tuple[int, int, int, int] | None:
    last = end - LOCATOR_64.size - END_RECORD_64.size
    if last < 0:
        return None
    magic, _, position, _ = LOCATOR_64.unpack(source.read(end - LOCATOR_64.size, LOCATOR_64.size))
    if magic != LOCATOR_MAGIC_64:
        return None
    # Bytes before the zip shift every offset; the record lies right before its locator then.
    for start in (position, last):
        if start <= last:
            record = END_RECORD_64.unpack(source.read(start, END_RECORD_64.size))
            if record[0] == END_MAGIC_64:
                count, size, offset = record[7:10]
                return start - size, size, count, start - size - offset
    msg = f'{source.name} is not a complete zip: its zip64 end record is missing.'
    raise UnreadableImageError(msg)


class Directory(NamedTuple):
    """A zip's entries, folders left out.

    :param places: name to row.
    :param offsets: of the local headers; ``stored`` and ``sizes`` are bytes in the zip and inflated.
    :param methods: of compression; 16 bits higher, whether the entry is encrypted.
    """

    places: dict[str, int]
    offsets: np.ndarray
    stored: np.ndarray
    sizes: np.ndarray
    checksums: np.ndarray
    methods: np.ndarray


def read_directory(source: ByteSource, limits: Limits = DEFAULT) -> Directory:
    """Return a zip's entries.

    :raises UnreadableImageError: the zip is broken, or made to do harm: too many entries, names that lead out
        of it, entries that overlap or that claim an impossible size.
    """
    start, size, count, shift = find_end(source)
    if count > limits.zip_entries or size > limits.zip_directory_bytes:
        msg = f'{source.name} has {count} entries in a directory of {size} bytes; this is over the limit.'
        raise UnreadableImageError(msg)
    if start < 0 or shift < 0 or size < count * CENTRAL_HEADER.itemsize:
        msg = f'{source.name} is not a complete zip: {count} entries do not fit a directory of {size} bytes.'
        raise UnreadableImageError(msg)
    data = source.read(start, size)
    names, records, extras = _split_directory(data, count, source.name)
    numbers = {field: records[field].astype(np.uint64) for field in ('offset', 'stored', 'size')}
    for row, extra in extras.items():
        found = _zip64_fields(extra, *(int(numbers[field][row]) for field in ZIP64_ORDER), where=source.name)
        for field, number in zip(ZIP64_ORDER, found, strict=True):
            numbers[field][row] = number
    check_names(names, source.name)
    if (numbers['offset'] > start).any() or (numbers['stored'] > start).any():
        msg = f'{source.name} has a broken zip directory: an entry lies beyond its end.'
        raise UnreadableImageError(msg)
    directory = Directory(
        {name: row for row, name in enumerate(names) if not name.endswith('/')},
        numbers['offset'].astype(np.int64) + shift,
        numbers['stored'].astype(np.int64),
        numbers['size'],
        records['crc'],
        records['method'] | (records['flags'] & ENCRYPTED).astype(np.uint32) << 16,
    )
    _check_entries(directory, names, start, source.name, limits)
    return directory


def _split_directory(data: bytes, count: int, where: str) -> tuple[list[str], np.ndarray, dict[int, bytes]]:
    """Return names, fixed-size records, and the extra fields of the entries that have zip64 numbers."""
    names: list[str] = []
    starts: list[int] = []
    extras: list[tuple[int, int]] = []
    lengths, step, end = NAME_LENGTHS.unpack_from, CENTRAL_HEADER.itemsize, len(data)
    at = 0
    while len(names) < count and at + step <= end:
        name_size, extra_size, comment_size = lengths(data, at + 28)
        raw = data[at + step : at + step + name_size]
        names.append(raw.decode() if raw.isascii() else _decode_name(raw, data[at + 9], where))
        starts.append(at)
        at += step + name_size
        extras.append((at, extra_size))
        at += extra_size + comment_size
    places = np.array(starts, np.int64)[:, None] + np.arange(step)
    records = np.frombuffer(data, np.uint8)[places].view(CENTRAL_HEADER).reshape(-1)
    if at > end or len(set(names)) != count or (records['magic'] != CENTRAL_MAGIC).any():
        msg = f'{where} has a broken zip directory: {count} different entries were expected.'
        raise UnreadableImageError(msg)
    large = np.zeros(len(records), bool)
    for field in ZIP64_ORDER:
        large |= records[field] == 0xFFFFFFFF
    return (
        names,
        records,
        {int(row): data[extras[row][0] : extras[row][0] + extras[row][1]] for row in np.flatnonzero(large)},
    )


def _decode_name(raw: bytes, high_flags: int, where: str) -> str:
    try:
        return raw.decode('utf-8' if high_flags << 8 & UTF8 else 'cp437')
    except UnicodeDecodeError:
        msg = f'{where} has an entry whose name is not UTF-8: {raw[:100]!r}.'
        raise UnreadableImageError(msg) from None


def _zip64_fields(extra: bytes, size: int, stored: int, offset: int, *, where: str) -> tuple[int, int, int]:
    """Return the three numbers, those that do not fit 32 bits taken from the zip64 extra field."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from('<HH', extra, at)
        if kind == 1:
            values = extra[at + 4 : at + 4 + length]
            numbers = iter(struct.unpack(f'<{len(values) // 8}Q', values[: len(values) // 8 * 8]))
            try:
                size, stored, offset = (
                    next(numbers) if value == 0xFFFFFFFF else value for value in (size, stored, offset)
                )
            except RuntimeError:  # a generator that runs out of numbers
                break
            return size, stored, offset
        at += 4 + length
    msg = f'{where} has a broken zip directory: an entry over 4 GiB lacks its zip64 sizes.'
    raise UnreadableImageError(msg)


def _check_entries(directory: Directory, names: list[str], end: int, where: str, limits: Limits) -> None:
    if not names:
        return
    lengths = np.fromiter(map(len, names), dtype=np.int64, count=len(names))
    order = np.argsort(directory.offsets, kind='stable')
    ends = (directory.offsets + directory.stored + lengths + LOCAL_HEADER.size)[order]
    if (ends > np.append(directory.offsets[order][1:], end)).any():
        msg = f'{where} has entries that overlap each other or the directory; such a zip is not read.'
        raise UnreadableImageError(msg)
    is_stored = directory.methods == STORED
    inflated = (directory.stored + 8) * MAX_RATIO
    most = np.where(directory.methods & 0xFFFF == STORED, directory.stored, inflated)
    impossible = directory.sizes > np.minimum(most.astype(np.uint64), np.uint64(limits.zip_entry_bytes))
    impossible |= is_stored & (directory.sizes != directory.stored.astype(np.uint64))
    if impossible.any():
        name = names[int(np.argmax(impossible))]
        msg = f'{where} has an entry {name[:200]!r} that claims an impossible or too large size.'
        raise UnreadableImageError(msg)


class ZipFileStore(KeyStore):
    """The zarr hierarchy in a zip; where the zip holds it in one folder at the top (``top``), inside that.

    :param source: the zip.
    :raises UnreadableImageError: it is not a zip that we read; see :func:`read_directory`.
    """

    def __init__(self, source: ByteSource, limits: Limits = DEFAULT) -> None:
        super().__init__(source.name, source.identity)
        self._source = source
        self.is_remote = self.supports_batch = not isinstance(source, FileBytes)
        self._directory = read_directory(source, limits)
        places = self._directory.places
        self.top = top = find_top(places)
        if top:
            places = {name[len(top) :]: row for name, row in places.items() if name.startswith(top)}
        self._places = places
        self._starts: dict[str, int] = {}
        self._folders: dict[str, list[str]] | None = None

    def _entry(self, row: int) -> tuple[int, int, int, int, int]:
        """Return offset, stored bytes, bytes, CRC-32 and method of an entry."""
        _, offsets, stored, sizes, crcs, methods = self._directory
        return offsets.item(row), stored.item(row), sizes.item(row), crcs.item(row), methods.item(row)

    def read(self, key: str, limit: int | None = None) -> bytes | None:
        """Return a value; see the base class."""
        row = self._places.get(key)
        if row is None:
            return None
        offset, stored, size, crc, method = self._entry(row)
        self._check_size(size, limit, key)
        start = self._starts.get(key)
        if start is None:
            room = LOCAL_HEADER.size + len((self.top + key).encode()) + SLACK + stored
            data = self._source.read(offset, min(room, self._source.size - offset))
            start = self._data_start(key, offset, data)
            data = data[start - offset : start - offset + stored]
            if len(data) < stored:
                data = self._source.read(start, stored)
        else:
            data = self._source.read(start, stored)
        return data if method == STORED else self._inflate(key, data, size, crc, method)

    def requests(self, keys: Iterable[str], limit: int) -> list[KeyRequest]:
        """Return the requests that give values, one for those near each other; see the base class."""
        order = {key: number for number, key in enumerate(keys)}
        parts, absent = [], []
        for key in order:
            row = self._places.get(key)
            if row is None:
                absent.append(key)
                continue
            offset, stored, size = self._entry(row)[:3]
            self._check_size(size, limit, key)
            room = LOCAL_HEADER.size + len((self.top + key).encode()) + SLACK + stored
            parts.append(ByteRange(offset, min(offset + room, self._source.size), key))
        found = sorted((self._request(run, order) for run in runs(parts)), key=lambda one: order[one.keys[0]])
        if absent:
            found.insert(0, KeyRequest(tuple(absent), 0, lambda: dict.fromkeys(absent)))
        return found

    def _request(self, run: list[ByteRange], order: Mapping[str, int]) -> KeyRequest:
        """Return the request for entries beside each other; it names the one that is needed first first."""
        keys = tuple(sorted((part.key for part in run), key=order.__getitem__))
        inflated = sum(int(self._directory.sizes[self._places[key]]) for key in keys)
        if len(run) == 1:
            return KeyRequest(
                keys, run[0].stop - run[0].start + inflated, lambda: {keys[0]: self.read(keys[0])}
            )
        nbytes = max(part.stop for part in run) - run[0].start + inflated
        return KeyRequest(keys, nbytes, lambda: self._read_run(run))

    def _read_run(self, run: list[ByteRange]) -> dict[str, bytes | None]:
        first = run[0].start
        data = self._source.read(first, max(part.stop for part in run) - first)
        found: dict[str, bytes | None] = {}
        for offset, stop, key in run:
            _, stored, size, crc, method = self._entry(self._places[key])
            header = data[offset - first : stop - first]
            start = self._data_start(key, offset, header) - offset
            value = header[start : start + stored]
            if len(value) < stored:  # a local header that is longer than writers make it
                value = self._source.read(offset + start, stored)
            found[key] = value if method == STORED else self._inflate(key, value, size, crc, method)
        return found

    def read_view(self, key: str, limit: int) -> Bytes | None:
        """Return a value for a moment; see the base class."""
        start = self._starts.get(key)
        fill = getattr(self._source, 'read_into', None)
        if start is None or fill is None:
            return self.read(key, limit)
        _, stored, size, crc, method = self._entry(self._places[key])
        self._check_size(size, limit, key)
        memory = THREAD_MEMORY.take(stored)
        fill(start, memory)
        return memory if method == STORED else self._inflate(key, memory, size, crc, method)

    def read_range(self, key: str, start: int, length: int) -> bytes | None:
        """Return a part of a value; see the base class. A deflated entry is inflated as a whole."""
        row = self._places.get(key)
        if row is None:
            return None
        offset, _, size, _, method = self._entry(row)
        first, length = self._range(start, length, size, key)
        if method != STORED:
            whole = self.read(key)
            return None if whole is None else whole[first : first + length]
        begin = self._starts.get(key)
        if begin is None:
            begin = self._data_start(key, offset, self._source.read(offset, LOCAL_HEADER.size))
        return self._source.read(begin + first, length)

    def _data_start(self, key: str, offset: int, header: bytes | memoryview) -> int:
        fields = LOCAL_HEADER.unpack_from(header) if len(header) >= LOCAL_HEADER.size else (b'',)
        if fields[0] != LOCAL_MAGIC:
            msg = f'{self.name} is broken: the entry {key!r} is not at byte {offset}.'
            raise UnreadableImageError(msg)
        start = offset + LOCAL_HEADER.size + int(fields[-2]) + int(fields[-1])
        self._starts[key] = start
        return start

    def cached_entry(self, key: str) -> Entry | None:
        """Return an entry that never waits; see the base class."""
        row = self._places.get(key)
        if row is None or not isinstance(self._source, FileBytes):
            return None
        offset, _, size, crc, method = self._entry(row)
        first = self._starts.get(key)
        if first is None and (header := self._source.read_cached(offset, LOCAL_HEADER.size)) is not None:
            first = self._data_start(key, offset, header)
        if first is None or method != STORED:
            return None
        return CachedEntry(self._source, first, size, f'{self.identity}:{offset}:{size}:{crc}')

    def entry(self, key: str) -> Entry | None:
        """Return a value to be handed on; see the base class."""
        row = self._places.get(key)
        if row is None:
            return None
        offset, stored, size, crc, method = self._entry(row)
        self._check_method(key, method)
        first = self._starts.get(key)
        first = first or self._data_start(key, offset, self._source.read(offset, LOCAL_HEADER.size))
        name = f'{self.identity}:{offset}:{size}:{crc}'
        if method == STORED:
            return SourceEntry(self._source, first, size, name)
        return DeflatedEntry(self._source, first, stored, size, crc, name)

    def _check_method(self, key: str, method: int) -> None:
        if method not in (STORED, DEFLATED):
            how = 'encrypted' if method >> 16 else f'compressed with zip method {method}'
            msg = f'The entry {key!r} in {self.name} is {how}; stored and deflated entries are read.'
            raise UnreadableImageError(msg)

    def _inflate(self, key: str, data: Bytes, size: int, crc: int, method: int) -> bytes:
        self._check_method(key, method)
        decoder = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            value = decoder.decompress(data, size + 1)
        except zlib.error as error:
            msg = f'The entry {key!r} in {self.name} cannot be inflated: {error}.'
            raise UnreadableImageError(msg) from None
        if len(value) != size or zlib.crc32(value) != crc:
            msg = f'The entry {key!r} in {self.name} is damaged: its size or checksum differs.'
            raise UnreadableImageError(msg)
        return value

    def has(self, key: str) -> bool:
        """Return whether there is such a key."""
        return key in self._places

    def names(self, folder: str) -> list[str]:
        """Return what lies directly in a folder; see the base class."""
        if self._folders is None:
            children: dict[str, set[str]] = defaultdict(set)
            for name in self._places:
                parent, _, leaf = name.rpartition('/')
                while leaf not in children[parent]:
                    children[parent].add(leaf)
                    if not parent:
                        break
                    parent, _, leaf = parent.rpartition('/')
                    leaf += '/'
            self._folders = {parent: sorted(leaves) for parent, leaves in children.items()}
        return self._folders.get(folder, [])

    def keys(self, prefix: str = '') -> Iterator[str]:
        """Iterate over all keys that begin with ``prefix``."""
        return (key for key in self._places if key.startswith(prefix))
