"""The shift of a patch against its given position, measured in its overlap with a neighbour.

Phase correlation proposes shifts in whole pixels, the correlation coefficient of the overlap decides between
them, and the peak of the cross-correlation, upsampled around the best one (Guizar-Sicairos, Thurman and
Fienup 2008, as scikit-image has it), gives the fraction of a pixel. Several planes (channels, z) of the same
two positions decide together.
"""

from __future__ import annotations

import itertools
import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from girder_zarr.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from girder_zarr.stitch.patch import Patch
    from girder_zarr.stitch.spec.field_checks import RegistrationSpec

#: At most so many pixels along y and x are compared, from the middle of the overlap: enough for a subpixel
#: peak, and memory and time of the Fourier transforms stay bounded.
MAX_COMPARED = 512
#: Sigma, in pixels, of the Gaussian whose result is subtracted, so that uneven light does not correlate.
_SIGMA = 8.0
#: The same for the fraction of a pixel: what is left of uneven light pulls the peak, and coarse structure
#: adds little to where it is.
_SIGMA_FINE = 4.0
#: Pixels that two patches must share along y and x at a shift; a correlation of fewer is noise.
_MIN_SHARED = 4
#: The peak is looked for in steps of this part of a pixel.
_UPSAMPLING = 50
#: The fraction is measured with the edges of the overlap faded out over so many pixels: the Fourier transform
#: would take them for structure, and a window over all of it would pull the peak towards 0.
_FADE = 12
#: What a correlation of 1 counts as, so that its weight is finite.
_MAX_CORRELATION = 0.999


@dataclass(frozen=True, slots=True)
class Shift:
    """Measured minus given distance of the second patch from the first, in pixels.

    :param correlation: of the pixels of both at this shift, in whole pixels; of several planes the mean,
        weighted by what each tells.
    :param area: the pixels of a plane that were compared.
    :param planes: how many planes were compared.
    """

    y: float
    x: float
    correlation: float
    area: int
    planes: int

    @property
    def weight(self) -> float:
        """The inverse of its variance, but for a factor: that of the best shift of two noisy pictures."""
        square = min(max(self.correlation, 0.0), _MAX_CORRELATION) ** 2
        return self.area * square / (1 - square)


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
    planes: Sequence[tuple[Patch, Patch]],
    pixels: Callable[[Patch], np.ndarray],
    spec: RegistrationSpec,
) -> Shift | None:
    """Return the shift of the second of two neighbours, or None if they overlap too little.

    :param planes: the same two places, with the patches of both that show one channel and z.
    :param pixels: returns the pixels of a patch, ``(y, x, bands)``.
    :param spec: bounds the shift.
    """
    found = []
    for first, second in planes:
        strips = _strips(first, second, pixels(first), pixels(second), spec.max_shift)
        if strips is not None:
            found.append(strips)
    if not found:
        return None
    together = _Planes(found)
    proposed = {(0, 0)}.union(*(_proposals(strips, spec.max_shift) for strips in found))
    peaks = {together.climb(y, x, spec.max_shift) for y, x in sorted(proposed)}
    known = sorted(peak for peak in peaks if peak is not None)
    if not known:
        return None
    return together.shift_at(*max(known, key=lambda peak: together.score(*peak)))


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


class _Planes:
    """What all planes of two neighbours say of a shift."""

    def __init__(self, planes: Sequence[_Strips]) -> None:
        self._planes = planes
        self._known: dict[tuple[int, int], float] = {}

    def score(self, y: int, x: int) -> float:
        """Return the sum of what each plane tells of a shift; -inf if they do not overlap there.

        That of a plane is the information between two noisy pictures, ``-log(1 - r^2)``: a plane that shows
        noise adds nothing, and does not take anything from one that shows structure.
        """
        if (y, x) not in self._known:
            correlations = [strips.correlation(y, x) for strips in self._planes]
            valid = [_told(one) for one in correlations if one > -1.5]
            self._known[y, x] = sum(valid) if valid else -math.inf
        return self._known[y, x]

    def climb(self, y: int, x: int, max_shift: int) -> tuple[int, int] | None:
        """Return the nearest peak of the score; None if it is beyond ``max_shift``."""
        for _ in range(2 * max_shift):
            around = [(y + row, x + column) for row in (-1, 0, 1) for column in (-1, 0, 1)]
            best = max(around, key=lambda place: self.score(*place))
            if self.score(*best) <= self.score(y, x):
                break
            y, x = best
        if max(abs(y), abs(x)) > max_shift or self.score(y, x) == -math.inf:
            return None
        return y, x

    def shift_at(self, y: int, x: int) -> Shift:
        """Return a peak with its fraction of a pixel: the mean over planes, weighted by what each tells."""
        total, correlation, area = 0.0, 0.0, 0
        fraction = np.zeros(2)
        for strips in self._planes:
            both = strips.shared(y, x)
            found = strips.correlation(y, x)
            if both is None or found <= -1.5:
                continue
            area = both[0].size
            # so that planes without structure have a mean, too
            weight = max(_told(found), 1e-9)
            total += weight
            correlation += weight * found
            fraction += weight * _fraction(*both)
        fraction /= total
        return Shift(
            y + float(fraction[0]), x + float(fraction[1]), correlation / total, area, len(self._planes)
        )


def _told(correlation: float) -> float:
    square = min(correlation * correlation, _MAX_CORRELATION**2)
    return math.copysign(math.log1p(-square), correlation)


def _fraction(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Return by how much the second of two overlaps, ``(y, x)``, is to be shifted further: (y, x) in pixels.

    :returns: at most a pixel along each axis, 0 where no peak is found.
    """
    from skimage.registration import phase_cross_correlation

    window = np.outer(*(_fade(size) for size in one.shape)).astype(np.float32)
    parts = []
    for part in (one, two):
        fine = part - cv2.GaussianBlur(part, (0, 0), _SIGMA_FINE, borderType=cv2.BORDER_REFLECT)
        parts.append(fine * window)
    correlate: Any = phase_cross_correlation
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        found, _, _ = correlate(*parts, upsample_factor=_UPSAMPLING, normalization=None)
    shift = np.asarray(found, float)
    # the peak of other whole pixels is not that of the correlation coefficient
    return shift if np.isfinite(shift).all() and np.abs(shift).max() <= 1 else np.zeros(2)


def _fade(size: int) -> np.ndarray:
    """Return a window that is 1 but for cosine slopes at its ends."""
    length = max(min(_FADE, size // 4), 1)
    slope = 0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / length)
    window = np.ones(size)
    window[:length], window[size - length :] = slope, slope[::-1]
    return window
