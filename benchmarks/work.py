"""One piece of work, timed, in whichever environment runs this file: our package or large-image-source-zarr.

    python work.py MODULE NAME FOLDER

MODULE is ``girder_zarr.image`` or ``large_image_source_zarr``; both have new(), open() and the same source
class. Prints one line of JSON: seconds, megabytes of pixels (or number of operations), and peak memory in MB.
"""

import importlib
import json
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np


def tick():
    """Seconds on the wall, and of processor time over all threads."""
    return np.array([time.perf_counter(), time.process_time()])


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
    start = tick()
    with ThreadPoolExecutor(threads) as pool:
        # the results are asked for: a thread that fails has not done the work
        list(pool.map(add, [indexed[k::threads] for k in range(threads)]))
    seconds = tick() - start
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
    start = tick()
    count = 0
    for t in range(3):
        for c in range(4):
            for z in range(5):
                sink.addTile(image, x=0, y=0, t=t, c=c, z=z)
                count += 1
    return tick() - start, count * image.nbytes / 1e6


def add_small(module, _folder):
    sink = module.new()
    image = tile(1, (64, 64, 3))
    start = tick()
    count = 0
    for y in range(0, 1024, 64):
        for x in range(0, 2048, 64):
            sink.addTile(image, x=x, y=y)
            count += 1
    return tick() - start, count


def write_zip(module, folder):
    sink, _, _ = add_tiles(module, positions(TILE))
    start = tick()
    sink.write(str(folder / 'out.zip'), lossy=False)
    return tick() - start, SIDE * SIDE * 3 / 1e6


def write_zip_default(module, folder):
    sink, _, _ = add_tiles(module, positions(TILE))
    start = tick()
    sink.write(str(folder / 'out.zip'))
    return tick() - start, SIDE * SIDE * 3 / 1e6


def write_lanczos(module, folder):
    from large_image.tilesource.resample import ResampleMethod

    sink, _, _ = add_tiles(module, positions(TILE))
    start = tick()
    sink.write(str(folder / 'out.zip'), lossy=False, resample=ResampleMethod.PIL_LANCZOS)
    return tick() - start, SIDE * SIDE * 3 / 1e6


def write_frames(module, folder):
    sink = module.new()
    image = tile(1, (2048, 2048), np.uint16)
    for c in range(12):
        sink.addTile(image + np.uint16(c), x=0, y=0, c=c)
    start = tick()
    sink.write(str(folder / 'out.zip'), lossy=False)
    return tick() - start, 12 * image.nbytes / 1e6


def add_axis(module, _folder):
    sink, _, _ = add_tiles(module, positions(TILE))
    image = tile(1, (TILE, TILE, 3))
    start = tick()
    sink.addTile(image, x=0, y=0, t=1)
    return tick() - start, 1


def write_vast(module, folder):
    """60,000 x 60,000 with one tile in nine, and all of its levels."""
    sink = module.new()
    tiles = [tile(seed, (TILE, TILE, 3)) for seed in range(8)]
    places = [(x, y) for y in range(0, 60_000 - TILE, 3 * TILE) for x in range(0, 60_000 - TILE, 3 * TILE)]
    start = tick()
    for index, (x, y) in enumerate([*places, (60_000 - TILE, 60_000 - TILE)]):
        sink.addTile(tiles[index % 8], x=x, y=y)
    sink.write(str(folder / 'out.zip'), lossy=False)
    return tick() - start, (len(places) + 1) * tiles[0].nbytes / 1e6


def write_many_frames(module, folder):
    sink = module.new()
    image = tile(1, (1024, 1024), np.uint16)
    start = tick()
    for t in range(200):
        sink.addTile(image + np.uint16(t), x=0, y=0, t=t)
    sink.write(str(folder / 'out.zip'), lossy=False)
    return tick() - start, 200 * image.nbytes / 1e6


