"""Limits, checked before a byte is allocated: a file from outside may be made to do harm."""

from __future__ import annotations

import contextlib
import math
from contextvars import ContextVar
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from girder_zarr.common.bounded_json import JsonLimitError, parse_json
from girder_zarr.errors import FieldLimitError, UnreadableImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@dataclass(frozen=True)
class Limits:
    """The bounds; sizes in bytes.

    :param chunk_bytes: one decoded chunk (the inner chunk where the array is sharded); together with what it
        is stored in, see :func:`max_work_bytes`.
    :param image_chunk_bytes: one chunk of a picture format; some of their decoders take four times as much.
    :param shard_chunks: the inner chunks of one shard.
    :param tile_chunks: the chunks that one tile at a lower resolution than any stored may be made from.
    :param json_values: numbers, texts, lists and objects in one metadata document, at all depths.
    :param wells: of a plate; the largest that are made have 6,144.
    :param frames: two-dimensional pictures in an image; large_image lists each of them.
    :param side: the pixels along one axis.
    :param thumbnail_pixels: width x height of a thumbnail; 4096 x 4096.
    """

    json_bytes: int = 32 * 2**20
    json_values: int = 1_000_000
    json_depth: int = 64
    axes: int = 16
    levels: int = 64
    series: int = 100_000
    wells: int = 20_000
    frames: int = 500_000
    side: int = 2**40
    chunk_bytes: int = 128 * 2**20
    image_chunk_bytes: int = 32 * 2**20
    shard_chunks: int = 2**22
    tile_chunks: int = 500_000
    zip_entries: int = 4_000_000
    zip_directory_bytes: int = 512 * 2**20
    zip_entry_bytes: int = 2**40
    name_bytes: int = 4096
    thumbnail_pixels: int = 2**24


#: No limit can be set higher: the largest whole number that JSON readers in browsers keep exact.
MAX_LIMIT = 2**53


def parse_limits(value: object) -> Limits:
    """Return limits from a JSON object with those that differ from the defaults; None: all are defaults.

    :raises ValueError: it is no object, names something else, or a limit is not a whole number above 0.
    """
    if value is None:
        return Limits()
    if not isinstance(value, dict):
        msg = f'expected a JSON object of limits, found {_short(value)}'
        raise ValueError(msg)
    names = [field.name for field in fields(Limits)]
    for name, number in value.items():
        if name not in names:
            msg = f'expected some of {", ".join(names)}, found {_short(name)}'
            raise ValueError(msg)
        if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= MAX_LIMIT:
            msg = f'{name}: expected a whole number from 1 to {MAX_LIMIT}, found {_short(number)}'
            raise ValueError(msg)
    return Limits(**value)


class _Current:
    """The limits in force: every attribute is looked up in what ``source`` returns now."""

    def __init__(self) -> None:
        own = Limits()
        self.source: Callable[[], Limits] = lambda: own

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source(), name)


_current = _Current()
#: The limits in force: our own, or those that :func:`follow` brings in.
DEFAULT = cast('Limits', _current)


def follow(source: Callable[[], Limits]) -> None:
    """Set the function that returns the limits in force.

    :param source: called each time a limit is looked up, from any thread, so it has to be quick.

    >>> mine = Limits(chunk_bytes=256 * 2**20)
    >>> follow(lambda: mine)
    """
    _current.source = source


#: zarr v2 compressor and filter ids. Nothing here runs code from the file or makes Python objects.
V2_CODECS = frozenset(
    {
        'adler32', 'astype', 'bitround', 'blosc', 'bz2', 'crc32', 'crc32c', 'delta',
        'fixedscaleoffset', 'fletcher32', 'gzip', 'jenkins_lookup3', 'lz4', 'lzma', 'packbits',
        'quantize', 'shuffle', 'zlib', 'zstd',
    }
)  # fmt: skip
#: zarr v3 codec names; ``numcodecs.`` + a v2 id is accepted as well.
V3_CODECS = frozenset(
    {
        'bitround', 'blosc', 'bytes', 'bz2', 'crc32c', 'delta', 'gzip', 'lz4', 'packbits',
        'sharding_indexed', 'shuffle', 'transpose', 'zlib', 'zstd',
    }
)  # fmt: skip
#: Codecs of imagecodecs (``imagecodecs_`` + one of these) that decode to an image of the chunk's shape.
IMAGE_CODECS = frozenset(
    {
        'jpeg', 'jpeg2k', 'jpegls', 'jpegxl', 'jpegxr', 'lerc', 'ljpeg', 'mozjpeg',
        'png', 'qoi', 'ultrahdr', 'webp',
    }
)  # fmt: skip
#: Codecs of imagecodecs that decode to bytes.
IMAGECODECS_BYTES = frozenset(
    {
        'blosc', 'blosc2', 'brotli', 'bz2', 'deflate', 'lz4', 'lz4f', 'lzma', 'snappy', 'zlib',
        'zlibng', 'zstd',
    }
)  # fmt: skip


def load_json(data: bytes, name: str, limits: Limits = DEFAULT) -> dict[str, Any]:
    """Return the JSON object in ``data``.

    :param name: what to call the document in messages.
    :raises UnreadableImageError: it is too large or too deep, not JSON, or not an object.
    """
    try:
        value = parse_json(data, limits.json_bytes, limits.json_values, limits.json_depth)
    except JsonLimitError as error:
        msg = f'{name} is not read: {error}.'
        raise UnreadableImageError(msg) from None
    except ValueError as error:
        msg = f'{name} is not valid JSON: {error}.'
        raise UnreadableImageError(msg) from None
    if not isinstance(value, dict):
        msg = f'{name} should hold a JSON object; found {type(value).__name__}.'
        raise UnreadableImageError(msg)
    return value


