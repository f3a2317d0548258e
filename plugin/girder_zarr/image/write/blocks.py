"""The blocks of an image's levels: where each lies, how it is stored, and what half of it looks like."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias, overload

import numpy as np

from .encode import ChunkEncoder
from .resample import halve

if TYPE_CHECKING:
    from .outlet import Outlet
    from .output_spec import OutputSpec

Region: TypeAlias = tuple[slice, ...]
#: Row and column of a block of some level.
Node: TypeAlias = tuple[int, int]


def encoder_of(spec: OutputSpec) -> ChunkEncoder:
    """Return what turns the blocks of an image into bytes."""
    return ChunkEncoder(spec.dtype, spec.blocks, spec.chunks, spec.fill_value, spec.codec, spec.zarr_format)


class Blocks:
    """The blocks (chunks or shards) of one image, in all its levels.

    :param prefix: path of the image's group in the outlet, ending in a slash, or empty.
    """

    def __init__(self, spec: OutputSpec, outlet: Outlet, prefix: str) -> None:
        self.spec, self.outlet, self.prefix = spec, outlet, prefix
        self.shapes = spec.halvings()
        #: how many halvings lie between levels that are written
        self.step = spec.factor.bit_length() - 1
        self.top = len(self.shapes) - 1
        self.encoder = encoder_of(spec)
        self.separator = '' if spec.zarr_format == 2 else 'c/'
        axis = spec.multiscale.axis_index('c')
        together = spec.bands > 1 and axis is not None and spec.blocks[axis] == spec.bands
        # bands weigh on each other only where those of a pixel lie together in one block
        self.band_axis = axis if together else None
        self.alpha = together and spec.bands in {2, 4}
        #: how many blocks there are along each axis but y and x
        self.counts = [-(-size // side) for size, side in zip(spec.shape, spec.blocks, strict=True)][:-2]

    def grid(self, level: int) -> BlockGrid:
        """Return the nodes of a level."""
        rows, columns = (-(-self.shapes[level][axis] // self.spec.blocks[axis]) for axis in (-2, -1))
        return BlockGrid(rows, columns)

    def region(self, level: int, outer: tuple[int, ...], node: Node) -> Region:
        """Return what a block covers of its level."""
        where = zip((*outer, *node), self.spec.blocks, self.shapes[level], strict=True)
        return tuple(slice(at * side, min((at + 1) * side, size)) for at, side, size in where)

    def below(self, level: int, region: Region, *, into: int = 0) -> Region:
        """Return the region of a finer level that a level's region is made from, without margins."""
        shift = level - into
        plane = zip(region[-2:], self.shapes[into][-2:], strict=True)
        return (
            *region[:-2],
            *(slice(part.start << shift, min(part.stop << shift, size)) for part, size in plane),
        )

    def occupied_nodes(
        self, outer: tuple[int, ...], occupied: Callable[[Region], bool], watch: Watch | None = None
    ) -> Iterator[Node]:
        """Return the nodes of the full resolution that may hold pixels, close ones together."""
        return self.occupied_below(self.top, self.grid(self.top), outer, occupied, watch)

    def children(self, level: int, node: Node) -> list[Node]:
        """Return the nodes of the level below that a block is made from."""
        rows, columns = ((2 * at, 2 * at + 1) for at in node)
        grid = self.grid(level - 1)
        return [child for child in itertools.product(rows, columns) if child in grid]

    def occupied_below(
        self,
        level: int,
        nodes: Iterable[Node],
        outer: tuple[int, ...],
        occupied: Callable[[Region], bool],
        watch: Watch | None,
    ) -> Iterator[Node]:
        """Return the nodes of the full resolution below some nodes that may hold pixels."""
        for node in nodes:
            region = self.below(level, self.region(level, outer, node))
            if not occupied(region):
                if watch is not None:
                    watch.done(math.prod(part.stop - part.start for part in region))
            elif level == 0:
                yield node
            else:
                children = self.children(level, node)
                yield from self.occupied_below(level - 1, children, outer, occupied, watch)

    def name(self, level: int, indices: Sequence[int]) -> str:
        """Return the name of the file of a block."""
        path = self.spec.path(level // self.step)
        return f'{self.prefix}{path}/{self.separator}{"/".join(str(index) for index in indices)}'

    def put(self, level: int, outer: tuple[int, ...], node: Node, block: np.ndarray) -> bool:
        """Store a block; return False where all of it is the fill value and nothing is stored."""
        if level % self.step:
            return not self.encoder.is_empty(block)
        encoded = self.encoder.encode(block)
        if encoded is None:
            return False
        self.outlet.put(self.name(level, (*outer, *node)), encoded)
        return True

    def half(self, block: np.ndarray) -> np.ndarray:
        """Return a part of a level at half its resolution."""
        if self.band_axis is None:
            return halve(block, self.spec.resample)
        together = np.ascontiguousarray(np.moveaxis(block, self.band_axis, -3))
        half = halve(together, self.spec.resample, bands=True, alpha=self.alpha)
        return np.moveaxis(half, -3, self.band_axis)


class BlockGrid(Sequence[Node]):
    """The nodes of a level, row by row, without a list of them."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns

    def __len__(self) -> int:
        return self.rows * self.columns

    def __contains__(self, node: object) -> bool:
        return isinstance(node, tuple) and 0 <= node[0] < self.rows and 0 <= node[1] < self.columns

    @overload
    def __getitem__(self, index: int) -> Node: ...
    @overload
    def __getitem__(self, index: slice) -> list[Node]: ...
    def __getitem__(self, index: int | slice) -> Node | list[Node]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return divmod(index, self.columns)


class Watch:
    """Calls ``progress`` and ``check`` of the caller, one thread at a time; no other waits for one of them.

    They may ask a database. What others have done meanwhile is reported by the thread that is at it.
    """

    def __init__(self, progress: Callable[[int], None] | None, check: Callable[[], None] | None) -> None:
        self._progress, self._check = progress, check
        self._checking, self._counting = threading.Lock(), threading.Lock()
        self._samples, self._is_reporting = 0, False

    def check(self) -> None:
        """Call ``check``, which raises to stop."""
        if self._check is not None and self._checking.acquire(blocking=False):
            try:
                self._check()
            finally:
                self._checking.release()

    def done(self, samples: int) -> None:
        """Report that so many samples of the full resolution are done."""
        if self._progress is None:
            return
        with self._counting:
            self._samples += samples
            if self._is_reporting:
                return
            self._is_reporting = True
        try:
            while waiting := self._taken():
                self._progress(waiting)
        except BaseException:
            self._is_reporting = False
            raise

    def _taken(self) -> int:
        """Take what is to be reported; where that is nothing, the next thread begins to report again."""
        with self._counting:
            taken, self._samples = self._samples, 0
            self._is_reporting = bool(taken)
            return taken
