"""What is said, and shown, where the arrays or the chunks that the metadata promises do not exist."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.chunk.arrays import ArrayInfo, read_array
from girder_zarr.image.chunk.chunks import StoredLevel
from girder_zarr.image.ngff.metadata import Level
from girder_zarr.image.series.series import Series

from .guess import guess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.image.ngff.metadata import Multiscale
    from girder_zarr.image.store.keystore import KeyStore

#: How many names in a group are looked at, each of which may be a request: more than any pyramid has.
MAX_NAMES = 100
#: How many keys of an array are looked at for a chunk; hierarchies begin with theirs.
MAX_KEYS = 1000


def arrays_instead(store: KeyStore, multiscale: Multiscale, path: str) -> tuple[Series, str] | None:
    """Return an image of the arrays that a group has, where it has none of the declared ones.

    :param path: of the group.
    :returns: the image and a sentence on what is shown, or None where there is no array either. The size of
        its pixels is not known, since the one in the metadata belongs to another array.
    """
    infos = _arrays(store, path)
    count = len(multiscale.axes)
    alike = [info for info in infos if len(info.shape) == count and 0 not in info.shape]
    declared = ', '.join(repr(level.path) for level in multiscale.levels)
    if alike:
        alike.sort(key=lambda info: math.prod(info.shape), reverse=True)
        kept = [info for info in alike if info.dtype == alike[0].dtype]
        levels = tuple(_level(info, alike[0], path) for info in kept)
        readers = tuple(StoredLevel(store, info) for info in kept)
        series = Series(replace(multiscale, levels=levels), readers)
    else:
        guessed = guess(store, infos)
        if guessed is None:
            return None
        series, kept = guessed.series[0], [infos[0]]
        axes = ', '.join(axis.name for axis in series.multiscale.axes)
        declared += f' with the axes {", ".join(axis.name for axis in multiscale.axes)} (read as {axes})'
    names = ', '.join(repr(level.path) for level in series.multiscale.levels)
    if not multiscale.levels:
        return series, f'The metadata names no levels; shown is {names}.'
    return series, f'None of the levels that the metadata names ({declared}) exists; shown is {names}.'


def _arrays(store: KeyStore, path: str) -> list[ArrayInfo]:
    found = []
    for name in itertools.islice(store.names(path), MAX_NAMES):
        if not name.endswith('/') or name.startswith('.'):
            continue
        try:
            info = read_array(store, (f'{path}/' if path else '') + name.rstrip('/'))
        except UnreadableImageError:
            continue
        if info is not None and info.shape:
            found.append(info)
    return found


def _level(info: ArrayInfo, base: ArrayInfo, path: str) -> Level:
    own = info.path[len(path) + 1 :] if path else info.path
    scale = tuple(whole / side for whole, side in zip(base.shape, info.shape, strict=True))
    return Level(own, scale, (0.0,) * len(scale), (False,) * len(scale))


def missing_chunks(store: KeyStore | None, levels: Sequence[object]) -> str | None:
    """Return a sentence where none of the levels has any chunk, or None where one has or that is not known.

    Stores that cannot be listed are not asked.
    """
    infos = [level.info for level in levels if isinstance(level, StoredLevel)]
    if store is None or store.is_remote or not infos or len(infos) != len(levels):
        return None
    if any(_has_chunk(store, info) is not False for info in infos):
        return None
    example = infos[0].key_prefix + infos[0].separator.join('0' * max(1, len(infos[0].shape)))
    return (
        f'No chunk was found, so that all pixels have the fill value {infos[0].fill}; '
        f'chunks were expected under names such as {example!r}.'
    )


def _has_chunk(store: KeyStore, info: ArrayInfo) -> bool | None:
    """Return whether an array has a chunk, or None where too many keys would have to be looked at."""
    numbers = re.escape(info.separator).join([r'\d+'] * max(1, len(info.shape)))
    pattern = re.compile(re.escape(info.key_prefix) + numbers)
    prefix = f'{info.path}/' if info.path else ''
    keys = list(itertools.islice(store.keys(prefix), MAX_KEYS))
    if any(pattern.fullmatch(key) for key in keys):
        return True
    return None if len(keys) == MAX_KEYS else False
