"""How the cost of images grows with what they hold: n, 4 n and 16 n frames or wells, by processor time.

    python benchmarks/growth_images.py [--frames 100] [--wells 96]

The exponent is that with which the processor time grows: 1 where each frame or well costs the same.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import girder_zarr.image as gz

sys.path.insert(0, str(Path(__file__).parent.parent / 'tests'))
from support.plates import write_plate

STEPS = (1, 4, 16)
ROWS_OF_WELLS = 8


def seconds(work):
    begun = time.process_time()
    work()
    return time.process_time() - begun


def least(work):
    """Return the least seconds of three times, which other programs on the machine have disturbed least."""
    return min(seconds(work) for _ in range(3))


def add_frames(count, *, values):
    """Add small frames to a new image, of which most lie in its temporary file however few they are."""
    source, tile = gz.new(memory=2**22), np.zeros((16, 16), np.uint8)
    for at in range(count):
        source.addTile(tile, 0, 0, z=at, **({'z_value': 0.5 * at} if values else {}))


def frames_of(folder, count):
    """Return an image of many frames, of which no pixel is stored."""
    axes = [{'name': 't', 'type': 'time'}, *({'name': name, 'type': 'space'} for name in 'yx')]
    scale = {'type': 'scale', 'scale': [1, 1, 1]}
    datasets = [{'path': '0', 'coordinateTransformations': [scale]}]
    attributes = {'ome': {'version': '0.5', 'multiscales': [{'axes': axes, 'datasets': datasets}]}}
    array = {
        'zarr_format': 3, 'node_type': 'array', 'shape': [count, 16, 16], 'data_type': 'uint8',
        'chunk_grid': {'name': 'regular', 'configuration': {'chunk_shape': [1, 16, 16]}},
        'chunk_key_encoding': {'name': 'default', 'configuration': {'separator': '/'}},
        'fill_value': 0, 'codecs': [{'name': 'bytes'}], 'dimension_names': ['t', 'y', 'x'],
    }  # fmt: skip
    (folder / '0').mkdir(parents=True)
    group = {'zarr_format': 3, 'node_type': 'group', 'attributes': attributes}
    (folder / 'zarr.json').write_text(json.dumps(group))
    (folder / '0' / 'zarr.json').write_text(json.dumps(array))
    return gz.open(folder, noCache=True)


def measure(folder, frames, wells):
    """Return seconds of processor by row."""
    found = {
        f'addTile, {frames} frames': least(lambda: add_frames(frames, values=False)),
        f'addTile with values, {frames} frames': least(lambda: add_frames(frames, values=True)),
    }
    image = frames_of(folder / 'frames.zarr', 10 * frames)
    found[f'frame list, {10 * frames} frames'] = seconds(image.getMetadata)
    found['the same again'] = least(image.getMetadata)
    path = write_plate(folder / 'plate.zarr', ROWS_OF_WELLS, wells // ROWS_OF_WELLS, 1)
    plate = gz.open(path, noCache=True)
    found[f'internal metadata, {wells} wells'] = seconds(plate.getInternalMetadata)
    found['those again'] = least(plate.getInternalMetadata)
    overview = gz.open(path, noCache=True, series='overview')
    tile = seconds(lambda: overview.getTile(0, 0, 0, numpyAllowed='always'))
    found[f'first tile of the overview, {wells} wells'] = tile
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--frames', type=int, default=100)
    parser.add_argument('--wells', type=int, default=96)
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder) / 'first', 8, 8)  # imports
        for step in STEPS:
            place = Path(folder) / str(step)
            results.append(measure(place, step * arguments.frames, step * arguments.wells))
    print('| ms of processor | n | 4 n | 16 n | exponent |\n|---|---|---|---|---|')
    for row, *costs in zip(results[0], *(result.values() for result in results), strict=True):
        grown = math.log(max(costs[-1], 1e-6) / max(costs[0], 1e-6)) / math.log(STEPS[-1])
        print(f'| {row} | {" | ".join(f"{1000 * cost:.1f}" for cost in costs)} | {grown:.2f} |')


if __name__ == '__main__':
    main()
