"""Decode patches: an explicit list of formats, whose size is known from the header before decoding.

Pixels are ``(y, x, bands)`` with 1, 3 or 4 bands in native byte order. Gray with alpha becomes RGBA, a
palette its RGB colors, one bit 0 and 255, half floats float32. If the caller wants alpha as a mask, it is one
more band than `inspect` announces: 2 in all for gray, 4 for color.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import IO, TYPE_CHECKING

import numpy as np

from girder_zarr.errors import LimitExceededError, UnsupportedFormatError

from . import jpeg, jxl, npy, png, raw, tiff, webp
from .info import BAND_COUNTS, DEFAULT_LIMITS, DTYPES, PROMOTED, Format, PatchInfo, PatchLimits, check_info
from .raw import Layout

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ['BAND_COUNTS', 'DTYPES', 'Format', 'Layout', 'PatchInfo', 'PatchLimits', 'decode', 'inspect']

_ACCEPTED = 'PNG, JPEG, TIFF, WebP, JPEG XL or npy'
#: Bytes of the header of a compressed npy, beyond its pixels: more than `npy.MAX_HEADER_BYTES`.
_MAX_HEADER_BYTES = 2**16


def inspect(
    stream: IO[bytes],
    limits: PatchLimits = DEFAULT_LIMITS,
    *,
    layout: Layout | None = None,
    alpha: bool = False,
) -> PatchInfo:
    """Return format, shape and dtype of an image without decoding its pixels.

    >>> with open('tile.png', 'rb') as stream:
    ...     inspect(stream)
    PatchInfo(format='png', shape=(512, 512, 3), dtype='uint8')

    :param stream: seekable; read from its beginning, its position afterwards is undefined.
    :param limits: of the decoded image.
    :param layout: of raw pixels; None if the stream is an image file.
    :param alpha: its alpha is a mask, which does not count as a band.
    :raises UnsupportedFormatError: it is in none of the formats, its header is damaged, or it has no alpha
        although ``alpha`` is set.
    :raises LimitExceededError: it has more pixels or bytes than the limits allow.
    """
    stored = _inspect_stored(stream, limits, layout)
    height, width, bands = stored.shape
    if alpha and bands not in {2, 4}:
        msg = f'mask=alpha: expected an image with alpha, found a {stored.format} of {bands} bands.'
        raise UnsupportedFormatError(msg)
    bands = bands - 1 if alpha else (4 if bands == 2 else bands)
    info = replace(stored, shape=(height, width, bands))
    check_info(info, limits)
    return info


def _inspect_stored(stream: IO[bytes], limits: PatchLimits, layout: Layout | None) -> PatchInfo:
    """Return what the header announces, with bands as stored: 2 are gray and alpha."""
    if layout is not None:
        info = raw.info_of(layout)
        # before anything is expanded
        check_info(replace(info, shape=(*info.shape[:2], 4 if info.shape[2] == 2 else info.shape[2])), limits)
        raw.check_raw(stream, layout)
        return info
    stream, kind = _plain(stream, limits)
    stream.seek(0)
    try:
        return _INSPECTORS[kind](stream)
    except UnsupportedFormatError:
        raise
    except Exception as error:
        msg = f'The {kind} header cannot be read: {error}'
        raise UnsupportedFormatError(msg) from error


def decode(
    stream: IO[bytes],
    limits: PatchLimits = DEFAULT_LIMITS,
    *,
    layout: Layout | None = None,
    alpha: bool = False,
) -> np.ndarray:
    """Return the pixels of an image as ``(y, x, bands)``, in the dtype that :func:`inspect` announces.

    >>> with open('tile.png', 'rb') as stream:
    ...     decode(stream).shape
    (512, 512, 3)

    Parameters are those of :func:`inspect`.

    :param alpha: its alpha is a mask, which is the last band of the result.
    :raises UnsupportedFormatError: as :func:`inspect`, or the pixels are damaged.
    :raises LimitExceededError: as :func:`inspect`.
    """
    if layout is None:
        stream, _ = _plain(stream, limits)
    info = inspect(stream, limits, layout=layout, alpha=alpha)
    stream.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            pixels = raw.decode_raw(stream, layout) if layout is not None else _DECODERS[info.format](stream)
            pixels = _normalise(pixels, alpha=alpha)
    except (UnsupportedFormatError, LimitExceededError):
        raise
    except Exception as error:
        msg = f'The pixels of the {info.format} cannot be decoded: {error}'
        raise UnsupportedFormatError(msg) from error
    expected = (*info.shape[:2], info.shape[2] + alpha)
    if pixels.shape != expected or pixels.dtype != np.dtype(info.dtype):
        msg = (
            f'The {info.format} announces {expected} of {info.dtype} and holds '
            f'{pixels.shape} of {pixels.dtype}.'
        )
        raise UnsupportedFormatError(msg)
    return pixels


def _plain(stream: IO[bytes], limits: PatchLimits) -> tuple[IO[bytes], Format]:
    """Return the image file in a stream, expanded if it is compressed, and its format.

    Only npy may be compressed: the other formats compress by themselves.
    """
    stream.seek(0)
    head = stream.read(16)
    compression = raw.compression_of(head)
    if compression is None:
        return stream, _recognise(head)
    plain = raw.expanded(stream, compression, limits.nbytes + _MAX_HEADER_BYTES)
    kind = _recognise(plain.read(16))
    if kind != 'npy':
        msg = f'The body is a {kind} compressed with {compression}; expected it as it is.'
        raise UnsupportedFormatError(msg)
    return plain, kind


def _recognise(head: bytes) -> Format:
    """Return the format of a file from its first 16 bytes.

    :raises UnsupportedFormatError: it is none of those that are accepted.
    """
    for kind, begins in _MAGIC.items():
        if head.startswith(begins):
            return kind
    if head[:4] == b'RIFF' and head[8:12] == b'WEBP':
        return 'webp'
    msg = f'The body is not an image: expected {_ACCEPTED}, found bytes that begin with {head[:8]!r}.'
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
    'jxl': (jxl.CONTAINER, jxl.CODESTREAM),
}
_INSPECTORS: dict[Format, Callable[[IO[bytes]], PatchInfo]] = {
    'png': png.inspect_png,
    'jpeg': jpeg.inspect_jpeg,
    'tiff': tiff.inspect_tiff,
    'webp': webp.inspect_webp,
    'jxl': jxl.inspect_jxl,
    'npy': npy.inspect_npy,
}
_DECODERS: dict[Format, Callable[[IO[bytes]], np.ndarray]] = {
    'png': png.decode_png,
    'jpeg': jpeg.decode_jpeg,
    'tiff': tiff.decode_tiff,
    'webp': webp.decode_webp,
    'jxl': jxl.decode_jxl,
    'npy': npy.decode_npy,
}
