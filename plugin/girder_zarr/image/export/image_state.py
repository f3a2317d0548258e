"""A new or edited image as `write` gets it: pixels and properties, gathered by the sink."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import EditError
from girder_zarr.image.ngff.metadata import Axis

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from girder_zarr.image.canvas.canvas import Canvas
    from girder_zarr.image.canvas.form import CanvasExtent
    from girder_zarr.image.canvas.scratch import Scratch
    from girder_zarr.image.ngff.carried import Carried
    from girder_zarr.image.ngff.metadata import Channel
    from girder_zarr.image.series.series import LevelReader

CHANNEL_AXIS = Axis('c', 'channel')
#: The order of axes that NGFF asks for (0.5, section 3.4); others come where channel is.
_RANK = {'time': 0, 'custom': 1, 'channel': 2, 'space': 3}


@dataclass(frozen=True)
class OutputWindow:
    """The part of a canvas that is written, in image pixels, and how large the output is."""

    x: int
    y: int
    width: int
    height: int
    out_width: int
    out_height: int


def output_window(
    extent: CanvasExtent,
    crop: tuple[int, int, int, int] | None,
    min_width: int | None,
    min_height: int | None,
) -> OutputWindow:
    """Return what is written: the crop, as far as the image goes, and at least the minimum size.

    :param extent: of the canvas.
    :param crop: x, y, width, height in pixels of the image; None: all of it.
    :raises EditError: the crop lies outside the image.
    """
    x, y, width, height = crop or (0, 0, extent.width, extent.height)
    if x >= extent.width or y >= extent.height:
        raise EditError(
            f'The crop {(x, y, width, height)} lies outside the image of {extent.width} x {extent.height}'
        )
    width, height = min(width, extent.width - x), min(height, extent.height - y)
    return OutputWindow(x, y, width, height, max(width, min_width or 0), max(height, min_height or 0))


def in_ngff_order(axes: Iterable[Axis]) -> list[Axis]:
    """Return axes in the order that NGFF asks for: time, custom, channel, space."""
    return sorted(axes, key=lambda axis: _RANK[axis.type])


@dataclass(frozen=True)
class NewImageState:
    """All that is written of an image. Properties are those of the sink, checked when they were set.

    :param canvas: the pixels; ``extent``: how far they go now.
    :param scratch: the folder for temporary data.
    :param window: which part of the canvas is written.
    :param frame_axes: with units and values, in the order of NGFF.
    :param plane_axes: y and x, with units.
    :param scale: the size of a step along axes by name; ``translation``: where the first pixel that is
        written lies. Both in the unit of the axis.
    :param channel_names: of the positions of axis c as the user counts them; ``channel_colors``: as six
        hexadecimal digits.
    :param value_axes: the axes that frame values were set for, or None.
    :param projection: the reference system of ``gcps``, which are in pixels of what is written.
    :param associated: further images ``(y, x, band)`` by name.
    :param carried: metadata of the file that is edited; None: this is no edited file.
    :param stored: its channels; empty where bands of a pixel are others now.
    :param extra: further keys of its attribute ``girder_zarr``.
    :param channel_axis: the axis that the bands of a pixel, or custom axes, become where there is none.
    """

    canvas: Canvas
    extent: CanvasExtent
    scratch: Scratch
    window: OutputWindow
    frame_axes: tuple[Axis, ...]
    plane_axes: tuple[Axis, ...]
    scale: Mapping[str, float]
    translation: Mapping[str, float]
    channel_names: tuple[str, ...]
    channel_colors: tuple[str, ...]
    description: Any
    additional_metadata: Any
    magnification: float | None
    value_axes: list[str] | None
    projection: Any
    gcps: list[list[float]] | None
    associated: Mapping[str, LevelReader]
    carried: Carried | None = None
    stored: tuple[Channel, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    channel_axis: Axis = CHANNEL_AXIS
