"""Every level of an image from one pass over its full resolution.

The levels form a tree: the block of a level is made from the (up to) four blocks below it. The tree is
walked depth first, so that the blocks below are still in memory; each is asked for once and encoded once.
Subtrees run in parallel threads. Memory holds one block a level and thread, whatever the size of the image.
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
from typing import TYPE_CHECKING, TypeAlias, TypeVar, overload

import numpy as np

from girder_zarr.errors import EditError

from .encode import ChunkEncoder
from .ngff import emit
from .outlet import DirectoryOutlet, Outlet
from .resample import halve

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
    writer = _Writer(spec, outlet, read_block, occupied, _Watch(progress, check), prefix)
    if threads is None:
        threads = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    writer.run(threads)


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
            codecs = _encoder(spec).v3_codecs()
            files = emit.array_documents_v3(shape, spec.blocks, spec.dtype, codecs, spec.fill_value, names)
        found |= {f'{level.path}/{name}': content for name, content in files.items()}
    return found


def _encoder(spec: OutputSpec) -> ChunkEncoder:
    return ChunkEncoder(spec.dtype, spec.blocks, spec.chunks, spec.fill_value, spec.codec)


Region: TypeAlias = tuple[slice, ...]
Node: TypeAlias = tuple[int, int]


class _Writer:
    """Walks the tree of one image. A node is the row and column of a block of some level."""

    def __init__(
        self,
        spec: OutputSpec,
        outlet: Outlet,
        read_block: BlockReader,
        occupied: Occupied | None,
        watch: _Watch,
        prefix: str,
    ) -> None:
        self.spec, self.outlet, self.read_block, self.occupied = spec, outlet, read_block, occupied
        self.watch, self.prefix = watch, prefix
        self.shapes = spec.level_shapes()
        self.top = len(self.shapes) - 1
        self.encoder = _encoder(spec)
        self.separator = '' if spec.zarr_format == 2 else 'c/'
        axis = spec.multiscale.axis_index('c')
        together = spec.bands > 1 and axis is not None and spec.blocks[axis] == spec.bands
        # bands weigh on each other only where those of a pixel lie together in one block
        self.band_axis = axis if together else None
        self.alpha = together and spec.bands in {2, 4}

    def run(self, threads: int) -> None:
        """Write all blocks of all levels."""
        counts = [-(-size // side) for size, side in zip(self.spec.shape, self.spec.blocks, strict=True)][:-2]
        outers = itertools.product(*(range(count) for count in counts))
        if math.prod(counts) >= 4 * threads:
            in_parallel(lambda outer: self._tree(outer, self.top, None), outers, threads)
            return
        split = next(level for level in range(self.top + 1) if len(self._nodes(level)) <= SUBTREES)
        for outer in outers:
            nodes = self._nodes(split)
            halves = in_parallel(functools.partial(self._subtree, split, outer), nodes, threads)
            if split < self.top:
                self._tree(outer, split, dict(zip(nodes, halves, strict=True)))

    def _subtree(self, level: int, outer: tuple[int, ...], node: Node) -> np.ndarray | None:
        return self._node(level, outer, node, None)

    def _nodes(self, level: int) -> Sequence[Node]:
        rows, columns = (-(-self.shapes[level][axis] // self.spec.blocks[axis]) for axis in (-2, -1))
        return _Grid(rows, columns)

    def _tree(
        self, outer: tuple[int, ...], ready_level: int, ready: dict[Node, np.ndarray | None] | None
    ) -> None:
        """Write everything of one outer position that is not ``ready``."""
        level = -1 if ready is None else ready_level
        for node in self._nodes(self.top):
            self._node(self.top, outer, node, _Ready(level, ready or {}))

    def _node(
        self, level: int, outer: tuple[int, ...], node: Node, ready: _Ready | None
    ) -> np.ndarray | None:
        """Write a block and everything below it; return its half for the block above, or None: empty."""
        region = self._region(level, outer, node)
        if self.occupied is not None and not self.occupied(self._below(level, region)):
            self.watch.done(self._pixels(level, region))
            return None
        block = self._read(region) if level == 0 else self._join(level, outer, node, region, ready)
        if block is None:
            return None
        encoded = self.encoder.encode(block)
        if encoded is None:
            return None
        indices = '/'.join(str(index) for index in (*outer, *node))
        self.outlet.put(f'{self.prefix}{level}/{self.separator}{indices}', encoded)
        return self._half(block) if level < self.top else None

    def _region(self, level: int, outer: tuple[int, ...], node: Node) -> Region:
        where = zip((*outer, *node), self.spec.blocks, self.shapes[level], strict=True)
        return tuple(slice(at * side, min((at + 1) * side, size)) for at, side, size in where)

    def _below(self, level: int, region: Region) -> Region:
        """Return the full-resolution region that a level's region is made from."""
        plane = zip(region[-2:], self.spec.shape[-2:], strict=True)
        return (
            *region[:-2],
            *(slice(part.start << level, min(part.stop << level, size)) for part, size in plane),
        )

    def _pixels(self, level: int, region: Region) -> int:
        return math.prod(part.stop - part.start for part in self._below(level, region))

    def _read(self, region: Region) -> np.ndarray | None:
        self.watch.check()
        shape = tuple(part.stop - part.start for part in region)
        block = self.read_block(region)
        if block is not None and (block.shape != shape or block.dtype != self.spec.dtype):
            raise EditError(
                f'read_block must return {self.spec.dtype} {shape}, not {block.dtype} {block.shape}'
            )
        self.watch.done(math.prod(shape))
        return block

    def _join(
        self, level: int, outer: tuple[int, ...], node: Node, region: Region, ready: _Ready | None
    ) -> np.ndarray | None:
        """Make a block from the halves of the blocks below it."""
        block = None
        grid = self._nodes(level - 1)
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
                block = np.full(shape, self.spec.fill_value, self.spec.dtype)
            top, left = ((at % 2) * side // 2 for at, side in zip(child, self.spec.blocks[-2:], strict=True))
            block[..., top : top + half.shape[-2], left : left + half.shape[-1]] = half
        return block

    def _half(self, block: np.ndarray) -> np.ndarray:
        if self.band_axis is None:
            return halve(block, self.spec.resample)
        together = np.ascontiguousarray(np.moveaxis(block, self.band_axis, -3))
        half = halve(together, self.spec.resample, bands=True, alpha=self.alpha)
        return np.moveaxis(half, -3, self.band_axis)


class _Grid(Sequence[Node]):
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


@dataclass(frozen=True)
class _Ready:
    """Halves of blocks of one level that were made before, taken out as they are used."""

    level: int
    halves: dict[Node, np.ndarray | None]


class _Watch:
    """Tells how far the work is and asks whether it shall go on, one thread at a time."""

    def __init__(self, progress: Callable[[int], None] | None, check: Callable[[], None] | None) -> None:
        self._progress, self._check = progress, check
        self._lock = threading.Lock()

    def check(self) -> None:
        if self._check is not None:
            with self._lock:
                self._check()

    def done(self, pixels: int) -> None:
        if self._progress is not None:
            with self._lock:
                self._progress(pixels)


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
