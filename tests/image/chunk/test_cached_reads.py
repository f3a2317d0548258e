"""Chunks that are needed again are decoded once, and pixels are the same with the cache and without it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from girder_zarr.common.chunk_cache import CHUNKS, DEFAULT_BYTES
from girder_zarr.image.chunk.arrays import read_array
from girder_zarr.image.chunk.chunks import StoredLevel
from girder_zarr.image.chunk.codecs import ChunkDecoder
from girder_zarr.image.store.stores import open_store
from support.images import halves, opened, region, write
from support.stores import zip_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHAPE, CHUNKS_OF = (5, 70, 90), (4, 32, 16)
VALUES = np.random.default_rng(1).integers(0, 65536, SHAPE).astype('uint16')


@pytest.fixture(autouse=True)
def _own_cache() -> Iterator[None]:
    CHUNKS.clear()
    yield
    CHUNKS.bind(lambda: DEFAULT_BYTES)
    CHUNKS.clear()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each chunk that is decoded."""
    found: list[int] = []
    original = ChunkDecoder.decode

    def decode(self: ChunkDecoder, data: Any) -> np.ndarray:
        found.append(len(data))
        return original(self, data)

    monkeypatch.setattr(ChunkDecoder, 'decode', decode)
    return found


def level(path: Path) -> StoredLevel:
    store = open_store(path)
    info = read_array(store, '')
    assert info is not None
    return StoredLevel(store, info)


def make(path: Path, values: np.ndarray, chunks: tuple[int, ...], **options: Any) -> zarr.Array[Any]:
    array = zarr.create_array(path, shape=values.shape, chunks=chunks, dtype=values.dtype, **options)
    array[...] = values
    return array


def test_the_next_plane_decodes_nothing(tmp_path: Path, decoded: list[int]) -> None:
    values = np.random.default_rng(2).integers(0, 255, (64, 256, 256)).astype('uint8')
    make(tmp_path / 'a', values, (64, 64, 64))
    read = level(tmp_path / 'a').read
    for z in range(64):
        np.testing.assert_array_equal(read((slice(z, z + 1), slice(0, 256), slice(0, 256)))[0], values[z])
    assert len(decoded) == 16
    # Another opening of the same file has the same chunks.
    level(tmp_path / 'a').read((slice(3, 4), slice(0, 256), slice(0, 256)))
    assert len(decoded) == 16


def test_whole_chunks_are_not_cached(tmp_path: Path, decoded: list[int]) -> None:
    make(tmp_path / 'a', VALUES, CHUNKS_OF)
    read = level(tmp_path / 'a').read
    for _ in range(2):
        np.testing.assert_array_equal(read((slice(0, 4), slice(0, 32), slice(0, 16))), VALUES[:4, :32, :16])
        # At the edge all that lies in the array is the whole.
        np.testing.assert_array_equal(read((slice(4, 5), slice(64, 70), slice(80, 90))), VALUES[4:, 64:, 80:])
    assert len(decoded) == 4
    assert CHUNKS.size == 0


@pytest.mark.parametrize('form', ['folder', 'shards', 'zip'])
def test_what_is_written_anew_is_read_anew(tmp_path: Path, form: str) -> None:
    shards = {'shards': (4, 64, 32)} if form == 'shards' else {}
    array = make(tmp_path / 'a', VALUES, CHUNKS_OF, **shards)
    path = zip_folder(tmp_path / 'a', tmp_path / 'a.zip') if form == 'zip' else tmp_path / 'a'
    reader = level(path)
    part = slice(1, 2), slice(3, 40), slice(5, 60)
    np.testing.assert_array_equal(reader.read(part), VALUES[part])
    array[...] = VALUES[::-1]
    if form == 'zip':
        zip_folder(tmp_path / 'a', tmp_path / 'b.zip')
        (tmp_path / 'b.zip').replace(path)
    np.testing.assert_array_equal(level(path).read(part), VALUES[::-1][part])
    if form != 'zip':
        # ... also by a reader that was open already; shards keep their index.
        again = level(path) if form == 'shards' else reader
        np.testing.assert_array_equal(again.read(part), VALUES[::-1][part])


