"""Axes of arrays that have no OME metadata, guessed as large-image-source-zarr 1.35.6 guesses them."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from girder_zarr.image.chunk.chunks import StoredLevel
from girder_zarr.image.ngff.metadata import DEFAULT_AXIS_TYPES, Axis, Level, Multiscale
from girder_zarr.image.series.frames import HIDDEN
from girder_zarr.image.series.series import Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from girder_zarr.image.chunk.arrays import ArrayInfo
    from girder_zarr.image.store.keystore import KeyStore

#: Names for further axes that are longer than 1.
OTHER_NAMES = 'fghijklmnopqruvw'
#: How far (as a part) the sides of a lower level may be from a power of two of the full resolution: a pixel
#: of 50, since writers round up or down.
LEVEL_TOLERANCE = 0.02


@dataclass(frozen=True)
class Guessed:
    """What a hierarchy without OME metadata holds.

    :param series: images of one shape; the largest there are.
    :param others: all other arrays that could be images.
    """

    series: tuple[Series, ...]
    others: tuple[Series, ...]


def guess_axes(info: ArrayInfo) -> tuple[str, ...] | None:
    """Return a name for each axis, or None where the array is no image.

    The names that zarr v3 stores count if x and y are among them. Otherwise the two longest axes are y and x;
    one of length 4 or 3 is c; others that are longer than 1 are f, g, and so on.
    """
    names = info.dimension_names
    if names and all(names) and len({str(name).lower() for name in names}) == len(names):
        lower = tuple(str(name).lower() for name in names)
        if {'x', 'y'} <= set(lower):
            return lower
    shape = info.shape
    if len(shape) < 2 or 0 in shape:
        return None
    first = shape.index(max(shape))
    second = shape.index(max(side for index, side in enumerate(shape) if index != first),
                         first + 1 if shape.count(shape[first]) > 1 else 0)  # fmt: skip
    found = {min(first, second): 'y', max(first, second): 'x'}
    rest = [index for index in range(len(shape)) if index not in found]
    channel = [index for index in rest if shape[index] == 3][-1:] or [i for i in rest if shape[i] == 4][:1]
    found.update(dict.fromkeys(channel, 'c'))
    others = iter(OTHER_NAMES)
    for index in rest:
        if index not in found:
            found[index] = next(others) if shape[index] > 1 else f'{HIDDEN}{index}'
    return tuple(found[index] for index in range(len(shape)))


def _series(store: KeyStore, infos: Sequence[ArrayInfo], names: Sequence[str]) -> Series:
    axes = tuple(Axis(name, DEFAULT_AXIS_TYPES.get(name, 'custom')) for name in names)
    base = infos[0].shape
    levels = tuple(
        Level(
            info.path,
            tuple(whole / side for whole, side in zip(base, info.shape, strict=True)),
            (0.0,) * len(axes),
        )
        for info in infos
    )
    name = infos[0].path.rpartition('/')[2] or None
    return Series(
        Multiscale(axes, levels, name=name),
        tuple(StoredLevel(store, info) for info in infos),
        name=name,
        attributes=infos[0].attributes,
    )


def _is_lower(base: ArrayInfo, other: ArrayInfo, names: Sequence[str]) -> bool:
    """Return whether ``other`` looks like ``base`` with x and y divided by the same power of two."""
    if len(other.shape) != len(base.shape) or other.dtype != base.dtype:
        return False
    steps = []
    for name, whole, side in zip(names, base.shape, other.shape, strict=True):
        if name in 'xy' and side:
            step = math.log2(whole / side)
            if abs(step - round(step)) > LEVEL_TOLERANCE and abs(whole / 2 ** round(step) - side) > 1:
                return False
            steps.append(round(step))
        elif whole != side:
            return False
    return len(set(steps)) == 1 and steps[0] > 0


def guess(store: KeyStore, infos: Iterable[ArrayInfo]) -> Guessed | None:
    """Return the images among arrays, or None where there are none.

    The largest arrays, all of one shape, are the series; smaller ones beside them that fit are their levels.
    """
    named = [(info, names) for info in infos if (names := guess_axes(info)) is not None]
    if not named:
        return None
    best, names = max(named, key=lambda item: math.prod(item[0].shape))
    groups: dict[str, list[ArrayInfo]] = defaultdict(list)
    for info, _ in named:
        groups[info.path.rpartition('/')[0]].append(info)
    series: list[Series] = []
    used: set[str] = set()
    for group in groups.values():
        full = [info for info in group if (info.shape, info.dtype) == (best.shape, best.dtype)]
        lower = [info for info in group if _is_lower(best, info, names)] if len(full) == 1 else []
        lower.sort(key=lambda info: math.prod(info.shape), reverse=True)
        series.extend(_series(store, [info, *lower], names) for info in full)
        used.update(info.path for info in (*full, *lower) if full)
    others = tuple(_series(store, [info], axes) for info, axes in named if info.path not in used)
    return Guessed(tuple(series), others)
