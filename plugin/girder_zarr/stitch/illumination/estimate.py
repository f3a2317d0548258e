"""The illumination of each channel, estimated from its patches where no flat field is given."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from girder_zarr.errors import ConflictError
from girder_zarr.image.write.pyramid import in_parallel

from .fit import Equations, fit
from .flat_field import TERMS, FlatField, basis, centres

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from girder_zarr.stitch.patch import Patch
    from girder_zarr.stitch.plan import Plan
    from girder_zarr.stitch.spec.field_checks import IlluminationSpec

    from .flat_field import Illumination

    #: Returns the pixels of a patch, ``(y, x, bands)``, and its mask ``(y, x)`` or None.
    Pixels = Callable[[Patch], tuple[np.ndarray, np.ndarray | None]]

#: Tiles are looked at in a size of so many cells along their longer side: light changes over more.
CELLS = 64
#: A cell of which the mask shows less is left out.
_MIN_SEEN = 0.5
#: A cell whose mean is above this share of the largest value of integers is overexposed, and says nothing.
_OVEREXPOSED = 0.98
#: Neighbours of a tile with which it is compared: those of a grid to one side.
_MAX_NEIGHBOURS = 4


def estimate(
    plan: Plan,
    spec: IlluminationSpec,
    pixels: Pixels,
    *,
    threads: int = 1,
    check: Callable[[], None] | None = None,
) -> Illumination:
    """Return the estimated flat fields of the channels for which the spec names none, by channel.

    The same patches give the same fields. Dark fields count: ``pixels`` has them subtracted.

    :param spec: ``spec.illumination``.
    :param pixels: called from several threads.
    :param threads: patches that are read at the same time.
    :param check: called before each patch; raises to stop.
    :raises ConflictError: the patches of a channel differ in size.
    """
    channels: defaultdict[int, list[Patch]] = defaultdict(list)
    for patch in sorted(plan.patches, key=lambda one: one.key):
        channels[patch.placement.index('c')].append(patch)
    given = plan.spec.flat_field or ()
    found = {}
    for channel, patches in sorted(channels.items()):
        if channel < len(given) and given[channel] is not None:
            continue
        _check_sizes(channel, patches)
        found[channel] = _estimate(channel, _sample(patches, spec.tiles), pixels, threads, check)
    return found


def _check_sizes(channel: int, patches: Sequence[Patch]) -> None:
    sizes = Counter(patch.shape[:2] for patch in patches)
    if len(sizes) > 1:
        (usual, _), *_ = sizes.most_common()
        other = next(patch for patch in patches if patch.shape[:2] != usual)
        msg = (
            f'spec.illumination: expected patches of one size in channel {channel}, {usual[1]} x {usual[0]} '
            f'as most; found {other.shape[1]} x {other.shape[0]} in {other.key}. A flat field for this '
            'channel, or patches of one size, help.'
        )
        raise ConflictError(msg)


def _estimate(
    channel: int,
    sample: Sequence[Patch],
    pixels: Pixels,
    threads: int,
    check: Callable[[], None] | None,
) -> FlatField:
    def reduce(patch: Patch) -> np.ndarray:
        if check is not None:
            check()
        return _logarithms(*pixels(patch))

    small = np.stack(in_parallel(reduce, sample, threads))
    _, height, width, bands = small.shape
    rows, columns = np.meshgrid(centres(height), centres(width), indexing='ij')
    terms = basis(rows, columns).reshape(height * width, -1)
    pairs = _pairs(sample)
    fitted = []
    for band in range(bands):
        planes = small[..., band]
        overlap_terms, overlaps = _overlaps(sample, pairs, planes)
        tiles = planes.reshape(len(sample), -1)
        fitted.append(fit(Equations(terms, tiles, overlap_terms, overlaps)))
    return FlatField(
        channel,
        sample[0].shape[:2],
        tuple(tuple(round(float(value), 6) for value in one.coefficients) for one in fitted),
        len(sample),
        len(pairs),
        _mean([one.after for one in fitted]),
        _mean([one.before for one in fitted]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), 5) if known else None


def _logarithms(pixels: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Return the logarithms of the means of cells, ``(y, x, bands)`` float32; NaN: a cell does not count."""
    height, width = pixels.shape[:2]
    factor = max(height, width, CELLS) / CELLS
    size = max(round(width / factor), 1), max(round(height / factor), 1)
    wide = np.asarray(pixels, np.float32)
    bad = ~np.logical_and.reduce(np.isfinite(wide), axis=2)
    seen: Any = None
    if mask is not None or bad.any():
        counted = (~bad if mask is None else ~bad & (mask > 0)).astype(np.float32)
        wide = wide.copy()
        wide[counted <= 0] = 0
        seen = cv2.resize(counted, size, interpolation=cv2.INTER_AREA)
    means = np.dstack(
        [cv2.resize(wide[:, :, band], size, interpolation=cv2.INTER_AREA) for band in range(wide.shape[2])]
    )
    if seen is not None:
        means = means / np.where(seen > _MIN_SEEN, seen, np.nan)[:, :, np.newaxis]
    limit = np.inf
    if pixels.dtype.kind != 'f':
        limit = _OVEREXPOSED * float(np.iinfo(pixels.dtype).max)
    known = np.isfinite(means) & (means > 0) & (means < limit)
    found: np.ndarray = np.log(means, out=np.full(means.shape, np.nan, np.float32), where=known)
    return found


