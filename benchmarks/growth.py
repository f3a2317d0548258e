"""How the cost of a session grows with what the server has: n, 4 n and 16 n, on the embedded stack.

    python benchmarks/growth.py [--patches 1000] [--sessions 300] [--rounds 7]

The session has n patches, and beside it there are as many sessions as ``--sessions`` says for the first n,
every tenth of them with ten patches. One patch is sent over HTTP; the others are documents like it, written
into the database. Printed are the medians of the times of a request, with a bare request of the same kind
beside them, the processor time that the stack takes while nobody asks for anything, and the exponent with
which the work of n such requests grows: 1 where one costs the same however much there is, 2 where it costs
as much as there is. A request that is about n things at once, as ``missing`` is, counts as n.
"""

import argparse
import contextlib
import datetime as dt
import json
import math
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

STEPS = (1, 4, 16)
#: The reaper looks every 5 s.
IDLE_SECONDS = 20


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
        patch = self.database.stitch_patch.find_one({'sessionId': model['_id']})
        made = []
        for at in range(self.sessions, sessions):
            moment = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=at)
            made.append({**model, '_id': bson.ObjectId(), 'name': f's{at}', 'updated': moment})
        self._insert('stitch_session', made)
        copies = [self._copy(patch, model['_id'], at) for at in range(self.patches, patches)]
        for other in made[::10]:
            copies += [self._copy(patch, other['_id'], at) for at in range(10)]
        self._insert('stitch_patch', copies)
        more = {'counts.patches': patches - self.patches, 'revision': patches - self.patches}
        self.database.stitch_session.update_one({'_id': model['_id']}, {'$inc': more})
        self.patches, self.sessions = patches, sessions

    def _copy(self, patch, session_id, at):
        y, x = divmod(at, 100)
        position = {**patch['position'], 'x': 64 * x, 'y': 64 * (y + 1)}
        new = {'_id': bson.ObjectId(), 'fileId': bson.ObjectId(), 'sessionId': session_id}
        return {**patch, **new, 'key': f'copied-{at:06}', 'arrival': at + 2, 'position': position}

    def _insert(self, name, documents):
        for at in range(0, len(documents), 1000):
            self.database[name].insert_many(documents[at : at + 1000])

    def missing(self):
        keys = [f'copied-{at:06}' for at in range(self.patches)]
        body = json.dumps({'keys': keys})
        answer = self.stack.request('POST', f'/{self.session}/missing', data=body).json()
        assert len(answer['missing']) == 1, answer['missing'][:3]

    def remove(self):
        self.stack.request('DELETE', f'/{self.session}/patch/sent-{self.number}')
        self.number -= 1

    def idle(self):
        """Return milliseconds of processor that the server and the database spend a second on nothing."""
        parent = psutil.Process(self.stack.process.pid)
        processes = [parent, *parent.children(recursive=True)]
        before = sum(sum(one.cpu_times()[:2]) for one in processes)
        time.sleep(IDLE_SECONDS)
        after = sum(sum(one.cpu_times()[:2]) for one in processes)
        return 1000 * (after - before) / IDLE_SECONDS


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
    """Return the median of the times of a call in milliseconds, the first left out."""
    times = []
    for _ in range(rounds + 1):
        begun = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times[1:])


def measure(grown, rounds):
    """Return milliseconds by row."""
    request, session = grown.stack.request, grown.session
    found = {
        'PUT of a patch': median_time(grown.put, rounds),
        'the patch removed again': median_time(grown.remove, min(rounds, grown.number - 2)),
        'the session': median_time(lambda: request('GET', f'/{session}'), rounds),
        'list of 50 sessions': median_time(lambda: request('GET', '', params={'limit': 50}), rounds),
        'list of 50 patches': median_time(lambda: request('GET', f'/{session}/patch'), rounds),
        'missing, all keys of the session': median_time(grown.missing, 2),
    }
    found['nothing, for a second (processor)'] = grown.idle()
    return found


def exponent(row, costs):
    """Return with which exponent the work of n requests grows from n to 16 n."""
    grown = math.log(costs[-1] / costs[0]) / math.log(STEPS[-1] / STEPS[0])
    return grown if row.startswith('missing') else 1 + grown


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--patches', type=int, default=1000)
    parser.add_argument('--sessions', type=int, default=300)
    parser.add_argument('--rounds', type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, bare_server() as address:
        stack = Stack(Path(folder) / 'data', '--workers', '1')
        stack.start()
        try:
            grown = Grown(stack, arguments)
            results = []
            for step in STEPS:
                grown.grow(step * arguments.patches, step * arguments.sessions)
                results.append(measure(grown, arguments.rounds))
            client, body = requests.Session(), unique(grown.bodies[0], 0)
            bare = median_time(lambda: client.put(address, data=body), arguments.rounds)
        finally:
            stack.stop()
    sizes = ' | '.join(f'{step * arguments.patches} patches' for step in STEPS)
    print(f'| ms | {sizes} | exponent |\n|---|{"---|" * (len(STEPS) + 1)}')
    for row in results[0]:
        costs = [result[row] for result in results]
        print(f'| {row} | {" | ".join(f"{cost:.1f}" for cost in costs)} | {exponent(row, costs):.2f} |')
    print(f'| a bare PUT on loopback | {bare:.1f} | | | |')


if __name__ == '__main__':
    main()
