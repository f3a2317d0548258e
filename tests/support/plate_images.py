"""A plate whose fields are pictures that differ, in a zip as other programs write it, by zarr alone."""

from __future__ import annotations

import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

if TYPE_CHECKING:
    from pathlib import Path

ROWS, COLUMNS = ('A', 'B', 'C'), ('1', '2', '3', '4')
#: Fields in a well, and height and width of each.
FIELDS, SIDE = 2, (200, 320)
#: Places of the grid that the plate does not list; wells that it lists and that are not there; of those that
#: follow, the first field: nothing is stored of it, and it is damaged.
NOT_IMAGED, MISSING, EMPTY, DAMAGED = 'C/4', 'B/3', 'A/4', 'C/2'
#: Colour and window of the channels.
CHANNELS = (('DAPI', '0000FF', (0, 2000)), ('GFP', 'FFFF00', (500, 4500)))
ACQUISITIONS = ((1, 'Before'), (2, 'After <b>'))


def well_paths() -> list[str]:
    """Return the wells that the plate lists, in its order."""
    return [f'{row}/{column}' for row in ROWS for column in COLUMNS if f'{row}/{column}' != NOT_IMAGED]


def field_pixels(well: str, number: int) -> np.ndarray:
    """Return (c, y, x) of uint16 of a field; zeros where nothing is stored."""
    if (well, number) == (EMPTY, 0):
        return np.zeros((2, *SIDE), np.uint16)
    row, column = ROWS.index(well[0]), COLUMNS.index(well[2])
    y, x = np.mgrid[: SIDE[0], : SIDE[1]]
    checks = ((x // (20 + 8 * column) + y // (15 + 10 * row)) % 2) * 1500 + 200 + number * 200
    circle = np.hypot(y - 50 - 30 * row, x - 60 - 60 * column) < 40 + 20 * number
    return np.stack([checks, circle * 4000 + x]).astype(np.uint16)


def as_shown(pixels: np.ndarray) -> np.ndarray:
    """Return (c, y, x) in the windows and colours of the file, added up: (y, x, 3), 0 to 255."""
    out = np.zeros((*pixels.shape[1:], 3))
    for plane, (_, color, (start, end)) in zip(pixels, CHANNELS, strict=True):
        rgb = np.array([int(color[at : at + 2], 16) for at in (0, 2, 4)])
        out += np.clip((plane.astype(float) - start) / (end - start), 0, 1)[..., None] * rgb
    return np.clip(out, 0, 255).round().astype(np.uint8)


def _field(group: zarr.Group, pixels: np.ndarray) -> None:
    axes: list[dict[str, Any]] = [{'name': 'c', 'type': 'channel'}]
    axes += [{'name': name, 'type': 'space', 'unit': 'micrometer'} for name in 'yx']
    datasets = [
        {'path': str(level), 'coordinateTransformations': [{'type': 'scale', 'scale': [1, step, step]}]}
        for level, step in enumerate((0.5, 1.0))
    ]
    channels = [
        {
            'label': label,
            'color': color,
            'active': True,
            'window': {'min': 0, 'max': 65535, 'start': start, 'end': end},
        }
        for label, color, (start, end) in CHANNELS
    ]
    multiscale = {'axes': axes, 'datasets': datasets}
    group.attrs['ome'] = {
        'version': '0.5', 'multiscales': [multiscale], 'omero': {'channels': channels}
    }  # fmt: skip
    for level, step in enumerate((1, 2)):
        values = pixels[:, ::step, ::step]
        group.create_array(str(level), data=values, chunks=(1, *values.shape[1:]))


def plate_zip(folder: Path, *, damage: bool = True) -> Path:
    """Write the plate; return the zip.

    :param folder: where it is written, an existing folder. :param damage: whether one field is damaged.
    """
    root = zarr.open_group(folder / 'plate.zarr', mode='w', zarr_format=3)
    listed = well_paths()
    plate = {
        'rows': [{'name': name} for name in ROWS],
        'columns': [{'name': name} for name in COLUMNS],
        'wells': [
            {'path': path, 'rowIndex': ROWS.index(path[0]), 'columnIndex': COLUMNS.index(path[2])}
            for path in listed
        ],
        'acquisitions': [{'id': number, 'name': name} for number, name in ACQUISITIONS],
        'field_count': FIELDS,
        'version': '0.5',
    }
    root.attrs['ome'] = {'version': '0.5', 'plate': plate}
    for path in listed:
        if path == MISSING:
            continue
        well = root.create_group(path)
        images = [{'path': str(number), 'acquisition': number + 1} for number in range(FIELDS)]
        well.attrs['ome'] = {'version': '0.5', 'well': {'images': images, 'version': '0.5'}}
        for number in range(FIELDS):
            _field(well.create_group(str(number)), field_pixels(path, number))
    damaged = (folder / 'plate.zarr' / DAMAGED / '0').glob('*/c/*/*/*')
    for chunk in damaged if damage else ():
        chunk.write_bytes(b'no chunk')
    target = folder / 'plate.zarr.zip'
    return zipped(folder / 'plate.zarr', target)


def zipped(folder: Path, target: Path) -> Path:
    """Put a folder into a zip, without compression, and remove it; return the zip."""
    with zipfile.ZipFile(target, 'w', zipfile.ZIP_STORED) as file:
        for one in sorted(folder.rglob('*')):
            if one.is_file():
                file.write(one, one.relative_to(folder))
    shutil.rmtree(folder)
    return target