def test_what_is_read_may_be_changed(tmp_path: Path) -> None:
    make(tmp_path / 'a', VALUES, CHUNKS_OF)
    read = level(tmp_path / 'a').read
    for part in (
        (slice(1, 2), slice(3, 9), slice(5, 7)),  # of one chunk
        (slice(0, 3), slice(0, 32), slice(0, 16)),  # most of one
        (slice(1, 3), slice(3, 69), slice(5, 70)),
    ):
        found = read(part)
        found[...] = 0
        np.testing.assert_array_equal(read(part), VALUES[part])


def test_memory_that_is_used_again_is_not_that_of_cached_chunks(tmp_path: Path) -> None:
    values = np.random.default_rng(5).integers(0, 255, (2, 512, 2048)).astype('uint8')
    make(tmp_path / 'a', values, (2, 256, 256))  # 128 KiB: within the pool of memory
    read = level(tmp_path / 'a').read
    for _ in range(3):
        for x in range(0, 2048, 256):
            part = slice(1, 2), slice(0, 300), slice(x, x + 256)
            np.testing.assert_array_equal(read(part), values[part])
            whole = slice(0, 2), slice(0, 256), slice(x, x + 256)  # decoded anew each time
            np.testing.assert_array_equal(read(whole), values[whole])


def parts(draw: Any) -> tuple[slice, ...]:
    found = []
    for side in SHAPE:
        start = draw(st.integers(0, side - 1))
        found.append(slice(start, draw(st.integers(start + 1, side))))
    return tuple(found)


regions = st.lists(st.composite(parts)(), min_size=1, max_size=12)


@pytest.fixture(scope='module')
def forms(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp('forms')
    make(folder / 'plain', VALUES, CHUNKS_OF)
    make(folder / 'raw', VALUES, CHUNKS_OF, compressors=None)
    make(folder / 'v2', VALUES, CHUNKS_OF, zarr_format=2, order='F')
    make(folder / 'shards', VALUES, CHUNKS_OF, shards=(4, 64, 32))
    sparse = zarr.create_array(folder / 'sparse', shape=SHAPE, chunks=CHUNKS_OF, dtype='uint16', fill_value=7)
    sparse[1:3, 20:50, 20:50] = VALUES[1:3, 20:50, 20:50]
    zip_folder(folder / 'plain', folder / 'plain.zip')
    return [folder / name for name in ('plain', 'raw', 'v2', 'shards', 'sparse', 'plain.zip')]


@settings(deadline=None, max_examples=25)
@given(shares=st.lists(regions, min_size=2, max_size=4), limit=st.sampled_from([0, 20_000, 100_000, 2**28]))
def test_pixels_are_the_same_with_the_cache_and_without(
    forms: list[Path], shares: list[list[tuple[slice, ...]]], limit: int
) -> None:
    """Under threads, with a cache of any size, in every form of storage, beside zarr itself."""
    CHUNKS.bind(lambda: limit)
    CHUNKS.clear()
    for path in forms:
        store: Any = zarr.storage.ZipStore(path, mode='r') if path.suffix else path
        expected = zarr.open_array(store, mode='r')[...]
        if path.suffix:
            store.close()
        reader = level(path)
        wrong: list[Any] = []

        def work(
            share: list[tuple[slice, ...]],
            reader: StoredLevel = reader,
            expected: Any = expected,
            wrong: list[Any] = wrong,
        ) -> None:
            wrong.extend(part for part in share if not np.array_equal(reader.read(part), expected[part]))

        threads = [threading.Thread(target=work, args=(share,)) for share in shares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == [], path.name


def test_tiles_thumbnails_and_regions_gain(tmp_path: Path, picture: np.ndarray, decoded: list[int]) -> None:
    pixels = np.ascontiguousarray(np.moveaxis(picture, -1, 0))[:, :, :, np.newaxis].transpose(3, 0, 1, 2)
    stack = np.repeat(pixels, 8, axis=0)
    folder = write(tmp_path / 'a.zarr', halves(stack, 1, 2, 3), 'zcyx', chunks=(8, 1, 160, 160))
    source = opened(folder)
    first = region(source, frame=0)
    count = len(decoded)
    assert count == 3 * 4 * 3
    for frame in range(1, 8):
        np.testing.assert_array_equal(region(source, frame=frame), first)
    assert len(decoded) == count
