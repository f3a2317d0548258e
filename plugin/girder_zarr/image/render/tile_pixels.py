"""The pixels of tiles and regions: from a place in the picture to the level, the frame and the part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from girder_zarr.image.series.reduce import choose_level

from .passthrough import stored_jpeg
from .picture import read_frame, sides_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    from girder_zarr.image.hierarchy.labels import LabelFrames
    from girder_zarr.image.series.frames import FrameLayout
    from girder_zarr.image.series.reduce import Choice
    from girder_zarr.image.series.series import Series


class TilePixelsMixin:
    """Reads tiles and regions as they are stored; `source.py` mixes it into ZarrFileTileSource."""

    tileWidth: int
    tileHeight: int
    levels: int
    edge: Any
    _series: list[Series]
    _layout: FrameLayout
    _labels: LabelFrames | None
    _choices: Mapping[int, Choice]
    _framesPerSeries: int
    _isRendered: bool
    _asPicture: Callable[[np.ndarray, int], np.ndarray]
    _xyzToCorners: Callable[[int, int, int], tuple[int, int, int, int, int]]

    def _pixels(self, x: int, y: int, z: int, frame: int) -> np.ndarray:
        """Return a tile's pixels as (y, x, band), smaller at the right and bottom edges."""
        left, top, right, bottom, step = self._xyzToCorners(x, y, z)
        corners = (left // step, top // step, -(-right // step), -(-bottom // step))
        return self._part(corners, step, frame)

    def _storedTile(self, x: int, y: int, z: int, frame: int) -> bytes | None:
        """Return a tile as it is stored, where it is stored as JPEG."""
        left, top, right, bottom, step = self._xyzToCorners(x, y, z)
        if frame >= self._layout.count:
            return None  # a label
        choice, series = self._choices[step], self._series[frame // self._framesPerSeries]
        whole = right - left == self.tileWidth * step and bottom - top == self.tileHeight * step
        if not whole or not choice.exact or series is not self._series[0] or not self._isPlain():
            return None
        level = series.levels[choice.level]
        counts = (axis.index is None or level.shape[axis.index] >= axis.count for axis in self._layout.axes)
        region = self._layout.fixed(frame % self._framesPerSeries)
        corners = (left // step, top // step, right // step, bottom // step)
        return stored_jpeg(level, self._layout, region, corners) if all(counts) else None

    def _part(self, corners: tuple[int, int, int, int], step: int, frame: int) -> np.ndarray:
        """Return what lies between left, top, right and bottom of a frame, ``step`` times smaller."""
        if self._labels is not None and frame >= self._layout.count:
            return self._labels.part(frame, corners, step)
        number = frame // self._framesPerSeries
        series = self._series[number]
        choice = self._choices[step]
        if number and series.levels is not self._series[0].levels:
            choice = choose_level(sides_of(series, self._layout), step)
        region = self._layout.fixed(frame % self._framesPerSeries)
        return read_frame(series, self._layout, region, corners, choice)

    def _regionPixels(self, corners: tuple[int, int, int, int], level: int, frame: int) -> np.ndarray:
        """Return a part of one of large_image's levels, which count from the lowest resolution, as shown."""
        pixels = self._part(corners, 2 ** (self.levels - 1 - level), frame)
        return self._asPicture(pixels, frame) if self._isRendered else pixels

    def _isPlain(self) -> bool:
        """Whether pixels are given as they are: no style, no color profile, nothing done to the edges."""
        return not (getattr(self, '_style', None) or self.edge or hasattr(self, '_iccprofiles'))
