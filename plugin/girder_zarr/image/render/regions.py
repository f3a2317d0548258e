"""Regions and thumbnails read at once, where large_image would put them together from tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import PIL.Image
from large_image.constants import TILE_FORMAT_IMAGE, TILE_FORMAT_NUMPY, TILE_FORMAT_PIL
from large_image.exceptions import TileSourceXYZRangeError
from large_image.tilesource.tileiterator import TileIterator
from large_image.tilesource.utilities import ImageBytes, _encodeImage

from girder_zarr.errors import OutputSizeError
from girder_zarr.image.limits import DEFAULT

from .display import encode_jpeg

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    #: Takes left, top, right, bottom in pixels of a level, the level and the frame; returns (y, x, band).
    PixelReader = Callable[[tuple[int, int, int, int], int, int], np.ndarray]

#: What is understood here; a request with anything else is large_image's.
KNOWN = frozenset(
    {'region', 'output', 'scale', 'frame', 'encoding', 'jpegQuality', 'jpegSubsampling', 'tiffCompression'}
)
#: An option of ours: smaller pictures are means. large_image's filter is sharper and takes most of the time.
MEANS = 'girder_zarr_means'
ENCODINGS = frozenset({'JPEG', 'PNG'})


def check_thumbnail(sides: tuple[int, int], given: tuple[Any, Any], *, filled: bool) -> None:
    """Check how many pixels a thumbnail would have, before anything is read.

    :param sides: width and height of the image.
    :param given: the most width and height of the thumbnail; None is no bound.
    :param filled: it is padded to the given sides.
    :raises OutputSizeError: they are more than the limit.
    """
    wanted = [side if isinstance(side, int) and side > 0 else None for side in given]
    scales = [new / old for new, old in zip(wanted, sides, strict=True) if new is not None and old]
    if not scales:
        return
    scale = min(scales)
    pixels = int(sides[0] * scale) * int(sides[1] * scale)
    if filled:
        pixels = max(pixels, (wanted[0] or 1) * (wanted[1] or 1))
    if pixels > DEFAULT.thumbnail_pixels:
        msg = f'The thumbnail would have {pixels} pixels; the limit is {DEFAULT.thumbnail_pixels}.'
        raise OutputSizeError(msg)


def read_region(
    source: Any, read: PixelReader, formats: Collection[str], kwargs: dict[str, Any], *, means: bool = False
) -> tuple[Any, str] | None:
    """Return a region as large_image's getRegion does, or None where it has to do it.

    :param source: a tile source without a style.
    :param formats: TILE_FORMAT_NUMPY, TILE_FORMAT_PIL, TILE_FORMAT_IMAGE.
    :param kwargs: as for getRegion.
    :param means: make smaller pictures by averaging.
    """
    encoding = kwargs.get('encoding', 'JPEG')
    if not kwargs.keys() <= KNOWN or encoding not in ENCODINGS:
        return None
    found = TileIterator(source, format=TILE_FORMAT_NUMPY, resample=None, **kwargs).info
    if found is None:
        return None
    part, output = found['region'], (int(found['output']['width']), int(found['output']['height']))
    left, top, size = int(part['left']), int(part['top']), (int(part['width']), int(part['height']))
    if min(*size, *output) < 1 or (size != output and source.dtype != np.uint8):
        return None
    frame = int(found['frame'] or 0)
    if not 0 <= frame < source._framecount:
        raise TileSourceXYZRangeError('Frame does not exist')
    pixels = read((left, top, left + size[0], top + size[1]), found['level'], frame)
    if pixels.dtype != source.dtype or pixels.shape[:2] != (size[1], size[0]) or pixels.shape[2] > 4:
        return None
    if size != output:
        pixels = _resized(pixels, output, size, means=means)
    if TILE_FORMAT_NUMPY in formats:
        return np.array(pixels, order='C', copy=None if pixels.flags.writeable else True), TILE_FORMAT_NUMPY
    if TILE_FORMAT_PIL not in formats and TILE_FORMAT_IMAGE in formats and encoding == 'JPEG':
        options = kwargs.get('jpegQuality', 95), kwargs.get('jpegSubsampling', 0)
        data = encode_jpeg(pixels, *options) if all(isinstance(one, int) for one in options) else None
        if data is not None:
            return ImageBytes(data, mimetype='image/jpeg'), 'image/jpeg'
    result: tuple[Any, str] = _encodeImage(pixels, format=tuple(formats), **kwargs)
    return result


def _resized(
    pixels: np.ndarray, size: tuple[int, int], before: tuple[int, int], *, means: bool
) -> np.ndarray:
    """Return uint8 pixels at another size, with the filters that large_image takes unless means are wanted.

    :param size: width and height.
    """
    if means and size[0] <= before[0] and size[1] <= before[1]:
        small = cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA)
        return small.reshape(size[1], size[0], pixels.shape[2])
    method = PIL.Image.Resampling.BICUBIC if size[0] > before[0] else PIL.Image.Resampling.LANCZOS
    flat = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    small = np.asarray(PIL.Image.fromarray(np.ascontiguousarray(flat)).resize(size, method))
    return small.reshape(size[1], size[0], pixels.shape[2])
