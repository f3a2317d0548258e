"""Chunks that take much memory: one at a time, decoded once a tile, never over the bound."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr
from large_image.exceptions import TileSourceError
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, ZstdCodec

import girder_zarr.image as gz
from girder_zarr.errors import UnreadableChunkError
from girder_zarr.image import limits
from girder_zarr.image.chunk import chunks, codecs
from girder_zarr.image.chunk.arrays import read_array
from girder_zarr.image.chunk.chunks import StoredLevel
from girder_zarr.image.chunk.codecs import ChunkDecoder
from girder_zarr.image.store import keystore
from girder_zarr.image.store.stores import open_store
from support.images import opened, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Prints the peak of a process's memory above what it had before the tile, in MiB.
MEASURE = """
import sys
import girder_zarr.image as gz

def now(name):
    with open('/proc/self/status') as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name)) / 1024

source = gz.open(sys.argv[1], noCache=True)
before = now('VmRSS')
source.getTile(0, 0, int(sys.argv[2]) % source.levels, numpyAllowed='always')
print(before, now('VmHWM'))
"""


@pytest.fixture
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat chunks as large that are not."""
    monkeypatch.setattr(chunks, 'LARGE_BYTES', 1000)
    monkeypatch.setattr(codecs, 'THREAD_MEMORY_BYTES', 1000)
    monkeypatch.setattr(keystore, 'THREAD_MEMORY_BYTES', 1000)


@pytest.fixture
def bounds() -> Iterator[None]:
    yield
    own = limits.Limits()
    limits.follow(lambda: own)


@pytest.mark.skipif(sys.platform != 'linux', reason='the peak of memory is read from /proc')
@pytest.mark.parametrize('level', [0, -1])
def test_a_tile_of_chunks_at_the_limit_takes_bounded_memory(tmp_path: Path, level: int) -> None:
    """Noise, so that what is stored takes as much as the pixels; both chunks are needed at low resolution."""
    side = 9200
    noise = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    folder = write(tmp_path / 'a.zarr', [np.concatenate([noise, noise[:4096]])], 'yx', chunks=(side, side))
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', MEASURE, str(folder), str(level)],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    before, peak = map(float, done.stdout.split())
    # Libraries take some 90 MiB; all together has to stay under 300 MB.
    assert (peak - before) * 2**20 < 205e6


@pytest.mark.usefixtures('small_is_large')
@pytest.mark.parametrize(
    'chain',
    [
        {'compressors': None},
        {'compressors': None, 'dtype': '>u2', 'zarr_format': 2},
        {'compressors': None, 'dtype': 'bool'},
        {'compressors': [Crc32cCodec()]},
        {'compressors': [BloscCodec()], 'serializer': BytesCodec(endian='big')},
        {'compressors': [GzipCodec(), ZstdCodec()]},
        {'compressors': None, 'shards': (256, 256)},
        {'compressors': None, 'shards': (256, 256), 'serializer': BytesCodec(endian='big')},
    ],
    ids=str,
)
def test_large_chunks_give_the_same_pixels(tmp_path: Path, chain: dict[str, object]) -> None:
    options = {'dtype': 'uint16', **chain}
    version = options.pop('zarr_format', 3)
    pixels = np.random.default_rng(0).integers(0, 2, (300, 500)).astype(str(options['dtype']))
    group = zarr.create_group(tmp_path / 'a.zarr', zarr_format=version)  # type: ignore[arg-type]
    array = group.create_array('0', shape=pixels.shape, chunks=(128, 128), **options)  # type: ignore[arg-type]
    array[...] = pixels
    store = open_store(tmp_path / 'a.zarr')
    info = read_array(store, '0')
    assert info is not None
    level = StoredLevel(store, info)
    assert level.is_large
    for region in ((0, 300, 0, 500), (0, 128, 128, 256), (5, 9, 100, 140), (130, 131, 131, 132)):
        found = level.read((slice(*region[:2]), slice(*region[2:])))
        np.testing.assert_array_equal(found, pixels[region[0] : region[1], region[2] : region[3]])
        assert found.dtype == pixels.dtype.newbyteorder('=')
    first = level.read((slice(0, 128), slice(0, 128)))
    kept = first.copy()
    for _ in range(3):
        level.read((slice(128, 256), slice(0, 128)))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.usefixtures('small_is_large')
