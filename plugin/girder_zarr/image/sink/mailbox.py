"""Tiles that other processes leave for the one that holds a new image: one file a tile, in a folder.

A file begins with a line of JSON; the samples of its arrays follow, compressed. Its name begins with the time
at which it was made, on the clock that all processes of a machine share, so that what one process (or one
after the other) adds is taken in that order.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import time
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np

from girder_zarr.errors import EditError
from girder_zarr.image.canvas.canvas_chunk import packed
from girder_zarr.image.canvas.scratch import is_owned

from .frame_values import native
from .tiles import NewTile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_SUFFIX = '.tile'
_FOLDER = 'mailbox'
_AXES = 'axes.json'
#: Blosc takes no more than this at once; larger arrays are stored as they are.
_MAX_BLOSC_BYTES = 2**31 - 2**10
_numbers = itertools.count()


class Mailbox:
    """The folder for tiles of other processes. Any number of threads and processes may post.

    :param scratch: the folder for temporary data of the image, which its owner holds the lock of.
    """

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self._folder = scratch / _FOLDER

    def open(self) -> None:
        """Make the folder; the owner does."""
        self._folder.mkdir(exist_ok=True)

    def note_axes(self, axes: Sequence[str]) -> None:
        """Tell other processes which frame axes the image has."""
        temporary = self._folder / f'.{_AXES}'
        temporary.write_text(json.dumps(list(axes)))
        temporary.rename(self._folder / _AXES)

    def axes(self) -> tuple[str, ...]:
        """Return the frame axes of the image as they were last told."""
        try:
            return tuple(json.loads((self._folder / _AXES).read_bytes()))
        except FileNotFoundError:
            return ()

    def post_tile(self, tile: NewTile) -> None:
        """Leave a tile for the owner. It is there, whole, when this returns.

        :raises EditError: the image is closed, its process has ended, or the disk is full.
        """
        arrays = [tile.pixels] if tile.mask is None else [tile.pixels, tile.mask]
        header = {
            'axes': tile.axes,
            'start': tile.start,
            'band': tile.band,
            'values': {axis: native(value) for axis, value in tile.values.items()},
            'level': tile.level,
        }
        self._post('tile', header, arrays)

    def post_associated(self, key: str | None, pixels: np.ndarray) -> None:
        """Leave an associated image for the owner, ``(y, x, band)``; see :meth:`post_tile`."""
        self._post('associated', {'key': key}, [pixels])

    def _post(self, kind: str, content: Mapping[str, Any], arrays: Sequence[np.ndarray]) -> None:
        bodies = [_body(array) for array in arrays]
        entries = [
            {'shape': array.shape, 'dtype': array.dtype.str, 'bytes': len(body)}
            for array, body in zip(arrays, bodies, strict=True)
        ]
        try:
            header = json.dumps({'kind': kind, **content, 'arrays': entries}).encode()
        except (TypeError, ValueError) as exc:
            raise EditError(f'Values that another process adds must be JSON: {exc}') from exc
        name = f'{time.monotonic_ns():020d}-{os.getpid()}-{next(_numbers)}{_SUFFIX}'
        temporary = self._folder / f'.{name}'
        if not is_owned(self.scratch):
            raise self._gone()
        try:
            with temporary.open('xb') as file:
                file.writelines([header, b'\n', *bodies])
            # no fsync: what a crash of the machine leaves here belongs to no image any more
            temporary.rename(self._folder / name)
        except OSError as exc:
            with contextlib.suppress(OSError):
                temporary.unlink()
            if exc.errno == errno.ENOENT:
                raise self._gone() from exc
            raise EditError(f'Temporary data cannot be written to {self._folder}: {exc}') from exc

    def _gone(self) -> EditError:
        return EditError(
            'The image that this tile is for was closed, or the process that made it has ended: '
            f'there is no {self.scratch} in use'
        )

    def waiting(self) -> list[Path]:
        """Return what has come, in the order in which it is to be taken."""
        with os.scandir(self._folder) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(_SUFFIX)]
        return [self._folder / name for name in sorted(names) if not name.startswith('.')]


def take(path: Path) -> tuple[str | None, np.ndarray] | NewTile:
    """Return what was posted and remove it: a tile, or the name and the pixels of an associated image."""
    with path.open('rb') as file:
        header = json.loads(file.readline())
        arrays = [_unpacked(file.read(entry['bytes']), entry) for entry in header['arrays']]
    path.unlink()
    if header['kind'] == 'associated':
        return header['key'], arrays[0]
    mask = arrays[1] if len(arrays) > 1 else None
    return NewTile(
        arrays[0],
        tuple(header['axes']),
        header['start'],
        mask,
        header['band'],
        header['values'],
        header['level'],
    )


def _body(array: np.ndarray) -> bytes | memoryview:
    plain = np.ascontiguousarray(array)
    if plain.nbytes > _MAX_BLOSC_BYTES:
        return plain.reshape(-1).view(np.uint8).data
    return packed(plain)


def _unpacked(body: bytes, entry: Mapping[str, Any]) -> np.ndarray:
    result = np.empty(tuple(entry['shape']), np.dtype(entry['dtype']))
    target: Any = result.reshape(-1).view(np.uint8)
    if result.nbytes > _MAX_BLOSC_BYTES:
        target[:] = np.frombuffer(body, np.uint8)
    else:
        imagecodecs.blosc_decode(body, numthreads=1, out=target)
    return result
