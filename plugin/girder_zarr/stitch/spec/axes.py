"""Axes and channels in a spec: sizes, steps, units and values of axes, display windows of channels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import InvalidInputError
from girder_zarr.image.ngff.metadata import Window
from girder_zarr.stitch.patch import FRAME_AXES, MAX_INDEX, MAX_OTHER_AXES, check_axis

from . import field_checks
from .field_checks import MAX_CHANNELS, MAX_TEXT, UNITS, wrong

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
#: Values that may be listed for one axis: they are stored in the session and in the image's metadata.
MAX_VALUES = 10_000


@dataclass(frozen=True, slots=True)
class AxisSpec:
    """One axis besides y and x.

    :param name: t, c, z or another, see `patch.check_axis`.
    :param size: the number of indices; None: up to the largest index of a patch.
    :param step: the distance of two indices, in ``unit``.
    :param unit: of step and values; for z and t one of OME-NGFF.
    :param values: the number or text that each index stands for; None where it is unknown.
    """

    name: str
    size: int | None = None
    step: float | None = None
    unit: str | None = None
    values: tuple[float | str | None, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that :func:`axes` reads for this axis, with every field."""
        values = None if self.values is None else list(self.values)
        return {'size': self.size, 'step': self.step, 'unit': self.unit, 'values': values}

    def values_for(self, count: int) -> tuple[float | str | None, ...] | None:
        """Return one value for each of ``count`` indices, None where there is none; None if none has any."""
        if self.values is None:
            return None
        return (*self.values[:count], *[None] * (count - len(self.values)))


def axes(name: str, value: Any) -> tuple[AxisSpec, ...]:
    """Parse ``{"z": {"size", "step", "unit", "values"}, ...}``; the result is sorted by name.

    :raises InvalidInputError: it has another form; the message names the field.
    """
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
        for field, one in field_checks.mapping(
            name, {} if value is None else value, set(), {'size', 'step', 'unit', 'values'}
        ).items()
        if one is not None
    }
    size = field_checks.integer(f'{name}.size', given['size'], 1, MAX_INDEX + 1) if 'size' in given else None
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
    if not 1e-12 < field_checks.number(name, value) < 1e12:
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
        field_checks.number(f'{name}[{index}]', one)
    return tuple(value)


@dataclass(frozen=True, slots=True)
class ChannelWindow:
    """The display window of a channel (NGFF, "omero" metadata), in values of pixels.

    :param start: is shown black; ``end`` is shown at full brightness.
    :param min: the lower end of what a viewer offers, ``max`` the upper; None: by the dtype.
    """

    start: float
    end: float
    min: float | None = None
    max: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that :func:`windows` reads for this window."""
        return {'start': self.start, 'end': self.end, 'min': self.min, 'max': self.max}

    def over(self, full: Window | None) -> Window:
        """Return the window for the image's metadata.

        :param full: the range of the dtype, which gives min and max that are None.
        """
        low, high = (full.min, full.max) if full else (self.start, self.end)
        return Window(
            min=min(low, self.start) if self.min is None else self.min,
            max=max(high, self.end) if self.max is None else self.max,
            start=self.start,
            end=self.end,
        )


def windows(name: str, value: Any) -> tuple[ChannelWindow | None, ...]:
    """Parse a list of ``{"start", "end", "min", "max"}`` or null, one for each channel.

    :raises InvalidInputError: it has another form; the message names the field.
    """
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_CHANNELS:
        raise wrong(name, f'a list of 1 to {MAX_CHANNELS} windows or nulls', value)
    return tuple(None if one is None else _window(f'{name}[{index}]', one) for index, one in enumerate(value))


def _window(name: str, value: Any) -> ChannelWindow:
    given = field_checks.mapping(name, value, {'start', 'end'}, {'min', 'max'})
    given_ends = {
        end: float(field_checks.number(f'{name}.{end}', given[end]))
        for end in ('min', 'start', 'end', 'max')
        if given.get(end) is not None or end in {'start', 'end'}
    }
    ends = list(given_ends.values())
    if ends != sorted(ends) or not given_ends['start'] < given_ends['end']:
        raise wrong(name, 'min <= start < end <= max', value)
    return ChannelWindow(**given_ends)


def values_in(sizes: Mapping[str, int]) -> int:
    """Return the product of the sizes of axes."""
    return math.prod(sizes.values())
