"""PNGs whose data is inflated apart: every type of colour as Pillow reads it; what is damaged is refused."""

import io
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from girder_zarr.errors import UnsupportedFormatError
from girder_zarr.image.chunk.png_header import SIGNATURE, needed_chunks
from girder_zarr.stitch.formats import png, registry


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))


def picture(mode: str, size: tuple[int, int] = (333, 211)) -> Image.Image:
    rng = np.random.default_rng(3)
    # smooth with some noise, so that encoders use all filters
    waves = np.add.outer(np.arange(size[1]), np.arange(size[0]))[:, :, np.newaxis] // 3
    pixels = (waves + rng.integers(0, 5, (*waves.shape[:2], 4))).astype(np.uint8)
    return Image.fromarray(pixels, 'RGBA').convert(mode)


def saved(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, 'PNG')
    return stream.getvalue()


@pytest.mark.parametrize('mode', ['L', 'LA', 'RGB', 'RGBA', 'P', '1'])
def test_every_type_of_colour_is_inflated_apart(mode: str) -> None:
    image = picture('RGB').convert(mode) if mode == 'P' else picture(mode)
    data = saved(image)
    assert png.inflated_png(needed_chunks(data), image.size[::-1]) is not None
    expected = np.asarray(image.convert({'LA': 'RGBA', 'P': 'RGB', '1': 'L'}.get(mode, mode)))
    found = registry.decode(io.BytesIO(data))
    assert np.array_equal(found, expected.reshape(found.shape))


@pytest.mark.parametrize('bands', [1, 3])
def test_sixteen_bits(bands: int) -> None:
    pixels = np.random.default_rng(4).integers(0, 2**16, (57, 91, bands)).astype(np.uint16)
    data = imagecodecs.png_encode(pixels.squeeze())
    assert png.inflated_png(needed_chunks(data), pixels.shape[:2]) is not None
    assert np.array_equal(registry.decode(io.BytesIO(data)), pixels)


def test_more_than_one_stored_block_and_several_chunks_of_data() -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (400, 300, 3)).astype(np.uint8)
    rows = b''.join(b'\0' + row.tobytes() for row in pixels)
    packed = zlib.compress(rows)
    data = SIGNATURE + chunk(b'IHDR', struct.pack('>IIBBBBB', 300, 400, 8, 2, 0, 0, 0))
    data += b''.join(chunk(b'IDAT', packed[at : at + 5000]) for at in range(0, len(packed), 5000))
    data += chunk(b'IEND', b'')
    inflated = png.inflated_png(data, (400, 300))
    assert inflated is not None
    assert len(inflated) > len(rows)
    assert np.array_equal(registry.decode(io.BytesIO(data)), pixels)


def test_interlaced_is_left_to_the_decoder() -> None:
    interlaced = bytearray(saved(picture('RGB')))
    interlaced[28] = 1
    assert png.inflated_png(bytes(interlaced), (211, 333)) is None


@pytest.mark.parametrize('what', ['crc', 'data', 'too little', 'too much', 'after the data', 'apart'])
def test_what_is_not_as_it_should_be_is_left_to_the_decoder(what: str) -> None:
    image = picture('RGB', (40, 30))
    lines = b''.join(b'\0' + row.tobytes() for row in np.asarray(image))
    packed = zlib.compress(lines)
    data = {
        'crc': chunk(b'IDAT', packed)[:-1] + b'\0',
        'data': chunk(b'IDAT', packed[:20] + b'\xff\xff\xff' + packed[23:]),
        'too little': chunk(b'IDAT', zlib.compress(lines[:-1])),
        'too much': chunk(b'IDAT', zlib.compress(lines + b'more')),
        'after the data': chunk(b'IDAT', packed) + chunk(b'tRNS', b'\0\0\0\0\0\0'),
        'apart': chunk(b'IDAT', packed[:9]) + chunk(b'PLTE', b'\0\0\0') + chunk(b'IDAT', packed[9:]),
    }[what]
    head = SIGNATURE + chunk(b'IHDR', struct.pack('>IIBBBBB', 40, 30, 8, 2, 0, 0, 0))
    whole = head + data + chunk(b'IEND', b'')
    assert png.inflated_png(whole, (30, 40)) is None
    if what in {'data', 'too little'}:
        with pytest.raises(UnsupportedFormatError, match='The pixels of the png cannot be decoded'):
            registry.decode(io.BytesIO(whole))
