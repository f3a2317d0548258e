"""Reading with girder_zarr, with large-image-source-zarr 1.35.6 and by hand, in turn, in one run.

    python compare_reading.py OURS_PYTHON THEIRS_PYTHON [--rounds 15] [--output FILE]

Three processes stay up and are asked for the same work one after the other; a row gives the medians of the
processor time, and the medians of the ratios within each round. The machine is shared: times of the clock
are given as ratios only. With --output, the table replaces what is between the marks in that file.
"""

import argparse
import datetime as dt
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
HEAD = (
    '| work | 1.35.6, ms | girder_zarr, ms | by hand, ms | 1.35.6 / ours, processor | the same, clock '
    '| ours / by hand, processor | the same, clock |'
)
BEGIN, END = '<!-- reading: begin -->', '<!-- reading: end -->'
#: 8 x 8 tiles of either kind; a slide has glass of one color around smooth tissue, as scanned sections have.
MAKE_INPUT = """
import sys
import numpy as np
from PIL import Image, ImageFilter
import large_image_source_zarr as module
kind, path, folder = sys.argv[1:]
sys.path.insert(0, folder)
from work import TILE, tile

def blurred(random, radius):
    noise = Image.fromarray(random.integers(0, 256, (TILE, TILE), np.uint8))
    field = np.asarray(noise.filter(ImageFilter.GaussianBlur(radius)), float)
    return (field - field.min()) / (field.max() - field.min())

def slide(seed):
    random = np.random.default_rng(seed)
    texture = blurred(random, 2)[..., None] * (60, 110, 70) + (130, 60, 130)
    return np.where(blurred(random, 30)[..., None] > 0.5, texture, 243).astype(np.uint8)

make = slide if kind == 'slide' else lambda seed: tile(seed, (TILE, TILE, 3))
tiles = [make(seed) for seed in range(8)]
sink = module.new()
for number in range(64):
    sink.addTile(tiles[number % 8], x=number % 8 * TILE, y=number // 8 * TILE)
sink.mm_x = sink.mm_y = 0.00025
sink.write(path, lossy=False)
"""
KINDS = {'noise': 'Noise, which does not become smaller', 'slide': 'A slide, half of it glass'}
#: What both packages do, and what of it can be done by hand.
WORKS = {
    'open': None,
    'numpy': 'read + decode',
    'numpy, main thread': 'read + decode, main thread',
    'numpy, plain script': 'plain script',
    'numpy, 2 threads': 'read + decode, 2 threads',
    'JPEG': 'read + decode + encode',
    'JPEG, 2 threads': 'read + decode + encode, 2 threads',
    'thumbnail': None,
    'region': None,
    'region JPEG': None,
    'reduced region': None,
    'histogram': None,
}
#: What depends on what the image holds.
EACH_KIND = ('numpy', 'numpy, main thread', 'numpy, plain script', 'numpy, 2 threads', 'JPEG')
MAIN, PLAIN = ', main thread', 'plain script'
LIMITS = ('memory copy', 'decode', 'read + decode', 'encode')


