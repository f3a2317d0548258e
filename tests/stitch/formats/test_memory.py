"""What patches cost, measured in processes of their own: the most memory that each of them ever took."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
HEAD = """
import io, sys, threading
import imagecodecs, numpy as np
from support import hostile_files as hostile
from girder_zarr.common import budget
from girder_zarr.stitch.formats import registry
from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.preview import patch_overview

def highest():
    for line in open('/proc/self/status'):
        if line.startswith('VmHWM'):
            return int(line.split()[1]) * 1024

def npy_of(shape, compress):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {'shape': shape, 'fortran_order': False, 'descr': '|u1'})
    return compress(head.getvalue(), int(np.prod(shape)))

def zstd(head, count):
    # frames one after the other, so that this process never has the pixels either
    part = bytes(imagecodecs.zstd_encode(bytes(2**20)))
    return bytes(imagecodecs.zstd_encode(head)) + part * (count // 2**20)
"""


def grown(code: str) -> int:
    """Return how many bytes a program has taken at most, beyond what it had after its imports."""
    program = HEAD + 'before = highest()\n' + code + '\nprint(highest() - before)\n'
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', program],
        check=False,
        capture_output=True,
        text=True,
        env={'PYTHONPATH': f'{TESTS}:{TESTS.parent / "plugin"}', 'PATH': '/usr/bin:/bin'},
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')


def test_checking_a_compressed_patch_takes_no_memory() -> None:
    code = 'registry.inspect(io.BytesIO(npy_of((16384, 16384, 4), zstd)))'
    assert grown(code) < 30e6


def test_overviews_of_a_large_patch_are_made_from_rows() -> None:
    code = """
patch = Patch('a', Placement.make(3, 5), (16384, 16384, 1), 'uint8')
data = io.BytesIO(npy_of((16384, 16384), zstd))
made = patch_overview.make_overviews(patch, registry.decode_rows(data))
assert made[2].shape == (4097, 4097, 1), made[2].shape
"""
    # 268 MB of pixels; the overviews themselves have 17 + 4 MB
    assert grown(code) < 120e6


def test_threads_decode_no_more_at_a_time_than_the_budget() -> None:
    code = """
budget.follow(lambda: 120 * 2**20)
data = npy_of((6144, 6144), zstd)
def work():
    registry.decode(io.BytesIO(data))
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    # 38 MB each; without the budget all eight are there at once
    assert grown(code) < 120e6


@pytest.mark.parametrize(
    'made',
    [
        'hostile.tiff_of(hostile.jpeg_saying(), 7)',
        'hostile.tiff_of(hostile.jpeg2k_saying(), 34712)',
        'hostile.tiff_of(hostile.jxl_of(), 50002)',
        'hostile.tiff_of_directories(50_000)',
        'hostile.png_with(hostile.png_header(20_000, 20_000))',
        'hostile.jpeg_of_scans(1000, 64)',
    ],
)
def test_hostile_files_cost_nothing(made: str) -> None:
    code = f"""
data = {made}
before = highest()
for make in (registry.inspect, registry.decode):
    try:
        make(io.BytesIO(data))
    except registry.UnsupportedFormatError:
        pass
    else:
        raise AssertionError
"""
    assert grown(code) < 30e6
