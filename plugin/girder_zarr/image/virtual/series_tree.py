"""An image of any kind as the keys of an OME-Zarr 0.5 hierarchy (https://ngff.openmicroscopy.org/0.5/).

Chunks are encoded as zarr's `bytes` codec and zstd, which every reader of zarr v3 has.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np

from girder_zarr.image.limits import DEFAULT
from girder_zarr.image.ngff.emit import array_documents_v3, group_documents, image_attributes
from girder_zarr.image.store.entries import BLOCK_BYTES, Block, BytesEntry, Entry, Listed
from girder_zarr.image.write.encode import Codec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from girder_zarr.image.series.series import LevelReader, Series

_ROOT = 'zarr.json'
_CHUNK = re.compile(r'(\d{1,3})/c((?:/\d{1,12})+)')
_CODEC = Codec('zstd', 1)


class SeriesTree:
    """A series as keys: ``zarr.json``, ``<level>/zarr.json`` and ``<level>/c/...``.

    :param series: its levels are called 0, 1, ... here, whatever they are called there.
    :param identity: a text that changes when pixels or metadata change.
    :param grows: whether a larger image comes after this one. Its chunks then keep their shape, though the
        image be smaller, so that a client with the metadata of before can decode a chunk of now.
    """

    def __init__(self, series: Series, identity: str, *, grows: bool = False) -> None:
        self._levels = series.levels
        self._grows = grows
        self._identity = identity
        names = [axis.name for axis in series.multiscale.axes]
        self._documents = group_documents(image_attributes(series.multiscale, '0.5'), 3)
        for number, level in enumerate(series.levels):
            found = array_documents_v3(
                level.shape, _chunks(level, grows), level.dtype, _CODEC.v3(level.dtype), 0, names
            )
            self._documents[f'{number}/{_ROOT}'] = found[_ROOT]

    def entry(self, key: str) -> Entry | None:
        """Return a value; see `image.serve.tree.Tree`. A chunk is made when its bytes are asked for."""
        document = self._documents.get(key)
        if document is not None:
            return BytesEntry(document, f'{self._identity}:{key}')
        match = _CHUNK.fullmatch(key)
        if match is None or int(match[1]) >= len(self._levels):
            return None
        level = self._levels[int(match[1])]
        texts = match[2][1:].split('/')
        place = tuple(map(int, texts))
        if len(place) != len(level.shape) or [str(number) for number in place] != texts:
            return None
        sides = _chunks(level, self._grows)
        if any(at * side >= size for at, side, size in zip(place, sides, level.shape, strict=True)):
            return None
        return ChunkEntry(level, sides, place, f'{self._identity}:{key}')

    def listed(self, folder: str) -> list[Listed]:
        """Return the metadata in a folder; chunks are found by their numbers alone."""
        above = folder + '/' if folder else ''
        names = {key[len(above) :] for key in self._documents if key.startswith(above)}
        return [Listed(name) for name in {re.sub('/.*', '/', name) for name in names}]


class ChunkEntry(Entry):
    """A chunk that is made once its size or its bytes are asked for, and not where a client has it."""

    def __init__(
        self, level: LevelReader, sides: tuple[int, ...], place: tuple[int, ...], identity: str
    ) -> None:
        self.identity = identity
        self.modified = None
        self._level, self._sides, self._place = level, sides, place
        self._data: bytes | None = None

    @property
    def size(self) -> int:  # type: ignore[override]
        """Bytes of the encoded chunk."""
        return len(self._encoded())

    def blocks(self, start: int, stop: int) -> Iterator[Block]:
        """Iterate over bytes; see the base class."""
        data = memoryview(self._encoded())
        for at in range(start, stop, BLOCK_BYTES):
            yield data[at : min(at + BLOCK_BYTES, stop)]

    def _encoded(self) -> bytes:
        if self._data is None:
            region = tuple(
                slice(at * side, min((at + 1) * side, size))
                for at, side, size in zip(self._place, self._sides, self._level.shape, strict=True)
            )
            pixels = self._level.read(region)
            if pixels.shape != self._sides:  # at the edge, a chunk is stored whole all the same
                whole = np.zeros(self._sides, pixels.dtype)
                whole[tuple(map(slice, pixels.shape))] = pixels
                pixels = whole
            self._data = _CODEC.encode(pixels)
        return self._data


def _chunks(level: LevelReader, grows: bool) -> tuple[int, ...]:
    """Return what a level is divided into: its own chunks, unless one would be too large to make at once."""
    sides = list(level.chunks)
    if not grows:
        sides = [min(side, size) for side, size in zip(sides, level.shape, strict=True)]
    while math.prod(sides) * level.dtype.itemsize > DEFAULT.image_chunk_bytes:
        largest = sides.index(max(sides))
        sides[largest] = -(-sides[largest] // 2)
    return tuple(sides)
