"""One piece of work, timed, in whichever environment runs this file: our package or large-image-source-zarr.

    python work.py MODULE NAME FOLDER

MODULE is ``girder_zarr.image`` or ``large_image_source_zarr``; both have new(), open() and the same source
class. Prints one line of JSON: seconds, megabytes of pixels (or number of operations), and peak memory in MB.
"""

import importlib
import json
import resource
import sys
import threading
import time
from pathlib import Path

import numpy as np

TILE = 512
SIDE = 8192


def tile(seed, shape, dtype=np.uint8):
    """Noise with some structure: neither the codec's best case nor its worst."""
    random = np.random.default_rng(seed)
    base = random.integers(0, 64, shape, dtype=np.uint16)
    ramp = np.linspace(0, 150, shape[1], dtype=np.uint16).reshape((1, -1) + (1,) * (len(shape) - 2))
    return (base + ramp).astype(dtype)


def positions(step, side=SIDE):
    last = side - TILE
    values = [*range(0, last, step), last]
    return [(x, y) for y in values for x in values]


def add_tiles(module, places, threads=1):
    tiles = [tile(seed, (TILE, TILE, 3)) for seed in range(8)]
    sink = module.new()

    def add(share):
        for index, (x, y) in share:
            sink.addTile(tiles[index % len(tiles)], x=x, y=y)

    indexed = list(enumerate(places))
    start = time.perf_counter()
    workers = [threading.Thread(target=add, args=(indexed[k::threads],)) for k in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - start
    return sink, seconds, len(places) * TILE * TILE * 3 / 1e6


def add_aligned(module, _folder):
    return add_tiles(module, positions(TILE))[1:]


def add_random(module, _folder):
    places = positions(TILE)
    np.random.default_rng(0).shuffle(places)
    return add_tiles(module, places)[1:]


def add_overlapping(module, _folder):
    return add_tiles(module, positions(TILE - 12, SIDE // 2))[1:]


def add_two_threads(module, _folder):
    return add_tiles(module, positions(TILE), threads=2)[1:]


def add_frames(module, _folder):
    sink = module.new()
    image = tile(1, (1024, 1024), np.uint16)
    start = time.perf_counter()
    count = 0
    for t in range(3):
        for c in range(4):
            for z in range(5):
                sink.addTile(image, x=0, y=0, t=t, c=c, z=z)
                count += 1
    return time.perf_counter() - start, count * image.nbytes / 1e6


def add_small(module, _folder):
    sink = module.new()
    image = tile(1, (64, 64, 3))
    start = time.perf_counter()
    count = 0
    for y in range(0, 1024, 64):
        for x in range(0, 2048, 64):
            sink.addTile(image, x=x, y=y)
            count += 1
    return time.perf_counter() - start, count


def write_zip(module, folder):
    sink, _, _ = add_tiles(module, positions(TILE))
    start = time.perf_counter()
    sink.write(str(folder / 'out.zip'), lossy=False)
    return time.perf_counter() - start, SIDE * SIDE * 3 / 1e6


def write_zip_default(module, folder):
    sink, _, _ = add_tiles(module, positions(TILE))
    start = time.perf_counter()
    sink.write(str(folder / 'out.zip'))
    return time.perf_counter() - start, SIDE * SIDE * 3 / 1e6


def write_sparse(module, folder):
    sink = module.new()
    sink.addTile(tile(1, (TILE, TILE, 3)), x=30000 - TILE, y=30000 - TILE)
    start = time.perf_counter()
    sink.write(str(folder / 'out.zip'))
    return time.perf_counter() - start, 1


def reading(module, folder):
    return module.open(str(folder / 'input.zarr' / '.zattrs'), noCache=True)


def open_image(module, folder):
    start = time.perf_counter()
    for _ in range(20):
        reading(module, folder)
    return time.perf_counter() - start, 20


def get_tiles(module, folder, threads=1, **kwargs):
    source = reading(module, folder)
    source.cache = None  # each tile is read and decoded, none comes from large_image's cache
    level = source.levels - 1
    across, down = -(-source.sizeX // source.tileWidth), -(-source.sizeY // source.tileHeight)
    places = [(x, y) for y in range(down) for x in range(across)]
    source.getTile(0, 0, level, **kwargs)

    def get(share):
        for x, y in share:
            source.getTile(x, y, level, **kwargs)

    start = time.perf_counter()
    workers = [threading.Thread(target=get, args=(places[k::threads],)) for k in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - start, len(places)


def tiles_numpy(module, folder):
    return get_tiles(module, folder, numpyAllowed='always')


def tiles_numpy_two_threads(module, folder):
    return get_tiles(module, folder, threads=2, numpyAllowed='always')


def tiles_jpeg(module, folder):
    return get_tiles(module, folder)


def tiles_jpeg_two_threads(module, folder):
    return get_tiles(module, folder, threads=2)


def thumbnail(module, folder):
    source = reading(module, folder)
    start = time.perf_counter()
    source.getThumbnail(width=512, height=512)
    return time.perf_counter() - start, 1


WORKS = {
    'addTile 512 x 512 x 3, aligned, raster (MB/s)': add_aligned,
    'addTile 512 x 512 x 3, aligned, random (MB/s)': add_random,
    'addTile 512 x 512 x 3, stride 500 (MB/s)': add_overlapping,
    'addTile 512 x 512 x 3, aligned, two threads (MB/s)': add_two_threads,
    'addTile 60 frames t3 c4 z5, uint16 (MB/s)': add_frames,
    'addTile 64 x 64 x 3 (tiles/s)': add_small,
    'write 8192 x 8192 RGB .zip, lossless default resampling (MB/s)': write_zip,
    'write 8192 x 8192 RGB .zip, all defaults (MB/s)': write_zip_default,
    'write sparse 30,000 x 30,000, one tile (images/s)': write_sparse,
    'open (images/s)': open_image,
    'getTile numpy, 512 x 512 x 3 (tiles/s)': tiles_numpy,
    'getTile numpy, two threads (tiles/s)': tiles_numpy_two_threads,
    'getTile JPEG, 512 x 512 x 3 (tiles/s)': tiles_jpeg,
    'getTile JPEG, two threads (tiles/s)': tiles_jpeg_two_threads,
    'thumbnail 512 (images/s)': thumbnail,
}


def main():
    module_name, name, folder = sys.argv[1:4]
    module = importlib.import_module(module_name)
    seconds, amount = WORKS[name](module, Path(folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({'seconds': seconds, 'amount': amount, 'peak': peak}), flush=True)


if __name__ == '__main__':
    main()