def test_a_large_chunk_is_decoded_once_for_a_tile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although it is read in many small blocks; no two are ever decoded at once, whichever thread asks."""
    pixels = np.random.default_rng(0).integers(0, 65535, (4096, 2048)).astype('uint16')
    folder = write(tmp_path / 'a.zarr', [pixels], 'yx', chunks=(2048, 2048))
    monkeypatch.setattr('girder_zarr.image.render.picture.SMALL_BLOCK_BYTES', 2**18)
    source, decoding, most, count = opened(folder), [0], [0], [0]
    decode = ChunkDecoder.decode

    def counted(self: ChunkDecoder, data: object) -> np.ndarray:
        decoding[0] += 1
        most[0] = max(most[0], decoding[0])
        count[0] += 1
        try:
            return decode(self, data)
        finally:
            decoding[0] -= 1

    monkeypatch.setattr(ChunkDecoder, 'decode', counted)
    tile = source.getTile(0, 0, 0, numpyAllowed='always')[..., 0]
    assert count == [2]
    step = 2 ** (source.levels - 1)
    means = pixels.reshape(4096 // step, step, 2048 // step, step).mean((1, 3))
    np.testing.assert_allclose(tile[: 4096 // step, : 2048 // step], means, atol=1)

    threads = [
        threading.Thread(target=source.getTile, args=(x, y, source.levels - 1), kwargs={'numpyAllowed': True})
        for x in range(2)
        for y in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    level = source._series[0].levels[0]
    assert isinstance(level, StoredLevel)
    assert level._last_large is None


@pytest.mark.usefixtures('small_is_large', 'bounds')
def test_stored_and_decoded_together_are_bounded(tmp_path: Path) -> None:
    """A chunk that compresses well may be larger than one that does not."""
    side, most = 512, 512 * 512
    own = limits.Limits(chunk_bytes=most)
    limits.follow(lambda: own)
    for number, high in enumerate((2, 256)):
        pixels = np.random.default_rng(0).integers(0, high, (side, side), np.uint8)
        folder = write(tmp_path / f'{number}.zarr', [pixels], 'yx', chunks=(side, side))
        level = opened(folder)._series[0].levels[0]
        whole = slice(0, side), slice(0, side)
        if high == 2:
            np.testing.assert_array_equal(level.read(whole), pixels)
        else:
            with pytest.raises(UnreadableChunkError, match=r'0/0 .* at most 98304 were expected'):
                level.read(whole)


def test_a_tile_from_very_many_chunks_is_refused(tmp_path: Path) -> None:
    """It would take hours; tiles at the resolutions that are stored are given all the same."""
    group = zarr.create_group(tmp_path / 'a.zarr')
    group.create_array('0', shape=(90, 2**31), chunks=(32, 32), dtype='uint16')
    group.attrs['ome'] = {
        'version': '0.5',
        'multiscales': [
            {
                'axes': [{'name': name, 'type': 'space'} for name in 'yx'],
                'datasets': [
                    {'path': '0', 'coordinateTransformations': [{'type': 'scale', 'scale': [1, 1]}]}
                ],
            }
        ],
    }
    source = gz.open(str(tmp_path / 'a.zarr'), noCache=True)
    with pytest.raises(TileSourceError, match='It needs levels of lower resolution'):
        source.getTile(0, 0, 0, numpyAllowed='always')
    tile = source.getTile(1000, 0, source.levels - 1, numpyAllowed='always')
    assert not tile.any()