def add_squares(sink, image, first, count):
    """So many tiles of 64 x 64, all in the area of 1024 x 1024 that moves on."""
    for index in range(first, first + count):
        block, inside = divmod(index, 256)
        row, column = divmod(block, 20)
        sink.addTile(image, x=column * 1024 + inside % 16 * 64, y=row * 1024 + inside // 16 * 64)


def add_count(module, count):
    """The last thousand of so many tiles."""
    sink, image = module.new(), tile(1, (64, 64, 3))
    add_squares(sink, image, 0, count - 1000)
    start = tick()
    add_squares(sink, image, count - 1000, 1000)
    return tick() - start, 1000


def add_flat(module, count):
    """How the speed after so many tiles compares with that of the first 1,000 of a new image.

    Both in turn, so that what else the machine does falls on both: the median of the ratios.
    """
    image = tile(1, (64, 64, 3))
    large = module.new()
    add_squares(large, image, 0, count)
    ratios = []
    for turn in range(40):
        small = module.new()
        start = tick()
        add_squares(small, image, 0, 1000)
        between = tick()
        add_squares(large, image, count + 1000 * turn, 1000)
        ratios.append((tick() - between) / (between - start))
        small.close()
    return np.median(ratios, axis=0), 1


def raw_codec(_module, folder):
    """What no addTile can go below: every chunk compressed once, in one thread, and put into a file."""
    import imagecodecs

    tiles = [tile(seed, (TILE, TILE, 3)) for seed in range(8)]
    count = len(positions(TILE))
    start = tick()
    for index in range(count):
        data = tiles[index % 8].reshape(-1)
        encoded = imagecodecs.blosc_encode(
            data, level=1, compressor='zstd', shuffle=0, typesize=1, numthreads=1
        )
        (folder / str(index)).write_bytes(encoded)
    return tick() - start, count * TILE * TILE * 3 / 1e6


def write_sparse(module, folder):
    sink = module.new()
    sink.addTile(tile(1, (TILE, TILE, 3)), x=30000 - TILE, y=30000 - TILE)
    start = tick()
    sink.write(str(folder / 'out.zip'))
    return tick() - start, 1


WORKS = {
    'addTile 512 x 512 x 3, aligned, raster (MB/s)': add_aligned,
    'addTile 512 x 512 x 3, aligned, random (MB/s)': add_random,
    'addTile 512 x 512 x 3, stride 500 (MB/s)': add_overlapping,
    'addTile 512 x 512 x 3, aligned, two threads (MB/s)': add_two_threads,
    'addTile 60 frames t3 c4 z5, uint16 (MB/s)': add_frames,
    'addTile 64 x 64 x 3 (tiles/s)': add_small,
    'write 8192 x 8192 RGB .zip, lossless default resampling (MB/s)': write_zip,
    'write 8192 x 8192 RGB .zip, all defaults (MB/s)': write_zip_default,
    'write 8192 x 8192 RGB .zip, PIL_LANCZOS named (MB/s)': write_lanczos,
    'write 12 one-band uint16 frames of 2048 x 2048, .zip (MB/s)': write_frames,
    'write sparse 30,000 x 30,000, one tile (images/s)': write_sparse,
    'add an axis to a filled 8192 x 8192 (times/s)': add_axis,
}

#: What only ours is asked for: the other would take hours or all memory.
OURS_ONLY = {
    'raw codec and files, the chunks of 8192 x 8192 RGB, one thread (MB/s)': raw_codec,
    'addTile 64 x 64, the last 1,000 of 1,000 tiles (tiles/s)': lambda module, _: add_count(module, 1000),
    'addTile 64 x 64, the last 1,000 of 20,000 tiles (tiles/s)': lambda module, _: add_count(module, 20_000),
    'addTile 64 x 64, the last 1,000 of 100,000 tiles (tiles/s)': lambda module, _: add_count(
        module, 100_000
    ),
    'addTile 64 x 64, speed after 20,000 tiles / of the first 1,000': lambda module, _: add_flat(
        module, 20_000
    ),
    'addTile 64 x 64, speed after 100,000 tiles / of the first 1,000': lambda module, _: add_flat(
        module, 100_000
    ),
    'add and write 60,000 x 60,000 RGB, one tile in nine (MB/s)': write_vast,
    'add and write 200 frames of 1024 x 1024 uint16 (MB/s)': write_many_frames,
}


def main():
    module_name, name, folder = sys.argv[1:4]
    module = importlib.import_module(module_name)
    seconds, amount = (WORKS | OURS_ONLY)[name](module, Path(folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {'seconds': seconds[0], 'cpu': seconds[1], 'amount': amount, 'peak': peak}
    print(json.dumps(result), flush=True)


if __name__ == '__main__':
    main()
