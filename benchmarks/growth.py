"""How the cost of a session grows with what the server has: n, 4 n and 16 n, on the embedded stack.

    python benchmarks/growth.py [--patches 1000] [--sessions 300] [--rounds 20] [--steps 1 4 16]

``--patches 50000 --sessions 5000 --steps 1`` is the large session of docs/benchmarks.md.

The session has n patches, and beside it there are as many sessions as ``--sessions`` says for the first n,
every tenth of them with ten patches. One patch is sent over HTTP; the others are documents like it, written
into the database, with a file and overviews each; the bytes in the assetstore are those of the first.
Printed are the medians of the times of a request, with a bare request of the same kind beside them, the
processor time that all parts of the stack take for one, also while nobody asks for anything, and the exponent
with which the processor time of n such requests grows: 1 where one costs the same however much there is, 2
where it costs as much as there is. A request that is about n things at once, as ``missing`` and the first
tile of a preview are, counts as n.
"""

import argparse
import contextlib
import datetime as dt
import json
import math
import secrets
import socket
import statistics
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import bson
import psutil
import pymongo
import requests

from preview import Stack, make_bodies
from uploads import unique

#: What a request is that is about all patches of the session.
ABOUT_ALL = ('missing', 'first tile')
#: The reaper looks every 5 s.
IDLE_SECONDS = 20
#: Requests are waited for until the stack takes less of a second than this, and at most so many seconds.
IDLE_MILLISECONDS, SETTLE_SECONDS = 50, 180
#: The collections of overviews of patches.
OVERVIEWS = ('stitch_small_copy', 'stitch_quarter_copy')
#: How many keys a request may ask for.
MAX_ASKED = 20_000


class Grown:
    """A stack whose session and surroundings grow."""

    def __init__(self, stack, arguments):
        self.stack, self.arguments = stack, arguments
        girder = stack.girder
        collection = girder.createCollection('growth')
        self.folder = girder.createFolder(collection['_id'], 'mine', parentType='collection')['_id']
        self.session = self.create('the session')
        self.number = 0
        self.bodies = make_bodies(64)
        self.put()
        self.database = pymongo.MongoClient(stack.mongo_uri()).get_default_database()
        self.patches, self.sessions = 1, 1

    def create(self, name):
        body = json.dumps({'folderId': self.folder, 'name': name})
        return self.stack.request('POST', '', data=body).json()['_id']

    def put(self):
        self.number += 1
        body = unique(self.bodies[0], self.number)
        path = f'/{self.session}/patch/sent-{self.number}'
        self.stack.request('PUT', path, params={'x': 64 * self.number, 'y': 0}, data=body)

    def grow(self, patches, sessions):
        """Write documents until there are so many."""
        model = self.database.stitch_session.find_one({'_id': bson.ObjectId(self.session)})
        patch = self.database.stitch_patch.find_one({'sessionId': model['_id'], 'key': 'sent-1'})
        made = []
        for at in range(self.sessions, sessions):
            moment = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=at)
            made.append({**model, '_id': bson.ObjectId(), 'name': f's{at}', 'updated': moment})
        self._insert('stitch_session', made)
        copies = [self._copy(patch, model['_id'], at) for at in range(self.patches, patches)]
        for other in made[::10]:
            copies += [self._copy(patch, other['_id'], at) for at in range(10)]
        self._insert_files(patch, copies)
        self._insert('stitch_patch', copies)
        more = {'counts.patches': patches - self.patches, 'revision': patches - self.patches}
        places = [copy['position'] for copy in copies if copy['sessionId'] == model['_id']]
        edges = {f'extent.{axis}1': max(place[axis] for place in places) + 64 for axis in 'xy'}
        update = {
            '$inc': more,
            '$max': {**edges, 'keyRange.last': patch['key']},
            '$min': {'keyRange.first': 'copied-000000'},
        }
        self.database.stitch_session.update_one({'_id': model['_id']}, update)
        self.patches, self.sessions = patches, sessions

    def _copy(self, patch, session_id, at):
        y, x = divmod(at, 100)
        position = {**patch['position'], 'x': 64 * x, 'y': 64 * (y + 1)}
        new = {'_id': bson.ObjectId(), 'sessionId': session_id, 'fileId': bson.ObjectId()}
        free = {'stored': True, 'lockedBy': None}
        return {**patch, **new, **free, 'key': f'copied-{at:06}', 'arrival': at + 2, 'position': position}

    def _insert_files(self, patch, copies):
        """Write the documents of files and of overviews of patches that are copies of one."""
        while any(self.database[name].find_one({'_id': str(patch['fileId'])}) is None for name in OVERVIEWS):
            time.sleep(0.1)
        file = self.database.file.find_one({'_id': patch['fileId']})
        overviews = {name: self.database[name].find_one({'_id': str(patch['fileId'])}) for name in OVERVIEWS}
        files, made = [], {name: [] for name in OVERVIEWS}
        yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)  # sweeps look at what was stored lately
        for copy in copies:
            ids = {'_id': copy['fileId'], 'attachedToId': copy['sessionId'], 'created': yesterday}
            # Files are looked for by the hash of their contents when one is removed.
            files.append({**file, **ids, 'sha512': secrets.token_hex(64)})
            for name, overview in overviews.items():
                own = {'_id': str(copy['fileId']), 'sessionId': copy['sessionId']}
                made[name].append({**overview, **own})
        for name, documents in {'file': files, **made}.items():
            self._insert(name, documents)

    def _insert(self, name, documents):
        for at in range(0, len(documents), 1000):
            self.database[name].insert_many(documents[at : at + 1000])

    def missing(self):
        keys = [f'copied-{at:06}' for at in range(min(self.patches, MAX_ASKED))]
        body = json.dumps({'keys': keys})
        answer = self.stack.request('POST', f'/{self.session}/missing', data=body).json()
        assert len(answer['missing']) == 1, answer['missing'][:3]

    def tile(self):
        """Ask for one tile of full resolution, where the patch lies that was sent first."""
        metadata = self.stack.request('GET', f'/{self.session}/tiles').json()
        path = f'/{self.session}/tiles/zxy/{metadata["levels"] - 1}/0/0'
        assert len(self.stack.request('GET', path).content) > 100

    def remove(self):
        self.stack.request('DELETE', f'/{self.session}/patch/sent-{self.number}')
        self.number -= 1

    def processor_time(self):
        """Return milliseconds of processor that the parts of the stack have taken until now."""
        parent = psutil.Process(self.stack.process.pid)
        return 1000 * sum(sum(one.cpu_times()[:2]) for one in (parent, *parent.children(recursive=True)))

    def settle(self):
        """Wait until the stack has done what requests leave to the background."""
        for _ in range(SETTLE_SECONDS):
            before = self.processor_time()
            time.sleep(1)
            if self.processor_time() - before < IDLE_MILLISECONDS:
                return

    def idle(self):
        """Return milliseconds of processor that the stack spends a second on nothing."""
        before = self.processor_time()
        time.sleep(IDLE_SECONDS)
        return (self.processor_time() - before) / IDLE_SECONDS


