"""The npy format of numpy, versions 1.0 and 2.0, of 2 or 3 axes."""

from __future__ import annotations

import functools
import io
from dataclasses import replace
from typing import IO, Any

import numpy as np

from girder_zarr.errors import UnsupportedFormatError
from girder_zarr.image.chunk.picture_header import exactly

from .expand import count
from .info import PatchInfo, PatchLimits, check_info, make_info
from .rows import RowReader, filled

#: Numpy's own default: longer headers may take long to parse (numpy.lib.format, "max_header_size").
MAX_HEADER_BYTES = 10_000


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version not in {(1, 0), (2, 0)}:
        msg = f'The npy has version {version[0]}.{version[1]}; expected 1.0 or 2.0.'
        raise UnsupportedFormatError(msg)
    prefix = exactly(stream, 2 * version[0])
    length = int.from_bytes(prefix, 'little')
    if length > MAX_HEADER_BYTES:
        msg = f'The header of the npy takes {length} bytes; at most {MAX_HEADER_BYTES} are read.'
        raise UnsupportedFormatError(msg)
    return _parsed(version[0], prefix + exactly(stream, length))


@functools.lru_cache(maxsize=64)
def _parsed(version: int, header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and dtype; the patches of an image have mostly the same header."""
    read = np.lib.format.read_array_header_1_0 if version == 1 else np.lib.format.read_array_header_2_0
    return read(io.BytesIO(header), max_header_size=MAX_HEADER_BYTES)


def inspect_npy(stream: IO[bytes], limits: PatchLimits) -> PatchInfo:
    """Return what the header of an npy announces.

    :param stream: at its beginning.
    :param limits: held against the header of a compressed npy before it is expanded.

    :raises UnsupportedFormatError: it is of another version, number of axes or type, or holds more or fewer
        bytes than its header announces.
    """
    shape, _, dtype = _header(stream)
    if len(shape) not in {2, 3}:
        msg = f'The npy has shape {shape}; expected (y, x) or (y, x, bands).'
        raise UnsupportedFormatError(msg)
    if dtype.kind not in 'buif':
        msg = f'The npy has pixels of type {dtype}; expected integers or floats.'
        raise UnsupportedFormatError(msg)
    info = make_info('npy', shape[0], shape[1], shape[2] if len(shape) == 3 else 1, dtype.name)
    expected = int(np.prod([int(side) for side in shape], dtype=object)) * dtype.itemsize
    if stream.seekable():
        start = stream.tell()
        found = stream.seek(0, 2) - start
    else:  # compressed: counted only once the size is known to be within the limits
        check_info(replace(info, shape=(*info.shape[:2], 4 if info.shape[2] == 2 else info.shape[2])), limits)
        found = count(stream)
    if found != expected:
        msg = f'The npy announces {expected} bytes of pixels and holds {found}.'
        raise UnsupportedFormatError(msg)
    return info


def decode_npy(stream: IO[bytes]) -> np.ndarray:
    """Return the pixels of an npy, ``(y, x)`` or ``(y, x, bands)``, in its own dtype and byte order."""
    shape, fortran, dtype = _header(stream)
    if fortran:
        return filled(stream, shape[::-1], dtype).T
    return filled(stream, shape, dtype)


def npy_rows(stream: IO[bytes]) -> RowReader | None:
    """Return what reads an npy row by row, or None if it is in Fortran order."""
    shape, fortran, dtype = _header(stream)
    return None if fortran else RowReader(stream, shape, dtype)
