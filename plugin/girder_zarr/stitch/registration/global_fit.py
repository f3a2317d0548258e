"""Positions of many patches from the shifts of pairs, by least squares without the pairs that do not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

#: How strongly a patch is held where it was said to be, beside pairs that weigh about 1.
_HOLD = 1e-4
_ROUNDS = 20
#: A pair that is off by less is never left out, in pixels.
_ALWAYS = 1.5


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
    :param shifts: ``(pair, 2)``: how much farther the second should lie from the first, y and x.
    :param weights: ``(pair,)``, from 0 to 1.
    :returns: ``(patch, 2)`` in pixels, and which pairs were used, ``(pair,)`` bool.
    """
    count, used = len(places), np.ones(len(links), bool)
    moves = np.zeros((count, 2))
    if not len(links):
        return moves, used
    ends = np.array(links).T
    trusted = weights
    for _ in range(_ROUNDS):
        moves = _least_squares(count, ends, shifts, trusted)
        far = _misfit(moves, ends, shifts)
        # Geman and McClure: what is far off beside the others hardly counts
        scale = max(1.4826 * float(np.median(far)), 0.5)
        trusted = weights / (1 + (far / scale) ** 2) ** 2
    used = far <= max(_ALWAYS, 4 * 1.4826 * float(np.median(far)))
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
    matrix += _HOLD * sparse.identity(count, format='csc')
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
    held: np.ndarray = moves - moves[anchors[group]]
    return held
