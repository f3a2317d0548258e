"""Results of registration: the pairs of patches that were compared, and the correction of each patch.

Below the plan, which carries it, while `register` is above the plan, whose patches it compares.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from girder_zarr.stitch.patch import Patch


@dataclass(frozen=True, slots=True)
class Pair:
    """Two neighbours that were compared.

    :param keys: of the two patches; of their positions, where these have several channels or planes.
    :param shift: ``(y, x)`` in pixels: measured minus given distance of the second patch from the first.
    :param correlation: of their pixels at this shift, -1 to 1.
    :param residual: ``(y, x)`` in pixels, what is left of the shift after both are corrected; None if the
        pair was not used.
    :param area: the pixels of a plane that were compared.
    :param planes: how many planes (channels, z) were compared.
    """

    keys: tuple[str, str]
    shift: tuple[float, float]
    correlation: float
    residual: tuple[float, float] | None = None
    area: int = 0
    planes: int = 1


@dataclass(frozen=True, slots=True)
class Registration:
    """The corrections of the positions of patches.

    :param moves: ``(y, x)`` in pixels by key, with fractions; other patches keep their position.
    :param pairs: all pairs that were compared.
    :param subpixel: whether pixels are resampled, so that patches move by fractions of a pixel, too.
    """

    moves: dict[str, tuple[float, float]]
    pairs: list[Pair]
    subpixel: bool = False

    def moved(self, patch: Patch) -> Patch:
        """Return a patch at its corrected position, in whole pixels."""
        y, x = self.whole(patch.key)
        place = patch.placement
        return replace(patch, placement=replace(place, y=place.y + y, x=place.x + x)) if y or x else patch

    def whole(self, key: str) -> tuple[int, int]:
        """Return the correction of a patch ``(y, x)``, rounded to whole pixels."""
        y, x = self.moves.get(key, (0.0, 0.0))
        return math.floor(y + 0.5), math.floor(x + 0.5)

    def fraction(self, key: str) -> tuple[float, float]:
        """Return what resampling adds to :meth:`whole`, ``(y, x)`` of at most 0.5; 0 without ``subpixel``."""
        if not self.subpixel:
            return 0.0, 0.0
        (y, x), whole = self.moves.get(key, (0.0, 0.0)), self.whole(key)
        return y - whole[0], x - whole[1]

    def summary(self) -> dict[str, Any]:
        """Return counts and, in pixels, residuals and corrections, for the image's metadata."""
        lengths = [math.hypot(*pair.residual) for pair in self.pairs if pair.residual is not None]
        moves = [math.hypot(*move) for move in self.moves.values()]
        return {
            'pairs': len(self.pairs),
            'pairsUsed': len(lengths),
            'residualRms': round(math.sqrt(sum(one * one for one in lengths) / max(len(lengths), 1)), 3),
            'residualMedian': round(statistics.median(lengths or [0.0]), 3),
            'residualMax': round(max(lengths, default=0.0), 3),
            'moved': len(moves),
            'correctionMedian': round(statistics.median(moves or [0.0]), 3),
            'correctionMax': round(max(moves, default=0.0), 3),
            'subpixel': self.subpixel,
        }
