"""One rule for each way in which overlapping pixels become one; pieces are added one after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from girder_zarr.stitch.spec.model import Overlap


@dataclass(frozen=True, slots=True)
class Added:
    """What one piece adds to a block.

    :param place: where in the block.
    :param pixels: ``(y, x, bands)`` of the block's dtype.
    :param seen: ``(y, x)`` bool, which of them count; None: all.
    :param weight: ``(y, x)`` float32, or one number; None where it is not wanted.
    """

    place: tuple[slice, slice]
    pixels: np.ndarray
    seen: np.ndarray | None = None
    weight: Any = None

    @property
    def where(self) -> Any:
        """Which pixels count, for all bands."""
        return True if self.seen is None else self.seen[:, :, np.newaxis]


class Accumulator(ABC):
    """Collects pieces ``(y, x, bands)`` into ``out``, which holds the background to begin with.

    :param out: what is written to, at the latest in :meth:`finish`; where no piece lies it stays as it is.
    """

    #: Whether `add` looks at weights.
    wants_weight = False

    def __init__(self, out: np.ndarray) -> None:
        self.out = out

    @abstractmethod
    def add(self, added: Added) -> None:
        """Add a piece."""

    def finish(self) -> None:  # noqa: B027 - most rules have nothing left to do
        """Write what is not yet written."""


class Painter(Accumulator):
    """The piece that is added last counts."""

    def add(self, added: Added) -> None:
        """Add a piece."""
        np.copyto(self.out[added.place], added.pixels, where=added.where)


class _Extreme(Accumulator):
    """The largest or smallest counts; a number counts before NaN."""

    choose: Callable[..., np.ndarray]

    def __init__(self, out: np.ndarray) -> None:
        super().__init__(out)
        self._covered = np.zeros(out.shape[:2], bool)

    def add(self, added: Added) -> None:
        """Add a piece."""
        out, covered = self.out[added.place], self._covered[added.place]
        # fmax and fmin take the number where the other is NaN.
        best = np.where(covered[:, :, np.newaxis], type(self).choose(out, added.pixels), added.pixels)
        np.copyto(out, best, where=added.where)
        covered |= True if added.seen is None else added.seen


class Maximum(_Extreme):
    """The largest counts."""

    choose = np.fmax


class Minimum(_Extreme):
    """The smallest counts."""

    choose = np.fmin


class IntegerMean(Accumulator):
    """The mean of integers of up to 64 bits, exact, rounded to the nearest, halves up. No masks or weights.

    The sums of the upper and lower 32 bits are kept apart where the sum of the whole may not fit.
    """

    def __init__(self, out: np.ndarray) -> None:
        super().__init__(out)
        self._count = np.zeros((*out.shape[:2], 1), np.int64)
        self._low = np.zeros(out.shape, np.int64)
        self._high = np.zeros(out.shape, np.int64) if out.dtype.itemsize == 8 else None

    def add(self, added: Added) -> None:
        """Add a piece."""
        place, pixels = added.place, added.pixels
        self._count[place] += 1
        if self._high is None:
            self._low[place] += pixels
        else:
            thirty_two = pixels.dtype.type(32)
            self._high[place] += (pixels >> thirty_two).astype(np.int64)
            self._low[place] += (pixels & pixels.dtype.type(2**32 - 1)).astype(np.int64)

    def finish(self) -> None:
        """Divide."""
        dtype, divisor = self.out.dtype, np.maximum(self._count, 1)
        rest = self._low
        upper: Any = dtype.type(0)
        if self._high is not None:
            whole, left = np.divmod(self._high, divisor)
            upper = whole.astype(dtype) << dtype.type(32)
            rest = rest + (left << 32)
        mean = upper + ((2 * rest + divisor) // (2 * divisor)).astype(dtype)
        np.copyto(self.out, mean, where=self._count > 0)


class WeightedMean(Accumulator):
    """The mean by weight, in floating point; integers are rounded to the nearest, halves up.

    8 and 16 bit integers are summed up in float32, all others in float64; integers of 64 bits are so exact to
    53 bits. A pixel of one piece alone comes out as it went in. NaN counts for nothing beside a number.
    """

    wants_weight = True

    def __init__(self, out: np.ndarray) -> None:
        super().__init__(out)
        small = out.dtype.kind != 'f' and out.dtype.itemsize <= 2
        self._wide: Any = np.float32 if small else np.float64
        bands = out.shape[2] if out.dtype.kind == 'f' else 1
        self._total = np.zeros(out.shape, self._wide)
        self._norm = np.zeros((*out.shape[:2], bands), self._wide)
        self._count = np.zeros((*out.shape[:2], bands), np.int32)

    def add(self, added: Added) -> None:
        """Add a piece."""
        place, pixels, where = added.place, added.pixels, added.where
        weight = np.asarray(added.weight, self._wide)
        factor = weight[:, :, np.newaxis] if weight.ndim else weight
        if self.out.dtype.kind == 'f':
            # one piece alone stays as it is, NaN too, which gives way to a number
            known = ~np.isnan(pixels)
            self._total[place] += np.where(known, pixels, 0) * factor
            self._norm[place] += known * factor
            np.copyto(self.out[place], pixels, where=where & (known | (self._count[place] == 0)))
            self._count[place] += known & where
        else:
            self._total[place] += pixels * factor
            self._norm[place] += factor
            np.copyto(self.out[place], pixels, where=where)
            self._count[place] += where

    def finish(self) -> None:
        """Divide, where more than one piece counts."""
        several = self._count > 1
        if not several.any():
            return
        with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
            mean = self._total / self._norm
        if self.out.dtype.kind != 'f':
            mean = rounded(mean, self.out.dtype)
        np.copyto(self.out, mean.astype(self.out.dtype, copy=False), where=several)


class SmallMean(Accumulator):
    """The mean of 8 or 16 bit integers by weight, where every piece covers the whole block and has no mask.

    Float32 is enough for it: what a sum of `blend.MAX_CUT` pieces is off by is far less than the distance of
    its mean to the next half, if all weigh the same.
    """

    wants_weight = True

    def __init__(self, out: np.ndarray) -> None:
        super().__init__(out)
        self._total = np.zeros(out.shape, np.float32)
        self._norm: Any = np.zeros((*out.shape[:2], 1), np.float32)

    @staticmethod
    def takes(dtype: np.dtype[Any]) -> bool:
        """Whether pixels of a dtype can be added."""
        return dtype.kind in 'iu' and dtype.itemsize <= 2

    def add(self, added: Added) -> None:
        """Add a piece."""
        weight = np.asarray(added.weight, np.float32)
        factor = weight[:, :, np.newaxis] if weight.ndim else weight
        self._total += added.pixels * factor
        self._norm += factor

    def finish(self) -> None:
        """Divide and round to the nearest, halves up."""
        self._total /= self._norm
        self._total += np.float32(0.5)
        if self.out.dtype.kind == 'i':
            np.floor(self._total, out=self._total)
        self.out[...] = self._total


def rounded(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Return floats as integers of a dtype: rounded to the nearest, halves up, and cut off at its limits."""
    limits = np.iinfo(dtype)
    # the largest float that is not beyond the largest integer
    high = values.dtype.type(limits.max)
    if int(high) > limits.max:
        high = np.nextafter(high, values.dtype.type(0))
    low = values.dtype.type(limits.min)
    whole = np.floor(values + values.dtype.type(0.5))
    found: np.ndarray = np.clip(np.nan_to_num(whole, copy=False), low, high).astype(dtype)
    return found


def accumulator_of(rule: Overlap, out: np.ndarray, *, weighted: bool) -> Accumulator:
    """Return what collects the pieces of a block under a rule.

    :param weighted: whether any piece has a mask or a weight.
    """
    if rule == 'feather':
        return WeightedMean(out)
    if rule == 'mean':
        return WeightedMean(out) if weighted or out.dtype.kind == 'f' else IntegerMean(out)
    if rule in {'max', 'min'}:
        return Maximum(out) if rule == 'max' else Minimum(out)
    return Painter(out)
