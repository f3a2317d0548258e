"""Tiles one after the other in a script that does nothing else, as users write them.

    python plain.py WHO INPUT

WHO and the line of JSON on standard output are those of `reading.py`. A script of its own, since the speed of
a main thread depends on what the process has done before: glibc gives the memory of a tile that is dropped
back to the system, or keeps it, by where it lies.
"""

import importlib
import json
import statistics
import sys
import time
from pathlib import Path

who, folder = sys.argv[1], Path(sys.argv[2])
if who == 'by_hand':
    import imagecodecs
    import numpy as np

    def tile(x, y):
        data = imagecodecs.blosc_decode((folder / '0' / f'{y}.{x}.0').read_bytes(), numthreads=1)
        return np.frombuffer(data, np.uint8).reshape(512, 512, 3)
else:
    source = importlib.import_module(who).open(str(folder / '.zattrs'), noCache=True)

    class NothingKept(dict):
        def __setitem__(self, key, value):
            pass

    source.cache, source.cache_lock = NothingKept(), None
    top = source.levels - 1

    def tile(x, y):
        return source.getTile(x, y, top, numpyAllowed='always')


found = []
for _ in range(12):
    wall, cpu = time.perf_counter(), time.process_time()
    for y in range(8):
        for x in range(8):
            tile(x, y)
    found.append(((time.perf_counter() - wall) / 64, (time.process_time() - cpu) / 64))
wall, cpu = (statistics.median(one) for one in zip(*found[2:], strict=True))
print(json.dumps({'wall': wall, 'cpu': cpu}))
