"""Histograms, statistics of bands and single pixels of a tile source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from large_image.constants import TILE_FORMAT_NUMPY

from .finite import as_json, finite_histogram
from .histogram import COUNTED, HISTOGRAM_OPTIONS, count_values, summarize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class StatisticsMixin:
    """Statistics that count what is finite; `source.py` mixes it into ZarrFileTileSource."""

    _dtype: np.dtype[Any]
    _bandRanges: dict[Any, Any]
    _isPlain: Callable[[], bool]
    tileIterator: Callable[..., Iterator[Any]]

    def histogram(self, *args: Any, **kwargs: Any) -> Any:
        """Return a histogram; see the base class. Values of up to 16 bits are counted in one pass."""
        bins = kwargs.get('bins', 256)
        simple = not args and kwargs.get('dtype') is None and isinstance(bins, int) and self._isPlain()
        if simple and self._dtype.name in COUNTED:
            rest = {name: value for name, value in kwargs.items() if name not in HISTOGRAM_OPTIONS}
            tiles = (tile['tile'] for tile in self.tileIterator(format=TILE_FORMAT_NUMPY, **rest))
            counts = count_values(tiles, self._dtype)
            if counts is not None and counts.any(axis=1).all():
                return summarize(counts, self._dtype, {**kwargs, 'bins': bins})
        if not args and self._dtype.kind == 'f' and self._isPlain():
            rest = {name: value for name, value in kwargs.items() if name not in HISTOGRAM_OPTIONS}
            return finite_histogram(
                lambda: (tile['tile'] for tile in self.tileIterator(format=TILE_FORMAT_NUMPY, **rest)), kwargs
            )
        base: Any = super()
        return base.histogram(*args, **kwargs)

    def _scanForMinMax(self, dtype: Any, frame: int | None = None, **kwargs: Any) -> None:
        """Find the range of a frame for a style; see the base class. Without finite values it is 0 to 1."""
        base: Any = super()
        base._scanForMinMax(dtype, frame, **kwargs)
        for key, value in (('min', 0), ('max', 1)):
            found = self._bandRanges.get(frame, {})
            if key in found and found[key].dtype.kind == 'f':
                found[key] = np.nan_to_num(found[key], nan=value)

    def getBandInformation(self, statistics: bool = False, **kwargs: Any) -> Any:
        """Return what is known of the bands; see the base class. None stands for what is not finite."""
        base: Any = super()
        return as_json(base.getBandInformation(statistics, **kwargs))

    def getPixel(self, *args: Any, **kwargs: Any) -> Any:
        """Return one pixel; see the base class. None stands for what is not finite."""
        base: Any = super()
        found = base.getPixel(*args, **kwargs)
        found.update(as_json({key: value for key, value in found.items() if key != 'tile'}))
        return found
