"""SQLite databases read in place: held against sqlite3 itself, over ranges, deleted while open, damaged."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import girder_zarr.image as gz
from girder_zarr.errors import GirderZarrError, UnreadableImageError
from girder_zarr.image.store.bytesource import FileBytes
from girder_zarr.image.store.stores import open_store
from support.images import opened, region
from support.stores import database, image_database


class Memory:
    """A file in memory of which ranges are read."""

    name, identity = 'memory', '1'

    def __init__(self, data: bytes) -> None:
        self.data, self.size, self.reads = data, len(data), 0

    def read(self, offset: int, length: int) -> bytes:
        if offset < 0 or offset + length > self.size:
            raise UnreadableImageError('Beyond the end.')
        self.reads += 1
        return self.data[offset : offset + length]


@pytest.mark.parametrize('page', [512, 4096, 65536])
def test_every_value_is_that_of_sqlite(tmp_path: Path, page: int) -> None:
    random = np.random.default_rng(page)
    values = {f'{n % 7}/c/{n}/é{n}': random.bytes(int(random.integers(0, 3 * page))) for n in range(700)}
    values |= {'long' * 500: b'x', 'large': random.bytes(5_000_000), '.zgroup': b'{}'}
    path = database(tmp_path / 'a.db', values, page)
    connection = sqlite3.connect(path)
    # Freed and reused pages scatter what is written next.
    connection.execute("DELETE FROM zarr WHERE k LIKE '3/%'")
    connection.execute('INSERT INTO zarr VALUES (?, ?)', ('scattered', random.bytes(200_000)))
    connection.execute('INSERT INTO zarr VALUES (?, ?)', ('text', '{"a": 1}'))
    connection.execute('INSERT INTO zarr VALUES (?, ?)', ('nothing', None))
    connection.commit()
    rows = dict(connection.execute('SELECT k, CAST(v AS BLOB) FROM zarr'))
    connection.close()
    store = open_store(path)
    assert sorted(store.keys()) == sorted(rows)
    for key, value in rows.items():
        assert store.read(key) == value
        assert store.has(key)
    assert store.names('')[:2] == ['.zgroup', '0/']
    assert store.names('1/c/8') == ['é8']
    assert store.read('3/c/3/é3') is None
    assert store.read_range('large', -10, 10) == values['large'][-10:]
    with pytest.raises(UnreadableImageError, match='at most 1000'):
        store.read('large', 1000)


def test_a_database_of_which_only_ranges_can_be_had(tmp_path: Path, picture: np.ndarray) -> None:
    path = image_database(tmp_path, picture[..., 0], 256)
    remote = Memory(path.read_bytes())
    source = opened(remote)
    np.testing.assert_array_equal(region(source)[..., 0], picture[..., 0])
    before = remote.reads
    np.testing.assert_array_equal(
        source.getTile(1, 0, source.levels - 1, numpyAllowed='always')[..., 0], picture[:256, 256:512, 0]
    )
    assert remote.reads - before <= 2  # the pages of the trees are kept; the value's own pages are one run


def test_no_file_is_kept_open_and_a_deleted_one_is_an_error(tmp_path: Path, picture: np.ndarray) -> None:
    path = image_database(tmp_path, picture[..., 0])
    source = opened(path)
    held = [fd.readlink() for fd in Path('/proc/self/fd').iterdir() if fd.is_symlink()]
    assert path not in held
    path.unlink()
    with pytest.raises(UnreadableImageError):
        source.getTile(0, 0, source.levels - 1, numpyAllowed='always')


def test_many_threads(tmp_path: Path, picture: np.ndarray) -> None:
    store = open_store(image_database(tmp_path, picture[..., 0], 32))
    keys = list(store.keys())
    expected = {key: store.read(key) for key in keys}
    fresh = open_store(FileBytes(tmp_path / 'file without suffix'))
    with ThreadPoolExecutor(8) as pool:
        for key, value in zip(keys * 5, pool.map(fresh.read, keys * 5), strict=True):
            assert value == expected[key]


def test_what_zarr_does_not_write(tmp_path: Path) -> None:
    tables = 'CREATE TABLE other (a INT);'
    views = database(tmp_path / 'a.db', {'.zgroup': b'{}'}, before=tables)
    assert open_store(views).read('.zgroup') == b'{}'
    for number, sql in enumerate(
        ('CREATE TABLE things (a INT)', 'CREATE TABLE zarr (k TEXT, v BLOB)', 'CREATE VIEW zarr AS SELECT 1')
    ):
        path = tmp_path / f'{number}.db'
        connection = sqlite3.connect(path)
        connection.execute(sql)
        connection.commit()
        connection.close()
        assert not gz.canRead(path)
        with pytest.raises(UnreadableImageError, match='zarr writes'):
            open_store(path)


@pytest.fixture(scope='module')
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp('small')
    values = {f'0/{n}.{n}': bytes([n]) * 40 * n for n in range(60)} | {'.zgroup': b'{"zarr_format": 2}'}
    return database(folder / 'a.db', values, 512).read_bytes()


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_damage_is_an_error_and_nothing_else(small: bytes, data: Any) -> None:
    damaged = bytearray(small)
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.sampled_from([0, 1, 2, 5, 10, 13, 127, 128, 255]))
    damaged = damaged[: data.draw(st.sampled_from([len(damaged), len(damaged) // 2, 99, 600]))]
    try:
        store = open_store(Memory(bytes(damaged)))
        keys = list(store.keys())
        for key in keys[:20]:
            store.read(key)
    except GirderZarrError:
        pass
