"""Patches sent by the page of a new session in Chromium, beside the Python client, in turns.

    python benchmarks/browser_uploads.py [--tiles 400] [--side 512] [--rounds 3] [--other-page]

Tiles are PNGs of noise; both send the same files into a session of the embedded stack. Timed is from the
first request until the server has counted all patches; making the session and looking at the files are not.
Printed are seconds, megabytes a second, and the processor time that the parts of the stack took. With
``--other-page`` the growing image is not looked at meanwhile: the page goes to Girder's list of collections
when the upload has begun.
"""

import argparse
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
    processes = [
        psutil.Process(stack.process.pid),
        *psutil.Process(stack.process.pid).children(recursive=True),
    ]
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def wait_for(stack, session, count):
    while stack.girder.get(f'stitch_session/{session}')['counts']['patches'] < count:
        time.sleep(0.1)


def by_python(stack, folder, tiles, side):
    client = StitchClient(stack.girder)
    session = client.create(folder, 'python')['_id']
    patches = [Patch(path.name, path, x=column * side, y=row * side) for path, (row, column) in tiles.items()]
    begun = time.perf_counter()
    client.upload(session, patches)
    wait_for(stack, session, len(tiles))
    return time.perf_counter() - begun


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
        begun, session = time.perf_counter(), page.url.rpartition('/')[2]
        if other_page:
            page.evaluate('window.location.hash = "#collections"')
        wait_for(stack, session, len(tiles))
        return time.perf_counter() - begun
    finally:
        visitor.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--tiles', type=int, default=400)
    parser.add_argument('--side', type=int, default=512)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--other-page', action='store_true')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        scratch = Path(name)
        (scratch / 'tiles').mkdir()
        tiles = make_tiles(scratch / 'tiles', options.tiles, options.side)
        chromium = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        stack = Stack(scratch / 'data')
        stack.start()
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
            before = processor_time(stack)
            seconds[way].append(send())
            costs[way].append(processor_time(stack) - before)
            time.sleep(3)  # overviews of the last patches are made in the background
    for way, found in seconds.items():
        print(
            f'{way}: {statistics.median(found):.2f} s ({min(found):.2f} to {max(found):.2f}), '
            f'{size / statistics.median(found):.0f} MB/s, {statistics.median(costs[way]):.1f} s of processor'
        )
    ratios = [python / browser for python, browser in zip(seconds['python'], seconds['browser'], strict=True)]
    print(f'rate of the browser, of that of Python: {statistics.median(ratios):.2f}')


if __name__ == '__main__':
    main()
