"""Decode patches: an explicit list of formats, whose size is known from the header before decoding.

Pixels are ``(y, x, bands)`` with 1, 3 or 4 bands in native byte order. Gray with alpha becomes RGBA, a
palette its RGB colors, one bit 0 and 255, half floats float32. If the caller wants alpha as a mask, it is one
more band than `inspect` announces: 2 in all for gray, 4 for color. Pictures that say so are turned upright.
"""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from girder_zarr.common.budget import BUDGET
from girder_zarr.errors import LimitExceededError, UnsupportedFormatError
from girder_zarr.image.chunk import decoder_process
from girder_zarr.image.chunk.jxl_header import CODESTREAM, CONTAINER

from . import bmp, jp2, jpeg, jxl, npy, png, raw, webp
from .expand import compression_of, expanded
from .info import (
    BAND_COUNTS,
    DEFAULT_LIMITS,
    DTYPES,
    PROMOTED,
    Format,
    PageAt,
    PatchInfo,
    PatchLimits,
    check_info,
)
from .raw import Layout
from .tiff import tiff_page
from .tiff.tiff_directory import check_directory
from .tiff.tiff_planes import PAGE_AXES, PageAxis, PlaneAt, locate_all, planes_of
from .upright import TRANSPOSING, upright

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .info import Compression
    from .rows import RowReader

__all__ = [
    'BAND_COUNTS',
    'DTYPES',
    'PAGE_AXES',
    'Format',
    'Layout',
    'PageAt',
    'PageAxis',
    'PatchInfo',
    'PatchLimits',
    'PlaneAt',
    'decode',
    'decode_rows',
    'inspect',
    'locate_pages',
    'planes',
]

_ACCEPTED = 'PNG, JPEG, TIFF, WebP, JPEG XL, JPEG 2000, BMP or npy'
#: Formats that are decoded in a process of their own.
_APART = frozenset(('jxl', 'jp2'))
#: Bytes of the header of a compressed npy, beyond its pixels: more than `npy.MAX_HEADER_BYTES`.
_MAX_HEADER_BYTES = 2**16
#: Bytes of pixels that are decoded at a time by `decode_rows`.
PIECE_BYTES = 2**22
#: The pixels, and as much again as decoders and the turn to our order of bytes, bands and rows take: a
#: progressive JPEG has two bytes of coefficients for each byte of its pixels.
TIMES = 3


def inspect(
    stream: IO[bytes],
    limits: PatchLimits = DEFAULT_LIMITS,
    *,
    layout: Layout | None = None,
    alpha: bool = False,
    as_stored: bool = False,
    page: PageAt | None = None,
) -> PatchInfo:
    """Return format, shape and dtype of an image without decoding its pixels.

    >>> with open('tile.png', 'rb') as stream:
    ...     inspect(stream)
    PatchInfo(format='png', shape=(512, 512, 3), dtype='uint8', orientation=1)

    :param stream: seekable; read from its beginning, its position afterwards is undefined.
    :param limits: of the decoded image.
    :param layout: of raw pixels; None if the stream is an image file.
    :param alpha: its alpha is a mask, which does not count as a band.
    :param as_stored: its orientation (a tag of TIFF and EXIF) is ignored; else it is turned upright, which
        the shape that is returned takes into account.
    :param page: of a file of several; a page whose place is not known is looked for, and the result has it.
    :raises UnsupportedFormatError: it is in none of the formats, its header is damaged, what is in it says
        another size than its header, or it has no alpha although ``alpha`` is set.
    :raises LimitExceededError: it has more pixels or bytes than the limits allow.
    """
    return _shown(_inspect_stored(stream, limits, layout, page), limits, alpha=alpha, as_stored=as_stored)


