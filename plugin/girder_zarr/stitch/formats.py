"""Bytes to pixels: an explicit list of formats, the size known from the header before anything is decoded.

Pixels come out as ``(y, x, bands)`` with 1, 3 or 4 bands in native byte order. Gray with alpha becomes RGBA,
a palette its colors, one bit 0 and 255, half floats float32.
"""

from __future__ import annotations

import struct
import warnings
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Literal

import imagecodecs
import numpy as np
import PIL.Image
import tifffile

from girder_zarr.errors import LimitExceededError, UnsupportedFormatError

if TYPE_CHECKING:
    from collections.abc import Callable

Format = Literal['png', 'jpeg', 'tiff', 'npy']

#: The dtypes that a patch may have once decoded.
DTYPES = frozenset(
    ('uint8', 'uint16', 'uint32', 'uint64', 'int8', 'int16', 'int32', 'int64', 'float32', 'float64')
)
#: What other types are decoded to.
PROMOTED = {'bool': 'uint8', 'float16': 'float32'}
BAND_COUNTS = (1, 3, 4)
_MAX_NPY_HEADER = 10_000
_ACCEPTED = 'PNG, JPEG, TIFF or npy'


@dataclass(frozen=True, slots=True)
class Limits:
    """What one patch may cost. ``pixels`` counts y times x; ``nbytes`` is the size once decoded."""

    pixels: int = 2**28
    nbytes: int = 2**30


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class PatchInfo:
    """What the header of an image says about its pixels once decoded: ``shape`` is ``(y, x, bands)``."""

    format: Format
    shape: tuple[int, int, int]
    dtype: str

    @property
    def nbytes(self) -> int:
        """Bytes of the decoded pixels."""
        height, width, bands = self.shape
        return height * width * bands * np.dtype(self.dtype).itemsize


def inspect(stream: IO[bytes], limits: Limits = DEFAULT_LIMITS) -> PatchInfo:
    """Return format, shape and dtype of an image without decoding its pixels.

    :param stream: seekable; read from its beginning, its position afterwards is undefined.
    :raises UnsupportedFormatError: it is in none of the formats, or its header is damaged.
    :raises LimitExceededError: it has more pixels or bytes than the limits allow.
    """
    kind = _recognise(stream)
    stream.seek(0)
    try:
        info = _INSPECTORS[kind](stream)
    except UnsupportedFormatError:
        raise
    except Exception as error:
        msg = f'The {kind} header cannot be read: {error}'
        raise UnsupportedFormatError(msg) from error
    _check_info(info, limits)
    return info


def decode(stream: IO[bytes], limits: Limits = DEFAULT_LIMITS) -> np.ndarray:
    """Return the pixels of an image as ``(y, x, bands)``, in the dtype that :func:`inspect` announces.

    :raises UnsupportedFormatError: as :func:`inspect`, or the pixels are damaged.
    :raises LimitExceededError: as :func:`inspect`.
    """
    info = inspect(stream, limits)
    stream.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            pixels = _normalise(_DECODERS[info.format](stream))
    except Exception as error:
        msg = f'The pixels of the {info.format} cannot be decoded: {error}'
        raise UnsupportedFormatError(msg) from error
    if pixels.shape != info.shape or pixels.dtype != np.dtype(info.dtype):
        msg = (
            f'The {info.format} announces {info.shape} of {info.dtype} and holds '
            f'{pixels.shape} of {pixels.dtype}.'
        )
        raise UnsupportedFormatError(msg)
    return pixels


def _recognise(stream: IO[bytes]) -> Format:
    stream.seek(0)
    head = stream.read(8)
    if head == b'\x89PNG\r\n\x1a\n':
        return 'png'
    if head[:3] == b'\xff\xd8\xff':
        return 'jpeg'
    if head[:4] in {b'II*\0', b'MM\0*', b'II+\0', b'MM\0+'}:
        return 'tiff'
    if head[:6] == b'\x93NUMPY':
        return 'npy'
    msg = f'The body is not an image: expected {_ACCEPTED}, found bytes that begin with {head!r}.'
    raise UnsupportedFormatError(msg)


