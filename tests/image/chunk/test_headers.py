"""Headers of compressed chunks are held against the chunk, and decoders without bounds run apart."""

from __future__ import annotations

import os
import signal

import imagecodecs
import numpy as np
import pytest

from girder_zarr.image.chunk import decoder_process
from girder_zarr.image.chunk.decoder_process import DecoderPool, decode_apart
from girder_zarr.image.chunk.headers import check_stated_size
from support import hostile_files as hostile

NUMBERS = 16 * 16 * 3
HOSTILE = {
    'jpeg': hostile.jpeg_saying,
    'png': hostile.png_saying,
    'webp': hostile.webp_saying,
    'jpeg2k': hostile.jpeg2k_saying,
    'lerc': hostile.lerc_saying,
}


@pytest.mark.parametrize('codec', HOSTILE)
def test_a_picture_larger_than_its_chunk_is_refused(codec: str) -> None:
    with pytest.raises(ValueError, match='it says that it has'):
        check_stated_size(codec, HOSTILE[codec](), NUMBERS)


@pytest.mark.parametrize('codec', ['jpeg', 'png', 'webp', 'jpeg2k', 'lerc', 'jpegls', 'qoi', 'jpegxl'])
def test_pictures_of_the_size_of_their_chunk_are_taken(codec: str) -> None:
    for bands in (1, 3):
        if codec in {'qoi', 'webp'} and bands == 1:
            continue
        data = getattr(imagecodecs, codec + '_encode')(hostile.picture(bands=bands))
        check_stated_size(codec, data, 16 * 16 * bands)


def test_a_jpeg_of_many_scans_is_refused() -> None:
    with pytest.raises(ValueError, match='more scans'):
        check_stated_size('jpeg', hostile.jpeg_of_scans(1000), 512 * 512)


@pytest.mark.parametrize('codec', ['jpegxl', 'jpeg2k', 'jpegxr'])
def test_another_process_decodes_the_same(codec: str) -> None:
    data = getattr(imagecodecs, codec + '_encode')(hostile.picture(64, 48))
    expected = getattr(imagecodecs, codec + '_decode')(data)
    assert np.array_equal(decode_apart(codec, data, (64, 48, 3), 'uint8'), expected)


def test_another_process_gives_no_more_than_was_asked_for() -> None:
    with pytest.raises(ValueError, match='shape'):
        decode_apart('jpegxl', hostile.jxl_of(1024), (16, 16, 3), 'uint8', {'index': 0})
    data = imagecodecs.jpegxl_encode(hostile.picture(), lossless=True)
    assert np.array_equal(decode_apart('jpegxl', data, (16, 16, 3), '|u1'), hostile.picture())


def test_a_decoder_that_takes_too_much_ends_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = DecoderPool()
    data = bytes(imagecodecs.jpegxl_encode(hostile.picture(1024, 1024), lossless=True, effort=1))
    try:
        with monkeypatch.context() as patch:
            patch.setattr(decoder_process, 'work_bytes', lambda _: 2**16)
            with pytest.raises(ValueError, match=r'.'):
                pool.decode('jpegxl', data, (1024, 1024, 3), 'uint8', {'index': 0})
        assert pool.decode('jpegxl', data, (1024, 1024, 3), 'uint8', {'index': 0}).shape == (1024, 1024, 3)
    finally:
        pool.close()


def test_a_process_that_was_killed_is_replaced() -> None:
    pool = DecoderPool()
    data = bytes(imagecodecs.jpegxl_encode(hostile.picture(), lossless=True))
    try:
        pool.decode('jpegxl', data, (16, 16, 3), 'uint8', {})
        process = pool._idle.queue[-1]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert pool.decode('jpegxl', data, (16, 16, 3), 'uint8', {}).shape == (16, 16, 3)
    finally:
        pool.close()
