"""A stored JPEG chunk that is exactly the tile asked for, as it is."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from girder_zarr.image.chunk.chunks import StoredLevel

if TYPE_CHECKING:
    from girder_zarr.image.series.frames import FrameLayout
    from girder_zarr.image.series.series import LevelReader

#: Markers of a frame (ISO/IEC 10918-1, B.2.2) that browsers show: baseline, extended, progressive.
FRAMES = frozenset({0xC0, 0xC1, 0xC2})
FRAME = struct.Struct('>BHHB')
#: Markers without a length.
BARE = frozenset({0x01, *range(0xD0, 0xD8)})
#: Settings of the codec with which the bytes alone are not the picture.
NEEDED = ('tables', 'header', 'colorspace_data', 'colorspace_jpeg', 'bitspersample')


def stored_jpeg(
    level: LevelReader, layout: FrameLayout, region: tuple[slice, ...], corners: tuple[int, int, int, int]
) -> bytes | None:
    """Return a JPEG file that shows a part of a frame, or None where it has to be made.

    :param region: of the frame; see :meth:`.frames.FrameLayout.fixed`.
    :param corners: left, top, right, bottom in pixels of the level.
    :raises UnreadableChunkError: the chunk exists and cannot be read.
    """
    if not isinstance(level, StoredLevel) or not level.info.decoder.is_plain_jpeg(NEEDED):
        return None
    order = [layout.y, layout.x] + ([] if layout.band_axis is None else [layout.band_axis])
    lengths = [level.chunks[axis] for axis in order]
    others = [side for axis, side in enumerate(level.chunks) if axis not in order]
    if sorted(order) != order or any(side != 1 for side in others):
        return None
    parts = list(region)
    parts[layout.x], parts[layout.y] = slice(corners[0], corners[2]), slice(corners[1], corners[3])
    whole = zip(parts, level.chunks, level.shape, strict=True)
    if not all(p.start % side == 0 and p.start + side == p.stop <= end for p, side, end in whole):
        return None
    data = level.stored(tuple(part.start // side for part, side in zip(parts, level.chunks, strict=True)))[1]
    if data is None or jpeg_shape(bytes(data[:65536])) != (lengths[0], lengths[1], layout.bands):
        return None
    return bytes(data) if bytes(data[-2:]) == b'\xff\xd9' else None


def jpeg_shape(data: bytes) -> tuple[int, int, int] | None:
    """Return height, width and components of a JPEG of 8 bits, or None where its frame is not found."""
    place = 2
    if data[:2] != b'\xff\xd8':
        return None
    while place + 10 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker in FRAMES:
            precision, height, width, components = FRAME.unpack_from(data, place + 4)
            return (height, width, components) if precision == 8 else None
        if marker == 0xDA:
            return None
        place += 2 if marker in BARE else 2 + int.from_bytes(data[place + 2 : place + 4])
    return None
