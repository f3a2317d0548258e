"""What is known of an image before its pixels are decoded; what all formats share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, Literal

import numpy as np

from girder_zarr.errors import LimitExceededError, UnsupportedFormatError

Format = Literal['png', 'jpeg', 'tiff', 'webp', 'jxl', 'npy', 'raw']
Compression = Literal['gzip', 'zstd']

#: The dtypes that a patch may have once decoded.
DTYPES = frozenset(
    ('uint8', 'uint16', 'uint32', 'uint64', 'int8', 'int16', 'int32', 'int64', 'float32', 'float64')
)
#: What other types are decoded to.
PROMOTED = {'bool': 'uint8', 'float16': 'float32'}
BAND_COUNTS = (1, 3, 4)


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


def make_info(kind: Format, height: int, width: int, bands: int, dtype: str) -> PatchInfo:
    """Return what a header says, with the dtype after decoding; 2 bands are gray and alpha."""
    return PatchInfo(kind, (height, width, bands), PROMOTED.get(dtype, dtype))


def check_info(info: PatchInfo, limits: Limits) -> None:
    """Check that an image is of a kind and size that we take.

    :raises UnsupportedFormatError: it is empty, or its bands or dtype are others.
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


def exactly(stream: IO[bytes], length: int) -> bytes:
    """Return the next ``length`` bytes.

    :raises EOFError: there are fewer.
    """
    data = stream.read(length)
    if len(data) != length:
        msg = 'it ends too early.'
        raise EOFError(msg)
    return data
