"""Chunks of one image over ``/zarr``, beside a bare ASGI application that reads the same bytes.

    python benchmarks/share.py [--kind zip|directory|database] [--chunks 2000] [--seconds 5] [--rounds 5]
        [--connections 16] [--readers 200]

The image has chunks of 64 KB and lies in the embedded stack as a zip, an imported directory or a database.
The bare application runs in the same web server with the same options and does nothing but read the same
ranges of the zip. Clients and servers share the processors with whatever else runs, so that the processor
time that a request costs the server says more than the rates. Printed are requests a second of both in turns,
that time, how long the first chunk took after the start, and the memory of the server while slow readers take
a value of 10 GB.
"""

import argparse
import asyncio
import contextlib
import io
import json
import os
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import zarr

from preview import Stack

CHUNK = 64 * 2**10
HUGE = 10 * 2**30
DATASET = {'path': '0', 'coordinateTransformations': [{'type': 'scale', 'scale': [1.0, 1.0]}]}
AXES = [{'name': name, 'type': 'space'} for name in 'yx']
ATTRIBUTES = {'ome': {'version': '0.5', 'multiscales': [{'axes': AXES, 'datasets': [DATASET]}]}}


def make_image(path, count):
    """Write a zip with ``count`` chunks of noise and return where each lies: {key: offset}."""
    side = 256
    pixels = np.random.default_rng(0).integers(0, 255, (side, side * count), np.uint8)
    with zarr.storage.ZipStore(path, mode='w') as store:
        group = zarr.create_group(store, attributes=ATTRIBUTES)
        group.create_array('0', data=pixels, chunks=(side, side), compressors=None)
    with zipfile.ZipFile(path) as archive:
        found = {}
        for info in archive.infolist():
            archive.fp.seek(info.header_offset + 26)
            lengths = archive.fp.read(4)
            start = (
                info.header_offset + 30 + sum(int.from_bytes(lengths[i : i + 2], 'little') for i in (0, 2))
            )
            if '/c/' in info.filename:
                assert info.file_size == CHUNK
                found[info.filename] = start
        return found


def stored_as(kind, path):
    """Return the file that is uploaded, of the same keys as the zip at ``path``, or the folder to import."""
    if kind == 'zip':
        return path
    folder = path.parent / 'imported' / 'image.zarr'
    with zipfile.ZipFile(path) as archive:
        if kind == 'directory':
            archive.extractall(folder)
            return folder
        made = path.with_suffix('.db')
        with contextlib.closing(sqlite3.connect(made)) as database:
            database.execute('CREATE TABLE zarr (k TEXT PRIMARY KEY, v BLOB)')
            rows = ((name, archive.read(name)) for name in archive.namelist())
            database.executemany('INSERT INTO zarr VALUES (?, ?)', rows)
            database.commit()
    return made


