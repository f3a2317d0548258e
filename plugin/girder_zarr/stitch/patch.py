"""One patch: what it is called, where it lies and what its pixels are."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from girder_zarr.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: The axes besides y and x along which a patch can be placed, in NGFF order.
FRAME_AXES = ('t', 'c', 'z')
#: How far from the origin a patch may lie, in pixels, along y and x.
MAX_OFFSET = 2**30
#: The largest index along t, z and c.
MAX_INDEX = 2**20 - 1
#: ``order`` is stored as a signed 32-bit number.
MAX_ORDER = 2**31 - 1

_KEY = re.compile(r'[A-Za-z0-9._~,@=+-]{1,200}')
_DIGEST = re.compile(r'\s*sha-256\s*=\s*:([A-Za-z0-9+/=]*):\s*')


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the first pixel of a patch lies.

    :param x: columns from the origin, may be negative.
    :param y: rows from the origin, may be negative.
    :param frame: the index along each of ``FRAME_AXES`` that the patch names, as sorted pairs.
    """

    x: int
    y: int
    frame: tuple[tuple[str, int], ...] = ()

    @classmethod
    def make(cls, x: int, y: int, frame: Mapping[str, int | None] | None = None) -> Placement:
        """Check and return a placement.

        :raises InvalidInputError: a number is out of range; the message names the axis.
        """
        for name, value in (('x', x), ('y', y)):
            if abs(value) > MAX_OFFSET:
                msg = f'{name}: expected a position from -{MAX_OFFSET} to {MAX_OFFSET}, found {value}.'
                raise InvalidInputError(msg)
        named = {axis: index for axis, index in (frame or {}).items() if index is not None}
        for name, index in named.items():
            if name not in FRAME_AXES:
                msg = f'{name}: expected one of the axes t, z, c, x, y.'
                raise InvalidInputError(msg)
            if not 0 <= index <= MAX_INDEX:
                msg = f'{name}: expected an index from 0 to {MAX_INDEX}, found {index}.'
                raise InvalidInputError(msg)
        return cls(x, y, tuple(sorted(named.items())))

    @property
    def axes(self) -> tuple[str, ...]:
        """The frame axes that are named, sorted."""
        return tuple(name for name, _ in self.frame)

    def index(self, axis: str) -> int:
        """Return the index along a frame axis, 0 where it is not named."""
        return dict(self.frame).get(axis, 0)

    def as_dict(self) -> dict[str, int]:
        """Return ``{'x': ..., 'y': ...}`` with the named frame axes."""
        return {'x': self.x, 'y': self.y, **dict(self.frame)}

    @classmethod
    def from_dict(cls, position: Mapping[str, int]) -> Placement:
        """Return what :meth:`as_dict` was made from."""
        frame = {axis: index for axis, index in position.items() if axis not in {'x', 'y'}}
        return cls(position['x'], position['y'], tuple(sorted(frame.items())))


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch of an image, without its pixels.

    :param key: what the client calls it; unique within an image.
    :param placement: where its first pixel lies.
    :param shape: ``(y, x, bands)`` in pixels.
    :param dtype: the numpy name of the type of its pixels.
    :param order: what decides where patches overlap, before the key does.
    :param source: whatever the caller needs to load its pixels; not looked at here.
    """

    key: str
    placement: Placement
    shape: tuple[int, int, int]
    dtype: str
    order: int = 0
    source: str = ''

    @property
    def rank(self) -> tuple[int, str]:
        """What patches are sorted by where they overlap."""
        return self.order, self.key


def check_key(key: str) -> str:
    """Return the key.

    :raises InvalidInputError: it has another form.
    """
    if not _KEY.fullmatch(key):
        shown = key if len(key) <= 60 else key[:60] + '...'
        msg = f'key: expected 1 to 200 of the characters A-Z a-z 0-9 . _ ~ - , @ = +, found {shown!r}.'
        raise InvalidInputError(msg)
    return key


def check_order(order: int) -> int:
    """Return the order.

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

    Other algorithms are passed over, as RFC 9530 asks for; without a sha-256 the answer is None.

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
    """Return the frame axes that all placements name.

    :raises InvalidInputError: they do not all name the same.
    """
    found = {placement.axes for placement in placements}
    if len(found) > 1:
        first, second = sorted(found)[:2]
        msg = f'All patches must name the same of t, z, c; found {first or "none"} and {second or "none"}.'
        raise InvalidInputError(msg)
    return found.pop() if found else ()
