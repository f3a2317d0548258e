"""What positions along the frame axes stand for: the ``*_value`` arguments of addTile, and frameValues."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Whole numbers up to here can be made floats.
LARGEST = 2**1023


def with_values(
    values: np.ndarray | None,
    axes: Sequence[str],
    position: Mapping[str, int],
    new: Mapping[str, Any],
    order: Sequence[str],
    room: Room,
) -> tuple[np.ndarray, list[str]]:
    """Return the values and their axes after those of one tile are set.

    :param values: one dimension for each of ``axes``, and a last one over the axes; or None.
    :param position: where the tile lies along the axes; zero where one is missing.
    :param new: the values at that position, by axis name.
    :param order: all frame axes of the image, the slowest first; where there are values of further axes now,
        the values have this order.
    :param room: of the image.
    """
    names = [*axes, *(axis for axis in new if axis not in axes)]
    old = np.empty((*[0] * len(axes), len(axes)), object) if values is None else values
    known = old.shape[:-1]
    where = tuple(position.get(axis, 0) for axis in names)
    sizes = [
        max(size, at + 1) for size, at in zip((*known, *[1] * (len(names) - len(known))), where, strict=True)
    ]
    if len(names) > len(axes):
        grown = np.full((*sizes, len(names)), None, object)
        inside: Any = (
            *(slice(0, size) for size in known),
            *[0] * (len(names) - len(known)),
            slice(0, len(known)),
        )
        grown[inside] = old
    else:
        grown = room.grown(old, sizes)
    for axis, value in new.items():
        grown[(*where, names.index(axis))] = native(value)
    return (grown, names) if len(names) == len(axes) else _in_order(grown, names, order)


class Room:
    """What was allocated beyond the values of an image, so that few tiles have the others copied."""

    def __init__(self) -> None:
        self._whole: np.ndarray | None = None

    def grown(self, values: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
        """Return values with so many positions along each axis, new ones None; the same memory where it can.

        :param values: one dimension for each axis, and a last one over them.
        :param sizes: none is smaller than that of ``values``.
        """
        shape = (*sizes, values.shape[-1])
        if shape == values.shape:
            return values if values.dtype == object else values.astype(object)
        whole = self._whole
        if whole is None or values.base is not whole:
            self._whole = whole = _enlarged(values, shape, values.shape)
        elif any(map(operator.gt, shape, whole.shape)):
            self._whole = whole = _enlarged(values, shape, whole.shape)
        used: np.ndarray = whole[tuple(slice(0, size) for size in shape)]
        return used


def _enlarged(values: np.ndarray, shape: Sequence[int], held: Sequence[int]) -> np.ndarray:
    """Return a copy of values with at least a shape, and twice what was held where that is not enough."""
    sides = (
        before if size <= before else max(size, 2 * before) for size, before in zip(shape, held, strict=True)
    )
    found = np.full(tuple(sides), None, object)
    found[tuple(slice(0, size) for size in values.shape)] = values
    return found


def _in_order(values: np.ndarray, names: list[str], order: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Return values with their axes in another order."""
    places = {axis: place for place, axis in enumerate(order)}
    found = sorted(range(len(names)), key=lambda index: places.get(names[index], len(order)))
    return values.transpose(*found, len(names))[..., found], [names[index] for index in found]


def axis_values(
    values: np.ndarray | None,
    value_axes: Sequence[str],
    order: Sequence[str],
    sizes: Mapping[str, int],
    *,
    zeros: bool = False,
) -> dict[str, tuple[Any, ...]]:
    """Return the values along each axis: one a position where that is enough, else one a frame.

    :param order: the frame axes, the slowest first; frames are counted in this order.
    :param sizes: positions along each axis.
    :param zeros: a frame for which no value was given has 0 for every axis, rather than what the positions
        have elsewhere.
    """
    if values is None:
        return {}
    if zeros:
        values = _fitted(values, [*(sizes.get(name, 1) for name in value_axes), len(value_axes)])
        never = [all(value is None for value in row) for row in values.reshape(-1, len(value_axes)).tolist()]
        values[np.reshape(never, values.shape[:-1])] = 0
    found = {}
    for index, axis in enumerate(value_axes):
        if axis not in sizes:
            continue
        own = _fitted(values[..., index], [sizes.get(name, 1) for name in value_axes])
        line = _per_position(np.moveaxis(own, index, 0).reshape(sizes[axis], -1))
        line = _per_frame(own, value_axes, order, sizes) if line is None else line
        # what was never written stands for 0 beside values, as in large-image-source-zarr
        found[axis] = tuple(0 if value is None else value for value in line)
    return found


def _fitted(values: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Return an array of the sizes, cut or filled up with None."""
    result = np.full(tuple(sizes), None, object)
    both = [slice(0, min(one, two)) for one, two in zip(values.shape, sizes, strict=True)]
    result[tuple(both)] = values[tuple(both)]
    return result


def _per_position(rows: np.ndarray) -> list[Any] | None:
    """Return one value a row, or None where the values in a row differ."""
    # This is done for every tile with values: what can be done without a step for each value is.
    if rows.shape[1] == 1:
        return _natives(rows[:, 0].tolist())
    line = []
    for row in rows.tolist():
        there = row if None not in row else [value for value in row if value is not None]
        if there and there.count(there[0]) != len(there):
            return None
        line.append(there[0] if there else None)
    return _natives(line)


def _natives(line: list[Any]) -> list[Any]:
    """Return values with numpy's scalars as what Python has for them."""
    if any(issubclass(kind, np.generic) for kind in set(map(type, line))):
        return [native(value) for value in line]
    return line


def _per_frame(
    values: np.ndarray, value_axes: Sequence[str], order: Sequence[str], sizes: Mapping[str, int]
) -> list[Any]:
    known = [axis for axis in order if axis in value_axes]
    extra = tuple(at for at, axis in enumerate(value_axes) if axis not in order)
    values = values[tuple(0 if at in extra else slice(None) for at in range(values.ndim))]
    kept = [axis for axis in value_axes if axis in order]
    values = values.transpose([kept.index(axis) for axis in known])
    values = values[tuple(slice(None) if axis in known else np.newaxis for axis in order)]
    whole = np.broadcast_to(values, [sizes[axis] for axis in order])
    return [native(value) for value in whole.reshape(-1)]


def is_plain(value: Any) -> bool:
    """Return whether a value can be compared with others of its kind and, if a number, made a float."""
    value = native(value)
    if isinstance(value, int):
        return abs(value) < LARGEST
    return value is None or isinstance(value, (float, str))


def native(value: Any) -> Any:
    """Return a numpy scalar as what Python and JSON have for it."""
    return value.item() if isinstance(value, np.generic) else value
