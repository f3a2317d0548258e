"""Results of registration: the pairs of patches that were compared, and the correction of each patch.

Below the plan, which carries it, while `register` is above the plan, whose patches it compares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from girder_zarr.stitch.patch import Patch


@dataclass(frozen=True, slots=True)
class Pair:
    """Two neighbours that were compared.

    :param keys: of the two patches.
    :param shift: ``(y, x)`` in pixels: measured minus given distance of the second patch from the first.
    :param correlation: of their pixels at this shift, -1 to 1.
    :param residual: ``(y, x)`` in pixels, what is left of the shift after both are corrected; None if the
        pair was not used.
    """

    keys: tuple[str, str]
    shift: tuple[float, float]
    correlation: float
    residual: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """The corrections of the positions of patches.

    :param corrections: ``(y, x)`` in whole pixels by key; other patches keep their position.
    :param pairs: all pairs that were compared.
    """

    corrections: dict[str, tuple[int, int]]
    pairs: list[Pair]

    def moved(self, patch: Patch) -> Patch:
        """Return a patch at its corrected position."""
        y, x = self.corrections.get(patch.key, (0, 0))
        place = patch.placement
        return replace(patch, placement=replace(place, y=place.y + y, x=place.x + x)) if y or x else patch

    def summary(self) -> dict[str, Any]:
        """Return counts and, in pixels, residuals and the largest correction, for the image's metadata."""
        lengths = [math.hypot(*pair.residual) for pair in self.pairs if pair.residual is not None]
        moves = [math.hypot(*move) for move in self.corrections.values()]
        return {
            'pairs': len(self.pairs),
            'pairsUsed': len(lengths),
            'residualRms': round(math.sqrt(sum(one * one for one in lengths) / max(len(lengths), 1)), 3),
            'residualMax': round(max(lengths, default=0.0), 3),
            'correctionMax': round(max(moves, default=0.0), 3),
        }
