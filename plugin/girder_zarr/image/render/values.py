"""What is stored at one place of an image: the values of its frames and of its labels, as JSON has them."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from girder_zarr.image.hierarchy.labels import LabelFrames
    from girder_zarr.image.series.frames import FrameLayout
    from girder_zarr.image.series.series import Series

#: Whole numbers beyond it are texts: programs whose numbers are doubles would take them for others.
EXACT = 2**53
#: How many properties of a value are said, and of each how many characters.
MAX_PROPERTIES, MAX_TEXT = 50, 200


class ValuesMixin:
    """Values at a place; :class:`.rendered.RenderedMixin` passes it on to ZarrFileTileSource."""

    _series: list[Series]
    _layout: FrameLayout
    _labels: LabelFrames | None
    _framecount: int
    _framesPerSeries: int
    _part: Callable[..., np.ndarray]
    sizeX: int
    sizeY: int

    def valuesAt(self, x: int, y: int, frame: int) -> list[int | float | str]:
        """Return the values of a pixel of the full resolution, one a band; none beyond the end of a frame.

        :param frame: of the image, or of a label where these are opened as frames.
        :raises NotFoundError: there is no such pixel or frame.
        :raises UnreadableImageError: the chunk cannot be read.
        """
        for name, value, count in (
            ('x', x, self.sizeX), ('y', y, self.sizeY), ('frame', frame, self._framecount)
        ):  # fmt: skip
            if not 0 <= value < count:
                msg = f'{name}: expected a number from 0 to {count - 1}, found {value}.'
                raise NotFoundError(msg)
        pixels = self._part((x, y, x + 1, y + 1), 1, frame)
        return [plain(value) for value in pixels.reshape(-1)]

    def labelAt(self, x: int, y: int, frame: int, name: str) -> dict[str, Any]:
        """Return the value of a label at a pixel of the image, with its color and its properties.

        :param frame: of the image, on which the label lies.
        :param name: of the label, of an image that is opened with its labels.
        :raises NotFoundError: there is no such pixel, frame or label.
        :raises UnreadableImageError: the label cannot be read.
        """
        labels = self._labels
        if labels is None or name not in labels.names:
            known = ', '.join(labels.names[:20]) if labels is not None else ''
            has = f'there are {known}' if known else 'the image has none'
            msg = f'labels: expected names of labels of the image; {has}, found {name[:100]!r}.'
            raise NotFoundError(msg)
        own = labels.frame(name, frame)
        value = self.valuesAt(x, y, own)[0]
        color = labels.palette(own).color(np.array([[_number(value)]]))[0, 0]
        return {
            'name': name,
            'value': value,
            'color': [int(part) for part in color],
            'properties': shortened(labels.properties(own, int(_number(value)))),
        }

    def placeOf(self, frame: int = 0) -> dict[str, dict[str, Any]]:
        """Return where the pixels of a frame lie, for x and y: position = translation + scale * pixel.

        :returns: for each axis these, and the unit; the scale is None where the file does not say it.
        """
        multiscale = self._series[frame // self._framesPerSeries % len(self._series)].multiscale
        level = multiscale.levels[0]
        return {
            name: {
                'scale': level.size(axis),
                'translation': level.translation[axis],
                'unit': multiscale.axes[axis].unit,
            }
            for name, axis in (('x', self._layout.x), ('y', self._layout.y))
        }

    def valuesCost(self, frames: Sequence[int], labels: int = 0) -> int:
        """Return how many stored pixels are decoded for the values of one pixel: those of its chunks.

        :param frames: of the image.
        :param labels: how many labels are asked for; each is taken to have chunks such as the image's.
        """
        chunks, volume = set(), 0
        for frame in frames:
            number, own = divmod(frame, self._framesPerSeries)
            level = self._series[number].levels[0]
            sides = [min(side, chunk) for side, chunk in zip(level.shape, level.chunks, strict=True)]
            starts = (part.start // side for part, side in zip(self._layout.fixed(own), sides, strict=True))
            chunks.add((number, *starts))
            volume = max(volume, math.prod(sides))
        return volume * (len(chunks) + labels)

    def imageFrames(self) -> int:
        """Return how many frames the image has without its labels."""
        return self._layout.count

    def labelNames(self) -> list[str]:
        """Return the names of the labels that follow as frames, in their order."""
        return [] if self._labels is None else list(self._labels.names)

    def labelCost(self, frame: int, box: tuple[int, int, int, int], step: int) -> int:
        """Return how many stored pixels of a label are decoded for a part of it; 0 for a frame of the image.

        :param box: left, top, right, bottom in pixels of the full resolution of the image.
        :param step: pixels of it along a side of one of the picture.
        """
        if self._labels is None or not self._layout.count <= frame < self._framecount:
            return 0
        return self._labels.cost(frame, box, step)


def plain(value: Any) -> int | float | str:
    """Return a numpy value as a number of JSON; as a text what JSON's numbers do not hold."""
    if value.dtype.kind in 'bui':
        whole = int(value)
        return whole if abs(whole) <= EXACT else str(whole)
    if value.dtype.kind != 'f':
        return str(value)
    # The shortest decimal of its own precision: 0.1 of float32 is not 0.10000000149.
    number = float(str(value))
    return number if math.isfinite(number) else str(value)


def _number(value: float | str) -> int | float:
    try:
        return int(value) if isinstance(value, str) else value
    except ValueError:
        return 0  # not a finite number: no label


def shortened(properties: dict[str, Any]) -> dict[str, Any]:
    """Return properties of a value within bounds: numbers, texts, and of all else its JSON as a text."""
    found: dict[str, Any] = {}
    for key, value in list(properties.items())[:MAX_PROPERTIES]:
        if isinstance(value, float) and not math.isfinite(value):
            found[key[:MAX_TEXT]] = str(value)
        elif value is None or isinstance(value, (bool, int, float)):
            found[key[:MAX_TEXT]] = value
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            found[key[:MAX_TEXT]] = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + '…'
    return found
