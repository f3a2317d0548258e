"""One patch of an image: its key, placement, shape, dtype and how it is combined with others."""

from __future__ import annotations

import base64
import binascii
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from girder_zarr.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from girder_zarr.stitch.formats.info import PageAt
    from girder_zarr.stitch.formats.raw import Layout

#: The axes besides y and x that every image can have, in NGFF order; for others see `order_axes`.
FRAME_AXES = ('t', 'c', 'z')
#: Axes of other names that an image may have: nine with t, c, z, y and x, more than any known format has.
MAX_OTHER_AXES = 4
#: How far from the origin a patch may lie, in pixels, along y and x: sums of positions and sides fit 32 bits.
MAX_OFFSET = 2**30
#: The largest index along a frame axis: every index is a frame, listed in large_image's metadata.
MAX_INDEX = 2**20 - 1
#: ``order`` is stored as a signed 32-bit integer.
MAX_ORDER = 2**31 - 1

#: The bounds of a weight: sums of weights and their products with pixels stay within float32.
MIN_WEIGHT, MAX_WEIGHT = 1e-6, 1e6

_AXIS = re.compile(r'[a-z][a-z_]{0,30}')
_KEY = re.compile(r'[A-Za-z0-9._~,@=+-]{1,200}')
_DIGEST = re.compile(r'\s*sha-256\s*=\s*:([A-Za-z0-9+/=]*):\s*')


