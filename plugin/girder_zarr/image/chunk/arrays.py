"""The metadata of one zarr array, checked against the limits from its raw JSON.

Specifications: zarr v2 and zarr v3 core with the codecs bytes, transpose, blosc, gzip, zstd, crc32c and
sharding_indexed (https://zarr-specs.readthedocs.io).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from girder_zarr.errors import UnreadableImageError
from girder_zarr.image.limits import DEFAULT, check_chunk, check_codec, check_dtype, check_shape, load_json

from .codecs import ChunkDecoder, decompressor, is_image_codec
from .filters import NUMBER_FILTERS, codec_object, number_filters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from girder_zarr.image.store.keystore import KeyStore

V3_DTYPES = {
    'bool': 'bool',
    **{name: name for kind in ('int', 'uint') for name in (f'{kind}{bits}' for bits in (8, 16, 32, 64))},
    **{name: name for name in ('float16', 'float32', 'float64')},
}
FLOAT_NAMES = {'NaN': math.nan, 'Infinity': math.inf, '-Infinity': -math.inf}


@dataclass(frozen=True)
class Sharding:
    """Where the inner chunks of a shard lie.

    :param grid: the number of inner chunks along each axis.
    :param index: decodes the index, uint64 of the shape ``grid + (2,)`` (offset and size).
    :param index_bytes: the stored size of the index.
    :param at_end: the index is at the end of the shard, else at its beginning.
    """

    grid: tuple[int, ...]
    index: ChunkDecoder
    index_bytes: int
    at_end: bool


@dataclass(frozen=True)
class ArrayInfo:
    """One zarr array.

    :param path: in the store; ``''`` is the root.
    :param chunks: what is decoded at once; the inner chunks where the array is sharded.
    :param key_prefix: what a chunk's key begins with, ahead of the numbers.
    :param codecs: as stored, for people to read.
    """

    path: str
    zarr_format: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...]
    fill: np.ndarray
    decoder: ChunkDecoder
    key_prefix: str
    separator: str
    sharding: Sharding | None = None
    dimension_names: tuple[str | None, ...] | None = None
    codecs: Any = None
    attributes: dict[str, Any] = field(default_factory=dict)


def parse_v2(path: str, document: dict[str, Any]) -> ArrayInfo:
    """Return the array that a ``.zarray`` describes.

    :raises UnreadableImageError: it is not valid, over a limit, or uses a codec that is not on the list.
    """
    where = f'The array {path!r}'
    shape = check_shape(document.get('shape'), f'{where}: shape')
    chunks = check_shape(document.get('chunks'), f'{where}: chunks', minimum=1)
    dtype = check_dtype(document.get('dtype'), f'{where}: dtype')
    _check_lengths(where, shape, chunks)
    check_chunk(chunks, dtype, where)
    compressor, filters = document.get('compressor'), document.get('filters') or []
    if not isinstance(filters, list):
        msg = f'{where}: filters should be a list; found {type(filters).__name__}.'
        raise UnreadableImageError(msg)
    for codec in [*filters, *([] if compressor is None else [compressor])]:
        check_codec(codec.get('id') if isinstance(codec, dict) else None, where, version=2)
    separator = document.get('dimension_separator', '.')
    order = document.get('order', 'C')
    if separator not in ('.', '/') or order not in ('C', 'F'):
        msg = (
            f'{where}: dimension_separator should be . or / and order C or F; found {separator!r}, {order!r}.'
        )
        raise UnreadableImageError(msg)
    return ArrayInfo(
        path=path,
        zarr_format=2,
        shape=shape,
        dtype=dtype.newbyteorder('='),
        chunks=chunks,
        fill=_fill(document.get('fill_value'), dtype, where),
        decoder=_decoder_v2(chunks, dtype, compressor, filters, order, where),
        key_prefix=path + '/' if path else '',
        separator=separator,
        codecs={'compressor': compressor, 'filters': filters or None, 'order': order},
    )


def _decoder_v2(
    chunks: tuple[int, ...],
    dtype: np.dtype[Any],
    compressor: dict[str, Any] | None,
    filters: list[Any],
    order: str,
    where: str,
) -> ChunkDecoder:
    chain = [(codec['id'], codec) for codec in [*filters, *([] if compressor is None else [compressor])]]
    image, back = None, None
    if chain and is_image_codec(chain[0][0]):
        if order == 'F':
            # in the order of the picture's own axes
            chunks, back, order = chunks[::-1], tuple(reversed(range(len(chunks)))), 'C'
        image = _image_codec(chain.pop(0), chunks, dtype, where)
    numbers = []
    while chain and image is None and chain[0][0] in NUMBER_FILTERS:
        numbers.append(chain.pop(0))
    undone = number_filters(numbers, dtype, math.prod(chunks), where)[0]
    return ChunkDecoder(
        chunks, dtype, _steps(chain, where), image=image, order=order, transpose=back, filters=undone
    )


def _steps(chain: Sequence[tuple[str, dict[str, Any]]], where: str) -> list[Any]:
    """Return what undoes bytes-to-bytes codecs, in the order of decoding."""
    steps = []
    for name, config in reversed(chain):
        step = decompressor(name, config)
        if step is None:
            msg = f'{where} is stored with the codec {name!r} in a place where it is not read.'
            raise UnreadableImageError(msg)
        steps.append(step)
    return steps


def _image_codec(
    codec: tuple[str, dict[str, Any]], chunks: Sequence[int], dtype: np.dtype[Any], where: str
) -> Any:
    size = math.prod(chunks) * dtype.itemsize
    if size > DEFAULT.image_chunk_bytes:
        msg = f'{where} has pictures of {size} bytes as chunks; at most {DEFAULT.image_chunk_bytes} are read.'
        raise UnreadableImageError(msg)
    return codec_object(*codec)


def parse_v3(path: str, document: dict[str, Any]) -> ArrayInfo:
    """Return the array that a ``zarr.json`` describes.

    :raises UnreadableImageError: it is not valid, over a limit, or uses a codec that is not on the list.
    """
    where = f'The array {path!r}'
    shape = check_shape(document.get('shape'), f'{where}: shape')
    chunks = check_shape(_configured(document.get('chunk_grid'), 'regular', where).get('chunk_shape'),
                         f'{where}: chunk_shape', minimum=1)  # fmt: skip
    name = document.get('data_type')
    dtype = check_dtype(
        V3_DTYPES.get(name) if isinstance(name, str) else None, f'{where}: data_type {str(name)[:50]}'
    )
    _check_lengths(where, shape, chunks)
    if document.get('storage_transformers'):
        msg = f'{where} uses storage transformers, which are not read.'
        raise UnreadableImageError(msg)
    codecs = _codec_list(document.get('codecs'), where)
    sharding = None
    inner = chunks
    inner_codecs = codecs
    if len(codecs) == 1 and codecs[0][0] == 'sharding_indexed':
        inner, inner_codecs, sharding = _sharding(codecs[0][1], chunks, where)
    check_chunk(inner, dtype, where)
    prefix, separator = _key_encoding(document.get('chunk_key_encoding'), where)
    names = document.get('dimension_names')
    attributes = document.get('attributes')
    return ArrayInfo(
        path=path,
        zarr_format=3,
        shape=shape,
        dtype=dtype.newbyteorder('='),
        chunks=inner,
        fill=_fill(document.get('fill_value'), dtype, where),
        decoder=_decoder_v3(inner, dtype, inner_codecs, where),
        key_prefix=(path + '/' if path else '') + prefix,
        separator=separator,
        sharding=sharding,
        dimension_names=tuple(names) if isinstance(names, list) and len(names) == len(shape) else None,
        codecs=document.get('codecs'),
        attributes=attributes if isinstance(attributes, dict) else {},
    )


def _configured(value: object, name: str, where: str) -> dict[str, Any]:
    """Return the configuration of a named extension, which has to be ``name``."""
    if isinstance(value, dict) and value.get('name') == name and isinstance(value.get('configuration'), dict):
        configuration: dict[str, Any] = value['configuration']
        return configuration
    msg = f'{where} should have a {name} chunk grid; found {str(value)[:200]}.'
    raise UnreadableImageError(msg)


def _codec_list(value: object, where: str) -> list[tuple[str, dict[str, Any]]]:
    if not isinstance(value, list) or not value or len(value) > 32:
        msg = f'{where} should have a list of codecs; found {str(value)[:200]}.'
        raise UnreadableImageError(msg)
    found = []
    for codec in value:
        name = codec.get('name') if isinstance(codec, dict) else codec
        configuration = codec.get('configuration') if isinstance(codec, dict) else None
        found.append(
            (
                check_codec(name, where, version=3),
                configuration if isinstance(configuration, dict) else {},
            )
        )
    return found


def _sharding(
    config: dict[str, Any], shard: tuple[int, ...], where: str
) -> tuple[tuple[int, ...], list[tuple[str, dict[str, Any]]], Sharding]:
    inner = check_shape(config.get('chunk_shape'), f'{where}: inner chunk_shape', minimum=1)
    _check_lengths(where, shard, inner)
    if any(whole % part for whole, part in zip(shard, inner, strict=True)):
        msg = f'{where}: shards of {shard} are not a multiple of their chunks of {inner}.'
        raise UnreadableImageError(msg)
    codecs = _codec_list(config.get('codecs'), where)
    if any(name == 'sharding_indexed' for name, _ in codecs):
        msg = f'{where} has shards inside shards, which are not read.'
        raise UnreadableImageError(msg)
    grid = tuple(whole // part for whole, part in zip(shard, inner, strict=True))
    if math.prod(grid) > DEFAULT.shard_chunks:
        msg = f'{where} has {math.prod(grid)} chunks in a shard; at most {DEFAULT.shard_chunks} are read.'
        raise UnreadableImageError(msg)
    index_codecs = _codec_list(config.get('index_codecs'), where)
    extra = 4 * sum(name == 'crc32c' for name, _ in index_codecs)
    if any(name not in ('bytes', 'crc32c') for name, _ in index_codecs):
        msg = f'{where} has a shard index that is compressed; its codecs should be bytes and crc32c.'
        raise UnreadableImageError(msg)
    index = _decoder_v3((*grid, 2), np.dtype('<u8'), index_codecs, where)
    sharding = Sharding(
        grid, index, math.prod(grid) * 16 + extra, config.get('index_location', 'end') != 'start'
    )
    return inner, codecs, sharding


def _key_encoding(value: object, where: str) -> tuple[str, str]:
    """Return what comes before the numbers in a chunk's key, and what separates them."""
    name = value.get('name') if isinstance(value, dict) else value
    config = value.get('configuration') if isinstance(value, dict) else None
    separator = config.get('separator') if isinstance(config, dict) else None
    separator = separator or ('/' if name == 'default' else '.')
    if name not in ('default', 'v2') or separator not in ('.', '/'):
        msg = f'{where} should have the chunk key encoding default or v2; found {str(value)[:200]}.'
        raise UnreadableImageError(msg)
    return ('c' + separator if name == 'default' else ''), separator


