"""Every way to store an array that zarr knows, read by our fast path and by zarr, gives the same pixels."""

from __future__ import annotations

import json
import threading
import tracemalloc
from typing import TYPE_CHECKING, Any

import imagecodecs
import numcodecs
import numpy as np
import pytest
import tensorstore
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from large_image.exceptions import TileSourceError
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec

from girder_zarr.errors import UnreadableChunkError, UnreadableImageError
from girder_zarr.image.chunk.arrays import read_array
from girder_zarr.image.chunk.chunks import StoredLevel
from girder_zarr.image.store.stores import open_store

if TYPE_CHECKING:
    from pathlib import Path

DTYPES = ['bool', 'int8', 'uint8', '<i2', '>u2', '<u4', '>i8', '<u8', '<f2', '>f4', '<f8']


def level_of(folder: Path, path: str = '') -> StoredLevel:
    store = open_store(folder)
    info = read_array(store, path)
    assert info is not None
    return StoredLevel(store, info)


def whole(level: StoredLevel) -> np.ndarray:
    return level.read(tuple(slice(0, side) for side in level.shape))


def some_values(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    values = np.random.default_rng(7).integers(0, 200, shape)
    return (values % 2 if np.dtype(dtype) == bool else values).astype(dtype)


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('order', ['C', 'F'])
def test_v2_types_and_orders(tmp_path: Path, dtype: str, order: Any) -> None:
    values = some_values((37, 50), dtype)
    array = zarr.create_array(
        tmp_path / 'a.zarr', shape=values.shape, chunks=(16, 20), dtype=dtype, zarr_format=2, order=order,
        fill_value=1,
    )  # fmt: skip
    array[:20] = values[:20]
    level = level_of(tmp_path / 'a.zarr')
    assert level.info.decoder is not None
    read = whole(level)
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, array[...])


@pytest.mark.parametrize(
    'compressor',
    [
        None,
        numcodecs.Blosc('lz4', 5, numcodecs.Blosc.SHUFFLE),
        numcodecs.Blosc('zstd', 1, numcodecs.Blosc.BITSHUFFLE),
        numcodecs.Zstd(1),
        numcodecs.GZip(1),
        numcodecs.Zlib(1),
        numcodecs.BZ2(1),
        numcodecs.LZMA(),
        numcodecs.LZ4(),
    ],
    ids=str,
)
@pytest.mark.parametrize('filters', [None, [numcodecs.Shuffle(2)], [numcodecs.Delta('<u2')]], ids=str)
def test_v2_codecs(tmp_path: Path, compressor: Any, filters: Any) -> None:
    values = some_values((40, 33), '<u2')
    array = zarr.create_array(
        tmp_path / 'a.zarr', shape=values.shape, chunks=(16, 20), dtype='<u2', zarr_format=2,
        compressors=compressor, filters=filters,
    )  # fmt: skip
    array[...] = values
    np.testing.assert_array_equal(whole(level_of(tmp_path / 'a.zarr')), values)


V3_CHAINS: list[dict[str, Any]] = [
    {},
    {'compressors': None},
    {'compressors': [ZstdCodec(level=1, checksum=True)]},
    {'compressors': [BloscCodec(cname='zstd', typesize=2), Crc32cCodec()]},
    {'compressors': [GzipCodec(level=1)]},
    {'compressors': [Crc32cCodec()]},
    {'serializer': BytesCodec(endian='big')},
    {'filters': [TransposeCodec(order=(2, 0, 1))]},
    {'filters': [TransposeCodec(order=(2, 0, 1)), TransposeCodec(order=(1, 0, 2))]},
    {'chunk_key_encoding': {'name': 'v2', 'separator': '.'}},
    {'chunk_key_encoding': {'name': 'default', 'separator': '.'}},
    {'shards': (4, 32, 40)},
    {'shards': (4, 32, 40), 'compressors': [ZstdCodec(), Crc32cCodec()]},
    {'shards': {'shape': (2, 16, 40), 'index_location': 'start'}},
]


