"""Pictures turned upright by the orientation that their file gives (TIFF 6.0, tag 274; EXIF has the same)."""

from __future__ import annotations

import numpy as np

#: Orientations that exchange height and width.
TRANSPOSING = frozenset((5, 6, 7, 8))
#: Those whose rows, and whose columns, are reversed once height and width are in place.
_ROWS_REVERSED = frozenset((3, 4, 7, 8))
_COLUMNS_REVERSED = frozenset((2, 3, 6, 7))


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return pixels ``(y, x, bands)`` as they have to be shown.

    :param orientation: 1 to 8; 1 is upright, 6 has to be turned clockwise by 90 degrees.
    """
    if orientation == 1:
        return pixels
    if orientation in TRANSPOSING:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in _ROWS_REVERSED:
        pixels = pixels[::-1]
    if orientation in _COLUMNS_REVERSED:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
