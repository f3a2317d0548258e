"""From patches to a published image, on the embedded stack: the speed of finalizing.

    python benchmarks/finalize.py [--only NAMES] [--side 16384] [--rounds 3] [--theirs PYTHON]

- ``speed``: a mosaic of PNGs, and the same as npy, made by one worker on all processors; megabytes of pixels
  a second from the request to the published item, pyramid and packing included. Beside it what decoding the
  PNGs alone takes with two threads and libpng, in turns with it, the peak memory of a worker, and the
  processor seconds of worker, database and web server. With ``--before FOLDER`` (another checkout) that
  version makes the same images in turns.
- ``theirs``: the same mosaic as files in a folder, downloaded with girder_client in four threads and put
  together by large-image-source-zarr 1.35.6 with the interpreter of ``--theirs`` (`assemble_1356.py`); in
  turns with ours. Its result is not even uploaded again.
- ``workers``: one worker process on one processor against two, each on a processor of its own.
- ``phases``, only where it is named: the first two mosaics once more (with ``--before`` by that version); the
  clock, the processor time of the worker and the idle time of the processors in each phase of the job, how
  long its threads waited, and the steps of the blocks. `phases/sitecustomize.py` notes them, which costs a
  few percent. Idle times are worth something on a quiet machine alone.
- ``patches``: small patches, 1,000 to ``--most``: milliseconds a patch.

Ratios are medians over the rounds. With --output the tables replace what is between the marks in that file.
"""

import argparse
import datetime as dt
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagecodecs
import numpy as np
import psutil

from preview import Stack, make_bodies
from uploads import tar_of, unique

BEGIN, END = '<!-- finalize: begin -->', '<!-- finalize: end -->'
PATCH = 512
GROUP = 64