@pytest.mark.parametrize('chain', V3_CHAINS, ids=str)
@pytest.mark.parametrize('dtype', ['uint16', 'float32'])
def test_v3_codecs(tmp_path: Path, chain: dict[str, Any], dtype: str) -> None:
    values = some_values((3, 40, 33), dtype)
    array = zarr.create_array(
        tmp_path / 'a.zarr', shape=values.shape, chunks=(2, 16, 20), dtype=dtype, zarr_format=3, **chain
    )
    array[...] = values
    level = level_of(tmp_path / 'a.zarr')
    assert level.info.decoder is not None
    np.testing.assert_array_equal(whole(level), values)
    independent = tensorstore.open(
        {'driver': 'zarr3', 'kvstore': {'driver': 'file', 'path': str(tmp_path / 'a.zarr')}}
    ).result()
    np.testing.assert_array_equal(whole(level), independent.read().result())


FILTERS: list[tuple[str, list[Any], dict[str, Any]]] = [
    ('int32', [numcodecs.Delta('<i4', '<i2')], {}),
    ('uint16', [numcodecs.Delta('<u2')], {'compressors': numcodecs.Zlib()}),
    ('float64', [numcodecs.FixedScaleOffset(0, 10, '<f8', '<i4')], {}),
    ('float64', [numcodecs.FixedScaleOffset(0, 10, '<f8', '<i4'), numcodecs.Delta('<i4')], {}),
    ('float32', [numcodecs.Quantize(2, '<f4')], {'compressors': numcodecs.Blosc()}),
    ('float32', [numcodecs.BitRound(10)], {'compressors': numcodecs.Zstd()}),
    ('float64', [numcodecs.AsType('<f4', '<f8')], {'order': 'F'}),
    ('bool', [numcodecs.PackBits()], {'compressors': numcodecs.LZ4()}),
    ('>u2', [numcodecs.Delta('>u2'), numcodecs.Shuffle(2)], {'compressors': numcodecs.Zlib()}),
]


@pytest.mark.parametrize(('dtype', 'filters', 'options'), FILTERS, ids=str)
def test_v2_filters(tmp_path: Path, dtype: str, filters: list[Any], options: dict[str, Any]) -> None:
    values = (
        some_values((40, 33), 'uint8') % 2 if dtype == 'bool' else some_values((40, 33), 'uint8')
    ).astype(dtype)
    array = zarr.create_array(
        tmp_path / 'a.zarr', shape=values.shape, chunks=(16, 20), dtype=dtype, zarr_format=2,
        filters=filters, **options,
    )  # fmt: skip
    array[...] = values
    level = level_of(tmp_path / 'a.zarr')
    np.testing.assert_array_equal(whole(level), array[...])
    np.testing.assert_array_equal(level.read((slice(3, 20), slice(0, 33))), array[3:20])
    next(path for path in (tmp_path / 'a.zarr').iterdir() if path.name[0].isdigit()).write_bytes(b'broken')
    with pytest.raises(UnreadableChunkError):
        whole(level)


@pytest.mark.filterwarnings('ignore:Numcodecs codecs are not in the Zarr version 3')
def test_v3_filters(tmp_path: Path) -> None:
    from zarr.codecs import numcodecs as wrapped

    chains: list[tuple[str, list[Any]]] = [
        ('int32', [wrapped.Delta(dtype='<i4', astype='<i2')]),
        ('float64', [wrapped.FixedScaleOffset(offset=0, scale=10, dtype='<f8', astype='<i4')]),
        ('float64', [TransposeCodec(order=(1, 0)), wrapped.AsType(encode_dtype='<f4', decode_dtype='<f8')]),
        ('float32', [wrapped.BitRound(keepbits=10)]),
    ]
    for number, (dtype, filters) in enumerate(chains):
        values = some_values((40, 33), 'uint8').astype(dtype)
        array = zarr.create_array(
            tmp_path / f'{number}.zarr', shape=values.shape, chunks=(16, 20), dtype=dtype, filters=filters
        )
        array[...] = values
        np.testing.assert_array_equal(whole(level_of(tmp_path / f'{number}.zarr')), array[...])


