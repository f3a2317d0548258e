"""Strips and tiles of a TIFF, each held against the page before it is decoded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.errors import UnsupportedFormatError
from girder_zarr.image.chunk.decoder_process import OPTIONS, decode_apart
from girder_zarr.image.chunk.headers import check_segment
from girder_zarr.image.chunk.jpeg_header import JpegHeader, check_tables

from .tiff_directory import MAX_VALUES

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Compressions whose segments are pictures with a header of their own, and the codecs of imagecodecs.
PICTURES = {
    7: 'jpeg',
    33003: 'jpeg2k',
    33004: 'jpeg2k',
    33005: 'jpeg2k',
    34712: 'jpeg2k',
    34887: 'lerc',
    34927: 'webp',
    34933: 'png',
    50001: 'webp',
    50002: 'jpegxl',
    52546: 'jpegxl',
    22610: 'jpegxr',
    34934: 'jpegxr',
}
#: Compressions that are expanded into memory of the segment's size: none, CCITT, LZW, deflate, PackBits, LZMA
#: and zstd.
PLAIN = frozenset((1, 2, 3, 4, 5, 8, 32773, 32946, 50013, 34925, 34926, 50000))
#: A segment may be larger than its page, since tiles have sides of 16 and more pixels.
MIN_SEGMENT_BYTES = 2**24


def check_segments(page: Any, read: Any) -> None:
    """Check all segments of a page before any is decoded.

    :param page: tifffile's.
    :param read: returns so many bytes of the file from a place, as ``read(offset, count)``.
    :raises UnsupportedFormatError: there are more or fewer than the page has, one is larger than the page
        explains, or holds a picture of another size, or the compression is none that is read.
    :raises ValueError, EOFError: the header of a segment is damaged.
    """
    if page.compression not in PICTURES and page.compression not in PLAIN:
        msg = f'The tiff has the compression {getattr(page.compression, "name", page.compression)}, '
        msg += 'which is not read.'
        raise UnsupportedFormatError(msg)
    height, width = _side(page)
    samples = page.samplesperpixel if page.planarconfig == 1 else 1
    nbytes = height * width * samples * page.dtype.itemsize
    if nbytes > max(MIN_SEGMENT_BYTES, 2 * page.nbytes):
        msg = f'The tiff has segments of {width} x {height} pixels, far more than its page.'
        raise UnsupportedFormatError(msg)
    count = len(page.dataoffsets)
    planes = page.samplesperpixel if page.planarconfig == 2 else 1
    expected = planes * math.ceil(page.imagelength / height) * math.ceil(page.imagewidth / width)
    if expected > MAX_VALUES or (count != expected and not page.is_contiguous):
        msg = f'The tiff has {count} segments; expected {expected}, and at most {MAX_VALUES}.'
        raise UnsupportedFormatError(msg)
    if page.jpegtables is not None:
        check_tables(page.jpegtables)
    if page.compression in PICTURES:
        _check_pictures(page, read, samples)


def _side(page: Any) -> tuple[int, int]:
    if page.is_tiled:
        if not page.tilelength or not page.tilewidth or page.tiledepth != 1:
            msg = 'The tiff has tiles without a size, or with a depth.'
            raise UnsupportedFormatError(msg)
        return int(page.tilelength), int(page.tilewidth)
    return max(1, min(int(page.rowsperstrip), int(page.imagelength))), int(page.imagewidth)


def _check_pictures(page: Any, read: Any, samples: int) -> None:
    codec = PICTURES[page.compression]
    if codec == 'jpegxr':
        return  # has no header that can be relied on; it is decoded in a process
    height, width = _side(page)
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if not count:
            continue
        header = check_segment(codec, read(offset, count), height, width)
        if isinstance(header, JpegHeader) and not header.is_decoded:
            msg = 'The tiff holds a JPEG that is lossless, arithmetic or not of 8 or 12 bits.'
            raise UnsupportedFormatError(msg)
        if isinstance(header, JpegHeader) and header.dtype != page.dtype.name:
            msg = f'The tiff has pixels of type {page.dtype.name}; a jpeg in it has {header.precision} bits.'
            raise UnsupportedFormatError(msg)
        if header.bands > max(samples, 1) and not (codec == 'webp' or page.photometric.name == 'PALETTE'):
            msg = f'The tiff has {samples} samples, and a {codec} in it has {header.bands}.'
            raise UnsupportedFormatError(msg)


def decode_page(page: Any, read: Any) -> np.ndarray:
    """Return the pixels of a page that :func:`check_segments` has passed, in the page's shape and dtype."""
    out = np.empty(page.shaped, page.dtype)
    for plane, rows, columns, pixels in segments(page, read):
        if pixels is None:
            out[plane, :, rows, columns] = page.nodata
        else:
            out[plane, :, rows, columns] = pixels
    return out.reshape(page.shape)


def segments(page: Any, read: Any) -> Iterator[tuple[int, slice, slice, np.ndarray | None]]:
    """Iterate over the decoded segments of a page: plane, rows, columns and pixels of the page.

    :returns: pixels are ``(1, y, x, samples)``, or None for a segment that is not stored.
    """
    codec = PICTURES.get(page.compression, '')
    for index, (offset, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        data = read(offset, count) if count else None
        if data is not None and codec in OPTIONS:
            _, place, shape = page.decode(None, index)
            pixels = _apart(codec, data, page, shape)
        else:
            pixels, place, shape = page.decode(data, index, jpegtables=page.jpegtables)
        plane, _, top, left, _ = place
        rows = slice(top, min(top + shape[1], page.imagelength))
        columns = slice(left, min(left + shape[2], page.imagewidth))
        if pixels is not None:
            pixels = pixels[:, : rows.stop - top, : columns.stop - left]
        yield plane, rows, columns, pixels


def _apart(codec: str, data: bytes, page: Any, shape: tuple[int, ...]) -> np.ndarray:
    _, height, width, samples = shape
    if codec != 'jpegxr':
        header = check_segment(codec, data, _side(page)[0], _side(page)[1])
        height, width = header.height, header.width
    wanted = (height, width, samples) if samples > 1 else (height, width)
    options = {'index': 0} if codec == 'jpegxl' else {}
    return decode_apart(codec, data, wanted, page.dtype.str, options).reshape(1, height, width, samples)
