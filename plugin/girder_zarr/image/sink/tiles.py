"""What is given to addTile, checked and brought into one form."""

from __future__ import annotations

import io
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image

from girder_zarr.errors import AxesError, EditError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Pillow's modes that are taken as they are; all others become RGB or RGBA.
_MODES = {'L': None, 'LA': None, 'RGB': None, 'RGBA': None, 'I': None, 'F': None, '1': 'L'}
_KINDS = 'biuf'
#: No position along an axis lies further out than this: the limit of an image's side when it is read.
_FAR = 2**40


@dataclass(frozen=True, slots=True)
class NewTile:
    """A tile ready for the canvas.

    :param pixels: ``(*axes, y, x, band)`` in native byte order.
    :param axes: the frame axes that the pixels have.
    :param start: the first position along every named axis, y and x included.
    :param mask: booleans that broadcast to ``pixels.shape``, with a last axis of one where it is the same for
        all bands; or None.
    :param band: the first band that is written, or None where a pixel is given whole.
    :param values: what the position along an axis stands for, by axis name.
    :param level: 0 for the full resolution, from 1 on a coarser one, in whose pixels the tile lies.
    """

    pixels: np.ndarray
    axes: tuple[str, ...]
    start: dict[str, int]
    mask: np.ndarray | None
    band: int | None
    values: dict[str, Any]
    level: int = 0


def read_tile(
    tile: Any, x: Any, y: Any, mask: Any, axes: Any, others: Mapping[str, Any], known: Sequence[str]
) -> NewTile:
    """Check the arguments of addTile.

    :param tile: a numpy array, a Pillow image, or the bytes of an image file.
    :param axes: names of the tile's axes, as a string or a list; None: y, x and bands, after known frame
        axes.
    :param others: the remaining arguments: positions along axes, and ``<axis>_value``.
    :param known: the frame axes of the image so far.
    :raises EditError: something is not as it should be; the message names it.
    """
    level = _read_level(others.get('level', 0))
    values = {
        name.removesuffix('_value').lower(): value
        for name, value in others.items()
        if name.endswith('_value')
    }
    places = {
        name.lower(): value
        for name, value in others.items()
        if name != 'level' and not name.endswith('_value')
    }
    start = {'y': _position(y, 'y'), 'x': _position(x, 'x')}
    start |= {name: _position(value, name, low=0) for name, value in places.items()}
    pixels = to_pixels(tile)
    names = _axis_names(axes if isinstance(tile, np.ndarray) else None, pixels.ndim, known)
    pixels, names = _whole(pixels, names)
    if 0 in pixels.shape:
        raise EditError(f'A tile must have pixels; found the shape {pixels.shape} for the axes {names}')
    for name in (*start, *values):
        check_axis_name(name)
    frames = tuple(name for name in names if name not in {'y', 'x', 's'})
    order = [names.index(name) for name in (*frames, 'y', 'x', 's')]
    band = start.pop('s', None)
    masked = None if mask is None else _read_mask(mask, names, pixels.shape, frames)
    return NewTile(pixels.transpose(order), frames, start, masked, band, values, level)


def _read_level(level: Any) -> int:
    try:
        number = int(level)
    except (TypeError, ValueError):
        number = -1
    if number < 0:
        raise EditError(
            f'level must be 0, the full resolution, or a coarser level from 1 on; found {level!r}'
        )
    return number


def _position(value: Any, name: str, *, low: int = -_FAR) -> int:
    """Return a position as an int; floats count where they are whole."""
    try:
        number = operator.index(value)
    except TypeError:
        try:
            number = int(value)
        except (TypeError, ValueError, OverflowError):
            number = low - 1
        else:
            number = number if number == value else low - 1
    if not low <= number < _FAR:
        kind = 'a whole number' if low < 0 else 'a whole number from 0 on'
        raise EditError(f'The position along {name} must be {kind}; found {value!r}')
    return number


def check_axis_name(name: Any) -> None:
    """Raise EditError unless ``name`` can be the name of an axis."""
    if not isinstance(name, str) or not name.isidentifier() or len(name) > 64:
        raise EditError(
            f'The name of an axis must be a word of letters, digits and underscores; found {name!r}'
        )