def _decoder_v3(
    chunks: Sequence[int], dtype: np.dtype[Any], codecs: list[tuple[str, dict[str, Any]]], where: str
) -> ChunkDecoder:
    shape = tuple(chunks)
    order = tuple(range(len(shape)))
    rest = list(codecs)
    while rest and rest[0][0] == 'transpose':
        step = _permutation(rest.pop(0)[1].get('order'), len(shape), where)
        shape = tuple(shape[axis] for axis in step)
        order = tuple(order[axis] for axis in step)
    numbers = []
    while rest and rest[0][0].removeprefix('numcodecs.') in NUMBER_FILTERS:
        numbers.append(rest.pop(0))
    filters, _, stored = number_filters(numbers, dtype, math.prod(shape), where)
    if not rest:
        msg = f'{where} has no codec that turns its chunks into bytes.'
        raise UnreadableImageError(msg)
    name, config = rest.pop(0)
    image = None
    if is_image_codec(name) and not numbers:
        image = _image_codec((name, config), shape, dtype, where)
    elif name != 'bytes' or (numbers and stored.itemsize > 1 and config.get('endian') == 'big'):
        msg = f'{where} is stored with the codec {name!r} in a place where it is not read.'
        raise UnreadableImageError(msg)
    elif not numbers:
        dtype = dtype.newbyteorder('>' if config.get('endian', 'little') == 'big' else '<')
    steps = _steps(rest, where)
    back = None
    if order != tuple(range(len(shape))):
        back = tuple(order.index(axis) for axis in range(len(shape)))
    return ChunkDecoder(shape, dtype, steps, image=image, transpose=back, filters=filters)


