"""Bytes of each format become the pixels that another library put into them, or one sentence why not."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from girder_zarr.errors import GirderZarrError, LimitExceededError, UnsupportedFormatError
from girder_zarr.stitch.formats.registry import DTYPES, PatchLimits, decode, inspect

RANDOM = np.random.default_rng(7)


def saved(image: Image.Image, kind: str, **options: Any) -> io.BytesIO:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream


def tiff(pixels: np.ndarray, **options: Any) -> io.BytesIO:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **options)
    return stream


def npy(pixels: np.ndarray) -> io.BytesIO:
    stream = io.BytesIO()
    np.save(stream, pixels)
    return stream


def pixels_of(shape: tuple[int, ...], dtype: str = 'uint8') -> np.ndarray:
    return RANDOM.integers(0, 100, shape).astype(dtype)


def read(stream: io.BytesIO) -> np.ndarray:
    """Decode, having checked that the header announced what came out."""
    info = inspect(stream)
    pixels = decode(stream)
    assert (info.shape, info.dtype) == (pixels.shape, pixels.dtype.name)
    return pixels


@pytest.mark.parametrize('mode', ['L', 'RGB', 'RGBA'])
@pytest.mark.parametrize('kind', ['PNG', 'TIFF'])
def test_eight_bits_come_back_as_they_were(mode: str, kind: str) -> None:
    bands = len(mode)
    pixels = pixels_of((37, 53, bands))
    image = Image.fromarray(pixels if bands > 1 else pixels[:, :, 0], mode=None)
    assert np.array_equal(read(saved(image, kind)), pixels)


def test_sixteen_bit_png_keeps_every_bit() -> None:
    pixels = RANDOM.integers(0, 65536, (20, 31)).astype(np.uint16)
    assert np.array_equal(read(saved(Image.fromarray(pixels), 'PNG'))[:, :, 0], pixels)


def test_sixteen_bit_rgb_png_keeps_every_bit() -> None:
    pixels = RANDOM.integers(0, 65536, (5, 7, 3)).astype('>u2')
    rows = b''.join(b'\0' + row.tobytes() for row in pixels)
    stream = io.BytesIO(png_of(7, 5, 16, 2, zlib.compress(rows)))
    assert np.array_equal(read(stream), pixels)


def png_of(width: int, height: int, depth: int, color: int, data: bytes, end: bool = True) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack('>I', len(body)) + name + body + struct.pack('>I', zlib.crc32(name + body))

    header = struct.pack('>IIBBBBB', width, height, depth, color, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', data) + chunk(b'IEND', b'') * end


def test_palette_and_alpha_become_colors() -> None:
    picture = Image.fromarray(pixels_of((20, 20, 3))).quantize(8)
    assert np.array_equal(read(saved(picture, 'PNG')), np.asarray(picture.convert('RGB')))
    assert np.array_equal(read(saved(picture, 'TIFF')), np.asarray(picture.convert('RGB')))
    seen = picture.copy()
    seen.info['transparency'] = 3
    assert np.array_equal(read(saved(picture, 'PNG', transparency=3)), np.asarray(seen.convert('RGBA')))
    gray_alpha = Image.fromarray(pixels_of((20, 20, 2)))
    assert np.array_equal(read(saved(gray_alpha, 'PNG')), np.asarray(gray_alpha.convert('RGBA')))


def test_one_bit_becomes_black_and_white() -> None:
    mask = pixels_of((19, 23)) > 50
    for stream in (saved(Image.fromarray(mask), 'PNG'), saved(Image.fromarray(mask), 'TIFF'), npy(mask)):
        assert np.array_equal(read(stream)[:, :, 0], mask * np.uint8(255))


@pytest.mark.parametrize('options', [{}, {'progressive': True}, {'subsampling': 0}])
@pytest.mark.parametrize('mode', ['L', 'RGB', 'CMYK'])
def test_jpeg_agrees_with_pillow(mode: str, options: dict[str, Any]) -> None:
    smooth = np.linspace(0, 255, 48 * 64 * 3).reshape(48, 64, 3).astype(np.uint8)
    stream = saved(Image.fromarray(smooth).convert(mode), 'JPEG', **options)
    expected = np.asarray(Image.open(stream).convert('RGB' if mode == 'CMYK' else mode)).astype(int)
    assert np.abs(read(stream).reshape(expected.shape) - expected).max() <= 2


@pytest.mark.parametrize('dtype', sorted(DTYPES))
def test_tiff_and_npy_of_every_dtype(dtype: str) -> None:
    for shape in ((11, 13), (11, 13, 3)):
        pixels = pixels_of(shape, dtype)
        options = {'photometric': 'rgb' if len(shape) == 3 else 'minisblack'}
        for stream in (tiff(pixels, **options), npy(pixels), npy(np.asfortranarray(pixels))):
            assert np.array_equal(read(stream), pixels.reshape(11, 13, -1))
        swapped = pixels.astype(pixels.dtype.newbyteorder('>'))
        for stream in (tiff(swapped, byteorder='>', **options), npy(swapped)):
            assert np.array_equal(read(stream), pixels.reshape(11, 13, -1))


@pytest.mark.parametrize(
    'options',
    [
        {'compression': 'zlib', 'predictor': True},
        {'compression': 'lzw'},
        {'compression': 'zstd', 'tile': (16, 16)},
        {'planarconfig': 'separate'},
        {'bigtiff': True},
        {'rowsperstrip': 3},
    ],
)
def test_tiff_in_its_many_ways(options: dict[str, Any]) -> None:
    pixels = pixels_of((40, 50, 3), 'uint16')
    planar = options.get('planarconfig') == 'separate'
    stream = tiff(np.moveaxis(pixels, -1, 0) if planar else pixels, photometric='rgb', **options)
    assert np.array_equal(read(stream), pixels)


def test_white_is_zero_is_turned_round() -> None:
    pixels = pixels_of((9, 8))
    assert np.array_equal(read(tiff(pixels, photometric='miniswhite'))[:, :, 0], 255 - pixels)


def test_half_floats_become_floats() -> None:
    pixels = pixels_of((9, 8), 'float16')
    assert read(npy(pixels)).dtype == np.float32
    assert np.array_equal(read(npy(pixels))[:, :, 0], pixels)


@pytest.mark.parametrize(
    ('body', 'message'),
    [
        (b'', 'not an image'),
        (b'hello, this is text', 'not an image'),
        (b'GIF89a' + bytes(50), 'not an image'),
        (b'\x89PNG\r\n\x1a\n', 'png header'),
        (b'\xff\xd8\xff\xe0\0\x10JFIF', 'jpeg header'),
        (b'II*\0\xff\xff\0\0', 'tiff header'),
        (b'\x93NUMPY\1\0\x10\0hello', 'npy header'),
        (png_of(10, 0, 8, 0, b''), 'empty'),
        (png_of(10, 10, 8, 7, b''), 'png header'),
        (npy(np.zeros((4, 4, 2, 2))).getvalue(), 'shape'),
        (npy(np.zeros((4, 4, 5))).getvalue(), '5 bands'),
        (npy(np.zeros((4, 4), complex)).getvalue(), 'complex128'),
        (npy(np.zeros((4, 4))).getvalue()[:-1], '127'),
        (tiff(np.zeros((3, 8, 8), np.uint8), photometric='minisblack').getvalue(), 'several pages'),
    ],
)
def test_what_is_not_a_patch_is_refused_by_its_header(body: bytes, message: str) -> None:
    with pytest.raises(UnsupportedFormatError, match=message):
        inspect(io.BytesIO(body))


def test_a_pickle_is_not_opened() -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([[{'a': 1}]], dtype=object), allow_pickle=True)
    with pytest.raises(UnsupportedFormatError):
        inspect(stream)
    with pytest.raises(UnsupportedFormatError):
        decode(stream)


@pytest.mark.parametrize('kind', ['PNG', 'JPEG', 'TIFF'])
def test_a_file_that_was_cut_off_is_refused_by_its_header(kind: str) -> None:
    whole = saved(Image.fromarray(pixels_of((64, 64, 3))), kind).getvalue()
    with pytest.raises(UnsupportedFormatError):
        inspect(io.BytesIO(whole[: len(whole) // 2]))


def test_the_limit_counts_pixels_before_they_are_decoded() -> None:
    bomb = png_of(100_000, 100_000, 8, 2, zlib.compress(bytes(1000)))
    with pytest.raises(LimitExceededError, match='268435456'):
        inspect(io.BytesIO(bomb))
    with pytest.raises(LimitExceededError, match='limit is 5000'):
        inspect(npy(np.zeros((30, 30))), PatchLimits(nbytes=5000))


def test_damaged_pixels_are_one_sentence() -> None:
    whole = png_of(8, 8, 8, 0, b'not zlib at all')
    assert inspect(io.BytesIO(whole)).shape == (8, 8, 1)
    with pytest.raises(UnsupportedFormatError, match='cannot be decoded'):
        decode(io.BytesIO(whole))


SEEDS = [
    saved(Image.fromarray(pixels_of((12, 12, 3))), kind).getvalue() for kind in ('PNG', 'JPEG', 'TIFF')
] + [npy(pixels_of((12, 12))).getvalue()]


@settings(max_examples=150, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    where=st.integers(0, 400),
    junk=st.binary(min_size=1, max_size=8),
    length=st.integers(1, 800),
)
def test_damage_never_raises_anything_else(seed: bytes, where: int, junk: bytes, length: int) -> None:
    broken = (seed[:where] + junk + seed[where + len(junk) :])[:length]
    small = PatchLimits(pixels=10_000, nbytes=100_000)
    try:
        pixels = decode(io.BytesIO(broken), small)
    except GirderZarrError as error:
        assert str(error)  # noqa: PT017 - most broken files are refused, some still hold an image
    else:
        assert pixels.ndim == 3
