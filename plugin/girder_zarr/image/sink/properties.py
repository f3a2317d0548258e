"""The properties of a new image: the values that they accept, and the errors for others."""

from __future__ import annotations

import json
import re
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.errors import EditError
from girder_zarr.image.series.frame_metadata import band_names

from .frame_values import is_plain

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEX = re.compile(r'#?([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})([0-9A-Fa-f]{2})?')


class PropertiesMixin:
    """Properties with the names and meanings that large-image-source-zarr 1.35.6 gave them.

    Opened images have them as well, to be read; setting one there is an EditError.
    """

    _crop: tuple[int, int, int, int] | None = None
    _minWidth: int | None = None
    _minHeight: int | None = None
    _mm_x: float | None = None
    _mm_y: float | None = None
    _mm_z: float | None = None
    _magnification: float | None = None
    _channelNames: list[str] | None = None
    _channelColors: list[str] | None = None
    _imageDescription: Any = None
    _additionalMetadata: Any = None
    _frameAxes: list[str] | None = None
    _frameUnits: dict[str, str] | None = None
    _frameValues: np.ndarray | None = None
    #: Whether there are values that may not be comparable, or too large for a float.
    _hasOddValues: bool = False
    _projection: Any = None
    _gcps: list[list[float]] | None = None

    def _checkEditable(self) -> None:
        raise NotImplementedError

    def _restoreProperties(self, extra: dict[str, Any]) -> None:
        """Take over what `export.write` stored of them in an image; values of another form are left out.

        :param extra: the attribute ``girder_zarr``.
        """
        if 'description' in extra:
            self._imageDescription = extra['description']
        self._additionalMetadata = extra.get('additionalMetadata')
        self._projection = extra.get('projection')
        magnification, gcps = extra.get('magnification'), extra.get('gcps')
        if isinstance(magnification, (int, float)) and magnification > 0:
            self._magnification = float(magnification)
        if isinstance(gcps, list):
            self._gcps = gcps

    def _changed(self, *, later: bool = False) -> None:
        """Describe the image anew for readers; called after a property was set."""

    def _fileColors(self) -> list[str]:
        """Return the colours of the channels of an opened image; those of bands are not channels."""
        source: Any = self
        channels = source._series[0].multiscale.channels or ()
        colors = [channel.color for channel in channels] if source._layout.bands == 1 else []
        return [color or 'FFFFFF' for color in colors] if any(colors) else []

    def _takeNew(self) -> None:
        """Take in what other processes have added."""

    @property
    def crop(self) -> tuple[int, int, int, int] | None:
        """What is written of the image: x, y, width and height in pixels, or None for all."""
        return self._crop

    @crop.setter
    def crop(self, value: Sequence[float] | None) -> None:
        self._checkEditable()
        if value is None:
            self._crop = None
            return
        try:
            x, y, width, height = (int(one) for one in value)
        except (TypeError, ValueError) as exc:
            raise EditError(
                f'crop must be x, y, width and height in pixels, or None; found {value!r}'
            ) from exc
        if x < 0 or y < 0 or width <= 0 or height <= 0:
            raise EditError(
                f'Crop must have non-negative x, y and positive w, h; found {(x, y, width, height)}'
            )
        self._crop = (x, y, width, height)

    @property
    def minWidth(self) -> int | None:
        """The width in pixels that the written image has at least, or None."""
        return self._minWidth

    @minWidth.setter
    def minWidth(self, value: float | None) -> None:
        self._checkEditable()
        self._minWidth = None if value is None else int(_positive(value, 'minWidth', whole=True))

    @property
    def minHeight(self) -> int | None:
        """The height in pixels that the written image has at least, or None."""
        return self._minHeight

    @minHeight.setter
    def minHeight(self, value: float | None) -> None:
        self._checkEditable()
        self._minHeight = None if value is None else int(_positive(value, 'minHeight', whole=True))

    @property
    def mm_x(self) -> float | None:
        """The width of a pixel in millimeters, or None where it is not known."""
        return self._mm_x

    @mm_x.setter
    def mm_x(self, value: float | None) -> None:
        self._checkEditable()
        self._mm_x = None if value is None else _positive(value, 'mm_x')
        self._changed()

    @property
    def mm_y(self) -> float | None:
        """The height of a pixel in millimeters, or None where it is not known."""
        return self._mm_y

    @mm_y.setter
    def mm_y(self, value: float | None) -> None:
        self._checkEditable()
        self._mm_y = None if value is None else _positive(value, 'mm_y')
        self._changed()

    @property
    def mm_z(self) -> float | None:
        """The distance of two planes of axis z in millimeters, or None where it is not known."""
        return self._mm_z

    @mm_z.setter
    def mm_z(self, value: float | None) -> None:
        self._checkEditable()
        self._mm_z = None if value is None else _positive(value, 'mm_z')
        self._changed()

    @property
    def magnification(self) -> float | None:
        """The magnification of the full resolution; if it was not set, 0.01 mm over the size of a pixel."""
        if self._magnification is None and self._mm_x:
            return 0.01 / self._mm_x
        return self._magnification

    @magnification.setter
    def magnification(self, value: float | None) -> None:
        self._checkEditable()
        self._magnification = None if value is None else _positive(value, 'magnification')
        self._changed()

    @property
    def channelNames(self) -> list[str] | None:
        """The names of the positions of axis c, or None."""
        if self._channelNames:
            return list(self._channelNames)
        source: Any = self
        channels = getattr(self, '_channels', None)
        if not channels and getattr(self, '_opened', None) is not None:
            channels = band_names(source._axisCounts)
        return list(channels) if channels else None

    @channelNames.setter
    def channelNames(self, names: Sequence[str] | None) -> None:
        self._checkEditable()
        if isinstance(names, str):
            raise EditError(f'channelNames must be a list of names; found {names!r}')
        self._channelNames = [str(name) for name in names or ()]
        self._changed()

    @property
    def channelColors(self) -> list[str]:
        """The colours of the positions of axis c: as given, or as the file has them."""
        if self._channelColors is None and getattr(self, '_opened', None) is not None:
            return self._fileColors()
        return self._channelColors or []

    @channelColors.setter
    def channelColors(self, colors: Sequence[str] | None) -> None:
        self._checkEditable()
        for color in colors or ():
            hex_color(color)
        self._channelColors = list(colors or ())
        self._changed()

    @property
    def imageDescription(self) -> Any:
        """A description of the image, anything that JSON can hold."""
        return self._imageDescription

    @imageDescription.setter
    def imageDescription(self, description: Any) -> None:
        self._checkEditable()
        _check_json(description, 'Description')
        self._imageDescription = description

    @property
    def additionalMetadata(self) -> Any:
        """Further metadata, anything that JSON can hold."""
        return self._additionalMetadata

    @additionalMetadata.setter
    def additionalMetadata(self, data: Any) -> None:
        self._checkEditable()
        _check_json(data, 'Metadata')
        self._additionalMetadata = data

    @property
    def frameAxes(self) -> list[str] | None:
        """The axes that ``frameValues`` has values for, in its order."""
        self._takeNew()
        return self._frameAxes

    @frameAxes.setter
    def frameAxes(self, axes: Sequence[str] | None) -> None:
        self._checkEditable()
        self._frameAxes = None if axes is None else [str(axis).lower() for axis in axes]
        self._changed()

    @property
    def frameUnits(self) -> dict[str, str] | None:
        """The unit of the values of an axis, by its name."""
        return self._frameUnits

    @frameUnits.setter
    def frameUnits(self, units: dict[str, str]) -> None:
        self._checkEditable()
        axes = self._frame_axes()
        if not isinstance(units, dict) or not all(axis in axes for axis in units):
            raise ValueError('frameUnits must be a dictionary with keys that exist in frameAxes.')
        self._frameUnits = dict(units)
        self._changed()

    @property
    def frameValues(self) -> np.ndarray | None:
        """The values of every frame: one dimension for each of frameAxes, and a last one over them."""
        self._takeNew()
        if self._frameValues is None or self._frameValues.dtype != object:
            return self._frameValues
        # positions that were never written, as large-image-source-zarr has them
        found: np.ndarray = np.frompyfunc(lambda value: 0 if value is None else value, 1, 1)(
            self._frameValues
        )
        return found

    @frameValues.setter
    def frameValues(self, values: np.ndarray) -> None:
        self._checkEditable()
        axes = self._frame_axes()
        values = np.asarray(values)
        if values.ndim != len(axes) + 1:
            raise ValueError(f'frameValues must have {len(axes) + 1} dimensions.')
        self._frameValues = values
        self._hasOddValues = values.dtype == object and not all(map(is_plain, values.flat))
        self._changed()

    def _frame_axes(self) -> list[str]:
        if self._frameAxes is None:
            raise ValueError('frameAxes must be set first with a list of frame axis names.')
        return self._frameAxes

    @property
    def projection(self) -> Any:
        """The coordinate reference system of the GCPs, in a form that pyproj reads."""
        return self._projection

    @projection.setter
    def projection(self, proj: Any) -> None:
        self._checkEditable()
        try:
            import pyproj
        except ImportError as exc:
            raise EditError('A projection needs pyproj, which is not installed') from exc
        try:
            pyproj.CRS.from_string(str(proj))
        except pyproj.exceptions.CRSError as exc:
            raise EditError(f'Invalid projection value. Cannot be interpreted by pyproj: {exc}') from exc
        self._projection = proj

    @property
    def gcps(self) -> list[list[float]] | None:
        """Ground control points: projected x and y, pixel x and y of each."""
        return self._gcps

    @gcps.setter
    def gcps(self, gcps: Any) -> None:
        self._checkEditable()
        self._gcps = read_gcps(gcps)


