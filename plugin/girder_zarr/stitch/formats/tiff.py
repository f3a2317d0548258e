"""TIFF 6.0 and BigTIFF of one page."""

from __future__ import annotations

from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import tifffile

from girder_zarr.errors import UnsupportedFormatError
from girder_zarr.image.chunk.picture_header import ORIENTATION, PictureHeader

from .info import PatchInfo, info_of
from .rows import filled
from .tiff_directory import check_directories
from .tiff_segments import PLAIN, check_segments, decode_page, segments

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The photometric interpretations whose pixels can be shown as gray or RGB without a color profile.
_COLORS = {'MINISBLACK', 'MINISWHITE', 'RGB', 'YCBCR', 'PALETTE'}
#: Compressions whose decoders give RGB where the page is YCbCr.
_TO_RGB = {'JPEG', 'OJPEG', 'JPEG_LOSSY', 'WEBP', 'JPEGXL', 'JPEGXL_DNG'}
#: Values of ExtraSamples that say alpha, associated or not.
_ALPHAS = {1, 2}
#: Bytes of rows that are read at a time where they are not compressed.
_PIECE = 2**22


@contextmanager
def _opened(stream: IO[bytes]) -> Iterator[tuple[Any, Any]]:
    """Open the only page of a TIFF; reduced-resolution pages after it do not count.

    :returns: tifffile's page, and what reads bytes of the file: ``read(offset, count)``.
    :raises UnsupportedFormatError: there are several pages, or it is not gray, RGB or a palette.
    """
    check_directories(stream)
    stream.seek(0)
    # A name is given because tifffile asks a stream without one, such as an upload, for its path.
    file: Any = tifffile.TiffFile(stream, name='patch.tif', _multifile=False)
    with file as tiff:
        page = tiff.pages.first
        more = sum(1 for other in list(tiff.pages)[1:2] if not int(other.subfiletype) & 1)
        images = (tiff.imagej_metadata or {}).get('images', 1) if tiff.is_imagej else 1
        if more or images > 1:
            msg = 'The tiff has several pages; a patch is one.'
            raise UnsupportedFormatError(msg)
        if page.photometric.name not in _COLORS or page.axes not in {'YX', 'YXS', 'SYX'}:
            msg = (
                f'The tiff is {page.photometric.name} with axes {page.axes}; expected gray, RGB or a palette.'
            )
            raise UnsupportedFormatError(msg)
        if page.photometric.name == 'YCBCR' and page.compression.name not in _TO_RGB:
            msg = 'The tiff is YCBCR, but not in JPEG; expected gray, RGB or a palette.'
            raise UnsupportedFormatError(msg)

        def read(offset: int, count: int) -> bytes:
            stream.seek(offset)
            return stream.read(count)

        yield page, read


def inspect_tiff(stream: IO[bytes]) -> PatchInfo:
    """Return what the tags of a TIFF announce, having held all its segments against them.

    :raises UnsupportedFormatError: it has several pages, other colors or bit depths, samples that are neither
        color nor alpha, segments that do not fit the page, or ends too early.
    """
    with _opened(stream) as (page, read):
        if page.dtype is None:
            msg = f'The tiff has {page.bitspersample} bits a sample, which is not a type of pixel.'
            raise UnsupportedFormatError(msg)
        _check_end(page, stream)
        check_segments(page, read)
        sizes = dict(zip(page.axes, page.shape, strict=True))
        dtype, bands = page.dtype.name, sizes.get('S', 1)
        if page.photometric.name == 'PALETTE':
            dtype, bands = 'uint8', 3
        _check_alpha(page, bands)
        tag = page.tags.get(ORIENTATION)
        turned = tag.value if tag is not None and tag.value in range(1, 9) else 1
        return info_of('tiff', PictureHeader(sizes['Y'], sizes['X'], bands, dtype, turned))


def _check_alpha(page: Any, bands: int) -> None:
    """Check that a band which would become alpha is said to be alpha: others are no opacity."""
    extra = [int(value) for value in page.extrasamples]
    if bands in {2, 4} and not (extra and extra[-1] in _ALPHAS):
        msg = (
            f'The tiff has {bands} samples a pixel and does not say that the last is alpha (ExtraSamples); '
            'expected 1 or 3 samples, or alpha. Send other channels as patches of their own.'
        )
        raise UnsupportedFormatError(msg)


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
    with _opened(stream) as (page, read):
        pixels = _contiguous(page, stream) if page.is_contiguous else decode_page(page, read)
        if page.axes == 'SYX':
            pixels = np.moveaxis(pixels, 0, -1)
        return _colored(page, pixels)


def _contiguous(page: Any, stream: IO[bytes]) -> np.ndarray:
    """Return pixels that are not compressed and follow each other, in the order of bytes of the file."""
    stream.seek(page.dataoffsets[0])
    return filled(stream, page.shape, page.dtype.newbyteorder(page.parent.byteorder))


def _colored(page: Any, pixels: np.ndarray) -> np.ndarray:
    if page.photometric.name == 'PALETTE':
        colors: np.ndarray = np.asarray(page.colormap >> 8, np.uint8).T[pixels]
        return colors
    if page.photometric.name == 'MINISWHITE':
        if pixels.dtype == bool:
            return ~pixels
        if pixels.dtype.kind == 'u':
            return np.iinfo(pixels.dtype).max - pixels
    return pixels


def tiff_rows(stream: IO[bytes]) -> Iterator[np.ndarray] | None:
    """Return an iterator over the rows of a TIFF, a strip at a time, or None where it is not so stored.

    :returns: arrays ``(rows, x)`` or ``(rows, x, bands)``.
    """
    with _opened(stream) as (page, _):
        in_strips = page.compression in PLAIN and len(page.dataoffsets) > 1
        if page.is_tiled or page.axes == 'SYX' or not (in_strips or page.is_contiguous):
            return None
    return _strips(stream)


def _strips(stream: IO[bytes]) -> Iterator[np.ndarray]:
    with _opened(stream) as (page, read):
        if page.is_contiguous:
            stream.seek(page.dataoffsets[0])
            dtype = page.dtype.newbyteorder(page.parent.byteorder)
            step = max(1, _PIECE // max(1, page.nbytes // page.imagelength))
            for top in range(0, page.imagelength, step):
                shape = (min(step, page.imagelength - top), *page.shape[1:])
                yield _colored(page, filled(stream, shape, dtype))
            return
        for _, rows, _, pixels in segments(page, read):
            shape = (rows.stop - rows.start, *page.shape[1:])
            strip = np.full(shape, page.nodata, page.dtype) if pixels is None else pixels.reshape(shape)
            yield _colored(page, strip)
