"""Buffered writing: pixels in any order, at any place, on a lattice of chunks.

The lattice has no edges and no origin of its own: a chunk is known by its row and column (negative ones as
well) and its position along the frame axes. Growth in any direction, and a new axis, therefore move no
pixel. A chunk is an array in memory while tiles are written to it; beyond the limit, the least recently used
chunks are spilled to a temporary file.
"""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

import numpy as np

from girder_zarr.errors import EditError

from .bands import common_type, meet
from .canvas_chunk import CanvasChunk, Key, ResidentChunks, blank
from .chunk_coverage import ChunkCoverage
from .form import CanvasExtent, Form, pieces, place_of, placed, stripped
from .spill import Spill

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from .scratch import Scratch
    from .underlay import Underlay

#: The side of a chunk along y and x, in pixels: that of the chunks that are written by default.
SIDE = 512
#: Bytes of chunks in memory before the oldest go to a file: 170 chunks of RGB of 8 bits.
MEMORY = 128 * 2**20
#: Bytes more of chunks that are in a file as well and were only read since: what one tile or block touches.
READ_AGAIN = 16 * 2**20


class Canvas:
    """Pixels on an endless lattice, one plane for each position along the frame axes. Thread safe.

    :param scratch: where chunks go that do not fit in memory.
    :param memory: bytes of pixels to hold in memory.
    :param side: of a chunk, along y and x.
    :param underlay: what the image is before anything is added: each chunk is read from there when it is
        first needed. Its first pixel lies at position 0, 0 of the lattice.
    """

    def __init__(
        self, scratch: Scratch, *, memory: int = MEMORY, side: int = SIDE, underlay: Underlay | None = None
    ) -> None:
        self._scratch = scratch
        self._spill = Spill(scratch.directory)
        self._underlay = underlay
        self.side = side
        self._lock = threading.RLock()
        self._chunks: dict[Key, CanvasChunk] = {}
        #: of the chunks that something was added to
        self._touched: set[Key] = set()
        # apart, so that reading a large image pushes out no chunk that would have to be compressed first
        self._written = ResidentChunks(memory)
        self._read = ResidentChunks(READ_AGAIN)
        #: frame axes in the order of the keys, which never changes, and as they are shown, the slowest first
        self._axes: list[str] = []
        self._frameOrder: list[str] = []
        self._sizes: dict[str, int] = {}
        self._span: list[int] | None = None
        #: every type and number of bands that the image has had, the present one last
        self._forms: list[Form] = []
        if underlay is not None:
            self._sizes = underlay.sizes
            self._axes, self._frameOrder = list(self._sizes), list(self._sizes)
            self._span = [0, underlay.height, 0, underlay.width]
            self._forms.append(Form(underlay.dtype, underlay.layout.bands, numbered=False))

    @property
    def is_detached(self) -> bool:
        """Whether there is nothing below what was added."""
        return self._underlay is None

    def extent(self) -> CanvasExtent | None:
        """Return what there is now, or None where nothing was added."""
        with self._lock:
            if self._span is None:
                return None
            top, bottom, left, right = self._span
            sizes, form = tuple(self._sizes[axis] for axis in self._frameOrder), self._forms[-1]
            sides = bottom - top, right - left
            return CanvasExtent(tuple(self._frameOrder), sizes, top, left, *sides, form.bands, form.dtype)

    def add(
        self,
        pixels: np.ndarray,
        axes: Sequence[str],
        start: Mapping[str, int],
        *,
        mask: np.ndarray | None = None,
        band: int | None = None,
    ) -> bool:
        """Put pixels down over what was there.

        :param pixels: ``(*axes, y, x, band)``, no size zero.
        :param axes: frame axes of the pixels; any names but y, x and s.
        :param start: the first position along any axis; y and x may be negative. Zero where an axis is
            missing.
        :param mask: booleans that broadcast to ``pixels.shape``; where False nothing changes.
        :param band: the first band that is written; None: the pixels are whole, see `bands.py`.
        :returns: whether the extent, the type or the bands have changed.
        :raises EditError: no type holds both these values and those in the image; nothing has changed then.
        """
        with self._lock:
            before = self.extent()
            self._grow(pixels, axes, start, band)
            changed = before != self.extent()
            order = list(self._axes)
            step = len(self._forms) - 1
        if mask is not None:
            mask = mask if mask.ndim == pixels.ndim else mask[..., np.newaxis]
            mask = np.broadcast_to(mask, (*pixels.shape[:-1], mask.shape[-1]))
        if band is None:
            pixels = self._forms[step].of(pixels)
        for where in np.ndindex(*pixels.shape[:-3]):
            position = dict(start) | {
                axis: start.get(axis, 0) + index for axis, index in zip(axes, where, strict=True)
            }
            tail = stripped([position.get(axis, 0) for axis in order])
            plane = None if mask is None else mask[where]
            self._add_plane(
                pixels[where], plane, position.get('y', 0), position.get('x', 0), tail, band, step
            )
        self._evict()
        return changed

    def _grow(
        self, pixels: np.ndarray, axes: Sequence[str], start: Mapping[str, int], band: int | None
    ) -> None:
        """Enlarge the extent, and the dtype and bands, so that pixels fit."""
        count = pixels.shape[-1]
        if not self._forms:
            self._forms.append(Form(pixels.dtype, count + (band or 0), numbered=False))
        last = self._forms[-1]
        dtype = common_type(last.dtype, pixels.dtype)
        bands = meet(last.bands, count) if band is None else max(last.bands, band + count)
        if (dtype, bands) != (last.dtype, last.bands):
            self._forms.append(Form(dtype, bands, numbered=band is not None))
        lengths = dict(zip((*axes, 'y', 'x'), pixels.shape[:-1], strict=True))
        named = [axis for axis in start if axis not in {'y', 'x', *axes}]
        new = [axis for axis in (*reversed(axes), *named) if axis not in self._sizes]
        self._axes += new
        self._frameOrder = placed(self._frameOrder, axes, named)
        for axis in (*axes, *named):
            self._sizes[axis] = max(self._sizes.get(axis, 1), start.get(axis, 0) + lengths.get(axis, 1))
        y, x = start.get('y', 0), start.get('x', 0)
        span = self._span or [0, 0, 0, 0]
        self._span = [
            min(span[0], y),
            max(span[1], y + lengths['y']),
            min(span[2], x),
            max(span[3], x + lengths['x']),
        ]

    def _add_plane(
        self,
        pixels: np.ndarray,
        mask: np.ndarray | None,
        y: int,
        x: int,
        tail: Key,
        band: int | None,
        step: int,
    ) -> None:
        height, width = pixels.shape[:2]
        for row, rows, own_rows in pieces(y, height, self.side):
            for column, columns, own_columns in pieces(x, width, self.side):
                part = pixels[own_rows, own_columns]
                cut = None if mask is None else mask[own_rows, own_columns]
                if cut is not None and not cut.any():
                    continue
                self._place((row, column, *tail), part, cut, rows, columns, band, step)

    def _place(
        self,
        key: Key,
        part: np.ndarray,
        mask: np.ndarray | None,
        rows: slice,
        columns: slice,
        band: int | None,
        step: int,
    ) -> None:
        chunk = self._chunks.get(key)
        if chunk is None:
            with self._lock:
                chunk = self._chunks.setdefault(key, CanvasChunk(ChunkCoverage(self.side), step=step))
        with chunk.lock:
            whole = part.shape[:2] == (self.side, self.side) and mask is None and band is None
            if whole:
                chunk.step = len(self._forms) - 1
                part = self._formed(part, step, chunk.step)
                chunk.data = blank(part.shape, self._forms[chunk.step].dtype)
                chunk.data[...] = part
                chunk.covered.fill()
            else:
                data = self._open(key, chunk)[rows, columns]
                if band is None:
                    part = self._formed(part, step, chunk.step)
                else:
                    data = data[..., band : band + part.shape[-1]]
                if mask is None:
                    data[...] = part
                else:
                    # bands of another number are made from all of a pixel, which then counts as a whole
                    alike = mask.shape[-1] in {1, part.shape[-1]}
                    np.copyto(data, part, where=mask if alike else mask.any(axis=-1, keepdims=True))
                covered = None if mask is None else np.logical_or.reduce(mask, axis=-1)
                chunk.covered.add(rows, columns, covered)
            chunk.changed = True
            self._touched.add(key)
            self._note(key, chunk)

    def _formed(self, part: np.ndarray, since: int, until: int) -> np.ndarray:
        """Return pixels of a tile after the changes of form that came between its arrival and now."""
        for form in self._forms[since + 1 : until + 1]:
            part = form.of(part)
        return part

    def _open(self, key: Key, chunk: CanvasChunk) -> np.ndarray:
        """Return a chunk's pixels in the present type, with the present bands. The caller has its lock."""
        last = len(self._forms) - 1
        if chunk.data is None and chunk.slot is not None:
            chunk.data = chunk.load(self._spill)
            chunk.changed = False
        if chunk.data is None:
            self._uncover(key, chunk)
        if chunk.data is None:
            form = self._forms[last]
            chunk.data = blank((self.side, self.side, form.bands), form.dtype)
            chunk.data.fill(0)
            chunk.step = last
        while chunk.step < last:
            chunk.step += 1
            grown = self._forms[chunk.step].of(chunk.data)
            hole = chunk.covered.holes() if grown.shape != chunk.data.shape else None
            if hole is not None:
                grown[hole] = 0
            chunk.data, chunk.changed = grown, True
        return chunk.data

    def _uncover(self, key: Key, chunk: CanvasChunk) -> bool:
        """Read a chunk's pixels from the underlay; return whether it has any. The caller has the lock."""
        if self._underlay is None:
            return False
        place = place_of(key, self._axes, self.side)
        part = self._underlay.inside(*place)
        pixels = None if part is None else self._underlay.read(place[0], *part)
        if part is None or pixels is None:
            return False
        rows, columns = (
            slice(one.start - whole.start, one.stop - whole.start)
            for one, whole in zip(part, place[1:], strict=True)
        )
        chunk.data = np.zeros((self.side, self.side, pixels.shape[-1]), pixels.dtype)
        chunk.data[rows, columns] = pixels
        chunk.covered.add(rows, columns)
        chunk.step, chunk.changed = 0, False
        return True

    def _reach(self, key: Key) -> CanvasChunk | None:
        """Return a chunk that has pixels, in the canvas or in the underlay."""
        chunk = self._chunks.get(key)
        if chunk is not None or self._underlay is None:
            return chunk
        chunk = CanvasChunk(ChunkCoverage(self.side))
        with chunk.lock:
            if not self._uncover(key, chunk):
                return None
            with self._lock:
                return self._chunks.setdefault(key, chunk)

    def detach(self) -> None:
        """Read all that only the underlay has, which may go away afterwards.

        :raises UnreadableChunkError: a chunk of it cannot be decoded.
        """
        if self._underlay is None:
            return
        rows, columns = (
            range(-(-length // self.side)) for length in (self._underlay.height, self._underlay.width)
        )
        sizes = self._underlay.sizes
        for where in np.ndindex(*(sizes.get(axis, 1) for axis in self._axes)):
            for row, column in itertools.product(rows, columns):
                key = (row, column, *stripped(list(where)))
                chunk = self._reach(key)
                if chunk is not None:
                    with chunk.lock:
                        self._open(key, chunk)
                        chunk.changed = chunk.changed or chunk.slot is None
                        self._note(key, chunk)
                    self._evict()
        self._underlay = None

    def _note(self, key: Key, chunk: CanvasChunk) -> None:
        """Record that a chunk was used just now. The caller has its lock."""
        size = 0 if chunk.data is None else chunk.data.nbytes
        with self._lock:
            here, there = (self._written, self._read) if chunk.changed else (self._read, self._written)
            there.drop(key)
            here.note(key, size)

    def _evict(self) -> None:
        """Spill the least recently used chunks until the limit of memory is met."""
        for resident in (self._read, self._written):
            tries = len(resident)
            while resident.bytes > resident.limit and tries > 0:
                tries -= 1
                with self._lock:
                    key = resident.oldest()
                    chunk = None if key is None else self._chunks[key]
                if key is None or chunk is None:
                    break
                if chunk.lock.acquire(blocking=False):
                    try:
                        self._put_aside(key, chunk)
                    finally:
                        chunk.lock.release()

    def _put_aside(self, key: Key, chunk: CanvasChunk) -> None:
        """Move a chunk's pixels to its file, unless they are there already. The caller has its lock."""
        if chunk.data is None:
            return
        if chunk.changed:
            try:
                chunk.store(self._spill)
            except OSError as exc:
                raise EditError(f'Temporary data cannot be written to {self._scratch.path}: {exc}') from exc
        chunk.data = None
        with self._lock:
            self._written.drop(key)
            self._read.drop(key)

    def read(
        self, position: Mapping[str, int], top: int, left: int, height: int, width: int
    ) -> np.ndarray | None:
        """Return the pixels of a rectangle of the lattice.

        :param position: along the frame axes; zero where an axis is missing.
        :returns: a fresh array ``(height, width, bands)``, zero where nothing was added; None: nothing at
            all.
        """
        tail = stripped([position.get(axis, 0) for axis in self._axes])
        whole = height == width == self.side and top % self.side == left % self.side == 0
        while True:
            if whole:
                result, done = self._read_chunk((top // self.side, left // self.side, *tail)), True
            else:
                result, done = self._read_parts(tail, top, left, height, width)
            self._evict()
            if done:
                return result

    def _read_chunk(self, key: Key) -> np.ndarray | None:
        chunk = self._reach(key)
        if chunk is None:
            return None
        with chunk.lock:
            result = self._open(key, chunk).copy()
            self._note(key, chunk)
        return result

    def _read_parts(
        self, tail: Key, top: int, left: int, height: int, width: int
    ) -> tuple[np.ndarray | None, bool]:
        """Return a rectangle, and whether all of it has one type and one number of bands."""
        result = None
        for row, rows, own_rows in pieces(top, height, self.side):
            for column, columns, own_columns in pieces(left, width, self.side):
                key = (row, column, *tail)
                chunk = self._reach(key)
                if chunk is None:
                    continue
                with chunk.lock:
                    data = self._open(key, chunk)
                    self._note(key, chunk)
                    if result is None:
                        result = np.zeros((height, width, data.shape[-1]), data.dtype)
                    elif result.dtype != data.dtype or result.shape[-1] != data.shape[-1]:
                        # another thread has widened the type or added bands since the first chunk
                        return None, False
                    result[own_rows, own_columns] = data[rows, columns]
        return result, True

    def occupied(self, position: Mapping[str, int], top: int, left: int, height: int, width: int) -> bool:
        """Return whether there is a chunk that touches a rectangle: False is sure, True may be wrong."""
        area = slice(top, top + height), slice(left, left + width)
        if self._underlay is not None and self._underlay.inside(position, *area):
            return True
        return self._any(self._chunks, position, top, left, height, width)

    def touched(self, position: Mapping[str, int], top: int, left: int, height: int, width: int) -> bool:
        """Return whether anything was added to a chunk that touches a rectangle."""
        return self._any(self._touched, position, top, left, height, width)

    def _any(
        self, keys: Collection[Key], position: Mapping[str, int], top: int, left: int, height: int, width: int
    ) -> bool:
        """Return whether one of the chunks with these keys touches a rectangle."""
        tail = stripped([position.get(axis, 0) for axis in self._axes])
        first, last = top // self.side, (top + height - 1) // self.side
        start, end = left // self.side, (left + width - 1) // self.side
        if (last - first + 1) * (end - start + 1) <= len(keys):
            rows, columns = range(first, last + 1), range(start, end + 1)
            return any((row, column, *tail) in keys for row in rows for column in columns)
        known = list(keys)
        return any(first <= key[0] <= last and start <= key[1] <= end and key[2:] == tail for key in known)
