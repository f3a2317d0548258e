"""An image of four channels with the colours and windows of its file, without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import zarr

if TYPE_CHECKING:
    from pathlib import Path


#: The channels of `channels_zarr`: label, colour, window, and whether it is shown at first.
CHANNELS = (
    ('DAPI', '0000FF', (100, 1100), True),
    ('GFP', '00FF00', (0, 4000), True),
    ('<b>Cy3</b>', 'FF8000', (500, 2500), True),
    ('Cy5', 'FF00FF', (0, 65535), True),
)


def channels_of(shape: tuple[int, int] = (300, 400)) -> np.ndarray:
    """Return four channels of uint16, (c, y, x), that differ and pass over their windows at both ends."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    ramps = [x * 3, y * 15, (x + y) * 4, ((x // 40 + y // 40) % 2) * 40000 + x * 20]
    return np.stack(ramps).astype(np.uint16)


def channels_zarr(path: Path, pixels: np.ndarray) -> bytes:
    """Write (c, y, x) as OME-Zarr 0.5 of two levels in a zip, by zarr alone; return the file.

    :param path: where it is written.
    """
    datasets = [
        {'path': str(level), 'coordinateTransformations': [{'type': 'scale', 'scale': [1, step, step]}]}
        for level, step in enumerate((0.5, 1.0))
    ]
    axes = [{'name': 'c', 'type': 'channel'}]
    axes += [{'name': name, 'type': 'space', 'unit': 'micrometer'} for name in 'yx']
    omero = {
        'channels': [
            {
                'label': label,
                'color': color,
                'active': active,
                'window': {'min': 0, 'max': 65535, 'start': window[0], 'end': window[1]},
            }
            for label, color, window, active in CHANNELS
        ]
    }
    attributes = {
        'ome': {'version': '0.5', 'multiscales': [{'axes': axes, 'datasets': datasets}], 'omero': omero}
    }
    with zarr.storage.ZipStore(path, mode='w') as store:
        group = zarr.create_group(store, attributes=attributes)
        for level, step in enumerate((1, 2)):
            array = pixels[:, ::step, ::step]
            shards = (1, 256, 256) if level == 0 else None  # read by ranges, which other sites must ask for
            group.create_array(str(level), data=array, chunks=(1, 64, 64), shards=shards)
    return path.read_bytes()


def added_up(pixels: np.ndarray) -> np.ndarray:
    """Return (c, y, x) as `CHANNELS` says, windows and colours added up: (y, x, 3), 0 to 255."""
    out = np.zeros((*pixels.shape[1:], 3))
    for values, (_, color, (start, end), active) in zip(pixels, CHANNELS, strict=True):
        if active:
            rgb = np.array([int(color[at : at + 2], 16) / 255 for at in (0, 2, 4)])
            out += np.clip((values.astype(float) - start) / (end - start), 0, 1)[..., None] * rgb
    return np.round(np.clip(out, 0, 1) * 255).astype(int)