BOMBS: list[list[dict[str, Any]]] = [
    [{'id': 'astype', 'encode_dtype': '|u1', 'decode_dtype': '|V100000'}],
    [{'id': 'delta', 'dtype': '|V100000', 'astype': '|u1'}],
    [{'id': 'fixedscaleoffset', 'offset': 0, 'scale': 1, 'dtype': '<U1000', 'astype': '|u1'}],
    [{'id': 'delta', 'dtype': '<f8', 'astype': '|u1'}],
    [{'id': 'packbits'}, {'id': 'packbits'}],
    [{'id': 'zlib'}, {'id': 'delta', 'dtype': '|u1'}],
    [{'id': 'zfpy'}],
    [{'id': 'pcodec'}],
]


@pytest.mark.parametrize('filters', BOMBS, ids=str)
def test_filters_that_multiply_are_refused(tmp_path: Path, filters: list[dict[str, Any]]) -> None:
    folder = tmp_path / 'a.zarr'
    folder.mkdir()
    document = {
        'zarr_format': 2, 'shape': [1024, 1024], 'chunks': [1024, 1024], 'dtype': '|u1', 'order': 'C',
        'compressor': None, 'filters': filters, 'fill_value': 0,
    }  # fmt: skip
    (folder / '.zarray').write_text(json.dumps(document))
    with pytest.raises(UnreadableImageError):
        level_of(folder)


@pytest.mark.parametrize('codec', ['jpeg2k', 'jpegls', 'jpegxl', 'jpegxr', 'ljpeg', 'png', 'qoi', 'webp'])
def test_pictures_that_say_they_are_large(tmp_path: Path, codec: str) -> None:
    gray = codec in ('ljpeg', 'jpegls')
    shape = [64, 64] if gray else [64, 64, 3]
    folder = tmp_path / 'a.zarr'
    folder.mkdir()
    document = {
        'zarr_format': 2, 'shape': shape, 'chunks': shape, 'dtype': '|u1', 'order': 'C',
        'compressor': {'id': f'imagecodecs_{codec}', 'numthreads': 10**6}, 'filters': None, 'fill_value': 0,
    }  # fmt: skip
    (folder / '.zarray').write_text(json.dumps(document))
    level = level_of(folder)
    name = folder / ('0.0' if gray else '0.0.0')
    name.write_bytes(getattr(imagecodecs, f'{codec}_encode')(np.zeros((1200, 1200, *shape[2:]), np.uint8)))
    tracemalloc.start()
    with pytest.raises(UnreadableChunkError):
        whole(level)
    assert tracemalloc.get_traced_memory()[1] < 2 * 2**20
    tracemalloc.stop()
    small = np.arange(64, 128, dtype=np.uint8).reshape(64, 1, 1) + np.zeros((64, 64, 3), np.uint8)
    small = small[..., 0].copy() if gray else small
    name.write_bytes(getattr(imagecodecs, f'{codec}_encode')(small))
    np.testing.assert_allclose(whole(level).astype(int), small, atol=8)


@pytest.mark.parametrize('codec', ['avif', 'heif'])
def test_pictures_of_video_formats_are_refused(tmp_path: Path, codec: str) -> None:
    """Their decoders make as much room as the data say; no file that needs them is known."""
    folder = tmp_path / 'a.zarr'
    folder.mkdir()
    document = {
        'zarr_format': 2, 'shape': [64, 64, 3], 'chunks': [64, 64, 3], 'dtype': '|u1', 'order': 'C',
        'compressor': {'id': f'imagecodecs_{codec}'}, 'filters': None, 'fill_value': 0,
    }  # fmt: skip
    (folder / '.zarray').write_text(json.dumps(document))
    with pytest.raises(UnreadableImageError, match=f"codec 'imagecodecs_{codec}', which is not on the list"):
        level_of(folder)


