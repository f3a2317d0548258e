"""The preview of a session with many patches, on the embedded stack, over HTTP.

    python benchmarks/preview.py [--patches 10000] [--sent 400] [--side 512] [--threads 4] [--tiles 20]

The first patches are sent over HTTP. The others are copies of their documents in the database at other
places, each with a file and a small copy of its own; only bytes in the assetstore are shared. Said are the
rate of the upload; how long it takes in the background to compose the coarse blocks; then, after a restart of
the stack, so that nothing is left but the database, the times of tiles of each level asked for the first and
the second time; how soon a replaced patch is in them; and how long the first tile takes without those blocks.
"""

import argparse
import contextlib
import datetime as dt
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

import bson
import girder_client
import imagecodecs
import numpy as np
import pymongo
import requests

LOGIN, PASSWORD = 'admin', 'correct horse battery'
BODIES = 16


class Stack:
    """`girder-zarr serve` in a folder; may be stopped and started again."""

    def __init__(self, data, *options):
        self.data, self.options = data, options
        self.url = None

    def start(self):
        environment = {'GIRDER_ZARR_ADMIN_LOGIN': LOGIN, 'GIRDER_ZARR_ADMIN_PASSWORD': PASSWORD}
        command = [sys.executable, '-m', 'girder_zarr.cli', 'serve', '--data', str(self.data), '--port', '0']
        command += self.options
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

    def mongo_uri(self):
        """Return the address of the embedded database, which the server is told in its environment."""
        for entry in Path('/proc').glob('[0-9]*/environ'):
            with contextlib.suppress(OSError):
                variables = dict(
                    one.split('=', 1) for one in entry.read_text(errors='replace').split('\0') if '=' in one
                )
                if variables.get('GIRDER_ZARR_STACK') == str(self.data.resolve()) and (
                    uri := variables.get('GIRDER_MONGO_URI')
                ):
                    return uri
        sys.exit('The embedded database is not there.')

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


def place_of(number, count, side):
    """Return row, column, and position of a patch in a square mosaic with an overlap of a sixteenth."""
    row, column = divmod(number, round(count**0.5))
    step = side - side // 16
    return row, column, {'x': column * step, 'y': row * step}


def upload(stack, session, bodies, arguments):
    """Send the first patches; return patches a second."""

    def put(number):
        row, column, position = place_of(number, arguments.patches, arguments.side)
        path = f'/{session}/patch/{row}_{column}'
        stack.request('PUT', path, params=position, data=bodies[number % BODIES])

    order = list(range(arguments.sent))
    random.Random(0).shuffle(order)
    begun = time.perf_counter()
    with ThreadPoolExecutor(arguments.threads) as pool:
        list(pool.map(put, order))
    return arguments.sent / (time.perf_counter() - begun)


def multiply(stack, session, arguments):
    """Add the other patches as copies of the first, in the database."""
    database = pymongo.MongoClient(stack.mongo_uri()).get_default_database()
    session = bson.ObjectId(session)
    patches = list(database.stitch_patch.find({'sessionId': session}))
    made = ('stitch_small_copy', 'stitch_quarter_copy')
    while any(database[name].count_documents({'sessionId': session}) < len(patches) for name in made):
        time.sleep(0.1)
    files = {one['_id']: one for one in database.file.find({'_id': {'$in': [p['fileId'] for p in patches]}})}
    copies = {name: {one['_id']: one for one in database[name].find({'sessionId': session})} for name in made}
    now = dt.datetime.now(dt.UTC)
    new = {name: [] for name in ('file', 'stitch_patch', *made)}
    for number in range(arguments.sent, arguments.patches):
        row, column, position = place_of(number, arguments.patches, arguments.side)
        patch, file_id = patches[number % len(patches)], bson.ObjectId()
        new['file'].append({**files[patch['fileId']], '_id': file_id})
        for name in made:
            copy = copies[name][str(patch['fileId'])]
            new[name].append({**copy, '_id': str(file_id)})
        changed = {'key': f'{row}_{column}', 'position': position, 'fileId': file_id, 'updated': now}
        new['stitch_patch'].append({**patch, '_id': bson.ObjectId(), **changed})
    for name, documents in new.items():
        for first in range(0, len(documents), 500):
            database[name].insert_many(documents[first : first + 500])
    _, _, last = place_of(arguments.patches - 1, arguments.patches, arguments.side)
    extent = {'extent.x1': last['x'] + arguments.side, 'extent.y1': last['y'] + arguments.side}
    change = {'$set': {'counts.patches': arguments.patches, **extent}, '$inc': {'revision': 1}}
    database.stitch_session.update_one({'_id': session}, change)


