"""The image of a session while its patches still arrive, as a series that the tile source reads.

Nothing is written. What a tile needs is made when it is asked for and kept while there is room; a patch that
comes, goes or changes makes the blocks that it touches be forgotten, and no others. Levels 0 and 1 are
blended from the patches themselves, levels 2 and 3 from their small copies (`preview_copy.py`), each level
above from the one below.

All blocks lie on grids that begin at position 0. The image begins at the smallest position (at 0 if none is
negative), rounded down to a whole pixel of the lowest level. So an image with negative positions can have
some background at its left and upper edge that the finished image will not have.

Masks and fields are applied as in the finished image (`preview_prepare.py`). Patches are shown where they
were said to lie: what registration makes of that is only known once all are there.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from girder_zarr.image.ngff.metadata import Level
from girder_zarr.image.series.series import Series
from girder_zarr.image.write.resample import halve
from girder_zarr.stitch.output.assemble import BlockMaker, output_spec
from girder_zarr.stitch.patch import Patch, Placement
from girder_zarr.stitch.plan import Extent, Plan
from girder_zarr.stitch.spec.fields import Crop

from . import reduced as preview_copy
from .index import BLOCK, FIRST_COUNTED, PatchIndex, blocks_of
from .level import PreviewLevel

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from girder_zarr.stitch.spec.model import StitchSpec

    from .cache import PreviewCache
    from .index import BlockKey, Frame

#: Patches that are decoded at the same time, for all previews of a process together.
THREADS = min(4, os.cpu_count() or 1)
_RGBA = 4
#: Blocks from this level on are stored, if so many patches touch them that they are costly to make again: at
#: most a sixteenth of the number of patches for each level.
FIRST_STORED = 4
LEAST_STORED = 16
#: Raised when the same patches come to show other pixels.
_MAKING = 1
#: How many patches that cannot be read are named.
MAX_PROBLEMS = 100

_pool = ThreadPoolExecutor(THREADS, thread_name_prefix='girder-zarr-preview')


def load_each(load: Callable[[Patch], np.ndarray], patches: Sequence[Patch]) -> dict[str, np.ndarray | str]:
    """Load patches, several at a time; for those that cannot be loaded the sentence that says why."""

    def attempt(patch: Patch) -> np.ndarray | str:
        try:
            return load(patch)
        except Exception as error:  # noqa: BLE001 - one bad patch must not hide the others
            return str(error) or type(error).__name__

    found = _pool.map(attempt, patches) if len(patches) > 1 else map(attempt, patches)
    return {patch.key: pixels for patch, pixels in zip(patches, found, strict=True)}


class BlockStore(Protocol):
    """Keeps blocks of coarse levels beyond the life of a process; may lose any of them."""

    def load(self, key: BlockKey, made_of: str) -> np.ndarray | None:
        """Return the block ``(bands, y, x)`` that was stored as made of just these patches, or None."""

    def keep(self, key: BlockKey, made_of: str, block: np.ndarray) -> None:
        """Store a block in place of what there is under its key."""


@dataclass(frozen=True)
class Sources:
    """Where a preview gets its pixels.

    :param full: returns the pixels ``(y, x, bands)`` of a patch; may raise anything.
    :param small: returns for each key of some patches the small copy for a level of `preview_copy.LEVELS`, or
        a sentence that says why there is none.
    :param blocks: what blocks were stored, if any are.
    """

    full: Callable[[Patch], np.ndarray]
    small: Callable[[Sequence[Patch], int], Mapping[str, np.ndarray | str]]
    blocks: BlockStore | None = None


class PreviewImage:
    """The patches that have arrived, as an image. Any number of threads may read while one changes it.

    :param identity: tells its entries in the cache from those of other images; its ``repr`` is the same in
        every process.
    :param spec: what the result shall be.
    :param sources: where pixels come from.
    :param cache: may be shared by any number of images.
    """

    def __init__(self, identity: Hashable, spec: StitchSpec, sources: Sources, cache: PreviewCache) -> None:
        self.spec = spec
        self._identity = identity
        self._sources = sources
        self._cache = cache
        self._lock = threading.Lock()
        self._index = PatchIndex()
        self._extent: Extent | None = None
        self._problems: dict[str, str] = {}
        shown = replace(spec, size=None, crop=None, expected=None)
        self._stamp = hashlib.sha256(repr((_MAKING, identity, shown)).encode()).hexdigest()[:32]

    def __len__(self) -> int:
        return len(self._index.patches)

    @property
    def problems(self) -> dict[str, str]:
        """Why patches that cannot be shown cannot, by key; at most ``MAX_PROBLEMS``."""
        with self._lock:
            return dict(self._problems)

    def patches(self) -> list[Patch]:
        """Return the patches that are known now."""
        with self._lock:
            return list(self._index.patches.values())

    # Changing

    def put(self, patches: Iterable[Patch]) -> int:
        """Add patches, or put them in the place of those of the same key; return how many are new."""
        changed = 0
        for patch in patches:
            known = self._index.patches.get(patch.key)
            if known == patch:
                continue
            with self._lock:
                if known is not None:
                    self._index.remove(patch.key)
                self._index.add(patch)
                self._problems.pop(patch.key, None)
                same = known is not None and (known.placement, known.shape) == (patch.placement, patch.shape)
                if not same:
                    self._measure(known, patch)
            self._forget(*([known] if known else []), patch)
            changed += 1
        return changed

    def keep_only(self, keys: set[str]) -> int:
        """Remove the patches under all other keys; return how many these were."""
        gone = [key for key in list(self._index.patches) if key not in keys]
        for key in gone:
            with self._lock:
                patch = self._index.remove(key)
                self._problems.pop(key, None)
                self._measure(patch, None)
            self._forget(patch)
        return len(gone)

    def _measure(self, old: Patch | None, new: Patch | None) -> None:
        """Follow a change of patches with the extent; None means that it has to be taken anew."""
        if self._extent is None or old is not None:
            self._extent = None
        elif new is not None:
            place, extent = new.placement, self._extent
            self._extent = Extent(
                x=(min(extent.x[0], place.x), max(extent.x[1], place.x + new.shape[1])),
                y=(min(extent.y[0], place.y), max(extent.y[1], place.y + new.shape[0])),
                frame={axis: max(count, place.index(axis) + 1) for axis, count in extent.frame.items()},
            )

    def _forget(self, *patches: Patch) -> None:
        for key in {key for patch in patches for key in blocks_of(patch)}:
            self._cache.discard((self._identity, *key))

    # Reading

    def series(self, name: str | None = None) -> Series:
        """Return the image as it is now, with all its levels; they show what arrives later within its size.

        :raises InvalidInputError: there is no patch. :raises ConflictError: patches differ in dtype or bands.
        """
        plan = self._geometry()
        spec = output_spec(plan, name)
        levels, described = [], []
        base = spec.multiscale.levels[0]
        for number in range(count_levels(plan.size)):
            height, width = (-(-side >> number) for side in plan.size)
            levels.append(PreviewLevel(self, plan, number, (*plan.shape[:-2], height, width)))
            factors = [1] * (len(plan.shape) - 2) + [2**number] * 2
            scale = tuple(size * factor for size, factor in zip(base.scale, factors, strict=True))
            shift = tuple((own - full) / 2 for own, full in zip(scale, base.scale, strict=True))
            described.append(Level(str(number), scale, shift))
        extra = {'bands': spec.bands} if spec.bands else {}
        multiscale = replace(spec.multiscale, levels=tuple(described), extra=extra)
        return Series(multiscale, tuple(levels), name)

    def _geometry(self) -> Plan:
        """Return the plan of an image of the same axes and extent, made of one pixel in two corners."""
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
                ('first', left, top, dict.fromkeys(last, 0)),
                ('last', right - 1, bottom - 1, last),
            )
        ]
        return Plan(corners, replace(self.spec, crop=crop))

    def read(self, level: int, frame: Frame, top: int, left: int, shape: tuple[int, int, int]) -> np.ndarray:
        """Return a part of one frame as ``(bands, y, x)``.

        :param top: the first row, in pixels of the level, counted from position 0; so is ``left``.
        :param shape: bands, rows and columns.
        """
        _, height, width = shape
        out: np.ndarray | None = None
        rows = range(top // BLOCK, -(-(top + height) // BLOCK))
        columns = range(left // BLOCK, -(-(left + width) // BLOCK))
        for row, column in itertools.product(rows, columns):
            block, _ = self._block((level, frame, row, column))
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
        """Return a block as ``(bands, y, x)``, or None where it is empty, and whether it is all there."""
        if key[0] >= FIRST_COUNTED and self._index.is_empty(key):
            return None, True
        whole, made_of = True, None

        def make() -> tuple[np.ndarray | None, bool]:
            nonlocal whole, made_of
            tells = self._tells(key)
            stored = self._sources.blocks.load(key, tells) if self._sources.blocks and tells else None
            if stored is not None:
                return stored, True
            block, whole = self._from_below(key) if key[0] > preview_copy.LAST else self._blend(key)
            made_of = tells
            return block, whole

        name = (self._identity, *key)
        block = self._cache.fetch(name, make)
        if made_of is not None and block is not None:
            self._store(key, made_of, block)
        return block, whole

    def _store(self, key: BlockKey, made_of: str, block: np.ndarray) -> None:
        """Store a block, unless patches that touch it came or went while it was made."""
        kept = self._cache.get((self._identity, *key))
        if self._sources.blocks and kept is block and self._tells(key) == made_of:
            self._sources.blocks.keep(key, made_of, block)

    def _tells(self, key: BlockKey) -> str | None:
        """Return what tells a block's pixels from all others under its key; None if it is not stored."""
        if key[0] < FIRST_STORED:
            return None
        with self._lock:
            count, total = self._index.made_of(key)
        return f'{self._stamp} {count} {total:x}' if count >= LEAST_STORED else None

    def compose(self) -> None:
        """Make the blocks of the coarsest level, and with them all that are stored and are not there yet."""
        top = count_levels(self._geometry().size) - 1
        if top >= FIRST_STORED:
            with self._lock:
                blocks = self._index.blocks(top)
            for key in blocks:
                self._block(key)

    def _from_below(self, key: BlockKey) -> tuple[np.ndarray | None, bool]:
        level, frame, row, column = key
        out: np.ndarray | None = None
        whole = True
        half = BLOCK // 2
        for y, x in itertools.product((0, 1), (0, 1)):
            block, complete = self._block((level - 1, frame, 2 * row + y, 2 * column + x))
            whole = whole and complete
            if block is None:
                continue
            if out is None:
                out = np.full(block.shape, self.spec.background, block.dtype)
            out[:, y * half : (y + 1) * half, x * half : (x + 1) * half] = _halved(block)
        return out, whole

    def _blend(self, key: BlockKey) -> tuple[np.ndarray | None, bool]:
        """Make a block of level 2 or 3 from small copies, of a lower one from the patches themselves."""
        level, frame, row, column = key
        with self._lock:
            patches = self._index.touching(key)
        if not patches:
            return None, True
        small = level in preview_copy.LEVELS
        found = self._sources.small(patches, level) if small else load_each(self._sources.full, patches)
        wrong = {key: why for key, why in found.items() if isinstance(why, str)}
        self._note(wrong)
        shown = [patch for patch in patches if patch.key not in wrong]
        if not shown:
            return None, False
        placed = [preview_copy.small_patch(patch, level) for patch in shown] if small else shown
        side = BLOCK if small else BLOCK << level
        plan = Plan(placed, replace(self.spec, size=None, crop=None))
        pixels: Mapping[str, Any] = found
        maker = BlockMaker(plan, lambda patch: pixels[patch.key])
        block = maker.read(_region_of(plan, frame, row * side, column * side, side))
        if block is None:
            return None, not wrong
        planes = block.reshape(plan.bands, side, side)
        for _ in range(0 if small else level):
            planes = _halved(planes)
        return planes, not wrong

    def _note(self, wrong: Mapping[str, str]) -> None:
        if not wrong:
            return
        with self._lock:
            for key, why in wrong.items():
                if key in self._index.patches and len(self._problems) < MAX_PROBLEMS:
                    self._problems[key] = why


def count_levels(size: tuple[int, int]) -> int:
    """Return how many levels an image of a height and width has: until one tile holds it."""
    return max(1, math.ceil(math.log2(max(*size, 1) / BLOCK)) + 1)


def _halved(planes: np.ndarray) -> np.ndarray:
    return halve(planes, bands=True, alpha=planes.shape[0] == _RGBA)


def _region_of(plan: Plan, frame: Frame, top: int, left: int, side: int) -> tuple[slice, ...]:
    """Return a square of one frame as a region of a plan; it may reach beyond the plan's size."""
    indices = dict(frame)
    outer = []
    for axis in plan.axes[:-2]:
        index, count = indices.get(axis, 0), plan.bands if axis == 'c' else 1
        outer.append(slice(index * count, (index + 1) * count))
    y, x = top - plan.origin[0], left - plan.origin[1]
    return (*outer, slice(y, y + side), slice(x, x + side))
