"""BMP, JPEG 2000 and JPEG of 12 bits, against Pillow and imagecodecs; what is not whole is refused."""

from __future__ import annotations

import io
import re
import struct
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from girder_zarr.errors import GirderZarrError, LimitExceededError, UnsupportedFormatError
from girder_zarr.stitch.formats.registry import PatchLimits, decode, inspect

RANDOM = np.random.default_rng(5)


def pixels_of(shape: tuple[int, ...], dtype: str = 'uint8', top: int = 256) -> np.ndarray:
    return RANDOM.integers(0, top, shape).astype(dtype)


def read(body: bytes, **options: Any) -> np.ndarray:
    """Decode, having checked that the header announced what came out."""
    info = inspect(io.BytesIO(body), **options)
    pixels = decode(io.BytesIO(body), **options)
    assert (info.shape, info.dtype) == (pixels.shape, pixels.dtype.name)
    return pixels


def refused(body: bytes, words: str, kind: type[GirderZarrError] = UnsupportedFormatError) -> None:
    for call in (inspect, decode):
        with pytest.raises(kind, match=re.escape(words)):
            call(io.BytesIO(body), PatchLimits(pixels=2**20, nbytes=2**22))


def saved(image: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize('size', [(37, 53), (1, 1), (8, 64)])
@pytest.mark.parametrize('mode', ['1', 'L', 'P', 'RGB'])
def test_bmp_is_what_pillow_reads_of_it(mode: str, size: tuple[int, int]) -> None:
    image = Image.fromarray(pixels_of((*size, 3))).convert(mode)
    body = saved(image, 'BMP')
    expected = np.asarray(Image.open(io.BytesIO(body)).convert('L' if mode in '1L' else 'RGB'))
    assert np.array_equal(read(body).squeeze(), expected.squeeze())


def bmp(
    pixels: bytes, width: int, height: int, depth: int, masks: tuple[int, ...] = (), kind: int = 0
) -> bytes:
    """A BMP with a header of version 4 where there are masks, else of version 1."""
    length, kind = (108, 3) if masks else (40, kind)
    header = struct.pack('<IiiHHII', length, width, height, 1, depth, kind, len(pixels)) + bytes(16)
    header += struct.pack('<4I', *(*masks, 0)[:4]) if masks else b''
    header = header.ljust(length, b'\0')
    return struct.pack('<2sIII', b'BM', 14 + length + len(pixels), 0, 14 + length) + header + pixels


@pytest.mark.parametrize(
    ('depth', 'masks', 'bands'),
    [
        (16, (), 3),
        (16, (0xF800, 0x07E0, 0x001F), 3),
        (24, (), 3),
        (32, (), 3),
        (32, (0xFF0000, 0xFF00, 0xFF), 3),
        (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000), 4),
    ],
)
@pytest.mark.parametrize('height', [6, -6])
def test_bmp_of_true_color(depth: int, masks: tuple[int, ...], bands: int, height: int) -> None:
    body = bmp(pixels_of((6, (5 * depth + 31) // 32 * 4)).tobytes(), 5, height, depth, masks)
    found = read(body)
    assert found.shape == (6, 5, bands)
    assert np.array_equal(found, np.asarray(Image.open(io.BytesIO(body))))


def test_bmp_that_is_none_is_refused() -> None:
    rows = bytes(16 * 8)
    refused(bmp(rows, 5, 8, 24)[:-1], 'ends too early: its pixels reach to byte 182 of 181')
    refused(bmp(rows, 16, 8, 8, kind=1), 'The bmp is compressed')
    refused(bmp(rows, 5, 8, 24, kind=4), 'The bmp is compressed')
    refused(bmp(rows, 0, 8, 24), '0 x 8 pixels of 24 bits')
    refused(bmp(rows, 5, 8, 23), 'pixels of 23 bits')
    refused(b'BM' + bytes(40), 'a header of 0 bytes')
    refused(bmp(rows, 2**30, 2**30, 24), 'ends too early')
    wide = bmp(bytes(2**20), 2**21, 4, 1)
    refused(
        wide[:54] + bytes((0, 0, 0, 0, 255, 255, 255, 0)) + wide[54:],
        'the limit is 1048576',
        LimitExceededError,
    )


@pytest.mark.parametrize('kind', ['jp2', 'j2k'])
@pytest.mark.parametrize('dtype', ['uint8', 'int8', 'uint16', 'int16'])
@pytest.mark.parametrize('bands', [1, 2, 3, 4])
def test_jpeg_2000_comes_back_as_it_was(kind: str, dtype: str, bands: int) -> None:
    pixels = pixels_of((41, 30, bands), dtype, 100).squeeze()
    body = imagecodecs.jpeg2k_encode(pixels, level=0, codecformat=kind)
    found = read(bytes(body))
    whole = pixels.reshape(41, 30, bands)
    expected = whole[:, :, (0, 0, 0, 1)] if bands == 2 else whole
    assert np.array_equal(found, expected)


def test_lossy_jpeg_2000_is_what_pillow_reads_of_it() -> None:
    smooth = np.linspace(0, 250, 48 * 64 * 3).reshape(48, 64, 3).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(smooth).save(stream, 'JPEG2000', irreversible=True, quality_layers=[20])
    expected = np.asarray(Image.open(io.BytesIO(stream.getvalue())))
    assert np.abs(read(stream.getvalue()).astype(int) - expected).max() <= 1


def jp2(shape: tuple[int, ...] = (41, 30), **options: Any) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(pixels_of(shape), level=0, **{'codecformat': 'jp2', **options}))


@pytest.mark.parametrize('bare', [False, True])
def test_jpeg_2000_in_tiles(bare: bool) -> None:
    expected = np.asarray(Image.open(io.BytesIO(tiled(bare=bare))))
    assert np.array_equal(read(tiled(bare=bare)), expected)


def tiled(*, bare: bool) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(stream, 'JPEG2000', tile_size=(16, 16), no_jp2=bare)
    return stream.getvalue()


def test_jpeg_2000_that_is_not_whole_is_refused() -> None:
    body = tiled(bare=False)
    for length in (20, 60, 90, 120, len(body) // 2, len(body) - 1):
        with pytest.raises(UnsupportedFormatError):
            inspect(io.BytesIO(body[:length]))
    stream = tiled(bare=True)
    refused(stream[:-2], 'has no end marker')
    refused(stream[: len(stream) // 2], 'a tile reaches beyond the end')


def test_jpeg_2000_of_another_kind_is_refused() -> None:
    stream = jp2(codecformat='j2k')
    size = stream.index(b'\xff\x51')
    for at, number, words in (
        (size + 6, 2**31 - 1, 'more than 65536 tiles'),
        (size + 14, 2**31 - 1, 'and a size'),
        (size + 22, 0, 'tiles'),
    ):
        data = bytearray(stream)
        data[at : at + 4] = struct.pack('>I', number)
        with pytest.raises(GirderZarrError, match=words):
            inspect(io.BytesIO(bytes(data)))
    for at, value in ((size + 40, 39), (size + 41, 2)):
        data = bytearray(stream)
        data[at] = value
        refused(bytes(data), 'components that differ in bits or size, or more than 16 bits')
    many = jp2((8, 8, 5), codecformat='j2k', planar=False)
    refused(many, 'has 5 components')
    container = bytearray(jp2())
    head = container.index(b'jp2h') - 4
    (length,) = struct.unpack_from('>I', container, head)
    palette = struct.pack('>I4sHB', 11, b'pclr', 1, 1)
    container[head : head + 4] = struct.pack('>I', length + 11)
    container[head + length : head + length] = palette
    refused(bytes(container), 'The jp2 has a palette')


@pytest.mark.parametrize('bands', [1, 3])
def test_jpeg_of_12_bits_comes_back_in_16(bands: int) -> None:
    smooth = np.linspace(0, 4095, 40 * 56 * bands).reshape(40, 56, bands).astype(np.uint16).squeeze()
    body = bytes(imagecodecs.jpeg8_encode(smooth, bitspersample=12, level=98))
    found = read(body)
    assert found.dtype == np.uint16
    assert np.array_equal(found.squeeze(), imagecodecs.jpeg8_decode(body))
    assert np.abs(found.squeeze().astype(int) - smooth).mean() < 30


def test_a_tiff_with_jpegs_of_12_bits() -> None:
    smooth = np.linspace(0, 4095, 64 * 48).reshape(64, 48).astype(np.uint16)
    stream = io.BytesIO()
    arguments = {'bitspersample': 12, 'level': 98}
    tifffile.imwrite(stream, smooth, compression='jpeg', compressionargs=arguments, tile=(32, 32))
    stream.seek(0)
    assert np.array_equal(read(stream.getvalue())[:, :, 0], tifffile.imread(stream))
    stream.seek(0)
    body = bytearray(stream.getvalue())
    with tifffile.TiffFile(stream) as tiff:
        place = tiff.pages.first.tags['BitsPerSample'].valueoffset
    body[place : place + 2] = struct.pack('<H', 8)
    refused(bytes(body), 'has pixels of type uint8; a jpeg in it has 12 bits')
