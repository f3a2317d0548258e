"""The image of a session while its patches still arrive, as a series that the tile source reads.

Nothing is written. The blocks that a tile needs are made on demand and cached; a patch that is added, removed
or changed invalidates the blocks that it touches, and no others. Levels 0 and 1 are blended from the patches
themselves, levels 2 and 3 from their overviews (`patch_overview.py`), each level above from the one below.

All blocks lie on grids that begin at position 0. The image begins at the smallest position, rounded
down to a whole pixel of the lowest level. So it can have some background at its left and upper edge that the
finished image will not have.

Masks and fields are applied as in the finished image (`prepare.py`). Patches are shown at the positions they
were given: registration needs all of them.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.common.cache import Uncached
from girder_zarr.errors import GirderZarrError
from girder_zarr.image.ngff.metadata import Level
from girder_zarr.image.series.series import Series
from girder_zarr.image.write.resample import halve
from girder_zarr.stitch.blend.row_bands import is_large
from girder_zarr.stitch.extent import Extent
from girder_zarr.stitch.output.assemble import BlockMaker, output_spec
from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.plan import Plan
from girder_zarr.stitch.spec.field_checks import Crop

from . import patch_overview
from .index import BLOCK, MIN_COUNTED_LEVEL, PatchIndex, blocks_of
from .parallel_load import load_each
from .preview_blocks import BlockCache, Made, Sources
from .preview_level import PreviewLevel

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Mapping

    from girder_zarr.stitch.spec.model import StitchSpec

    from .index import BlockKey, Frame

_RGBA = 4
#: Blocks from this level on are stored if at least so many patches touch them, since these are costly
#: to make again. So there are at most a sixteenth as many stored blocks of a level as patches.
MIN_STORED_LEVEL = 4
MIN_STORED_PATCHES = 16
#: Part of the fingerprint of stored blocks; raise it when the same patches are rendered differently.
_RENDERING_VERSION = 1
#: How many unreadable patches are listed: more would make the metadata of the tile source large.
MAX_PROBLEMS = 100


_images = itertools.count()


class PreviewImage:
    """The patches that have arrived, as an image. Any number of threads may read while one changes it.

    :param identity: the first part of its keys in the cache, different for each image; its ``repr`` is the
        same in every process.
    :param spec: of the session.
    :param sources: read its pixels.
    :param cache: of blocks; may be shared by any number of images.
    """

    def __init__(self, identity: Hashable, spec: StitchSpec, sources: Sources, cache: BlockCache) -> None:
        self.spec = spec
        # Blocks that an image of the same identity has left may be older than these patches.
        self._cached_as, self._was_read = (identity, next(_images)), False
        self._sources = sources
        self._cache = cache
        self._lock = threading.Lock()
        self._index = PatchIndex()
        self._extent: Extent | None = None
        self._problems: dict[str, str] = {}
        shown = replace(spec, size=None, crop=None, expected=None)
        self._stamp = hashlib.sha256(repr((_RENDERING_VERSION, identity, shown)).encode()).hexdigest()[:32]

    def __len__(self) -> int:
        return len(self._index.patches)

    @property
    def problems(self) -> dict[str, str]:
        """Error messages of patches that cannot be read, by key; at most ``MAX_PROBLEMS``."""
        with self._lock:
            return dict(self._problems)

    def patches(self) -> list[Patch]:
        """Return the patches that the image has now."""
        with self._lock:
            return list(self._index.patches.values())

    # Changing

    def put(self, patches: Iterable[Patch]) -> int:
        """Add patches, replacing those of the same key; return how many were new or changed."""
        known = self._index.patches
        changed = {patch.key: patch for patch in patches if known.get(patch.key) != patch}
        replaced = [known[key] for key in changed if key in known]
        with self._lock:
            for old in replaced:
                new = changed[self._index.remove(old.key).key]
                self._problems.pop(old.key, None)
                if (old.placement, old.shape) != (new.placement, new.shape):
                    self._extent = None
            self._index.add(changed.values())
            for patch in changed.values():
                self._update_extent(None, patch)
        self._invalidate([*replaced, *changed.values()])
        return len(changed)

    def keep_only(self, keys: set[str]) -> int:
        """Remove the patches of all other keys; return how many were removed."""
        return self._remove([key for key in list(self._index.patches) if key not in keys])

    def remove_if(self, is_gone: Callable[[Patch], bool]) -> int:
        """Remove the patches of which a function says so; return how many were removed."""
        return self._remove([patch.key for patch in list(self._index.patches.values()) if is_gone(patch)])

    def _remove(self, keys: list[str]) -> int:
        for key in keys:
            with self._lock:
                patch = self._index.remove(key)
                self._problems.pop(key, None)
                self._update_extent(patch, None)
            self._invalidate([patch])
        return len(keys)

    def _update_extent(self, old: Patch | None, new: Patch | None) -> None:
        """Update the extent after a change. When a patch goes it is reset, and computed anew when needed."""
        if self._extent is None or old is not None:
            self._extent = None
        elif new is not None:
            place, extent = new.placement, self._extent
            self._extent = Extent(
                x=(min(extent.x[0], place.x), max(extent.x[1], place.x + new.shape[1])),
                y=(min(extent.y[0], place.y), max(extent.y[1], place.y + new.shape[0])),
                frame={axis: max(count, place.index(axis) + 1) for axis, count in extent.frame.items()},
                first={axis: min(at, place.index(axis)) for axis, at in extent.first.items()},
            )

    def _invalidate(self, patches: Iterable[Patch]) -> None:
        if self._was_read:  # while patches are put into a new image there is nothing to forget
            for key in {key for patch in patches for key in blocks_of(patch)}:
                self._cache.pop((self._cached_as, *key))

    # Reading

    def series(self, name: str | None = None, *, partial: bool = False) -> Series:
        """Return the image as it is now, with all its levels.

        Its size stays; within it, its levels also show patches that arrive later.

        :param name: of the image, for its metadata.
        :param partial: as for :meth:`read`.
        :raises InvalidInputError: there is no patch.
        :raises ConflictError: patches differ in dtype or bands.
        """
        plan = self._geometry()
        spec = output_spec(plan, name)
        levels, described = [], []
        base = spec.multiscale.levels[0]
        read = functools.partial(self.read, partial=partial)
        for number in range(count_levels(plan.size)):
            height, width = (-(-side >> number) for side in plan.size)
            levels.append(PreviewLevel(read, plan, number, (*plan.shape[:-2], height, width)))
            factors = [1] * (len(plan.shape) - 2) + [2**number] * 2
            scale = tuple(size * factor for size, factor in zip(base.scale, factors, strict=True))
            shift = tuple(
                start + (own - full) / 2
                for start, own, full in zip(base.translation, scale, base.scale, strict=True)
            )
            described.append(Level(str(number), scale, shift))
        extra = {'bands': spec.bands} if spec.bands else {}
        multiscale = replace(spec.multiscale, levels=tuple(described), extra=extra)
        return Series(multiscale, tuple(levels), name)

    def _geometry(self) -> Plan:
        """Return a plan of the same axes and extent with two patches, of one pixel in opposite corners."""
        with self._lock:
            some = next(iter(self._index.patches.values()), None)
            if some is not None and self._extent is None:
                self._extent = Extent.of(self._index.patches.values())
            extent = self._extent
        if some is None or extent is None:
            return Plan([], self.spec)
        (top, left), (height, width) = extent.origin(self.spec), extent.size(self.spec)
        bottom, right = top + height, left + width
        step = 1
        while step < (found := 2 ** (count_levels((bottom - top, right - left)) - 1)):
            step = found
            top, left = top // step * step, left // step * step
        crop = self.spec.crop and Crop(left, top, right - left, bottom - top)
        last = {axis: count - 1 for axis, count in extent.frame.items()}
        corners = [
            replace(some, key=key, placement=Placement.make(x, y, frame), shape=(1, 1, some.shape[2]))
            for key, x, y, frame in (
                ('first', left, top, {axis: extent.first.get(axis, 0) for axis in last}),
                ('last', right - 1, bottom - 1, last),
            )
        ]
        return Plan(corners, replace(self.spec, crop=crop))

    def read(
        self,
        level: int,
        frame: Frame,
        top: int,
        left: int,
        shape: tuple[int, int, int],
        *,
        partial: bool = False,
    ) -> np.ndarray:
        """Return a part of one frame as ``(bands, y, x)`` in the dtype of the patches.

        :param level: 0 is the full resolution, each further level half of it.
        :param frame: the index along each frame axis, as `Placement.frame`.
        :param top: the first row, in pixels of the level, counted from position 0; may be negative.
        :param left: the first column, likewise.
        :param shape: ``(bands, y, x)`` of the part.
        :param partial: leave out patches that `Sources.waiting` names, where overviews are what is shown.
        """
        _, height, width = shape
        block_of = self._partial_block if partial else self._block
        out: np.ndarray | None = None
        rows = range(top // BLOCK, -(-(top + height) // BLOCK))
        columns = range(left // BLOCK, -(-(left + width) // BLOCK))
        for row, column in itertools.product(rows, columns):
            block, _ = block_of((level, frame, row, column))
            if block is None:
                continue
            if out is None:
                out = np.full(shape, self.spec.background, block.dtype)
            y, x = row * BLOCK - top, column * BLOCK - left
            inside = slice(max(y, 0), min(y + BLOCK, height)), slice(max(x, 0), min(x + BLOCK, width))
            out[:, *inside] = block[
                :, inside[0].start - y : inside[0].stop - y, inside[1].start - x : inside[1].stop - x
            ]
        if out is not None:
            return out
        return np.full(shape, self.spec.background, self._dtype())

    def _dtype(self) -> np.dtype[Any]:
        with self._lock:
            some = next(iter(self._index.patches.values()), None)
        return np.dtype(some.dtype if some is not None else np.uint8)

    def _block(self, key: BlockKey) -> tuple[np.ndarray | None, bool]:
        """Return a block as ``(bands, y, x)``, None if it is empty, and whether all its patches were read."""
        if key[0] >= MIN_COUNTED_LEVEL and self._index.is_empty(key):
            return None, True
        made: Made | None = None
        fingerprint: str | None = None

        def make() -> Made | Uncached[Made]:
            nonlocal made, fingerprint
            wanted = self._fingerprint(key)
            stored = self._sources.blocks.load(key, wanted) if self._sources.blocks and wanted else None
            if stored is not None:
                return Made(stored, whole=True)
            if key[0] > patch_overview.MAX_LEVEL:
                block, whole = self._from_below(key, self._block)
            else:
                block, whole = self._blend(key)
            made, fingerprint = Made(block, whole), wanted
            return made if whole and block is not None else Uncached(made)

        self._was_read = True  # before the index is asked: what is put from now on is forgotten
        found = self._cache.fetch((self._cached_as, *key), make)
        if made is not None and made.block is not None and fingerprint is not None:
            self._store(key, fingerprint, made)
        return found.block, found.whole

    def _partial_block(self, key: BlockKey) -> tuple[np.ndarray | None, bool]:
        """Return a block without the patches that wait for their overviews, and whether that is all of it.

        What is not all of it is neither cached nor stored: it is out of date with the next overview.
        """
        cached = self._cache.get((self._cached_as, *key))
        if cached is not None:
            return cached.block, cached.whole
        if key[0] > patch_overview.MAX_LEVEL and not self._index.is_empty(key):
            block, whole = self._from_below(key, self._partial_block)
            return self._block(key) if whole else (block, False)
        if key[0] in patch_overview.LEVELS:
            with self._lock:
                patches = self._index.touching(key)
            if left_out := self._sources.waiting(patches):
                return self._blend(key, left_out)
        return self._block(key)

    def _store(self, key: BlockKey, fingerprint: str, made: Made) -> None:
        """Store a block, unless patches that touch it came or went while it was made."""
        cached = self._cache.get((self._cached_as, *key))
        unchanged = cached is made and self._fingerprint(key) == fingerprint
        if self._sources.blocks and unchanged and made.block is not None:
            self._sources.blocks.store(key, fingerprint, made.block)

    def _fingerprint(self, key: BlockKey) -> str | None:
        """Return the content fingerprint of a block, or None if blocks like it are not stored."""
        if key[0] < MIN_STORED_LEVEL:
            return None
        with self._lock:
            count, total = self._index.fingerprint(key)
        return f'{self._stamp} {count} {total:x}' if count >= MIN_STORED_PATCHES else None

    def compose(self) -> None:
        """Make the blocks of the coarsest level, and on the way those below them that are not stored yet."""
        top = count_levels(self._geometry().size) - 1
        if top >= MIN_STORED_LEVEL:
            with self._lock:
                blocks = self._index.blocks(top)
            for key in blocks:
                self._block(key)

    def _from_below(
        self, key: BlockKey, block_of: Callable[[BlockKey], tuple[np.ndarray | None, bool]]
    ) -> tuple[np.ndarray | None, bool]:
        level, frame, row, column = key
        out: np.ndarray | None = None
        whole = True
        half = BLOCK // 2
        for y, x in itertools.product((0, 1), (0, 1)):
            block, complete = block_of((level - 1, frame, 2 * row + y, 2 * column + x))
            whole = whole and complete
            if block is None:
                continue
            if out is None:
                out = np.full(block.shape, self.spec.background, block.dtype)
            out[:, y * half : (y + 1) * half, x * half : (x + 1) * half] = _halved(block)
        return out, whole

    def _blend(self, key: BlockKey, left_out: Collection[str] = ()) -> tuple[np.ndarray | None, bool]:
        """Make a block: of level 2 or 3 from overviews, of a lower level from the patches themselves.

        :param left_out: the keys of patches that are not shown.
        """
        level, frame, row, column = key
        with self._lock:
            patches = [patch for patch in self._index.touching(key) if patch.key not in left_out]
        if not patches:
            return None, not left_out
        reduced = level in patch_overview.LEVELS
        if reduced:
            found = self._sources.overviews(patches, level)
        else:
            small = [patch for patch in patches if not is_large(patch)]
            found = load_each(self._sources.pixels, small)
        wrong = {key: why for key, why in found.items() if isinstance(why, str)}
        self._record_problems(wrong)
        shown = [patch for patch in patches if patch.key not in wrong]
        if not shown:
            return None, False
        placed = [patch_overview.overview_patch(patch, level) for patch in shown] if reduced else shown
        side = BLOCK if reduced else BLOCK << level
        plan = Plan(placed, replace(self.spec, size=None, crop=None, origin='absolute'))
        pixels: Mapping[str, Any] = found

        def load(patch: Patch) -> Any:
            # Large patches are decoded one after the other, when their turn comes.
            return pixels[patch.key] if patch.key in pixels else self._sources.pixels(patch)

        region = _region_of(plan, frame, row * side, column * side, side)
        try:
            block = BlockMaker(plan, load, self._sources.bands).read(region)
        except GirderZarrError as error:
            if all(patch.key in found for patch in shown):
                raise
            self._record_problems({patch.key: str(error) for patch in shown if patch.key not in found})
            return None, False
        if block is None:
            return None, not wrong and not left_out
        planes = block.reshape(plan.bands, side, side)
        for _ in range(0 if reduced else level):
            planes = _halved(planes)
        return planes, not wrong and not left_out

    def _record_problems(self, wrong: Mapping[str, str]) -> None:
        if not wrong:
            return
        with self._lock:
            for key, why in wrong.items():
                if key in self._index.patches and len(self._problems) < MAX_PROBLEMS:
                    self._problems[key] = why


def count_levels(size: tuple[int, int]) -> int:
    """Return the number of levels of an image of a size ``(height, width)``: until one block holds it."""
    return max(1, math.ceil(math.log2(max(*size, 1) / BLOCK)) + 1)


def _halved(planes: np.ndarray) -> np.ndarray:
    return halve(planes, bands=True, alpha=planes.shape[0] == _RGBA)


def _region_of(plan: Plan, frame: Frame, top: int, left: int, side: int) -> tuple[slice, ...]:
    """Return a square of one frame as a region of a plan; it may reach beyond the plan's size."""
    indices = dict(frame)
    outer = []
    for axis in plan.axes[:-2]:
        index, count = indices.get(axis, 0) - plan.starts.get(axis, 0), plan.bands if axis == 'c' else 1
        outer.append(slice(index * count, (index + 1) * count))
    y, x = top - plan.origin[0], left - plan.origin[1]
    return (*outer, slice(y, y + side), slice(x, x + side))
