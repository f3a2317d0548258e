"""Make blocks of the output from the patches that touch them."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from girder_zarr.common.budget import BUDGET

from .blend import MAX_CUT, Piece, blend, blend_each, edge_distance, paint_order
from .patch_loader import PatchLoader, as_mask
from .row_bands import RowBands, is_large

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from girder_zarr.stitch.patch import Patch
    from girder_zarr.stitch.plan import Hit, Plan
    from girder_zarr.stitch.spec.model import Overlap

    from .patch_loader import Load

#: Pixels that OpenCV takes as they are.
_SPLIT = frozenset(np.dtype(name) for name in ('uint8', 'uint16', 'int16', 'float32'))


class BlockMaker:
    """Makes blocks of the output from the patches that touch them. Safe under many threads.

    :param plan: of the image.
    :param load: returns the pixels of a patch, as for `assemble.assemble`. Where it has a method ``rows``,
        which returns them in pieces of whole rows, large patches are read by those.
    :param bands: returns what reads the parts of a large patch, or None where all of it is needed; in the
        place of ``load.rows``.
    """

    #: Larger blocks are made in squares of this side: arrays of sums and weights stay at megabytes.
    MAX_SQUARE = 1024
    #: Bytes of patches that may be in memory at once for one square; of more, one is loaded after the other:
    #: four patches of 1600 x 1600 RGB in 16 bits are less.
    MAX_TOGETHER_BYTES = 64 * 2**20
    #: What decoding and correcting one patch take beside it, times its bytes.
    TIMES = 3

    def __init__(
        self, plan: Plan, load: Load, bands: Callable[[Patch], RowBands | None] | None = None
    ) -> None:
        self.plan = plan
        self._dtype = np.dtype(plan.dtype)
        self._loader = PatchLoader(plan, load)
        load_rows = getattr(load, 'rows', None)
        if bands is None and load_rows is not None:
            own = RowBands(load_rows)
            bands = lambda _patch: own  # noqa: E731
        self._bands = bands

    def read(self, region: tuple[slice, ...]) -> np.ndarray | None:
        """Return a region of the output, or None if no patch touches it.

        :param region: one slice for each axis of the plan, start and stop explicit.
        :returns: an array of the region's shape and the plan's dtype.
        :raises UnsupportedFormatError: a patch cannot be decoded, or differs from what the plan has.
        :raises ConflictError: a reference image does not fit a patch.
        """
        out: np.ndarray | None = None
        rows, columns = (_squares(part, self.MAX_SQUARE) for part in region[-2:])
        for frame, place, bands in self.plan.frames(region):
            for y, x in itertools.product(rows, columns):
                block = self._frame(frame, y, x)
                if block is None:
                    continue
                if out is None:
                    out = self._background(region, bands, whole=len(rows) * len(columns) == 1)
                inside = (
                    slice(y.start - region[-2].start, y.stop - region[-2].start),
                    slice(x.start - region[-1].start, x.stop - region[-1].start),
                )
                _put(out[(*place, *inside)], block, bands)
        return out

    def _background(self, region: tuple[slice, ...], bands: slice, *, whole: bool) -> np.ndarray:
        """Return an array of the region's shape, left unfilled if one square of one frame will fill it."""
        shape = tuple(part.stop - part.start for part in region)
        if whole and math.prod(shape[:-2]) == bands.stop - bands.start:
            return np.empty(shape, self._dtype)
        return np.full(shape, self.plan.spec.background, self._dtype)

    def _frame(self, frame: tuple[int, ...], y: slice, x: slice) -> np.ndarray | None:
        plan, shape = self.plan, (y.stop - y.start, x.stop - x.start, self.plan.bands)
        rule = plan.spec.overlap
        hits = _needed(paint_order(rule, plan.touching(frame, y, x)), rule, shape)
        if not hits:
            return None
        # Before bytes are acquired, for which another thread may wait that reads the same patch.
        parts = {hit.patch.key: part for hit in hits if (part := self._part(hit, shape)) is not None}
        sizes = [
            parts[hit.patch.key].pixels.nbytes
            if hit.patch.key in parts
            else math.prod(hit.patch.shape) * self._dtype.itemsize
            for hit in hits
        ]
        nbytes = sum(sizes)
        # Before the cache is asked, in which another thread may wait for bytes that this one holds.
        with BUDGET.acquire(min(nbytes, max(*sizes, self.MAX_TOGETHER_BYTES)) + self.TIMES * max(sizes)):
            return self._blended(hits, parts, nbytes, shape)

    def _blended(
        self, hits: Sequence[Hit], parts: Mapping[str, Piece], nbytes: int, shape: tuple[int, int, int]
    ) -> np.ndarray:
        plan = self.plan
        rule, background = plan.spec.overlap, plan.spec.background
        pieces = (parts.get(hit.patch.key) or self._piece(hit) for hit in hits)
        if len(hits) > MAX_CUT or (nbytes > self.MAX_TOGETHER_BYTES and len(hits) > 1):
            return blend_each(pieces, shape, self._dtype, rule, background, plan.weighted)
        return blend(
            paint_order(rule, list(pieces)), shape, self._dtype, rule, background, weighted=plan.weighted
        )

    def _part(self, hit: Hit, shape: tuple[int, int, int]) -> Piece | None:
        """Return what a large patch has of a block, read by rows, or None where all of it is needed."""
        patch = hit.patch
        bands = self._bands(patch) if self._bands is not None and is_large(patch) else None
        if bands is None or self._loader.needs_whole(patch):
            return None
        rows, columns = (
            slice(max(0, -at), min(side, length - at))
            for at, side, length in zip((hit.y, hit.x), patch.shape, shape, strict=False)
        )
        pixels, mask, reach = bands.read(patch, rows, columns), None, None
        if patch.alpha:
            mask, pixels = as_mask(pixels[:, :, -1]), np.ascontiguousarray(pixels[:, :, :-1])
        if self.plan.spec.overlap == 'feather':
            reach = edge_distance(rows, columns, patch.shape[:2])
        return Piece(hit.y + rows.start, hit.x + columns.start, pixels, mask, reach, patch.weight)

    def _piece(self, hit: Hit) -> Piece:
        loaded = self._loader.get(hit.patch)
        return Piece(hit.y, hit.x, loaded.pixels, loaded.mask, loaded.reach, hit.patch.weight)


