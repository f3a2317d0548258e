"""Tiles of eight channels in their colours, added up, as the page of an item asks for them.

    python benchmarks/composite.py [--side 4096] [--tiles 40] [--channels 8]

On the embedded stack, over HTTP: JPEGs of 512 x 512 of a zarr of uint16 with an omero, with a style of all
its channels, no tile twice, so that none is cached. Said are, for the full resolution and the level below,
the median and the slowest of the times of a tile, and the processor time that all parts of the stack spend
for one; and that of its parts in this process: chunks to pixels, channels added up, JPEG.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import psutil
import requests

import girder_zarr.image as gz
from girder_zarr.image.render.composite import add_up
from girder_zarr.image.render.display import encode_jpeg
from preview import Stack

TILE = 512
COLORS = ('0000FF', '00FF00', 'FF0000', '00FFFF', 'FF00FF', 'FFFF00', 'FFFFFF', 'FF8000')


def plane_of(channel, side):
    """Return an image of cells, dim and bright ones, with the noise of a camera: (y, x) of uint16."""
    random = np.random.default_rng(channel)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    waves = np.sin(y / (30 + 3 * channel)) * np.cos(x / (25 + 2 * channel))
    return (200 + 3000 * np.clip(waves, 0, 1) ** 2 + random.normal(0, 20, (side, side))).astype(np.uint16)


def write(path, channels, side):
    """Write the image; its omero has a colour and a window for each channel."""
    image = gz.new()
    for channel in range(channels):
        image.addTile(plane_of(channel, side), x=0, y=0, c=channel)
    image.channelNames = [f'ch {channel}' for channel in range(channels)]
    image.channelColors = [f'#{COLORS[channel % len(COLORS)]}' for channel in range(channels)]
    image.write(path)


def style_of(channels):
    """Return the style that the item's page sends."""
    bands = [
        {
            'band': 1,
            'framedelta': channel,
            'palette': f'#{COLORS[channel % len(COLORS)]}',
            'composite': 'add',
            'min': 150 + channel,
            'max': 3000 + 10 * channel,
        }
        for channel in range(channels)
    ]
    return {'bands': bands}


def processor_time(stack):
    """Return the seconds of processor time of all processes of a stack."""
    first = psutil.Process(stack.process.pid)
    return sum(sum(one.cpu_times()[:2]) for one in (first, *first.children(recursive=True)))


def parts_of(path, channels, count):
    """Return milliseconds of processor time of the parts of a tile, by what they do."""
    source = gz.open(str(path))
    windows = [(150 + channel, 3000 + 10 * channel) for channel in range(channels)]
    colors = [tuple(bytes.fromhex(COLORS[channel % len(COLORS)])) for channel in range(channels)]
    spent = {'chunks to pixels': 0.0, 'channels added up': 0.0, 'JPEG': 0.0}
    across = source.sizeX // TILE
    for at in range(count):
        marks = [time.process_time()]
        planes = [
            source.getTile(at % across, at // across, source.levels - 1, frame=channel, numpyAllowed='always')
            for channel in range(channels)
        ]
        marks.append(time.process_time())
        picture = add_up([plane[..., 0] for plane in planes], windows, colors)
        marks.append(time.process_time())
        encode_jpeg(picture, 95, 0)
        marks.append(time.process_time())
        for name, begun, ended in zip(spent, marks[:-1], marks[1:], strict=True):
            spent[name] += 1000 * (ended - begun) / count
    return spent


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    for name, default in (('side', 4096), ('tiles', 40), ('channels', 8)):
        parser.add_argument(f'--{name}', type=int, default=default)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / 'channels.zarr.zip'
        write(path, arguments.channels, arguments.side)
        for name, spent in parts_of(path, arguments.channels, arguments.tiles).items():
            print(f'{name}: {spent:.1f} ms of processor')
        stack = Stack(Path(temporary) / 'stack')
        stack.start()
        try:
            measure(stack, path, arguments)
        finally:
            stack.stop()


def measure(stack, path, arguments):
    folder = next(stack.girder.listFolder(stack.girder.get('user/me')['_id'], 'user'))
    file = stack.girder.uploadFileToFolder(folder['_id'], str(path))
    item = file['itemId']
    if 'largeImage' not in stack.girder.getItem(item):
        stack.girder.post(f'item/{item}/tiles')
    metadata = stack.girder.get(f'item/{item}/tiles')
    session = requests.Session()
    session.headers['Girder-Token'] = stack.girder.token
    style = json.dumps(style_of(arguments.channels), separators=(',', ':'))
    for level in (metadata['levels'] - 1, metadata['levels'] - 2):
        across = -(-metadata['sizeX'] // (metadata['tileWidth'] << (metadata['levels'] - 1 - level)))
        places = [(at % across, at // across) for at in range(min(arguments.tiles, across * across))]
        times, spent = [], 0.0
        for number, (x, y) in enumerate(places):
            address = f'{stack.url}api/v1/item/{item}/tiles/zxy/{level}/{x}/{y}'
            query = urlencode({'style': style, 'encoding': 'JPEG', 'jpegQuality': 90})
            if number == 2:  # the first open the image
                spent = processor_time(stack)
            begun = time.perf_counter()
            answer = session.get(f'{address}?{query}')
            if number >= 2:
                times.append(1000 * (time.perf_counter() - begun))
            assert answer.ok, answer.text[:1000]
            assert answer.headers['Content-Type'] == 'image/jpeg'
        spent = 1000 * (processor_time(stack) - spent) / len(times)
        median, slowest = statistics.median(times), max(times)
        print(
            f'level {level} of {metadata["levels"]}: {median:.0f} ms a tile, at most {slowest:.0f}, '
            f'{spent:.0f} ms of processor, {len(times)} tiles'
        )


if __name__ == '__main__':
    main()