@dataclass(frozen=True, slots=True)
class Placement:
    """The position of the first (upper left) pixel of a patch.

    :param x: column, in pixels from the origin; may be negative.
    :param y: row, in pixels from the origin; may be negative.
    :param frame: the index along each frame axis that the patch names, as pairs sorted by name.
    """

    x: int
    y: int
    frame: tuple[tuple[str, int], ...] = ()

    @classmethod
    def make(cls, x: int, y: int, frame: Mapping[str, int | None] | None = None) -> Placement:
        """Return a placement after checking it.

        :param frame: the index by frame axis; None counts as not named.
        :raises InvalidInputError: a number is out of range or an axis has another form; the message names it.
        """
        for name, value in (('x', x), ('y', y)):
            if abs(value) > MAX_OFFSET:
                msg = f'{name}: expected a position from -{MAX_OFFSET} to {MAX_OFFSET}, found {value}.'
                raise InvalidInputError(msg)
        named = {axis: index for axis, index in (frame or {}).items() if index is not None}
        others = sorted(set(named) - set(FRAME_AXES))
        if len(others) > MAX_OTHER_AXES:
            found = ', '.join(others)[:80]
            msg = f'index: expected at most {MAX_OTHER_AXES} axes besides t, z and c, found {found}.'
            raise InvalidInputError(msg)
        for name, index in named.items():
            check_axis(name)
            if not 0 <= index <= MAX_INDEX:
                msg = f'{name}: expected an index from 0 to {MAX_INDEX}, found {index}.'
                raise InvalidInputError(msg)
        return cls(x, y, tuple(sorted(named.items())))

    @property
    def axes(self) -> tuple[str, ...]:
        """The frame axes that are named, sorted."""
        return tuple(name for name, _ in self.frame)

    def index(self, axis: str) -> int:
        """Return the index along a frame axis, 0 if it is not named."""
        return dict(self.frame).get(axis, 0)

    def as_dict(self) -> dict[str, int]:
        """Return ``{'x': ..., 'y': ...}`` with the named frame axes."""
        return {'x': self.x, 'y': self.y, **dict(self.frame)}

    @classmethod
    def from_dict(cls, position: Mapping[str, int]) -> Placement:
        """Return the placement that :meth:`as_dict` wrote."""
        frame = {axis: index for axis, index in position.items() if axis not in {'x', 'y'}}
        return cls(position['x'], position['y'], tuple(sorted(frame.items())))


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch of an image, without its pixels.

    >>> Patch('r0c1', Placement.make(480, 0, {'z': 2}), (512, 512, 3), 'uint8', source='r0c1.png')

    :param key: the name that the client gave it; unique within an image.
    :param placement: the position of its first pixel.
    :param shape: ``(y, x, bands)`` in pixels; a mask band does not count.
    :param dtype: the numpy name of the type of its pixels.
    :param order: the first part of its rank: where patches overlap, the higher rank is later.
    :param source: whatever the caller needs to load its pixels; opaque here.
    :param weight: its factor in the overlap rules ``mean`` and ``feather``.
    :param alpha: its pixels come with one more band than ``shape`` gives, which is its mask.
    :param mask_key: the key of the reference image that is its mask, or empty.
    :param arrival: a number that grows with every stored patch; part of the rank if ``spec.overlapBy`` is
        ``arrival``.
    :param digest: of its file, as :func:`format_digest` writes it, for the image's metadata.
    :param layout: of raw pixels; None if its bytes are an image file.
    :param as_stored: its file's orientation is ignored; else it is turned upright.
    :param page: of a file of several, the one that it is.
    """

    key: str
    placement: Placement
    shape: tuple[int, int, int]
    dtype: str
    order: int = 0
    source: str = ''
    weight: float = 1.0
    alpha: bool = False
    mask_key: str = ''
    arrival: int = 0
    digest: str = ''
    layout: Layout | None = None
    as_stored: bool = False
    page: PageAt | None = None

    @property
    def rank(self) -> tuple[int, str]:
        """The order of overlapping patches if ``spec.overlapBy`` is ``key``."""
        return self.order, self.key

    @property
    def rank_by_arrival(self) -> tuple[int, int, str]:
        """The order of overlapping patches if ``spec.overlapBy`` is ``arrival``."""
        return self.order, self.arrival, self.key

    @property
    def is_plain(self) -> bool:
        """Whether it has neither mask nor weight."""
        return self.weight == 1 and not self.alpha and not self.mask_key


def check_key(key: str) -> str:
    """Return the key of a patch after checking it.

    :raises InvalidInputError: it is not 1 to 200 of ``A-Z a-z 0-9 . _ ~ - , @ = +``; or ``.`` or ``..``,
        which many clients and proxies take out of an address together with what stands before them.
    """
    if key in {'.', '..'}:
        msg = f'key: expected a name that addresses keep, found {key!r}.'
        raise InvalidInputError(msg)
    if not _KEY.fullmatch(key):
        shown = key if len(key) <= 60 else key[:60] + '...'
        msg = f'key: expected 1 to 200 of the characters A-Z a-z 0-9 . _ ~ - , @ = +, found {shown!r}.'
        raise InvalidInputError(msg)
    return key


def check_axis(name: str) -> str:
    """Return the name of a frame axis after checking it.

    :raises InvalidInputError: it is not 1 to 31 lower case letters and underscores, or is x, y or s.
    """
    if not _AXIS.fullmatch(name) or name in {'x', 'y', 's'}:
        msg = (
            'index: expected axes called t, z, c or by up to 31 lower case letters and underscores, '
            f'but not x, y or s; found {name!r:.80}.'
        )
        raise InvalidInputError(msg)
    return name


def order_axes(names: Iterable[str]) -> tuple[str, ...]:
    """Return ``FRAME_AXES`` and the other names in NGFF order: time, others by name, channel, z."""
    others = sorted(set(names) - set(FRAME_AXES))
    return ('t', *others, 'c', 'z')


def check_weight(weight: float) -> float:
    """Return a weight after checking it.

    :raises InvalidInputError: it is not from ``MIN_WEIGHT`` to ``MAX_WEIGHT``.
    """
    if not math.isfinite(weight) or not MIN_WEIGHT <= weight <= MAX_WEIGHT:
        msg = f'weight: expected a number from {MIN_WEIGHT:g} to {MAX_WEIGHT:g}, found {weight}.'
        raise InvalidInputError(msg)
    return weight


def check_order(order: int) -> int:
    """Return an order after checking it.

    :raises InvalidInputError: it does not fit 32 bits.
    """
    if abs(order) > MAX_ORDER:
        msg = f'order: expected an integer from -{MAX_ORDER} to {MAX_ORDER}, found {order}.'
        raise InvalidInputError(msg)
    return order


def format_digest(sha256: bytes) -> str:
    """Return a sha-256 digest of 32 bytes as RFC 9530 writes it: ``sha-256=:BASE64:``."""
    return f'sha-256=:{base64.b64encode(sha256).decode()}:'


def parse_digest(header: str) -> str | None:
    """Return the sha-256 member of a ``Content-Digest`` header in the form of :func:`format_digest`.

    Members of other algorithms are ignored, as RFC 9530 (section 2) demands; None if there is no sha-256.

    :raises InvalidInputError: the sha-256 member is malformed.
    """
    for member in header.split(','):
        if not member.strip().startswith('sha-256'):
            continue
        match = _DIGEST.fullmatch(member)
        try:
            value = base64.b64decode(match[1], validate=True) if match else b''
        except binascii.Error:
            value = b''
        if len(value) != 32:
            msg = f'Content-Digest: expected sha-256=:BASE64 of 32 bytes:, found {member.strip()[:80]!r}.'
            raise InvalidInputError(msg)
        return format_digest(value)
    return None


def check_same_axes(placements: Iterable[Placement]) -> tuple[str, ...]:
    """Return the frame axes that all placements name, sorted; none if there are no placements.

    :raises InvalidInputError: they do not all name the same.
    """
    found = {placement.axes for placement in placements}
    if len(found) > 1:
        first, second = sorted(found)[:2]
        msg = (
            f'All patches must name the same of t, z, c and other axes; '
            f'found {first or "none"} and {second or "none"}.'
        )
        raise InvalidInputError(msg)
    return found.pop() if found else ()
