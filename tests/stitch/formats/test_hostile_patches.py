"""A patch whose parts say something else than its header is refused before anything is decoded."""

from __future__ import annotations

import io
import re
import struct
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
import pytest
import tifffile

from girder_zarr.errors import GirderZarrError, UnsupportedFormatError
from girder_zarr.stitch.formats.registry import decode, inspect
from support import hostile_files as hostile

if TYPE_CHECKING:
    from collections.abc import Callable

#: Compressions of TIFF and the segments that say more than the page.
SEGMENTS: dict[str, tuple[int, Callable[[], bytes]]] = {
    'jpeg': (7, hostile.jpeg_saying),
    'jpeg of one band': (7, lambda: hostile.jpeg_saying(bands=1)),
    'jpeg behind a marker': (7, lambda: hostile.jpeg_hidden_behind(b'\xff\x01')),
    'jpeg of two frames': (7, hostile.jpeg_with_two_frames),
    'png': (34933, hostile.png_saying),
    'png of two headers': (34933, lambda: hostile.png_with(hostile.png_header(hostile.HUGE, hostile.HUGE))),
    'jpeg xl': (50002, hostile.jxl_of),
    'jpeg xl, old number': (52546, hostile.jxl_of),
    'jpeg 2000': (34712, hostile.jpeg2k_saying),
    'jpeg 2000 of Aperio': (33003, hostile.jpeg2k_saying),
    'webp': (50001, hostile.webp_saying),
    'webp, old number': (34927, hostile.webp_saying),
}


def refused(data: bytes, message: str = '.') -> None:
    """Check that inspect refuses a file in one sentence, with little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(UnsupportedFormatError, match=message) as caught:
            inspect(io.BytesIO(data))
        assert '\n' not in str(caught.value)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize('name', SEGMENTS)
def test_a_segment_of_a_tiff_is_held_against_its_page(name: str) -> None:
    compression, make = SEGMENTS[name]
    refused(hostile.tiff_of(make(), compression))


def test_lerc_in_a_tiff_is_held_against_its_page() -> None:
    refused(hostile.tiff_of(hostile.lerc_saying(), 34887, bands=1), 'says')


@pytest.mark.parametrize(
    ('compression', 'encode'),
    [
        (7, imagecodecs.jpeg8_encode),
        (34933, imagecodecs.png_encode),
        (50002, imagecodecs.jpegxl_encode),
        (34712, imagecodecs.jpeg2k_encode),
        (50001, imagecodecs.webp_encode),
    ],
)
def test_segments_that_fit_are_decoded(compression: int, encode: Callable[..., bytes]) -> None:
    lossless = {} if compression in {7, 34933} else {'lossless': True}
    if compression == 34712:
        lossless = {}
    data = bytes(encode(hostile.picture(), **lossless))
    pixels = decode(io.BytesIO(hostile.tiff_of(data, compression)))
    assert pixels.shape == (16, 16, 3)
    if compression != 7:
        assert np.array_equal(pixels, hostile.picture())


@pytest.mark.parametrize('marker', [b'\xff\x01', b'\xff\xd0', b'\xff\xd7', b'\xff\xff\xff\x01'])
def test_no_frame_header_is_hidden_behind_a_marker_without_length(marker: bytes) -> None:
    data = hostile.jpeg_hidden_behind(marker)
    # seen as the decoder sees it, or refused: never as the small picture
    try:
        found = inspect(io.BytesIO(data)).shape
    except GirderZarrError:
        return
    assert found[:2] == (hostile.HUGE, hostile.HUGE)


def test_markers_without_length_are_no_reason_to_refuse() -> None:
    data = bytes(imagecodecs.jpeg8_encode(hostile.picture()))
    padded = data[:2] + b'\xff\x01\xff\xff\xd3' + data[2:]
    assert np.array_equal(decode(io.BytesIO(padded)), imagecodecs.jpeg8_decode(data))


def test_a_jpeg_has_one_frame_header() -> None:
    refused(hostile.jpeg_with_two_frames(), 'several frame headers')


def test_scans_are_bounded() -> None:
    refused(hostile.jpeg_of_scans(1000), 'more scans')
    assert decode(io.BytesIO(hostile.jpeg_of_scans(3))).shape == (512, 512, 1)


@pytest.mark.parametrize('before', [True, False])
def test_a_png_has_one_header(before: bool) -> None:
    data = hostile.png_with(hostile.png_header(hostile.HUGE, hostile.HUGE), before_pixels=before)
    refused(data, 'several IHDR')


def test_texts_and_profiles_of_a_png_are_not_expanded() -> None:
    text = b'key\0\0' + zlib.compress(bytes(7_000_000), 9)
    data = hostile.png_with(hostile.png_chunk(b'zTXt', text) * 200)
    assert np.array_equal(decode(io.BytesIO(data)), hostile.picture())


def test_a_tiff_of_many_directories_is_refused() -> None:
    refused(hostile.tiff_of_directories(50_000), 'more than 64 pages')


def test_directories_in_a_circle_end() -> None:
    data = bytearray(hostile.tiff_of_directories(3))
    struct.pack_into('<I', data, len(data) - 4, struct.unpack_from('<I', data, 4)[0])
    refused(bytes(data), 'pages')


def test_a_tag_of_many_values_is_refused() -> None:
    data = bytearray(hostile.tiff_of(bytes(768), 1))
    place = re.search(struct.pack('<HH', 273, 4), data)
    assert place is not None
    struct.pack_into('<I', data, place.end(), 10_000_000)
    refused(bytes(data), 'tag 273')


def test_tiles_far_larger_than_the_page_are_refused() -> None:
    stream = io.BytesIO()
    tifffile.imwrite(stream, hostile.picture(), tile=(16, 16), compression='zlib')
    data = bytearray(stream.getvalue())
    for tag in (322, 323):
        place = re.search(struct.pack('<H', tag) + b'[\\x03\\x04]\\x00\\x01\\x00\\x00\\x00', data)
        assert place is not None
        data[place.start() : place.start() + 12] = struct.pack('<HHII', tag, 4, 1, 2**16)
    refused(bytes(data), 'more than its page')
