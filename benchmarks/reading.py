"""Reading, timed in whichever environment runs this file: our package, large-image-source-zarr, or by hand.

    python reading.py WHO INPUT

WHO is ``girder_zarr.image``, ``large_image_source_zarr`` or ``by_hand``. Reads names of work from standard
input, one a line, does each once and answers with one line of JSON: seconds on the wall, seconds of processor
time over all threads, and the number of things done. run.py asks all three in turn, many times over, so that
what else happens on the machine happens to each of them.
"""

import importlib
import json
import sys
import threading
import time
from pathlib import Path

import numpy as np

#: Chunks of the full resolution along y and x; see MAKE_INPUT in run.py.
GRID = 8
#: Ends the name of a work that is done by the first thread of the process.
MAIN = ', main thread'
PLACES = [(x, y) for y in range(GRID) for x in range(GRID)]


class NothingKept:
    """Stands in for large_image's tile cache: takes everything, has nothing, so that each tile is made."""

    def __getitem__(self, key):
        raise KeyError(key)

    def __setitem__(self, key, value):
        pass


def in_threads(function, shares):
    """Run function(share) for each share in a thread of its own, as servers do.

    The C library takes memory for the first thread of a process from elsewhere, and hands it back sooner.
    """
    threads = [threading.Thread(target=function, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Package:
    """Either package through large_image's interface."""

    def __init__(self, module, path):
        self.module = importlib.import_module(module)
        self.path = str(path / '.zattrs')
        self.source = self.opened()

    def opened(self, **kwargs):
        source = self.module.open(self.path, noCache=True, **kwargs)
        source.cache, source.cache_lock = NothingKept(), None
        return source

    def tiles(self, threads=1, **kwargs):
        level = self.source.levels - 1

        def get(places):
            for x, y in places:
                self.source.getTile(x, y, level, **kwargs)

        in_threads(get, [PLACES[k::threads] for k in range(threads)])
        return len(PLACES)

    def open_often(self):
        for _ in range(10):
            self.opened()
        return 10

    def thumbnail(self):
        for _ in range(5):
            self.source.getThumbnail(width=256, height=256)
        return 5

    def region(self, **kwargs):
        box = {'left': 700, 'top': 300, 'width': 1500, 'height': 1500}
        for _ in range(4):
            self.source.getRegion(region=box, **kwargs)
        return 4

    def reduced_region(self):
        self.source.getRegion(output={'maxWidth': 700, 'maxHeight': 700}, format='numpy')
        return 1

    def histogram(self):
        # A source keeps what it found, so it is a new one each time.
        self.opened().histogram(bins=256)
        return 1

    WORKS = {
        'open': open_often,
        'numpy': lambda self: self.tiles(numpyAllowed='always'),
        'numpy, 2 threads': lambda self: self.tiles(2, numpyAllowed='always'),
        'JPEG': tiles,
        'JPEG, 2 threads': lambda self: self.tiles(2),
        'thumbnail': thumbnail,
        'region': lambda self: self.region(format='numpy'),
        'region JPEG': region,
        'reduced region': reduced_region,
        'histogram': histogram,
    }


class ByHand:
    """What no tile source can go below: the same chunks with plain calls of the fastest codecs there are."""

    def __init__(self, _module, path):
        import imagecodecs

        self.codecs = imagecodecs
        self.names = {(x, y): path / '0' / f'{y}.{x}.0' for x, y in PLACES}
        self.stored = {place: name.read_bytes() for place, name in self.names.items()}
        self.pixels = {place: self._decode(data) for place, data in self.stored.items()}

    def _decode(self, data):
        out = np.empty(512 * 512 * 3, np.uint8)
        self.codecs.blosc_decode(data, numthreads=1, out=out)
        return out.reshape(512, 512, 3)

    def _read(self, place):
        return self._decode(self.names[place].read_bytes())

    def _read_encode(self, place):
        return self._encode(self._read(place))

    def _encode(self, pixels):
        return self.codecs.jpeg8_encode(pixels, level=95, subsampling='444')

    def _each(self, function, threads=1):
        def work(places):
            for place in places:
                function(place)

        in_threads(work, [PLACES[k::threads] for k in range(threads)])
        return len(PLACES)

    WORKS = {
        'memory copy': lambda self: self._each(lambda place: self.pixels[place].copy()),
        'decode': lambda self: self._each(lambda place: self._decode(self.stored[place])),
        'read + decode': lambda self: self._each(self._read),
        'read + decode, 2 threads': lambda self: self._each(self._read, 2),
        'encode': lambda self: self._each(lambda place: self._encode(self.pixels[place])),
        'read + decode + encode': lambda self: self._each(self._read_encode),
        'read + decode + encode, 2 threads': lambda self: self._each(self._read_encode, 2),
    }


def measured(worker, name):
    amounts = []
    work = worker.WORKS[name.removesuffix(MAIN)]
    wall, cpu = time.perf_counter(), time.process_time()
    if name.endswith(MAIN):
        amounts.append(work(worker))
    else:
        in_threads(lambda work: amounts.append(work(worker)), [work])
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {'wall': wall / amounts[0], 'cpu': cpu / amounts[0]}


def main():
    who, folder = sys.argv[1:3]
    worker = (ByHand if who == 'by_hand' else Package)(who, Path(folder))
    for line in sys.stdin:
        print(json.dumps(measured(worker, line.strip())), flush=True)


if __name__ == '__main__':
    main()
