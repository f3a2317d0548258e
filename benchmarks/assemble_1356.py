"""What a user of large-image-source-zarr 1.35.6 writes: a folder of tiles into one file.

    python assemble_1356.py FOLDER OUT

The tiles are PNGs called ``x{X}_y{Y}.png``. Everything but ``lossy`` is left at the defaults of 1.35.6.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

import large_image_source_zarr


def main(folder, out):
    Image.MAX_IMAGE_PIXELS = None
    sink = large_image_source_zarr.new()
    paths = sorted(Path(folder).glob('*.png'))
    # so that the image is of its final size from the first tile on, which is to its advantage
    places = {path: [int(part[1:]) for part in path.stem.split('_')] for path in paths}
    last = max(paths, key=lambda path: places[path][::-1])

    def add(path):
        x, y = places[path]
        sink.addTile(np.asarray(Image.open(path)), x=x, y=y)

    add(last)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(add, [path for path in paths if path != last]))
    sink.write(out, lossy=False)


if __name__ == '__main__':
    main(*sys.argv[1:])
