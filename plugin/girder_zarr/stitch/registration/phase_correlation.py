"""The shift of a patch against its given position, measured in its overlap with a neighbour."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from girder_zarr.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from girder_zarr.stitch.patch import Patch
    from girder_zarr.stitch.spec.field_checks import RegistrationSpec

#: At most so many pixels along y and x are compared, from the middle of the overlap: enough for a subpixel
#: peak, and memory and time of the Fourier transforms stay bounded.
MAX_COMPARED = 512
#: Sigma, in pixels, of the Gaussian whose result is subtracted, so that uneven light does not correlate.
_SIGMA = 8.0
#: Pixels that two patches must share along y and x at a shift; a correlation of fewer is noise.
_MIN_SHARED = 4


@dataclass(frozen=True, slots=True)
class Shift:
    """Measured minus given distance of the second patch from the first, in pixels, and their correlation."""

    y: float
    x: float
    correlation: float


def needs_registration_extra() -> None:
    """Check that scikit-image is installed.

    :raises InvalidInputError: it is not.
    """
    try:
        import skimage.registration  # noqa: F401
    except ImportError as error:
        msg = (
            'spec.registration: expected scikit-image on the machine that stitches, found none; '
            "pip install 'girder-zarr[registration]' installs it."
        )
        raise InvalidInputError(msg) from error


def measure(
    first: Patch, second: Patch, one: np.ndarray, two: np.ndarray, spec: RegistrationSpec
) -> Shift | None:
    """Return the shift of the second patch, or None if the patches overlap too little.

    :param one: the pixels of the first, ``(y, x, bands)``.
    :param two: the pixels of the second.
    :param spec: bounds the shift.
    """
    strips = _strips(first, second, one, two, spec.max_shift)
    if strips is None:
        return None
    best: Shift | None = None
    for y, x in {(0, 0), *_proposals(strips, spec.max_shift)}:
        found = _refine(strips, y, x, spec.max_shift)
        if found is not None and (best is None or found.correlation > best.correlation):
            best = found
    return best


@dataclass(frozen=True, slots=True)
class _Strips:
    """The high-pass filtered parts of both patches that may overlap, and where they begin."""

    one: np.ndarray
    two: np.ndarray
    origin_one: tuple[int, int]
    origin_two: tuple[int, int]

    def shared(self, y: int, x: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the overlapping parts of both if the second is shifted, or None if they are too small."""
        parts_one, parts_two = [], []
        for axis, shift in ((0, y), (1, x)):
            start_two = self.origin_two[axis] + shift
            low = max(self.origin_one[axis], start_two)
            high = min(self.origin_one[axis] + self.one.shape[axis], start_two + self.two.shape[axis])
            if high - low < _MIN_SHARED:
                return None
            parts_one.append(slice(low - self.origin_one[axis], high - self.origin_one[axis]))
            parts_two.append(slice(low - start_two, high - start_two))
        return self.one[tuple(parts_one)], self.two[tuple(parts_two)]

    def correlation(self, y: int, x: int) -> float:
        """Return the correlation coefficient of the overlap at a shift, or -2 if there is none."""
        both = self.shared(y, x)
        if both is None:
            return -2.0
        a, b = (part - part.mean() for part in both)
        norm = float(np.sqrt(np.vdot(a, a) * np.vdot(b, b)))
        return float(np.vdot(a, b)) / norm if norm > 0 else -2.0


def _strips(first: Patch, second: Patch, one: np.ndarray, two: np.ndarray, margin: int) -> _Strips | None:
    windows = []
    for axis in (0, 1):
        starts = [(patch.placement.y, patch.placement.x)[axis] for patch in (first, second)]
        ends = (starts[0] + first.shape[axis], starts[1] + second.shape[axis])
        low, high = max(starts), min(ends)
        if high <= low:
            return None
        spare = max(high - low - MAX_COMPARED, 0)
        windows.append((low + spare // 2 - margin, high - (spare - spare // 2) + margin))
    parts, origins = [], []
    for patch, pixels in ((first, one), (second, two)):
        place, slices = (patch.placement.y, patch.placement.x), []
        for axis in (0, 1):
            low = max(windows[axis][0] - place[axis], 0)
            high = min(windows[axis][1] - place[axis], patch.shape[axis])
            slices.append(slice(low, high))
        parts.append(_fine(pixels[slices[0], slices[1]]))
        origins.append((place[0] + slices[0].start, place[1] + slices[1].start))
    return _Strips(parts[0], parts[1], origins[0], origins[1])


def _fine(pixels: np.ndarray) -> np.ndarray:
    """Return the high-pass filtered mean of the bands, float32 ``(y, x)``; NaN and infinities count as 0."""
    gray = np.nan_to_num(pixels, nan=0, posinf=0, neginf=0).mean(axis=2, dtype=np.float64)
    spread = float(gray.std())
    gray = ((gray - gray.mean()) / spread if spread > 0 else gray * 0).astype(np.float32)
    return np.asarray(gray - cv2.GaussianBlur(gray, (0, 0), _SIGMA, borderType=cv2.BORDER_REFLECT))


def _proposals(strips: _Strips, max_shift: int) -> Iterator[tuple[int, int]]:
    """Yield the shifts that phase correlation and plain correlation propose, within ``max_shift`` pixels."""
    from skimage.registration import phase_cross_correlation

    both = strips.shared(0, 0)
    if both is None:
        return
    window: Any = np.outer(*(np.hanning(size + 2)[1:-1] for size in both[0].shape)).astype(np.float32)
    one, two = (part * window for part in both)
    for normalization in ('phase', None):
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            correlate: Any = phase_cross_correlation
            shift, _, _ = correlate(one, two, normalization=normalization)
        # the Fourier transform is periodic: a shift of s may also be one of s - size
        sides = []
        for value, size in zip(shift, one.shape, strict=True):
            turns = (value - size, value, value + size) if np.isfinite(value) else ()
            sides.append({round(turn) for turn in turns if abs(turn) <= max_shift})
        yield from itertools.product(*sides)


def _refine(strips: _Strips, y: int, x: int, max_shift: int) -> Shift | None:
    """Climb to the nearest peak of the correlation, with subpixels; None if it is beyond ``max_shift``."""
    known: dict[tuple[int, int], float] = {}

    def at(row: int, column: int) -> float:
        if (row, column) not in known:
            known[row, column] = strips.correlation(row, column)
        return known[row, column]

    for _ in range(2 * max_shift):
        around = [(y + row, x + column) for row in (-1, 0, 1) for column in (-1, 0, 1)]
        best = max(around, key=lambda place: at(*place))
        if at(*best) <= at(y, x):
            break
        y, x = best
    if max(abs(y), abs(x)) > max_shift or at(y, x) <= -1.5:
        return None
    peak = at(y, x)
    part_y = _vertex(at(y - 1, x), peak, at(y + 1, x))
    part_x = _vertex(at(y, x - 1), peak, at(y, x + 1))
    return Shift(y + part_y, x + part_x, peak)


def _vertex(before: float, peak: float, after: float) -> float:
    """Return the position of the vertex of the parabola through three values at -1, 0 and 1."""
    if min(before, after) <= -1.5:
        return 0.0
    bend = before - 2 * peak + after
    return min(max((before - after) / (2 * bend), -0.5), 0.5) if bend < 0 else 0.0