def _squares(part: slice, side: int) -> list[slice]:
    """Cut a slice at multiples of a side."""
    cuts = [part.start, *range(part.start // side * side + side, part.stop, side), part.stop]
    return [slice(*pair) for pair in itertools.pairwise(cuts)]


def _needed(hits: Sequence[Hit], rule: Overlap, shape: tuple[int, int, int]) -> Sequence[Hit]:
    """Drop the patches that a later one hides completely, if the rule shows only one patch."""
    if rule not in {'last', 'first'}:
        return hits
    for at in range(len(hits) - 1, 0, -1):
        hit = hits[at]
        bottom, right = hit.y + hit.patch.shape[0], hit.x + hit.patch.shape[1]
        if hit.patch.is_plain and max(hit.y, hit.x) <= 0 and bottom >= shape[0] and right >= shape[1]:
            return hits[at:]
    return hits


def _put(out: np.ndarray, block: np.ndarray, bands: slice) -> None:
    """Write bands of a block ``(y, x, bands)`` into ``(y, x)`` or ``(band, y, x)``."""
    if out.ndim == 2:
        out[...] = block[:, :, bands.start]
        return
    if block.dtype in _SPLIT and len(out) == block.shape[2]:
        cv2.split(block, list(out))  # all bands of a pixel at once
        return
    for target, band in zip(out, range(bands.start, bands.stop), strict=True):
        np.copyto(target, block[:, :, band])