def _positive(value: float, name: str, *, whole: bool = False) -> float:
    try:
        number = int(value) if whole else float(value)
    except (TypeError, ValueError, OverflowError) as exc:
        raise EditError(f'{name} must be positive or None') from exc
    if not 0 < number < float('inf'):
        raise EditError(f'{name} must be positive or None')
    return number


def _check_json(value: Any, name: str) -> None:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as exc:
        raise EditError(f'{name} must be JSON serializable: {exc}') from exc


def hex_color(color: Any) -> str:
    """Return a colour as six hexadecimal digits in upper case.

    :param color: ``RRGGBB``, ``#RRGGBB``, ``#RGB`` (also with an alpha, which is dropped) or a CSS name.
    :raises EditError: it is none of these.
    """
    import PIL.ImageColor

    match = _HEX.fullmatch(color) if isinstance(color, str) else None
    if match:
        digits = match.group(1)
        return (digits if len(digits) == 6 else ''.join(digit * 2 for digit in digits)).upper()
    try:
        rgb = PIL.ImageColor.getrgb(color)[:3]
    except (ValueError, AttributeError, TypeError) as exc:
        raise EditError(
            f'A channel colour must be six hexadecimal digits or a name; found {color!r}'
        ) from exc
    return ''.join(f'{value:02X}' for value in rgb)


