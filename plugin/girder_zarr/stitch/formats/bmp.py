"""BMP of Windows, not compressed: palettes of 1, 4 and 8 bits, and 16, 24 and 32 bits a pixel."""

from __future__ import annotations

import io
import struct
from typing import IO

import numpy as np
import PIL.Image

from girder_zarr.errors import LimitExceededError, UnsupportedFormatError
from girder_zarr.image.chunk.picture_header import PictureHeader, exactly

from .info import PatchInfo, info_of

#: Bytes of the headers that follow the file header: of OS/2, and BITMAPINFOHEADER with what came after it.
_CORE, _INFO = 12, frozenset((40, 52, 56, 64, 108, 124))
_PLAIN, _MASKS = 0, frozenset((3, 6))
#: Bytes of a pixel's alpha mask in the headers that have one.
_ALPHA_AT, _HAS_ALPHA = 52, frozenset((56, 108, 124))
_DEPTHS = frozenset((1, 4, 8, 16, 24, 32))


def inspect_bmp(stream: IO[bytes]) -> PatchInfo:
    """Return what the headers and the palette of a BMP announce; a palette without colors is gray.

    :raises UnsupportedFormatError: it is compressed, or ends before its pixels do.
    :raises LimitExceededError: it has more pixels than Pillow decodes.
    :raises ValueError, EOFError, struct.error: a header is damaged.
    """
    stream.seek(0)
    mark, first, length = struct.unpack('<2s8xII', exactly(stream, 18))
    if mark != b'BM' or length not in {_CORE, *_INFO}:
        msg = f'it has a header of {length} bytes, which is not known.'
        raise ValueError(msg)
    header = struct.pack('<I', length) + exactly(stream, length - 4)
    if length == _CORE:
        width, height, _, depth = struct.unpack_from('<4H', header, 4)
        compression, colors, color_bytes = _PLAIN, 0, 3
    else:
        width, height, _, depth, compression, colors = struct.unpack_from('<iiHHI12xI', header, 4)
        color_bytes = 4
    if depth not in _DEPTHS or width < 1 or height == 0:
        msg = f'it states {width} x {height} pixels of {depth} bits.'
        raise ValueError(msg)
    if compression not in {_PLAIN, *(_MASKS if depth in {16, 32} else ())}:
        msg = 'The bmp is compressed; expected one that is not.'
        raise UnsupportedFormatError(msg)
    height = abs(height)
    _check_size(stream, first, width, height, depth)
    if depth <= 8:
        stream.seek(14 + length)
        bands = _palette_bands(exactly(stream, color_bytes * min(colors or 2**depth, 2**depth)), color_bytes)
    else:
        bands = 4 if _has_alpha(header, length, compression) else 3
    return info_of('bmp', PictureHeader(height, width, bands))


def _check_size(stream: IO[bytes], first: int, width: int, height: int, depth: int) -> None:
    end, size = first + height * ((width * depth + 31) // 32 * 4), stream.seek(0, 2)
    if end > size:
        msg = f'The bmp ends too early: its pixels reach to byte {end} of {size}.'
        raise UnsupportedFormatError(msg)
    limit = 2 * (PIL.Image.MAX_IMAGE_PIXELS or 2**62)
    if width * height > limit:
        msg = f'The bmp has {width} x {height} pixels; no more than {limit} are decoded.'
        raise LimitExceededError(msg)


def _palette_bands(palette: bytes, color_bytes: int) -> int:
    colors = np.frombuffer(palette, np.uint8).reshape(-1, color_bytes)[:, :3]
    return 1 if bool(np.all(colors == colors[:, :1])) else 3


def _has_alpha(header: bytes, length: int, compression: int) -> bool:
    if compression not in _MASKS or length not in _HAS_ALPHA:
        return False
    (mask,) = struct.unpack_from('<I', header, _ALPHA_AT)
    return bool(mask)


def decode_bmp(stream: IO[bytes], info: PatchInfo) -> np.ndarray:
    """Return the pixels of a BMP, uint8: ``(y, x)`` if gray, else ``(y, x, bands)``.

    :param info: what :func:`inspect_bmp` returned.
    """
    mode = {1: 'L', 3: 'RGB', 4: 'RGBA'}[info.shape[2]]
    with PIL.Image.open(io.BytesIO(stream.read()), formats=['BMP']) as image:
        return np.asarray(image.convert(mode))
