"""Patches sent by the page of a new session in Chromium, beside the Python client, in turns.

    python benchmarks/browser_uploads.py [--tiles 800] [--side 512] [--rounds 3] [--other-page] [--apart]

Tiles are PNGs of noise; both send the same files into a session of the embedded stack. Timed is from the
first request until the server has counted all patches; making the session and looking at the files are not.
Printed are seconds, megabytes a second, and the processor time that the parts of the stack and the client
(Chromium, or this process) took meanwhile. With ``--other-page`` the growing image is not looked at: the page
goes to Girder's list of collections when the upload has begun. With ``--apart`` the stack has the first
processor and the clients the second, as if they were two machines; else whatever the client needs is taken
from the server.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from playwright.sync_api import sync_playwright

from girder_zarr.client import Patch, StitchClient
from preview import Stack

sys.path.insert(0, str(Path(__file__).parent.parent / 'tests'))
from support.browser import FLAGS, Visitor, find_chromium


def make_tiles(folder, count, side):
    """Write tiles whose names give row and column; return {path: (row, column)}."""
    rng = np.random.default_rng(0)
    columns = round(count**0.5)
    found = {}
    for number in range(count):
        pixels = rng.integers(0, 255, (side, side, 3), np.uint8) & 0x3F
        place = divmod(number, columns)
        path = folder / f'tile_{place[0]:02}_{place[1]:02}.png'
        Image.fromarray(pixels).save(path, compress_level=1)
        found[path] = place
    return found


def processor_time(stack):
    """Return the seconds of the stack, and those of this process and the browser."""
    own, stacks = psutil.Process(), psutil.Process(stack.process.pid)
    of_stack = {process.pid: process for process in (stacks, *stacks.children(recursive=True))}
    clients = [one for one in (own, *own.children(recursive=True)) if one.pid not in of_stack]
    return np.array([
        sum(sum(process.cpu_times()[:2]) for process in processes)
        for processes in (of_stack.values(), clients)
    ])  # fmt: skip


def wait_for(stack, session, count):
    while stack.girder.get(f'stitch_session/{session}')['counts']['patches'] < count:
        time.sleep(0.1)


def by_python(stack, folder, tiles, side):
    client = StitchClient(stack.girder)
    session = client.create(folder, 'python')['_id']
    patches = [Patch(path.name, path, x=column * side, y=row * side) for path, (row, column) in tiles.items()]
    before, begun = processor_time(stack), time.perf_counter()
    client.upload(session, patches)
    wait_for(stack, session, len(tiles))
    return time.perf_counter() - begun, processor_time(stack) - before


def by_browser(stack, chromium, folder, tiles, other_page):
    visitor = Visitor(chromium, stack, stack.girder.token)
    try:
        page = visitor.page()
        page.goto(f'{stack.url}#folder/{folder}/stitch')
        page.locator('.g-zarr-drop').wait_for()
        page.locator('.g-zarr-pick-files').first.set_input_files([str(path) for path in tiles])
        page.get_by_text(f'{len(tiles)} of {len(tiles)} names match').wait_for()
        page.get_by_role('button', name='Create the session and upload').click()
        page.wait_for_url('**#stitch_session/*')
        before, begun = processor_time(stack), time.perf_counter()
        session = page.url.rpartition('/')[2]
        if other_page:
            page.evaluate('window.location.hash = "#collections"')
        wait_for(stack, session, len(tiles))
        return time.perf_counter() - begun, processor_time(stack) - before
    finally:
        visitor.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--tiles', type=int, default=800)
    parser.add_argument('--side', type=int, default=512)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--other-page', action='store_true')
    parser.add_argument('--apart', action='store_true')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        scratch = Path(name)
        (scratch / 'tiles').mkdir()
        tiles = make_tiles(scratch / 'tiles', options.tiles, options.side)
        stack = Stack(scratch / 'data')
        # Processes begin on the processors of the one that starts them.
        processors = sorted(os.sched_getaffinity(0))
        if options.apart:
            os.sched_setaffinity(0, processors[:1])
        stack.start()
        if options.apart:
            os.sched_setaffinity(0, processors[1:2])
        chromium = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        try:
            measure(stack, chromium, tiles, options)
        finally:
            stack.stop()
            chromium.close()


def measure(stack, chromium, tiles, options):
    girder = stack.girder
    folder = girder.createFolder(girder.get('user/me')['_id'], 'bench', parentType='user')['_id']
    size = sum(path.stat().st_size for path in tiles) / 1e6
    ways = {
        'python': lambda: by_python(stack, folder, tiles, options.side),
        'browser': lambda: by_browser(stack, chromium, folder, tiles, options.other_page),
    }
    seconds, costs = {way: [] for way in ways}, {way: [] for way in ways}
    for _ in range(options.rounds):
        for way, send in ways.items():
            took, cost = send()
            seconds[way].append(took)
            costs[way].append(cost)
            time.sleep(3)  # overviews of the last patches are made in the background
    for way, found in seconds.items():
        print(
            f'{way}: {statistics.median(found):.2f} s ({min(found):.2f} to {max(found):.2f}), '
            f'{size / statistics.median(found):.0f} MB/s, seconds of processor: '
            '{:.1f} the stack, {:.1f} the client'.format(*np.median(costs[way], axis=0))
        )
    ratios = [python / browser for python, browser in zip(seconds['python'], seconds['browser'], strict=True)]
    print(f'rate of the browser, of that of Python: {statistics.median(ratios):.2f}')


if __name__ == '__main__':
    main()
