"""An image in parts that are made apart, maybe by several processes, and put together without decoding.

The tree of an image (see `pyramid.py`) is cut at one level: what lies below each block of that level is a
subtree. A part is a row of subtrees, with all their levels under their final names, and with the half of each
root beside them, from which the levels above are made. What comes out is byte for byte what `write_image`
writes, but for the order of the files. Methods that look beyond a block need the pixels beside a part: with
them a part holds the full resolution alone, and the levels are made when all is together.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .blocks import Blocks, Node, Region, Watch
from .outlet import NOWHERE
from .pyramid import Ready, Writer, in_parallel, metadata_documents, threads_for
from .resample import margin

if TYPE_CHECKING:
    from collections.abc import Callable

    from .outlet import Outlet
    from .output_spec import OutputSpec
    from .pyramid import BlockReader, Occupied

#: What the names of halves begin with; they are followed by the number of the subtree.
HALVES = 'halves/'


class Trees:
    """The subtrees that an image is cut into, numbered by outer position and then row by row.

    :param values: a subtree covers at most so many values of the full resolution, but at least one block.
    """

    def __init__(self, spec: OutputSpec, values: int) -> None:
        self.spec, self._blocks = spec, Blocks(spec, NOWHERE, '')
        block = math.prod(spec.blocks)
        fitting = (level for level in range(self._blocks.top, 0, -1) if block << 2 * level <= values)
        #: The level of the roots.
        self.level = next(fitting, 0)
        #: How many values of the full resolution a whole subtree covers.
        self.values = block << 2 * self.level
        self._grid = self._blocks.grid(self.level)
        self.count = math.prod(self._blocks.counts) * len(self._grid)

    def root(self, number: int) -> tuple[tuple[int, ...], Node]:
        """Return the outer position and the node of a subtree's root."""
        outer, node = divmod(number, len(self._grid))
        return tuple(int(at) for at in np.unravel_index(outer, self._blocks.counts or (1,)))[
            : len(self._blocks.counts)
        ], self._grid[node]

    def number(self, outer: tuple[int, ...], node: Node) -> int:
        """Return the number of the subtree of a root."""
        position = 0
        for at, count in zip(outer, self._blocks.counts, strict=True):
            position = position * count + at
        return position * len(self._grid) + node[0] * self._grid.columns + node[1]

    def region(self, number: int) -> Region:
        """Return what a subtree covers of the full resolution."""
        outer, node = self.root(number)
        return self._blocks.below(self.level, self._blocks.region(self.level, outer, node))


def write_trees(
    trees: Trees,
    numbers: range,
    outlet: Outlet,
    read_block: BlockReader,
    *,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
    check: Callable[[], None] | None = None,
    occupied: Occupied | None = None,
) -> None:
    """Write some subtrees of an image; parameters are those of `pyramid.write_image`."""
    spec, level = trees.spec, trees.level
    writer = Writer(Blocks(spec, outlet, ''), read_block, occupied, Watch(progress, check))
    threads = threads_for(spec, threads)
    apart = len(numbers) >= 4 * threads
    inside = 1 if apart else threads

    def write(number: int) -> None:
        outer, node = trees.root(number)
        if margin(spec.resample):
            writer.write_full(outer, level, node, inside)
            return
        half = writer.together(outer, level, [node], inside)[node]
        if half is not None:
            outlet.put(f'{HALVES}{number}', half.tobytes())

    in_parallel(write, numbers, threads if apart else 1)


def write_above(
    trees: Trees,
    outlet: Outlet,
    half: Callable[[int], bytes | None],
    *,
    threads: int | None = None,
    check: Callable[[], None] | None = None,
    occupied: Occupied | None = None,
) -> None:
    """Write the metadata and all levels above the roots of subtrees that are in the outlet.

    :param half: returns what :func:`write_trees` put beside a subtree, by its number, or None.
    """
    spec = trees.spec
    for name, content in metadata_documents(spec).items():
        outlet.put(name, content)
    blocks, watch = Blocks(spec, outlet, ''), Watch(None, check)
    outers = itertools.product(*(range(count) for count in blocks.counts))
    threads = threads_for(spec, threads)
    apart = math.prod(blocks.counts) >= 4 * threads
    writer = Writer(blocks, _nothing, occupied, watch)
    if margin(spec.resample):
        writer.run_levels(outers, threads, apart=apart, full=False)
    elif trees.level < blocks.top:
        writer.run_down_to(
            lambda outer: Ready(trees.level, _Stored(trees, blocks, outer, half, watch)),
            outers,
            threads,
            apart=apart,
        )


def _nothing(_region: Region) -> None:
    """Give no pixels: the full resolution is written."""


class _Stored:
    """The halves of the subtrees of one outer position, read when they are needed."""

    def __init__(
        self,
        trees: Trees,
        blocks: Blocks,
        outer: tuple[int, ...],
        half: Callable[[int], bytes | None],
        watch: Watch,
    ) -> None:
        self._trees, self._blocks, self._outer, self._half, self._watch = trees, blocks, outer, half, watch

    def pop(self, node: Node, _default: Any, /) -> np.ndarray | None:
        """Return the half of a root."""
        self._watch.check()
        content = self._half(self._trees.number(self._outer, node))
        if content is None:
            return None
        region = self._blocks.region(self._trees.level, self._outer, node)
        *sizes, height, width = (part.stop - part.start for part in region)
        shape = (*sizes, -(-height // 2), -(-width // 2))
        return np.frombuffer(content, self._trees.spec.dtype).reshape(shape)
