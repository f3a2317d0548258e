"""The overlap rules: accumulators that combine overlapping pixels, one piece added after the other."""

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
    """The pixels of one piece in a block.

    :param place: rows and columns of the block.
    :param pixels: ``(y, x, bands)`` in the block's dtype.
    :param seen: ``(y, x)`` bool, the pixels that the mask includes; None: all.
    :param weight: ``(y, x)`` float32, or one number; None if the accumulator does not use it.
    """

    place: tuple[slice, slice]
    pixels: np.ndarray
    seen: np.ndarray | None = None
    weight: Any = None

    @property
    def where(self) -> Any:
        """The mask as the ``where`` argument of numpy, for all bands."""
        return True if self.seen is None else self.seen[:, :, np.newaxis]


class Accumulator(ABC):
    """Combines pieces into ``out``.

    :param out: ``(y, x, bands)``, filled with the background; complete after :meth:`finish`. Pixels without a
        piece keep the background.
    """

    #: Whether `add` uses weights.
    wants_weight = False

    def __init__(self, out: np.ndarray) -> None:
        self.out = out

    @abstractmethod
    def add(self, added: Added) -> None:
        """Add a piece."""

    def finish(self) -> None:  # noqa: B027 - most rules have nothing left to do
        """Complete ``out``."""


class Painter(Accumulator):
    """``last`` (and ``first``, in reverse order): the piece added last wins."""

    def add(self, added: Added) -> None:
        """Add a piece."""
        np.copyto(self.out[added.place], added.pixels, where=added.where)


class _Extreme(Accumulator):
    """The largest or smallest value; NaN gives way to a number."""

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
    """``max``: the largest value; NaN gives way to a number."""

    choose = np.fmax


class Minimum(_Extreme):
    """``min``: the smallest value; NaN gives way to a number."""

    choose = np.fmin


class IntegerMean(Accumulator):
    """``mean`` of integers without masks and weights: exact up to 64 bits, rounded to nearest, halves up.

    For 64 bits, the upper and lower 32 are summed separately, because the sum may not fit into 64.
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
    """``mean`` and ``feather`` by weight, in floating point; integers are rounded to nearest, halves up.

    8 and 16 bit integers are summed in float32, all others in float64, so 64-bit integers are exact to 53
    bits. A pixel of only one piece is copied unchanged. NaN gives way to a number.
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
            # a pixel of only one piece is copied, NaN too, which gives way to a number
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
        """Divide where there is more than one piece."""
        several = self._count > 1
        if not several.any():
            return
        with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
            mean = self._total / self._norm
        if self.out.dtype.kind != 'f':
            mean = rounded(mean, self.out.dtype)
        np.copyto(self.out, mean.astype(self.out.dtype, copy=False), where=several)


class SmallMean(Accumulator):
    """The mean of 8 or 16 bit integers by weight, of pieces without mask that cover the whole block.

    Float32 is enough: the error of a sum of `blend.MAX_CUT` pieces of equal weight is far less than the
    distance of their mean to the next half.
    """

    wants_weight = True

    def __init__(self, out: np.ndarray) -> None:
        super().__init__(out)
        self._total = np.zeros(out.shape, np.float32)
        self._norm: Any = np.zeros((*out.shape[:2], 1), np.float32)

    @staticmethod
    def takes(dtype: np.dtype[Any]) -> bool:
        """Return whether it handles a dtype."""
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
    """Return floats as integers of a dtype: rounded to nearest, halves up, clipped; NaN is 0."""
    limits = np.iinfo(dtype)
    # the largest float that does not exceed the largest integer
    high = values.dtype.type(limits.max)
    if int(high) > limits.max:
        high = np.nextafter(high, values.dtype.type(0))
    low = values.dtype.type(limits.min)
    whole = np.floor(values + values.dtype.type(0.5))
    found: np.ndarray = np.clip(np.nan_to_num(whole, copy=False), low, high).astype(dtype)
    return found


def accumulator_of(rule: Overlap, out: np.ndarray, *, weighted: bool) -> Accumulator:
    """Return the accumulator of a rule.

    :param rule: ``spec.overlap``.
    :param out: as for `Accumulator`.
    :param weighted: whether any piece has a mask or a weight.
    """
    if rule == 'feather':
        return WeightedMean(out)
    if rule == 'mean':
        return WeightedMean(out) if weighted or out.dtype.kind == 'f' else IntegerMean(out)
    if rule in {'max', 'min'}:
        return Maximum(out) if rule == 'max' else Minimum(out)
    return Painter(out)
