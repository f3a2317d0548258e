"""Collections of images as bioformats2raw writes them, by zarr alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAMES = ('Image zero', 'Image one', 'Image two', 'Image three')


def picture(number: int, side: tuple[int, int]) -> np.ndarray:
    """Return the pixels of an image, (y, x) of uint8, that differ from those of the others."""
    y, x = np.mgrid[: side[0], : side[1]]
    along = (x, y, x + y, x - y + side[0])[number % 4]
    pixels: np.ndarray = (along * (number + 1) % 256).astype(np.uint8)
    return pixels


def write_collection(
    target: Path, sides: Sequence[tuple[int, int]], *, zarr_format: Any = 2, xml: str | None = None
) -> Path:
    """Write images of these heights and widths to a folder; return it.

    :param xml: of ``OME/METADATA.ome.xml``.
    """
    root = zarr.create_group(target, zarr_format=zarr_format, overwrite=False)
    layout = {'bioformats2raw.layout': 3}
    version = '0.4' if zarr_format == 2 else '0.5'
    root.attrs.update(layout if zarr_format == 2 else {'ome': {'version': version, **layout}})
    ome: dict[str, Any] = {'series': [str(number) for number in range(len(sides))]}
    root.create_group('OME').attrs.update(ome if zarr_format == 2 else {'ome': {'version': version, **ome}})
    axes: list[Any] = [{'name': name, 'type': 'space', 'unit': 'micrometer'} for name in 'yx']
    for number, side in enumerate(sides):
        datasets: list[Any] = [
            {'path': '0', 'coordinateTransformations': [{'type': 'scale', 'scale': [1.0, 1.0]}]}
        ]
        multiscale = {'name': NAMES[number % 4], 'axes': axes, 'datasets': datasets}
        image: dict[str, Any] = {
            'multiscales': [{**multiscale, **({'version': version} if zarr_format == 2 else {})}]
        }
        group = root.create_group(str(number))
        group.attrs.update(image if zarr_format == 2 else {'ome': {'version': version, **image}})
        pixels = picture(number, side)
        group.create_array('0', data=pixels, chunks=pixels.shape)
    if xml is not None:
        (target / 'OME' / 'METADATA.ome.xml').write_text(xml, encoding='utf-8')
    return target
