"""Axes and series of an image as large_image sees them: x, y, bands, and everything else as frames."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.image.ngff.metadata import Channel, Multiscale

    from .series import Series

RGB_COLORS = ('FF0000', '00FF00', '0000FF')
#: The axes whose positions follow each other fastest, in this order; others come after, by name.
FASTEST = 'czt'

#: Begins the name of an axis that only the array has; it is not shown where its length is 1.
HIDDEN = '_'


@dataclass(frozen=True)
class FrameAxis:
    """One axis of the frames: position = (frame // stride) % count.

    :param name: lower case; large_image calls the position ``Index`` + the name in upper case.
    :param index: the array axis, or None for ``xy``, which counts the series.
    """

    name: str
    index: int | None
    stride: int
    count: int


@dataclass(frozen=True)
class FrameLayout:
    """Where x, y, bands and frames lie in arrays of ``ndim`` axes.

    :param bands: samples a pixel; they lie along the axis ``band_axis`` (None: a pixel is one sample).
    :param axes: the frame axes, the fastest first.
    :param count: the number of frames.
    """

    ndim: int
    x: int
    y: int
    band_axis: int | None
    bands: int
    axes: tuple[FrameAxis, ...]
    count: int

    def positions(self, frame: int) -> dict[str, int]:
        """Return the position along each frame axis, by axis name."""
        return {axis.name: frame // axis.stride % axis.count for axis in self.axes}

    def fixed(self, frame: int) -> tuple[slice, ...]:
        """Return the region of a frame; the places of x and y are to be filled in."""
        region = [slice(0, 1)] * self.ndim
        if self.band_axis is not None:
            region[self.band_axis] = slice(0, self.bands)
        for axis in self.axes:
            if axis.index is None:
                continue
            position = frame // axis.stride % axis.count
            if axis.index == self.band_axis:
                region[axis.index] = slice(position * self.bands, (position + 1) * self.bands)
            else:
                region[axis.index] = slice(position, position + 1)
        return tuple(region)

    def picture(self, pixels: np.ndarray) -> np.ndarray:
        """Return one frame's pixels with the axes (y, x, band).

        :param pixels: a region of one frame, with all axes of the array.
        """
        order = [axis for axis in range(self.ndim) if axis not in (self.y, self.x, self.band_axis)]
        order += [self.y, self.x]
        if self.band_axis is not None:
            order.append(self.band_axis)
        pixels = pixels.transpose(order)
        pixels = pixels[(0,) * (self.ndim - 2 - (self.band_axis is not None))]
        return pixels if self.band_axis is not None else pixels[..., np.newaxis]


def count_bands(multiscale: Multiscale, shape: Sequence[int]) -> tuple[int | None, int]:
    """Return the array axis that carries the bands (or None) and how many bands a pixel has.

    See 'Bands' in docs/architecture.md: an axis ``s``; else our own attribute; else a channel axis of
    length 3 or 4 without omero metadata or with the colours red, green and blue.
    """
    samples = multiscale.axis_index('s')
    if samples is not None:
        return samples, shape[samples]
    channel = multiscale.axis_index('c')
    if channel is None:
        return None, 1
    length = shape[channel]
    stored = multiscale.extra.get('bands')
    if isinstance(stored, int) and stored > 0 and length % stored == 0:
        return (channel, stored) if stored > 1 else (None, 1)
    if length in (3, 4) and _looks_like_color(multiscale.channels, length):
        return channel, length
    return None, 1


def _looks_like_color(channels: Sequence[Channel] | None, length: int) -> bool:
    if channels is None:
        return True
    if len(channels) != length or tuple(channel.color for channel in channels[:3]) != RGB_COLORS:
        return False
    # Four fluorescence channels often have these colours as well; only a fourth one that says so is alpha.
    return length == 3 or (channels[3].label or '').lower() == 'alpha'


def lay_out(series: Sequence[Series], *, stored_order: bool = False) -> FrameLayout:
    """Return the frames of the series, which all have the axes of the first.

    :param stored_order: the last stored axis is the fastest (an image that is being written); otherwise the
        order is c, z, t, others.
    :raises UnreadableImageError: there is no x or no y axis.
    """
    multiscale = series[0].multiscale
    shape = series[0].levels[0].shape
    y, x = multiscale.picture_axes()
    band_axis, bands = count_bands(multiscale, shape)
    found = []
    for index, axis in enumerate(multiscale.axes):
        hidden = axis.name.startswith(HIDDEN) and shape[index] == 1
        if hidden or index in (x, y) or (index == band_axis and shape[index] == bands):
            continue
        found.append((axis.name, index, shape[index] // bands if index == band_axis else shape[index]))
    if stored_order:
        found.reverse()
    else:
        found.sort(key=lambda item: (FASTEST.find(item[0]) % (len(FASTEST) + 1), item[0]))
    axes = []
    stride = 1
    for name, index, count in found:
        axes.append(FrameAxis(name, index, stride, count))
        stride *= count
    if len(series) > 1:
        axes.append(FrameAxis('xy', None, stride, len(series)))
        stride *= len(series)
    return FrameLayout(len(shape), x, y, band_axis, bands, tuple(axes), stride)


def channel_names(multiscale: Multiscale, layout: FrameLayout) -> list[str] | None:
    """Return one distinct name for each position of the channel axis, or None where no channel has a label.

    With bands, a channel takes the label that its first band has.
    """
    axis = next((axis for axis in layout.axes if axis.name == 'c'), None)
    if axis is None:
        return None
    stored = multiscale.extra.get('channelNames')
    if isinstance(stored, list) and len(stored) == axis.count and all(isinstance(one, str) for one in stored):
        return list(stored)
    if not multiscale.channels or multiscale.extra.get('unnamedChannels') is True:
        return None
    step = layout.bands if axis.index == layout.band_axis else 1
    labels = [channel.label for channel in multiscale.channels[::step]][: axis.count]
    if not any(labels):
        return None
    labels += [None] * (axis.count - len(labels))
    names: list[str] = []
    for index, label in enumerate(labels):
        name = label or f'Channel {index}'
        names.append(name if name not in names else f'{name} ({index})')
    return names


def frame_records(series: Sequence[Series], layout: FrameLayout) -> list[dict[str, Any]]:
    """Return large_image's frame list: the position and, where known, the value along each axis."""
    axes = series[0].multiscale.axes
    records = []
    each = layout.count // len(series)
    for frame in range(layout.count):
        record: dict[str, Any] = {'Frame': frame}
        for axis in layout.axes:
            position = frame // axis.stride % axis.count
            record['Index' + axis.name.upper()] = position
            if axis.index is None:
                continue
            values = axes[axis.index].values
            value = _value(values, position, frame, axis.count, layout.count) if values else None
            if value is None or (isinstance(value, float) and not math.isfinite(value)):
                value = _measured(series[frame // each].multiscale, axis.index, position)
            if value is not None:
                record['Value' + axis.name.upper()] = value
        record.update(_channel_record(series[0].multiscale, layout, record.get('IndexC')))
        if len(series) > 1:
            shown = series[frame // (layout.count // len(series))]
            record.update({'Series': shown.name, **shown.place} if shown.name else shown.place)
        records.append(record)
    return records


def _channel_record(multiscale: Multiscale, layout: FrameLayout, position: int | None) -> dict[str, Any]:
    """Return the color and window of a frame's channel, where the metadata gives them."""
    channels = multiscale.channels
    if channels is None or position is None or layout.bands > 1 or position >= len(channels):
        return {}
    channel = channels[position]
    record: dict[str, Any] = {}
    if channel.color:
        record['Color'] = '#' + channel.color
    if channel.window:
        record['Window'] = asdict(channel.window)
    return record


def _measured(multiscale: Multiscale, index: int, position: int) -> float | None:
    """Return where a position along an axis of space or time lies, or None where the file does not say.

    Without a unit, steps of 1 from 0 on are what programs write that do not know it either.
    """
    axis, level = multiscale.axes[index], multiscale.levels[0]
    size = level.size(index)
    if axis.type not in ('space', 'time') or size is None:
        return None
    if not axis.unit and (size, level.translation[index]) == (1, 0):
        return None
    return float(f'{level.translation[index] + position * size:.12g}')


def _value(values: Sequence[Any], position: int, frame: int, count: int, frames: int) -> object:
    """Values are given for each position of the axis or, where they vary, for each frame."""
    if len(values) == count:
        return values[position]
    return values[frame] if len(values) == frames else None


def frame_values(
    multiscale: Multiscale, layout: FrameLayout, missing: object = 0
) -> tuple[list[str] | None, dict[str, str] | None, np.ndarray | None]:
    """Return large_image's frameAxes, frameUnits and frameValues, or None for each where no axis has values.

    :param missing: what stands where a position has no value.
    :returns: the axes that have values, their units by name, and an object array with one axis for each of
        them and a last one that names the axis of the value.
    """
    axes = [axis for axis in layout.axes if axis.index is not None and multiscale.axes[axis.index].values]
    axes.sort(key=lambda axis: axis.index or 0)
    if not axes:
        return None, None, None
    values = np.full((*(axis.count for axis in axes), len(axes)), missing, dtype=object)
    for frame in range(layout.count):
        places = tuple(frame // axis.stride % axis.count for axis in axes)
        for number, axis in enumerate(axes):
            stored = multiscale.axes[axis.index or 0].values or ()
            value = _value(stored, places[number], frame, axis.count, layout.count)
            if value is not None:
                values[(*places, number)] = value
    units = {axis.name: unit for axis in axes if (unit := multiscale.axes[axis.index or 0].unit)}
    return [axis.name for axis in axes], units, values


def native_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type in the byte order of this machine."""
    return dtype.newbyteorder('=')
