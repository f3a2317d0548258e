"""Small corrections of positions, measured where neighbouring patches overlap.

Pairs of neighbours are compared by phase correlation (scikit-image); a proposed shift is accepted only if the
pixels correlate there. One least-squares solution over all pairs gives each patch its correction; pairs that
contradict the others lose weight and are excluded in the end.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.image.write.pyramid import in_parallel

from .global_fit import solve
from .phase_correlation import Shift, measure, needs_registration_extra
from .result import Pair, Registration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from girder_zarr.stitch.patch import Patch
    from girder_zarr.stitch.plan import Plan
    from girder_zarr.stitch.spec.field_checks import RegistrationSpec

#: A patch is compared with at most so many neighbours, those with the largest overlap: a regular grid has 8.
MAX_NEIGHBOURS = 8


@dataclass(frozen=True, slots=True)
class _Site:
    """The patches of one position. Its channels and planes move together; one of them is compared."""

    compared: Patch
    members: tuple[Patch, ...]


def register(
    plan: Plan,
    spec: RegistrationSpec,
    pixels: Callable[[Patch], np.ndarray],
    *,
    threads: int = 1,
    check: Callable[[], None] | None = None,
) -> Registration:
    """Return the corrections of the positions of a plan's patches.

    :param spec: ``spec.registration``.
    :param pixels: returns the pixels of a patch, ``(y, x, bands)``; called from several threads.
    :param threads: pairs that are compared at the same time.
    :param check: called before each pair; raises to stop.
    :raises InvalidInputError: scikit-image is not installed.
    """
    needs_registration_extra()
    sites = _sites(plan, spec)
    links = _links([site.compared for site in sites], spec)

    def compare(link: tuple[int, int]) -> Shift | None:
        if check is not None:
            check()
        first, second = (sites[at].compared for at in link)
        return measure(first, second, pixels(first), pixels(second), spec)

    found = in_parallel(compare, links, threads)
    measured = [(link, shift) for link, shift in zip(links, found, strict=True) if shift is not None]
    accepted = [(link, shift) for link, shift in measured if shift.correlation >= spec.min_correlation]
    places = [(site.compared.placement.y, site.compared.placement.x) for site in sites]
    moves, used = solve(
        places,
        [link for link, _ in accepted],
        np.array([(shift.y, shift.x) for _, shift in accepted]).reshape(-1, 2),
        np.array([shift.correlation**2 for _, shift in accepted]),
    )
    whole = np.floor(moves + 0.5).astype(int)
    corrections = {
        patch.key: (int(whole[at, 0]), int(whole[at, 1]))
        for at, site in enumerate(sites)
        for patch in site.members
        if whole[at].any()
    }
    used_links = {accepted[at][0] for at in np.flatnonzero(used)}
    return Registration(
        corrections, [_pair(sites, link, shift, whole, used_links) for link, shift in measured]
    )


def _pair(
    sites: Sequence[_Site],
    link: tuple[int, int],
    shift: Shift,
    whole: np.ndarray,
    used_links: set[tuple[int, int]],
) -> Pair:
    first, second = link
    residual = None
    if link in used_links:
        y, x = np.array((shift.y, shift.x)) - (whole[second] - whole[first])
        residual = round(float(y), 3), round(float(x), 3)
    return Pair(
        (sites[first].compared.key, sites[second].compared.key),
        (round(shift.y, 3), round(shift.x, 3)),
        round(shift.correlation, 4),
        residual,
    )


def _sites(plan: Plan, spec: RegistrationSpec) -> list[_Site]:
    groups: defaultdict[tuple[Any, ...], list[Patch]] = defaultdict(list)
    for patch in plan.patches:
        place = patch.placement
        others = tuple(pair for pair in place.frame if pair[0] not in {'c', 'z'})
        groups[others, place.y, place.x, patch.shape[:2]].append(patch)
    sites = []
    for members in groups.values():
        channels = {patch.placement.index('c') for patch in members}
        wanted = None if spec.channel is None else spec.channel + plan.starts.get('c', 0)
        channel = wanted if wanted in channels else min(channels)
        stack = sorted(
            (patch for patch in members if patch.placement.index('c') == channel),
            key=lambda patch: patch.placement.index('z'),
        )
        sites.append(_Site(stack[len(stack) // 2], tuple(members)))
    return sites


def _links(shown: Sequence[Patch], spec: RegistrationSpec) -> list[tuple[int, int]]:
    """Return the pairs to compare, as indices, in an order that uses loaded patches again soon."""
    boxes = np.array([(p.placement.y, p.placement.x, *p.shape[:2]) for p in shown], np.int64)
    frames: defaultdict[Any, list[int]] = defaultdict(list)
    for at, patch in enumerate(shown):
        frames[tuple(pair for pair in patch.placement.frame if pair[0] not in {'c', 'z'})].append(at)
    areas: dict[tuple[int, int], int] = {}
    for members in frames.values():
        areas |= dict(_overlaps(boxes, np.array(members), spec.min_overlap))
    best = sorted(areas, key=lambda link: -areas[link])[: spec.max_pairs]
    return sorted(best, key=lambda link: (boxes[link[0], 0], boxes[link[0], 1], link))


def _overlaps(boxes: np.ndarray, members: np.ndarray, min_overlap: int) -> list[tuple[tuple[int, int], int]]:
    """Return pairs that share at least ``min_overlap`` pixels along y and x, and their area in pixels."""
    side = int(boxes[members, 2:].max())
    cells: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for at in members.tolist():
        cells[int(boxes[at, 0]) // side, int(boxes[at, 1]) // side].append(at)
    found = []
    for (row, column), own in cells.items():
        around = itertools.product((row - 1, row, row + 1), (column - 1, column, column + 1))
        near = np.array([at for cell in around for at in cells.get(cell, ())])
        for at in own:
            shared = [
                np.minimum(boxes[near, axis] + boxes[near, axis + 2], boxes[at, axis] + boxes[at, axis + 2])
                - np.maximum(boxes[near, axis], boxes[at, axis])
                for axis in (0, 1)
            ]
            enough = (shared[0] >= min_overlap) & (shared[1] >= min_overlap) & (near != at)
            area = np.where(enough, shared[0] * shared[1], 0)
            for place in np.argsort(-area, kind='stable')[:MAX_NEIGHBOURS]:
                if area[place] > 0:
                    other = int(near[place])
                    found.append(((min(at, other), max(at, other)), int(area[place])))
    return found
