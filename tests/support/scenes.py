"""Pictures cut into patches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from girder_zarr.stitch.output.assemble import assemble_file, make_plan
from girder_zarr.stitch.output.verify import verify_file
from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.spec.model import StitchSpec

if TYPE_CHECKING:
    from pathlib import Path

RANDOM = np.random.default_rng(5)


class Scene:
    """Patches with their pixels; ``load`` is what a store would do."""

    def __init__(self) -> None:
        self.patches: list[Patch] = []
        self.references: list[Patch] = []
        self.pixels: dict[str, np.ndarray] = {}
        self.loads = 0

    def add(
        self, key: str, pixels: np.ndarray, x: int = 0, y: int = 0, *, frame: Any = None, **options: Any
    ) -> None:
        if pixels.ndim == 2:
            pixels = pixels[:, :, np.newaxis]
        bands = pixels.shape[2] - bool(options.get('alpha'))
        shape = (*pixels.shape[:2], bands)
        place = Placement.make(x, y, frame)
        self.pixels[key] = pixels
        self.patches.append(Patch(key, place, shape, pixels.dtype.name, **options))

    def refer(self, key: str, pixels: np.ndarray) -> None:
        pixels = pixels.reshape(*pixels.shape[:2], -1)
        self.pixels[key] = pixels
        height, width, bands = pixels.shape
        self.references.append(Patch(key, Placement.make(0, 0), (height, width, bands), pixels.dtype.name))

    def load(self, patch: Patch) -> np.ndarray:
        self.loads += 1
        return self.pixels[patch.key]

    def write(self, target: Path, **spec: Any) -> Any:
        plan = make_plan(self.patches, self.load, StitchSpec.from_json(spec), self.references)
        assemble_file(plan, self.load, target, name='scene')
        verify_file(plan, self.load, target)
        return zarr.open_array(zarr.storage.ZipStore(target, mode='r'), path='0', mode='r')


def noise(*shape: int, dtype: str = 'uint8') -> np.ndarray:
    return RANDOM.integers(0, 200, shape).astype(dtype)
