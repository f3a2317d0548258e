"""The chunks of a canvas: in memory, in a file, or both."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import imagecodecs
import numpy as np

from girder_zarr.image.write.encode import Codec

if TYPE_CHECKING:
    from pathlib import Path

    from .coverage import Coverage

#: Row, column, and position along the frame axes without trailing zeros.
Key: TypeAlias = tuple[int, ...]
#: How chunks are compressed in temporary files.
_CODEC = Codec()


@dataclass(eq=False, slots=True)
class Chunk:
    """One chunk: in memory (``data``), in a file (``path``), or in both where it was only read since.

    :param data: ``(side, side, bands)``, or None.
    :param step: which of the canvas's forms the pixels have.
    """

    covered: Coverage
    lock: threading.Lock = field(default_factory=threading.Lock)
    data: np.ndarray | None = None
    step: int = 0
    changed: bool = False
    path: Path | None = None
    shape: tuple[int, ...] = ()
    dtype: np.dtype[Any] | None = None

    def store(self, path: Path) -> None:
        """Write the pixels to a file; they stay in memory.

        :raises OSError: the file cannot be written.
        """
        assert self.data is not None
        path.write_bytes(_CODEC.encode(self.data))
        self.path, self.shape, self.dtype, self.changed = path, self.data.shape, self.data.dtype, False

    def load(self) -> np.ndarray:
        """Return the pixels that were stored."""
        assert self.path is not None
        data = np.empty(self.shape, self.dtype)
        target: Any = data.reshape(-1).view(np.uint8)
        imagecodecs.blosc_decode(self.path.read_bytes(), numthreads=1, out=target)
        return data


class Held:
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
