"""Parts of large patches: decoded by rows, in bands of which the last ones are kept.

A block needs a square of a patch. Of a patch of a gigabyte that square is a few megabytes, and the blocks
beside it need the same rows.
"""

from __future__ import annotations

import contextlib
import math
import threading
from typing import TYPE_CHECKING

import numpy as np

from girder_zarr.common.cache import LRU
from girder_zarr.errors import UnsupportedFormatError

from .patch_loader import unlike

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from girder_zarr.stitch.patch import Patch

    #: Pieces of whole rows of a patch, ``(y, x, bands)``, from the first row to the last; see `decode_rows`.
    LoadRows = Callable[[Patch], Iterator[np.ndarray]]

#: Patches of more bytes are read by rows.
LARGE_BYTES = 64 * 2**20
#: Bytes of one band, and of those that are kept: a row of blocks of four patches of 16,384 pixels RGBA.
BAND_BYTES, KEPT_BYTES = 32 * 2**20, 160 * 2**20


def is_large(patch: Patch) -> bool:
    """Return whether a patch has more than ``LARGE_BYTES``."""
    return math.prod(patch.shape) * np.dtype(patch.dtype).itemsize > LARGE_BYTES


class RowBands:
    """Reads parts of patches. Safe under many threads, of which one decodes at a time.

    A thread must not hold bytes of the budget when it asks: another one that decodes may wait for them.

    :param load_rows: returns the rows of a patch as they are stored, with a band more where ``patch.alpha``.
    """

    def __init__(self, load_rows: LoadRows) -> None:
        self._load_rows = load_rows
        self._lock = threading.Lock()
        self._kept: LRU[tuple[str, str, int], np.ndarray] = LRU(
            max_bytes=KEPT_BYTES, size_of=lambda band: band.nbytes
        )

    def read(self, patch: Patch, rows: slice, columns: slice) -> np.ndarray:
        """Return a part of a patch, ``(y, x, bands)``, an array of its own.

        :param rows: with ``columns``, inside the patch; start and stop explicit, not empty.
        :raises UnsupportedFormatError: its pixels differ in shape or dtype from what is known of it.
        """
        row_bytes = patch.shape[1] * (patch.shape[2] + patch.alpha) * np.dtype(patch.dtype).itemsize
        step = max(1, BAND_BYTES // row_bytes)
        numbers = range(rows.start // step, (rows.stop - 1) // step + 1)
        with self._lock:
            found = {number: self._kept.get((patch.key, patch.source, number)) for number in numbers}
            missing = [number for number, band in found.items() if band is None]
            if missing:
                found.update(self._decoded(patch, missing[0], missing[-1], step))
        parts = []
        for number, band in found.items():
            assert band is not None
            first = max(rows.start - number * step, 0)
            parts.append(band[first : rows.stop - number * step, columns])
        return np.concatenate(parts)

    def _decoded(self, patch: Patch, first: int, last: int, step: int) -> dict[int, np.ndarray]:
        """Decode and keep the bands from the first to the last."""
        height, width, bands = patch.shape[0], patch.shape[1], patch.shape[2] + patch.alpha
        start, end = first * step, min((last + 1) * step, height)
        out = np.empty((end - start, width, bands), patch.dtype)
        top = 0
        with contextlib.closing(self._load_rows(patch)) as pieces:  # type: ignore[type-var]
            for piece in pieces:
                if piece.shape[1:] != out.shape[1:] or piece.dtype != out.dtype:
                    raise unlike(patch, piece)
                low, high = max(top, start), min(top + len(piece), end)
                if high > low:
                    out[low - start : high - start] = piece[low - top : high - top]
                top += len(piece)
                if top >= end:
                    break
        if top < end:
            msg = f'Patch {patch.key} should hold {height} rows; found {top}: send the patch again.'
            raise UnsupportedFormatError(msg)
        made = {}
        for number in range(first, last + 1):
            band = out[(number - first) * step : (number - first + 1) * step].copy()
            made[number] = band
            self._kept.put((patch.key, patch.source, number), band)
        return made
