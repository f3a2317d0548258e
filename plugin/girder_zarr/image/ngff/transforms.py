"""Coordinate transformations of NGFF, as one size of a pixel and one offset an axis."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: How deep sequences of transforms are followed.
MAX_TRANSFORM_DEPTH = 8
#: How many steps of a list are applied; NGFF allows a scale and a translation.
MAX_STEPS = 32
#: Numbers from here on are no sizes: their products would leave the range of floats.
MAX_NUMBER = 1e100


@dataclass(frozen=True, slots=True)
class Transform:
    """A scale and then a translation.

    :param scale: one factor an axis, 1 where none is given validly; ``translation``: likewise, 0.
    :param given: which factors come from the file.
    :param wrong: which axes have a factor that is not valid: their size is not known whatever follows.
    """

    scale: tuple[float, ...]
    translation: tuple[float, ...]
    given: tuple[bool, ...]
    wrong: tuple[bool, ...]

    @classmethod
    def none(cls, count: int) -> Transform:
        """Return the transform of metadata that has none."""
        return cls((1.0,) * count, (0.0,) * count, (False,) * count, (False,) * count)

    def then(self, other: Transform) -> Transform:
        """Return this transform followed by another."""
        steps = zip(self.translation, other.scale, other.translation, strict=True)
        return Transform(
            tuple(a * b for a, b in zip(self.scale, other.scale, strict=True)),
            tuple(own * factor + offset for own, factor, offset in steps),
            tuple(a or b for a, b in zip(self.given, other.given, strict=True)),
            tuple(a or b for a, b in zip(self.wrong, other.wrong, strict=True)),
        )

    def valid(self) -> Transform:
        """Return the transform without the factors of axes that have one that is not valid."""
        return replace(
            self,
            scale=tuple(1.0 if bad else one for one, bad in zip(self.scale, self.wrong, strict=True)),
            given=tuple(one and not bad for one, bad in zip(self.given, self.wrong, strict=True)),
        )


def read_transforms(value: object, spaces: Sequence[bool], note: Callable[[str], None]) -> Transform:
    """Return a list of transforms as one; what cannot be applied is left out.

    :param spaces: for each axis whether it is of space. A list of as many numbers as there are such axes
        stands for these: Fractal wrote ``[z, y, x]`` for czyx.
    :param note: takes a sentence on what is wrong.
    """
    return _read(value, spaces, note, 0)


def _read(value: object, spaces: Sequence[bool], note: Callable[[str], None], depth: int) -> Transform:
    count = len(spaces)
    result = Transform.none(count)
    for step in value[:MAX_STEPS] if isinstance(value, list) else ():
        kind = step.get('type') if isinstance(step, dict) else None
        one: Transform | None = None
        if kind == 'identity':
            one = replace(Transform.none(count), given=(True,) * count)
        elif kind == 'sequence' and depth < MAX_TRANSFORM_DEPTH:
            one = _read(step.get('transformations'), spaces, note, depth + 1)
        elif kind == 'scale':
            one = _scale(step.get('scale'), spaces)
            if any(one.wrong):
                note(
                    f'A scale should hold a number other than zero for each axis; found {step.get("scale")}.'
                )
        elif kind == 'translation':
            numbers = _numbers(step.get('translation'), spaces, 0.0)
            if numbers is not None and None not in numbers:
                offsets = tuple(number or 0.0 for number in numbers)
                one = replace(Transform.none(count), translation=offsets)
        elif kind == 'affine':
            one = _diagonal(step.get('affine'), count)
        if one is None:
            note(f'A coordinate transformation of type {str(kind)[:50]!r} cannot be applied; it is left out.')
            one = replace(Transform.none(count), wrong=(kind == 'affine',) * count)
        result = result.then(one)
    return result


def _scale(value: object, spaces: Sequence[bool]) -> Transform:
    count = len(spaces)
    numbers = _numbers(value, spaces, 1.0)
    if numbers is None:
        return replace(Transform.none(count), wrong=(True,) * count)
    factors = tuple(number or 1.0 for number in numbers)
    wrong = tuple(not number for number in numbers)
    return Transform(factors, (0.0,) * count, tuple(not one for one in wrong), wrong)


def _numbers(value: object, spaces: Sequence[bool], default: float) -> tuple[float | None, ...] | None:
    """Return one number an axis, None where it is none; or None where the list fits in no way.

    :param default: of axes that are not of space, where the list is only for those that are.
    """
    if not isinstance(value, list):
        return None
    found = [_number(one) for one in value]
    if len(found) == len(spaces):
        return tuple(found)
    if len(found) != sum(spaces) or not found:
        return None
    rest = iter(found)
    return tuple(next(rest) if space else default for space in spaces)


def _number(value: object) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < MAX_NUMBER:
        return float(value) if math.isfinite(value) else None
    return None


def _diagonal(value: object, count: int) -> Transform | None:
    """Return an affine matrix (rows of ``count`` factors and an offset) that neither turns nor shears."""
    matrix = value[: count + 1] if isinstance(value, list) else []
    rows = [[_number(one) for one in row] if isinstance(row, list) else [] for row in matrix]
    if len(rows) < count or any(len(row) != count + 1 or None in row for row in rows[:count]):
        return None
    found = [[number or 0.0 for number in row] for row in rows[:count]]
    if any(row[column] for index, row in enumerate(found) for column in range(count) if column != index):
        return None
    scale = tuple(row[index] for index, row in enumerate(found))
    if not all(scale):
        return None
    return Transform(scale, tuple(row[count] for row in found), (True,) * count, (False,) * count)
