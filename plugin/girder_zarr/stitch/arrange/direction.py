"""A check of the stage's axes: whether overlaps of a few neighbours match only with other directions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from girder_zarr.errors import GirderZarrError

from .stage_orientation import ALL, Orientation
from .tile_sizes import read_pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from girder_zarr.stitch.positions.entry import PatchEntry, PositionSet

    from .placement_map import MapTile

#: Pairs of neighbours along each axis that are looked at.
PAIRS = 4
#: Pixels that a pair must share along each axis; fewer give no result.
MIN_SHARED = 4
#: Tiles of a frame among which pairs are looked for.
MAX_TILES = 2000
#: A direction is named where its correlation is at least this, and by so much above the given one.
MIN_CORRELATION = 0.5
MIN_ADVANTAGE = 0.25


@dataclass(frozen=True, slots=True)
class DirectionHint:
    """Another direction that fits the overlaps better.

    :param orientation: to be applied to the positions as they are arranged now.
    :param correlation: of the overlaps with it; ``given``: without.
    """

    orientation: Orientation
    correlation: float
    given: float

    @property
    def sentence(self) -> str:
        """The sentence for the user."""
        return (
            f'The overlaps fit better with {self.orientation.options} (correlation {self.correlation:.2f} '
            f'instead of {self.given:.2f}).'
        )


def better_direction(
    positions: PositionSet,
    entries: Mapping[str, PatchEntry],
    tiles: Sequence[MapTile],
    *,
    read: Callable[[PositionSet, PatchEntry], np.ndarray] = read_pixels,
) -> DirectionHint | None:
    """Return the direction that fits the overlaps of neighbours clearly better, or None.

    :param entries: by key.
    :param tiles: where they lie now.
    """
    pairs = _pairs(tiles)
    pixels: dict[str, np.ndarray] = {}
    scores: dict[Orientation, list[float]] = {one: [] for one in ALL}
    for one, other in pairs:
        try:
            for tile in (one, other):
                if tile.key not in pixels:
                    pixels[tile.key] = read(positions, entries[tile.key])[..., 0].astype(np.float32)
        except GirderZarrError:
            continue  # the upload reports it
        for orientation in ALL:
            x, y = orientation.of(other.x - one.x, other.y - one.y)
            score = correlation(pixels[one.key], pixels[other.key], round(x), round(y))
            if score is not None:
                scores[orientation].append(score)
    means = {one: float(np.mean(found)) for one, found in scores.items() if found}
    given = means.get(ALL[0])
    if given is None or len(means) < 2:
        return None
    best = max(means, key=lambda one: means[one])
    if means[best] < MIN_CORRELATION or means[best] - given < MIN_ADVANTAGE:
        return None
    return DirectionHint(best, means[best], given)


def combined(given: Orientation, then: Orientation) -> Orientation:
    """Return the options that do what `given` does and then `then`."""
    a, b, c, d = given.matrix
    e, f, g, h = then.matrix
    wanted = (e * a + f * c, e * b + f * d, g * a + h * c, g * b + h * d)
    return next(one for one in ALL if one.matrix == wanted)


def _pairs(tiles: Sequence[MapTile]) -> list[tuple[MapTile, MapTile]]:
    """Return a few pairs that overlap in one direction at least, of each axis some, spread over the image."""
    frame = tiles[0].frame
    own = [tile for tile in tiles if tile.frame == frame][:MAX_TILES]
    found: dict[bool, list[tuple[MapTile, MapTile]]] = {False: [], True: []}
    ordered = sorted(own, key=lambda tile: (tile.y, tile.x))
    for at, one in enumerate(ordered):
        reach = max(one.width, one.height)
        for other in ordered[at + 1 :]:
            down, right = other.y - one.y, abs(other.x - one.x)
            if down >= reach:
                break
            # the sides change their places where x and y do
            sides = ((one.width, one.height), (one.height, one.width))
            if (right or down) and any(
                right <= width - MIN_SHARED and down <= height - MIN_SHARED for width, height in sides
            ):
                found[right > down].append((one, other))
    pairs = []
    for ones in found.values():
        step = max(len(ones) // PAIRS, 1)
        pairs += ones[::step][:PAIRS]
    return pairs


def correlation(one: np.ndarray, other: np.ndarray, x: int, y: int) -> float | None:
    """Return the correlation (Pearson) of what two pictures share.

    :param x: how far `other` lies to the right of `one`, in pixels; ``y`` downwards.
    :returns: None where they share too little, or nothing is to be seen.
    """
    height = min(one.shape[0], other.shape[0] + y) - max(0, y)
    width = min(one.shape[1], other.shape[1] + x) - max(0, x)
    if min(height, width) < MIN_SHARED:
        return None
    top, left = max(0, y), max(0, x)
    first = one[top : top + height, left : left + width]
    second = other[top - y : top - y + height, left - x : left - x + width]
    first, second = first - first.mean(), second - second.mean()
    norm = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum() / norm) if norm > 0 else None


def hint_for(given: Orientation, hint: DirectionHint) -> DirectionHint:
    """Return a hint whose options stand in place of those that were given."""
    return replace(hint, orientation=combined(given, hint.orientation))
