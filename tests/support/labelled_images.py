"""An image with labels of several resolutions and places, written by zarr alone, without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

if TYPE_CHECKING:
    from pathlib import Path

#: Pixels of the image, rows and columns; micrometers of one of them; where the first one lies, along y and x.
SHAPE, PIXEL, ORIGIN = (1536, 1920), 0.5, (10.0, 20.0)
#: The labels in the order of the file. The second has pixels twice as large and covers a part of the image.
NUCLEI, TISSUE = 'nuclei', 'tissue <b>, all'
#: Where the part lies: the row and the column of the image that its first pixel covers, and its own shape.
PART_AT, PART_SHAPE = (288, 480), (450, 600)
RED, HALF_GREEN = (255, 0, 0, 255), (0, 255, 0, 128)
SAID: dict[str, Any] = {
    'colors': [{'label-value': 1, 'rgba': list(RED)}, {'label-value': 2, 'rgba': list(HALF_GREEN)}],
    'properties': [{'label-value': 1, 'class': '<i>mitotic</i>', 'area': 12.5}],
}


def image_pixels() -> np.ndarray:
    """Return two channels of three planes, uint16 (c, z, y, x), no two of whose values are alike nearby."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    planes = [[x * 20 + z * 500, y * 26 + x % 7 + z * 300] for z in range(3)]
    return np.asarray(planes, np.uint16).transpose(1, 0, 2, 3)


def nuclei_pixels() -> np.ndarray:
    """Return a label of the size of the image, uint32 (y, x): 1, 2 and a value without a colour, 70001."""
    values = np.zeros(SHAPE, np.uint32)
    values[190:580, 190:760], values[770:960, 970:1344], values[1200:1440, 290:570] = 1, 2, 70_001
    return values


def tissue_pixels() -> np.ndarray:
    """Return a label of pixels twice as large, uint8 (y, x), a board of squares."""
    y, x = np.mgrid[: PART_SHAPE[0], : PART_SHAPE[1]]
    return np.where((x // 75 + y // 75) % 2, 7, 0).astype(np.uint8)


def on_image(part: np.ndarray) -> np.ndarray:
    """Return the pixels of the second label as they lie on the image, (y, x), 0 beside it."""
    whole = np.zeros(SHAPE, part.dtype)
    grown = np.repeat(np.repeat(part, 2, 0), 2, 1)
    whole[PART_AT[0] : PART_AT[0] + grown.shape[0], PART_AT[1] : PART_AT[1] + grown.shape[1]] = grown
    return whole


def _multiscale(axes: str, levels: list[tuple[float, tuple[float, float]]]) -> dict[str, Any]:
    """Return the metadata of levels, for each the size of a pixel and where the first one lies."""
    named = [
        {'name': 'c', 'type': 'channel'} if name == 'c' else
        {'name': name, 'type': 'space', 'unit': 'micrometer'} for name in axes
    ]  # fmt: skip
    rest = len(axes) - 2
    datasets = [
        {
            'path': str(number),
            'coordinateTransformations': [
                {'type': 'scale', 'scale': [1.0] * rest + [size] * 2},
                {'type': 'translation', 'translation': [0.0] * rest + list(place)},
            ],
        }
        for number, (size, place) in enumerate(levels)
    ]
    return {'axes': named, 'datasets': datasets}


def labelled_zarr(path: Path) -> bytes:
    """Write the image with its labels as OME-Zarr 0.5 in a zip; return the file.

    :param path: where it is written.
    """
    image = image_pixels()
    omero = {
        'channels': [
            {'label': name, 'color': color, 'window': {'min': 0, 'max': 65535, 'start': 0, 'end': end}}
            for name, color, end in (('DAPI', '0000FF', 40_000), ('GFP', '00FF00', 45_000))
        ]
    }  # fmt: skip
    described = _multiscale('czyx', [(PIXEL, ORIGIN), (2 * PIXEL, ORIGIN)])
    corner = ORIGIN[0] + PART_AT[0] * PIXEL, ORIGIN[1] + PART_AT[1] * PIXEL
    found = {
        NUCLEI: (nuclei_pixels(), [(PIXEL, ORIGIN)], SAID),
        TISSUE: (tissue_pixels(), [(2 * PIXEL, corner), (4 * PIXEL, corner)], {}),
    }
    with zarr.storage.ZipStore(path, mode='w') as store:
        group = zarr.create_group(
            store, attributes={'ome': {'version': '0.5', 'multiscales': [described], 'omero': omero}}
        )
        for level, step in enumerate((1, 2)):
            group.create_array(str(level), data=image[..., ::step, ::step], chunks=(1, 1, 256, 256))
        labels = group.create_group('labels', attributes={'ome': {'version': '0.5', 'labels': list(found)}})
        for name, (pixels, levels, said) in found.items():
            own = {'version': '0.5', 'multiscales': [_multiscale('yx', levels)], 'image-label': said}
            label = labels.create_group(name, attributes={'ome': own})
            for level in range(len(levels)):
                step = 2**level
                label.create_array(str(level), data=pixels[::step, ::step], chunks=(256, 256))
    return path.read_bytes()
