"""A smooth field from small pictures of tiles and from what their overlaps show, by robust least squares.

The logarithm of a tile is that of the field, plus the level of the tile, plus what the tile shows. Where two
tiles overlap they show the same, so that the difference of their logarithms is that of the field at two
places: this says more than the tiles do, but nothing of what all pairs have in common. Both kinds of
equations are solved together. What a tile shows beyond its background (cells, dust) has residuals that
hardly count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .flat_field import TERMS

#: Rounds of reweighting; the weights of real scenes stand still after 10 to 20.
_ROUNDS = 25
#: Coefficients that change by less have settled.
_SETTLED = 1e-5
#: What one tile shows is alike over some cells, so that the equations of its cells count less than as many
#: equations of overlaps.
_TILE_SHARE = 0.04
#: In logarithms: what residuals are at least taken for, a fraction of a per cent.
_MIN_SCALE = 0.004
#: The weight of the wish that coefficients be 0, times their degree to the fourth: it decides only what
#: nothing else does.
_SMOOTH = 1e-4
#: The factor by which a median of absolute values gives a standard deviation.
_MAD = 1.4826


@dataclass(frozen=True, slots=True)
class Equations:
    """What is known of a field.

    :param terms: `flat_field.basis` at the cells of a tile, ``(cell, term)``.
    :param tiles: logarithms ``(tile, cell)``, NaN where a cell does not count.
    :param overlap_terms: for each place that two tiles show, the terms at the one less those at the other.
    :param overlaps: the difference of their logarithms.
    """

    terms: np.ndarray
    tiles: np.ndarray
    overlap_terms: np.ndarray
    overlaps: np.ndarray


@dataclass(frozen=True, slots=True)
class Fitted:
    """The coefficients of a field, and the robust standard deviation in overlaps before and after."""

    coefficients: np.ndarray
    before: float | None
    after: float | None


def fit(known: Equations) -> Fitted:
    """Return the coefficients of the logarithm of a field, ``(term,)``."""
    field = np.zeros(len(TERMS))
    valid = np.isfinite(known.tiles)
    tiles = np.where(valid, known.tiles, 0)
    weights = valid.astype(float)
    overlap_weights = np.ones(len(known.overlaps))
    before = _scale(known.overlaps) if len(known.overlaps) else None
    for _ in range(_ROUNDS):
        earlier, field = field, _solve(known, tiles, weights, overlap_weights)
        if np.abs(field - earlier).max() < _SETTLED:
            break
        left = tiles - known.terms @ field
        left -= _levels(left, valid)[:, np.newaxis]
        # each tile by its own: an empty one says more of the light than one full of cells
        scales = np.array([_scale(row[ok]) if ok.any() else 1.0 for row, ok in zip(left, valid, strict=True)])
        weights = valid * _trust(left / scales[:, np.newaxis]) / scales[:, np.newaxis] ** 2
        if len(known.overlaps):
            off = known.overlaps - known.overlap_terms @ field
            scale = _scale(off)
            overlap_weights = _trust(off / scale) / scale**2
    after = _scale(known.overlaps - known.overlap_terms @ field) if len(known.overlaps) else None
    return Fitted(field, before, after)


def _scale(values: np.ndarray) -> float:
    return max(_MAD * float(np.median(np.abs(values))), _MIN_SCALE)


def _trust(values: np.ndarray) -> np.ndarray:
    """Return Geman-McClure weights of residuals in standard deviations."""
    return np.asarray(1 / (1 + (values / 2) ** 2) ** 2)


def _levels(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return the median of each tile; 0 for a tile of which nothing counts."""
    return np.array([np.median(row[ok]) if ok.any() else 0.0 for row, ok in zip(values, valid, strict=True)])


def _solve(
    known: Equations, tiles: np.ndarray, weights: np.ndarray, overlap_weights: np.ndarray
) -> np.ndarray:
    """Solve the normal equations, from which the levels of the tiles are eliminated."""
    terms, count = known.terms, len(TERMS)
    matrix, right = np.zeros((count, count)), np.zeros(count)
    totals = np.maximum(weights.sum(axis=1), 1e-12)
    means = weights @ terms / totals[:, np.newaxis]
    levels = np.sum(weights * tiles, axis=1) / totals
    share = _TILE_SHARE
    matrix += share * (terms.T @ (terms * weights.sum(axis=0)[:, np.newaxis]) - (means.T * totals) @ means)
    right += share * (terms.T @ np.sum(weights * tiles, axis=0) - means.T @ (totals * levels))
    if len(known.overlaps):
        weighted = known.overlap_terms * overlap_weights[:, np.newaxis]
        matrix += known.overlap_terms.T @ weighted
        right += weighted.T @ known.overlaps
    degrees = np.array([sum(term) for term in TERMS], float)
    hold = _SMOOTH * max(float(np.trace(matrix)) / count, 1e-12) * (degrees / degrees.max()) ** 4
    return np.linalg.solve(matrix + np.diag(hold + 1e-12), right)
