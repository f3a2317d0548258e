"""Bands and dtypes of tiles that meet: the meaning of different numbers of bands, and the common dtype.

Up to four bands are gray, gray and opacity, RGB, RGB and opacity. Tiles of two such kinds meet in the
smallest kind that holds both: gray becomes three equal colours, and pixels without opacity are opaque. With
more than four bands, or where a tile says at which band it goes, bands are numbered; those that a pixel lacks
are the fill value.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from girder_zarr.errors import EditError
from girder_zarr.image.write.resample import opacity_of

#: Bands that have a meaning as colour.
COLOR_KINDS = 4


def meet(first: int, second: int) -> int:
    """Return how many bands hold pixels with ``first`` and with ``second`` bands."""
    if max(first, second) > COLOR_KINDS:
        return max(first, second)
    colors = 1 if max(first, second) <= 2 else 3
    return colors + (first % 2 == 0 or second % 2 == 0)


def convert(pixels: np.ndarray, count: int, *, numbered: bool = False) -> np.ndarray:
    """Return pixels with ``count`` bands, no fewer than they have.

    :param pixels: ``(..., band)``.
    :param numbered: take the bands for numbered ones whatever their count.
    """
    found = pixels.shape[-1]
    if found == count:
        return pixels
    result = np.zeros((*pixels.shape[:-1], count), pixels.dtype)
    if numbered or count > COLOR_KINDS:
        result[..., :found] = pixels
        return result
    colors = 1 if count <= 2 else 3
    own = 1 if found <= 2 else 3
    result[..., :colors] = pixels[..., :own]
    if count % 2 == 0:
        result[..., -1] = pixels[..., -1] if found % 2 == 0 else opacity_of(pixels.dtype)
    return result


def common_type(image: np.dtype[Any], tile: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that holds the values of both, by numpy's rules of promotion.

    :raises EditError: some values of one would not survive: 64 bit integers do not fit in a float.
    """
    found = np.result_type(image, tile)
    for one in (image, tile):
        if one.kind in 'iu' and found.kind == 'f' and one.itemsize * 8 > np.finfo(found).nmant + 1:
            raise EditError(
                f'A tile of {tile} does not fit in an image of {image}: {found} holds both, but not every '
                f'value of {one}. Convert the tile first'
            )
    return found
