"""The arrays of a multiscale against its metadata, and their keys against their shapes.

Source: https://ngff.openmicroscopy.org, "multiscales" metadata of 0.4 and 0.5; zarr v2 and v3 core, keys of
chunks.
"""

from __future__ import annotations

import itertools
import math
import re
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.chunk.arrays import ArrayInfo, read_array
from girder_zarr.image.hierarchy.absent import far_chunks_missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from girder_zarr.image.ngff.metadata import Multiscale
    from girder_zarr.image.store.keystore import KeyStore

    from .findings import Findings

#: From this version on images are zarr v3, and arrays have names of their dimensions.
_V3 = (0, 5)
#: How far the ratio of two scales may be from that of the lengths: lengths are rounded to whole pixels.
_ROUNDED = 1.0
#: Arrays of a store without listings that are asked for chunks, by three requests each at most.
MAX_ASKED_ARRAYS = 2
_METADATA = {'zarr.json', '.zarray', '.zattrs', '.zgroup'}


def number_of(version: str | None) -> tuple[int, int] | None:
    """Return a version of OME-NGFF as two numbers, without what stands behind them."""
    found = re.match(r'(\d+)\.(\d+)', version or '')
    return None if found is None else (int(found[1]), int(found[2]))


def check_levels(store: KeyStore, path: str, multiscale: Multiscale, report: Findings) -> list[ArrayInfo]:
    """Check the levels of a multiscale; return those that can be read.

    :param path: of the group.
    """
    infos = []
    for level in multiscale.levels:
        where = f'{path}/{level.path}'.strip('/')
        try:
            info = read_array(store, where)
        except UnreadableImageError as error:
            report.error(where, f'cannot be read: {error}')
            continue
        if info is None:
            report.error(where, 'there is no array, though the metadata names it as a level.')
            continue
        report.arrays += 1
        infos.append(info)
        _check_array(where, info, multiscale, report)
        check_keys(store, info, report)
    _check_order(path, infos, report)
    return infos


def _check_array(where: str, info: ArrayInfo, multiscale: Multiscale, report: Findings) -> None:
    names = tuple(axis.name for axis in multiscale.axes)
    if len(info.shape) != len(names):
        report.error(where, f'has {len(info.shape)} dimensions; the axes are {", ".join(names)}.')
    if 0 in info.shape:
        report.error(where, f'its shape {info.shape} holds nothing.')
    version = number_of(multiscale.version)
    if version is None:
        return
    expected = 3 if version >= _V3 else 2
    if info.zarr_format != expected:
        report.error(
            where, f'is zarr v{info.zarr_format}; OME-NGFF {multiscale.version} is stored as v{expected}.'
        )
    if version >= _V3 and info.zarr_format == 3:
        stored = info.dimension_names
        if stored is None:
            report.error(where, f'has no dimension_names; they have to be {", ".join(names)}.')
        elif tuple(str(name).lower() for name in stored) != tuple(name.lower() for name in names):
            shown = ', '.join(map(str, stored))
            report.error(where, f'its dimension_names are {shown}; the axes are {", ".join(names)}.')
    if (0, 2) <= version < _V3 and info.separator == '.' and len(info.shape) > 1:
        report.hint(where, 'its chunks lie in one folder; since 0.2 keys have slashes.')


def _check_order(path: str, infos: Sequence[ArrayInfo], report: Findings) -> None:
    for finer, coarser in itertools.pairwise(infos):
        if len(finer.shape) != len(coarser.shape):
            report.error(coarser.path, f'has not as many dimensions as {finer.path}.')
        elif math.prod(coarser.shape) > math.prod(finer.shape):
            report.error(path, f'{coarser.path} is larger than {finer.path}; levels begin with the largest.')
        elif any(a > b for a, b in zip(coarser.shape, finer.shape, strict=True)):
            report.hint(path, f'{coarser.path} is longer than {finer.path} along one axis.')
        if finer.dtype != coarser.dtype:
            report.hint(coarser.path, f'is {coarser.dtype}; {finer.path} is {finer.dtype}.')