def _shown(stored: PatchInfo, limits: PatchLimits, *, alpha: bool, as_stored: bool) -> PatchInfo:
    """Return the info of pixels as they are shown, from that of those in the file, checked."""
    height, width, bands = stored.shape
    if alpha and bands not in {2, 4}:
        msg = f'mask=alpha: expected an image with alpha, found a {stored.format} of {bands} bands.'
        raise UnsupportedFormatError(msg)
    if not as_stored and stored.orientation in TRANSPOSING:
        height, width = width, height
    bands = bands - 1 if alpha else (4 if bands == 2 else bands)
    info = replace(stored, shape=(height, width, bands), orientation=1 if as_stored else stored.orientation)
    check_info(info, limits)
    return info


def _inspect_stored(
    stream: IO[bytes], limits: PatchLimits, layout: Layout | None, page: PageAt | None
) -> PatchInfo:
    """Return what the header announces, with bands as stored: 2 are gray and alpha."""
    if layout is not None:
        _check_only(page, 'raw')
        info = raw.info_of_layout(layout)
        # before anything is expanded
        check_info(replace(info, shape=(*info.shape[:2], 4 if info.shape[2] == 2 else info.shape[2])), limits)
        raw.check_raw(stream, layout)
        return info
    compression, kind = _kind(stream, limits)
    if kind != 'tiff':
        _check_only(page, kind)
    try:
        if kind == 'npy':
            return npy.inspect_npy(_npy(stream, compression, limits), limits)
        stream.seek(0)
        if kind == 'tiff':
            return tiff_page.inspect_tiff(stream, page)
        return _INSPECTORS[kind](stream)
    except (UnsupportedFormatError, LimitExceededError):
        raise
    except Exception as error:
        msg = f'The {kind} header cannot be read: {error}'
        raise UnsupportedFormatError(msg) from error


def _check_only(page: PageAt | None, kind: Format) -> None:
    """Check that no page but the first is asked for of a file that is one picture."""
    if page is not None and page.number:
        msg = f'page: expected a TIFF, which may have several, or 0; found {page.number} of a {kind}.'
        raise UnsupportedFormatError(msg)


def planes(stream: IO[bytes], along: PageAxis, most: int) -> list[PlaneAt]:
    """Return the planes of a file that holds several, in their order in the file.

    A file of any other format than TIFF has one, which has no place of its own along an axis that the file
    would have to name.

    :param along: the axis along which its pages lie; ``auto``: the file says it.
    :param most: planes that are accepted.
    :raises UnsupportedFormatError: the file does not say along which axes they lie, or is damaged.
    :raises LimitExceededError: there are more.
    """
    compression, kind = _kind(stream, DEFAULT_LIMITS)
    if kind != 'tiff' or compression is not None:
        return [PlaneAt(PageAt(0), {} if along == 'auto' else {along: 0})]
    try:
        return planes_of(stream, along, most)
    except (UnsupportedFormatError, LimitExceededError):
        raise
    except Exception as error:
        msg = f'The pages of the tiff cannot be read: {error}'
        raise UnsupportedFormatError(msg) from error


def locate_pages(stream: IO[bytes]) -> list[PageAt]:
    """Return where each page of a TIFF begins: who needs many of them does not look for each by itself.

    Of other formats, and of a TIFF that is damaged, nothing: inspecting a page says what is wrong.
    """
    stream.seek(0)
    if not stream.read(4).startswith(_MAGIC['tiff']):
        return []
    with contextlib.suppress(Exception):
        return locate_all(stream)
    return []


def count_pages(stream: IO[bytes]) -> int:
    """Return how many pages a TIFF has, of which any library may read the tags.

    :returns: 0 for other formats, and for a TIFF that is damaged or has tags of too many values.
    """
    pages = locate_pages(stream)
    with contextlib.suppress(Exception):
        for directory in dict.fromkeys(page.directory for page in pages):
            check_directory(stream, directory)
        return len(pages)
    return 0


