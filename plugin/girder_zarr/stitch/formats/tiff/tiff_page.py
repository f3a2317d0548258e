"""TIFF 6.0 and BigTIFF: the only page, or one of several."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import tifffile

from girder_zarr.errors import UnsupportedFormatError
from girder_zarr.image.chunk.picture_header import ORIENTATION, PictureHeader
from girder_zarr.stitch.formats.info import PageAt, PatchInfo, info_of
from girder_zarr.stitch.formats.rows import filled

from .tiff_directory import check_directories, check_directory, first_directory
from .tiff_planes import count_planes, locate
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


@dataclass(frozen=True, slots=True)
class _Opened:
    """A page that was opened.

    :param page: tifffile's.
    :param at: which it is of several; None: the file has one.
    """

    page: Any
    stream: IO[bytes]
    at: PageAt | None

    def read(self, offset: int, count: int) -> bytes:
        """Return bytes of the file."""
        self.stream.seek(offset)
        return self.stream.read(count)

    @property
    def shift(self) -> int:
        """How many bytes behind those of its directory its pixels begin."""
        return 0 if self.at is None else int(self.at.plane * self.page.nbytes)

    def seek_pixels(self) -> None:
        """Go to the first pixel of a page whose pixels are not compressed and follow each other."""
        self.stream.seek(self.page.dataoffsets[0] + self.shift)


@contextmanager
def _opened(stream: IO[bytes], at: PageAt | None) -> Iterator[_Opened]:
    """Open a page of a TIFF.

    :param at: which; None: the only one, behind which pages of less resolution do not count.
    :raises UnsupportedFormatError: there is no such page, there are several, or it is not gray, RGB or a
        palette.
    """
    if at is None:
        check_directories(stream)
    else:
        if not at.directory:
            at = locate(stream, at.number)
        for place in dict.fromkeys((first_directory(stream), at.directory)):
            check_directory(stream, place)
    stream.seek(0)
    # A name is given because tifffile asks a stream without one, such as an upload, for its path.
    file: Any = tifffile.TiffFile(stream, name='patch.tif', _multifile=False)
    with file as tiff:
        page = tiff.pages.first
        if at is None:
            _check_alone(tiff)
        elif at.directory != page.offset:
            tiff.filehandle.seek(at.directory)
            page = tifffile.TiffPage(tiff, at.number)
        if page.photometric.name not in _COLORS or page.axes not in {'YX', 'YXS', 'SYX'}:
            msg = (
                f'The tiff is {page.photometric.name} with axes {page.axes}; expected gray, RGB or a palette.'
            )
            raise UnsupportedFormatError(msg)
        if page.photometric.name == 'YCBCR' and page.compression.name not in _TO_RGB:
            msg = 'The tiff is YCBCR, but not in JPEG; expected gray, RGB or a palette.'
            raise UnsupportedFormatError(msg)
        if at is not None and at.plane and not (page.is_contiguous and page.axes == 'YX'):
            msg = f'The tiff has no directory for page {at.number}, and its pixels do not follow each other.'
            raise UnsupportedFormatError(msg)
        yield _Opened(page, stream, at)


def _check_alone(tiff: Any) -> None:
    """Check that a file has one page; reduced-resolution pages after it do not count."""
    more = sum(1 for other in list(tiff.pages)[1:2] if not int(other.subfiletype) & 1)
    found = len(tiff.pages) if more else count_planes(tiff.pages.first.description)
    if found > 1:
        msg = (
            f'The tiff has {found} pages and a patch is one: name its page (from 0), or take several pages '
            'with pages=auto, c, z or t.'
        )
        raise UnsupportedFormatError(msg)


def inspect_tiff(stream: IO[bytes], at: PageAt | None = None) -> PatchInfo:
    """Return what the tags of a page announce, having held all its segments against them.

    :param at: the page; None: the only one.
    :raises UnsupportedFormatError: there is no such page, there are several, it has other colors or bit
        depths, samples that are neither color nor alpha, segments that do not fit it, or ends too early.
    """
    with _opened(stream, at) as opened:
        page = opened.page
        if page.dtype is None:
            msg = f'The tiff has {page.bitspersample} bits a sample, which is not a type of pixel.'
            raise UnsupportedFormatError(msg)
        _check_end(opened)
        check_segments(page, opened.read)
        sizes = dict(zip(page.axes, page.shape, strict=True))
        dtype, bands = page.dtype.name, sizes.get('S', 1)
        if page.photometric.name == 'PALETTE':
            dtype, bands = 'uint8', 3
        _check_alpha(page, bands)
        tag = page.tags.get(ORIENTATION)
        turned = tag.value if tag is not None and tag.value in range(1, 9) else 1
        info = info_of('tiff', PictureHeader(sizes['Y'], sizes['X'], bands, dtype, turned))
        return replace(info, page=opened.at)


def _check_alpha(page: Any, bands: int) -> None:
    """Check that a band which would become alpha is said to be alpha: others are no opacity."""
    extra = [int(value) for value in page.extrasamples]
    if bands in {2, 4} and not (extra and extra[-1] in _ALPHAS):
        msg = (
            f'The tiff has {bands} samples a pixel and does not say that the last is alpha (ExtraSamples); '
            'expected 1 or 3 samples, or alpha. Send other channels as patches of their own.'
        )
        raise UnsupportedFormatError(msg)


def _check_end(opened: _Opened) -> None:
    page, size = opened.page, opened.stream.seek(0, 2)
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if opened.shift and ends:
        ends = [page.dataoffsets[0] + opened.shift + page.nbytes]
    if not ends or max(ends) > size:
        msg = f'The tiff ends too early: its pixels reach to byte {max(ends, default=0)} of {size}.'
        raise UnsupportedFormatError(msg)


def decode_tiff(stream: IO[bytes], at: PageAt | None = None) -> np.ndarray:
    """Return the pixels of a page of a TIFF: ``(y, x)`` or ``(y, x, bands)`` in the page's dtype.

    Palettes become RGB of uint8 and inverted gray (MINISWHITE) is turned round.

    :param at: the page; None: the only one.
    """
    with _opened(stream, at) as opened:
        page = opened.page
        pixels = _contiguous(opened) if page.is_contiguous else decode_page(page, opened.read)
        if page.axes == 'SYX':
            pixels = np.moveaxis(pixels, 0, -1)
        return _colored(page, pixels)


def _contiguous(opened: _Opened) -> np.ndarray:
    """Return pixels that are not compressed and follow each other, in the order of bytes of the file."""
    page = opened.page
    opened.seek_pixels()
    return filled(opened.stream, page.shape, page.dtype.newbyteorder(page.parent.byteorder))


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


def tiff_rows(stream: IO[bytes], at: PageAt | None = None) -> Iterator[np.ndarray] | None:
    """Return an iterator over the rows of a page, a strip at a time, or None where it is not so stored.

    :param at: the page; None: the only one.
    :returns: arrays ``(rows, x)`` or ``(rows, x, bands)``.
    """
    with _opened(stream, at) as opened:
        page = opened.page
        in_strips = page.compression in PLAIN and len(page.dataoffsets) > 1
        if page.is_tiled or page.axes == 'SYX' or not (in_strips or page.is_contiguous):
            return None
    return _strips(stream, at)


def _strips(stream: IO[bytes], at: PageAt | None) -> Iterator[np.ndarray]:
    with _opened(stream, at) as opened:
        page = opened.page
        if page.is_contiguous:
            opened.seek_pixels()
            dtype = page.dtype.newbyteorder(page.parent.byteorder)
            step = max(1, _PIECE // max(1, page.nbytes // page.imagelength))
            for top in range(0, page.imagelength, step):
                shape = (min(step, page.imagelength - top), *page.shape[1:])
                yield _colored(page, filled(stream, shape, dtype))
            return
        for _, rows, _, pixels in segments(page, opened.read):
            shape = (rows.stop - rows.start, *page.shape[1:])
            strip = np.full(shape, page.nodata, page.dtype) if pixels is None else pixels.reshape(shape)
            yield _colored(page, strip)
