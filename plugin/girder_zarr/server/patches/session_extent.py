"""The extent of a session: the part of the image that its patches cover.

A *box* is ``{axis: (first, end)}``, in pixels along x and y and in indices along all other axes. The document
of a session holds the same of all its patches together as ``{axis0: first, axis1: end}``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from girder_zarr.server.common.names import Document

Box = dict[str, tuple[int, int]]


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