def measure_arrival(stack, session, side, runs=10):
    """Return the times from the answer to a patch until its pixels are in the tile of level 0, in ms."""
    times, firsts = [], []
    for run in range(runs):
        pixels = np.full((side, side, 3), 255 * (run % 2), np.uint8)
        body = imagecodecs.png_encode(pixels, level=1)
        params = {'x': 0, 'y': 0, 'replace': 'true'}
        stack.request('PUT', f'/{session}/patch/0_0', params=params, data=body)
        begun, first = time.perf_counter(), None
        while True:
            tile = stack.request('GET', f'/{session}/tiles/zxy/0/0/0', params={'encoding': 'PNG'}).content
            first = first or 1000 * (time.perf_counter() - begun)
            corner = imagecodecs.png_decode(io.BytesIO(tile).read())[0, 0]
            if (corner == pixels[0, 0]).all():
                break
        times.append(1000 * (time.perf_counter() - begun))
        firsts.append(first)
    return times, firsts


def send_one(stack, session, side):
    """Send a patch in place of the first one, after which the blocks it touches are composed anew."""
    body = imagecodecs.png_encode(np.full((side, side, 3), 99, np.uint8), level=1)
    params = {'x': 0, 'y': 0, 'replace': 'true'}
    stack.request('PUT', f'/{session}/patch/0_0', params=params, data=body)


def await_composed(stack, top, patches):
    """Wait until the server has composed the blocks of a session in the background.

    :returns: seconds, blocks and bytes.
    """
    blocks = pymongo.MongoClient(stack.mongo_uri()).get_default_database().stitch_preview_block
    begun = time.perf_counter()
    # Those of the coarsest level are made last; by their names they are of session, level, row and column.
    while not any(
        int(one['_id'].split()[1]) == top and int(one['madeOf'].split()[1]) == patches
        for one in blocks.find({}, {'madeOf': 1})
    ):
        time.sleep(0.1)
    sizes = [len(one['data']) for one in blocks.find({}, {'data': 1})]
    return time.perf_counter() - begun, len(sizes), sum(sizes)


def measure_uncomposed(stack, session):
    """Return the time of the coarsest tile after a restart where no blocks were stored, in ms."""
    pymongo.MongoClient(stack.mongo_uri()).get_default_database().stitch_preview_block.delete_many({})
    stack.stop()
    stack.start()
    stack.request('GET', f'/{session}/tiles')
    return time_of(lambda: stack.request('GET', f'/{session}/tiles/zxy/0/0/0'))


def say(name, times):
    print(f'{name}: median {statistics.median(times):.0f} ms, slowest {max(times):.0f} ms', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--patches', type=int, default=10_000)
    parser.add_argument('--sent', type=int, default=400)
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
            rate = upload(stack, session, bodies, arguments)
            print(f'{arguments.sent} patches of {arguments.side} sent: {rate:.0f} a second', flush=True)
            multiply(stack, session, arguments)
            send_one(stack, session, arguments.side)
            top = stack.request('GET', f'/{session}/tiles').json()['levels'] - 1
            seconds, blocks, nbytes = await_composed(stack, top, arguments.patches)
            print(f'{blocks} blocks, {nbytes / 2**20:.1f} MiB, composed in {seconds:.1f} s', flush=True)
            stack.stop()
            stack.start()
            say('metadata after a restart', [time_of(lambda: stack.request('GET', f'/{session}/tiles'))])
            for level, count, cold, warm in measure_levels(stack, session, arguments.tiles):
                say(f'level {level}, {count} tiles, first time', cold)
                say(f'level {level}, {count} tiles, again', warm)
            arrivals, answers = measure_arrival(stack, session, arguments.side)
            say('a replaced patch in the lowest level', arrivals)
            say('the first answer after it', answers)
            say('coverage', [time_of(lambda: stack.request('GET', f'/{session}/coverage')) for _ in range(3)])
            say('the lowest level, no blocks stored', [measure_uncomposed(stack, session)])
        finally:
            stack.stop()


if __name__ == '__main__':
    main()
