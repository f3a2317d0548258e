"""Every level of an image from one pass over its full resolution.

The levels form a tree: the block of a level is made from the (up to) four blocks below it. The tree is
walked depth first, so that the blocks below are still in memory; each is asked for once and encoded once.
Subtrees run in parallel threads; the thread that makes the last of four goes on with the block above them.
Memory holds one block a level and thread, whatever the size of the image.
Methods that look beyond a block go level by level instead, see `seamless.py`.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

import numpy as np

from girder_zarr.errors import EditError
from girder_zarr.image.ngff import emit
from girder_zarr.image.ngff.carried import Carried

from .blocks import Blocks, Node, Region, Watch, encoder_of
from .outlet import NOWHERE, DirectoryOutlet, Outlet
from .resample import margin
from .seamless import MAX_CACHE_BYTES, LevelPass

if TYPE_CHECKING:
    from .output_spec import OutputSpec

#: Called with one slice an axis (start, stop inside the shape); returns its pixels, or None: nothing there.
BlockReader: TypeAlias = Callable[[tuple[slice, ...]], np.ndarray | None]
#: Called with a region of any size; False promises that a BlockReader would find nothing anywhere in it.
Occupied: TypeAlias = Callable[[tuple[slice, ...]], bool]

#: A tree is cut into at most so many subtrees for the threads to share: many a thread, so that none waits
#: long for the last one.
SUBTREES = 256
#: Bytes that the halves of these subtrees would take if none of the blocks above were made meanwhile.
HALVES_BYTES = 128 * 2**20
#: Bytes of blocks that all threads together may hold, as far as the size of a block allows;
#: fewer threads work where blocks are large.
BLOCKS_BYTES = 512 * 2**20


def write_image(
    directory: Path | Outlet,
    spec: OutputSpec,
    read_block: BlockReader,
    *,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
    check: Callable[[], None] | None = None,
    occupied: Occupied | None = None,
    prefix: str = '',
) -> None:
    """Write an image with all its levels.

    :param directory: an existing, empty directory, or any other `outlet.Outlet`.
    :param read_block: gives the full resolution, one block (chunk or shard) at a time; called from threads.
    :param threads: how many; None: one for each processor that this process may use.
    :param progress: called with the full-resolution samples done since the last call, one thread at a time.
    :param check: called before every block, unless another thread is in it; raises to stop.
    :param occupied: where given, lets empty parts be skipped without asking for each of their blocks.
    :param prefix: path of the image's group below ``directory``, ending in a slash, or empty.
    :raises EditError: ``read_block`` returned another shape or type.
    """
    outlet = DirectoryOutlet(directory) if isinstance(directory, Path) else directory
    for name, content in metadata_documents(spec).items():
        outlet.put(prefix + name, content)
    writer = Writer(Blocks(spec, outlet, prefix), read_block, occupied, Watch(progress, check))
    writer.run(threads_for(spec, threads))


def visit_blocks(
    spec: OutputSpec, visit: Callable[[Region], None], occupied: Occupied, threads: int | None = None
) -> None:
    """Call ``visit`` with the region of every block of the full resolution that may hold pixels."""
    blocks = Blocks(spec, NOWHERE, '')
    outers = itertools.product(*(range(count) for count in blocks.counts))
    places = ((outer, node) for outer in outers for node in blocks.occupied_nodes(outer, occupied))
    in_parallel(lambda place: visit(blocks.region(0, *place)), places, threads or processors())


def threads_for(spec: OutputSpec, threads: int | None) -> int:
    """Return how many threads may work on an image, so that their blocks fit into memory.

    :param threads: as many as are wanted; None: one for each processor.
    """
    # a thread holds a block of every level on its way up, one being read and what it is encoded into
    nbytes = math.prod(spec.blocks) * spec.dtype.itemsize * (len(spec.halvings()) + 3)
    return max(1, min(threads or processors(), BLOCKS_BYTES // nbytes))


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def metadata_documents(spec: OutputSpec) -> dict[str, bytes]:
    """Return every metadata file of an image by its path, the root first and the levels in their order."""
    multiscale = spec.described()
    method = spec.resample if isinstance(spec.resample, str) else spec.resample.name.lower()
    attributes = emit.image_attributes(
        multiscale, spec.version, method='mean' if method == 'area' else method
    )
    finite = multiscale.carried == Carried()
    found = emit.group_documents(attributes, spec.zarr_format, finite=finite)
    names = [axis.label or axis.name for axis in multiscale.axes]
    for index, (level, shape) in enumerate(zip(multiscale.levels, spec.level_shapes(), strict=True)):
        stored = multiscale.carried.array(index, len(names))
        if spec.zarr_format == 2:
            compressor = spec.codec.v2(spec.dtype)
            order = encoder_of(spec).v2_order
            files = emit.array_documents_v2(
                shape, spec.blocks, spec.dtype, compressor, spec.fill_value, order, stored
            )
        else:
            codecs = encoder_of(spec).v3_codecs()
            files = emit.array_documents_v3(
                shape, spec.blocks, spec.dtype, codecs, spec.fill_value, names, stored
            )
        found |= {f'{level.path}/{name}': content for name, content in files.items()}
    return found


class Writer:
    """Walks the tree of one image. A node is the row and column of a block of some level."""

    def __init__(
        self, blocks: Blocks, read_block: BlockReader, occupied: Occupied | None, watch: Watch
    ) -> None:
        self.blocks, self.read_block, self.watch = blocks, read_block, watch
        self.occupied = occupied or (lambda _region: True)
        self.top = blocks.top

    def run(self, threads: int) -> None:
        """Write all blocks of all levels."""
        outers = itertools.product(*(range(count) for count in self.blocks.counts))
        apart = math.prod(self.blocks.counts) >= 4 * threads
        if margin(self.blocks.spec.resample):
            self.run_levels(outers, threads, apart=apart)
        else:
            self.run_down_to(None, outers, threads, apart=apart)

    def run_down_to(
        self,
        ready: Callable[[tuple[int, ...]], Ready] | None,
        outers: Iterable[tuple[int, ...]],
        threads: int,
        *,
        apart: bool,
    ) -> None:
        """Write all levels, or those above what is ready.

        :param ready: gives what was made before of each outer position.
        :param apart: the threads share the outer positions; else they share the blocks of each.
        """

        def write(outer: tuple[int, ...]) -> None:
            known = ready(outer) if ready is not None else None
            self.together(outer, self.top, self.blocks.grid(self.top), 1 if apart else threads, known)

        in_parallel(write, outers, threads if apart else 1)

    def together(
        self,
        outer: tuple[int, ...],
        level: int,
        nodes: Sequence[Node],
        threads: int,
        ready: Ready | None = None,
    ) -> dict[Node, np.ndarray | None]:
        """Write blocks of a level and everything below that is not ready; return their halves."""
        split, below = level, nodes
        if threads > 1:
            split, below = self._split(level, nodes, -1 if ready is None else ready.level)
        made: dict[Node, np.ndarray | None] = {}
        # by level and node: the halves of those of the four below that are made
        gathered: dict[tuple[int, Node], dict[Node, np.ndarray | None]] = {}
        lock = threading.Lock()

        def make(node: Node) -> None:
            at, half = split, self.node(split, outer, node, ready)
            while at < level:
                above = (node[0] // 2, node[1] // 2)
                with lock:
                    halves = gathered.setdefault((at + 1, above), {})
                    halves[node] = half
                    if len(halves) < len(self.blocks.children(at + 1, above)):
                        return  # to whoever makes the last of them
                    del gathered[at + 1, above]
                half = self.node(at + 1, outer, above, Ready(at, halves))
                at, node = at + 1, above
            made[node] = half

        in_parallel(make, below, threads)
        return {node: made[node] for node in nodes}

    def _split(self, level: int, nodes: Sequence[Node], done: int) -> tuple[int, Sequence[Node]]:
        """Return the lowest level above ``done`` with few nodes below these, and those nodes."""
        spec = self.blocks.spec
        half = max(1, math.prod(spec.blocks) * spec.dtype.itemsize // 4)
        few = max(4, min(SUBTREES, HALVES_BYTES // half))
        while level - 1 > done and len(nodes) <= few:
            finer = [child for node in nodes for child in self.blocks.children(level, node)]
            if len(finer) > few:
                break
            level, nodes = level - 1, finer
        return level, nodes

    def run_levels(
        self, outers: Iterable[tuple[int, ...]], threads: int, *, apart: bool, full: bool = True
    ) -> None:
        """Write one level after the other; the outer positions in parallel (``apart``), or their blocks.

        :param full: False: the full resolution is in the outlet.
        """
        together = 1 if apart else threads

        def write(outer: tuple[int, ...]) -> None:
            level_pass = LevelPass(
                self.blocks,
                outer,
                self._read,
                self.occupied,
                self.watch,
                MAX_CACHE_BYTES * together // threads,
            )
            each = functools.partial(in_parallel, threads=together)
            if full:
                level_pass.run(each)
            else:
                level_pass.find_full()
                level_pass.run_above(each)

        in_parallel(write, outers, threads if apart else 1)

    def write_full(self, outer: tuple[int, ...], level: int, node: Node, threads: int) -> None:
        """Write the blocks of the full resolution below a block, and nothing else."""

        def write(below: Node) -> None:
            block = self._read(self.blocks.region(0, outer, below))
            if block is not None:
                self.blocks.put(0, outer, below, block)

        nodes = self.blocks.occupied_below(level, [node], outer, self.occupied, self.watch)
        in_parallel(write, nodes, threads)

    def node(self, level: int, outer: tuple[int, ...], node: Node, ready: Ready | None) -> np.ndarray | None:
        """Write a block and everything below it; return its half for the block above, or None: empty."""
        region = self.blocks.region(level, outer, node)
        below = self.blocks.below(level, region)
        if not self.occupied(below):
            if ready is None:  # else its subtrees have reported progress
                self.watch.done(math.prod(part.stop - part.start for part in below))
            return None
        block = self._read(region) if level == 0 else self._join(level, outer, node, region, ready)
        if block is None or not self.blocks.put(level, outer, node, block):
            return None
        return self.blocks.half(block) if level < self.top else None

    def _read(self, region: Region) -> np.ndarray | None:
        self.watch.check()
        shape = tuple(part.stop - part.start for part in region)
        block = self.read_block(region)
        if block is not None and (block.shape != shape or block.dtype != self.blocks.spec.dtype):
            raise EditError(
                f'read_block must return {self.blocks.spec.dtype} {shape}, not {block.dtype} {block.shape}'
            )
        self.watch.done(math.prod(shape))
        return block

    def _join(
        self, level: int, outer: tuple[int, ...], node: Node, region: Region, ready: Ready | None
    ) -> np.ndarray | None:
        """Make a block from the halves of the blocks below it."""
        block = None
        for child in self.blocks.children(level, node):
            if ready is not None and ready.level == level - 1:
                half = ready.halves.pop(child, None)
            else:
                half = self.node(level - 1, outer, child, ready)
            if half is None:
                continue
            if block is None:
                shape = tuple(part.stop - part.start for part in region)
                block = np.full(shape, self.blocks.spec.fill_value, self.blocks.spec.dtype)
            top, left = (
                (at % 2) * side // 2 for at, side in zip(child, self.blocks.spec.blocks[-2:], strict=True)
            )
            block[..., top : top + half.shape[-2], left : left + half.shape[-1]] = half
        return block


class Halves(Protocol):
    """Halves of blocks by their nodes."""

    def pop(self, node: Node, default: None, /) -> np.ndarray | None:
        """Return the half of a block, which is asked for once; None: it is empty."""


@dataclass(frozen=True)
class Ready:
    """Halves of blocks of one level that were made before, taken out as they are used."""

    level: int
    halves: Halves


T = TypeVar('T')
R = TypeVar('R')


def in_parallel(work: Callable[[T], R], items: Iterable[T], threads: int) -> list[R]:
    """Return ``work`` of each item, in their order, with so many threads at work.

    After an error no further item is begun, and the first error is raised.
    """
    source = enumerate(items)
    results: dict[int, R] = {}
    errors: list[BaseException] = []
    lock = threading.Lock()

    def run() -> None:
        while True:
            with lock:
                index, item = next(source, (-1, None))
                if index < 0 or errors:
                    return
            try:
                results[index] = work(item)  # type: ignore[arg-type]
            except BaseException as exc:  # noqa: BLE001 - it is raised again in the calling thread
                errors.append(exc)

    helpers = [threading.Thread(target=run, name='write-image') for _ in range(threads - 1)]
    for helper in helpers:
        helper.start()
    run()
    for helper in helpers:
        helper.join()
    if errors:
        raise errors[0]
    return [results[index] for index in range(len(results))]
