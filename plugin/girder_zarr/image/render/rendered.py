"""How pixels are rendered without a style: windows (``display.py``), colors (``labels.py``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from girder_zarr.image.hierarchy.labels import AXIS, LabelFrames, Palette, is_label

from .display import to_uint8
from .picture import frame_windows
from .values import ValuesMixin

if TYPE_CHECKING:
    from girder_zarr.image.series.frames import FrameLayout
    from girder_zarr.image.series.series import Series


class RenderedMixin(ValuesMixin):
    """Renders pixels that are not pictures of 8 bits; `source.py` mixes it into ZarrFileTileSource."""

    _series: list[Series]
    _layout: FrameLayout
    _dtype: np.dtype[Any]
    _framecount: int
    _framesPerSeries: int
    _strides: dict[str, int]
    _axisCounts: dict[str, int]
    _editable: bool
    _isRendered: bool = False
    _cachedRenderedView: Any = None
    _cachedComposed: Any = None
    _labels: LabelFrames | None = None
    _palette: Palette | None = None

    def _resetRendering(self, first: Series) -> None:
        """Drop everything that was derived for rendering; the image has been described anew."""
        self._bandRanges: dict[Any, Any] = {}
        self._bandInfo = None
        self._windows: dict[int, tuple[tuple[float, float], ...]] = {}
        self._cachedRenderedView = self._cachedComposed = None
        label = is_label(first) and self._layout.bands == 1
        self._palette = Palette(first.attributes.get('image-label')) if label else None

    def _addLabels(self, labels: LabelFrames) -> None:
        """Let labels follow the frames of the image."""
        self._labels = labels
        self._strides[AXIS], self._axisCounts[AXIS] = self._framecount, 1 + len(labels.names)
        self._framecount *= 1 + len(labels.names)

    def _needsRendering(self) -> bool:
        """Return whether pictures of this source need a window or colors. A style replaces both."""
        otherwise = self._dtype != np.uint8 or self._labels is not None or self._palette is not None
        return otherwise and not self._isRendered and not getattr(self, '_style', None)

    def _renderedView(self) -> Self:
        """Return a view of this source whose pixels are rendered: uint8, in their window or colors."""
        view: Self | None = self._cachedRenderedView
        if view is None or self._editable:
            view = object.__new__(type(self))
            view.__dict__ = self.__dict__.copy()
            # What is temporary belongs to the original, as with large_image's own copies for styles.
            view._derivedSource = True  # type: ignore[attr-defined]
            view._isRendered = True
            view._dtype = np.dtype(np.uint8)
            view._bandRanges, view._bandInfo = {}, None
            view._classkey = f'{getattr(self, "_classkey", "")} rendered'  # type: ignore[attr-defined]
            view.__dict__.pop('_unstyledInstance', None)
            self._cachedRenderedView = view
        return view

    def _asPicture(self, pixels: np.ndarray, frame: int) -> np.ndarray:
        """Return pixels ``(y, x, band)`` rendered without a style, uint8; labels in their colors."""
        palette = self._palette
        if self._labels is not None and frame >= self._layout.count:
            palette = self._labels.palette(frame)
        if palette is not None:
            return palette.color(pixels[..., 0])
        return pixels if pixels.dtype == np.uint8 else to_uint8(pixels, self._frameWindows(frame))

    def _frameWindows(self, frame: int) -> tuple[tuple[float, float], ...]:
        found = self._windows.get(frame)
        if found is None:
            series = self._series[frame // self._framesPerSeries]
            region = self._layout.fixed(frame % self._framesPerSeries)
            channel = self._layout.positions(frame).get('c', 0)
            found = self._windows[frame] = frame_windows(series, self._layout, region, channel)
        return found
