"""Histograms of whole numbers from one count of every value, where large_image looks at all pixels twice."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Types whose values are counted one by one.
COUNTED = frozenset({'uint8', 'uint16', 'int8', 'int16'})
#: What large_image's histogram takes beside the options of its tile iterator.
HISTOGRAM_OPTIONS = frozenset({'dtype', 'onlyMinMax', 'bins', 'density', 'format', 'range'})


def count_values(tiles: Iterable[np.ndarray], dtype: np.dtype[Any]) -> np.ndarray | None:
    """Return how often each band has each value, from the type's least value to its greatest.

    :param tiles: (y, x, band), at least one.
    :returns: (band, value); None where tiles are not of ``dtype`` or differ in their bands.
    """
    values = 2 ** (8 * dtype.itemsize)
    counts: np.ndarray | None = None
    for tile in tiles:
        if tile.dtype != dtype:
            return None
        if counts is None:
            counts = np.zeros((tile.shape[2], values), np.int64)
        if tile.shape[2] != len(counts):
            return None
        for band in range(len(counts)):
            counts[band] += _count(tile[..., band], values)
    return counts


def _count(plane: np.ndarray, values: int) -> np.ndarray:
    if plane.dtype.kind == 'u' and plane.size < 2**24:
        # cv2 gives the counts as float32, which holds whole numbers up to here.
        return cv2.calcHist([plane], [0], None, [values], [0, values]).ravel().astype(np.int64)
    low = int(np.iinfo(plane.dtype).min)
    return np.bincount((plane.astype(np.intp) - low).ravel(), minlength=values)


def summarize(counts: np.ndarray, dtype: np.dtype[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what large_image's ``histogram`` returns, from counts.

    :param counts: (band, value), as :func:`count_values` gives them; each band has at least one pixel.
    :param options: ``bins``, ``density``, ``range`` and ``onlyMinMax`` of large_image.
    """
    bins, density, limits = options['bins'], options.get('density', False), options.get('range')
    info = np.iinfo(dtype)
    values = np.arange(info.min, info.max + 1)
    present = [values[band > 0] for band in counts]
    totals = counts.sum(axis=1)
    means = counts @ values.astype(float) / totals
    squares = counts @ values.astype(float) ** 2 / totals
    result: dict[str, Any] = {
        'min': np.array([found[0] for found in present], dtype),
        'max': np.array([found[-1] for found in present], dtype),
        'mean': means,
        'stdev': np.maximum(squares - means**2, 0) ** 0.5,
    }
    if options.get('onlyMinMax'):
        return result
    result['histogram'] = []
    for band, found in enumerate(present):
        low, high, number = float(found[0]), float(found[-1]) + 1, bins
        edges = (low, high) if limits is None or limits == 'round' else limits
        if limits == 'round' and high - low < bins * 10:
            step = math.ceil((high - low) / bins)
            number = math.ceil((high - low) / step)
            edges = (low, low + step * number)
        hist, bin_edges = np.histogram(
            values, number, (float(edges[0]), float(edges[1])), weights=counts[band]
        )
        samples = np.sum(hist)
        result['histogram'].append(
            {
                'min': low,
                'max': high - 1,
                'mean': float(means[band]),
                'stdev': float(result['stdev'][band]),
                'range': edges,
                'hist': hist.astype(float) / samples if density else hist,
                'bin_edges': bin_edges,
                'bins': number,
                'density': bool(density),
                'samples': samples,
            }
        )
    return result
