"""What a spec says of axes and channels: sizes, steps, units and values; what is shown of a channel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import InvalidInputError
from girder_zarr.image.ngff.metadata import Window
from girder_zarr.stitch.patch import FRAME_AXES, MAX_INDEX, MAX_OTHER_AXES, check_axis

from . import fields
from .fields import MAX_CHANNELS, MAX_TEXT, UNITS, wrong

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The units of time of OME-NGFF (UDUNITS-2 names).
TIME_UNITS = frozenset(
    {
        *('attosecond', 'centisecond', 'day', 'decisecond', 'exasecond', 'femtosecond', 'gigasecond'),
        *('hectosecond', 'hour', 'kilosecond', 'megasecond', 'microsecond', 'millisecond', 'minute'),
        *('nanosecond', 'petasecond', 'picosecond', 'second', 'terasecond', 'yoctosecond', 'yottasecond'),
        *('zeptosecond', 'zettasecond'),
    }
)
#: Values that are listed for one axis.
MAX_VALUES = 10_000


@dataclass(frozen=True, slots=True)
class AxisSpec:
    """One axis besides y and x.

    :param name: t, c, z or another, see `patch.check_axis`.
    :param size: positions along it; None: up to the farthest patch.
    :param step: how far two positions lie apart, in ``unit``.
    :param unit: of the step and the values.
    :param values: what each position stands for, numbers or texts, None where nothing is known.
    """

    name: str
    size: int | None = None
    step: float | None = None
    unit: str | None = None
    values: tuple[float | str | None, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the document that :func:`axes` reads, every field filled in."""
        values = None if self.values is None else list(self.values)
        return {'size': self.size, 'step': self.step, 'unit': self.unit, 'values': values}

    def values_for(self, count: int) -> tuple[float | str | None, ...] | None:
        """Return one value for each of ``count`` positions."""
        if self.values is None:
            return None
        return (*self.values[:count], *[None] * (count - len(self.values)))


def axes(name: str, value: Any) -> tuple[AxisSpec, ...]:
    """Check for ``{"z": {"size", "step", "unit", "values"}, ...}``."""
    if not isinstance(value, dict):
        raise wrong(name, 'an object such as {"z": {"size": 5}}', value)
    if len(set(value) - set(FRAME_AXES)) > MAX_OTHER_AXES:
        raise wrong(name, f'at most {MAX_OTHER_AXES} axes besides t, c and z', sorted(value))
    return tuple(_axis(name, axis, value[axis]) for axis in sorted(value))


def _axis(name: str, axis: str, value: Any) -> AxisSpec:
    try:
        check_axis(axis)
    except InvalidInputError:
        expected = 'axes called t, c, z or by up to 31 lower case letters and underscores, but not x, y or s'
        raise wrong(name, expected, axis) from None
    name = f'{name}.{axis}'
    given = {
        field: one
        for field, one in fields.mapping(
            name, {} if value is None else value, set(), {'size', 'step', 'unit', 'values'}
        ).items()
        if one is not None
    }
    size = fields.integer(f'{name}.size', given['size'], 1, MAX_INDEX + 1) if 'size' in given else None
    if 'step' in given and axis == 'c':
        raise wrong(f'{name}.step', 'nothing, because channels have no distance', given['step'])
    values = _values(f'{name}.values', given['values'], size) if 'values' in given else None
    return AxisSpec(
        axis,
        size,
        _positive(f'{name}.step', given['step']) if 'step' in given else None,
        _unit(f'{name}.unit', axis, given['unit']) if 'unit' in given else None,
        values,
    )


def _positive(name: str, value: Any) -> float:
    if not 1e-12 < fields.number(name, value) < 1e12:
        raise wrong(name, 'a positive number', value)
    return float(value)


def _unit(name: str, axis: str, value: Any) -> str:
    known = {'z': (UNITS, 'micrometer'), 't': (TIME_UNITS, 'second')}
    if axis in known:
        units, example = known[axis]
        if not isinstance(value, str) or value not in units:
            raise wrong(name, f'a unit of OME-NGFF such as {example}', value)
    elif not isinstance(value, str) or not value.isprintable() or not 1 <= len(value) <= MAX_TEXT:
        raise wrong(name, f'1 to {MAX_TEXT} printable characters', value)
    return str(value)


def _values(name: str, value: Any, size: int | None) -> tuple[float | str | None, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_VALUES:
        raise wrong(name, f'a list of 1 to {MAX_VALUES} numbers or texts', value)
    if size is not None and len(value) != size:
        raise wrong(name, f'as many values as positions, {size}', f'{len(value)} values')
    for index, one in enumerate(value):
        if one is None or (isinstance(one, str) and len(one) <= MAX_TEXT and one.isprintable()):
            continue
        if isinstance(one, str):
            raise wrong(f'{name}[{index}]', f'up to {MAX_TEXT} printable characters', one)
        fields.number(f'{name}[{index}]', one)
    return tuple(value)


@dataclass(frozen=True, slots=True)
class ChannelWindow:
    """What is shown of a channel: ``start`` is black and ``end`` is bright; min and max bound the choice."""

    start: float
    end: float
    min: float | None = None
    max: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the document that :func:`windows` reads."""
        return {'start': self.start, 'end': self.end, 'min': self.min, 'max': self.max}

    def over(self, full: Window | None) -> Window:
        """Return the window of the metadata.

        :param full: what the type of the pixels can hold; it bounds the choice where nothing else does.
        """
        low, high = (full.min, full.max) if full else (self.start, self.end)
        return Window(
            min=min(low, self.start) if self.min is None else self.min,
            max=max(high, self.end) if self.max is None else self.max,
            start=self.start,
            end=self.end,
        )


def windows(name: str, value: Any) -> tuple[ChannelWindow | None, ...]:
    """Check for a list of ``{"start", "end", "min", "max"}``, one a channel, null where nothing is said."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_CHANNELS:
        raise wrong(name, f'a list of 1 to {MAX_CHANNELS} windows or nulls', value)
    return tuple(None if one is None else _window(f'{name}[{index}]', one) for index, one in enumerate(value))


def _window(name: str, value: Any) -> ChannelWindow:
    given = fields.mapping(name, value, {'start', 'end'}, {'min', 'max'})
    said = {
        end: float(fields.number(f'{name}.{end}', given[end]))
        for end in ('min', 'start', 'end', 'max')
        if given.get(end) is not None or end in {'start', 'end'}
    }
    ends = list(said.values())
    if ends != sorted(ends) or not said['start'] < said['end']:
        raise wrong(name, 'min <= start < end <= max', value)
    return ChannelWindow(**said)


def values_in(sizes: Mapping[str, int]) -> int:
    """Return how many positions axes of these sizes have together."""
    return math.prod(sizes.values())
