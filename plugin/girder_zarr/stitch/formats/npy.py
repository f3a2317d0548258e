"""The npy format of numpy, versions 1.0 and 2.0, of 2 or 3 axes."""

from __future__ import annotations

from typing import IO, Any

import numpy as np

from girder_zarr.errors import UnsupportedFormatError

from .info import PatchInfo, make_info

#: Numpy's own default: longer headers may take long to parse (numpy.lib.format, "max_header_size").
MAX_HEADER_BYTES = 10_000


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream, max_header_size=MAX_HEADER_BYTES)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream, max_header_size=MAX_HEADER_BYTES)
    msg = f'The npy has version {version[0]}.{version[1]}; expected 1.0 or 2.0.'
    raise UnsupportedFormatError(msg)


def inspect_npy(stream: IO[bytes]) -> PatchInfo:
    """Return what the header of an npy announces.

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
    start = stream.tell()
    found = stream.seek(0, 2) - start
    expected = int(np.prod([int(side) for side in shape], dtype=object)) * dtype.itemsize
    if found != expected:
        msg = f'The npy announces {expected} bytes of pixels and holds {found}.'
        raise UnsupportedFormatError(msg)
    return info


def decode_npy(stream: IO[bytes]) -> np.ndarray:
    """Return the pixels of an npy, ``(y, x)`` or ``(y, x, bands)``, in its own dtype and byte order."""
    return np.asarray(np.lib.format.read_array(stream, allow_pickle=False, max_header_size=MAX_HEADER_BYTES))
