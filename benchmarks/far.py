"""Stacks of planes on this machine, and images far away: ours, tensorstore and a bare client in turn.

    python far.py [--rounds 3] [--seconds 0.05] [--output docs/benchmarks.md] [--only TEXT]

Needs the extras ``bench`` and ``remote``. Each piece of work runs in a fresh process; medians. Far is a
server on this machine that waits 50 ms before each answer (latency_server.py). The bare client is the limit:
the same requests over 32 open connections, nothing decoded.
"""

import argparse
import datetime as dt
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np

HERE = Path(__file__).parent
BEGIN, END = '<!-- far: begin -->', '<!-- far: end -->'
STACK_SIDE, STACK_CHUNK, TILE = 1024, 64, 512
#: The image without a pyramid: 19 x 19 chunks.
FLAT_SIDE, FLAT_CHUNK = 4864, 256
CACHE_BYTES = 256 * 2**20
#: Planes, rows and columns of tiles of the image that is looked at; a screen shows all three rows and four
#: columns, and is looked at for so many seconds.
LOOKED_AT, LOOKED_TILE, COLUMNS, LOOK = (10, 3, 12), 256, 4, 0.3


def make(folder):
    """The inputs: a stack in chunks of 64 x 64 x 64, the same in shards and in a zip, and a flat image."""
    import zarr

    random = np.random.default_rng(0)
    pixels = random.integers(1000, 1256, (STACK_CHUNK, STACK_SIDE, STACK_SIDE), np.uint16)
    for name, shards in (('stack', None), ('shards', (STACK_CHUNK, TILE, TILE))):
        array = zarr.create_array(
            folder / name,
            shape=pixels.shape,
            chunks=(STACK_CHUNK,) * 3,
            shards=shards,
            dtype=pixels.dtype,
            compressors=zarr.codecs.ZstdCodec(level=1),
        )
        array[...] = pixels
    with zipfile.ZipFile(folder / 'stack.zip', 'w', zipfile.ZIP_STORED) as packed:
        for path in sorted((folder / 'stack').rglob('*')):
            if path.is_file():
                packed.write(path, path.relative_to(folder / 'stack'))
    group = zarr.create_group(folder / 'flat', attributes={'ome': metadata()})
    flat = group.create_array(
        '0', shape=(FLAT_SIDE, FLAT_SIDE), chunks=(FLAT_CHUNK,) * 2, dtype='uint8', dimension_names=['y', 'x']
    )
    flat[...] = random.integers(0, 16, flat.shape, np.uint8) + 100
    group = zarr.create_group(folder / 'looked_at', attributes={'ome': metadata('zyx')})
    shape = LOOKED_AT[0], LOOKED_AT[1] * LOOKED_TILE, LOOKED_AT[2] * LOOKED_TILE
    planes = group.create_array('0', shape=shape, chunks=(1, LOOKED_TILE, LOOKED_TILE), dtype='uint8')
    planes[...] = random.integers(0, 16, shape, np.uint8) + 100


def metadata(names='yx'):
    transform = {'type': 'scale', 'scale': [1.0] * len(names)}
    axes = [{'name': name, 'type': 'space'} for name in names]
    levels = [{'path': '0', 'coordinateTransformations': [transform]}]
    return {'version': '0.5', 'multiscales': [{'axes': axes, 'datasets': levels}]}


def plane(z):
    return slice(z, z + 1), slice(0, TILE), slice(0, TILE)


def level_of(store):
    from girder_zarr.image.chunk.arrays import read_array
    from girder_zarr.image.chunk.chunks import StoredLevel

    return StoredLevel(store, read_array(store, ''))


def ours(location):
    from girder_zarr.image.store import addresses
    from girder_zarr.image.store.stores import open_store

    addresses.allow_hosts(['127.0.0.1', '127.0.0.0/8'])
    return level_of(open_store(location)).read


def ours_in_s3(location):
    """An S3 assetstore, which is read through its own client (no Girder behind it here)."""
    import botocore
    from botocore.config import Config

    from girder_zarr.server.storage.s3_store import S3Bucket, S3Hierarchy

    service, _, prefix = location.rpartition('/')
    params = {
        'endpoint_url': service,
        'config': Config(
            signature_version=botocore.UNSIGNED, region_name='us-east-1', s3={'addressing_style': 'path'}
        ),
    }
    adapter = SimpleNamespace(assetstore={'bucket': prefix}, connectParams=params)
    return level_of(S3Hierarchy(S3Bucket(adapter), '', location)).read


