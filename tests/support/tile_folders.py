"""Tiles that are cut from one picture, and what has to come out of a folder of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Height and width of a tile, and how far two neighbours are apart: an overlap of 8 pixels.
TILE = (40, 48)
STEP = (32, 40)
GRID = (2, 3)
#: A pixel, in micrometers, and where the corner of the picture lies on the stage, in pixels.
PIXEL = 0.5
CORNER = (41_385, 79_813)  # y, x


@dataclass
class Folder:
    """What has to come out of a folder.

    :param source: what is given to the command.
    :param picture: (y, x), or (c, y, x), (z, y, x), (t, y, x) with ``axes``.
    :param axes: of the picture.
    :param place: of its first pixel, y and x, in pixels of the stage; None: not known.
    :param pixel: its size in micrometers, None where the program does not write it.
    """

    source: Path
    picture: np.ndarray
    axes: str = 'yx'
    place: tuple[float, float] | None = None
    pixel: float | None = None
    channels: list[str] | None = None
    values: dict[str, list[Any]] = field(default_factory=dict)


def picture(*outer: int, seed: int = 0) -> np.ndarray:
    """A picture of the size that all tiles cover together, smooth enough that neighbours agree."""
    height, width = (step * (count - 1) + side for step, count, side in zip(STEP, GRID, TILE, strict=True))
    return np.random.default_rng(seed).integers(1, 60000, (*outer, height, width), np.uint16)


def tiles() -> Iterator[tuple[int, int, int, int]]:
    """Row, column, y and x of all tiles."""
    for row, column in np.ndindex(GRID):
        yield row, column, row * STEP[0], column * STEP[1]


def cut(whole: np.ndarray, y: int, x: int) -> np.ndarray:
    return np.ascontiguousarray(whole[..., y : y + TILE[0], x : x + TILE[1]])


def save(path: Path, pixels: np.ndarray, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels, photometric='minisblack', **options)