def check_scales(path: str, multiscale: Multiscale, infos: Sequence[ArrayInfo], report: Findings) -> None:
    """Check whether the scales of the levels fit their lengths."""
    by_path = {info.path: info for info in infos}
    levels = [(level, by_path.get(f'{path}/{level.path}'.strip('/'))) for level in multiscale.levels]
    known = [(level, info) for level, info in levels if info is not None]
    if not known or any(len(info.shape) != len(level.scale) for level, info in known):
        return
    first, base = known[0]
    for level, info in known[1:]:
        for axis, at in ((axis.name, at) for at, axis in enumerate(multiscale.axes) if axis.type == 'space'):
            factor = level.scale[at] / first.scale[at]
            length = base.shape[at] / factor if factor else math.inf
            if abs(length - info.shape[at]) > _ROUNDED + 0.01 * info.shape[at]:
                report.hint(
                    info.path,
                    f'{info.shape[at]} pixels along {axis} do not fit its scale; {length:.1f} would.',
                )


def check_keys(store: KeyStore, info: ArrayInfo, report: Findings) -> None:
    """Check that what lies below an array are its metadata and keys of its chunks."""
    grid = _grid(info)
    if not grid:
        return
    prefix = f'{info.path}/' if info.path else ''
    seen = fits = 0
    is_listed = False
    strange: list[str] = []
    for key in _keys_below(store, info.path):
        if seen >= report.bounds.keys or report.keys >= report.bounds.all_keys:
            report.hint(info.path, f'only {seen} of its keys were looked at.')
            break
        name = key.removeprefix(prefix)
        if name in _METADATA:
            is_listed = True  # what cannot be listed, as most servers of addresses, shows not even this
            continue
        seen += 1
        report.keys += 1
        if _is_chunk(key, info, grid):
            fits += 1
        elif len(strange) < 3:
            strange.append(name)
    if strange and not fits:
        report.error(info.path, f'no key is one of its chunks; found {", ".join(strange)}.')
    elif strange:
        report.hint(info.path, f'not all keys are chunks of its {_shown(grid)}: {", ".join(strange)}.')
    elif seen == 0:
        _note_missing(store, info, report, is_listed=is_listed)


def _note_missing(store: KeyStore, info: ArrayInfo, report: Findings, *, is_listed: bool) -> None:
    """Note that an array has no chunks; where keys cannot be listed some are asked for."""
    if is_listed:
        report.hint(info.path, 'no chunk is stored, so that all its values are the fill value.')
    elif report.arrays <= MAX_ASKED_ARRAYS:
        missing = far_chunks_missing(store, [info])
        if missing is not None:
            report.hint(info.path, missing)


def _grid(info: ArrayInfo) -> tuple[int, ...]:
    """Return how many stored chunks (shards, where there are some) there are along each axis."""
    shards = info.sharding.grid if info.sharding is not None else (1,) * len(info.chunks)
    sides = [chunk * count for chunk, count in zip(info.chunks, shards, strict=True)]
    return tuple(-(-length // side) for length, side in zip(info.shape, sides, strict=True))


def _shown(grid: Sequence[int]) -> str:
    return ' x '.join(map(str, grid))


def _is_chunk(key: str, info: ArrayInfo, grid: Sequence[int]) -> bool:
    if not key.startswith(info.key_prefix):
        return False
    parts = key[len(info.key_prefix) :].split(info.separator)
    numbers = [int(part) for part in parts if re.fullmatch(r'0|[1-9][0-9]{0,17}', part)]
    return len(numbers) == len(parts) == len(grid) and all(a < b for a, b in zip(numbers, grid, strict=True))


def _keys_below(store: KeyStore, path: str) -> Iterator[str]:
    pending = [path]
    while pending:
        folder = pending.pop()
        for name in store.names(folder):
            key = f'{folder}/{name}' if folder else name
            if name.endswith('/'):
                pending.append(key.rstrip('/'))
            else:
                yield key


def check_transforms(where: str, raw: dict[str, Any], count: int, report: Findings) -> None:
    """Check the lengths of scales and translations of a multiscale as it is stored (0.4 and 0.5).

    :param count: of axes.
    """
    datasets = raw.get('datasets')
    lists = [raw.get('coordinateTransformations')]
    lists += [one.get('coordinateTransformations') for one in datasets or () if isinstance(one, dict)]
    for transforms in lists:
        for step in transforms if isinstance(transforms, list) else ():
            for kind in ('scale', 'translation'):
                values = step.get(kind) if isinstance(step, dict) else None
                if isinstance(values, list) and len(values) != count:
                    report.error(where, f'a {kind} has {len(values)} numbers; there are {count} axes.')
