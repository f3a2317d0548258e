"""Every level of an image from one pass over its full resolution.

The levels form a tree: the block of a level is made from the (up to) four blocks below it. The tree is
walked depth first, so that the blocks below are still in memory; each is asked for once and encoded once.
Subtrees run in parallel threads. Memory holds one block a level and thread, whatever the size of the image.
Methods that look beyond a block go level by level instead, see `seamless.py`.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from girder_zarr.errors import EditError
from girder_zarr.image.ngff import emit

from .blocks import Blocks, Node, Region, Watch, encoder_of
from .outlet import NOWHERE, DirectoryOutlet, Outlet
from .resample import margin
from .seamless import KEPT, LevelPass

if TYPE_CHECKING:
    from .spec import OutputSpec

#: Called with one slice an axis (start, stop inside the shape); returns its pixels, or None: nothing there.
BlockReader: TypeAlias = Callable[[tuple[slice, ...]], np.ndarray | None]
#: Called with a region of any size; False promises that a BlockReader would find nothing anywhere in it.
Occupied: TypeAlias = Callable[[tuple[slice, ...]], bool]

#: A tree is cut into at most so many subtrees for the threads to share.
SUBTREES = 64


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
    :param check: called before every block; raises to stop.
    :param occupied: where given, lets empty parts be skipped without asking for each of their blocks.
    :param prefix: path of the image's group below ``directory``, ending in a slash, or empty.
    :raises EditError: ``read_block`` returned another shape or type.
    """
    outlet = DirectoryOutlet(directory) if isinstance(directory, Path) else directory
    for name, content in metadata_documents(spec).items():
        outlet.put(prefix + name, content)
    writer = _Writer(Blocks(spec, outlet, prefix), read_block, occupied, Watch(progress, check))
    writer.run(threads or processors())


def visit_blocks(
    spec: OutputSpec, visit: Callable[[Region], None], occupied: Occupied, threads: int | None = None
) -> None:
    """Call ``visit`` with the region of every block of the full resolution that may hold pixels."""
    blocks = Blocks(spec, NOWHERE, '')
    outers = itertools.product(*(range(count) for count in blocks.counts))
    places = ((outer, node) for outer in outers for node in blocks.occupied_nodes(outer, occupied))
    in_parallel(lambda place: visit(blocks.region(0, *place)), places, threads or processors())


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
    found = emit.group_documents(attributes, spec.zarr_format)
    names = [axis.name for axis in multiscale.axes]
    for level, shape in zip(multiscale.levels, spec.level_shapes(), strict=True):
        if spec.zarr_format == 2:
            compressor = spec.codec.v2(spec.dtype)
            files = emit.array_documents_v2(shape, spec.blocks, spec.dtype, compressor, spec.fill_value)
        else:
            codecs = encoder_of(spec).v3_codecs()
            files = emit.array_documents_v3(shape, spec.blocks, spec.dtype, codecs, spec.fill_value, names)
        found |= {f'{level.path}/{name}': content for name, content in files.items()}
    return found


class _Writer:
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
            self._run_level_by_level(outers, threads, apart=apart)
        elif apart:
            in_parallel(lambda outer: self._tree(outer, self.top, None), outers, threads)
        else:
            self._run_in_subtrees(outers, threads)

    def _run_level_by_level(self, outers: Iterable[tuple[int, ...]], threads: int, *, apart: bool) -> None:
        """Write one level after the other; the outer positions in parallel (``apart``), or their blocks."""
        together = 1 if apart else threads

        def write(outer: tuple[int, ...]) -> None:
            level_pass = LevelPass(
                self.blocks, outer, self._read, self.occupied, self.watch, KEPT * together // threads
            )
            level_pass.run(lambda work, nodes: in_parallel(work, nodes, together))

        in_parallel(write, outers, threads if apart else 1)

    def _run_in_subtrees(self, outers: Iterable[tuple[int, ...]], threads: int) -> None:
        few = (level for level in range(self.top) if len(self.blocks.grid(level)) <= SUBTREES)
        split = next(few, self.top)
        for outer in outers:
            nodes = self.blocks.grid(split)
            halves = in_parallel(functools.partial(self._subtree, split, outer), nodes, threads)
            if split < self.top:
                self._tree(outer, split, dict(zip(nodes, halves, strict=True)))

    def _subtree(self, level: int, outer: tuple[int, ...], node: Node) -> np.ndarray | None:
        return self._node(level, outer, node, None)

    def _tree(
        self, outer: tuple[int, ...], ready_level: int, ready: dict[Node, np.ndarray | None] | None
    ) -> None:
        """Write everything of one outer position that is not ``ready``."""
        level = -1 if ready is None else ready_level
        for node in self.blocks.grid(self.top):
            self._node(self.top, outer, node, _Ready(level, ready or {}))

    def _node(
        self, level: int, outer: tuple[int, ...], node: Node, ready: _Ready | None
    ) -> np.ndarray | None:
        """Write a block and everything below it; return its half for the block above, or None: empty."""
        region = self.blocks.region(level, outer, node)
        below = self.blocks.below(level, region)
        if not self.occupied(below):
            if ready is None or ready.level < 0:  # else its subtrees have told
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
        self, level: int, outer: tuple[int, ...], node: Node, region: Region, ready: _Ready | None
    ) -> np.ndarray | None:
        """Make a block from the halves of the blocks below it."""
        block = None
        grid = self.blocks.grid(level - 1)
        for child in itertools.product((2 * node[0], 2 * node[0] + 1), (2 * node[1], 2 * node[1] + 1)):
            if child not in grid:
                continue
            if ready is not None and ready.level == level - 1:
                half = ready.halves.pop(child, None)
            else:
                half = self._node(level - 1, outer, child, ready)
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


@dataclass(frozen=True)
class _Ready:
    """Halves of blocks of one level that were made before, taken out as they are used."""

    level: int
    halves: dict[Node, np.ndarray | None]


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