def _permutation(value: object, length: int, where: str) -> tuple[int, ...]:
    if value == 'C':
        return tuple(range(length))
    if value == 'F':
        return tuple(reversed(range(length)))
    if isinstance(value, list) and sorted(map(str, value)) == sorted(map(str, range(length))):
        return tuple(value)
    msg = f'{where}: transpose should have an order of {length} axes; found {str(value)[:200]}.'
    raise UnreadableImageError(msg)


def _check_lengths(where: str, shape: Sequence[int], chunks: Sequence[int]) -> None:
    if len(shape) != len(chunks):
        msg = f'{where} has {len(shape)} axes, but its chunks have {len(chunks)}.'
        raise UnreadableImageError(msg)


def _fill(value: object, dtype: np.dtype[Any], where: str) -> np.ndarray:
    """Return the fill value as an array without axes, in native byte order; null is zero."""
    native = dtype.newbyteorder('=')
    try:
        if value is None:
            return np.zeros((), native)
        if isinstance(value, str):
            if value in FLOAT_NAMES and native.kind == 'f':
                return np.array(FLOAT_NAMES[value], native)
            if value.startswith('0x') and len(value) == 2 + 2 * native.itemsize:
                return np.frombuffer(bytes.fromhex(value[2:]), native.newbyteorder('>'))[0].astype(native)  # type: ignore[no-any-return]
            # Some writers of v2 put a number in quotes.
            return np.array(float(value) if native.kind == 'f' else int(value), native)
        if isinstance(value, (bool, int, float)):
            return np.array(value, native)
    except (ValueError, OverflowError, TypeError):
        pass
    msg = f'{where}: fill_value should fit {native}; found {str(value)[:100]}.'
    raise UnreadableImageError(msg)


def read_array(store: KeyStore, path: str) -> ArrayInfo | None:
    """Return the array at ``path``, or None where there is none.

    :raises UnreadableImageError: there is one that we do not read.
    """
    prefix = path + '/' if path else ''
    data = store.read(prefix + 'zarr.json', DEFAULT.json_bytes)
    if data is not None:
        document = load_json(data, f'{prefix}zarr.json')
        return parse_v3(path, document) if document.get('node_type') == 'array' else None
    data = store.read(prefix + '.zarray', DEFAULT.json_bytes)
    return None if data is None else parse_v2(path, load_json(data, f'{prefix}.zarray'))
