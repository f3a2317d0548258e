"""A tile source of large_image as pictures: a part of a frame as it is shown, scaled, turned, in a format."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
import PIL.Image

from girder_zarr.common.budget import BUDGET
from girder_zarr.errors import LimitExceededError, NotFoundError, UnreadableImageError
from girder_zarr.image.render.display import encode_jpeg
from girder_zarr.image.render.next_tiles import one_pass

from .picture_request import FORMATS, Size, rotated_size

if TYPE_CHECKING:
    from fractions import Fraction

    from .picture_request import Box, PictureRequest

#: As large_image's for tiles.
JPEG_QUALITY, JPEG_SUBSAMPLING = 95, 0
WEBP_QUALITY = 90
#: Levels of zlib: more takes longer than a viewer waits, for some hundredths of the size.
PNG_LEVEL = 1
_OPTIONS: dict[str, dict[str, Any]] = {
    'png': {'compress_level': PNG_LEVEL},
    'tif': {'compression': 'tiff_lzw'},
    'webp': {'quality': WEBP_QUALITY, 'method': 0},
}
#: From this gray on a pixel of a bitonal picture is white.
THRESHOLD = 128
#: Bytes that a pixel takes while a picture is made: read, scaled, rotated with alpha and its mask, encoded.
WORK_BYTES = 16


class StoredLevels(NamedTuple):
    """What is stored of an image, by which it is known what a picture of it costs.

    :param size: of the full image, and ``tile`` what is read at a time.
    :param stored: for each resolution, the lowest first, whether there is one in the file.
    """

    size: Size
    tile: Size
    stored: tuple[bool, ...]

    @classmethod
    def of(cls, source: Any, frame: int = 0) -> StoredLevels:
        """Return that of a tile source."""
        return cls(
            Size(int(source.sizeX), int(source.sizeY)),
            Size(int(source.tileWidth), int(source.tileHeight)),
            tuple(one is not None for one in source._nonemptyLevelsList(frame)),
        )

    def cost(self, box: Box, level: int) -> int:
        """Return how many stored pixels are decoded for a part of the image at a level.

        Levels that are not stored are made from the next larger one that is.

        :param level: how often the image is halved.
        """
        while level and not self.stored[len(self.stored) - 1 - level]:
            level -= 1
        width, height = self.tile.width << level, self.tile.height << level
        right = min(box.left + box.width, self.size.width)
        bottom = min(box.top + box.height, self.size.height)
        columns = -(-right // width) - box.left // width
        rows = -(-bottom // height) - box.top // height
        return int(columns * rows * self.tile.width * self.tile.height)


class PictureSource:
    """Pictures of one frame of a tile source.

    :param source: in the style in which the image is shown; its tiles are JPEG.
    :raises NotFoundError: there is no such frame.
    """

    def __init__(self, source: Any, frame: int = 0) -> None:
        self._source, self._frame = source, frame
        self.frames = int(source.frames)
        if not 0 <= frame < self.frames:
            msg = f'frame: the image has {self.frames} frames, counted from 0; found {frame}.'
            raise NotFoundError(msg)
        #: The full image.
        self.size = Size(int(source.sizeX), int(source.sizeY))
        #: What is read at a time.
        self.tile = Size(int(source.tileWidth), int(source.tileHeight))
        #: How many resolutions there are, each half of the one before it.
        self.levels = int(source.levels)

    @property
    def state(self) -> str:
        """A text that tells the source and its style from others."""
        return str(self._source.getState())

    @property
    def is_color(self) -> bool:
        """Whether pictures may have other colors than shades of gray."""
        bands = self._source.bandCount
        return bands is None or bands > 2 or bool(getattr(self._source, '_style', None))

    def cost(self, box: Box, level: int) -> int:
        """Return how many stored pixels are decoded for a part, see :meth:`StoredLevels.cost`."""
        return StoredLevels.of(self._source, self._frame).cost(box, level)

    def picture(self, request: PictureRequest, max_cost: int) -> bytes:
        """Return a picture in the format of the request.

        :param max_cost: the most stored pixels that may be decoded for it.
        :raises LimitExceededError: they are more.
        :raises UnreadableImageError: a tile cannot be read.
        """
        level = self._level_for(request)
        cost = self.cost(request.box, level)
        if cost > max_cost:
            msg = f'For this picture {cost} pixels would have to be read; the limit is {max_cost}. '
            msg += 'Ask for a smaller part, or for one with more detail; the image lacks lower resolutions.'
            raise LimitExceededError(msg)
        tile = self._whole_tile(request, level)
        if tile is not None:
            return tile
        read = request.box.width * request.box.height >> (2 * level)
        turned = rotated_size(request.size, request.degrees)
        with BUDGET.acquire(WORK_BYTES * (read + turned.width * turned.height)):
            return encoded(
                with_quality(self._turned(self._scaled(request, level), request), request), request
            )

    def _level_for(self, request: PictureRequest) -> int:
        """Return how often the full image is halved in the lowest level that has all detail of a picture."""
        box, size, level = request.box, request.size, 0
        while level < self.levels - 1 and (
            -(-box.width >> (level + 1)) >= size.width and -(-box.height >> (level + 1)) >= size.height
        ):
            level += 1
        return level

    def _whole_tile(self, request: PictureRequest, level: int) -> bytes | None:
        """Return a tile as the source has it, where the request is one: it may be stored as JPEG."""
        box, step = request.box, 2**level
        side = Size(self.tile.width * step, self.tile.height * step)
        is_tile = (
            request.size == self.tile
            and (box.width, box.height) == side
            and box.left % side.width == 0
            and box.top % side.height == 0
        )
        is_plain = request.format == 'jpg' and request.quality == 'default' and not request.degrees
        if not is_tile or not is_plain or request.is_mirrored or self._source.encoding != 'JPEG':
            return None
        place = box.left // side.width, box.top // side.height
        return bytes(self._tile(*place, level))

    def _tile(self, column: int, row: int, level: int, **kwargs: Any) -> Any:
        try:
            with one_pass():
                return self._source.getTile(column, row, self.levels - 1 - level, frame=self._frame, **kwargs)
        except Exception as error:
            msg = f'Tile {column}, {row} of level {level} of frame {self._frame} cannot be read: {error}'
            raise UnreadableImageError(msg) from error

    def _scaled(self, request: PictureRequest, level: int) -> PIL.Image.Image:
        """Return the part that is asked for, at its size."""
        box, step, size = request.box, 2**level, request.size
        left, top = box.left // step, box.top // step
        sides = Size(-(-self.size.width // step), -(-self.size.height // step))
        right = min(-(-(box.left + box.width) // step), sides.width)
        bottom = min(-(-(box.top + box.height) // step), sides.height)
        pixels = self._read(left, top, right, bottom, level)
        exact = box.left % step == 0 and box.top % step == 0
        if exact and pixels.size == size:
            return pixels
        place = (
            box.left / step - left,
            box.top / step - top,
            min((box.left + box.width) / step - left, right - left),
            min((box.top + box.height) / step - top, bottom - top),
        )
        grows = size.width > box.width or size.height > box.height
        method = PIL.Image.Resampling.BICUBIC if grows else PIL.Image.Resampling.BOX
        return pixels.resize(size, method, box=place)

    def _read(self, left: int, top: int, right: int, bottom: int, level: int) -> PIL.Image.Image:
        """Return a part of a level, put together from its tiles; corners in pixels of the level."""
        whole: PIL.Image.Image | None = None
        for row in range(top // self.tile.height, -(-bottom // self.tile.height)):
            for column in range(left // self.tile.width, -(-right // self.tile.width)):
                tile = self._tile(column, row, level, pilImageAllowed=True)
                if not isinstance(tile, PIL.Image.Image):
                    tile = PIL.Image.open(io.BytesIO(tile))
                tile = _eight_bits(tile)
                if whole is None:
                    whole = PIL.Image.new(tile.mode, (right - left, bottom - top))
                place = column * self.tile.width - left, row * self.tile.height - top
                whole.paste(tile if tile.mode == whole.mode else tile.convert(whole.mode), place)
        if whole is None:
            msg = f'There is nothing between {left}, {top} and {right}, {bottom} of level {level}.'
            raise UnreadableImageError(msg)
        return whole

    def _turned(self, picture: PIL.Image.Image, request: PictureRequest) -> PIL.Image.Image:
        if request.is_mirrored:
            picture = picture.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)
        return rotated(picture, request.degrees, keeps_alpha=request.format != 'jpg')


def _eight_bits(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Return a picture as gray, RGB, or RGBA, which is what the steps after this one know."""
    if picture.mode in ('L', 'RGB', 'RGBA'):
        return picture
    if picture.mode in ('1', 'I', 'F') or picture.mode.startswith('I;'):
        return picture.convert('L')
    return picture.convert('RGBA' if 'A' in picture.mode or 'transparency' in picture.info else 'RGB')


