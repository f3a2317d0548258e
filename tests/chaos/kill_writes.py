"""Kill a process at random moments while it writes an image over an older one, and look at what is left.

    python tests/chaos/kill_writes.py [--kills 100] [--seed 0] [--suffixes .zip .ozx .tiff]

`.tiff` needs the extra `converter`, and is left out where it is missing.

What must hold after every kill: the target is the old image, or the new one whole; and where there was no old
image, none. A directory (.zarr) may be missing for an instant on systems that cannot let two names
change places: 'between', with the old one beside it. Prints a table; ends with 1 where a rule was broken.
"""

from __future__ import annotations

import argparse
import collections
import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import tifffile
import zarr

from girder_zarr.image.store.stores import open_store

SUFFIXES = ('.zip', '.ozx', '.db', '.zarr', '.tiff')
SIDE = 3000
OLD, NEW = 1, 2

CHILD = f"""
import sys
import numpy as np
import girder_zarr.image as gz

value = int(sys.argv[2])
source = gz.new()
pixels = np.random.default_rng(value).integers(0, 200, ({SIDE}, {SIDE}, 3), np.uint8)
pixels[0, 0] = value
source.addTile(pixels)
print('ready', flush=True)
sys.stdin.readline()
source.write(sys.argv[1], lossy=False)
print('done', flush=True)
"""


def child(target: Path, value: int) -> subprocess.Popen[str]:
    """Start a process that is about to write, and wait until it is."""
    environment = {**os.environ, 'TMPDIR': str(target.parent.parent / 'temporary')}
    process = subprocess.Popen(
        [sys.executable, '-W', 'ignore', '-c', CHILD, str(target), str(value)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == 'ready\n'
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write('\n')
    process.stdin.flush()


def seconds_to_write(target: Path, value: int) -> float:
    """Write an image to its end; return how long that took."""
    process = child(target, value)
    start = time.perf_counter()
    go(process)
    assert process.stdout is not None
    assert process.stdout.readline() == 'done\n'
    taken = time.perf_counter() - start
    process.communicate()
    return taken


def read_zarr(target: Path) -> tuple[np.ndarray, int]:
    """Return the full resolution (y, x, band) and how many levels there are, all of which are read."""
    group = zarr.open_group(open_store(target), mode='r')
    levels = [np.asarray(group[name][:]) for name in sorted(group.array_keys())]
    return np.moveaxis(levels[0], 0, -1), len(levels)


def read_tiff(target: Path) -> tuple[np.ndarray, int]:
    """Do the same with a TIFF."""
    with tifffile.TiffFile(target) as tiff:
        levels = [np.asarray(page.asarray()) for page in tiff.pages]
    return levels[0], len(levels)


def can_convert() -> bool:
    """Whether large_image_converter and libvips are there."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            for name in ('pyvips', 'large_image_converter'):
                importlib.import_module(name)
    except (ImportError, OSError):
        return False
    return True


def state_of(target: Path) -> str:
    """Return 'none', 'old' or 'new', or what is wrong: every pixel of the full resolution is read."""
    if not os.path.lexists(target):
        return 'none'
    try:
        pixels, levels = read_tiff(target) if target.suffix == '.tiff' else read_zarr(target)
    except Exception as exc:  # noqa: BLE001 - whatever it is, the file is broken
        return f'BROKEN: {type(exc).__name__}: {exc}'
    for value, name in ((OLD, 'old'), (NEW, 'new')):
        expected = np.random.default_rng(value).integers(0, 200, (SIDE, SIDE, 3), np.uint8)
        expected[0, 0] = value
        if pixels.shape == expected.shape and (pixels == expected).all():
            return name if levels >= 4 else f'BROKEN: {levels} levels'
    return 'BROKEN: other pixels'


def kill_once(folder: Path, suffix: str, old: Path | None, moment: float) -> tuple[str, bool]:
    """Return what is left of the target, and whether the write was still at work when it was killed."""
    work = folder / 'work'
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    target = work / f'image{suffix}'
    if old is not None:
        (shutil.copytree if old.is_dir() else shutil.copyfile)(old, target)
    process = child(target, NEW)
    go(process)
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate()
    state = state_of(target)
    if state == 'none' and old is not None and suffix == '.zarr':
        kept = [path for path in work.iterdir() if state_of(path) == 'old']
        state = 'between' if kept else 'BROKEN: neither old nor new'
    return state, 'done' not in rest


def allowed(state: str, *, existed: bool) -> bool:
    return state in ({'old', 'new', 'between'} if existed else {'none', 'new'})


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--kills', type=int, default=100)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--suffixes', nargs='+', default=SUFFIXES)
    options = parser.parse_args(arguments)
    if '.tiff' in options.suffixes and not can_convert():
        print('.tiff is left out: it needs the extra converter', file=sys.stderr)
        options.suffixes = [suffix for suffix in options.suffixes if suffix != '.tiff']
    rng = random.Random(options.seed)
    counts: dict[tuple[str, bool], collections.Counter[str]] = collections.defaultdict(collections.Counter)
    interrupted, broken = 0, 0
    with tempfile.TemporaryDirectory(prefix='girder-zarr-chaos-') as name:
        folder = Path(name)
        for part in ('temporary', 'olds'):
            (folder / part).mkdir()
        olds, spans = {}, {}
        for suffix in options.suffixes:
            olds[suffix] = folder / 'olds' / f'old{suffix}'
            spans[suffix] = seconds_to_write(olds[suffix], OLD)
        for number in range(options.kills):
            suffix = options.suffixes[number % len(options.suffixes)]
            existed = number // len(options.suffixes) % 4 != 3
            moment = rng.random() * spans[suffix] * 1.1
            state, at_work = kill_once(folder, suffix, olds[suffix] if existed else None, moment)
            interrupted += at_work
            counts[suffix, existed][state] += 1
            if not allowed(state, existed=existed):
                broken += 1
                print(f'kill {number} of {suffix} after {moment:.3f} s left: {state}', file=sys.stderr)
    print('| target | an old image was there | left: old | new | none | between |')
    print('|---|---|---|---|---|---|')
    for (suffix, existed), found in sorted(counts.items()):
        cells = ' | '.join(str(found[state]) for state in ('old', 'new', 'none', 'between'))
        print(f'| {suffix} | {"yes" if existed else "no"} | {cells} |')
    print(
        f'\n{options.kills} kills, {interrupted} of them while the write was at work; {broken} broke a rule.'
    )
    return 1 if broken else 0


if __name__ == '__main__':
    sys.exit(main())
