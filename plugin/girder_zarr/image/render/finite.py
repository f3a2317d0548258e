"""Statistics of floats over what is finite, and values as JSON has them: it knows no NaN and no infinity."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

#: Sums of so many values of this size are still floats.
HUGE = 2.0**64


def as_json(value: Any) -> Any:
    """Return a value with None in place of numbers that are not finite, at every depth."""
    if isinstance(value, dict):
        return {key: as_json(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(one) for one in value]
    if isinstance(value, (float, np.floating)) and not math.isfinite(value):
        return None
    return value


def finite_histogram(tiles: Callable[[], Iterable[np.ndarray]], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what large_image's ``histogram`` returns, from the finite values alone.

    A band without any has NaN as its statistics; its histogram is empty, from 0 to 1.

    :param tiles: gives the tiles ``(y, x, band)`` anew with each call.
    :param options: ``dtype``, ``bins``, ``density``, ``range`` and ``onlyMinMax`` of large_image.
    """
    wanted = options.get('dtype')
    bands = _bands(tiles(), wanted)
    if not bands:
        return {}
    dtype = bands[0].dtype
    result: dict[str, Any] = {
        'min': np.array([band.low for band in bands], dtype),
        'max': np.array([band.high for band in bands], dtype),
        'mean': np.array([band.mean for band in bands]),
        'stdev': np.array([band.stdev for band in bands]),
    }
    if options.get('onlyMinMax'):
        return result
    limits, count = options.get('range'), options.get('bins', 256)
    result['histogram'] = [_entry(band, limits, count, options.get('density', False)) for band in bands]
    for tile in tiles():
        if wanted is not None and tile.dtype != wanted:
            continue
        for entry, plane in zip(result['histogram'], np.moveaxis(tile, -1, 0), strict=False):
            low, high = float(entry['range'][0]), float(entry['range'][1])
            # half floats would be put between edges that are rounded as they are
            values = plane[np.isfinite(plane)].astype(np.float64)
            part = _part(low, high)
            entry['hist'] += np.histogram(values * part, count, (low * part, high * part))[0]
    for entry in result['histogram']:
        entry['samples'] = np.sum(entry['hist'])
        if entry['density']:
            entry['hist'] = entry['hist'] / max(1, entry['samples'])
    return result


class _Band:
    """The statistics of one band, tile after tile."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.low, self.high = math.inf, -math.inf
        self.count, self.mean, self._squares = 0, 0.0, 0.0

    def add(self, plane: np.ndarray) -> None:
        """Take pixels into account. Means are merged as Chan et al. do, since sums of squares overflow."""
        values = plane[np.isfinite(plane)].astype(np.float64)
        if not values.size:
            return
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        count = self.count + values.size
        with np.errstate(over='ignore', invalid='ignore'):
            mean = float(values.mean())
            if not math.isfinite(mean):
                mean = float((values / HUGE).mean() * HUGE)  # the sum was more than floats hold
            shift = mean - self.mean
            own = float(np.sum((values - mean) ** 2))
            try:
                between = shift**2 * self.count * values.size / count
            except OverflowError:
                between = math.inf
        self._squares += own + between
        self.mean += shift * (values.size / count)
        self.count = count

    @property
    def stdev(self) -> float:
        """The standard deviation, or NaN without values."""
        return math.sqrt(self._squares / self.count) if self.count else math.nan

    def finish(self) -> _Band:
        """Return this band; without values its statistics are NaN."""
        if not self.count:
            self.low = self.high = self.mean = math.nan
        return self


def _bands(tiles: Iterable[np.ndarray], wanted: Any) -> list[_Band]:
    bands: list[_Band] = []
    for tile in tiles:
        if wanted is not None and tile.dtype != wanted:
            continue
        bands = bands or [_Band(tile.dtype) for _ in range(tile.shape[-1])]
        for band, plane in zip(bands, np.moveaxis(tile, -1, 0), strict=False):
            band.add(plane)
    return [band.finish() for band in bands]


def _part(low: float, high: float) -> float:
    """Return by what values are multiplied to be counted: the range may be more than floats hold."""
    return 1.0 if math.isfinite(high - low) and max(abs(low), abs(high)) < HUGE else 1 / HUGE


def _entry(band: _Band, limits: Any, bins: int, density: bool) -> dict[str, Any]:
    low, high = (band.low, band.high) if band.count else (0.0, 0.0)
    ends = (low, high + 1) if limits is None or limits == 'round' else limits
    if not float(ends[0]) < float(ends[1]):
        # from about 1e16 on, adding 1 changes nothing
        ends = (low, min(float(np.nextafter(high, math.inf)), sys.float_info.max))
    if not ends[0] < ends[1]:
        ends = (float(np.nextafter(low, -math.inf)), high)
    part = _part(float(ends[0]), float(ends[1]))
    return {
        'min': low,
        'max': high,
        'mean': band.mean if math.isfinite(band.mean) else None,
        'stdev': band.stdev if math.isfinite(band.stdev) else None,
        'range': ends,
        'hist': np.zeros(bins, np.int64),
        'bin_edges': np.histogram_bin_edges([], bins, (float(ends[0]) * part, float(ends[1]) * part)) / part,
        'bins': bins,
        'density': bool(density),
    }
