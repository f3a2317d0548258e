"""What the clients upload, and the image that has to come of it, computed with numpy alone."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import random

#: Overlap rule, dtype and bands of the kinds of sessions, in turn.
KINDS = (
    ('last', 'uint8', 3),
    ('max', 'uint16', 1),
    ('first', 'uint8', 1),
    ('mean', 'float32', 1),
    ('min', 'uint8', 3),
)


@dataclasses.dataclass(frozen=True)
class Piece:
    """One patch as it is sent.

    :param pixels: (y, x, bands).
    :param data: the image file.
    :param digest: of the file, as in ``Content-Digest``.
    """

    key: str
    x: int
    y: int
    order: int
    pixels: np.ndarray
    data: bytes
    digest: str

    @property
    def fields(self) -> dict[str, Any]:
        """What is said of it beside its bytes."""
        return {'x': self.x, 'y': self.y, 'order': self.order}


@dataclasses.dataclass(frozen=True)
class Work:
    """One session.

    :param pieces: by key: what the session shall hold in the end.
    :param earlier: by key: what is put first and then replaced by the piece of that key.
    :param strays: by key: what is put and removed again.
    :param counted: whether the spec says how many patches there will be.
    :param kept: whether the patches stay when the image is there.
    :param doomed: the session is deleted while patches arrive.
    """

    name: str
    spec: dict[str, Any]
    pieces: dict[str, Piece]
    earlier: dict[str, Piece]
    strays: dict[str, Piece]
    counted: bool
    kept: bool
    doomed: bool
    dtype: str
    bands: int

    def expected(self) -> np.ndarray:
        """Return the image (bands, y, x)."""
        return blend(self.spec, list(self.pieces.values()), self.dtype, self.bands)


def encode(pixels: np.ndarray) -> bytes:
    """Return PNG for 8 bits, npy for everything else."""
    buffer = io.BytesIO()
    if pixels.dtype == np.uint8:
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(
            buffer, 'PNG', compress_level=1
        )
    else:
        np.save(buffer, pixels, allow_pickle=False)
    return buffer.getvalue()


def piece(key: str, x: int, y: int, order: int, pixels: np.ndarray) -> Piece:
    data = encode(pixels)
    digest = f'sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:'
    return Piece(key, x, y, order, pixels, data, digest)


def make_work(rng: random.Random, number: int, name: str, *, columns: int, side: int, doomed: bool) -> Work:
    """Return a session of columns * columns patches of about side * side pixels that overlap."""
    rule, dtype, bands = KINDS[number % len(KINDS)]
    noise = np.random.default_rng(rng.getrandbits(64))
    step = side * 3 // 4

    def one(key: str, row: int, column: int) -> Piece:
        height, width = side + rng.randrange(-8, 9), side + rng.randrange(-8, 9)
        high = 256 if dtype != 'uint16' else 65536
        pixels = noise.integers(0, high, (height, width, bands)).astype(dtype)
        x, y = column * step + rng.randrange(-6, 7), row * step + rng.randrange(-6, 7)
        # Few different orders, so that keys decide as well.
        return piece(key, x, y, rng.randrange(4), pixels)

    places = [(row, column) for row in range(columns) for column in range(columns)]
    pieces = {f'r{row}_c{column}': one(f'r{row}_c{column}', row, column) for row, column in places}
    counted = number % 2 == 0
    # Where patches are counted, one that is to go again would stand in for one that is still to come.
    replaced = [] if counted else rng.sample(sorted(pieces), max(1, len(pieces) // 8))
    earlier = {key: one(key, *rng.choice(places)) for key in replaced}
    strays = {} if counted else {key: one(key, *rng.choice(places)) for key in ('stray_1', 'stray_2')}
    extent = columns * step + side // 4
    spec: dict[str, Any] = {'overlap': rule, 'size': {'x': extent, 'y': extent - 5}, 'chunk': 128}
    if counted:
        spec['expected'] = len(pieces)
    kept = counted or number % 3 != 0
    spec['keepPatches'] = kept
    return Work(name, spec, pieces, earlier, strays, counted, kept, doomed, dtype, bands)


def blend(spec: dict[str, Any], pieces: list[Piece], dtype: str, bands: int) -> np.ndarray:
    """Return the image (bands, y, x) of some patches; background is 0, what lies outside is cut off."""
    height, width = spec['size']['y'], spec['size']['x']
    rule = spec['overlap']
    ordered = sorted(pieces, key=lambda one: (one.order, one.key), reverse=rule == 'first')
    covered = np.zeros((height, width), np.int64)
    image = np.zeros((height, width, bands), np.float64 if rule == 'mean' else dtype)
    for one in ordered:
        top, left = max(one.y, 0), max(one.x, 0)
        bottom = min(one.y + one.pixels.shape[0], height)
        right = min(one.x + one.pixels.shape[1], width)
        if top >= bottom or left >= right:
            continue
        new = one.pixels[top - one.y : bottom - one.y, left - one.x : right - one.x]
        old, seen = image[top:bottom, left:right], covered[top:bottom, left:right]
        if rule in ('max', 'min'):
            better = np.maximum(old, new) if rule == 'max' else np.minimum(old, new)
            old[...] = np.where(seen[..., None] > 0, better, new)
        elif rule == 'mean':
            old += new
        else:
            old[...] = new
        seen += 1
    if rule == 'mean':
        image = (image / np.maximum(covered, 1)[..., None]).astype(dtype)
    return np.moveaxis(image, -1, 0)
