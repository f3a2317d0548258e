"""Zips as other programs write them, and zips that are broken or made to do harm."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.limits import Limits
from girder_zarr.image.store.bytesource import FileBytes
from girder_zarr.image.store.zipstore import ZipFileStore, read_directory

if TYPE_CHECKING:
    from pathlib import Path


class Bytes:
    """A file in memory."""

    def __init__(self, data: bytes) -> None:
        self.data, self.name, self.size, self.identity = data, 'memory', len(data), str(hash(data))

    def read(self, offset: int, length: int) -> bytes:
        if offset < 0 or length < 0 or offset + length > self.size:
            msg = 'not that many bytes'
            raise UnreadableImageError(msg)
        return self.data[offset : offset + length]


def build(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED, comment: bytes = b'') -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w', method) as archive:
        for name, value in entries.items():
            archive.writestr(name, value)
        archive.comment = comment
    return out.getvalue()


ENTRIES = {'zarr.json': b'{}', 'a/c/0': bytes(range(256)) * 10, 'a/ü b/1': b'x' * 5000, 'empty': b''}


def contents(store: ZipFileStore, limit: int | None = None) -> dict[str, bytes | None]:
    keys = list(store.keys())
    return {key: store.read(key, limit) for key in keys}


@pytest.mark.parametrize('method', [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize('before', [b'', b'#!/bin/sh\n'])
@pytest.mark.parametrize('comment', [b'', b'PK\5\6 a comment that looks like an end record' * 3])
def test_reads_what_zipfile_writes(method: int, before: bytes, comment: bytes) -> None:
    store = ZipFileStore(Bytes(before + build(ENTRIES, method, comment)))
    assert contents(store) == ENTRIES
    for key, value in ENTRIES.items():
        assert (
            store.read_range(key, len(value) // 2, len(value) // 4)
            == value[len(value) // 2 :][: len(value) // 4]
        )
    assert store.names('') == ['a/', 'empty', 'zarr.json']
    assert store.names('a') == ['c/', 'ü b/']


def test_zip64(tmp_path: Path) -> None:
    path = tmp_path / 'large.zip'
    with zipfile.ZipFile(path, 'w') as archive:
        for name, value in ENTRIES.items():
            with archive.open(name, 'w', force_zip64=True) as entry:
                entry.write(value)
        for number in range(66_000):
            archive.writestr(f'{number}', b'')
    store = ZipFileStore(FileBytes(path))
    assert {key: store.read(key) for key in ENTRIES} == ENTRIES
    assert len(list(store.keys())) == 66_000 + len(ENTRIES)


def test_a_file_behind_4_gib(tmp_path: Path) -> None:
    path = tmp_path / 'huge.zip'
    with path.open('wb') as file:
        file.seek(2**32 + 5)  # a sparse file: nothing is written before this
        file.write(build(ENTRIES))
    store = ZipFileStore(FileBytes(path))
    assert contents(store) == ENTRIES


@pytest.mark.parametrize('name', ['/etc/passwd', '../x', 'a/../../x', 'a\\b', 'C:/x'])
def test_names_that_lead_out_are_refused(name: str) -> None:
    data = build({'zarr.json': b'{}', 'Q' * len(name): b'x'}).replace(b'Q' * len(name), name.encode())
    with pytest.raises(UnreadableImageError, match='named'):
        ZipFileStore(Bytes(data))


def test_nul_in_a_name_is_refused() -> None:
    with pytest.raises(UnreadableImageError, match='named'):
        ZipFileStore(Bytes(build({'zarr.json': b'{}', 'aQb': b'x'}).replace(b'aQb', b'a\0b')))


def central(data: bytes | bytearray, name: bytes) -> int:
    """Return where an entry's record in the central directory begins."""
    return data.rindex(name) - 46


def test_overlapping_entries_are_refused() -> None:
    data = bytearray(build({'zarr.json': b'{}', 'one': b'x' * 100, 'two': b'y' * 100}))
    first, second = central(data, b'one'), central(data, b'two')
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    with pytest.raises(UnreadableImageError, match='overlap'):
        ZipFileStore(Bytes(bytes(data)))


@pytest.mark.parametrize('method', [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_impossible_sizes_are_refused(method: int) -> None:
    data = bytearray(build({'zarr.json': b'{}', 'bomb': b'x' * 100}, method))
    struct.pack_into('<I', data, central(data, b'bomb') + 24, 2**31)
    with pytest.raises(UnreadableImageError, match='size'):
        ZipFileStore(Bytes(bytes(data)))


def test_an_entry_that_inflates_to_more_than_it_says() -> None:
    data = bytearray(build({'zarr.json': b'{}', 'bomb': b'x' * 10**6}, zipfile.ZIP_DEFLATED))
    struct.pack_into('<I', data, central(data, b'bomb') + 24, 50)
    store = ZipFileStore(Bytes(bytes(data)))
    with pytest.raises(UnreadableImageError, match='damaged'):
        store.read('bomb')


def test_too_many_entries() -> None:
    with pytest.raises(UnreadableImageError, match='over the limit'):
        read_directory(Bytes(build(ENTRIES)), Limits(zip_entries=3))


def test_damaged_and_encrypted_entries_are_named() -> None:
    data = bytearray(build(ENTRIES, zipfile.ZIP_DEFLATED))
    at = data.index(b'zarr.json') + len(b'zarr.json')
    data[at] ^= 0xFF
    with pytest.raises(UnreadableImageError, match=r'zarr\.json'):
        ZipFileStore(Bytes(bytes(data))).read('zarr.json')
    data = bytearray(build(ENTRIES))
    data[central(data, b'empty') + 8] |= 1
    with pytest.raises(UnreadableImageError, match='encrypted'):
        ZipFileStore(Bytes(bytes(data))).read('empty')


WHOLE = build(ENTRIES, zipfile.ZIP_DEFLATED)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.binary(max_size=8), st.integers(0, len(WHOLE)))
def test_mutated_zips_give_our_errors_alone(at: int, change: bytes, keep: int) -> None:
    data = (WHOLE[:at] + change + WHOLE[at + len(change) :])[: max(keep, at + len(change))]
    try:
        store = ZipFileStore(Bytes(data))
        contents(store, 10**6)
    except UnreadableImageError:
        pass
