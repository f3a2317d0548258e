"""How an edited image was stored: chunks, shards and codec, which are kept when it is written again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import EditError
from girder_zarr.image.series.folding import UnfoldedLevel
from girder_zarr.image.write.encode import Codec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.image.chunk.arrays import ArrayInfo
    from girder_zarr.image.ngff.metadata import Multiscale
    from girder_zarr.image.series.series import LevelReader

#: Bytes; a larger chunk or shard is not made again, since memory holds several while an image is written.
_MAX_BYTES = 2**26


def stored_form(level: LevelReader, multiscale: Multiscale) -> dict[str, Any]:
    """Return the parameters of ``write`` that store an image as this array is stored.

    Chunks count along y and x; a side that is as long as the image, odd or very long is not taken over.
    Codecs that lose detail are not kept, since each edit would lose some, and others only where we write
    them.

    :param level: the full resolution.
    """
    info: ArrayInfo | None = getattr(level.level if isinstance(level, UnfoldedLevel) else level, 'info', None)
    if info is None:
        return {}
    # Unfolding only ever adds axes before these.
    added = len(multiscale.axes) - len(info.shape)
    plane = [(multiscale.axis_index(name) or 0) - added for name in 'yx']
    found: dict[str, Any] = {}
    sides = [info.chunks[axis] for axis in plane]
    said = [side for side, axis in zip(sides, plane, strict=True) if side < info.shape[axis]]
    bands = math.prod(info.shape[axis] for axis in range(len(info.shape)) if axis not in plane)
    pixel = info.dtype.itemsize * min(bands, 4)
    if said and not any(side % 2 for side in said) and math.prod(sides) * pixel <= _MAX_BYTES:
        pair = said * 2 if len(said) == 1 else said
        found['chunk'] = pair[0] if pair[0] == pair[1] else (pair[0], pair[1])
        if info.sharding is not None:
            found |= _shard([info.sharding.grid[axis] * info.chunks[axis] for axis in plane], pair, pixel)
    codec = _codec(info)
    return found if codec is None else found | {'codec': codec}


def _shard(sides: Sequence[int], chunk: Sequence[int], pixel: int) -> dict[str, int]:
    side = max(sides)
    return {} if any(side % one for one in chunk) or side * side * pixel > _MAX_BYTES else {'shard': side}


def _codec(info: ArrayInfo) -> Codec | None:
    """Return the codec of an array where it is one that we write."""
    if info.zarr_format == 2:
        compressor = info.codecs['compressor'] or {'id': 'none'}
        name, settings = compressor['id'], compressor
        if info.codecs['filters']:
            return None
    else:
        chain = info.codecs
        if info.sharding is not None:
            chain = next(one for one in chain if one['name'] == 'sharding_indexed')['configuration']['codecs']
        rest = [one if isinstance(one, dict) else {'name': one} for one in chain]
        rest = [one for one in rest if one['name'] not in {'bytes', 'crc32c'}] or [{'name': 'none'}]
        if len(rest) > 1:
            return None
        name, settings = rest[0]['name'], rest[0].get('configuration') or {}
    try:
        return _named(name, settings)
    except (EditError, TypeError, ValueError):
        return None


def _named(name: str, settings: dict[str, Any]) -> Codec | None:
    if name == 'none':
        return Codec('none')
    if name == 'zstd':
        return Codec('zstd', int(settings.get('level', 1)))
    if name != 'blosc' or settings.get('cname') != 'zstd':
        return None
    shuffle = settings.get('shuffle', 'noshuffle')
    shuffles: list[Any] = ['noshuffle', 'shuffle', 'bitshuffle']
    return Codec(
        'blosc', int(settings.get('clevel', 1)), shuffles[shuffle] if isinstance(shuffle, int) else shuffle
    )