def read_gcps(gcps: Any) -> list[list[float]]:
    """Return ground control points without duplicates, as they were given; those in strings as lists.

    :param gcps: a list of points (four numbers, or a string of four), or one string of all numbers.
    :raises EditError: the form is another, or fewer than two points are left.
    """
    if isinstance(gcps, str):
        words = gcps.split()
        gcps = [words[start : start + 4] for start in range(0, len(words), 4)]
    if not isinstance(gcps, (list, tuple)):
        raise EditError('GCPs must be specified as a list, tuple, or space-separated string.')
    points = [point.split() if isinstance(point, str) else point for point in gcps]
    if any(not isinstance(point, (list, tuple)) for point in points):
        raise EditError('Each GCP must be specified as a list, tuple, or space-separated string.')
    if any(len(point) != 4 for point in points):
        raise EditError('Each GCP must contain four values: [projected_x, projected_y, pixel_x, pixel_y].')
    try:
        numbers = [[float(value) for value in point] for point in points]
    except (TypeError, ValueError) as exc:
        raise EditError(f'Each GCP must contain four numbers: {exc}') from exc
    unique: list[Any] = []
    kept: list[list[float]] = []
    twice: list[Any] = []
    for given, point in zip(points, numbers, strict=True):
        same = any(other[:2] == point[:2] or other[2:] == point[2:] for other in kept)
        if same:
            twice.append(given)
            continue
        kept.append(point)
        unique.append(point if any(isinstance(value, str) for value in given) else given)
    if twice:
        warnings.warn(
            f'Removed duplicate GCPs {twice} from list; shared projected coordinate or pixel coordinate with '
            'another GCP.',
            stacklevel=3,
        )
    if len(unique) < 2:
        raise EditError('Must specify at least 2 unique GCPs.')
    return unique
