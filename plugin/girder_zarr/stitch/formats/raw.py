"""Raw pixels with a declared layout."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from girder_zarr.errors import InvalidInputError, UnsupportedFormatError

from .expand import COMPRESSIONS, count, expanded
from .info import DTYPES, PROMOTED, PatchInfo, make_info
from .rows import RowReader, filled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .info import Compression

_SHAPE = re.compile(r'\d{1,9}(,\d{1,9}){1,2}')
_TYPES = '|'.join(sorted(DTYPES | set(PROMOTED)))
_DTYPE = re.compile(rf'[<>]?({_TYPES})')


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of raw pixels, as the client declares it.

    >>> Layout.parse('512,512,3', '>uint16', None)
    Layout(shape=(512, 512, 3), dtype='>uint16', compression=None)

    :param shape: ``(y, x)`` or ``(y, x, bands)``, C order.
    :param dtype: the numpy name, with ``<`` (the default) or ``>`` before it for the order of bytes.
    :param compression: of the bytes, or None.
    """

    shape: tuple[int, ...]
    dtype: str
    compression: Compression | None = None

    @classmethod
    def parse(cls, shape: str | None, dtype: str | None, compression: str | None) -> Layout | None:
        """Return the layout that query parameters declare, or None if all are None.

        :param shape: ``y,x`` or ``y,x,bands``.
        :param dtype: the numpy name, with ``<`` or ``>`` before it.
        :param compression: ``gzip`` or ``zstd``.
        :raises InvalidInputError: one is malformed or missing; the message names it.
        """
        if shape is None and dtype is None and compression is None:
            return None
        if shape is None or not _SHAPE.fullmatch(shape):
            msg = f'shape: expected y,x or y,x,bands of raw pixels, found {shape!r:.80}.'
            raise InvalidInputError(msg)
        if dtype is None or not _DTYPE.fullmatch(dtype):
            msg = f'dtype: expected one of {_TYPES.replace("|", ", ")}, found {dtype!r:.80}.'
            raise InvalidInputError(msg)
        known = next((one for one in COMPRESSIONS if one == compression), None)
        if compression is not None and known is None:
            msg = f'compression: expected gzip or zstd, found {compression!r:.80}.'
            raise InvalidInputError(msg)
        return cls(tuple(int(side) for side in shape.split(',')), dtype, known)

    @property
    def stored(self) -> np.dtype[Any]:
        """The dtype of the bytes, byte order included."""
        native = np.dtype(self.dtype.lstrip('<>'))
        return native.newbyteorder('>' if self.dtype.startswith('>') else '<')

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels, uncompressed."""
        return math.prod(self.shape) * self.stored.itemsize

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that :meth:`from_json` reads."""
        return {'shape': list(self.shape), 'dtype': self.dtype, 'compression': self.compression}

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None) -> Layout | None:
        """Return the layout that :meth:`to_json` wrote; None stays None."""
        if document is None:
            return None
        return cls(tuple(document['shape']), document['dtype'], document['compression'])


def info_of_layout(layout: Layout) -> PatchInfo:
    """Return the info of raw pixels from their layout."""
    bands = layout.shape[2] if len(layout.shape) == 3 else 1
    return make_info('raw', layout.shape[0], layout.shape[1], bands, layout.stored.name)


def _opened(stream: IO[bytes], layout: Layout) -> IO[bytes]:
    """Return the bytes of the pixels, from their beginning."""
    if layout.compression is not None:
        return expanded(stream, layout.compression, layout.nbytes)
    stream.seek(0)
    return stream


def check_raw(stream: IO[bytes], layout: Layout) -> None:
    """Check that a stream holds exactly the bytes that its layout needs; pixels are expanded to count them.

    :raises UnsupportedFormatError: it holds more or fewer, or cannot be expanded.
    :raises LimitExceededError: it holds more once expanded.
    """
    found = stream.seek(0, 2) if layout.compression is None else count(_opened(stream, layout))
    if found != layout.nbytes:
        msg = (
            f'The raw pixels of shape {layout.shape} and dtype {layout.dtype} take {layout.nbytes} bytes; '
            f'found {found}.'
        )
        raise UnsupportedFormatError(msg)


def decode_raw(stream: IO[bytes], layout: Layout) -> np.ndarray:
    """Return raw pixels as ``(y, x)`` or ``(y, x, bands)`` in the byte order of their layout."""
    return filled(_opened(stream, layout), layout.shape, layout.stored)


def raw_rows(stream: IO[bytes], layout: Layout) -> RowReader:
    """Return what reads raw pixels row by row."""
    return RowReader(_opened(stream, layout), layout.shape, layout.stored)
