"""How soon requests are answered: a patch and a plain upload of the same bytes, and tiles that are cached.

    python benchmarks/at_once.py [--side 512] [--requests 24] [--rounds 6] [--clients 1 8]

On the embedded stack, in turns with a bare server on loopback that reads the body and answers nothing else,
so that what else the machine does meets all of them. Said are, for each number of clients, the median of the
times of a request, the rate of the median round, the ratios to plain uploads of the same round, and the
processor time that the stack spends while it answers one. What it leaves to the background, the overviews of
patches, is waited for before the next kind. Tiles are JPEGs of 256 x 256 that the stack has made before.
"""

import argparse
import json
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import numpy as np

import girder_zarr.image as gz
from growth import bare_server
from preview import Stack
from uploads import Uploads

BARE, PLAIN, PATCH, TILE = 'a bare PUT on loopback', 'a plain upload', 'a patch', 'a cached tile'
#: The background is waited for until the stack takes less of a second than this, and at most so many seconds.
IDLE_SECONDS, SETTLE_SECONDS = 0.05, 30
TILES = [(x, y) for x in range(4) for y in range(4)]


class Clients:
    """Requests over connections that stay open, one for each thread and server."""

    def __init__(self, token):
        self.token, self.local = token, threading.local()

    def send(self, method, address, body=None):
        parts = urlsplit(address)
        name = f'at_{parts.port}'
        if not hasattr(self.local, name):
            setattr(self.local, name, HTTPConnection(parts.hostname, parts.port))
        connection = getattr(self.local, name)
        connection.request(method, f'{parts.path}?{parts.query}', body, {'Girder-Token': self.token})
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status in {200, 201}, (answer.status, content[:1000])


class Work:
    """The requests of each kind, numbered."""

    def __init__(self, stack, bare, arguments):
        girder = stack.girder
        collection = girder.createCollection('at once')
        self.folder = girder.createFolder(collection['_id'], 'files', parentType='collection')['_id']
        body = json.dumps({'folderId': self.folder, 'name': 'patches'})
        self.session = stack.request('POST', '', data=body).json()['_id']
        self.bodies = Uploads(stack, self.folder, self.session, arguments)
        self.api, self.bare, self.clients = f'{stack.url}api/v1', bare, Clients(girder.token)
        self.item = self.upload_image(girder)

    def upload_image(self, girder):
        with tempfile.TemporaryDirectory() as place:
            source, path = gz.new(), Path(place) / 'image.zarr.zip'
            pixels = np.random.default_rng(0).integers(0, 255, (2048, 2048, 3)).astype(np.uint8)
            source.addTile(pixels, 0, 0)
            source.write(str(path))
            file = girder.uploadFileToFolder(self.folder, str(path))
        if not girder.getItem(file['itemId']).get('largeImage'):
            girder.post(f'/item/{file["itemId"]}/tiles')
        return file['itemId']

    def requests(self, kind, count):
        """Return so many requests that nobody has made yet, but for tiles."""
        if kind == TILE:
            places = [TILES[at % len(TILES)] for at in range(count)]
            return [('GET', f'{self.api}/item/{self.item}/tiles/zxy/2/{x}/{y}?', None) for x, y in places]
        return [self.upload(kind, name, body) for name, body in self.bodies.make()]

    def upload(self, kind, name, body):
        if kind == BARE:
            return 'PUT', f'{self.bare}?', body
        if kind == PLAIN:
            query = {'parentType': 'folder', 'parentId': self.folder, 'name': name, 'size': len(body)}
            return 'POST', f'{self.api}/file?{urlencode(query)}', body
        x, y = (int(part[1:]) for part in name.removesuffix('.png').split('_')[1:])
        return 'PUT', f'{self.api}/stitch_session/{self.session}/patch/{name}?x={x}&y={y}', body

    def run(self, kind, clients, count):
        """Return the median time of a request, requests a second, and processor time of the stack for one."""
        prepared = self.requests(kind, count)

        def timed(request):
            begun = time.perf_counter()
            self.clients.send(*request)
            return time.perf_counter() - begun

        with ThreadPoolExecutor(clients) as pool:
            spent, begun = self.bodies.processor_time(), time.perf_counter()
            times = list(pool.map(timed, prepared))
            took = time.perf_counter() - begun
        spent = self.bodies.processor_time() - spent
        self.settle()
        return statistics.median(times), len(prepared) / took, spent / len(prepared)

    def settle(self):
        """Wait until the stack has done what requests leave to the background."""
        for _ in range(SETTLE_SECONDS):
            before = self.bodies.processor_time()
            time.sleep(1)
            if self.bodies.processor_time() - before < IDLE_SECONDS:
                return


def measure(work, arguments):
    """Return by clients and kind the results of the rounds."""
    kinds = (BARE, PLAIN, PATCH, TILE)
    found = {}
    for clients in arguments.clients:
        rounds = {kind: [] for kind in kinds}
        for number in range(arguments.rounds + 1):
            for kind in kinds if number % 2 else reversed(kinds):
                count = arguments.tiles if kind == TILE else arguments.requests
                rounds[kind].append(work.run(kind, clients, count))
        # what is made at the first request is not counted
        found[clients] = {kind: results[1:] for kind, results in rounds.items()}
    return found


def say(found):
    print('| clients | request | ms | a second | ratio of ms | ratio of rates | processor, ms | its ratio |')
    print(f'|{"---|" * 8}')
    for clients, kinds in found.items():
        for kind, rounds in kinds.items():
            took, rate, spent = (statistics.median(one) for one in zip(*rounds, strict=True))
            ratios = [''] * 3
            if kind == PATCH:
                pairs = list(zip(kinds[PLAIN], rounds, strict=True))
                ratios = [
                    f'**{statistics.median(plain[0] / own[0] for plain, own in pairs):.2f}**',
                    f'**{statistics.median(own[1] / plain[1] for plain, own in pairs):.2f}**',
                    f'**{statistics.median(plain[2] / own[2] for plain, own in pairs):.2f}**',
                ]
            spent = '' if kind == BARE else f'{1000 * spent:.1f}'
            cells = (clients, kind, f'{1000 * took:.1f}', f'{rate:.0f}', *ratios[:2], spent, ratios[2])
            print(f'| {" | ".join(map(str, cells))} |')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--side', type=int, default=512)
    parser.add_argument('--requests', type=int, default=24)
    parser.add_argument('--tiles', type=int, default=400)
    parser.add_argument('--rounds', type=int, default=6)
    parser.add_argument('--clients', type=int, nargs='+', default=[1, 8])
    arguments = parser.parse_args()
    arguments.patches, arguments.group = arguments.requests, 1
    with tempfile.TemporaryDirectory() as folder, bare_server() as bare:
        stack = Stack(Path(folder) / 'data')
        stack.start()
        try:
            found = measure(Work(stack, bare, arguments), arguments)
        finally:
            stack.stop()
    say(found)


if __name__ == '__main__':
    main()
