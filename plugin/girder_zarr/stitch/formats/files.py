"""PNG, JPEG, TIFF and npy: what their headers announce, and their pixels."""

from __future__ import annotations

import struct
from typing import IO, Any

import imagecodecs
import numpy as np
import PIL.Image
import tifffile

from girder_zarr.errors import UnsupportedFormatError

from .info import PatchInfo, exactly, make_info

MAX_NPY_HEADER = 10_000

# PNG (ISO/IEC 15948): chunks from IHDR, which holds the size, to IEND; tRNS adds alpha.


def inspect_png(stream: IO[bytes]) -> PatchInfo:
    """Read the chunks of a PNG up to its end."""
    stream.seek(8)
    bands = 0
    while True:
        length, name = struct.unpack('>I4s', exactly(stream, 8))
        if name == b'IHDR':
            width, height, depth, color = struct.unpack('>IIBB', exactly(stream, 10))
            bands = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}[color]
            stream.seek(length - 10 + 4, 1)
        elif not bands:
            msg = 'The png does not begin with IHDR.'
            raise UnsupportedFormatError(msg)
        elif name == b'tRNS':
            bands = 4 if bands > 1 else 2
            stream.seek(length + 4, 1)
        elif name == b'IEND':
            return make_info('png', height, width, bands, 'uint16' if depth == 16 else 'uint8')
        else:
            stream.seek(length + 4, 1)


def decode_png(stream: IO[bytes]) -> np.ndarray:
    """Decode a PNG."""
    data = stream.read()
    depth, color = data[24], data[25]
    # spng is a third faster and knows gray, RGB and RGBA of 8 bits without tRNS
    if depth == 8 and color in {0, 2, 6} and (color == 6 or inspect_png(stream).shape[2] in {1, 3}):
        return np.asarray(imagecodecs.spng_decode(data))
    return np.asarray(imagecodecs.png_decode(data))


# JPEG (ITU-T T.81): a start-of-frame marker holds the size; after the end marker there may be other data.

_JPEG_TAIL = 2**16


def inspect_jpeg(stream: IO[bytes]) -> PatchInfo:
    """Read the markers of a JPEG up to its frame header."""
    stream.seek(2)
    while True:
        byte = exactly(stream, 1)
        if byte != b'\xff':
            msg = 'The jpeg has no frame header.'
            raise UnsupportedFormatError(msg)
        while byte == b'\xff':
            byte = exactly(stream, 1)
        marker = byte[0]
        (length,) = struct.unpack('>H', exactly(stream, 2))
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            precision, height, width, components = struct.unpack('>BHHB', exactly(stream, 6))
            if precision != 8 or marker not in {0xC0, 0xC1, 0xC2}:
                msg = (
                    f'The jpeg is of a rare kind ({precision} bits, frame type {marker:#x}); expected 8 bits.'
                )
                raise UnsupportedFormatError(msg)
            _check_jpeg_end(stream)
            # Four components are CMYK, which becomes RGB.
            return make_info('jpeg', height, width, 3 if components == 4 else components, 'uint8')
        stream.seek(length - 2, 1)


def _check_jpeg_end(stream: IO[bytes]) -> None:
    size = stream.seek(0, 2)
    stream.seek(max(size - _JPEG_TAIL, 0))
    if b'\xff\xd9' not in stream.read():
        msg = 'The jpeg ends too early: it has no end marker.'
        raise UnsupportedFormatError(msg)


def decode_jpeg(stream: IO[bytes]) -> np.ndarray:
    """Decode a JPEG; CMYK becomes RGB."""
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


def inspect_tiff(stream: IO[bytes]) -> PatchInfo:
    """Read the tags of a TIFF."""
    # With a name, for tifffile asks a nameless stream, as an upload is, for its path.
    with tifffile.TiffFile(stream, name='patch.tif', _multifile=False) as tiff:
        page = _tiff_page(tiff)
        if page.dtype is None:
            msg = f'The tiff has {page.bitspersample} bits a sample, which is not a type of pixel.'
            raise UnsupportedFormatError(msg)
        _check_tiff_end(page, stream)
        sizes = dict(zip(page.axes, page.shape, strict=True))
        dtype, bands = page.dtype.name, sizes.get('S', 1)
        if page.photometric.name == 'PALETTE':
            dtype, bands = 'uint8', 3
        return make_info('tiff', sizes['Y'], sizes['X'], bands, dtype)


def _check_tiff_end(page: Any, stream: IO[bytes]) -> None:
    size = stream.seek(0, 2)
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if not ends or max(ends) > size:
        msg = f'The tiff ends too early: its pixels reach to byte {max(ends, default=0)} of {size}.'
        raise UnsupportedFormatError(msg)


def decode_tiff(stream: IO[bytes]) -> np.ndarray:
    """Decode the one page of a TIFF."""
    with tifffile.TiffFile(stream, name='patch.tif', _multifile=False) as tiff:
        page = _tiff_page(tiff)
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


# npy, format 1.0 to 3.0.


def _npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream, max_header_size=MAX_NPY_HEADER)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream, max_header_size=MAX_NPY_HEADER)
    msg = f'The npy has version {version[0]}.{version[1]}; expected 1.0 or 2.0.'
    raise UnsupportedFormatError(msg)


def inspect_npy(stream: IO[bytes]) -> PatchInfo:
    """Read the header of an npy."""
    shape, _, dtype = _npy_header(stream)
    if len(shape) not in {2, 3}:
        msg = f'The npy has shape {shape}; expected (y, x) or (y, x, bands).'
        raise UnsupportedFormatError(msg)
    if dtype.kind not in 'buif':
        msg = f'The npy has pixels of type {dtype}; expected integers or floats.'
        raise UnsupportedFormatError(msg)
    info = make_info('npy', shape[0], shape[1], shape[2] if len(shape) == 3 else 1, dtype.name)
    start = stream.tell()
    found = stream.seek(0, 2) - start
    expected = int(np.prod([int(side) for side in shape], dtype=object)) * dtype.itemsize
    if found != expected:
        msg = f'The npy announces {expected} bytes of pixels and holds {found}.'
        raise UnsupportedFormatError(msg)
    return info


def decode_npy(stream: IO[bytes]) -> np.ndarray:
    """Read the pixels of an npy."""
    return np.asarray(np.lib.format.read_array(stream, allow_pickle=False, max_header_size=MAX_NPY_HEADER))
