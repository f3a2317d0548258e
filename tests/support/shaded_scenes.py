"""Pictures cut into tiles at known places between pixels, under known light."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import skimage.data
import skimage.io
from scipy import ndimage

from girder_zarr.stitch.output.assemble import make_plan
from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.spec.model import StitchSpec

if TYPE_CHECKING:
    from girder_zarr.stitch.plan import Plan


def fundus() -> np.ndarray:
    """The green channel of a retina: smooth, with vessels."""
    picture = skimage.io.imread(Path(skimage.data.data_dir, 'retina.jpg'))
    return np.asarray(picture[150:, 150:, 1], float)


def slide() -> np.ndarray:
    """A stained section, 512 x 512 and its mirror images."""
    picture = skimage.io.imread(Path(skimage.data.data_dir, 'ihc.png'))[..., :3].mean(axis=2)
    return np.block([[picture, picture[:, ::-1]], [picture[::-1], picture[::-1, ::-1]]])


def beads(side: int = 1000) -> np.ndarray:
    """Bright spots on a dark background, which is most of it."""
    random = np.random.default_rng(0)
    spots = np.zeros((side, side))
    spots[random.integers(0, side, side // 2), random.integers(0, side, side // 2)] = 40_000
    return np.asarray(60 + ndimage.gaussian_filter(spots, 2.2))


def vignette(side: int, corner: float = 0.6) -> np.ndarray:
    """Light that falls off from a place beside the middle, ``corner`` at the darkest corner."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    distance = (x - 0.1) ** 2 + (y + 0.05) ** 2
    return np.asarray(1 - (1 - corner) * distance / distance.max())


@dataclass
class CutScene:
    """Tiles, where they are said to lie and where they do, ``(y, x)`` each."""

    tiles: list[np.ndarray]
    said: np.ndarray
    true: np.ndarray

    @classmethod
    def cut(
        cls,
        picture: np.ndarray,
        light: np.ndarray,
        overlap: int,
        count: int,
        noise: float = 2,
    ) -> CutScene:
        """Cut ``count`` x ``count`` tiles of the size of the light, by splines of order 5.

        Each lies up to 4 pixels beside where it is said to lie, along x and y.
        """
        random = np.random.default_rng(1)
        side = light.shape[0]
        spline = ndimage.spline_filter(picture, 5)
        rows, columns = np.mgrid[0:side, 0:side]
        tiles, said, true = [], [], []
        for at in np.ndindex(count, count):
            place = np.array(at) * (side - overlap) + 8
            shift = place + random.uniform(-4, 4, 2)
            where = [rows + shift[0], columns + shift[1]]
            tile = ndimage.map_coordinates(spline, where, order=5, prefilter=False, mode='reflect')
            tile = tile * light + random.normal(0, noise, tile.shape)
            tiles.append(np.clip(tile, 0, 65535).round().astype(np.uint16))
            said.append(place)
            true.append(shift)
        return cls(tiles, np.array(said), np.array(true))

    @property
    def patches(self) -> list[Patch]:
        return [
            Patch(f'p{at:03}', Placement.make(int(x), int(y)), (*tile.shape, 1), 'uint16')
            for at, (tile, (y, x)) in enumerate(zip(self.tiles, self.said, strict=True))
        ]

    def load(self, patch: Patch) -> np.ndarray:
        return self.tiles[int(patch.key[1:])][:, :, np.newaxis]

    def plan(self, **spec: Any) -> Plan:
        return make_plan(self.patches, self.load, StitchSpec.from_json(spec))

    def errors(self, plan: Plan) -> np.ndarray:
        """How far the corrected positions lie from the true ones, beside a shift of all, in pixels."""
        assert plan.registration is not None
        moves = [plan.registration.moves.get(patch.key, (0.0, 0.0)) for patch in self.patches]
        off = np.array(moves) + self.said - self.true
        off -= np.median(off, axis=0)
        return np.asarray(np.hypot(off[:, 0], off[:, 1]))


def seam(image: np.ndarray, plan: Plan, overlap: int) -> float:
    """The mean step at the edges of patches, beside that between the pixels around; 1 where none shows.

    Every patch lies upon those before it, so that it is seen up to its left and its upper edge.
    """
    at_edges, around = [], []
    for patch in plan.patches:
        y, x = patch.placement.y - plan.origin[0], patch.placement.x - plan.origin[1]
        height, width = patch.shape[:2]
        strips = []
        if x > 15:
            strips.append(image[y + 10 : y + height - overlap - 10, x - 13 : x + 12])
        if y > 15:
            strips.append(image[y - 13 : y + 12, x + 10 : x + width - overlap - 10].T)
        for strip in strips:
            steps = np.abs(np.diff(strip.astype(float), axis=1)).mean(axis=0)
            at_edges.append(steps[12])
            around.append(np.r_[steps[:11], steps[14:]].mean())
    return float(np.mean(at_edges) / np.mean(around))


def find(document: Any, name: str) -> Any:
    """The first value of a name at any depth."""
    if isinstance(document, dict):
        if name in document:
            return document[name]
        return next((found for one in document.values() if (found := find(one, name)) is not None), None)
    if isinstance(document, list):
        return next((found for one in document if (found := find(one, name)) is not None), None)
    return None
