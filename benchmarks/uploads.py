"""Patches sent to a session, against plain Girder file uploads of the same bytes, on the embedded stack.

    python benchmarks/uploads.py [--patches 96] [--rounds 6] [--side 512] [--clients 4] [--group 32]

Three ways, in turns, so that what else the machine does meets all of them: files posted into a folder, each
in one request as girder_client does it; patches put one by one; patches in tars of ``--group``. Every body is
a PNG of its own, so that nothing is stored already. Said are the median of the rounds, the ratios to the
plain uploads of the same round, and the processor time that the stack spends a patch: the limit on few cores.
"""

import argparse
import io
import itertools
import json
import statistics
import struct
import tarfile
import tempfile
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from preview import Stack, make_bodies

WAYS = ('plain uploads', 'single patches', 'patches in bulk')


def unique(body, number):
    """Return a PNG with a text of its own; the pixels stay."""
    text = b'tEXtComment\0' + f'{number:012}'.encode()
    chunk = struct.pack('>I', len(text) - 4) + text + struct.pack('>I', zlib.crc32(text))
    end = body.rindex(b'IEND') - 4
    return body[:end] + chunk + body[end:]


def tar_of(members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w') as archive:
        for name, body in members:
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return stream.getvalue()


class Uploads:
    """The three ways to send bytes."""

    def __init__(self, stack, folder, session, arguments):
        self.stack, self.folder, self.session, self.arguments = stack, folder, session, arguments
        self.bodies = make_bodies(arguments.side)
        self.numbers = itertools.count()

    def make(self):
        """Return bodies of a round with the names that say where they belong."""
        found = []
        for number in itertools.islice(self.numbers, self.arguments.patches):
            row, column = divmod(number, 100)
            name = f'p_x{column * self.arguments.side}_y{row * self.arguments.side}.png'
            found.append((name, unique(self.bodies[number % len(self.bodies)], number)))
        return found

    def plain(self, name, body):
        params = {'parentType': 'folder', 'parentId': self.folder, 'name': name, 'size': len(body)}
        self.stack.request('POST', '/../file', params=params, data=body)

    def single(self, name, body):
        x, y = (int(part[1:]) for part in name.removesuffix('.png').split('_')[1:])
        self.stack.request('PUT', f'/{self.session}/patch/{name}', params={'x': x, 'y': y}, data=body)

    def bulk(self, tar):
        headers = {'Content-Type': 'application/x-tar'}
        answer = self.stack.request('POST', f'/{self.session}/patches', data=tar, headers=headers).json()
        assert all(patch['status'] == 'created' for patch in answer['patches']), answer

    def run(self, way):
        """Send a round's patches; return how long it took and what processor time the stack spent."""
        members = self.make()
        if way == WAYS[2]:
            size = self.arguments.group
            tars = [tar_of(members[at : at + size]) for at in range(0, len(members), size)]
            jobs = [lambda tar=tar: self.bulk(tar) for tar in tars]
        else:
            send = self.plain if way == WAYS[0] else self.single
            jobs = [lambda member=member: send(*member) for member in members]
        with ThreadPoolExecutor(self.arguments.clients) as pool:
            spent, begun = self.processor_time(), time.perf_counter()
            for done in [pool.submit(job) for job in jobs]:
                done.result()
            return time.perf_counter() - begun, self.processor_time() - spent

    def processor_time(self):
        parent = psutil.Process(self.stack.process.pid)
        times = [process.cpu_times() for process in (parent, *parent.children(recursive=True))]
        return sum(one.user + one.system for one in times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--patches', type=int, default=96)
    parser.add_argument('--rounds', type=int, default=6)
    parser.add_argument('--side', type=int, default=512)
    parser.add_argument('--clients', type=int, default=4)
    parser.add_argument('--group', type=int, default=32)
    parser.add_argument('--ways', nargs='*', default=list(WAYS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / 'data')
        stack.start()
        try:
            collection = stack.girder.createCollection('benchmark')
            parent = stack.girder.createFolder(collection['_id'], 'uploads', parentType='collection')['_id']
            body = json.dumps({'folderId': parent, 'name': 'many'})
            session = stack.request('POST', '', data=body).json()['_id']
            uploads = Uploads(stack, parent, session, arguments)
            for way in arguments.ways:
                uploads.run(way)  # what is made at the first request is not counted
            found = {way: [] for way in arguments.ways}
            for number in range(arguments.rounds):
                for way in arguments.ways if number % 2 else reversed(arguments.ways):
                    found[way].append(uploads.run(way))
        finally:
            stack.stop()
    say(found, arguments)


def say(found, arguments):
    size = len(make_bodies(arguments.side)[0])
    print(f'{arguments.patches} PNGs of {arguments.side}, {size} bytes, {arguments.clients} clients:')
    base = found.get(WAYS[0]) or next(iter(found.values()))
    for way, rounds in found.items():
        rate = statistics.median(arguments.patches / wall for wall, _ in rounds)
        ratio = statistics.median(plain[0] / own[0] for plain, own in zip(base, rounds, strict=True))
        spent = statistics.median(1000 * cpu / arguments.patches for _, cpu in rounds)
        cheaper = statistics.median(plain[1] / own[1] for plain, own in zip(base, rounds, strict=True))
        print(
            f'{way}: {rate:.0f} a second, {ratio:.2f} x; the stack spends {spent:.1f} ms a patch, '
            f'{cheaper:.2f} x less'
        )


if __name__ == '__main__':
    main()
