"""Small corrections of positions, measured where neighbouring patches overlap.

Pairs of neighbours are compared by phase correlation (scikit-image), in several channels and z; a proposed
shift is accepted only if the pixels correlate there. One least-squares solution over all pairs, weighted by
what each tells, gives each patch its correction; pairs that contradict the others lose weight and are
excluded in the end.
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
#: Decimals of pixels in the result: a thousandth is far below what can be measured.
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class _Site:
    """The patches of one position. Its channels and planes move together; some of them are compared.

    :param planes: those that may be compared by channel and z, those that tell most by their place first.
    :param members: all of them.
    """

    planes: dict[tuple[int, int], Patch]
    members: tuple[Patch, ...]

    @property
    def shown(self) -> Patch:
        """The patch that stands for the position."""
        return next(iter(self.planes.values()))


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
    links = _links([site.shown for site in sites], spec)

    def compare(link: tuple[int, int]) -> Shift | None:
        if check is not None:
            check()
        return measure(_planes(sites[link[0]], sites[link[1]], spec.planes), pixels, spec)

    found = in_parallel(compare, links, threads)
    measured = [(link, shift) for link, shift in zip(links, found, strict=True) if shift is not None]
    accepted = [(link, shift) for link, shift in measured if shift.correlation >= spec.min_correlation]
    places = [(site.shown.placement.y, site.shown.placement.x) for site in sites]
    moves, used = solve(
        places,
        [link for link, _ in accepted],
        np.array([(shift.y, shift.x) for _, shift in accepted]).reshape(-1, 2),
        np.array([shift.weight for _, shift in accepted]),
    )
    moves = np.round(moves, _DIGITS)
    by_key = {
        patch.key: (float(moves[at, 0]), float(moves[at, 1]))
        for at, site in enumerate(sites)
        for patch in site.members
        if moves[at].any()
    }
    used_links = {accepted[at][0] for at in np.flatnonzero(used)}
    pairs = [_pair(sites, link, shift, moves, used_links) for link, shift in measured]
    return Registration(by_key, pairs, spec.subpixel)


def _planes(first: _Site, second: _Site, most: int) -> list[tuple[Patch, Patch]]:
    """Return the planes to compare of two positions: those that both have, or if there are none any."""
    both = [(patch, second.planes[at]) for at, patch in first.planes.items() if at in second.planes]
    return both[:most] or [(first.shown, second.shown)]


def _pair(
    sites: Sequence[_Site],
    link: tuple[int, int],
    shift: Shift,
    moves: np.ndarray,
    used_links: set[tuple[int, int]],
) -> Pair:
    first, second = link
    residual = None
    if link in used_links:
        y, x = np.array((shift.y, shift.x)) - (moves[second] - moves[first])
        residual = round(float(y), _DIGITS), round(float(x), _DIGITS)
    return Pair(
        (sites[first].shown.key, sites[second].shown.key),
        (round(shift.y, _DIGITS), round(shift.x, _DIGITS)),
        round(shift.correlation, 4),
        residual,
        shift.area,
        shift.planes,
    )


def _sites(plan: Plan, spec: RegistrationSpec) -> list[_Site]:
    groups: defaultdict[tuple[Any, ...], list[Patch]] = defaultdict(list)
    for patch in plan.patches:
        place = patch.placement
        others = tuple(pair for pair in place.frame if pair[0] not in {'c', 'z'})
        groups[others, place.y, place.x, patch.shape[:2]].append(patch)
    channel = None if spec.channel is None else spec.channel + plan.starts.get('c', 0)
    return [_Site(_ordered(members, channel), tuple(members)) for members in groups.values()]


def _ordered(members: Sequence[Patch], channel: int | None) -> dict[tuple[int, int], Patch]:
    """Return patches of one position by channel and z: of each channel the middle of the stack comes first.

    :param channel: the only one to compare, if it is there.
    """
    stacks: defaultdict[int, list[Patch]] = defaultdict(list)
    for patch in sorted(members, key=lambda one: one.placement.index('z')):
        stacks[patch.placement.index('c')].append(patch)
    one = channel if channel in stacks else None
    shown = [stacks[c] for c in sorted(stacks) if one is None or c == one]
    rounds = itertools.zip_longest(*(_from_the_middle(stack) for stack in shown))
    found: dict[tuple[int, int], Patch] = {}
    for patch in itertools.chain.from_iterable(rounds):
        if patch is not None:
            found.setdefault((patch.placement.index('c'), patch.placement.index('z')), patch)
    return found


def _from_the_middle(stack: Sequence[Patch]) -> list[Patch]:
    """Return the planes of a stack: the middle, then the quarters, the eighths and so on, then the rest."""
    order: dict[int, None] = {}
    parts = 2
    while parts <= 2 * len(stack):
        order.update((len(stack) * at // parts, None) for at in range(1, parts, 2))
        parts *= 2
    order.update((at, None) for at in range(len(stack)))
    return [stack[at] for at in order]


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
