"""Channels in their colours, added up, as microscopes and other viewers show them.

large_image's styles take the lightest of the channels (``lighten``), which shows other colours where
channels lie upon each other. A style all of whose bands say ``"composite": "add"`` is added up here;
large_image's other sources take it for ``lighten``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from .display import usable_window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.image.series.frames import FrameLayout
    from girder_zarr.image.series.series import Series

ADD = 'add'
#: The most channels of a picture.
MAX_BANDS = 64
_FIELDS = {'band', 'composite', 'frame', 'framedelta', 'max', 'min', 'palette'}
_COLOR = re.compile('#[0-9a-fA-F]{6}')


class Band(NamedTuple):
    """A channel of a picture.

    :param frame: the number of the frame, or how far it is from the one that is asked for.
    :param is_delta: which of the two. :param band: of the tile, from 0.
    :param window: values that are black and that have the full colour; None: that of the source.
    :param color: red, green and blue, 0 to 255.
    """

    frame: int
    is_delta: bool
    band: int
    window: tuple[float | None, float | None]
    color: tuple[int, int, int]


def added_bands(style: Any) -> list[Band] | None:
    """Return the channels of a style that adds them up, or None: it is another style.

    :raises ValueError: it is one, and malformed.
    """
    bands = style.get('bands') if isinstance(style, dict) else None
    if not isinstance(bands, list) or not any(
        isinstance(one, dict) and one.get('composite') == ADD for one in bands
    ):
        return None
    if len(bands) > MAX_BANDS:
        msg = f'expected at most {MAX_BANDS} bands, found {len(bands)}'
        raise ValueError(msg)
    return [_band(one) for one in bands]


def _band(entry: dict[str, Any]) -> Band:
    unknown = sorted(set(entry) - _FIELDS)
    if unknown or entry.get('composite') != ADD:
        msg = f'bands that are added up have {", ".join(sorted(_FIELDS))}, found {str(entry)[:100]}'
        raise ValueError(msg)
    palette = entry.get('palette', '#FFFFFF')
    if not isinstance(palette, str) or not _COLOR.fullmatch(palette):
        msg = f'palette: expected a colour such as "#FF8000", found {str(palette)[:40]!r}'
        raise ValueError(msg)
    is_delta = entry.get('frame') is None
    frame = entry.get('framedelta') or 0 if is_delta else entry['frame']
    band = entry.get('band', 1)
    if not all(type(one) is int for one in (frame, band)) or band < 1:
        msg = f'frame, framedelta and band: expected integers, found {str(entry)[:100]}'
        raise ValueError(msg)
    red, green, blue = (int(palette[at : at + 2], 16) for at in (1, 3, 5))
    window = _limit(entry.get('min')), _limit(entry.get('max'))
    return Band(frame, is_delta, band - 1, window, (red, green, blue))


def _limit(value: Any) -> float | None:
    if value is None or value == 'auto':
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        msg = f'min and max: expected numbers or "auto", found {str(value)[:40]!r}'
        raise ValueError(msg)
    return float(value)


def add_up(
    planes: Sequence[np.ndarray],
    windows: Sequence[tuple[float, float]],
    colors: Sequence[tuple[int, int, int]],
) -> np.ndarray:
    """Return channels in their windows and colours, added up and cut at white: (y, x, 3) of uint8.

    :param planes: (y, x), all of one shape, of any numbers; what is not finite is black.
    """
    shape = planes[0].shape
    # Component by component, and in the same memory: that takes a third less of a processor.
    sums = np.zeros((3, *shape), np.float32)
    share, part = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for plane, (low, high), color in zip(planes, windows, colors, strict=True):
        np.subtract(plane, np.float32(low), out=share, dtype=np.float32, casting='unsafe')
        share /= np.float32(high - low if high != low else 1)
        if plane.dtype.kind == 'f':
            np.nan_to_num(share, copy=False, nan=0)
        np.clip(share, 0, 1, out=share)
        for total, value in zip(sums, color, strict=True):
            if value:
                np.add(total, np.multiply(share, np.float32(value), out=part), out=total)
    np.minimum(sums, 255, out=sums)
    out = np.empty((*shape, 3), np.uint8)
    out[...] = np.moveaxis(np.rint(sums, out=sums), 0, -1)
    return out


class CompositeMixin:
    """Adds channels up; `source.py` mixes it into ZarrFileTileSource."""

    _series: list[Series]
    _layout: FrameLayout
    _dtype: np.dtype[Any]
    _framecount: int
    _strides: dict[str, int]
    _unstyled: Any
    _frameWindows: Any
    _cachedComposed: Any = None

    def _applyStyle(
        self, image: np.ndarray, style: Any, x: int, y: int, z: int, frame: int | None = None
    ) -> np.ndarray:
        """Apply a style to a tile; see the base class.

        :raises ValueError: the style is malformed.
        """
        bands = added_bands(style)
        if bands is None:
            return super()._applyStyle(image, style, x, y, z, frame)  # type: ignore[misc,no-any-return]
        planes, windows = [], []
        for one in bands:
            number = one.frame + (frame or 0) if one.is_delta else one.frame
            if not 0 <= number < self._framecount:
                msg = f'there are {self._framecount} frames, and no frame {number}'
                raise ValueError(msg)
            tile = image
            if number != (frame or 0):
                tile = self._unstyled.getTile(x, y, z, frame=number, numpyAllowed='always')
            if one.band >= tile.shape[2]:
                msg = f'there are {tile.shape[2]} bands, and no band {one.band + 1}'
                raise ValueError(msg)
            planes.append(tile[: image.shape[0], : image.shape[1], one.band])
            low, high = one.window
            if low is None or high is None:
                own = self._ownWindow(number, one.band)
                low, high = own[0] if low is None else low, own[1] if high is None else high
            windows.append((low, high))
        return add_up(planes, windows, [one.color for one in bands])

    def _ownWindow(self, frame: int, band: int) -> tuple[float, float]:
        """Return the window of the file, or where it has none, that in which a frame is shown alone."""
        if self._dtype != np.uint8:
            return self._frameWindows(frame)[band]  # type: ignore[no-any-return]
        channels = self._series[0].multiscale.channels or ()
        place = self._layout.positions(frame).get('c', 0) * self._layout.bands + band
        return usable_window(channels[place].window if place < len(channels) else None, self._dtype) or (
            0,
            255,
        )

    def _composedView(self) -> Self | None:
        """Return a view of this source whose channels are added up as the file's omero says.

        None where it names no colours (many programs call every channel white), or where a frame is a
        picture in itself: RGB, and labels.
        """
        style = self._fileStyle()
        if style is None:
            return None
        if self._cachedComposed is None or getattr(self, '_editable', False):
            view: Self = object.__new__(type(self))
            view.__dict__ = self.__dict__.copy()
            view.__dict__.pop('_cachedComposed', None)
            # What is temporary belongs to the original, as with large_image's own copies for styles.
            view._derivedSource = True  # type: ignore[attr-defined]
            view._unstyledInstance = self  # type: ignore[attr-defined]
            view._setStyle(style)  # type: ignore[attr-defined]
            view._classkey = f'{getattr(self, "_classkey", "")} composed'  # type: ignore[attr-defined]
            self._cachedComposed = view
        return self._cachedComposed  # type: ignore[no-any-return]

    def _fileStyle(self) -> dict[str, Any] | None:
        channels = self._series[0].multiscale.channels or ()
        count = next((axis.count for axis in self._layout.axes if axis.name == 'c'), 1)
        if (
            getattr(self, '_style', None)
            or self._layout.bands != 1
            or getattr(self, '_palette', None) is not None
        ):
            return None
        shown = [
            {
                'band': 1,
                'composite': ADD,
                'framedelta': number * self._strides.get('c', 0),
                'palette': f'#{one.color}',
            }
            for number, one in enumerate(channels[:count])
            if one.active is not False and one.color and _COLOR.fullmatch(f'#{one.color}')
        ]
        colors = {one['palette'] for one in shown}
        return {'bands': shown[:MAX_BANDS]} if shown and (len(shown) == 1 or len(colors) > 1) else None
