"""Notes when a worker passes the phases of a job, and what its threads wait for; see `finalize.py`.

Python imports this where its folder is in PYTHONPATH. Nothing is changed but that functions are timed.
"""

import functools
import importlib
import importlib.abc
import importlib.util
import json
import os
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

#: Functions in whose beginning, or after whose end, a phase ends: module, name, is it the end, which phase.
EDGES = (
    ('server.jobs.run', 'run_attempt', False, 'request, message, worker'),
    ('server.jobs.run', 'list_patches', False, 'lease, job, leftovers'),
    ('server.jobs.run', 'assemble_file', False, 'list of patches, plan'),
    ('stitch.output.assemble', 'write_image', True, 'blocks of all levels'),
    ('server.jobs.run', 'verify_file', False, 'end of the file, sync, rename'),
    ('server.jobs.run', 'verify_file', True, 'samples read back'),
    ('server.storage.durable_files', '_hash_of', True, 'item, upload, the last of the hash'),
    ('server.jobs.publish', 'send_path', True, 'file stored'),
    ('server.jobs.publish', 'make_durable', True, 'synced again'),
    ('server.jobs.run', '_write_and_publish', True, 'session complete'),
    ('server.jobs.run', 'run_attempt', True, 'cleaned up (after the end)'),
)
#: Steps of the blocks: module, class or None, function.
STEPS = (
    ('image.write.blocks', 'Watch', 'check'),
    ('image.write.blocks', 'Watch', 'done'),
    ('image.write.blocks', 'Blocks', 'half'),
    ('image.write.encode', 'ChunkEncoder', 'encode'),
    ('image.write.outlet', 'ZipOutlet', 'put'),
    ('server.patches.reader', None, 'open_picture'),
    ('server.patches.reader', None, '_decoded'),
    ('stitch.blend.block_maker', None, '_put'),
)
TARGET = os.environ.get('FINALIZE_PHASES')
edges, steps = [], defaultdict(lambda: [0, 0.0, 0.0])
threads = {}


def idle_seconds():
    """Return for how long the processors of the machine were idle, or waited for a disk, in sum."""
    with Path('/proc/stat').open() as stat:
        return sum(int(one) for one in stat.readline().split()[4:6]) / os.sysconf('SC_CLK_TCK')


def scheduled():
    """Return the time, and for how long this thread had a processor and waited for one, in seconds."""
    with Path(f'/proc/self/task/{threading.get_native_id()}/schedstat').open() as stat:
        ran, queued, _ = (int(one) / 1e9 for one in stat.read().split())
    return time.time(), ran, queued


def edge(name, *, is_end):
    edges.append((name, is_end, time.time(), time.process_time(), idle_seconds()))


def timed(owner, name, wanted):
    function = getattr(owner, name)

    @functools.wraps(function)
    def call(*arguments, **options):
        if False in wanted:
            edge(wanted[False], is_end=False)
        if name == 'run_attempt':
            steps.clear()
            threads.clear()
        try:
            if name == 'write_image':
                return noted(lambda: function(*arguments, **options))
            return function(*arguments, **options)
        finally:
            if True in wanted:
                edge(wanted[True], is_end=True)
            if name == 'run_attempt':
                save()

    setattr(owner, name, call)


def summed(owner, name):
    function = getattr(owner, name)

    @functools.wraps(function)
    def call(*arguments, **options):
        clock, processor = time.perf_counter(), time.thread_time()
        try:
            return function(*arguments, **options)
        finally:
            found = steps[name]
            found[0] += 1
            found[1] += time.perf_counter() - clock
            found[2] += time.thread_time() - processor

    setattr(owner, name, call)


def noted(work):
    """Return what work returns, and note what this thread uses and waits for meanwhile."""
    name, before = f'{threading.current_thread().name} {threading.get_native_id()}', scheduled()
    try:
        return work()
    finally:
        threads[name] = [b - a for a, b in zip(before, scheduled(), strict=True)]


def save():
    with Path(TARGET).open('a') as file:
        file.write(json.dumps({'edges': edges, 'steps': steps, 'threads': threads}) + '\n')
    edges.clear()


def install():
    wanted = defaultdict(dict)
    for module, name, is_end, phase in EDGES:
        wanted[module, name][is_end] = phase
    for (module, name), phases in wanted.items():
        timed(importlib.import_module(f'girder_zarr.{module}'), name, phases)
    for module, kind, name in STEPS:
        found = importlib.import_module(f'girder_zarr.{module}')
        summed(found if kind is None else getattr(found, kind), name)
    run = threading.Thread.run
    threading.Thread.run = lambda self: noted(lambda: run(self))


class Finder(importlib.abc.MetaPathFinder):
    """Installs all that when the module of the jobs has been imported."""

    is_looking = False

    def find_spec(self, name, *_):
        if name != 'girder_zarr.server.jobs.run' or self.is_looking:
            return None
        self.is_looking = True
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_install(module):
            execute(module)
            install()

        spec.loader.exec_module = execute_and_install
        return spec


if TARGET:
    sys.meta_path.insert(0, Finder())