def _check_info(info: PatchInfo, limits: Limits) -> None:
    height, width, bands = info.shape
    if min(height, width) < 1:
        msg = f'The {info.format} is empty: {width} x {height} pixels.'
        raise UnsupportedFormatError(msg)
    if bands not in BAND_COUNTS:
        msg = f'The {info.format} has {bands} bands; expected 1, 3 or 4.'
        raise UnsupportedFormatError(msg)
    if info.dtype not in DTYPES:
        msg = f'The {info.format} has pixels of type {info.dtype}; expected integers or floats.'
        raise UnsupportedFormatError(msg)
    if height * width > limits.pixels:
        msg = f'The patch has {width} x {height} pixels; the limit is {limits.pixels} pixels.'
        raise LimitExceededError(msg)
    if info.nbytes > limits.nbytes:
        msg = f'The patch has {info.nbytes} bytes once decoded; the limit is {limits.nbytes}.'
        raise LimitExceededError(msg)


def _normalise(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis]
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    if pixels.shape[2] == 2:
        pixels = pixels[:, :, (0, 0, 0, 1)]
    native = np.dtype(PROMOTED.get(pixels.dtype.name, pixels.dtype.name))
    return np.ascontiguousarray(pixels, dtype=native)


def _info(kind: Format, height: int, width: int, bands: int, dtype: str) -> PatchInfo:
    """Return the info of an image as it will be after :func:`_normalise`."""
    return PatchInfo(kind, (height, width, 4 if bands == 2 else bands), PROMOTED.get(dtype, dtype))


# PNG (ISO/IEC 15948): chunks from IHDR, which holds the size, to IEND; tRNS adds alpha.


def _inspect_png(stream: IO[bytes]) -> PatchInfo:
    stream.seek(8)
    bands = 0
    while True:
        length, name = struct.unpack('>I4s', _exactly(stream, 8))
        if name == b'IHDR':
            width, height, depth, color = struct.unpack('>IIBB', _exactly(stream, 10))
            bands = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}[color]
            stream.seek(length - 10 + 4, 1)
        elif not bands:
            msg = 'The png does not begin with IHDR.'
            raise UnsupportedFormatError(msg)
        elif name == b'tRNS':
            bands = 4 if bands > 1 else 2
            stream.seek(length + 4, 1)
        elif name == b'IEND':
            return _info('png', height, width, bands, 'uint16' if depth == 16 else 'uint8')
        else:
            stream.seek(length + 4, 1)


def _decode_png(stream: IO[bytes]) -> np.ndarray:
    return np.asarray(imagecodecs.png_decode(stream.read()))


# JPEG (ITU-T T.81): a start-of-frame marker holds the size; after the end marker there may be other data.

_JPEG_TAIL = 2**16


def _inspect_jpeg(stream: IO[bytes]) -> PatchInfo:
    stream.seek(2)
    while True:
        byte = _exactly(stream, 1)
        if byte != b'\xff':
            msg = 'The jpeg has no frame header.'
            raise UnsupportedFormatError(msg)
        while byte == b'\xff':
            byte = _exactly(stream, 1)
        marker = byte[0]
        (length,) = struct.unpack('>H', _exactly(stream, 2))
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            precision, height, width, components = struct.unpack('>BHHB', _exactly(stream, 6))
            if precision != 8 or marker not in {0xC0, 0xC1, 0xC2}:
                msg = (
                    f'The jpeg is of a rare kind ({precision} bits, frame type {marker:#x}); expected 8 bits.'
                )
                raise UnsupportedFormatError(msg)
            _check_jpeg_end(stream)
            # Four components are CMYK, which becomes RGB.
            return _info('jpeg', height, width, 3 if components == 4 else components, 'uint8')
        stream.seek(length - 2, 1)


def _check_jpeg_end(stream: IO[bytes]) -> None:
    size = stream.seek(0, 2)
    stream.seek(max(size - _JPEG_TAIL, 0))
    if b'\xff\xd9' not in stream.read():
        msg = 'The jpeg ends too early: it has no end marker.'
        raise UnsupportedFormatError(msg)


def _decode_jpeg(stream: IO[bytes]) -> np.ndarray:
    pixels = np.asarray(imagecodecs.jpeg8_decode(stream.read()))
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        stream.seek(0)
        with PIL.Image.open(stream, formats=['JPEG']) as image:
            return np.asarray(image.convert('RGB'))
    return pixels


