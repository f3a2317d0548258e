"""Pixels of a stream in C order: all of them, or some rows after the other."""

from __future__ import annotations

import io
import math
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


def filled(stream: IO[bytes], shape: Sequence[int], dtype: np.dtype[Any]) -> np.ndarray:
    """Return the next pixels of a stream: in memory of their size, or read-only those of bytes in memory.

    :raises EOFError: it holds fewer.
    """
    if isinstance(stream, io.BytesIO):
        return _in_place(stream, shape, dtype)
    out = np.empty(math.prod(shape), dtype)
    view = out.view(np.uint8).data
    while view:
        found = stream.readinto(view)  # type: ignore[attr-defined]
        if not found:
            msg = 'it ends too early.'
            raise EOFError(msg)
        view = view[found:]
    return out.reshape(tuple(shape))


def _in_place(stream: io.BytesIO, shape: Sequence[int], dtype: np.dtype[Any]) -> np.ndarray:
    content, place, count = stream.getvalue(), stream.tell(), math.prod(shape)
    if len(content) - place < count * dtype.itemsize:
        msg = 'it ends too early.'
        raise EOFError(msg)
    stream.seek(place + count * dtype.itemsize)
    pixels = np.frombuffer(content, dtype, count, place) if count else np.empty(0, dtype)
    return pixels.reshape(tuple(shape))


class RowReader:
    """Reads rows of pixels, from the first to the last.

    :param stream: at the first pixel; C order.
    :param shape: ``(y, x)`` or ``(y, x, bands)``.
    """

    def __init__(self, stream: IO[bytes], shape: Sequence[int], dtype: np.dtype[Any]) -> None:
        self._stream, self._shape, self._dtype = stream, tuple(shape), dtype

    def read(self, count: int) -> np.ndarray:
        """Return the next rows. :raises EOFError: there are fewer."""
        return filled(self._stream, (count, *self._shape[1:]), self._dtype)