def _sample(patches: Sequence[Patch], most: int) -> list[Patch]:
    """Return at most so many patches, spread over all, each second one a neighbour of the one before."""
    if len(patches) <= most:
        return list(patches)
    placed = sorted(patches, key=lambda one: (one.placement.frame, one.placement.y, one.placement.x, one.key))
    corners = np.array([(one.placement.y, one.placement.x) for one in placed], np.int64)
    numbers: dict[tuple[tuple[str, int], ...], int] = {}
    frames = np.array([numbers.setdefault(one.placement.frame, len(numbers)) for one in placed])
    count = max(most // 2, 1)
    chosen: dict[int, None] = {}
    for at in (number * len(placed) // count for number in range(count)):
        chosen.setdefault(at)
        near = _neighbour(at, corners, frames, placed[at].shape)
        if near is not None and len(chosen) < most:
            chosen.setdefault(near)
    return [placed[at] for at in chosen]


def _neighbour(at: int, corners: np.ndarray, frames: np.ndarray, shape: tuple[int, int, int]) -> int | None:
    """Return the patch that shares the most pixels with one, but not nearly all; all are of one shape."""
    shared = np.maximum(np.array(shape[:2]) - np.abs(corners - corners[at]), 0).prod(axis=1)
    shared[(frames != frames[at]) | (shared >= 0.9 * shape[0] * shape[1])] = 0
    best = int(np.argmax(shared))
    return best if shared[best] > 0 else None


def _shared(one: Patch, two: Patch) -> int:
    if one.placement.frame != two.placement.frame:
        return 0
    y, x = one.placement.y - two.placement.y, one.placement.x - two.placement.x
    return max(one.shape[0] - abs(y), 0) * max(one.shape[1] - abs(x), 0)


def _pairs(sample: Sequence[Patch]) -> list[tuple[int, int]]:
    """Return the pairs that overlap, as indices; of each patch with those after it that share the most."""
    found = []
    for at, patch in enumerate(sample):
        areas = [(_shared(patch, sample[other]), other) for other in range(at + 1, len(sample))]
        near = sorted((area, other) for area, other in areas if area > 0)[-_MAX_NEIGHBOURS:]
        found += [(at, other) for _, other in near]
    return found


def _overlaps(
    sample: Sequence[Patch], pairs: Sequence[tuple[int, int]], planes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return differences of terms and of logarithms at the places that two tiles show.

    :param planes: logarithms ``(tile, y, x)``.
    """
    height, width = planes.shape[1:]
    rows, columns = np.meshgrid(centres(height), centres(width), indexing='ij')
    terms, values = [], []
    for first, second in pairs:
        one, two = sample[first], sample[second]
        # the places of the first's cells in the second, from -1 to 1
        y = rows + 2 * (one.placement.y - two.placement.y) / one.shape[0]
        x = columns + 2 * (one.placement.x - two.placement.x) / one.shape[1]
        inside = (np.abs(y) <= 1) & (np.abs(x) <= 1)
        at_y, at_x = (
            ((along[inside] + 1) * size / 2 - 0.5).astype(np.float32)[np.newaxis]
            for along, size in ((y, height), (x, width))
        )
        if not at_y.size:
            continue
        there: Any = cv2.remap(
            planes[second], at_x, at_y, interpolation=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        difference = planes[first][inside] - there[0]
        known = np.isfinite(difference)
        values.append(difference[known])
        here = basis(rows[inside][known], columns[inside][known])
        terms.append(here - basis(y[inside][known], x[inside][known]))
    if not values:
        return np.zeros((0, len(TERMS))), np.zeros(0)
    return np.concatenate(terms), np.concatenate(values).astype(float)