def with_tensorstore(location):
    import tensorstore

    head, _, rest = location.partition('.zip')
    base = {'driver': 'file', 'path': f'{head}.zip' if rest or location.endswith('.zip') else f'{head}/'}
    if '://' in location:
        base = {'driver': 'http', 'base_url': location if location.endswith('.zip') else f'{location}/'}
    if location.endswith('.zip'):
        base = {'driver': 'zip', 'base': base}
    context = {'cache_pool': {'total_bytes_limit': CACHE_BYTES}}
    array = tensorstore.open({'driver': 'zarr3', 'kvstore': base, 'context': context}, open=True).result()
    return lambda region: array[region].read().result()


def first_plane(reader, location):
    read = reader(location)
    started = time.perf_counter()
    pixels = read(plane(0))
    seconds = time.perf_counter() - started
    assert np.asarray(pixels).shape == (1, TILE, TILE)
    return seconds


def next_planes(reader, location):
    read = reader(location)
    read(plane(0))
    taken = []
    for z in range(1, 33):
        started = time.perf_counter()
        read(plane(z))
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def looking(step, *, ahead):
    """Seconds until a screen is there after a step along z or to the right, six tiles at a time."""

    def run(location):
        import girder_zarr.image as gz
        from girder_zarr.common.read_ahead import AHEAD
        from girder_zarr.image.store import addresses

        addresses.allow_hosts(['127.0.0.1', '127.0.0.0/8'])
        if not ahead:
            AHEAD.bind(lambda: 0)
        source = gz.open(location, noCache=True)
        taken = []
        with ThreadPoolExecutor(6) as browser:
            for number in range(8):
                z, left = (number, 0) if step == 'z' else (0, number)
                tiles = [
                    (left + x, y, source.levels - 1) for y in range(LOOKED_AT[1]) for x in range(COLUMNS)
                ]
                started = time.perf_counter()
                found = list(browser.map(lambda tile, z=z: source.getTile(*tile, frame=z), tiles))
                taken.append(time.perf_counter() - started)
                assert all(found)
                time.sleep(LOOK)
        # The first is the same in any case, and the second says where somebody goes.
        return statistics.median(taken[2:])

    return run


def thumbnail(location):
    """All of it, opening included."""
    import girder_zarr.image as gz
    from girder_zarr.image.store import addresses

    addresses.allow_hosts(['127.0.0.1', '127.0.0.0/8'])
    started = time.perf_counter()
    source = gz.open(location, noCache=True)
    assert source.getThumbnail(width=256, height=256)[0]
    return time.perf_counter() - started


def all_pixels(location):
    """What tensorstore has of the same: the pixels without a thumbnail."""
    started = time.perf_counter()
    read = with_tensorstore(f'{location}/0')
    read((slice(0, FLAT_SIDE), slice(0, FLAT_SIDE)))
    return time.perf_counter() - started


