"""Damaged and made-up patches: pixels of the announced shape, or one sentence; in bounded time and memory.

Cases that reach lines of ours that no case before them reached are changed further. The short form runs with
the other tests; ``make fuzz`` is the long one. What fails is written to the folder that the message names.
"""

from __future__ import annotations

import io
import os
import random
import struct
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from girder_zarr.errors import GirderZarrError
from girder_zarr.stitch.formats.registry import PatchLimits, decode, inspect, planes
from support import hostile_files as hostile
from support import page_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = float(os.environ.get('GIRDER_ZARR_FUZZ_SECONDS', '24')) / 2
SEED = int(os.environ.get('GIRDER_ZARR_FUZZ_SEED', '1'))
LIMITS = PatchLimits(pixels=2**20, nbytes=2**22)
#: What one case may take.
MAX_BYTES, MAX_SECONDS = 100 * 2**20, 20
MAX_PAGES = 1000
#: Numbers that files state, and how they are written.
NUMBERS = (0, 1, 2, 7, 8, 15, 16, 17, 255, 256, 2**15, 2**16 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
FORMS = ('<H', '>H', '<I', '>I')
FOLLOWED = ('/stitch/formats/', '/image/chunk/')


def samples() -> Iterator[bytes]:
    """Valid and hostile patches of all formats."""
    pixels = hostile.picture()
    yield bytes(imagecodecs.jpeg8_encode(pixels))
    yield hostile.jpeg_of_scans(2, 32)
    yield hostile.jpeg_hidden_behind(b'\xff\x01')
    yield bytes(imagecodecs.png_encode(pixels))
    yield hostile.png_with(hostile.png_chunk(b'tRNS', bytes(6)))
    yield bytes(imagecodecs.webp_encode(pixels, lossless=True))
    yield bytes(imagecodecs.webp_encode(hostile.picture(bands=4)))
    yield bytes(imagecodecs.jpegxl_encode(pixels))
    yield bytes(imagecodecs.jpegxl_encode(pixels, usecontainer=True))
    yield bytes(imagecodecs.jpeg8_encode(pixels.astype('u2') * 16, bitspersample=12))
    yield bytes(imagecodecs.jpeg2k_encode(pixels, level=0, codecformat='jp2'))
    yield bytes(imagecodecs.jpeg2k_encode(pixels[:, :, 0].astype('i2'), level=20, codecformat='j2k'))
    for mode in ('1', 'P', 'RGB'):
        stream = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(stream, 'BMP')
        yield stream.getvalue()
    for make in page_files.KNOWN.values():
        yield make().data
    for compression, segment in (
        (7, imagecodecs.jpeg8_encode(pixels)),
        (34712, imagecodecs.jpeg2k_encode(pixels)),
        (34933, imagecodecs.png_encode(pixels)),
        (50001, imagecodecs.webp_encode(pixels, lossless=True)),
        (50002, imagecodecs.jpegxl_encode(pixels)),
    ):
        yield hostile.tiff_of(bytes(segment), compression)
    yield hostile.tiff_of(bytes(imagecodecs.lerc_encode(hostile.picture(bands=1))), 34887, bands=1)
    for options in (
        {'compression': 'zlib', 'predictor': True, 'rowsperstrip': 5},
        {'compression': 'lzw', 'tile': (16, 16)},
        {'compression': 'zstd', 'bigtiff': True},
        {'rowsperstrip': 3, 'byteorder': '>'},
        {'compression': 'packbits', 'planarconfig': 'separate', 'photometric': 'rgb'},
    ):
        stream = io.BytesIO()
        tifffile.imwrite(
            stream, pixels.transpose(2, 0, 1) if 'planarconfig' in options else pixels, **options
        )
        yield stream.getvalue()
    for array in (pixels, np.asfortranarray(pixels[:, :, 0]), pixels.astype('>f2')):
        stream = io.BytesIO()
        np.save(stream, array)
        yield stream.getvalue()
        yield bytes(imagecodecs.zstd_encode(stream.getvalue()))
        yield bytes(imagecodecs.gzip_encode(stream.getvalue()))


def changed(data: bytes, others: list[bytes], dice: random.Random) -> bytes:
    """Return a file that differs from another in one to four places."""
    out = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(len(out)) if dice.random() < 0.5 else dice.randrange(min(len(out), 200))
        kind = dice.randrange(6)
        if kind == 0:
            out[place] ^= 1 << dice.randrange(8)
        elif kind == 1:
            number, form = dice.choice(NUMBERS), dice.choice(FORMS)
            size = struct.calcsize(form)
            out[place : place + size] = struct.pack(form, number % 2 ** (8 * size))
        elif kind == 2:
            del out[place : place + dice.randint(1, 40)]
        elif kind == 3:
            out[place:place] = out[place : place + dice.randint(1, 100)]
        elif kind == 4:
            other = dice.choice(others)
            start = dice.randrange(len(other))
            out[place:place] = other[start : start + dice.randint(1, 200)]
        else:
            out = out[: max(4, place)]
        if len(out) < 4:
            break
    return bytes(out)


def lines_of(data: bytes) -> set[tuple[str, int]]:
    """Read a patch and return the lines of ours that were reached on the way.

    :raises AssertionError: it was neither refused nor what it announced, or took too much.
    """
    reached: set[tuple[str, int]] = set()

    def follow(frame: Any, event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        if not any(part in name for part in FOLLOWED):
            return None
        if event == 'line':
            reached.add((name, frame.f_lineno))
        return follow

    before, began = sys.gettrace(), time.monotonic()
    tracemalloc.start()
    sys.settrace(follow)
    try:
        info = inspect(io.BytesIO(data), LIMITS)
        pixels = decode(io.BytesIO(data), LIMITS)
        assert pixels.shape == info.shape
        assert pixels.dtype.name == info.dtype
    except GirderZarrError as error:
        assert '\n' not in str(error)  # noqa: PT017 - the other way out is checked above
    try:
        for plane in planes(io.BytesIO(data), 'auto', MAX_PAGES)[:3]:
            info = inspect(io.BytesIO(data), LIMITS, page=plane.page)
            assert decode(io.BytesIO(data), LIMITS, page=info.page).shape == info.shape
    except GirderZarrError as error:
        assert '\n' not in str(error)  # noqa: PT017 - the other way out is checked above
    finally:
        sys.settrace(before)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert highest < MAX_BYTES
    assert time.monotonic() - began < MAX_SECONDS
    return reached


def test_fuzz_patches(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    corpus = list(samples())
    known: set[tuple[str, int]] = set()
    for data in corpus:
        known |= lines_of(data)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        data = changed(dice.choice(corpus), corpus, dice)
        try:
            reached = lines_of(data)
        except BaseException:
            (tmp_path / 'case').write_bytes(data)
            print(f'The case is {tmp_path / "case"}, seed {SEED}.')
            raise
        if not reached <= known:
            known |= reached
            corpus.append(data)
