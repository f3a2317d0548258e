"""Files whose inner parts say something else than their headers: what a decoder must not be trusted with."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

#: What the hidden headers say.
HUGE = 50_000


def picture(height: int = 16, width: int = 16, bands: int = 3) -> np.ndarray:
    """A picture that no codec makes much smaller."""
    values = np.random.default_rng(1).integers(0, 255, (height, width, bands), np.uint8)
    return values if bands > 1 else values[:, :, 0]


def jpeg_saying(height: int = HUGE, width: int = HUGE, bands: int = 3) -> bytes:
    """A JPEG of 16 x 16 pixels whose frame header says otherwise."""
    data = bytearray(imagecodecs.jpeg8_encode(picture(bands=bands)))
    place = data.index(b'\xff\xc0')
    struct.pack_into('>HH', data, place + 5, height, width)
    return bytes(data)


def jpeg_hidden_behind(marker: bytes) -> bytes:
    """A JPEG that says HUGE after a marker without a length, 16 x 16 to those who expect one."""
    small, huge = imagecodecs.jpeg8_encode(picture()), jpeg_saying()
    place = small.index(b'\xff\xc0')
    end = place + 2 + struct.unpack_from('>H', small, place + 2)[0]
    frame = small[place:end]
    # read as a length, the first two bytes of the huge frame lead to the small one
    body = huge[2 : huge.index(b'\xff\xda')]
    rest = huge[huge.index(b'\xff\xda') :]
    padding = struct.unpack_from('>H', body)[0] - len(body)
    filler = b'\xff\xfe' + struct.pack('>H', padding - 2) + bytes(padding - 4)
    return bytes(b'\xff\xd8' + marker + body + filler + frame + rest)


def jpeg_with_two_frames() -> bytes:
    """A JPEG with a second frame header, HUGE."""
    small, huge = imagecodecs.jpeg8_encode(picture()), jpeg_saying()
    place = huge.index(b'\xff\xc0')
    frame = huge[place : place + 2 + struct.unpack_from('>H', huge, place + 2)[0]]
    scan = small.index(b'\xff\xda')
    return bytes(small[:scan] + frame + small[scan:])


def jpeg_of_scans(count: int, side: int = 512) -> bytes:
    """A progressive JPEG whose last scan stands there again and again."""
    stream = io.BytesIO()
    Image.fromarray(picture(side, side, 1)).save(stream, 'JPEG', progressive=True)
    data = stream.getvalue()
    place = data.rindex(b'\xff\xda')
    scan = data[place:-2]
    return data[:-2] + scan * count + b'\xff\xd9'


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack('>I', len(body)) + name + body + struct.pack('>I', zlib.crc32(name + body))


def png_header(height: int, width: int) -> bytes:
    return png_chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0))


def png_with(extra: bytes, *, before_pixels: bool = True) -> bytes:
    """A PNG of 16 x 16 RGB pixels with further chunks."""
    data = bytes(imagecodecs.png_encode(picture()))
    place = data.index(b'IDAT' if before_pixels else b'IEND') - 4
    return data[:place] + extra + data[place:]


def png_saying(height: int = HUGE, width: int = HUGE) -> bytes:
    """A PNG whose only header says that it is huge, with the pixels of a small one."""
    data = bytes(imagecodecs.png_encode(picture()))
    return data[:8] + png_header(height, width) + data[33:]


def jpeg2k_saying(height: int = HUGE, width: int = HUGE) -> bytes:
    """A JPEG 2000 whose size marker says that it is huge."""
    data = bytearray(imagecodecs.jpeg2k_encode(picture(), codecformat='j2k'))
    place = data.index(b'\xff\x4f\xff\x51')
    struct.pack_into('>II', data, place + 8, width, height)
    struct.pack_into('>II', data, place + 24, width, height)
    return bytes(data)


def lerc_saying(height: int = HUGE, width: int = HUGE) -> bytes:
    """A LERC whose header says that it is huge."""
    data = bytearray(imagecodecs.lerc_encode(picture(bands=1)))
    struct.pack_into('<ii', data, 14, height, width)
    return bytes(data)


def webp_saying(height: int = 16_000, width: int = 16_000) -> bytes:
    """A lossless WebP whose frame says that it is huge."""
    data = bytearray(imagecodecs.webp_encode(picture(), lossless=True))
    place = data.index(b'VP8L') + 9
    (bits,) = struct.unpack_from('<I', data, place)
    struct.pack_into('<I', data, place, bits & ~0xFFFFFFF | (width - 1) | (height - 1) << 14)
    return bytes(data)


def jxl_of(side: int = 4096) -> bytes:
    """A JPEG XL of one color: some hundred bytes."""
    return bytes(imagecodecs.jpegxl_encode(np.zeros((side, side, 3), np.uint8), effort=1))


def tiff_of(segment: bytes, compression: int, *, bands: int = 3, side: int = 16, **tags: Any) -> bytes:
    """A TIFF of one page of ``side`` x ``side`` pixels whose only strip is ``segment``."""
    photometric = 2 if bands >= 3 else 1
    entries = [
        (256, 4, 1, side),
        (257, 4, 1, side),
        (259, 3, 1, compression),
        (262, 3, 1, photometric),
        (273, 4, 1, 0),
        (277, 3, 1, bands),
        (278, 4, 1, side),
        (279, 4, 1, len(segment)),
        (284, 3, 1, 1),
    ]
    bits = struct.pack(f'<{bands}H', *[8] * bands)
    count = len(entries) + 1
    after = 8 + 2 + 12 * count + 4
    entries.append((258, 3, bands, after if len(bits) > 4 else int.from_bytes(bits, 'little')))
    place = after + (len(bits) if len(bits) > 4 else 0)
    entries = [(tag, kind, n, place if tag == 273 else value) for tag, kind, n, value in sorted(entries)]
    directory = struct.pack('<H', count) + b''.join(struct.pack('<HHII', *entry) for entry in entries)
    return b'II*\0' + struct.pack('<I', 8) + directory + bytes(4) + (bits if len(bits) > 4 else b'') + segment


def tiff_of_directories(count: int) -> bytes:
    """A TIFF with so many directories, all but the first empty but for a subfile type."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, picture(bands=1), metadata=None)
    data = bytearray(stream.getvalue())
    (first,) = struct.unpack_from('<I', data, 4)
    (tags,) = struct.unpack_from('<H', data, first)
    link = first + 2 + 12 * tags
    for _ in range(count):
        place = len(data) + len(data) % 2
        data += bytes(place - len(data))
        struct.pack_into('<I', data, link, place)
        data += struct.pack('<HHHII', 1, 254, 4, 1, 1) + bytes(4)
        link = len(data) - 4
    return bytes(data)


def nested_json(values: int) -> bytes:
    """A JSON object of a list of so many empty lists."""
    return b'{"a":[' + b'[],' * (values - 1) + b'[]]}'
