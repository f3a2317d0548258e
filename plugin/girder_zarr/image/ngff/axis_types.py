"""Axes by their type: NGFF leaves the names to programs, and large_image knows x, y, z, c and t."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import UnreadableImageError

from .metadata import DEFAULT_AXIS_TYPES, Axis, AxisType

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The axes of space, the fastest last: where names do not say, the last two are y and x.
_SPACE = 'zyx'


def read_axes(raw: Sequence[object]) -> tuple[Axis, ...]:
    """Return the axes under the names that large_image knows, as far as their types tell which is which.

    A name counts where it fits the type or there is no type. Axes of space with other names become those of
    x, y and z that are free, in this order from the last axis on; one of time becomes t, one of channels c.
    Where there is no x or y still, the last axes without a type are taken for them.

    :param raw: names, or objects with ``name``, ``type``, ``unit`` and ``values``.
    :raises UnreadableImageError: an axis has no name.
    """
    axes = [_axis(one) for one in raw]
    names = [axis.name if _is_trusted(axis, one) else None for axis, one in zip(axes, raw, strict=True)]
    free = [name for name in _SPACE if name not in names]
    for index in reversed(range(len(axes))):
        kind = axes[index].type
        if names[index] is not None:
            continue
        if kind == 'space' and free:
            names[index] = free.pop()
        elif kind in ('time', 'channel'):
            name = 't' if kind == 'time' else 'c'
            first = next(
                at for at, axis in enumerate(axes) if axis.type == kind and names[at] in (None, name)
            )
            names[index] = name if name not in names and first == index else None
    for index in reversed(range(len(axes))):
        one = raw[index]
        typed = isinstance(one, dict) and isinstance(one.get('type'), str)
        if names[index] is None and not typed and {'x', 'y'} & set(free):
            names[index] = free.pop()
            axes[index] = replace(axes[index], type='space')
    return tuple(_named(axis, name, names) for axis, name in zip(axes, names, strict=True))


def _named(axis: Axis, name: str | None, taken: Sequence[str | None]) -> Axis:
    """Return an axis under a name; where it has none, its own as far as that means nothing here."""
    found = name or axis.name
    while name is None and (found in DEFAULT_AXIS_TYPES or found in taken):
        found += '_'
    stored = axis.label or axis.name
    return replace(axis, name=found, label=None if stored == found else stored)


def _is_trusted(axis: Axis, raw: object) -> bool:
    default = DEFAULT_AXIS_TYPES.get(axis.name)
    stored = known_type(raw.get('type')) if isinstance(raw, dict) else None
    return default is not None and (stored is None or stored == default)


def known_type(stored: object) -> AxisType | None:
    """Return a type that NGFF gives a meaning to, written in any case, or None."""
    types: dict[str, AxisType] = {'space': 'space', 'time': 'time', 'channel': 'channel'}
    return types.get(stored.lower()) if isinstance(stored, str) else None


def _axis(axis: object) -> Axis:
    name = axis.get('name') if isinstance(axis, dict) else axis
    if not isinstance(name, str) or not name or len(name) > 100:
        msg = f'An axis should have a name; found {str(axis)[:200]}.'
        raise UnreadableImageError(msg)
    label, lower = name, name.lower()
    name = lower if lower in DEFAULT_AXIS_TYPES else name
    stored = known_type(axis.get('type')) if isinstance(axis, dict) else None
    kind: AxisType = stored or DEFAULT_AXIS_TYPES.get(name, 'custom')
    if not isinstance(axis, dict):
        return Axis(name, kind, label=label)
    unit, values = axis.get('unit'), axis.get('values')
    return Axis(
        name,
        kind,
        unit if isinstance(unit, str) and unit else None,
        tuple(values) if isinstance(values, list) else None,
        label,
    )


def completed(raw: list[Any], names: Sequence[str | None] | None, count: int) -> tuple[list[Any], list[int]]:
    """Return as many axes as an array has dimensions, and where each of those that were declared is now.

    :param raw: the declared axes.
    :param names: the array's ``dimension_names``, or None.
    :param count: of its dimensions.
    :returns: ``raw`` itself where there are no fewer.
    """
    missing = count - len(raw)
    if missing <= 0:
        return raw, list(range(len(raw)))
    declared = [str(axis.get('name') if isinstance(axis, dict) else axis).lower() for axis in raw]
    known = [str(name).lower() if name else '' for name in names or ()]
    if len(known) == count and all(name in known for name in declared) and all(known):
        places = [known.index(name) for name in declared]
        if places == sorted(places) and len(set(known)) == count:
            found: list[Any] = [str(name) for name in names or ()]
            for place, axis in zip(places, raw, strict=True):
                found[place] = axis
            return found, places
    # dimensions without a name come first, as they do where numpy adds some
    ahead = [
        known[index] if len(known) == count and known[index] else f'dim{index}' for index in range(missing)
    ]
    ahead = [name if name not in declared else f'dim{index}' for index, name in enumerate(ahead)]
    return [*ahead, *raw], list(range(missing, count))
