"""An array as the keys of zarr v2 or v3; its chunks are made of pixels when they are asked for."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from girder_zarr.errors import EditError, InvalidInputError
from girder_zarr.image.limits import DEFAULT
from girder_zarr.image.ngff.emit import array_documents_v2, array_documents_v3
from girder_zarr.image.store.entries import BytesEntry, Entry
from girder_zarr.image.write.encode import ChunkEncoder

from .made_entry import MadeEntry, cached

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from girder_zarr.image.series.series import LevelReader

    from .served_form import ServedForm

_PLACES = {2: re.compile(r'\d{1,12}(?:/\d{1,12})*'), 3: re.compile(r'c((?:/\d{1,12})*)')}


@runtime_checkable
class HasPictures(Protocol):
    """A level that may have chunks as JPEG files."""

    def picture(self, place: tuple[int, ...]) -> bytes | None:
        """Return a JPEG file that decodes to a whole chunk ``(y, x, bands)``, or None.

        :param place: the number of the chunk along each axis.
        """


class EncodedArray:
    """A level in a form.

    :param identity: a text that changes when pixels or metadata change.
    :param names: of the axes, in their order.
    :param fill: what an absent chunk stands for.
    :param attributes: of the array.
    :raises InvalidInputError: the codec cannot hold such pixels.
    """

    def __init__(
        self,
        level: LevelReader,
        form: ServedForm,
        identity: str,
        names: Sequence[Any],
        fill: float = 0,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self.level, self._form, self._identity = level, form, identity
        self.sides = _sides(level)
        self._encoder = encoder = ChunkEncoder(
            level.dtype, self.sides, self.sides, fill, form.settings(), form.zarr_format
        )
        _check(encoder)
        if form.zarr_format == 2:
            compressor = encoder.codec.v2(level.dtype)
            self.documents = array_documents_v2(
                level.shape, self.sides, level.dtype, compressor, fill, encoder.v2_order, attributes
            )
        else:
            self.documents = array_documents_v3(
                level.shape, self.sides, level.dtype, encoder.v3_codecs(), fill, names, attributes
            )

    def place(self, key: str) -> tuple[int, ...] | None:
        """Return the number of a chunk along each axis, or None where a key is that of no chunk."""
        match = _PLACES[self._form.zarr_format].fullmatch(key)
        if match is None:
            return None
        texts = (match[0] if self._form.zarr_format == 2 else match[1][1:]).split('/')
        place = tuple(int(text) for text in texts if text)
        if len(place) != len(self.level.shape) or any(
            str(int(text or '0')) != text for text in texts if text
        ):
            return None
        inside = zip(place, self.sides, self.level.shape, strict=True)
        return place if all(at * side < size for at, side, size in inside) else None

    def entry(self, key: str) -> Entry | None:
        """Return metadata or a chunk; see `image.serve.tree.Tree`. A chunk is made when it is read."""
        document = self.documents.get(key)
        if document is not None:
            return BytesEntry(document, f'{self._identity}:{key}')
        place = self.place(key)
        return None if place is None else self.chunk(place, f'{self._identity}:{key}')

    def chunk(self, place: tuple[int, ...], identity: str) -> MadeEntry:
        """Return a chunk that is inside the array.

        :param identity: of the chunk.
        """
        nbytes = math.prod(self.sides) * self.level.dtype.itemsize
        return MadeEntry(identity, nbytes, lambda: self._encode(place))

    def cached_entry(self, key: str) -> Entry | None:
        """Return metadata, or a chunk that was made lately; see `image.serve.tree.Tree`."""
        name = f'{self._identity}:{key}'
        found = self.documents.get(key) or cached(name)
        return None if found is None else BytesEntry(found, name)

    def _encode(self, place: tuple[int, ...]) -> bytes:
        if self._form.codec == 'jpeg' and self._form.zarr_format == 3 and isinstance(self.level, HasPictures):
            picture = self.level.picture(place)
            if picture is not None:
                return picture
        region = tuple(
            slice(at * side, min((at + 1) * side, size))
            for at, side, size in zip(place, self.sides, self.level.shape, strict=True)
        )
        return self._encoder.encode_whole(self.level.read(region))


def _check(encoder: ChunkEncoder) -> None:
    """Refuse a codec of pictures for what is none.

    :raises InvalidInputError: it cannot hold the chunks.
    """
    if not encoder.codec.lossy:
        return
    outer = [side for side in encoder.chunk[:-2] if side > 1]
    bands = math.prod(outer)
    try:
        encoder.codec.check(encoder.dtype, encoder.zarr_format, bands=bands)
    except EditError as error:
        raise InvalidInputError(str(error)) from error
    if bands not in (1, 3) or len(outer) > 1:
        msg = f'{encoder.codec.name} holds one or three bands, not chunks of {encoder.chunk}.'
        raise InvalidInputError(msg)


def _sides(level: LevelReader) -> tuple[int, ...]:
    """Return what a level is divided into: its own chunks, unless one would be too large to make at once.

    Tiles keep their size at the edge of an image that is smaller, as they are stored.
    """
    sides = list(level.chunks)
    while math.prod(sides) * level.dtype.itemsize > DEFAULT.image_chunk_bytes:
        largest = sides.index(max(sides))
        sides[largest] = -(-sides[largest] // 2)
    return tuple(sides)