@pytest.mark.parametrize('codec', ['jpeg', 'png', 'webp', 'jpegxl', 'jpeg2k'])
def test_image_codecs(tmp_path: Path, codec: str, picture: np.ndarray) -> None:
    """The chunks are written by imagecodecs itself, so that no plug-in of zarr is needed."""
    folder = tmp_path / 'a.zarr'
    folder.mkdir()
    document = {
        'zarr_format': 2, 'shape': [1, 150, 100, 3], 'chunks': [1, 100, 100, 3], 'dtype': '|u1', 'order': 'C',
        'compressor': {'id': f'imagecodecs_{codec}'}, 'filters': None, 'fill_value': 7,
    }  # fmt: skip
    (folder / '.zarray').write_text(json.dumps(document))
    name = {'jpeg': 'jpeg8'}.get(codec, codec)
    data = getattr(imagecodecs, f'{name}_encode')(np.ascontiguousarray(picture[:100, :100]))
    (folder / '0.0.0.0').write_bytes(data)
    read = whole(level_of(folder))[0]
    np.testing.assert_array_equal(read[:100], getattr(imagecodecs, f'{name}_decode')(data))
    assert (read[100:] == 7).all()


def test_an_image_larger_than_its_chunk_is_not_decoded(tmp_path: Path, picture: np.ndarray) -> None:
    folder = tmp_path / 'a.zarr'
    folder.mkdir()
    document = {
        'zarr_format': 2, 'shape': [8, 8, 3], 'chunks': [8, 8, 3], 'dtype': '|u1', 'order': 'C',
        'compressor': {'id': 'imagecodecs_png'}, 'filters': None, 'fill_value': 0,
    }  # fmt: skip
    (folder / '.zarray').write_text(json.dumps(document))
    (folder / '0.0.0').write_bytes(imagecodecs.png_encode(np.zeros((2000, 2000, 3), np.uint8)))
    with pytest.raises(UnreadableChunkError, match=r'0\.0\.0'):
        whole(level_of(folder))


@pytest.mark.parametrize('zarr_format', [2, 3])
@pytest.mark.parametrize('sharded', [False, True])
def test_missing_chunks_are_the_fill_value(tmp_path: Path, zarr_format: Any, sharded: bool) -> None:
    if sharded and zarr_format == 2:
        pytest.skip('zarr v2 has no shards')
    array = zarr.create_array(
        tmp_path / 'a.zarr', shape=(100, 100), chunks=(10, 10), shards=(40, 40) if sharded else None,
        dtype='int16', fill_value=-5, zarr_format=zarr_format,
    )  # fmt: skip
    array[10:20, 30:45] = 3
    level = level_of(tmp_path / 'a.zarr')
    np.testing.assert_array_equal(whole(level), array[...])
    empty = level.read((slice(50, 60), slice(90, 100)))
    assert (empty == -5).all()


@pytest.mark.parametrize('sharded', [False, True])
def test_a_damaged_chunk_is_named(tmp_path: Path, sharded: bool) -> None:
    array = zarr.create_array(
        tmp_path / 'a.zarr', shape=(40, 40), chunks=(20, 20), shards=(40, 40) if sharded else None,
        dtype='uint8', zarr_format=3,
    )  # fmt: skip
    array[...] = some_values((40, 40), 'uint8')
    path = tmp_path / 'a.zarr' / 'c' / '0' / '0'
    data = bytearray(path.read_bytes())
    data[:60] = bytes(60)
    path.write_bytes(data)
    level = level_of(tmp_path / 'a.zarr')
    with pytest.raises(UnreadableChunkError, match='c/0/0') as caught:
        whole(level)
    assert isinstance(caught.value, TileSourceError)
    path.write_bytes(b'')
    with pytest.raises(UnreadableChunkError, match='c/0/0'):
        whole(level_of(tmp_path / 'a.zarr'))


def test_a_shard_index_that_lies(tmp_path: Path) -> None:
    array = zarr.create_array(
        tmp_path / 'a.zarr', shape=(40, 40), chunks=(20, 20), shards=(40, 40), dtype='uint8', zarr_format=3
    )
    array[...] = 1
    document = json.loads((tmp_path / 'a.zarr' / 'zarr.json').read_text())
    document['codecs'][0]['configuration']['index_codecs'] = [
        {'name': 'bytes', 'configuration': {'endian': 'little'}}
    ]
    (tmp_path / 'a.zarr' / 'zarr.json').write_text(json.dumps(document))
    for offset, size in ((0, 2**62), (2**63 + 1, 10), (10**9, 10), (2**64 - 1, 5)):
        index = np.full((2, 2, 2), 2**64 - 1, '<u8')
        index[0, 0] = offset, size
        (tmp_path / 'a.zarr' / 'c' / '0' / '0').write_bytes(bytes(100) + index.tobytes())
        level = level_of(tmp_path / 'a.zarr')
        with pytest.raises(UnreadableChunkError):
            level.read((slice(0, 5), slice(0, 5)))


