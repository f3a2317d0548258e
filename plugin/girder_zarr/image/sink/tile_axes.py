"""The axes of an image that is written: units, values, the size of a step and where the first one lies."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from girder_zarr.image.export.image_state import in_ngff_order
from girder_zarr.image.ngff.metadata import DEFAULT_AXIS_TYPES, Axis, Level, Multiscale
from girder_zarr.image.ngff.units import from_millimeters, millimeters, to_millimeters
from girder_zarr.image.write.output_spec import default_channels

from .frame_values import axis_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from girder_zarr.image.canvas.form import CanvasExtent
    from girder_zarr.image.edit.edited_file import Edited

#: The unit of new images: what other programs write, and what those assume that do not read units.
UNIT = 'micrometer'
#: How far values may be from equal steps, in steps: what decimal numbers lose as floats, and no more.
TOLERANCE = 1e-6


class AxesMixin:
    """What `mixin.SinkMixin` needs to know of axes."""

    _edited: Edited | None
    _mm_x: float | None
    _mm_y: float | None
    _mm_z: float | None
    _channelNames: list[str] | None
    _frameAxes: list[str] | None
    _frameUnits: dict[str, str] | None
    _frameValues: np.ndarray | None
    _hasOddValues: bool

    def _describedCanvas(self, extent: CanvasExtent) -> Multiscale:
        """Return the metadata of the image as it is on the canvas: frame axes, y, x, bands.

        Units, values and steps of the frame axes are left to `_valued`: this is done for each tile.
        """
        frame_axes = [self._storedAxis(name) for name in extent.axes]
        axes = [*frame_axes, *self._planeAxes(), Axis('s', 'channel')]
        scales, offsets = self._transforms(axes[len(frame_axes) :], 0, 0)
        channels = None
        if self._channelNames:
            shape = (*extent.sizes, extent.height, extent.width, extent.bands)
            channels = tuple(default_channels(axes, shape, extent.dtype, 1, self._channelNames))
        scale = tuple(scales.get(axis.name, 1.0) for axis in axes)
        offset = tuple(offsets.get(axis.name, 0.0) for axis in axes)
        level = Level('0', scale, offset, tuple(axis.name in scales for axis in axes))
        return Multiscale(tuple(axes), (level,), channels=channels)

    def _valued(self, multiscale: Multiscale, extent: CanvasExtent) -> Multiscale:
        """Return what `_describedCanvas` did, with units, values and steps of the frame axes.

        :param multiscale: with any levels; those of y and x stay as they are.
        """
        axes = self._frameAxesOf(extent.axes, extent)
        scales, offsets = self._transforms(axes, 0, 0)
        if self._edited is None:
            # as large-image-source-zarr 1.35.6 shows a new image; a file says what positions stand for
            sizes = dict(zip(extent.axes, extent.sizes, strict=True))
            shown = axis_values(self._frameValues, self._frameAxes or [], extent.axes, sizes, zeros=True)
            axes = [replace(axis, values=shown.get(axis.name, axis.values)) for axis in axes]
        count = len(axes)
        scale = tuple(scales.get(axis.name, 1.0) for axis in axes)
        offset = tuple(offsets.get(axis.name, 0.0) for axis in axes)
        given = tuple(axis.name in scales for axis in axes)
        levels = tuple(
            replace(
                level,
                scale=(*scale, *level.scale[count:]),
                translation=(*offset, *level.translation[count:]),
                given=(*given, *level.given[count:]),
            )
            for level in multiscale.levels
        )
        return replace(multiscale, axes=(*axes, *multiscale.axes[count:]), levels=levels)

    def _isDescribable(self) -> bool:
        """Return whether values can be described later without an error that is addTile's to raise."""
        if self._frameValues is None:
            return True
        count = len(self._frameAxes or ())
        fits = self._frameValues.ndim == count + 1 and self._frameValues.shape[-1] >= count
        return fits and not self._hasOddValues

    def _storedAxis(self, name: str) -> Axis:
        """Return an axis as the file has it, or a new one."""
        stored = None if self._edited is None else self._edited.axis(name)
        return stored or Axis(name, DEFAULT_AXIS_TYPES.get(name, 'custom'))

    def _frameAxesOf(self, order: Sequence[str], extent: CanvasExtent) -> list[Axis]:
        """Return the frame axes with their units and values.

        :param order: all of them, the slowest first.
        """
        sizes = dict(zip(extent.axes, extent.sizes, strict=True))
        values = axis_values(self._frameValues, self._frameAxes or [], order, sizes)
        units = {name: self._fileUnit(name) for name in order} | (self._frameUnits or {})
        if self._mm_z and millimeters(units.get('z')) is None:
            units['z'] = UNIT
        found = []
        for name in order:
            axis = self._storedAxis(name)
            unit = units.get(name)
            if unit == axis.unit and self._isUnsized(name) and name not in values:
                unit = None  # a size of 1 has to be written, which would be one of this unit
            found.append(replace(axis, unit=unit, values=values.get(name)))
        return found

    def _isUnsized(self, name: str) -> bool:
        """Return whether the file has an axis of space or time whose steps it does not give."""
        axis = None if self._edited is None else self._edited.axis(name)
        if self._edited is None or axis is None or axis.type not in {'space', 'time'}:
            return False
        return self._edited.transform(name)[0] is None and not (name == 'z' and self._mm_z)

    def _writtenFrameAxes(self, extent: CanvasExtent) -> tuple[Axis, ...]:
        """Return the frame axes in the order of NGFF, with units and values.

        Values that differ from frame to frame are listed in the order in which the reading half counts
        frames: c, z, t, then all others by name, the fastest first.
        """
        names = [axis.name for axis in in_ngff_order(self._frameAxesOf(extent.axes, extent))]
        counted = sorted(names, key=lambda name: ('czt'.find(name) % 4, name), reverse=True)
        valued = {axis.name: axis for axis in self._frameAxesOf(counted, extent)}
        return tuple(valued[name] for name in names)

    def _planeAxes(self) -> list[Axis]:
        found = []
        for name, size in (('y', self._mm_y), ('x', self._mm_x)):
            unit = self._fileUnit(name)
            if size and millimeters(unit) is None:
                unit = UNIT
            elif not size and millimeters(unit) is not None:
                unit = None  # a size of 1 has to be written, which would be one of this unit
            stored = None if self._edited is None else self._edited.axis(name)
            found.append(replace(stored or Axis(name, 'space'), unit=unit))
        return found

    def _fileUnit(self, name: str) -> str | None:
        axis = None if self._edited is None else self._edited.axis(name)
        return None if axis is None else axis.unit

    def _transforms(
        self, axes: Sequence[Axis], left: int, top: int
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Return the size of a step along each axis that has one, and where the first pixel lies.

        :param axes: as they are written.
        :param left: pixels that were cut off, or negative added, on the left since the file was opened.
        :param top: likewise.
        """
        scales: dict[str, float] = {}
        offsets: dict[str, float] = {}
        sizes = {'x': self._mm_x, 'y': self._mm_y, 'z': self._mm_z}
        for axis in axes:
            if axis.name in {'c', 's'}:
                continue
            old, start = (None, 0.0) if self._edited is None else self._edited.transform(axis.name)
            scale = _in_unit(sizes.get(axis.name), axis, old)
            steps = equal_steps(axis)
            if steps is not None:
                start, step = steps
                scale = step if scale is None or not self._isSizeSet(axis.name) else scale
            elif old and scale:
                start *= scale / old
            cut = {'x': left, 'y': top}.get(axis.name, 0)
            if scale is not None:
                scales[axis.name] = scale
            if start or cut:
                offsets[axis.name] = start + cut * (scale or 1.0)
        return scales, offsets

    def _isSizeSet(self, name: str) -> bool:
        """Return whether the size of a step was set, rather than read from the file."""
        if name != 'z' or self._mm_z is None:
            return False
        return self._edited is None or self._edited.multiscale.millimeters('z') != self._mm_z


def _in_unit(size: float | None, axis: Axis, old: float | None) -> float | None:
    """Return millimeters in the unit of an axis.

    :param old: the size in the file, which stays as it is where it amounts to the same.
    """
    if size is None or axis.unit is None:
        return old if axis.name not in {'x', 'y'} or millimeters(axis.unit) is None else None
    if old is not None and to_millimeters(abs(old), axis.unit) == size:
        return old
    return math.copysign(from_millimeters(size, axis.unit), old or 1.0)


def equal_steps(axis: Axis) -> tuple[float, float] | None:
    """Return the first value and the step where values of space or time rise by equal steps, or None."""
    values: Sequence[Any] = axis.values or ()
    if axis.type not in {'space', 'time'} or len(values) < 2:
        return None
    if any(isinstance(one, bool) or not isinstance(one, (int, float)) for one in values):
        return None
    first, last = float(values[0]), float(values[-1])
    step = (last - first) / (len(values) - 1)
    largest = max(abs(first), abs(last))
    if not (0 < step < math.inf):
        return None
    slack = max(TOLERANCE * step, 4 * math.ulp(largest))
    if any(abs(float(one) - first - index * step) > slack for index, one in enumerate(values)):
        return None
    return first, float(f'{step:.12g}')
