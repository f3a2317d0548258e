"""Any large_image tile source as a series: SVS, TIFF, DICOM, PNG and the rest, level by level, unstyled."""

from __future__ import annotations

import io
import itertools
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
from PIL import Image

from girder_zarr.errors import ForbiddenPartError, UnreadableChunkError, UnreadableImageError
from girder_zarr.image.limits import DEFAULT
from girder_zarr.image.ngff.metadata import Axis, Level, Multiscale
from girder_zarr.image.render.passthrough import jpeg_shape
from girder_zarr.image.series.series import Series
from girder_zarr.image.write.output_spec import default_channels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: large_image's names of frame axes that NGFF has types for; all others are custom.
_TYPES = {'t': 'time', 'c': 'channel', 'z': 'space'}
#: NGFF's order: time, channel or custom, space.
_ORDER = ('time', 'custom', 'channel', 'space')
MILLIMETER = 1000.0  # micrometers
#: Associated images that are served; slides have three or four.
MAX_ASSOCIATED = 100
#: How far pixels of a stored JPEG tile may lie from those of the source in the mean: decoders round and
#: interpolate colours differently. Taken for another colour space, all but a gray of 128 is farther away.
JPEG_DIFFERENCE = 4


class TileLevel:
    """One level of a tile source; a `LevelReader`. A chunk is a tile.

    :param source: safe under many threads, as large_image's are.
    :param number: of the level, 0 for the full resolution.
    :param shape: along the frame axes, c among them or not, and y and x.
    :param frames: the number of the frame for a position along the frame axes, where c counts channels.
    :param bands: of a tile; a position along c is ``channel * bands + band``.
    :param c_axis: which axis is c, or None.
    """

    def __init__(
        self,
        source: Any,
        number: int,
        shape: tuple[int, ...],
        frames: Mapping[tuple[int, ...], int],
        bands: int,
        c_axis: int | None,
    ) -> None:
        self._source, self._frames, self._bands, self._c = source, frames, bands, c_axis
        self._z = source.levels - 1 - number
        self.shape = shape
        self.dtype = np.dtype(source.dtype).newbyteorder('=')
        outer = [1] * (len(shape) - 2)
        if c_axis is not None:
            outer[c_axis] = bands
        self.chunks = (*outer, int(source.tileHeight), int(source.tileWidth))
        #: Whether JPEG files of the source hold its pixels; None: not known yet.
        self._has_jpeg = None if getattr(source, 'encoding', '') == 'JPEG' else False

    def read(self, region: tuple[slice, ...]) -> np.ndarray:
        """Return the pixels of a region; see `LevelReader.read`."""
        out = np.zeros(tuple(part.stop - part.start for part in region), self.dtype)
        planes: dict[tuple[int, ...], np.ndarray] = {}
        for place in np.ndindex(out.shape[:-2]):
            where = [part.start + at for part, at in zip(region, place, strict=False)]
            band = 0
            if self._c is not None:
                where[self._c], band = divmod(where[self._c], self._bands)
            key = tuple(where)
            if key not in planes:
                frame = self._frames.get(key)
                if frame is None:  # the source has no such frame
                    continue
                planes[key] = self._plane(frame, region[-2], region[-1])
            out[place] = planes[key][..., band]
        return out

    def picture(self, place: tuple[int, ...]) -> bytes | None:
        """Return the JPEG file of a tile, where the source has it in the size and colours of the chunk.

        large_image hands on a stored tile as it is. The first one is held against the pixels: some files say
        outside their tiles that the colours are red, green and blue.
        """
        where = list(place[:-2])
        if self._has_jpeg is False or self.dtype != np.uint8 or (self._c is None and self._bands > 1):
            return None
        frame = self._frames.get(tuple(where))
        if frame is None:
            return None
        row, column = place[-2:]
        try:
            data = self._source.getTile(column, row, self._z, frame=frame, applyStyle=False)
        except Exception:  # noqa: BLE001 - the tile is read in the other way, which says what is wrong
            return None
        if not isinstance(data, bytes) or jpeg_shape(data[:65536]) != (*self.chunks[-2:], self._bands):
            return None
        if self._has_jpeg is None:
            tile = self._tile(column, row, frame).astype(np.int16)
            picture = np.atleast_3d(np.asarray(imagecodecs.jpeg8_decode(data)))
            difference = np.abs(picture[: tile.shape[0], : tile.shape[1]] - tile).mean()
            if difference > JPEG_DIFFERENCE or np.abs(tile - 128).mean() > JPEG_DIFFERENCE:
                self._has_jpeg = bool(difference <= JPEG_DIFFERENCE)
        return None if self._has_jpeg is False else data

    def _plane(self, frame: int, rows: slice, columns: slice) -> np.ndarray:
        """Return ``(y, x, bands)`` of one frame."""
        height, width = self.chunks[-2:]
        out = np.zeros((rows.stop - rows.start, columns.stop - columns.start, self._bands), self.dtype)
        for row in range(rows.start // height, -(-rows.stop // height)):
            for column in range(columns.start // width, -(-columns.stop // width)):
                tile = self._tile(column, row, frame)
                top, left = row * height, column * width
                y0, x0 = max(rows.start, top), max(columns.start, left)
                y1 = min(rows.stop, top + tile.shape[0])
                x1 = min(columns.stop, left + tile.shape[1])
                if y1 > y0 and x1 > x0:
                    out[y0 - rows.start : y1 - rows.start, x0 - columns.start : x1 - columns.start] = tile[
                        y0 - top : y1 - top, x0 - left : x1 - left
                    ]
        return out

    def _tile(self, column: int, row: int, frame: int) -> np.ndarray:
        try:
            tile = self._source.getTile(
                column, row, self._z, numpyAllowed='always', frame=frame, applyStyle=False
            )
        except Exception as error:
            if isinstance(error.__cause__, ForbiddenPartError):  # what Girder's routes are given in its place
                raise error.__cause__ from None
            msg = f'Tile {column}, {row} of level {self._z} cannot be read: {error}'
            raise UnreadableChunkError(msg) from error
        tile = np.atleast_3d(np.asarray(tile))
        if tile.shape[-1] < self._bands:
            msg = f'Tile {column}, {row} has {tile.shape[-1]} bands; {self._bands} were expected.'
            raise UnreadableChunkError(msg)
        found: np.ndarray = tile[..., : self._bands].astype(self.dtype, copy=False)
        return found


def series_of(source: Any, name: str) -> Series:
    """Return a tile source as a series; each of its levels is half of the one before.

    :param source: a large_image tile source without a style.
    :raises UnreadableImageError: what it says of itself cannot be made an OME-Zarr image.
    """
    found = source.getMetadata()
    bands = int(found.get('bandCount') or 0)
    if bands < 1 or source.dtype is None:
        msg = f'{name} does not say how many bands of which type it has.'
        raise UnreadableImageError(msg)
    counts = {
        key.removeprefix('Index').lower(): int(count) for key, count in found.get('IndexRange', {}).items()
    }
    counts = {axis: count for axis, count in counts.items() if re.fullmatch('[a-z][a-z0-9]*', axis)}
    channels = counts.pop('c', 1)
    has_c = channels > 1 or bands > 1
    axes = [Axis(axis, _TYPES.get(axis, 'custom')) for axis in counts]  # type: ignore[arg-type]
    if has_c:
        axes.append(Axis('c', 'channel'))
    axes.sort(key=lambda axis: _ORDER.index(axis.type))
    outer = [channels * bands if axis.name == 'c' else counts[axis.name] for axis in axes]
    frames = _frames(found.get('frames') or [{}], [axis.name for axis in axes])
    sizes, scales = _sizes(found)
    unit = 'micrometer' if sizes else None
    axes += [Axis('y', 'space', unit), Axis('x', 'space', unit)]
    levels: list[TileLevel] = []
    described = []
    for number in range(int(source.levels)):
        plane = tuple(-(-side // 2**number) for side in (int(source.sizeY), int(source.sizeX)))
        at = next((index for index, axis in enumerate(axes) if axis.name == 'c'), None)
        levels.append(TileLevel(source, number, (*outer, *plane), frames, bands, at))
        scale = (*[1.0] * len(outer), *(one * 2**number for one in scales))
        shift = (*[0.0] * len(outer), *(one * (2**number - 1) / 2 for one in scales))
        described.append(Level(str(number), scale, shift))
    names: Sequence[str] = found.get('channels') or ()
    shown = default_channels(axes, levels[0].shape, levels[0].dtype, bands, names)
    extra = {'bands': bands} if bands > 1 else {}
    multiscale = Multiscale(tuple(axes), tuple(described), name, tuple(shown) or None, extra=extra)
    return Series(multiscale, tuple(levels), name)


def associated_of(source: Any) -> dict[str, Callable[[], Series]]:
    """Return functions that open the associated images of a tile source, by name."""
    return {
        str(name): partial(_associated, source, str(name))
        for name in itertools.islice(source.getAssociatedImagesList(), MAX_ASSOCIATED)
    }


def _associated(source: Any, name: str) -> Series:
    level = PictureLevel(source, name)
    axes = [Axis('y', 'space'), Axis('x', 'space')]
    if len(level.shape) > 2:
        axes.insert(0, Axis('c', 'channel'))
    bands = level.shape[0] if len(level.shape) > 2 else 1
    described = Level('0', (1.0,) * len(axes), (0.0,) * len(axes))
    shown = default_channels(axes, level.shape, level.dtype, bands)
    extra = {'bands': bands} if bands > 1 else {}
    multiscale = Multiscale(tuple(axes), (described,), name, tuple(shown) or None, extra=extra)
    return Series(multiscale, (level,), name)


class PictureLevel:
    """An associated image, ``(y, x)`` or ``(c, y, x)``, as one chunk; a `LevelReader` that holds no pixels.

    :raises UnreadableImageError: there is no such image, or it is larger than a chunk may be.
    """

    def __init__(self, source: Any, name: str) -> None:
        self._source, self._name = source, name
        pixels = self._pixels()
        self.shape, self.dtype = pixels.shape, pixels.dtype
        self.chunks = self.shape

    def read(self, region: tuple[slice, ...]) -> np.ndarray:
        """Return the pixels of a region; see `LevelReader.read`."""
        return self._pixels()[region]

    def _pixels(self) -> np.ndarray:
        found = self._source.getAssociatedImage(self._name, encoding='PNG')
        if found is None:
            msg = f'The associated image {self._name!r} is not there.'
            raise UnreadableImageError(msg)
        with Image.open(io.BytesIO(found[0])) as picture:
            if picture.width * picture.height * 4 > DEFAULT.image_chunk_bytes:
                msg = f'The associated image {self._name!r} has {picture.width} x {picture.height} pixels.'
                raise UnreadableImageError(msg)
            pixels = np.asarray(picture.convert('RGB') if picture.mode in ('P', 'CMYK', '1') else picture)
        pixels = pixels if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
        return pixels.astype(pixels.dtype.newbyteorder('='), copy=False)


def _frames(listed: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[tuple[int, ...], int]:
    """Return the number of the frame for each position along the axes; c counts channels."""
    return {
        tuple(int(one.get(f'Index{name.upper()}', 0)) for name in names): int(one.get('Frame', number))
        for number, one in enumerate(listed)
    }


def _sizes(found: Mapping[str, Any]) -> tuple[bool, tuple[float, float]]:
    """Return whether the size of a pixel is known, and its sides along y and x, in micrometers then."""
    sides = found.get('mm_y'), found.get('mm_x')
    if all(isinstance(side, int | float) and side > 0 for side in sides):
        return True, (float(sides[0]) * MILLIMETER, float(sides[1]) * MILLIMETER)  # type: ignore[arg-type]
    return False, (1.0, 1.0)
