"""The position of a patch, given in pixels, in a unit of length, or as row and column of a grid.

The result is in whole pixels: ``floor(position + 0.5)``, so halves go up, below zero as well. Unlike rounding
to even, this keeps equal distances between patches equal, wherever the origin is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from girder_zarr.errors import InvalidInputError
from girder_zarr.image.ngff.units import MILLIMETERS
from girder_zarr.stitch.patch import MAX_OFFSET

from .field_checks import UNITS

if TYPE_CHECKING:
    from .model import StitchSpec

PIXEL = 'pixel'


def resolve(
    spec: StitchSpec,
    x: float | None,
    y: float | None,
    unit: str | None = None,
    row: int | None = None,
    column: int | None = None,
) -> tuple[int, int]:
    """Return the position ``(x, y)`` of the first pixel of a patch, in whole pixels.

    :param x: column of the first pixel, in ``unit``; ``y`` its row. None if row and column are given.
    :param unit: ``pixel`` (the default) or a unit of length of OME-NGFF, which needs ``spec.pixelSize``.
    :param row: in place of x and y, the number of the tile of ``spec.grid`` along y; may be negative.
    :param column: the number of the tile along x.
    :raises InvalidInputError: a number is missing, malformed or out of range; the message names it.
    """
    if row is not None or column is not None:
        if x is not None or y is not None or unit is not None:
            msg = 'row, column: expected either these or x and y, found both.'
            raise InvalidInputError(msg)
        return _in_grid(spec, row, column)
    for name, value in (('x', x), ('y', y)):
        if value is None:
            msg = f'{name}: expected a number, or row and column in its place; found nothing.'
            raise InvalidInputError(msg)
        if not math.isfinite(value):
            msg = f'{name}: expected a finite number, found {value}.'
            raise InvalidInputError(msg)
    assert x is not None
    assert y is not None
    if unit not in {None, PIXEL}:
        x, y = _in_pixels(spec, x, y, str(unit))
    return _whole('x', x), _whole('y', y)


def _in_grid(spec: StitchSpec, row: int | None, column: int | None) -> tuple[int, int]:
    grid = spec.grid
    if grid is None:
        msg = 'row, column: expected a session with spec.grid, found one without.'
        raise InvalidInputError(msg)
    if row is None or column is None:
        msg = f'{"row" if row is None else "column"}: expected an integer, found nothing.'
        raise InvalidInputError(msg)
    step_x, step_y = (length - shared for length, shared in zip(grid.tile, grid.overlap, strict=True))
    return _whole('column', column * step_x), _whole('row', row * step_y)


def _in_pixels(spec: StitchSpec, x: float, y: float, unit: str) -> tuple[float, float]:
    size = spec.pixel_size
    if unit not in UNITS:
        msg = f'unit: expected pixel or a unit of OME-NGFF such as micrometer, found {unit!r:.80}.'
        raise InvalidInputError(msg)
    if size is None:
        msg = f'unit: expected pixel, because the session has no spec.pixelSize; found {unit}.'
        raise InvalidInputError(msg)
    factor = 1.0 if unit == size.unit else MILLIMETERS[unit] / MILLIMETERS[size.unit]
    return x * factor / size.x, y * factor / size.y


def _whole(name: str, value: float) -> int:
    if not abs(value) <= MAX_OFFSET:
        msg = f'{name}: expected a position from -{MAX_OFFSET} to {MAX_OFFSET} pixels, found {value:g}.'
        raise InvalidInputError(msg)
    return math.floor(value + 0.5)
