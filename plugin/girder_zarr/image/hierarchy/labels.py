"""Labels: the colors of their values, and labels as frames that follow those of the image.

Specification: https://ngff.openmicroscopy.org/0.4/#label-md. A label may have a resolution, a type and levels
of its own; its pixels are never mixed.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.series.reduce import read_reduced

from .plate_fields import check_reduction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from girder_zarr.image.series.frames import FrameLayout
    from girder_zarr.image.series.series import Series

#: The axis along which labels follow the image: 0 is the image, n the label n.
AXIS = 'label'
#: Multiplied with a value, spreads neighboring values over the colors (Knuth, The Art, 6.4).
SPREAD = np.uint64(2654435761)
#: The dimmest that a color that is not given may be, of 255: it stands out from black.
DIMMEST = np.uint8(64)


class Palette:
    """The colors of a label's values.

    Those that the metadata gives; otherwise always the same color for the same value, and nothing for 0.

    :param metadata: the ``image-label`` object.
    """

    def __init__(self, metadata: object) -> None:
        given: dict[int, tuple[int, ...]] = {}
        listed = metadata.get('colors') if isinstance(metadata, dict) else None
        for item in listed if isinstance(listed, list) else []:
            rgba = item.get('rgba') if isinstance(item, dict) else None
            value = item.get('label-value') if isinstance(item, dict) else None
            if _is_value(value) and isinstance(rgba, list) and _is_rgba(rgba):
                given[int(value or 0) % 2**64] = tuple(rgba)
        self._values = np.array(sorted(given), np.uint64)
        self._colors = np.array([given[value] for value in sorted(given)], np.uint8).reshape(-1, 4)

    def color(self, values: np.ndarray) -> np.ndarray:
        """Return values as colors.

        :param values: whole numbers of any type, (y, x).
        :returns: uint8, (y, x, 4): red, green, blue and alpha.
        """
        unique, places = np.unique(values, return_inverse=True)
        if unique.dtype.kind == 'f':
            unique = np.nan_to_num(unique, nan=0, posinf=0, neginf=0)
        # Negative numbers take the place of the highest ones.
        numbers = unique if unique.dtype == np.uint64 else unique.astype(np.int64).astype(np.uint64)
        mixed = numbers * SPREAD
        colors = np.empty((len(numbers), 4), np.uint8)
        for band, shift in enumerate((16, 8, 0)):
            colors[:, band] = (mixed >> np.uint64(shift)).astype(np.uint8) | DIMMEST
        colors[:, 3] = 255
        colors[numbers == 0] = 0
        if len(self._values):
            at = np.minimum(np.searchsorted(self._values, numbers), len(self._values) - 1)
            known = self._values[at] == numbers
            colors[known] = self._colors[at[known]]
        result: np.ndarray = colors[places.reshape(values.shape)]
        return result


def _is_value(value: object) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and -(2**63) <= value < 2**64
        and value == int(value)
    )


def _is_rgba(value: list[Any]) -> bool:
    return len(value) == 4 and all(
        isinstance(part, int) and not isinstance(part, bool) and 0 <= part <= 255 for part in value
    )


def is_label(series: Series) -> bool:
    """Return whether an image is a label, with whole numbers as values."""
    return 'image-label' in series.attributes and series.levels[0].dtype.kind in 'biu'


def properties_of(metadata: object) -> dict[int, dict[str, Any]]:
    """Return what the metadata of a label says of its values; what is malformed is passed over.

    :param metadata: the ``image-label`` object.
    """
    listed = metadata.get('properties') if isinstance(metadata, dict) else None
    found: dict[int, dict[str, Any]] = {}
    for item in listed if isinstance(listed, list) else []:
        value = item.get('label-value') if isinstance(item, dict) else None
        if _is_value(value):
            found[int(value or 0)] = {key: one for key, one in item.items() if key != 'label-value'}
    return found


class LabelFrames:
    """The labels of an image as frames after its own: for each label as many as the image has, in its order.

    A label that lacks an axis of the image, as channels, is the same all along it.

    :param find: makes the labels, by name; each is opened when it is first read.
    :param image: whose labels they are, and ``layout`` its frames.
    """

    def __init__(self, find: Mapping[str, Callable[[], Series]], image: Series, layout: FrameLayout) -> None:
        self.names = tuple(find)
        self._find = tuple(find.values())
        self._image, self._layout = image, layout
        self._opened: dict[int, _OpenedLabel] = {}
        self._lock = threading.Lock()

    def records(self, frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the frame list with the labels.

        :param frames: the list of the image alone.
        """
        key = 'Index' + AXIS.upper()
        found = [{**frame, key: 0} for frame in frames]
        for number, name in enumerate(self.names):
            for frame in frames:
                kept = {one: value for one, value in frame.items() if one not in ('Color', 'Window')}
                found.append({**kept, 'Frame': len(found), key: number + 1, 'Label': name})
        return found

    def part(self, frame: int, corners: tuple[int, int, int, int], step: int) -> np.ndarray:
        """Return a part of a label as (y, x, 1), in the label's own type.

        :param frame: counted with those of the image.
        :param corners: left, top, right, bottom in pixels of the output.
        :param step: full-resolution pixels of the image along a side of one of the output.
        """
        number, frame = divmod(frame, self._layout.count)
        return self._label(number - 1).label.part(self._layout.positions(frame), corners, step)

    def palette(self, frame: int) -> Palette:
        """Return the colors of a label's frame."""
        return self._label(frame // self._layout.count - 1).palette

    def properties(self, frame: int, value: int) -> dict[str, Any]:
        """Return what the file says of a value of a label's frame."""
        return self._label(frame // self._layout.count - 1).properties.get(value, {})

    def frame(self, name: str, frame: int) -> int:
        """Return the frame of a label that lies on a frame of the image."""
        return (self.names.index(name) + 1) * self._layout.count + frame

    def cost(self, frame: int, box: tuple[int, int, int, int], step: int) -> int:
        """Return how many stored pixels are decoded for a part of a label's frame.

        :param box: left, top, right, bottom in pixels of the full resolution of the image.
        :param step: as in `part`.
        """
        left, top, right, bottom = box
        corners = left // step, top // step, -(-right // step), -(-bottom // step)
        return self._label(frame // self._layout.count - 1).label.cost(corners, step)

    def _label(self, number: int) -> _OpenedLabel:
        with self._lock:
            found = self._opened.get(number)
            if found is None:
                series = self._find[number]()
                said = series.attributes.get('image-label')
                try:
                    label = _Label(series, self._image, self._layout)
                except UnreadableImageError as error:
                    raise UnreadableImageError(f'labels/{self.names[number]}: {error}') from error
                found = self._opened[number] = _OpenedLabel(label, Palette(said), properties_of(said))
            return found


class _OpenedLabel(NamedTuple):
    """A label that has been read, and what its file says of its values."""

    label: _Label
    palette: Palette
    properties: dict[int, dict[str, Any]]


class _Label:
    """One label where it lies on its image."""

    def __init__(self, series: Series, image: Series, layout: FrameLayout) -> None:
        self._levels = series.levels
        self._axes = [axis.name for axis in series.multiscale.axes]
        self._y, self._x = series.multiscale.picture_axes()
        base = image.levels[0].shape
        self._whole = base[layout.y], base[layout.x]
        self._size, self._corner = _place(series, image, (self._y, self._x), (layout.y, layout.x))

    def part(self, positions: dict[str, int], corners: tuple[int, int, int, int], step: int) -> np.ndarray:
        left, top, right, bottom = corners
        bottom, right = min(bottom, -(-self._whole[0] // step)), min(right, -(-self._whole[1] // step))
        if bottom <= top or right <= left:
            return np.zeros((0, 0, 1), self._levels[0].dtype)
        number, ratio = self._choose(step)
        level = self._levels[number]
        sides = level.shape[self._y], level.shape[self._x]
        first = [round(corner / step) for corner in self._corner]
        out = np.zeros((bottom - top, right - left, 1), level.dtype)
        ranges = []
        for start, stop, origin, side, factor in zip(
            (top, left), (bottom, right), first, sides, ratio, strict=True
        ):
            last = origin + math.ceil(side / factor)
            ranges.append((max(start, origin), min(stop, last)))
        (top_in, bottom_in), (left_in, right_in) = ranges
        if bottom_in <= top_in or right_in <= left_in:
            return out
        region = self._region(number, positions)

        def read(*box: int) -> np.ndarray:
            parts = list(region)
            parts[self._y], parts[self._x] = slice(box[0], box[2]), slice(box[1], box[3])
            pixels = np.moveaxis(level.read(tuple(parts)), (self._y, self._x), (0, 1))
            return pixels.reshape(box[2] - box[0], box[3] - box[1], 1)

        corner = top_in - first[0], left_in - first[1]
        size = bottom_in - top_in, right_in - left_in
        if ratio == (1.0, 1.0):
            found = read(corner[0], corner[1], corner[0] + size[0], corner[1] + size[1])
        else:
            check_reduction(level, level.dtype.itemsize, ratio)
            found = read_reduced(read, sides, corner, size, ratio, smooth=False)
        out[top_in - top : bottom_in - top, left_in - left : right_in - left] = found
        return out

    def cost(self, corners: tuple[int, int, int, int], step: int) -> int:
        """Return how many stored pixels `part` reads: whole chunks of the level that it takes."""
        left, top, right, bottom = corners
        number, ratio = self._choose(step)
        level = self._levels[number]
        pixels = 1
        for axis, length, factor in ((self._y, bottom - top, ratio[0]), (self._x, right - left, ratio[1])):
            side, chunk = level.shape[axis], min(level.chunks[axis], level.shape[axis])
            pixels *= min(side, -(-math.ceil(length * factor) // chunk) * chunk)
        return pixels

    def _choose(self, step: int) -> tuple[int, tuple[float, float]]:
        """Return the lowest level that is no lower than a step, and its pixels to one of the output."""
        base = self._levels[0].shape
        best = 0, (step / self._size[0], step / self._size[1])
        for number, level in enumerate(self._levels):
            factors = (
                self._size[0] * _factor(base[self._y], level.shape[self._y]),
                self._size[1] * _factor(base[self._x], level.shape[self._x]),
            )
            if max(factors) <= step:
                best = number, (step / factors[0], step / factors[1])
        return best

    def _region(self, number: int, positions: dict[str, int]) -> list[slice]:
        """Return the region of a frame in a level: one position along each axis but y and x."""
        parts = []
        for axis, name in enumerate(self._axes):
            length, own = self._levels[0].shape[axis], self._levels[number].shape[axis]
            place = min(positions.get(name, 0), length - 1) * own // length
            parts.append(slice(place, place + 1))
        return parts


def _factor(whole: int, part: int) -> float:
    near = max(1, round(whole / part))
    return float(near) if abs(part - whole / near) < 1 else whole / part


def _place(
    label: Series, image: Series, own: tuple[int, int], axes: tuple[int, int]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return how many pixels of the image one of the label is, and where its first one lies, along y and x.

    The transforms of both decide where it lies, if that is inside the image; otherwise it covers all of it.

    :param own: y and x of the label, and ``axes`` of the image.
    """
    of_label, of_image = label.multiscale.levels[0], image.multiscale.levels[0]
    sizes, corners, inside = [], [], True
    for at, of in zip(own, axes, strict=True):
        size = abs(of_label.scale[at] / of_image.scale[of])
        corner = (of_label.translation[at] - of_image.translation[of]) / of_image.scale[of]
        end = corner + size * label.levels[0].shape[at]
        slack = max(size, 1.0)
        inside = inside and corner > -slack and end < image.levels[0].shape[of] + slack
        sizes.append(float(round(size)) if abs(size - round(size)) < 1e-6 * size and round(size) else size)
        corners.append(corner)
    # Steps of 1 from 0 on are what programs write that do not know where the label lies.
    silent = all((of_label.scale[at], of_label.translation[at]) == (1, 0) for at in own)
    if silent and any(of_image.scale[of] != 1 for of in axes):
        inside = False
    if inside:
        return (sizes[0], sizes[1]), (corners[0], corners[1])
    found = [
        _factor(image.levels[0].shape[of], label.levels[0].shape[at])
        if image.levels[0].shape[of] >= label.levels[0].shape[at]
        else image.levels[0].shape[of] / label.levels[0].shape[at]
        for at, of in zip(own, axes, strict=True)
    ]
    return (found[0], found[1]), (0.0, 0.0)