class Bench(Stack):
    """A stack with so many workers, and what is asked of it."""

    def __init__(self, folder, workers, checkout=None):
        name = f'data{workers}{"before" if checkout else ""}'
        super().__init__(Path(folder) / name, '--workers', str(workers))
        path = os.environ.get('PYTHONPATH')
        if checkout:
            os.environ['PYTHONPATH'] = str(Path(checkout) / 'plugin')
        self.start()
        os.environ.pop('PYTHONPATH', None)
        if path is not None:
            os.environ['PYTHONPATH'] = path
        collection = self.girder.createCollection('benchmark')
        self.folder = self.girder.createFolder(collection['_id'], 'f', parentType='collection')['_id']

    def workers(self):
        """Return the processes that make images: the children of the worker."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        (first,) = [
            one for one in found
            if 'girder_zarr.stack.child.worker' in one.cmdline()
            and 'girder_zarr.stack.child.worker' not in one.parent().cmdline()
        ]  # fmt: skip
        return first.children()

    def processor_seconds(self):
        """Return what worker, database and web server have used so far."""
        kinds, found = {'child.worker': 0, 'secantus': 1, 'child.web': 2}, [0.0, 0.0, 0.0]
        for process in psutil.Process(self.process.pid).children(recursive=True):
            command, times = ' '.join(process.cmdline()), process.cpu_times()
            for text, at in kinds.items():
                if text in command:
                    found[at] += times.user + times.system
        return np.array(found)

    def pin(self):
        """Let each worker have a processor of its own."""
        processors = sorted(os.sched_getaffinity(0))
        for number, worker in enumerate(self.workers()):
            for thread in worker.threads():
                os.sched_setaffinity(thread.id, {processors[number % len(processors)]})

    def session(self, members, spec=None):
        """Return a new session with patches ``x{X}_y{Y}.*``, sent in bulk."""
        body = json.dumps({'folderId': self.folder, 'name': 'bench', 'spec': spec or {}})
        session = self.request('POST', '', data=body).json()['_id']
        headers = {'Content-Type': 'application/x-tar'}

        def send(some):
            answer = self.request('POST', f'/{session}/patches', data=tar_of(some), headers=headers).json()
            assert all(patch['status'] == 'created' for patch in answer['patches']), answer

        groups = [members[at : at + GROUP] for at in range(0, len(members), GROUP)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(send, groups))
        return session

    def finalize(self, session):
        """Return the seconds from the request to the published item, and the peak memory in MB."""
        peak, done = [0], threading.Event()
        watcher = threading.Thread(target=self._watch, args=(peak, done))
        watcher.start()
        begun = time.time()
        self.request('POST', f'/{session}/finalize')
        # As often as a page asks; the session knows when it was complete.
        while (found := self.request('GET', f'/{session}').json())['state'] == 'finalizing':
            time.sleep(1)
        seconds = dt.datetime.fromisoformat(found['updated']).timestamp() - begun
        done.set()
        watcher.join()
        if found['state'] != 'complete':
            sys.exit(f'{found["state"]}: {found["error"]}')
        self.girder.delete(f'item/{found["itemId"]}')
        return seconds, peak[0] / 1e6

    def _watch(self, peak, done):
        workers = self.workers()
        while not done.wait(0.1):
            peak[0] = max(peak[0], *(worker.memory_info().rss for worker in workers))

    def again(self, session):
        """Let a finished session be finalized again, to an image that differs in a number nobody sees."""
        spec = self.request('GET', f'/{session}').json()['spec']
        background = 0 if spec['background'] else 1
        body = json.dumps({'spec': {'background': background}})
        self.request('PUT', f'/{session}', data=body)


def mosaic(side, kind='png'):
    """Return names and bodies of patches side by side; no two bodies are equal."""
    bodies, step = make_bodies(PATCH), PATCH
    if kind == 'npy':
        arrays = [imagecodecs.png_decode(body) for body in bodies]
    found = []
    for number, (y, x) in enumerate((y, x) for y in range(0, side, step) for x in range(0, side, step)):
        if kind == 'npy':
            pixels = arrays[number % len(arrays)].copy()
            pixels[0, 0] = number % 251, number // 251 % 251, 7
            stream = io.BytesIO()
            np.save(stream, pixels, allow_pickle=False)
            body = stream.getvalue()
        else:
            body = unique(bodies[number % len(bodies)], number)
        found.append((f'x{x}_y{y}.{kind}', body))
    return found


def decoding(members):
    """Return the seconds in which two threads decode all PNGs."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(lambda member: imagecodecs.png_decode(member[1]).shape, members):
            pass
    return time.perf_counter() - begun


def measure_speed(folder, arguments):
    megabytes = arguments.side**2 * 3 / 1e6
    yield '| patches | MB/s | peak MB of the worker | decoding alone, MB/s | share | processor s |'
    yield '|---|---|---|---|---|---|'
    stacks = {'': Bench(folder, 1)}
    try:
        if arguments.before:
            stacks[' before'] = Bench(folder, 1, arguments.before)
        for kind in ('png', 'npy'):
            members = mosaic(arguments.side, kind)
            sessions = {name: stack.session(members) for name, stack in stacks.items()}
            found, alone = {name: [] for name in stacks}, []
            for _ in range(arguments.rounds):
                alone.append(decoding(members) if kind == 'png' else 0)
                for name, stack in stacks.items():
                    before = stack.processor_seconds()
                    seconds, peak = stack.finalize(sessions[name])
                    found[name].append((seconds, peak, *(stack.processor_seconds() - before)))
                    stack.again(sessions[name])
            for name, rounds in found.items():
                seconds, peak, *spent = (list(column) for column in zip(*rounds, strict=True))
                limits = f'{megabytes / statistics.median(alone):.0f}' if kind == 'png' else ''
                pairs = zip(alone, seconds, strict=True)
                share = statistics.median(least / own for least, own in pairs)
                rate = f'{megabytes / statistics.median(seconds):.0f}'
                columns = [
                    f'{kind}{name}', rate, f'{max(peak):.0f}', limits,
                    f'**{share:.2f}**' if kind == 'png' else '',
                    ' + '.join(f'{statistics.median(one):.1f}' for one in spent),
                ]  # fmt: skip
                yield f'| {" | ".join(columns)} |'
            if arguments.before:
                pairs = zip(found[' before'], found[''], strict=True)
                ratio = statistics.median(before[0] / now[0] for before, now in pairs)
                yield f'| {kind}, times before | **{ratio:.2f}** | | | | |'
    finally:
        for stack in stacks.values():
            stack.stop()