def decode(
    stream: IO[bytes],
    limits: PatchLimits = DEFAULT_LIMITS,
    *,
    layout: Layout | None = None,
    alpha: bool = False,
    as_stored: bool = False,
    page: PageAt | None = None,
) -> np.ndarray:
    """Return the pixels of an image as ``(y, x, bands)``, in the dtype that :func:`inspect` announces.

    >>> with open('tile.png', 'rb') as stream:
    ...     decode(stream).shape
    (512, 512, 3)

    Parameters are those of :func:`inspect`. The bytes count against the process' budget
    (`girder_zarr.common.budget`) while they are decoded; callers that go on to make more of the pixels
    acquire more around the call.

    :param alpha: its alpha is a mask, which is the last band of the result.
    :raises UnsupportedFormatError: as :func:`inspect`, or the pixels are damaged.
    :raises LimitExceededError: as :func:`inspect`.
    """
    stored = _inspect_stored(stream, limits, layout, page)
    info = _shown(stored, limits, alpha=alpha, as_stored=as_stored)
    with BUDGET.acquire(work_bytes(info)):
        pixels = _undamaged(stored, lambda: _normalise(_decoded(stream, limits, stored, layout), alpha=alpha))
        pixels = upright(pixels, info.orientation)
    expected = (*info.shape[:2], info.shape[2] + alpha)
    if pixels.shape != expected or pixels.dtype != np.dtype(info.dtype):
        msg = (
            f'The {info.format} announces {expected} of {info.dtype} and holds '
            f'{pixels.shape} of {pixels.dtype}.'
        )
        raise UnsupportedFormatError(msg)
    return pixels


def decode_rows(
    stream: IO[bytes],
    limits: PatchLimits = DEFAULT_LIMITS,
    *,
    layout: Layout | None = None,
    alpha: bool = False,
    as_stored: bool = False,
    page: PageAt | None = None,
) -> Iterator[np.ndarray]:
    """Iterate over the pixels of an image in pieces of whole rows, from the first row to the last.

    Raw pixels, npy and TIFF in strips are read a few megabytes at a time; all others come as one piece.
    Parameters, pieces and errors are those of :func:`decode`.
    """
    stored = _inspect_stored(stream, limits, layout, page)
    info = _shown(stored, limits, alpha=alpha, as_stored=as_stored)
    pieces = _row_pieces(stream, limits, stored, layout) if info.orientation == 1 else None
    if pieces is None:
        with BUDGET.acquire(work_bytes(info)):  # until whoever takes the rows has gone on
            yield decode(stream, limits, layout=layout, alpha=alpha, as_stored=as_stored, page=page)
        return
    found = 0
    while True:
        with BUDGET.acquire(PIECE_BYTES * TIMES):
            piece = _undamaged(stored, lambda: next(pieces, None))
            if piece is None:
                break
            piece = _normalise(piece, alpha=alpha)
        found += len(piece)
        yield piece
    if found != info.shape[0]:
        msg = f'The {info.format} announces {info.shape[0]} rows and holds {found}.'
        raise UnsupportedFormatError(msg)


def _row_pieces(
    stream: IO[bytes], limits: PatchLimits, stored: PatchInfo, layout: Layout | None
) -> Iterator[np.ndarray] | None:
    if layout is None and stored.format == 'tiff':
        return tiff_page.tiff_rows(stream, stored.page)
    if layout is not None:
        reader: RowReader | None = raw.raw_rows(stream, layout)
    elif stored.format == 'npy':
        reader = npy.npy_rows(_npy(stream, _kind(stream, limits)[0], limits))
    else:
        return None
    return None if reader is None else _pieces(reader, stored)


