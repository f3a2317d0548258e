"""Positions of many patches from the shifts of pairs, by robust least squares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The weight of the given position of a patch, beside pairs of up to 1: it only makes the system solvable. A
#: larger one would pull long rows back, by some 0.1 pixel of 10 at 1e-4.
_REGULARIZATION = 1e-8
#: Rounds of reweighting: 30 x 30 patches with 30 % of wrong pairs then move by less than a pixel.
_ITERATIONS = 20
#: In pixels: a pair that is off by less is never an outlier, since optics distort and stages turn a little.
_MIN_OUTLIER = 1.0
#: In pixels: what pairs are at least off by, where weights are concerned.
_MIN_SCALE = 0.25
#: The smallest weight of a pair, beside the largest, which is 1: below, sums lose their digits.
_MIN_WEIGHT = 1e-4


def solve(
    places: Sequence[tuple[int, int]],
    links: Sequence[tuple[int, int]],
    shifts: np.ndarray,
    weights: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the corrections of all patches.

    Of the patches that pairs connect, the one nearest to the left upper corner keeps its place.

    :param places: ``(y, x)`` of each.
    :param links: pairs of indices.
    :param shifts: ``(pair, 2)``, y and x in pixels: measured minus given distance of the second from the
        first.
    :param weights: ``(pair,)``, the inverse variance of each shift, in any unit.
    :returns: ``(patch, 2)`` in pixels, and which pairs were used, ``(pair,)`` bool.
    """
    count, used = len(places), np.ones(len(links), bool)
    moves = np.zeros((count, 2))
    if not len(links):
        return moves, used
    ends = np.array(links).T
    weights = np.maximum(weights / weights.max(), _MIN_WEIGHT) if weights.max() > 0 else np.ones(len(links))
    trusted = weights
    for _ in range(_ITERATIONS):
        moves = _least_squares(count, ends, shifts, trusted)
        far = _misfit(moves, ends, shifts)
        # Geman-McClure weights: outliers hardly count; 1.4826 x median is a robust standard deviation
        scale = max(1.4826 * float(np.median(far)), _MIN_SCALE)
        trusted = weights / (1 + (far / scale) ** 2) ** 2
    used = far <= max(_MIN_OUTLIER, 4 * 1.4826 * float(np.median(far)))
    moves = _least_squares(count, ends, shifts, weights * used)
    return _anchored(moves, ends[:, used], np.array(places)), used


def _misfit(moves: np.ndarray, ends: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    off = moves[ends[1]] - moves[ends[0]] - shifts
    return np.asarray(np.hypot(off[:, 0], off[:, 1]))


def _least_squares(count: int, ends: np.ndarray, shifts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Minimise ``sum weight |move_b - move_a - shift|^2 + hold sum |move|^2`` by its normal equations."""
    from scipy import sparse
    from scipy.sparse.linalg import splu

    first, second = ends
    rows = np.concatenate([first, second, first, second])
    columns = np.concatenate([first, second, second, first])
    values = np.concatenate([weights, weights, -weights, -weights])
    matrix: Any = sparse.coo_matrix((values, (rows, columns)), (count, count)).tocsc()
    matrix += _REGULARIZATION * sparse.identity(count, format='csc')
    right = np.zeros((count, 2))
    pull = shifts * weights[:, np.newaxis]
    np.add.at(right, second, pull)
    np.subtract.at(right, first, pull)
    return np.asarray(splu(matrix).solve(right))


def _anchored(moves: np.ndarray, ends: np.ndarray, places: np.ndarray) -> np.ndarray:
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    graph = sparse.coo_matrix((np.ones(ends.shape[1]), tuple(ends)), (len(moves), len(moves)))
    _, group = connected_components(graph, directed=False)
    order = np.lexsort((places[:, 1], places.sum(axis=1)))
    anchors = np.empty(group.max() + 1, np.int64)
    anchors[group[order][::-1]] = order[::-1]
    anchored: np.ndarray = moves - moves[anchors[group]]
    return anchored