def theirs(stack, folder, target, python):
    """Download a folder's files and let 1.35.6 assemble them; return the seconds of both."""
    begun = time.perf_counter()
    target.mkdir()
    items = list(stack.girder.listItem(folder))
    girder = stack.girder

    def fetch(item):
        (file,) = girder.listFile(item['_id'])
        girder.downloadFile(file['_id'], str(target / item['name']))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fetch, items))
    downloaded = time.perf_counter() - begun
    script = Path(__file__).with_name('assemble_1356.py')
    out = target / 'image.zarr.zip'
    subprocess.run([python, script, target, out], check=True)
    return downloaded, time.perf_counter() - begun - downloaded


def measure_theirs(folder, arguments):
    megabytes = arguments.side**2 * 3 / 1e6
    yield '| | MB/s | of which download, s | ratio |'
    yield '|---|---|---|---|'
    stack = Bench(folder, 1)
    try:
        members = mosaic(arguments.side)
        source = stack.girder.createFolder(stack.folder, 'files', parentType='folder')['_id']

        def send(member):
            stack.girder.uploadStreamToFolder(source, io.BytesIO(member[1]), member[0], len(member[1]))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(send, members))
        session, pairs = stack.session(members), []
        for number in range(arguments.rounds):
            with tempfile.TemporaryDirectory(dir=folder) as temporary:
                other = theirs(stack, source, Path(temporary) / f'{number}', arguments.theirs)
            pairs.append((other, stack.finalize(session)[0]))
            stack.again(session)
    finally:
        stack.stop()
    ours = statistics.median(own for _, own in pairs)
    whole = statistics.median(sum(other) for other, _ in pairs)
    fetched = statistics.median(other[0] for other, _ in pairs)
    ratio = statistics.median(sum(other) / own for other, own in pairs)
    yield f'| download and 1.35.6 | {megabytes / whole:.0f} | {fetched:.1f} | |'
    yield f'| finalize | {megabytes / ours:.0f} | | **{ratio:.2f}** |'


def measure_workers(folder, arguments):
    megabytes, members = arguments.side**2 * 3 / 1e6, mosaic(arguments.side)
    stacks = [Bench(folder, workers) for workers in (1, 2)]
    found = []
    try:
        sessions = []
        for stack in stacks:
            stack.girder.put(
                'system/setting',
                parameters={'key': 'zarr.stitch_part_values', 'value': str(arguments.part)},
            )
            stack.pin()
            sessions.append(stack.session(members))
        for _ in range(arguments.rounds):
            found.append([stack.finalize(one)[0] for stack, one in zip(stacks, sessions, strict=True)])
            for stack, one in zip(stacks, sessions, strict=True):
                stack.again(one)
    finally:
        for stack in stacks:
            stack.stop()
    yield '| workers, a processor each | MB/s | ratio |'
    yield '|---|---|---|'
    ratio = statistics.median(one / two for one, two in found)
    for workers, at in ((1, 0), (2, 1)):
        rate = statistics.median(megabytes / times[at] for times in found)
        yield f'| {workers} | {rate:.0f} | {f"**{ratio:.2f}**" if at else ""} |'