def to_pixels(image: Any) -> np.ndarray:
    """Return an image as an array of an allowed type; pictures are ``(y, x)`` or ``(y, x, band)``.

    :raises EditError: it is not an image, or of a type that zarr images do not have.
    """
    if isinstance(image, (bytes, bytearray, memoryview)):
        image = _decoded(bytes(image))
    if isinstance(image, PIL.Image.Image):
        image = _from_pillow(image)
    if not isinstance(image, np.ndarray):
        raise EditError(
            f'A tile must be a numpy array, a Pillow image or the bytes of one; found {type(image).__name__}'
        )
    if image.dtype.kind not in _KINDS or image.dtype.itemsize > 8:
        raise EditError(
            f'A tile must hold booleans, integers or floats of up to 64 bits; found {image.dtype}'
        )
    if image.ndim < 2:
        raise EditError(f'A tile must have at least the axes y and x; found the shape {image.shape}')
    return image.astype(image.dtype.newbyteorder('='), copy=False)


def _decoded(content: bytes) -> PIL.Image.Image:
    try:
        picture = PIL.Image.open(io.BytesIO(content))
        picture.load()
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as exc:
        raise EditError(
            f'The {len(content)} bytes of the tile are not an image that can be decoded: {exc}'
        ) from exc
    return picture


def _from_pillow(picture: PIL.Image.Image) -> np.ndarray:
    if picture.mode.startswith('I;16'):
        array = np.asarray(picture)
        return array.astype(np.uint16, copy=False)
    if picture.mode in _MODES:
        return np.asarray(picture.convert(_MODES[picture.mode]) if _MODES[picture.mode] else picture)
    clear = picture.mode in {'PA', 'La', 'RGBa'} or 'transparency' in picture.info
    return np.asarray(picture.convert('RGBA' if clear else 'RGB'))


def _axis_names(axes: Any, ndim: int, known: Sequence[str]) -> list[str]:
    """Return the names of the tile's own axes, before any are added."""
    if axes is None:
        if ndim <= 3:
            return ['y', 'x', 's'][:ndim]
        if len(known) < ndim - 3:
            raise EditError(f'axes must name the axes of a tile with {ndim} dimensions, such as "tzyxs"')
        return [*known[len(known) - (ndim - 3) :], 'y', 'x', 's']
    if not isinstance(axes, (str, list, tuple)):
        raise AxesError(f'Invalid type for axes. Must be str or list[str]; found {type(axes).__name__}')
    names = [str(name).lower() for name in axes]
    for name in names:
        check_axis_name(name)
    if len(set(names)) != len(names) or not {'y', 'x'} <= set(names):
        raise AxesError(f'Invalid value for axes. Must contain "y" and "x", every name once; found {names}')
    return names


def _whole(pixels: np.ndarray, names: list[str]) -> tuple[np.ndarray, list[str]]:
    """Return the tile with one dimension for each of its axes, bands among them."""
    if 's' not in names:
        if pixels.ndim > len(names):
            raise EditError(f'The tile has {pixels.ndim} dimensions, but its axes are {names}')
        names, pixels = [*names, 's'], pixels[..., np.newaxis]
    if pixels.ndim > len(names):
        raise EditError(f'The tile has {pixels.ndim} dimensions, but its axes are {names}')
    missing = len(names) - pixels.ndim
    return pixels.reshape((1,) * missing + pixels.shape), names


def _read_mask(mask: Any, names: list[str], shape: tuple[int, ...], frames: tuple[str, ...]) -> np.ndarray:
    """Return a mask with the axes (frames, y, x, s), to be broadcast.

    It has the tile's axes, all of them or without bands, or y and x (and bands) alone, in the order in which
    the tile has them. Without bands a last dimension of one may follow.
    """
    found = np.asarray(mask)
    sizes = dict(zip(names, shape, strict=True))
    own = [name for name in names if name != 's']
    plane = [name for name in own if name in {'y', 'x'}]
    banded = [name for name in names if name in {'y', 'x', 's'}]
    forms = ((own, ()), (plane, ()), (own, (1,)), (plane, (1,)), (names, ()), (banded, ()))
    for given, last in forms:
        if found.shape == (*(sizes[name] for name in given), *last):
            break
    else:
        expected = tuple(sizes[name] for name in plane)
        whole = tuple(sizes[name] for name in names)
        raise EditError(
            f'The mask must have the shape {expected}, or that of the tile, {whole}; found {found.shape}'
        )
    found = found.reshape([sizes[name] for name in given]).astype(bool)
    order = [given.index(name) for name in (*frames, 'y', 'x', 's') if name in given]
    found = found.transpose(order)
    return found[tuple(slice(None) if name in given else np.newaxis for name in (*frames, 'y', 'x', 's'))]
