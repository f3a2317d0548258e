"""Far images: requests side by side, few of them, with the pixels of the disk; errors name one chunk."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from girder_zarr.common.chunk_cache import CHUNKS
from girder_zarr.common.request_pool import MAX_PER_SOURCE, REQUESTS
from girder_zarr.errors import UnreadableChunkError, UnreadableImageError
from girder_zarr.image.chunk.arrays import read_array
from girder_zarr.image.chunk.chunks import StoredLevel
from girder_zarr.image.store import addresses, remote
from girder_zarr.image.store.stores import open_store
from support.stores import zip_folder
from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.web import Served

VALUES = np.random.default_rng(3).integers(0, 255, (4, 256, 256)).astype('uint8')
PLANE = slice(1, 2), slice(0, 256), slice(0, 256)


@pytest.fixture(autouse=True)
def nothing_decoded() -> None:
    CHUNKS.clear()


class Together:
    """Stands in for `remote.ask`: so many requests have to be under way before one of them goes on."""

    def __init__(self, count: int) -> None:
        self.original = remote.ask
        self.barrier = threading.Barrier(count)
        self.lock = threading.Lock()
        self.running = self.most = 0

    def ask(self, *args: Any) -> remote.Answer:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            self.barrier.wait(60)
            return self.original(*args)
        finally:
            with self.lock:
                self.running -= 1


def level(location: Any) -> StoredLevel:
    store = open_store(location)
    info = read_array(store, '')
    assert info is not None
    return StoredLevel(store, info)


def make(folder: Path, **options: Any) -> zarr.Array[Any]:
    array = zarr.create_array(folder, shape=VALUES.shape, chunks=(4, 32, 32), dtype='uint8', **options)
    array[...] = VALUES
    return array


def test_64_chunks_are_asked_for_32_at_a_time(web: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    make(web.folder / 'a')
    reader = level(f'{web.address}/a')
    together = Together(MAX_PER_SOURCE)
    monkeypatch.setattr(remote, 'ask', together.ask)
    web.asked.clear()
    np.testing.assert_array_equal(reader.read(PLANE), VALUES[PLANE])
    assert together.most == MAX_PER_SOURCE
    assert len(web.asked) == 64
    # The next plane is in the same chunks.
    part = slice(2, 4), slice(0, 256), slice(0, 256)
    np.testing.assert_array_equal(reader.read(part), VALUES[part])
    assert len(web.asked) == 64
    assert REQUESTS.bytes_in_use == 0


def test_indexes_and_chunks_of_shards_are_asked_for_side_by_side(
    web: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(web.folder / 'a', shards=(4, 64, 64))
    reader = level(f'{web.address}/a')
    together = Together(16)  # 16 indexes, then 16 runs of four chunks
    monkeypatch.setattr(remote, 'ask', together.ask)
    web.asked.clear()
    np.testing.assert_array_equal(reader.read(PLANE), VALUES[PLANE])
    assert len(web.asked) == 32
    np.testing.assert_array_equal(reader.read((slice(0, 1), *PLANE[1:])), VALUES[:1])
    assert len(web.asked) == 32


@pytest.mark.parametrize('form', ['folder', 'shards', 'zip', 'zip of shards'])
def test_the_same_pixels_as_from_the_disk(web: Served, tmp_path: Path, form: str) -> None:
    shards = {'shards': (4, 64, 64)} if 'shards' in form else {}
    folder = web.folder / 'a'
    array = make(folder, fill_value=9, **shards)
    array[:, 64:128, 64:192] = 9  # chunks that are not stored
    expected: Any = array[...]
    name = 'a'
    if 'zip' in form:
        zip_folder(folder, web.folder / 'a.zip')
        name = 'a.zip'
    far, near = level(f'{web.address}/{name}'), level(web.folder / name)
    random = np.random.default_rng(7)
    for _ in range(30):
        starts = [int(random.integers(0, side - 1)) for side in VALUES.shape]
        part = tuple(
            slice(start, int(random.integers(start + 1, side + 1)))
            for start, side in zip(starts, VALUES.shape, strict=True)
        )
        np.testing.assert_array_equal(far.read(part), expected[part])
        np.testing.assert_array_equal(near.read(part), expected[part])


@pytest.mark.parametrize('form', ['folder', 'shards', 'zip'])
def test_a_damaged_chunk_is_named_and_nothing_is_left(web: Served, form: str) -> None:
    shards = {'shards': (4, 256, 256)} if form == 'shards' else {}
    make(web.folder / 'a', **shards)
    if form == 'shards':
        path = web.folder / 'a' / 'c' / '0' / '0' / '0'
        data = bytearray(path.read_bytes())
        data[:4000] = bytes(4000)
        path.write_bytes(data)
    else:
        (web.folder / 'a' / 'c' / '0' / '3' / '4').write_bytes(b'broken')
    if form == 'zip':
        zip_folder(web.folder / 'a', web.folder / 'a.zip')
    reader = level(f'{web.address}/a.zip' if form == 'zip' else f'{web.address}/a')
    with pytest.raises(UnreadableChunkError, match='c/0/0/0' if form == 'shards' else 'c/0/3/4'):
        reader.read(PLANE)
    wait_until(lambda: REQUESTS.bytes_in_use == 0, what='the requests that were under way')
    # All chunks but the damaged ones can be read.
    part = slice(1, 2), slice(200, 256), slice(200, 256)
    np.testing.assert_array_equal(reader.read(part), VALUES[part])


def test_a_server_that_fails_is_asked_no_more(web: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    make(web.folder / 'a')
    reader = level(f'{web.address}/a')
    asked = []

    def fail(address: str, *_: Any) -> remote.Answer:
        asked.append(address)
        msg = f'{address} cannot be read: it is too busy.'
        raise UnreadableImageError(msg)

    monkeypatch.setattr(remote, 'ask', fail)
    with pytest.raises(UnreadableChunkError, match=r'chunk c/0/\d/\d of .* too busy'):
        reader.read(PLANE)
    assert len(asked) <= MAX_PER_SOURCE


def test_a_host_that_is_taken_off_the_list_is_not_read_from_the_cache(web: Served) -> None:
    make(web.folder / 'a')
    reader = level(f'{web.address}/a')
    reader.read(PLANE)
    addresses.allow_hosts([])
    with pytest.raises(UnreadableImageError, match='not on the list'):
        reader.read(PLANE)


def test_another_opening_of_an_address_sees_what_has_changed(web: Served) -> None:
    array = make(web.folder / 'a')
    np.testing.assert_array_equal(level(f'{web.address}/a').read(PLANE), VALUES[PLANE])
    array[...] = VALUES[::-1]
    np.testing.assert_array_equal(level(f'{web.address}/a').read(PLANE), VALUES[::-1][PLANE])
