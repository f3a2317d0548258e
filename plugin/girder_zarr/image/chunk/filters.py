"""numcodecs' codecs by name, and its filters from numbers to numbers, undone in memory of known size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.limits import DEFAULT, check_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Filters whose configuration names the type before (``dtype``) and after (``astype``) encoding.
TYPED = frozenset({'delta', 'fixedscaleoffset', 'quantize'})
NUMBER_FILTERS = TYPED | {'astype', 'bitround', 'packbits'}


def codec_object(name: str, config: Mapping[str, Any]) -> Any:
    """Return a numcodecs codec.

    :param name: a codec id that has passed :func:`.limits.check_codec`.
    :param config: its configuration without the id. The number of threads is not taken from it.
    :raises UnreadableImageError: the codec is not installed, or its configuration is not valid.
    """
    from numcodecs.registry import get_codec

    # The file does not decide how many threads decode it.
    config = {key: value for key, value in config.items() if key not in ('numthreads', 'verbose')}
    try:
        return get_codec({**config, 'id': name})
    except Exception as error:  # noqa: BLE001 - each codec checks its configuration in its own way
        msg = f'The codec {name!r} cannot be used: {error}.'
        raise UnreadableImageError(msg) from None


@dataclass(frozen=True)
class NumberFilter:
    """Undoes one filter.

    :param codec: the numcodecs codec.
    :param dtype: the type of what it gives.
    :param given: the bytes that it takes.
    :param gives: the bytes that it gives.
    """

    codec: Any
    dtype: np.dtype[Any]
    given: int
    gives: int

    def __call__(self, data: np.ndarray) -> np.ndarray:
        """Return the decoded bytes of encoded ones, both flat arrays of uint8.

        :raises ValueError: there are more or fewer than expected.
        """
        if data.nbytes != self.given:
            msg = f'{self.given} bytes were expected, {data.nbytes} found'
            raise ValueError(msg)
        # Numbers that do not fit after all are the file's fault, and no reason for a warning.
        with np.errstate(all='ignore'):
            numbers = np.asarray(self.codec.decode(data))
        found = np.ascontiguousarray(numbers).reshape(-1).view(np.uint8)
        if found.nbytes != self.gives:
            msg = f'{self.gives} bytes were expected, {found.nbytes} found'
            raise ValueError(msg)
        return found


def number_filters(
    filters: Sequence[tuple[str, Mapping[str, Any]]], dtype: np.dtype[Any], count: int, where: str
) -> tuple[list[NumberFilter], int, np.dtype[Any]]:
    """Return the decoders of filters in the order of decoding, and the bytes and type that are stored.

    :param filters: names and configurations, in the order of encoding.
    :param dtype: of the array.
    :param count: the numbers in a chunk.
    :raises UnreadableImageError: a filter's configuration is not valid, or a step would be over the limit.
    """
    found: list[NumberFilter] = []
    size = count * dtype.itemsize
    for number, (name, config) in enumerate(filters):
        codec, before, after = _filter(name.removeprefix('numcodecs.'), config, dtype, where)
        if before.itemsize != dtype.itemsize or (codec.codec_id == 'packbits' and number + 1 < len(filters)):
            msg = f'{where}: the filter {name!r} takes {before}, but is given {dtype}.'
            raise UnreadableImageError(msg)
        given = 1 + -(-count // 8) if codec.codec_id == 'packbits' else count * after.itemsize
        if max(given, size) > DEFAULT.chunk_bytes:
            msg = f'{where} has filters that make {max(given, size)} bytes of a chunk; at most '
            msg += f'{DEFAULT.chunk_bytes} are read.'
            raise UnreadableImageError(msg)
        found.append(NumberFilter(codec, before, given, size))
        dtype, size = after, given
    return found[::-1], size, dtype


def _filter(
    name: str, config: Mapping[str, Any], dtype: np.dtype[Any], where: str
) -> tuple[Any, np.dtype[Any], np.dtype[Any]]:
    """Return the codec and the types before and after encoding."""
    what = f'{where}: filter {name}'
    config = dict(config)
    if name == 'packbits':
        return codec_object(name, config), np.dtype(bool), np.dtype(np.uint8)
    if name == 'bitround':
        return codec_object(name, config), dtype, dtype
    first, second = ('decode_dtype', 'encode_dtype') if name == 'astype' else ('dtype', 'astype')
    if config.get(first) is None:
        config[first] = dtype.str
    before = check_dtype(_long(config[first]), what)
    after = before if config.get(second) is None else check_dtype(_long(config[second]), what)
    config[second] = after.str
    return codec_object(name, config), before, after


def _long(value: object) -> object:
    """Return a type as text; some writers store what numpy calls a type in Python."""
    return value.removeprefix('numpy.') if isinstance(value, str) else value