def bare(names):
    """The same requests over 32 open connections."""

    def run(location):
        host, _, path = location.removeprefix('http://').partition('/')
        waiting = [f'/{path}/{name}' for name in names]

        def work():
            connection = http.client.HTTPConnection(host)
            while waiting:
                try:
                    name = waiting.pop()
                except IndexError:
                    break
                connection.request('GET', name)
                answer = connection.getresponse()
                assert answer.status == 200, name
                answer.read()

        threads = [threading.Thread(target=work) for _ in range(32)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - started

    return run


STACK_KEYS = [f'c/0/{y}/{x}' for y in range(TILE // STACK_CHUNK) for x in range(TILE // STACK_CHUNK)]
SIDE = FLAT_SIDE // FLAT_CHUNK
FLAT_KEYS = [f'0/c/{y}/{x}' for y in range(SIDE) for x in range(SIDE)]


def planes(first, reader):
    return lambda location: (first_plane if first else next_planes)(reader, location)


#: Row: input, whether it is far, and the ways: ours, tensorstore, bare.
ROWS = {
    'first plane, 64 chunks of 64 x 64 x 64': ('stack', False, planes(True, ours),
                                               planes(True, with_tensorstore), None),
    'each next plane': ('stack', False, planes(False, ours), planes(False, with_tensorstore), None),
    'far: 64 chunks, http': ('stack', True, planes(True, ours), planes(True, with_tensorstore),
                             bare(STACK_KEYS)),
    'far: each next plane': ('stack', True, planes(False, ours), planes(False, with_tensorstore), None),
    'far: 64 chunks of one shard': ('shards', True, planes(True, ours), planes(True, with_tensorstore), None),
    'far: 64 chunks in a zip': ('stack.zip', True, planes(True, ours), planes(True, with_tensorstore), None),
    'far: 64 chunks, S3 assetstore': ('stack', True, planes(True, ours_in_s3), None, None),
    'far: first thumbnail, 361 chunks, no pyramid': ('flat', True, thumbnail, all_pixels, bare(FLAT_KEYS)),
    'far: screen of 12 tiles, next z every 0.3 s': ('looked_at', True, looking('z', ahead=True), None, None),
    'the same, not read ahead': ('looked_at', True, looking('z', ahead=False), None, None),
    'far: screen of 12 tiles, a column further every 0.3 s': ('looked_at', True, looking('x', ahead=True),
                                                              None, None),
    'a column further, not read ahead': ('looked_at', True, looking('x', ahead=False), None, None),
}  # fmt: skip
WAYS = ('girder_zarr', 'tensorstore', 'bare client')


def once(row, way, location):
    seconds = ROWS[row][2 + way](location)
    status = Path('/proc/self/status').read_text(encoding='ascii')
    peak = next(line for line in status.splitlines() if line.startswith('VmHWM'))
    print(json.dumps({'seconds': seconds, 'peak': int(peak.split()[1]) / 1024}))


def measure(row, way, location):
    done = subprocess.run(
        [sys.executable, __file__, '--once', row, str(way), location],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, 'PYTHONWARNINGS': 'ignore'},
    )
    if done.returncode:
        print(f'{row}: {WAYS[way]}: {done.stderr.strip().splitlines()[-1]}', file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def cells(found):
    if not found:
        return ' |'
    seconds, peak = (statistics.median(one[name] for one in found) for name in ('seconds', 'peak'))
    taken = f'{seconds * 1e3:,.0f}' if seconds >= 1 else f'{seconds * 1e3:.3g}'
    return f'{taken} | {peak:.0f}'


def table(arguments, folder, address):
    setting = f'{os.cpu_count()} cores, Python {sys.version.split()[0]}, load {os.getloadavg()[0]:.1f}'
    lines = [
        f'{dt.datetime.now(dt.UTC).date()}, {setting} at the start;',
        f'far is {arguments.seconds * 1e3:g} ms a request; medians of {arguments.rounds} rounds.',
        '',
        '| work | girder_zarr, ms | MB | tensorstore, ms | MB | bare client, ms | MB |',
        '|---|---|---|---|---|---|---|',
    ]
    for row, (name, is_far, *ways) in ROWS.items():
        if arguments.only not in row:
            continue
        results = {way: [] for way in range(3)}
        for _ in range(arguments.rounds):
            for way, work in enumerate(ways):
                if work is not None:
                    found = measure(row, way, f'{address}/{name}' if is_far else str(folder / name))
                    results[way] += [] if found is None else [found]
        lines.append(f'| {row} | {" | ".join(cells(results[way]) for way in range(3))} |')
        print(lines[-1], flush=True)
    return '\n'.join(lines)


def main():
    if sys.argv[1:2] == ['--once']:
        once(sys.argv[2], int(sys.argv[3]), sys.argv[4])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seconds', type=float, default=0.05)
    parser.add_argument('--output', type=Path)
    parser.add_argument('--only', default='', help='rows that contain this text')
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix='bench-girder-zarr-') as name:
        folder = Path(name)
        make(folder)
        server = [sys.executable, str(HERE / 'latency_server.py'), name, '--seconds', str(arguments.seconds)]
        with subprocess.Popen(server, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            found = table(arguments, folder, f'http://127.0.0.1:{int(process.stdout.readline())}')
            process.stdin.close()
    if arguments.output:
        text = arguments.output.read_text(encoding='utf-8')
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        arguments.output.write_text(f'{before}{BEGIN}\n{found}\n{END}{after}', encoding='utf-8')


if __name__ == '__main__':
    main()