def _short(value: object) -> str:
    """Return a value for a message. Whole numbers with thousands of digits cannot become text in Python."""
    try:
        return repr(value)[:200]
    except (ValueError, RecursionError):
        return 'a very large value'


def check_relative_path(path: object, what: str) -> str:
    """Return ``path`` without empty and ``.`` parts; it may not lead out of the store.

    :raises UnreadableImageError: it is not text, is absolute or an address, or holds ``..``, backslash, NUL.
    """
    if isinstance(path, int) and not isinstance(path, bool) and 0 <= path < 10**9:
        return str(path)  # some writers forget the quotes
    if not isinstance(path, str):
        msg = f'{what} should be a text; found {type(path).__name__}.'
        raise UnreadableImageError(msg)
    if path.isalnum() and len(path) <= DEFAULT.name_bytes:
        return path
    parts = [part for part in path.split('/') if part not in ('', '.')]
    bad = path.startswith('/') or '..' in parts or '\\' in path or '\0' in path or '://' in path
    if bad or len(path) > DEFAULT.name_bytes:
        msg = f'{what} should be a path inside the image; found {path[:200]!r}.'
        raise UnreadableImageError(msg)
    return '/'.join(parts)


def check_shape(value: object, name: str, *, minimum: int = 0, limits: Limits = DEFAULT) -> tuple[int, ...]:
    """Return a shape or chunk shape from JSON.

    :raises UnreadableImageError: it is not a list of whole numbers in bounds.
    """
    if not isinstance(value, list) or not 1 <= len(value) <= limits.axes:
        msg = f'{name} should be a list of 1 to {limits.axes} numbers; found {_short(value)}.'
        raise UnreadableImageError(msg)
    for side in value:
        if not isinstance(side, int) or isinstance(side, bool) or not minimum <= side <= limits.side:
            msg = f'{name} should hold numbers from {minimum} to {limits.side}; found {_short(side)}.'
            raise UnreadableImageError(msg)
    return tuple(value)


def check_dtype(value: object, name: str) -> np.dtype[Any]:
    """Return the type of a pixel from a numpy type string.

    :raises UnreadableImageError: it is not a boolean, integer or real number of at most 64 bits.
    """
    try:
        dtype = np.dtype(value) if isinstance(value, str) and len(value) < 16 else None
    except (TypeError, ValueError, SyntaxError):  # numpy reads "1,2" and the like in its own way
        dtype = None
    if dtype is None or dtype.kind not in 'biuf' or dtype.itemsize > 8 or dtype.subdtype is not None:
        msg = f'{name} should be a boolean, integer or floating point type; found {_short(value)}.'
        raise UnreadableImageError(msg)
    return dtype


def check_chunk(chunks: Sequence[int], dtype: np.dtype[Any], name: str, limits: Limits = DEFAULT) -> None:
    """Refuse chunks that would decode to more than the limit.

    :raises UnreadableImageError: they would.
    """
    size = math.prod(chunks) * dtype.itemsize
    if size > limits.chunk_bytes:
        shape = ' x '.join(map(str, chunks))
        most = limits.chunk_bytes
        msg = f'{name} has chunks of {shape} {dtype} ({size} bytes); at most {most} are read.'
        raise UnreadableImageError(msg)


def max_work_bytes(limits: Limits = DEFAULT) -> int:
    """Return how many bytes a chunk may have stored and decoded together: 176 MiB unless a limit is changed.

    Then a tile takes less than 300 MB, Python and all libraries included.
    """
    return limits.chunk_bytes * 11 // 8


def check_codec(name: object, where: str, *, version: int) -> str:
    """Return a codec name that is on the list.

    :param version: the zarr format, 2 or 3.
    :raises UnreadableImageError: it is not on the list.
    """
    if isinstance(name, str):
        short = name.removeprefix('imagecodecs_')
        if short != name and short in IMAGE_CODECS | IMAGECODECS_BYTES:
            return name
        if version == 2 and name in V2_CODECS:
            return name
        if version == 3 and (name in V3_CODECS or name.removeprefix('numcodecs.') in V2_CODECS):
            return name
    msg = f'{where} is stored with the codec {_short(name)}, which is not on the list of codecs we run.'
    raise UnreadableImageError(msg)


@dataclass
class FieldBudget:
    """What may be read for a picture, and what has been.

    :param max_fields: that are put together, counted in each channel.
    :param max_pixels: that are stored, of all of them.
    :param holds: whether it bounds this reader, asked where it is exceeded.
    """

    max_fields: int
    max_pixels: int
    holds: Callable[[], bool] = lambda: True
    fields: int = 0
    pixels: int = 0


_budget: ContextVar[FieldBudget | None] = ContextVar('field_budget', default=None)


@contextlib.contextmanager
def within(budget: FieldBudget) -> Iterator[None]:
    """Bound what this thread reads of mosaics, where nothing bounds it already.

    :raises FieldLimitError: inside, before anything is read that is over the budget.
    """
    if _budget.get() is not None:
        yield
        return
    token = _budget.set(budget)
    try:
        yield
    finally:
        _budget.reset(token)


def is_bounded() -> bool:
    """Whether there is a budget for what this thread reads, and it holds."""
    budget = _budget.get()
    return budget is not None and budget.holds()


def spend(fields: int, pixels: int) -> None:
    """Take what is read from the budget of this thread, if it has one.

    :raises FieldLimitError: it is more than is left.
    """
    budget = _budget.get()
    if budget is None:
        return
    budget.fields += fields
    budget.pixels += pixels
    is_over = budget.fields > budget.max_fields or budget.pixels > budget.max_pixels
    if is_over and budget.holds():
        msg = f'{budget.fields} fields ({budget.pixels} stored pixels) would have to be read for this picture'
        raise FieldLimitError(msg)