def serve_bare(path, offsets):
    """Answer ``/<key>`` with a range of a file; report the port on stdout."""
    import uvicorn

    descriptor = os.open(path, os.O_RDONLY)

    async def app(scope, _receive, send):
        if scope['type'] == 'http':
            data = os.pread(descriptor, CHUNK, offsets[scope['path'][1:]])
            headers = [(b'content-length', str(len(data)).encode())]
            await send({'type': 'http.response.start', 'status': 200, 'headers': headers})
            await send({'type': 'http.response.body', 'body': data})

    listener = socket.create_server(('127.0.0.1', 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(
        app, fd=listener.fileno(), log_level='warning', server_header=False, date_header=False
    )
    uvicorn.Server(config).run()


class Client(asyncio.Protocol):
    """One connection that asks for one chunk after the other and counts what comes."""

    def __init__(self, load, requests):
        self.load, self.requests = load, requests
        self.buffer, self.left = b'', None

    def connection_made(self, transport):
        self.transport = transport
        self.ask()

    def ask(self):
        if self.load.done:
            self.transport.close()
            return
        self.begun = time.perf_counter()
        self.transport.write(next(self.requests))

    def data_received(self, data):
        if self.left is None:
            self.buffer += data
            end = self.buffer.find(b'\r\n\r\n')
            if end < 0:
                return
            head, data, self.buffer = self.buffer[:end].lower(), self.buffer[end + 4 :], b''
            assert head.startswith(b'http/1.1 200'), head
            self.left = int(head.split(b'content-length: ')[1].split(b'\r\n')[0])
            assert self.left == CHUNK
        self.left -= len(data)
        if not self.left:
            self.left = None
            self.load.times.append(time.perf_counter() - self.begun)
            self.ask()


class Load:
    """Connections that ask for ``seconds``; ``times`` are those of each request."""

    def __init__(self):
        self.done, self.times = False, []

    async def run(self, address, prefix, keys, headers, connections, seconds):
        place = urlsplit(address)
        lines = ''.join(f'{name}: {value}\r\n' for name, value in headers.items())
        requests = [f'GET {prefix}{key} HTTP/1.1\r\nHost: x\r\n{lines}\r\n'.encode() for key in keys]

        def endless(start):
            while True:
                for at in range(len(requests)):
                    yield requests[(start + at) % len(requests)]

        loop = asyncio.get_running_loop()
        for number in range(connections):
            walk = endless(number * len(requests) // connections)
            await loop.create_connection(lambda walk=walk: Client(self, walk), place.hostname, place.port)
        begun = time.perf_counter()
        await asyncio.sleep(seconds)
        self.done = True
        return len(self.times) / (time.perf_counter() - begun)


def spent(process):
    times = process.cpu_times()
    return times.user + times.system


def measure(process, *arguments):
    """Return requests a second, processor time a request of the server, and the times of the requests."""
    load, before = Load(), spent(process)
    rate = asyncio.run(load.run(*arguments))
    return rate, (spent(process) - before) / len(load.times), sorted(load.times)


def web_process(stack):
    """The process of the stack that serves Girder."""
    for process in psutil.Process(stack.process.pid).children(recursive=True):
        if 'girder_zarr.stack.child.web' in process.cmdline():
            return process
    sys.exit('The web server is not there.')


def read_slowly(address, path, headers, readers, seconds):
    """Let many clients take a large value a few bytes at a time."""
    place = urlsplit(address)
    lines = ''.join(f'{name}: {value}\r\n' for name, value in headers.items())
    sockets = []
    for _ in range(readers):
        connection = socket.create_connection((place.hostname, place.port))
        connection.sendall(f'GET {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n'.encode())
        assert connection.recv(15) == b'HTTP/1.1 200 OK'
        sockets.append(connection)
    end, total = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        for connection in sockets:
            total += len(connection.recv(4096))
        time.sleep(0.05)
    for connection in sockets:
        connection.close()
    return total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--kind', choices=('zip', 'directory', 'database'), default='zip')
    parser.add_argument('--chunks', type=int, default=2000)
    parser.add_argument('--seconds', type=float, default=5)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--connections', type=int, default=16)
    parser.add_argument('--readers', type=int, default=200)
    parser.add_argument('--bare', nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        serve_bare(options.bare[0], json.loads(Path(options.bare[1]).read_text()))
        return
    with tempfile.TemporaryDirectory() as name:
        run(Path(name), options)


def run(scratch, options):
    path = scratch / 'image.zarr.zip'
    offsets = make_image(path, options.chunks)
    (scratch / 'offsets.json').write_text(json.dumps(offsets))
    command = [sys.executable, __file__, '--bare', str(path), str(scratch / 'offsets.json')]
    bare = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    port = int(bare.stdout.readline())
    stack = Stack(scratch / 'data')
    stack.start()
    try:
        measure_all(scratch, stack, path, offsets, bare, f'http://127.0.0.1:{port}', options)
    finally:
        stack.stop()
        bare.terminate()
        bare.wait()


def measure_all(scratch, stack, path, offsets, bare, bare_url, options):
    girder = stack.girder
    folder = girder.createFolder(girder.get('user/me')['_id'], 'bench', parentType='user', public=False)
    stored = stored_as(options.kind, path)
    if stored.is_dir():
        item = import_image(girder, folder, stored)
    else:
        body = stored.read_bytes()
        file = girder.uploadFile(folder['_id'], io.BytesIO(body), stored.name, len(body), parentType='folder')
        item = file['itemId']
        while 'largeImage' not in girder.getItem(item):
            time.sleep(0.1)
    link = girder.post('zarr_link', data=json.dumps({'itemId': item}))
    prefix, keys = f'/zarr/k/{link["key"]}/', list(offsets)
    web = web_process(stack)
    first = max(measure(web, stack.url, prefix, keys[:1], {}, 1, 0.2)[2])
    rates, costs = {'shared': [], 'bare': []}, {'shared': [], 'bare': []}
    for _ in range(options.rounds):
        for kind, process, address, start in (
            ('bare', psutil.Process(bare.pid), bare_url, '/'),
            ('shared', web, stack.url, prefix),
        ):
            rate, cost, times = measure(
                process, address, start, keys, {}, options.connections, options.seconds
            )
            rates[kind].append(rate)
            costs[kind].append(cost)
    for kind, found in rates.items():
        print(
            f'{kind}: {statistics.median(found):.0f} chunks of 64 KB a second, '
            f'{statistics.median(costs[kind]) * 1e6:.0f} us of processor time each'
        )
    for what, found in (('rate', rates), ('processor time', costs)):
        pairs = [a / b for a, b in zip(found['bare'], found['shared'], strict=True)]
        print(
            f'{what}, bare to shared: {statistics.median(pairs):.2f} ({min(pairs):.2f} to {max(pairs):.2f})'
        )
    print(
        f'first {first * 1000:.1f} ms; median {statistics.median(times) * 1000:.1f} ms, 99 % within '
        f'{times[int(len(times) * 0.99)] * 1000:.1f} ms, {options.connections} connections'
    )
    measure_memory(scratch, stack, girder, folder, options)


def import_image(girder, folder, path):
    """Import a folder where it lies; return the item that it becomes."""
    assetstore = girder.get('assetstore')[0]['_id']
    parameters = {
        'importPath': str(path.parent),
        'destinationId': folder['_id'],
        'destinationType': 'folder',
    }
    girder.post(f'assetstore/{assetstore}/import', parameters=parameters)
    found = None
    while not found or 'largeImage' not in found[0]:
        time.sleep(0.2)
        found = girder.get('item', {'folderId': folder['_id'], 'name': path.name})
    return found[0]['_id']


def measure_memory(scratch, stack, girder, folder, options):
    """Import a directory with a sparse value of 10 GB, and let slow readers take it."""
    source = scratch / 'large' / 'huge.zarr'
    group = zarr.open_group(source, mode='w', attributes=ATTRIBUTES)
    group.create_array('0', data=np.zeros((8, 8), np.uint8))
    with (source / 'huge').open('wb') as sparse:
        sparse.truncate(HUGE)
    item = import_image(girder, folder, source)
    process = web_process(stack)
    before = process.memory_info().rss
    path, headers = f'/zarr/item/{item}/huge', {'Girder-Token': girder.token}
    peak, done = [before], threading.Event()

    def watch():
        while not done.wait(0.05):
            peak.append(process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    read_slowly(stack.url, path, headers, options.readers, 10)
    done.set()
    thread.join()
    print(
        f'{options.readers} slow readers of a value of 10 GB: {before / 1e6:.0f} MB before, '
        f'{max(peak) / 1e6:.0f} MB at most'
    )


if __name__ == '__main__':
    main()
