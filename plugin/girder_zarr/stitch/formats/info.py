"""What the header of an image announces before its pixels are decoded; the limits of patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from girder_zarr.errors import LimitExceededError, UnsupportedFormatError

if TYPE_CHECKING:
    from girder_zarr.image.chunk.picture_header import PictureHeader

Format = Literal['png', 'jpeg', 'tiff', 'webp', 'jxl', 'jp2', 'bmp', 'npy', 'raw']
Compression = Literal['gzip', 'zstd']

#: The dtypes that a patch may have once decoded.
DTYPES = frozenset(
    ('uint8', 'uint16', 'uint32', 'uint64', 'int8', 'int16', 'int32', 'int64', 'float32', 'float64')
)
#: Other dtypes, and what they are decoded to.
PROMOTED = {'bool': 'uint8', 'float16': 'float32'}
#: Bands of a patch: gray, RGB and RGBA.
BAND_COUNTS = (1, 3, 4)


@dataclass(frozen=True, slots=True)
class PatchLimits:
    """The largest patch that is accepted.

    :param pixels: height x width; 2**28 is 16384 x 16384.
    :param nbytes: bytes once decoded.
    """

    pixels: int = 2**28
    nbytes: int = 2**30


DEFAULT_LIMITS = PatchLimits()


@dataclass(frozen=True, slots=True)
class PageAt:
    """A page of a file of several, and where it begins.

    :param number: from 0, along the chain of directories of a TIFF.
    :param directory: the byte at which its directory begins; 0: it was not looked for yet.
    :param plane: of the planes that follow each other behind one directory (ImageJ does so), its number.
    """

    number: int
    directory: int = 0
    plane: int = 0


@dataclass(frozen=True, slots=True)
class PatchInfo:
    """What the header of an image announces of its decoded pixels.

    :param format: of the file.
    :param shape: ``(y, x, bands)``.
    :param dtype: the numpy name, after promotion (``PROMOTED``).
    :param orientation: 1 to 8, as TIFF and EXIF count; ``shape`` is as stored while it is not 1.
    :param page: the page that was asked for, with its place in the file; None: the file is one picture.
    """

    format: Format
    shape: tuple[int, int, int]
    dtype: str
    orientation: int = 1
    page: PageAt | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the decoded pixels."""
        height, width, bands = self.shape
        return height * width * bands * np.dtype(self.dtype).itemsize


def make_info(kind: Format, height: int, width: int, bands: int, dtype: str) -> PatchInfo:
    """Return the info of an image from its header, with the dtype after decoding.

    :param bands: as stored; 2 are gray and alpha.
    :param dtype: the numpy name, as stored.
    """
    return PatchInfo(kind, (height, width, bands), PROMOTED.get(dtype, dtype))


def info_of(kind: Format, header: PictureHeader) -> PatchInfo:
    """Return the info of an image from its header."""
    dtype = PROMOTED.get(header.dtype, header.dtype)
    return PatchInfo(kind, (header.height, header.width, header.bands), dtype, header.orientation)


def check_info(info: PatchInfo, limits: PatchLimits) -> None:
    """Check that the shape and dtype of an image are accepted.

    :raises UnsupportedFormatError: it is empty, or has other bands or another dtype.
    :raises LimitExceededError: it is too large; the message gives the limit.
    """
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