def measure_phases(folder, arguments):
    noted = Path(folder) / 'phases.jsonl'
    hooks = str(Path(__file__).with_name('phases'))
    plugin = [str(Path(arguments.before) / 'plugin')] if arguments.before else []
    os.environ |= {'PYTHONPATH': os.pathsep.join([hooks, *plugin]), 'FINALIZE_PHASES': str(noted)}
    stack = Bench(folder, 1)
    try:
        for kind in ('png', 'npy'):
            session = stack.session(mosaic(arguments.side, kind))
            for _ in range(2):  # the first imports what it needs
                begun, idle = time.time(), idle_seconds()
                seconds, _ = stack.finalize(session)
                stack.again(session)
                time.sleep(2)
            found = json.loads(noted.read_text().splitlines()[-1])
            yield from ('', f'{kind}: {seconds:.2f} s', '')
            yield from ('| phase | s | worker s | idle s |', '|---|---|---|---|')
            before = (begun, found['edges'][0][3], idle)
            for name, _, *now in found['edges']:
                values = ' | '.join(f'{b - a:.2f}' for a, b in zip(before, now, strict=True))
                yield f'| {name} | {values} |'
                before = now
            yield from ('', '| thread | s | at work | ready | waiting |', '|---|---|---|---|---|')
            for name, (clock, ran, queued) in found['threads'].items():
                rest = clock - ran - queued
                yield f'| {name} | {clock:.2f} | {ran:.2f} | {queued:.2f} | {rest:.2f} |'
            yield from ('', '| step | times | s | of the processor |', '|---|---|---|---|')
            for name, (count, clock, ran) in found['steps'].items():
                yield f'| {name} | {count} | {clock:.2f} | {ran:.2f} |'
    finally:
        stack.stop()
        del os.environ['PYTHONPATH'], os.environ['FINALIZE_PHASES']


def idle_seconds():
    """Return for how long the processors were idle, or waited for a disk, in sum."""
    with Path('/proc/stat').open() as stat:
        return sum(int(one) for one in stat.readline().split()[4:6]) / os.sysconf('SC_CLK_TCK')


def measure_patches(folder, arguments):
    yield '| patches of 64 x 64 | ms a patch | peak MB of the worker |'
    yield '|---|---|---|'
    stack = Bench(folder, 1)
    try:
        count = 1000
        while count <= arguments.most:
            side = int(np.ceil(count**0.5))
            members = []
            for number in range(count):
                pixels = np.full((64, 64), number % 251, np.uint8)
                pixels[0, :8] = np.frombuffer(number.to_bytes(8, 'little'), np.uint8)
                stream = io.BytesIO()
                np.save(stream, pixels, allow_pickle=False)
                members.append((f'x{number % side * 64}_y{number // side * 64}.npy', stream.getvalue()))
            seconds, peak = stack.finalize(stack.session(members))
            yield f'| {count} | {1000 * seconds / count:.2f} | {peak:.0f} |'
            count *= 10
    finally:
        stack.stop()


MEASURES = {
    'speed': measure_speed, 'theirs': measure_theirs, 'workers': measure_workers, 'phases': measure_phases,
    'patches': measure_patches,
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--only', nargs='*', default=[name for name in MEASURES if name != 'phases'], choices=list(MEASURES)
    )
    parser.add_argument('--side', type=int, default=16384)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--part', type=int, default=2**25, help='values of a part in "workers"')
    parser.add_argument('--most', type=int, default=100_000)
    parser.add_argument('--before', help='a checkout of another version, for "speed"')
    parser.add_argument('--theirs', help='an interpreter with large-image-source-zarr 1.35.6')
    parser.add_argument('--output', type=Path)
    arguments = parser.parse_args()
    day, cores = time.strftime('%Y-%m-%d'), len(os.sched_getaffinity(0))
    said = (
        f'{day}, {cores} cores, Python {platform.python_version()}, load before '
        f'{os.getloadavg()[0]:.1f}, `python benchmarks/finalize.py --side {arguments.side} '
        f'--rounds {arguments.rounds}`: {arguments.side} x {arguments.side} RGB pixels in patches of {PATCH}.'
    )
    lines = [said]
    for name in arguments.only:
        if name == 'theirs' and not arguments.theirs:
            continue
        with tempfile.TemporaryDirectory() as folder:
            lines.append('')
            for line in MEASURES[name](folder, arguments):
                lines.append(line)
                print(line, flush=True)
    if arguments.output:
        text = arguments.output.read_text()
        before, rest = text.split(BEGIN)
        arguments.output.write_text(before + '\n'.join([BEGIN, *lines, END]) + rest.split(END)[1])


if __name__ == '__main__':
    main()
