"""How the patches that overlap in a block become its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .spec import Overlap


@dataclass(frozen=True, slots=True)
class Piece:
    """Pixels ``(y, x, bands)`` that begin at row ``y`` and column ``x`` of a block; both may be negative."""

    y: int
    x: int
    pixels: np.ndarray


def blend(
    pieces: Sequence[Piece],
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    rule: Overlap,
    background: float,
) -> np.ndarray:
    """Return a block ``(y, x, bands)`` of ``shape``.

    :param pieces: in their order; all of the block's dtype and bands. They may reach beyond the block.
    :param rule: what counts where pieces overlap. ``mean`` is exact for integers, rounded to the nearest,
        halves up.        ``mean``, ``max`` and ``min`` ignore NaN where another piece has a number.
    :param background: the value where there is no piece.
    :returns: a fresh array, or a read-only view of the only piece.
    """
    if len(pieces) == 1:
        whole = _covering(pieces[0], shape)
        if whole is not None:
            return whole
    parts = [part for piece in pieces if (part := _clip(piece, shape)) is not None]
    out = np.full(shape, background, dtype)
    _RULES[rule](parts, out)
    return out


def _covering(piece: Piece, shape: tuple[int, int, int]) -> np.ndarray | None:
    """Return the part of a piece that is the whole block, if it is."""
    top, left = -piece.y, -piece.x
    if (
        min(top, left) < 0
        or top + shape[0] > piece.pixels.shape[0]
        or left + shape[1] > piece.pixels.shape[1]
    ):
        return None
    view = piece.pixels[top : top + shape[0], left : left + shape[1]]
    view.flags.writeable = False
    return view


Part = tuple[tuple[slice, slice], np.ndarray]


def _clip(piece: Piece, shape: tuple[int, int, int]) -> Part | None:
    top, left = max(piece.y, 0), max(piece.x, 0)
    bottom = min(piece.y + piece.pixels.shape[0], shape[0])
    right = min(piece.x + piece.pixels.shape[1], shape[1])
    if bottom <= top or right <= left:
        return None
    pixels = piece.pixels[top - piece.y : bottom - piece.y, left - piece.x : right - piece.x]
    return (slice(top, bottom), slice(left, right)), pixels


def _last(parts: Sequence[Part], out: np.ndarray) -> None:
    for place, pixels in parts:
        out[place] = pixels


def _first(parts: Sequence[Part], out: np.ndarray) -> None:
    _last(parts[::-1], out)


def _extreme(choose: Callable[..., np.ndarray]) -> Callable[[Sequence[Part], np.ndarray], None]:
    def apply(parts: Sequence[Part], out: np.ndarray) -> None:
        covered = np.zeros(out.shape[:2], bool)
        for place, pixels in parts:
            seen = covered[place][:, :, np.newaxis]
            # fmax and fmin take the number where the other is NaN.
            out[place] = np.where(seen, choose(out[place], pixels), pixels)
            covered[place] = True

    return apply


def _mean(parts: Sequence[Part], out: np.ndarray) -> None:
    if out.dtype.kind == 'f':
        _mean_floats(parts, out)
    elif out.dtype.itemsize < 8:
        _mean_integers(parts, out)
    else:
        _mean_long_integers(parts, out)


def _counts(parts: Sequence[Part], out: np.ndarray) -> np.ndarray:
    count = np.zeros((*out.shape[:2], 1), np.int64)
    for place, _ in parts:
        count[place] += 1
    return count


def _mean_integers(parts: Sequence[Part], out: np.ndarray) -> None:
    count = _counts(parts, out)
    total = np.zeros(out.shape, np.int64)
    for place, pixels in parts:
        total[place] += pixels
    divisor = np.maximum(count, 1)
    np.copyto(out, ((2 * total + divisor) // (2 * divisor)).astype(out.dtype), where=count > 0)


def _mean_long_integers(parts: Sequence[Part], out: np.ndarray) -> None:
    """64 bits: quotients and remainders are added apart, because the sum itself may not fit."""
    count = _counts(parts, out)
    divisor = np.maximum(count, 1).astype(out.dtype)
    quotient, rest = np.zeros(out.shape, out.dtype), np.zeros(out.shape, np.int64)
    for place, pixels in parts:
        quotient[place] += pixels // divisor[place]
        rest[place] += (pixels % divisor[place]).astype(np.int64)
    n = np.maximum(count, 1)
    np.copyto(out, quotient + ((2 * rest + n) // (2 * n)).astype(out.dtype), where=count > 0)


def _mean_floats(parts: Sequence[Part], out: np.ndarray) -> None:
    covered = np.zeros((*out.shape[:2], 1), bool)
    count = np.zeros(out.shape, np.int64)
    total = np.zeros(out.shape, np.float64)
    for place, pixels in parts:
        known = ~np.isnan(pixels)
        total[place] += np.where(known, pixels, 0)
        count[place] += known
        covered[place] = True
    with np.errstate(invalid='ignore'):
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    np.copyto(out, mean.astype(out.dtype), where=covered)


_RULES: dict[str, Callable[[Sequence[Part], np.ndarray], None]] = {
    'last': _last,
    'first': _first,
    'mean': _mean,
    'max': _extreme(np.fmax),
    'min': _extreme(np.fmin),
}
