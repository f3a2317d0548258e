"""The small picture of one image of several, in the file's colours; also of each field of a plate."""

from __future__ import annotations

from typing import Any

from girder_zarr.errors import MissingImageError
from girder_zarr.image.chunk.chunks import StoredLevel
from girder_zarr.image.hierarchy.absent import far_chunks_missing, missing_chunks
from girder_zarr.image.hierarchy.plate_fields import LaterField


def field_picture(source: Any, number: int, side: int) -> tuple[bytes, str] | None:
    """Return the thumbnail of a field of a plate as JPEG, as that of the item is shown.

    :param source: the plate, without the option ``series``.
    :param number: of the field, which is one of `contents`.
    :param side: its longest side in pixels.
    :returns: the bytes and their MIME type; None where the field is there and none of its pixels is stored.
    :raises MissingImageError: there is no such field, or nothing where the plate says that it is.
    :raises UnreadableImageError: it cannot be read.
    """
    fields = source._opened.every
    if not 0 <= number < len(fields):
        msg = f'There is no image {number}; there are {len(fields)}, counted from 0.'
        raise MissingImageError(msg)
    levels = fields[number].levels
    if isinstance(levels, LaterField):
        own = levels.series()
        if own is None:
            msg = f'There is no image at {fields[number].path!r}.'
            raise MissingImageError(msg)
        levels = own.levels
    infos = [level.info for level in levels if isinstance(level, StoredLevel)]
    store = source._store
    is_empty = bool(infos) and far_chunks_missing(store, (infos[-1], infos[0])) is not None
    if is_empty and not (store.is_remote and not store.has_fast_lookup):
        # Only a few were looked for; where more costs little, they are not taken for all.
        is_empty = missing_chunks(store, levels) is not None
    if is_empty:
        return None
    view = source._composedView() or source
    data, mime = view.getThumbnail(side, side, frame=number * source._framesPerSeries)
    return bytes(data), str(mime)
