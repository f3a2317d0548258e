"""TIFF 6.0 and BigTIFF of one page."""

from __future__ import annotations

from typing import IO, Any

import numpy as np
import tifffile

from girder_zarr.errors import UnsupportedFormatError

from .info import PatchInfo, make_info

#: The photometric interpretations whose pixels can be shown as gray or RGB without a color profile.
_COLORS = {'MINISBLACK', 'MINISWHITE', 'RGB', 'YCBCR', 'PALETTE'}


def _only_page(tiff: Any) -> Any:
    """Return the only page of a TIFF; reduced-resolution pages after it do not count.

    :raises UnsupportedFormatError: there are several pages, or it is not gray, RGB or a palette.
    """
    page = tiff.pages.first
    more = sum(1 for other in list(tiff.pages)[1:2] if not int(other.subfiletype) & 1)
    images = (tiff.imagej_metadata or {}).get('images', 1) if tiff.is_imagej else 1
    if more or images > 1:
        msg = 'The tiff has several pages; a patch is one.'
        raise UnsupportedFormatError(msg)
    if page.photometric.name not in _COLORS or page.axes not in {'YX', 'YXS', 'SYX'}:
        msg = f'The tiff is {page.photometric.name} with axes {page.axes}; expected gray, RGB or a palette.'
        raise UnsupportedFormatError(msg)
    return page


def inspect_tiff(stream: IO[bytes]) -> PatchInfo:
    """Return what the tags of a TIFF announce.

    :raises UnsupportedFormatError: it has several pages, other colors or bit depths, or ends too early.
    """
    # A name is given because tifffile asks a stream without one, such as an upload, for its path.
    with tifffile.TiffFile(stream, name='patch.tif', _multifile=False) as tiff:
        page = _only_page(tiff)
        if page.dtype is None:
            msg = f'The tiff has {page.bitspersample} bits a sample, which is not a type of pixel.'
            raise UnsupportedFormatError(msg)
        _check_end(page, stream)
        sizes = dict(zip(page.axes, page.shape, strict=True))
        dtype, bands = page.dtype.name, sizes.get('S', 1)
        if page.photometric.name == 'PALETTE':
            dtype, bands = 'uint8', 3
        return make_info('tiff', sizes['Y'], sizes['X'], bands, dtype)


def _check_end(page: Any, stream: IO[bytes]) -> None:
    size = stream.seek(0, 2)
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if not ends or max(ends) > size:
        msg = f'The tiff ends too early: its pixels reach to byte {max(ends, default=0)} of {size}.'
        raise UnsupportedFormatError(msg)


def decode_tiff(stream: IO[bytes]) -> np.ndarray:
    """Return the pixels of the only page of a TIFF: ``(y, x)`` or ``(y, x, bands)`` in the page's dtype.

    Palettes become RGB of uint8 and inverted gray (MINISWHITE) is turned round.
    """
    with tifffile.TiffFile(stream, name='patch.tif', _multifile=False) as tiff:
        page = _only_page(tiff)
        pixels: np.ndarray = page.asarray(maxworkers=1)
        if page.axes == 'SYX':
            pixels = np.moveaxis(pixels, 0, -1)
        if page.photometric.name == 'PALETTE':
            colors: np.ndarray = np.asarray(page.colormap >> 8, np.uint8).T[pixels]
            return colors
        if page.photometric.name == 'MINISWHITE':
            if pixels.dtype == bool:
                return ~pixels
            if pixels.dtype.kind == 'u':
                return np.iinfo(pixels.dtype).max - pixels
        return pixels
