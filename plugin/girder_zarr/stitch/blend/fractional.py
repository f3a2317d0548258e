"""Pixels of a patch, resampled where it lies between whole pixels."""

from __future__ import annotations

import cv2
import numpy as np

from .rules import rounded

#: Lanczos's kernel reaches so many pixels to either side.
_LOBES = 3


def shifted(
    pixels: np.ndarray, mask: np.ndarray | None, fraction: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the pixels and the mask of a patch, moved by a fraction of a pixel.

    Lanczos's kernel of three lobes; linear where there is a mask or a number that is not finite, so that
    nothing comes in from pixels that do not count. Beyond the edges the outermost pixels go on.

    :param pixels: ``(y, x, bands)``.
    :param mask: ``(y, x)``, float32 from 0 to 1.
    :param fraction: ``(y, x)`` in pixels, from -0.5 to 0.5: what shows at row 10 comes out at 10 + y.
    :returns: ``(y, x, bands)`` in the dtype of the pixels, integers rounded to the nearest and cut off at
        the limits; and ``(y, x)`` float32, 0 wherever a pixel that the mask leaves out would take part.
    """
    plain = mask is None and (pixels.dtype.kind != 'f' or bool(np.isfinite(pixels).all()))
    kernels = [_lanczos(part) if plain else _linear(part) for part in fraction]
    wide = np.float32 if pixels.dtype.itemsize <= 2 or pixels.dtype == np.float32 else np.float64
    moved = _filtered(pixels.astype(wide), kernels).reshape(pixels.shape)
    found = moved.astype(pixels.dtype) if pixels.dtype.kind == 'f' else rounded(moved, pixels.dtype)
    if mask is None:
        return found, None
    hidden = _filtered((mask <= 0).astype(np.float32), [np.abs(kernel) for kernel in kernels])
    return found, np.where(hidden > 0, np.float32(0), _filtered(mask, kernels))


def _filtered(values: np.ndarray, kernels: list[np.ndarray]) -> np.ndarray:
    # without the zeros at the ends, which times NaN are NaN
    parts, anchors = [], []
    for kernel in kernels:
        used = np.flatnonzero(kernel)
        parts.append(kernel[used[0] : used[-1] + 1])
        anchors.append(int(kernel.size // 2 - used[0]))
    found: np.ndarray = cv2.sepFilter2D(
        values,
        -1,
        parts[1],
        parts[0],
        anchor=(anchors[1], anchors[0]),
        borderType=cv2.BORDER_REPLICATE,
    )
    return found


def _lanczos(fraction: float) -> np.ndarray:
    """Return the weights of the pixels from -3 to 3 for the value at ``-fraction``."""
    at = np.arange(-_LOBES, _LOBES + 1) + fraction
    weights = np.where(np.abs(at) < _LOBES, np.sinc(at) * np.sinc(at / _LOBES), 0)
    return np.asarray(weights / weights.sum())


def _linear(fraction: float) -> np.ndarray:
    return np.array([max(fraction, 0.0), 1 - abs(fraction), max(-fraction, 0.0)])
