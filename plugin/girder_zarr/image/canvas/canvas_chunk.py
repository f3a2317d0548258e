"""The chunks of a canvas: in memory, in a file, or both."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import imagecodecs
import numpy as np

from girder_zarr.image.chunk.memory import allocate

if TYPE_CHECKING:
    from .chunk_coverage import ChunkCoverage
    from .spill import Slot, Spill

#: Row, column, and position along the frame axes without trailing zeros.
Key: TypeAlias = tuple[int, ...]


def packed(pixels: np.ndarray) -> bytes:
    """Return pixels compressed for a temporary file, which `imagecodecs.blosc_decode` reads again.

    lz4 takes a fifth of the time of zstd at its fastest, and for photographs hardly more bytes.
    """
    plain: Any = np.ascontiguousarray(pixels).reshape(-1).view(np.uint8)
    size = pixels.itemsize
    return bytes(
        imagecodecs.blosc_encode(
            plain, level=1, compressor='lz4', shuffle=int(size > 1), typesize=size, numthreads=1
        )
    )


def blank(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """Return an array of any content in memory that was used before, where there is some."""
    return allocate(math.prod(shape) * dtype.itemsize).view(dtype).reshape(shape)


@dataclass(eq=False, slots=True)
class CanvasChunk:
    """One chunk: in memory (``data``), in a file (``slot``), or in both where it was only read since.

    :param data: ``(side, side, bands)``, or None.
    :param step: which of the canvas's forms the pixels have.
    """

    covered: ChunkCoverage
    lock: threading.Lock = field(default_factory=threading.Lock)
    data: np.ndarray | None = None
    step: int = 0
    changed: bool = False
    slot: Slot | None = None
    shape: tuple[int, ...] = ()
    dtype: np.dtype[Any] | None = None

    def store(self, spill: Spill) -> None:
        """Write the pixels to the file; they stay in memory.

        :raises OSError: the file cannot be written.
        """
        assert self.data is not None
        old, self.slot, self.changed = self.slot, None, True
        self.slot = spill.put(packed(self.data), old)
        self.shape, self.dtype, self.changed = self.data.shape, self.data.dtype, False

    def load(self, spill: Spill) -> np.ndarray:
        """Return the pixels that were stored."""
        assert self.slot is not None
        assert self.dtype is not None
        data = blank(self.shape, self.dtype)
        target: Any = data.reshape(-1).view(np.uint8)
        imagecodecs.blosc_decode(spill.get(self.slot), numthreads=1, out=target)
        return data


class ResidentChunks:
    """Which chunks are in memory, the one touched longest ago first, and how many bytes they take."""

    def __init__(self, limit: int) -> None:
        self.limit, self.bytes = limit, 0
        self._sizes: OrderedDict[Key, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sizes)

    def note(self, key: Key, size: int) -> None:
        """Remember that a chunk was touched just now."""
        self.bytes += size - self._sizes.get(key, 0)
        self._sizes[key] = size
        self._sizes.move_to_end(key)

    def drop(self, key: Key) -> None:
        """Forget a chunk."""
        self.bytes -= self._sizes.pop(key, 0)

    def oldest(self) -> Key | None:
        """Return the chunk touched longest ago; the next call returns the one after it."""
        key = next(iter(self._sizes), None)
        if key is not None:
            self._sizes.move_to_end(key)
        return key
