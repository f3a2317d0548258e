"""The preview of a session with many patches, on the embedded stack, over HTTP.

    python benchmarks/preview.py [--patches 10000] [--side 512] [--threads 4] [--tiles 20]

Patches are parts of one generated picture; a few bodies are made and sent again at other places. Said are the
rate of the upload; then, after a restart of the stack, so that nothing is left but the database, the times of
tiles of each level asked for the first and the second time; and how soon a replaced patch is in them.
"""

import argparse
import io
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import girder_client
import imagecodecs
import numpy as np
import requests

LOGIN, PASSWORD = 'admin', 'correct horse battery'
BODIES = 16


class Stack:
    """`girder-zarr serve` in a folder; may be stopped and started again."""

    def __init__(self, data):
        self.data = data
        self.url = None

    def start(self):
        environment = {'GIRDER_ZARR_ADMIN_LOGIN': LOGIN, 'GIRDER_ZARR_ADMIN_PASSWORD': PASSWORD}
        command = [sys.executable, '-m', 'girder_zarr.cli', 'serve', '--data', str(self.data), '--port', '0']
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        for line in self.process.stdout:
            if 'Girder is ready at ' in line:
                self.url = line.split(' ready at ')[1].split()[0]
                break
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.girder = girder_client.GirderClient(apiUrl=f'{self.url}api/v1')
        self.girder.authenticate(LOGIN, PASSWORD)
        self.local = threading.local()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def request(self, method, path, **options):
        if not hasattr(self.local, 'session'):
            self.local.session = requests.Session()
            self.local.session.headers['Girder-Token'] = self.girder.token
        answer = self.local.session.request(method, f'{self.url}api/v1/stitch_session{path}', **options)
        if not answer.ok:
            sys.exit(f'{method} {path}: {answer.status_code} {answer.text[:2000]}')
        return answer


def make_bodies(side):
    """Return PNGs of parts of a generated picture, with some noise as a camera has it."""
    rng = np.random.default_rng(0)
    bodies = []
    for number in range(BODIES):
        y, x = np.mgrid[:side, :side] + number * side
        waves = np.stack([np.sin(y / 90), np.cos(x / 70), np.sin((x + y) / 110)], -1) * 60 + 128
        pixels = (waves + rng.normal(0, 4, waves.shape)).clip(0, 255).astype(np.uint8)
        bodies.append(imagecodecs.png_encode(pixels, level=1))
    return bodies


def time_of(work):
    begun = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - begun)


def tiles_of(metadata, level, count):
    """Return columns and rows of tiles of a level, chosen in a way that is the same each time."""
    step = 2 ** (metadata['levels'] - 1 - level)
    columns = -(-metadata['sizeX'] // (metadata['tileWidth'] * step))
    rows = -(-metadata['sizeY'] // (metadata['tileHeight'] * step))
    every = [(x, y) for x in range(columns) for y in range(rows)]
    return random.Random(level).sample(every, min(count, len(every)))


def measure_levels(stack, session, count):
    """Return for each level the times of tiles asked for the first and the second time, in ms."""
    metadata = stack.request('GET', f'/{session}/tiles').json()
    found = []
    for level in range(metadata['levels']):
        places = tiles_of(metadata, level, count)
        paths = [f'/{session}/tiles/zxy/{level}/{x}/{y}' for x, y in places]
        runs = [[time_of(lambda path=path: stack.request('GET', path)) for path in paths] for _ in range(2)]
        found.append((level, len(places), *runs))
    return found


def upload(stack, session, bodies, count, side, threads):
    """Send the patches of a square mosaic with an overlap of a sixteenth; return patches a second."""
    across = round(count**0.5)
    step = side - side // 16

    def put(number):
        row, column = divmod(number, across)
        params = {'x': column * step, 'y': row * step}
        stack.request('PUT', f'/{session}/patch/{row}_{column}', params=params, data=bodies[number % BODIES])

    order = list(range(count))
    random.Random(0).shuffle(order)
    begun = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(put, order))
    return count / (time.perf_counter() - begun)


def measure_arrival(stack, session, side, runs=10):
    """Return the times from the answer to a patch until its pixels are in the tile of level 0, in ms."""
    times = []
    for run in range(runs):
        pixels = np.full((side, side, 3), 255 * (run % 2), np.uint8)
        body = imagecodecs.png_encode(pixels, level=1)
        params = {'x': 0, 'y': 0, 'replace': 'true'}
        stack.request('PUT', f'/{session}/patch/0_0', params=params, data=body)
        begun = time.perf_counter()
        while True:
            tile = stack.request('GET', f'/{session}/tiles/zxy/0/0/0', params={'encoding': 'PNG'}).content
            corner = imagecodecs.png_decode(io.BytesIO(tile).read())[0, 0]
            if (corner == pixels[0, 0]).all():
                break
        times.append(1000 * (time.perf_counter() - begun))
    return times


def say(name, times):
    print(f'{name}: median {statistics.median(times):.0f} ms, slowest {max(times):.0f} ms', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--patches', type=int, default=10_000)
    parser.add_argument('--side', type=int, default=512)
    parser.add_argument('--threads', type=int, default=4)
    parser.add_argument('--tiles', type=int, default=20)
    arguments = parser.parse_args()
    bodies = make_bodies(arguments.side)
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / 'data')
        stack.start()
        try:
            collection = stack.girder.createCollection('benchmark')
            parent = stack.girder.createFolder(collection['_id'], 'preview', parentType='collection')['_id']
            session = stack.request('POST', '', data=json.dumps({'folderId': parent, 'name': 'many'})).json()
            session = session['_id']
            rate = upload(
                stack, session, bodies, arguments.patches, arguments.side, arguments.threads
            )
            print(f'{arguments.patches} patches of {arguments.side}: {rate:.0f} a second', flush=True)
            stack.stop()
            stack.start()
            say('metadata after a restart', [time_of(lambda: stack.request('GET', f'/{session}/tiles'))])
            for level, count, cold, warm in measure_levels(stack, session, arguments.tiles):
                say(f'level {level}, {count} tiles, first time', cold)
                say(f'level {level}, {count} tiles, again', warm)
            say('a replaced patch in the lowest level', measure_arrival(stack, session, arguments.side))
            say('coverage', [time_of(lambda: stack.request('GET', f'/{session}/coverage')) for _ in range(3)])
        finally:
            stack.stop()


if __name__ == '__main__':
    main()