def rotated(picture: PIL.Image.Image, degrees: Fraction, *, keeps_alpha: bool) -> PIL.Image.Image:
    """Return a picture rotated clockwise, in the box around it; what is left of the box is transparent.

    :param keeps_alpha: for a format with transparency; without it the rest is black.
    """
    quarters, rest = divmod(degrees, 90)
    if not rest:
        turns = [None, *(PIL.Image.Transpose[f'ROTATE_{angle}'] for angle in (270, 180, 90))]
        turn = turns[int(quarters)]
        return picture if turn is None else picture.transpose(turn)
    if keeps_alpha and picture.mode != 'RGBA':
        picture = picture.convert('RGBA')
    size = rotated_size(Size(*picture.size), degrees)
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    width, height = picture.size
    # From pixels of the picture to those of the box, with centres on centres; y points down.
    x = (size.width - 1) / 2 - (cos * (width - 1) - sin * (height - 1)) / 2
    y = (size.height - 1) / 2 - (sin * (width - 1) + cos * (height - 1)) / 2
    matrix = np.array([[cos, -sin, x], [sin, cos, y]])
    return PIL.Image.fromarray(
        cv2.warpAffine(np.asarray(picture), matrix, tuple(size), flags=cv2.INTER_LINEAR)
    )


def with_quality(picture: PIL.Image.Image, request: PictureRequest) -> PIL.Image.Image:
    """Return a picture in color, in gray, or in black and white."""
    if request.quality == 'default':
        return picture
    gray = picture.convert('L')
    if request.quality == 'bitonal':
        gray = gray.point([255 if value >= THRESHOLD else 0 for value in range(256)])
    if picture.mode == 'RGBA':
        return PIL.Image.merge('LA', (gray, picture.getchannel('A')))
    return gray


def encoded(picture: PIL.Image.Image, request: PictureRequest) -> bytes:
    """Return a picture in a file format, without metadata."""
    if request.format == 'jpg':
        flat = _without_alpha(picture)
        data = encode_jpeg(np.atleast_3d(np.asarray(flat)), JPEG_QUALITY, JPEG_SUBSAMPLING)
        if data is not None:
            return data
        msg = f'A picture of mode {flat.mode} is not written as JPEG.'
        raise UnreadableImageError(msg)
    stream = io.BytesIO()
    options = _OPTIONS[request.format]
    if request.format == 'webp' and picture.mode in ('L', 'LA'):
        picture = picture.convert('RGBA' if picture.mode == 'LA' else 'RGB')
    picture.save(stream, FORMATS[request.format].rpartition('/')[2].upper(), **options)
    return stream.getvalue()


def _without_alpha(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Return a picture on black, which is what the pixels outside of it are in other formats, too."""
    if picture.mode not in ('LA', 'RGBA'):
        return picture
    ground = PIL.Image.new(picture.mode[:-1], picture.size)
    ground.paste(picture.convert(picture.mode[:-1]), mask=picture.getchannel('A'))
    return ground
