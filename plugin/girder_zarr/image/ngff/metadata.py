"""One model for every OME-NGFF version: `parse.py` fills it, `emit.py` writes it out again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from girder_zarr.errors import UnreadableImageError

from .carried import Carried
from .units import to_millimeters

if TYPE_CHECKING:
    from collections.abc import Sequence

Version = Literal['0.1', '0.2', '0.3', '0.4', '0.5', '0.6']
AxisType = Literal['space', 'time', 'channel', 'custom']

#: ``girder_zarr.windows`` of a file whose windows a person has given.
GIVEN = 'given'
#: The type that an axis of this name has where the metadata does not say (NGFF 0.1 to 0.3 have no types).
DEFAULT_AXIS_TYPES: dict[str, AxisType] = {
    'x': 'space',
    'y': 'space',
    'z': 'space',
    't': 'time',
    'c': 'channel',
    's': 'channel',
}


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of an array.

    :param name: lower case for the axes that large_image knows (x, y, z, t, c, s); otherwise as stored.
    :param type: the NGFF axis type.
    :param unit: a UDUNITS-2 name such as ``micrometer``, or None.
    :param values: the value of each position along the axis, or None.
    :param label: the name as stored, where it is another; it is written again.
    """

    name: str
    type: AxisType = 'custom'
    unit: str | None = None
    values: tuple[Any, ...] | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution: where its array lies and how its pixels map to physical space.

    :param path: relative to the group that holds the metadata.
    :param scale: one factor an axis, in the axis's unit a pixel, transforms of the multiscale included.
    :param translation: one offset an axis, in the axis's unit; position of the first pixel.
    :param given: whether the file gives the factor of an axis validly; empty: all are given.
    """

    path: str
    scale: tuple[float, ...]
    translation: tuple[float, ...]
    given: tuple[bool, ...] = ()

    def spread(self, places: Sequence[int], count: int) -> Level:
        """Return the level with axes that are not declared between its own, which come to ``places``."""
        scale, translation, given = [1.0] * count, [0.0] * count, [False] * count
        for index, place in enumerate(places):
            scale[place], translation[place] = self.scale[index], self.translation[index]
            given[place] = self.size(index) is not None
        return Level(self.path, tuple(scale), tuple(translation), tuple(given))

    def size(self, index: int) -> float | None:
        """Return the factor of an axis, negative where it is flipped, or None where it is not known."""
        return self.scale[index] if not self.given or self.given[index] else None


@dataclass(frozen=True, slots=True)
class Window:
    """The display window of a channel: ``start`` to ``end`` is shown, ``min`` to ``max`` can be chosen."""

    min: float
    max: float
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Channel:
    """One omero channel. ``color`` is six hexadecimal digits without a hash, or None."""

    label: str | None = None
    color: str | None = None
    window: Window | None = None
    active: bool = True


@dataclass(frozen=True, slots=True)
class Multiscale:
    """One multiscale image.

    :param axes: in the order of the arrays' dimensions.
    :param levels: the largest first.
    :param channels: the omero channels, or None where there is no omero metadata.
    :param version: as stored, dev and other suffixes included; None where the file has none.
    :param extra: what girder_zarr itself stored under the attribute ``girder_zarr`` (see docs/format.md).
    :param carried: what a file held beyond this, to be written again; reading leaves it empty.
    """

    axes: tuple[Axis, ...]
    levels: tuple[Level, ...]
    name: str | None = None
    channels: tuple[Channel, ...] | None = None
    version: str | None = None
    description: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    carried: Carried = field(default_factory=Carried)

    def millimeters(self, name: str) -> float | None:
        """Return the size of a pixel of the full resolution along an axis, or None where it is not known."""
        index = self.axis_index(name)
        if index is None or not self.levels:
            return None
        size = self.levels[0].size(index)
        return None if size is None else to_millimeters(abs(size), self.axes[index].unit)

    def axis_index(self, name: str) -> int | None:
        """Return the position of the axis called ``name``, or None."""
        return next((index for index, axis in enumerate(self.axes) if axis.name == name), None)

    def picture_axes(self) -> tuple[int, int]:
        """Return the positions of y and x.

        :raises UnreadableImageError: there is no x or no y axis.
        """
        y, x = self.axis_index('y'), self.axis_index('x')
        if x is None or y is None:
            names = ', '.join(axis.name for axis in self.axes)
            msg = f'Expected an image with an x and a y axis; found the axes {names or "(none)"}.'
            raise UnreadableImageError(msg)
        return y, x