def _pieces(reader: RowReader, stored: PatchInfo) -> Iterator[np.ndarray]:
    height = stored.shape[0]
    step = max(1, PIECE_BYTES * height // max(1, stored.nbytes))
    for top in range(0, height, step):
        yield reader.read(min(step, height - top))


def work_bytes(info: PatchInfo) -> int:
    """Return the most bytes that decoding takes at once: the pixels and what decoders and copies take."""
    return info.nbytes * TIMES + (decoder_process.work_bytes(info.nbytes) if info.format in _APART else 0)


def _decoded(stream: IO[bytes], limits: PatchLimits, stored: PatchInfo, layout: Layout | None) -> np.ndarray:
    if layout is not None:
        return raw.decode_raw(stream, layout)
    if stored.format == 'npy':
        return npy.decode_npy(_npy(stream, _kind(stream, limits)[0], limits))
    stream.seek(0)
    if stored.format == 'tiff':
        return tiff_page.decode_tiff(stream, stored.page)
    return _DECODERS[stored.format](stream, stored)


def _undamaged(stored: PatchInfo, decode_some: Callable[[], Any]) -> Any:
    """Return what a decoder returns; its errors become one sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            return decode_some()
    except (UnsupportedFormatError, LimitExceededError):
        raise
    except Exception as error:
        msg = f'The pixels of the {stored.format} cannot be decoded: {error}'
        raise UnsupportedFormatError(msg) from error


def _npy(stream: IO[bytes], compression: Compression | None, limits: PatchLimits) -> IO[bytes]:
    """Return the bytes of an npy from their beginning, expanded if they are compressed."""
    if compression is not None:
        return expanded(stream, compression, limits.nbytes + _MAX_HEADER_BYTES)
    stream.seek(0)
    return stream


def _kind(stream: IO[bytes], limits: PatchLimits) -> tuple[Compression | None, Format]:
    """Return how a file is compressed, and its format.

    Only npy may be compressed: the other formats compress by themselves.
    """
    stream.seek(0)
    head = stream.read(16)
    compression = compression_of(head)
    if compression is None:
        return None, _recognise(head)
    kind = _recognise(expanded(stream, compression, limits.nbytes + _MAX_HEADER_BYTES).read(16))
    if kind != 'npy':
        msg = f'The body is a {kind} compressed with {compression}; expected it as it is.'
        raise UnsupportedFormatError(msg)
    return compression, kind


def _recognise(head: bytes) -> Format:
    """Return the format of a file from its first 16 bytes.

    :raises UnsupportedFormatError: it is none of those that are accepted.
    """
    for kind, begins in _MAGIC.items():
        if head.startswith(begins):
            return kind
    if head[:4] == b'RIFF' and head[8:12] == b'WEBP':
        return 'webp'
    # without the b of Python
    start = repr(bytes(head[:8]))[1:]
    msg = f'The body is not an image: expected {_ACCEPTED}, found bytes that begin with {start}.'
    raise UnsupportedFormatError(msg)


def _normalise(pixels: np.ndarray, *, alpha: bool) -> np.ndarray:
    if pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis]
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    if pixels.shape[2] == 2 and not alpha:
        pixels = pixels[:, :, (0, 0, 0, 1)]
    native = np.dtype(PROMOTED.get(pixels.dtype.name, pixels.dtype.name))
    return np.ascontiguousarray(pixels, dtype=native)


_MAGIC: dict[Format, bytes | tuple[bytes, ...]] = {
    'png': b'\x89PNG\r\n\x1a\n',
    'jpeg': b'\xff\xd8\xff',
    'tiff': (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+'),
    'npy': b'\x93NUMPY',
    'jxl': (CONTAINER, CODESTREAM),
    'jp2': (jp2.CONTAINER, jp2.CODESTREAM),
    'bmp': b'BM',
}
_INSPECTORS: dict[Format, Callable[[IO[bytes]], PatchInfo]] = {
    'png': png.inspect_png,
    'jpeg': jpeg.inspect_jpeg,
    'webp': webp.inspect_webp,
    'jxl': jxl.inspect_jxl,
    'jp2': jp2.inspect_jp2,
    'bmp': bmp.inspect_bmp,
}
_DECODERS: dict[Format, Callable[[IO[bytes], PatchInfo], np.ndarray]] = {
    'png': png.decode_png,
    'jpeg': jpeg.decode_jpeg,
    'webp': webp.decode_webp,
    'jxl': jxl.decode_jxl,
    'jp2': jp2.decode_jp2,
    'bmp': bmp.decode_bmp,
}