def test_numbers_in_quotes_and_other_fill_values(tmp_path: Path) -> None:
    base = {
        'zarr_format': 2,
        'shape': [4, 4],
        'chunks': [2, 2],
        'order': 'C',
        'compressor': None,
        'filters': None,
    }
    good: tuple[tuple[str, Any, Any], ...] = (
        ('|i1', '0', 0),
        ('<f4', 'NaN', np.nan),
        ('<f8', '-Infinity', -np.inf),
        ('<u2', None, 0),
        ('|b1', True, True),
    )
    for dtype, stored, expected in good:
        (tmp_path / '.zarray').write_text(json.dumps({**base, 'dtype': dtype, 'fill_value': stored}))
        np.testing.assert_array_equal(whole(level_of(tmp_path)), np.full((4, 4), expected, dtype))
    bad: tuple[tuple[str, Any], ...] = (('|u1', 300), ('|u1', 'x'), ('<u2', [1]), ('|u1', 'NaN'))
    for dtype, stored in bad:
        (tmp_path / '.zarray').write_text(json.dumps({**base, 'dtype': dtype, 'fill_value': stored}))
        with pytest.raises(UnreadableImageError, match='fill_value'):
            level_of(tmp_path)


@settings(max_examples=30, deadline=None)
@given(
    data=st.data(),
    shape=st.lists(st.integers(1, 12), min_size=1, max_size=3),
    zarr_format=st.sampled_from([2, 3]),
)
def test_any_region_equals_zarrs(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, shape: list[int], zarr_format: Any
) -> None:
    folder = tmp_path_factory.mktemp('region')
    chunks = tuple(data.draw(st.integers(1, side + 2)) for side in shape)
    values = some_values(tuple(shape), 'uint16')
    array = zarr.create_array(
        folder, shape=values.shape, chunks=chunks, dtype='uint16', zarr_format=zarr_format, overwrite=True
    )
    array[...] = values
    starts = [data.draw(st.integers(0, side - 1)) for side in shape]
    region = tuple(
        slice(start, data.draw(st.integers(start + 1, side)))
        for start, side in zip(starts, shape, strict=True)
    )
    read = level_of(folder).read(region)
    np.testing.assert_array_equal(read, values[region])


def test_what_was_read_stays_as_it_was(tmp_path: Path) -> None:
    """Chunks are read into memory that is used again; pixels must not lie in it."""
    chains: list[dict[str, Any]] = [
        {'zarr_format': 2, 'compressors': None, 'filters': [numcodecs.CRC32()]},
        {'zarr_format': 2, 'compressors': None, 'filters': [numcodecs.Shuffle(1)]},
        {'compressors': None},
        {'compressors': [Crc32cCodec()]},
        {},
    ]
    for number, options in enumerate(chains):
        folder = tmp_path / str(number)
        array = zarr.create_array(folder, shape=(40, 40), chunks=(20, 20), dtype='uint8', **options)
        array[...] = values = some_values((40, 40), 'uint8')
        level = level_of(folder)
        places = [(slice(y, y + 20), slice(x, x + 20)) for y in (0, 20) for x in (0, 20)]
        read = [level.read(place) for place in places]
        for place, pixels in zip(places, read, strict=True):
            np.testing.assert_array_equal(pixels, values[place])


def test_many_threads(tmp_path: Path) -> None:
    array = zarr.create_array(
        tmp_path / 'a.zarr', shape=(200, 200), chunks=(10, 10), shards=(50, 50), dtype='uint32', zarr_format=3
    )
    array[...] = values = some_values((200, 200), 'uint32')
    level = level_of(tmp_path / 'a.zarr')
    wrong: list[object] = []

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(100):
            y, x = random.integers(0, 180, 2)
            place = slice(int(y), int(y) + 20), slice(int(x), int(x) + 20)
            try:
                np.testing.assert_array_equal(level.read(place), values[place])
            except Exception as error:  # noqa: BLE001 - reported by the main thread
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
