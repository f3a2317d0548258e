"""Ways to a chunk: girder_zarr, tensorstore, zarr, zarr with zarrs, and by hand. Needs the extra ``bench``.

    python ways.py [--rounds 15]

Prints a table: milliseconds of the clock for a chunk and for opening an array, medians over rounds in which
each way has its turn; tensorstore and zarrs decode in threads of their own, so processor time is beside it.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import imagecodecs
import numpy as np
import tensorstore
import zarr

from girder_zarr.image.chunk.arrays import read_array
from girder_zarr.image.chunk.chunks import StoredLevel
from girder_zarr.image.store.stores import open_store

SIDE, GRID = 512, 6
PLACES = [(y, x) for y in range(GRID) for x in range(GRID)]


def make(path):
    array = zarr.create_array(
        path,
        shape=(SIDE * GRID, SIDE * GRID, 3),
        chunks=(SIDE, SIDE, 3),
        dtype='uint8',
        compressors=zarr.codecs.ZstdCodec(level=1),
    )
    noise = np.random.default_rng(0).integers(0, 16, array.shape, np.uint8)
    array[...] = noise + np.linspace(0, 200, array.shape[1]).astype(np.uint8)[:, np.newaxis]


def ours(path):
    store = open_store(path)
    level = StoredLevel(store, read_array(store, ''))
    return lambda y, x: level.read((part(y), part(x), slice(0, 3)))


def by_hand(path):
    def read(y, x):
        out = np.empty(SIDE * SIDE * 3, np.uint8)
        imagecodecs.zstd_decode((path / 'c' / str(y) / str(x) / '0').read_bytes(), out=out)
        return out.reshape(SIDE, SIDE, 3)

    return read


def with_tensorstore(path):
    array = tensorstore.open(
        {'driver': 'zarr3', 'kvstore': {'driver': 'file', 'path': str(path)}}, open=True
    ).result()
    return lambda y, x: array[part(y), part(x)].read().result()


def with_zarr(path, pipeline):
    def chosen():
        return zarr.config.set({'codec_pipeline.path': pipeline})

    with chosen():
        array = zarr.open_array(path, mode='r')

    def read(y, x):
        with chosen():
            return array[part(y), part(x)]

    return read


def part(number):
    return slice(number * SIDE, (number + 1) * SIDE)


WAYS = {
    'by hand (imagecodecs)': by_hand,
    'girder_zarr': ours,
    'tensorstore': with_tensorstore,
    'zarr': lambda path: with_zarr(path, 'zarr.core.codec_pipeline.BatchedCodecPipeline'),
    'zarr with zarrs': lambda path: with_zarr(path, 'zarrs.ZarrsCodecPipeline'),
}


def timed(function, count):
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return (time.perf_counter() - wall) / count * 1e3, (time.process_time() - cpu) / count * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix='bench-girder-zarr-') as name:
        path = Path(name) / 'a.zarr'
        make(path)
        readers = {way: start(path) for way, start in WAYS.items()}
        expected = readers['by hand (imagecodecs)'](1, 2)
        assert all((np.asarray(reader(1, 2)) == expected).all() for reader in readers.values())
        chunks, opens = {way: [] for way in WAYS}, {way: [] for way in WAYS}
        for _ in range(rounds):
            for way, start in WAYS.items():
                chunks[way].append(timed(lambda r=readers[way]: [r(y, x) for y, x in PLACES], len(PLACES)))
                opens[way].append(timed(lambda s=start: s(path), 1))
    print('| way | ms a chunk, clock | ms a chunk, processor | ms to open, clock |\n|---|---|---|---|')
    for way in WAYS:
        wall, cpu = (statistics.median(one[k] for one in chunks[way]) for k in (0, 1))
        opening = statistics.median(one[0] for one in opens[way])
        print(f'| {way} | {wall:.2f} | {cpu:.2f} | {opening:.2f} |')


if __name__ == '__main__':
    main()
