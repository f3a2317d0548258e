"""The extent of a session: the part of the image that its patches cover.

A *box* is ``{axis: (first, end)}``, in pixels along x and y and in indices along all other axes. The document
of a session holds the same of all its patches together as ``{axis0: first, axis1: end}``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from girder_zarr.server.common.names import Document

Box = dict[str, tuple[int, int]]

#: How many patches that arrived before and after a removed one are looked at, as they lie beside it mostly.
_NEIGHBOURS = 8


def box_of(position: Mapping[str, int], shape: Sequence[int]) -> Box:
    """Return what a patch covers.

    :param position: where its first pixel lies, by axis.
    :param shape: ``(y, x, bands)``.
    """
    lengths = {'y': shape[0], 'x': shape[1]}
    return {axis: (start, start + lengths.get(axis, 1)) for axis, start in position.items()}


def edges(boxes: Sequence[Box]) -> tuple[dict[str, int], dict[str, int]]:
    """Return where boxes of the same axes begin and where they end together, for each axis."""
    return (
        {axis: min(box[axis][0] for box in boxes) for axis in boxes[0]},
        {axis: max(box[axis][1] for box in boxes) for axis in boxes[0]},
    )


def grown(extent: Mapping[str, int], box: Box) -> dict[str, int]:
    """Return the extent of a session with a box that is added."""
    found = dict(extent)
    for axis, (low, high) in box.items():
        found[axis + '0'] = min(low, found.get(axis + '0', low))
        found[axis + '1'] = max(high, found.get(axis + '1', high))
    return found


def reaches_edge(extent: Mapping[str, int], box: Box) -> bool:
    """Return whether the extent of a session may shrink when a box is removed."""
    return any(
        low <= extent.get(axis + '0', low) or high >= extent.get(axis + '1', high)
        for axis, (low, high) in box.items()
    )


def extent_of(documents: Iterable[Document]) -> dict[str, int]:
    """Return the extent of stored patches, along the axes that all of them have."""
    found: dict[str, int] = {}
    axes: set[str] | None = None
    for document in documents:
        box = box_of(document['position'], document['shape'])
        axes = set(box) if axes is None else axes & set(box)
        found = grown(found, box)
    return {name: value for name, value in found.items() if name[:-1] in (axes or ())}


def extent_without(
    find: Callable[[Document], Iterable[Document]], session: Document, removed: Document
) -> dict[str, int] | None:
    """Return the extent of a session after a patch was removed, from few of the others.

    :param find: returns the patches of a query, whose fields are those of an index.
    :param session: as it is now, with the extent of before.
    :returns: None where all patches have to be read: none is left, the session is of a version that did not
        note how large its patches are, or along an axis besides x and y nothing near reaches as far.
    """
    if not session['counts']['patches'] or 'largest' not in session:
        return None
    extent = dict(session['extent'])
    box = box_of(removed['position'], removed['shape'])
    arrival = removed.get('arrival', 0)
    between = {'$gte': arrival - _NEIGHBOURS, '$lte': arrival + _NEIGHBOURS}
    near = _boxes(find({'sessionId': session['_id'], 'arrival': between}))
    strips = _EdgeStrips(find, session, box)
    for axis, sides in box.items():
        for side, value in enumerate(sides):
            name = f'{axis}{side}'
            if name not in extent:
                return None
            is_inside = value > extent[name] if side == 0 else value < extent[name]
            if is_inside or any(other[axis][side] == extent[name] for other in near if axis in other):
                continue
            found = strips.outermost(axis, side) if axis in ('x', 'y') else None
            if found is None:
                return None
            extent[name] = found
    return extent


class _EdgeStrips:
    """Looks for patches along an edge, in strips that become wider the farther they are from it.

    The embedded database has no order by index: it reads all that a query finds.
    """

    def __init__(
        self, find: Callable[[Document], Iterable[Document]], session: Document, removed: Box
    ) -> None:
        self._find, self._removed = find, removed
        self._own = {'sessionId': session['_id']}
        self._extent, self._largest = session['extent'], session['largest']

    def outermost(self, axis: str, side: int) -> int | None:
        """Return where the patches begin (side 0) or end (side 1) along an axis; None: there are none."""
        first, end = self._extent[f'{axis}0'], self._extent[f'{axis}1']
        start = self._removed[axis][0]
        if self._removed[axis][side] in {box[axis][side] for box in self._beside(axis)}:
            return self._removed[axis][side]
        width = max(1, self._largest[axis] // 8)
        low, high = (start, start + width) if side == 0 else (start, end)
        while low < end and high > first:
            found = self._between(axis, low, high)
            if found and side == 0:
                return min(box[axis][0] for box in found)
            if found:
                # One that begins before may end later.
                last = max(box[axis][1] for box in found)
                found += self._between(axis, last - self._largest[axis], low)
                return max(box[axis][1] for box in found)
            width *= 4
            low, high = (high, high + width) if side == 0 else (low - width, low)
        return None

    def _beside(self, axis: str) -> list[Box]:
        """Return the patches that begin where the removed one did, and lie near it along the other axis."""
        other = 'y' if axis == 'x' else 'x'
        start, reach = self._removed[other][0], 4 * self._largest[other]
        near = {'$gte': start - reach, '$lte': start + reach}
        query = {**self._own, f'position.{axis}': self._removed[axis][0], f'position.{other}': near}
        return _boxes(self._find(query))

    def _between(self, axis: str, low: int, high: int) -> list[Box]:
        """Return the patches that begin in a range."""
        if low >= high:
            return []
        return _boxes(self._find({**self._own, f'position.{axis}': {'$gte': low, '$lt': high}}))


def _boxes(documents: Iterable[Document]) -> list[Box]:
    return [box_of(document['position'], document['shape']) for document in documents]