# TIFF 6.0 and BigTIFF: one page.

_COLORS = {'MINISBLACK', 'MINISWHITE', 'RGB', 'YCBCR', 'PALETTE'}


def _tiff_page(tiff: Any) -> Any:
    """Return the one page of a TIFF; reduced copies of it after it do not count."""
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


def _inspect_tiff(stream: IO[bytes]) -> PatchInfo:
    with tifffile.TiffFile(stream, _multifile=False) as tiff:
        page = _tiff_page(tiff)
        if page.dtype is None:
            msg = f'The tiff has {page.bitspersample} bits a sample, which is not a type of pixel.'
            raise UnsupportedFormatError(msg)
        _check_tiff_end(page, stream)
        sizes = dict(zip(page.axes, page.shape, strict=True))
        dtype, bands = page.dtype.name, sizes.get('S', 1)
        if page.photometric.name == 'PALETTE':
            dtype, bands = 'uint8', 3
        return _info('tiff', sizes['Y'], sizes['X'], bands, dtype)


def _check_tiff_end(page: Any, stream: IO[bytes]) -> None:
    size = stream.seek(0, 2)
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if not ends or max(ends) > size:
        msg = f'The tiff ends too early: its pixels reach to byte {max(ends, default=0)} of {size}.'
        raise UnsupportedFormatError(msg)


def _decode_tiff(stream: IO[bytes]) -> np.ndarray:
    with tifffile.TiffFile(stream, _multifile=False) as tiff:
        page = _tiff_page(tiff)
        pixels: np.ndarray = page.asarray(maxworkers=1)
        if page.axes == 'SYX':
            pixels = np.moveaxis(pixels, 0, -1)
        if page.photometric.name == 'PALETTE':
            return np.asarray(page.colormap >> 8, np.uint8).T[pixels]
        if page.photometric.name == 'MINISWHITE':
            if pixels.dtype == bool:
                return ~pixels
            if pixels.dtype.kind == 'u':
                return np.iinfo(pixels.dtype).max - pixels
        return pixels


# npy, format 1.0 to 3.0.


def _npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream, max_header_size=_MAX_NPY_HEADER)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream, max_header_size=_MAX_NPY_HEADER)
    msg = f'The npy has version {version[0]}.{version[1]}; expected 1.0 or 2.0.'
    raise UnsupportedFormatError(msg)


def _inspect_npy(stream: IO[bytes]) -> PatchInfo:
    shape, _, dtype = _npy_header(stream)
    if len(shape) not in {2, 3}:
        msg = f'The npy has shape {shape}; expected (y, x) or (y, x, bands).'
        raise UnsupportedFormatError(msg)
    if dtype.kind not in 'buif':
        msg = f'The npy has pixels of type {dtype}; expected integers or floats.'
        raise UnsupportedFormatError(msg)
    info = _info('npy', shape[0], shape[1], shape[2] if len(shape) == 3 else 1, dtype.name)
    start = stream.tell()
    found = stream.seek(0, 2) - start
    expected = int(np.prod([int(side) for side in shape], dtype=object)) * dtype.itemsize
    if found != expected:
        msg = f'The npy announces {expected} bytes of pixels and holds {found}.'
        raise UnsupportedFormatError(msg)
    return info


def _decode_npy(stream: IO[bytes]) -> np.ndarray:
    return np.asarray(np.lib.format.read_array(stream, allow_pickle=False, max_header_size=_MAX_NPY_HEADER))


def _exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) != length:
        msg = 'it ends too early.'
        raise EOFError(msg)
    return data


_INSPECTORS: dict[Format, Callable[[IO[bytes]], PatchInfo]] = {
    'png': _inspect_png,
    'jpeg': _inspect_jpeg,
    'tiff': _inspect_tiff,
    'npy': _inspect_npy,
}
_DECODERS: dict[Format, Callable[[IO[bytes]], np.ndarray]] = {
    'png': _decode_png,
    'jpeg': _decode_jpeg,
    'tiff': _decode_tiff,
    'npy': _decode_npy,
}