class Worker:
    def __init__(self, python, who, path):
        self.made_of = python, who, path
        self.process = subprocess.Popen(
            [python, '-W', 'ignore', HERE / 'reading.py', who, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, work):
        self.process.stdin.write(work + '\n')
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def rounds(workers, work, count):
    """Ask all workers in turn; the first round warms up."""
    asked = {who: WORKS[work] if who == 'by_hand' else work for who in workers}
    found = [{who: ask(workers[who], name) for who, name in asked.items() if name} for _ in range(count + 1)]
    return found[1:]


def ask(worker, work):
    """Ask a worker, or a new process of its kind where all is done by the process's main thread.

    How soon the C library gives a main thread's memory back depends on what the process did before.
    """
    if work.endswith(PLAIN):
        python, who, path = worker.made_of
        script = [python, '-W', 'ignore', HERE / 'plain.py', who, path]
        return json.loads(subprocess.run(script, check=True, stdout=subprocess.PIPE).stdout)
    if not work.endswith(MAIN):
        return worker.ask(work)
    fresh = Worker(*worker.made_of)
    try:
        fresh.ask(work)
        return fresh.ask(work)
    finally:
        fresh.close()


def median_ratio(found, first, second, clock):
    return statistics.median(one[first][clock] / one[second][clock] for one in found)


def row(work, found):
    def milliseconds(who):
        return f'{statistics.median(one[who]["cpu"] for one in found) * 1e3:.3g}' if who in found[0] else ''

    cells = [milliseconds(who) for who in ('theirs', 'ours', 'by_hand')]
    cells += [f'**{median_ratio(found, "theirs", "ours", clock):.2f}**' for clock in ('cpu', 'wall')]
    for clock in ('cpu', 'wall'):
        cells.append(f'{median_ratio(found, "ours", "by_hand", clock):.2f}' if 'by_hand' in found[0] else '')
    return f'| {work} | {" | ".join(cells)} |'


def scaling(results, who, work):
    """How many times the tiles of one thread two serve, by the best rounds of each."""
    one, two = (min(found[who]['wall'] for found in results[name]) for name in (work, f'{work}, 2 threads'))
    return one / two


def part(workers, kind, count):
    """Return the rows of one image, and the limits that it meets."""
    lines = ['', f'{KINDS[kind]}:', '', HEAD, '|---|---|---|---|---|---|---|---|']
    results = {}
    for work in WORKS if kind == 'noise' else EACH_KIND:
        results[work] = rounds(workers, work, count)
        lines.append(row(work, results[work]))
        print(lines[-1], flush=True)
    lines += ['', 'Two threads to one, by the best round of each (less where others use the cores):', '']
    for work in ('numpy', 'JPEG'):
        if f'{work}, 2 threads' in results:
            each = ', '.join(f'{who.replace("_", " ")} {scaling(results, who, work):.2f}' for who in workers)
            lines.append(f'- {work}: {each}')
    hand = [workers['by_hand'].ask(limit)['cpu'] * 1e3 for limit in LIMITS for _ in range(2)][1::2]
    limits = ', '.join(f'{limit} {time:.3g}' for limit, time in zip(LIMITS, hand, strict=True))
    return [*lines, '', f'The limits, ms of processor time for a chunk of 512 x 512 x 3: {limits}.']


def table(arguments, folder):
    lines = [
        BEGIN,
        f'{dt.datetime.now(dt.UTC).date()}, {os.cpu_count()} cores, Python {platform.python_version()},',
        f'`python benchmarks/compare_reading.py OURS_PYTHON THEIRS_PYTHON --rounds {arguments.rounds}`',
        '(part of `make bench`).',
        'Milliseconds of processor time for one; ratios are medians over the rounds.',
    ]
    for kind in KINDS:
        path = folder / f'{kind}.zarr'
        subprocess.run([arguments.theirs, '-W', 'ignore', '-c', MAKE_INPUT, kind, path, HERE], check=True)
        workers = {
            'theirs': Worker(arguments.theirs, 'large_image_source_zarr', path),
            'ours': Worker(arguments.ours, 'girder_zarr.image', path),
            'by_hand': Worker(arguments.ours, 'by_hand', path),
        }
        try:
            lines += part(workers, kind, arguments.rounds)
        finally:
            for worker in workers.values():
                worker.close()
    return [*lines, END]


def put(path, lines):
    """Replace what stands between the marks, or add it."""
    text = path.read_text(encoding='utf-8') if path.exists() else '# Benchmarks\n\n'
    before, begin, rest = text.partition(BEGIN)
    after = rest.partition(END)[2] if begin else '\n'
    path.write_text(before + '\n'.join(lines) + after, encoding='utf-8')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('ours')
    parser.add_argument('theirs')
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--output', type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix='bench-girder-zarr-') as name:
        lines = table(arguments, Path(name))
    print('\n'.join(lines), file=sys.stderr)
    if arguments.output:
        put(arguments.output, lines)


if __name__ == '__main__':
    main()