@contextlib.contextmanager
def bare_server():
    """Yield the address of a server that reads a body and answers nothing else."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'

        def do_PUT(self):
            self.rfile.read(int(self.headers['Content-Length']))
            self.send_response(200)
            self.send_header('Content-Length', '2')
            self.end_headers()
            self.wfile.write(b'{}')

        def log_message(self, *_):
            pass

        def setup(self):
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            super().setup()

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}/'
    server.shutdown()


def median_time(work, rounds):
    """Return the median of the times of a call in milliseconds, the first left out unless it is the only."""
    times = []
    for _ in range(rounds + 1):
        begun = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times[1:] or times)


def measure(grown, rounds):
    """Return by row the median time of a request and the processor time of the stack for one, in ms."""
    request, session = grown.stack.request, grown.session
    works = {
        'PUT of a patch': (grown.put, rounds),
        'a patch removed at the edge': (grown.remove, rounds),
        'the session': (lambda: request('GET', f'/{session}'), rounds),
        'list of 50 sessions': (lambda: request('GET', '', params={'limit': 50}), rounds),
        'first page of 50 patches': (lambda: request('GET', f'/{session}/patch'), rounds),
        'missing, all keys (20,000 at most)': (grown.missing, 3),
    }
    found = {}
    before = grown.processor_time()
    took = median_time(grown.tile, 0)
    found['first tile of the preview'] = took, grown.processor_time() - before
    grown.settle()
    for row, (work, times) in works.items():
        work()
        grown.settle()
        before = grown.processor_time()
        took = median_time(work, times - 1)
        grown.settle()
        found[row] = took, (grown.processor_time() - before) / times
    found['nothing, for a second'] = None, grown.idle()
    return found


def exponent(row, costs, steps):
    """Return with which exponent the work of n requests grows from the first step to the last, in words."""
    if len(steps) < 2:
        return ''
    grown = math.log(costs[-1] / costs[0]) / math.log(steps[-1] / steps[0])
    return f'{grown if row.startswith(ABOUT_ALL) else 1 + grown:.2f}'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--patches', type=int, default=1000)
    parser.add_argument('--sessions', type=int, default=300)
    parser.add_argument('--rounds', type=int, default=20)
    parser.add_argument('--steps', type=int, nargs='+', default=[1, 4, 16])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, bare_server() as address:
        stack = Stack(Path(folder) / 'data', '--workers', '1')
        stack.start()
        try:
            grown = Grown(stack, arguments)
            results = []
            for step in arguments.steps:
                grown.grow(step * arguments.patches, step * arguments.sessions)
                results.append(measure(grown, arguments.rounds))
            client, body = requests.Session(), unique(grown.bodies[0], 0)
            bare = median_time(lambda: client.put(address, data=body), arguments.rounds)
        finally:
            stack.stop()
    sizes = ' | '.join(f'{step * arguments.patches} patches' for step in arguments.steps)
    print(
        f'| ms of processor (of the clock) | {sizes} | exponent |\n|---|{"---|" * (len(arguments.steps) + 1)}'
    )
    for row in results[0]:
        costs = [result[row] for result in results]
        shown = ' | '.join(f'{cost:.1f}' + (f' ({took:.1f})' if took else '') for took, cost in costs)
        print(f'| {row} | {shown} | {exponent(row, [cost for _, cost in costs], arguments.steps)} |')
    print(f'| a bare PUT on loopback | ({bare:.1f}) |')


if __name__ == '__main__':
    main()
