"""JPEG (ITU-T T.81) and JPEG-LS (T.87): all markers from the beginning to the end of the image."""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING

from .picture_header import PictureHeader, exactly, exif_orientation

if TYPE_CHECKING:
    from collections.abc import Iterator

SOI, EOI, SOS, DHP, APP1, LS_FRAME, LSE = 0xD8, 0xD9, 0xDA, 0xDE, 0xE1, 0xF7, 0xF8
#: Start of frame: C0 to CF without DHT, JPG and DAC; F7 is that of JPEG-LS.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {LS_FRAME}
#: Markers without a length: TEM and the restarts (T.81, B.1.1.3).
_ALONE = frozenset((0x01, *range(0xD0, 0xD8)))
#: The next marker that ends the data of a scan: neither a stuffed byte, nor fill, nor one of `_ALONE`.
_AFTER_SCAN = re.compile(rb'\xff[^\x00\x01\xff\xd0-\xd7]')
#: The same for JPEG-LS, which stuffs a bit: bytes below 0x80 are data (T.87, A.1).
_AFTER_LS_SCAN = re.compile(rb'\xff[\x80-\xcf\xd8-\xfe]')
_PIECE = 2**16
#: Progressive encoders make some ten scans, optimizers at most 64 and a few; each is a pass over the image.
MAX_SCANS = 100
#: Scans x pixels: 16 scans of the largest patch. Decoders pass some 2**28 a second.
MAX_SCANNED = 2**32
#: One for each component.
MIN_SCANS = 4


@dataclass(frozen=True, slots=True)
class JpegHeader(PictureHeader):
    """The frame header of a JPEG.

    :param frame: its marker, 0xC0 to 0xCF or 0xF7.
    :param precision: bits a sample.
    :param is_complete: there is an end marker.
    """

    frame: int = 0
    precision: int = 8
    is_complete: bool = True

    @property
    def is_decoded(self) -> bool:
        """Whether it is baseline, extended or progressive Huffman coding of 8 or 12 bits."""
        return self.frame in {8: {0xC0, 0xC1, 0xC2}, 12: {0xC1, 0xC2}}.get(self.precision, set())


def read_jpeg(stream: IO[bytes]) -> JpegHeader:
    """Return the only frame header of a JPEG, having looked at every marker up to its end.

    :raises ValueError: it has no frame header or several, or too many scans.
    :raises EOFError: the file ends before its first scan.
    """
    stream.seek(0)
    if exactly(stream, 2) != b'\xff\xd8':
        msg = 'it does not begin as a jpeg.'
        raise ValueError(msg)
    frame: JpegHeader | None = None
    scans, orientation, is_complete = 0, 1, False
    for marker, body in _segments(stream):
        is_complete = marker == EOI
        if marker in FRAMES:
            if frame is not None:
                msg = 'it has several frame headers.'
                raise ValueError(msg)
            frame = _frame(marker, body)
        elif marker == SOS:
            scans += 1
            _skip_scan(stream, _check_scans(frame, scans))
        elif body.startswith(b'Exif\0\0') and orientation == 1:
            orientation = exif_orientation(body)
    if frame is None or not scans:
        msg = 'the jpeg ends too early: it has no frame header or no scan.'
        raise EOFError(msg)
    return replace(frame, orientation=orientation, is_complete=is_complete)


def _segments(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Iterate over markers and their parameters to the end marker, or to where the file ends."""
    marker = 0
    while marker != EOI:
        try:
            marker = _marker(stream)
            body = b'' if marker in _ALONE or marker == EOI else _body(stream, marker)
        except EOFError:
            return
        yield marker, body


def check_tables(data: bytes) -> None:
    """Check tables that a file keeps apart from its JPEGs, as TIFF does: they may hold no picture.

    :raises ValueError: they hold a frame or a scan.
    """
    stream = io.BytesIO(data)
    if exactly(stream, 2) != b'\xff\xd8':
        msg = 'the tables do not begin as a jpeg.'
        raise ValueError(msg)
    for marker, _ in _segments(stream):
        if marker in FRAMES or marker == SOS:
            msg = 'the tables hold a picture.'
            raise ValueError(msg)


def _marker(stream: IO[bytes]) -> int:
    """Return the next marker; between segments there is nothing but fill bytes."""
    byte = exactly(stream, 1)
    if byte != b'\xff':
        msg = 'the jpeg has no frame header where one is expected.'
        raise ValueError(msg)
    while byte == b'\xff':
        byte = exactly(stream, 1)
    if byte[0] in {0x00, SOI, DHP}:
        msg = f'it has the marker {byte[0]:#x} where none is allowed.'
        raise ValueError(msg)
    return byte[0]


def _body(stream: IO[bytes], marker: int) -> bytes:
    """Return the parameters of a marker, where they matter, and skip all others."""
    (length,) = struct.unpack('>H', exactly(stream, 2))
    if length < 2:
        msg = 'it has a marker segment without a length.'
        raise ValueError(msg)
    if marker in FRAMES or marker == APP1:
        return exactly(stream, length - 2)
    if marker == LSE and length > 2:
        if exactly(stream, 1) == b'\4':
            msg = 'it states its size twice.'
            raise ValueError(msg)
        length -= 1
    stream.seek(length - 2, 1)
    return b''


def _frame(marker: int, body: bytes) -> JpegHeader:
    if len(body) < 6:
        msg = 'its frame header is too short.'
        raise ValueError(msg)
    precision, height, width, bands = struct.unpack_from('>BHHB', body)
    if not (height and width and bands) or len(body) != 6 + 3 * bands:
        msg = 'its frame header is damaged or states no size.'
        raise ValueError(msg)
    return JpegHeader(height, width, bands, 'uint8' if precision <= 8 else 'uint16', 1, marker, precision)


def _check_scans(frame: JpegHeader | None, scans: int) -> re.Pattern[bytes]:
    """Return what ends the data of a scan, which is one of so many and the last so far."""
    if frame is None:
        msg = 'the jpeg has no frame header ahead of its pixels.'
        raise ValueError(msg)
    pixels = frame.height * frame.width
    if scans > MAX_SCANS or scans * pixels > max(MAX_SCANNED, MIN_SCANS * pixels):
        msg = f'it has more scans than are decoded for {frame.width} x {frame.height} pixels.'
        raise ValueError(msg)
    return _AFTER_LS_SCAN if frame.frame == LS_FRAME else _AFTER_SCAN


def _skip_scan(stream: IO[bytes], end: re.Pattern[bytes]) -> None:
    """Leave the stream at the marker that ends the data of a scan, or at its end."""
    rest = b''
    while piece := stream.read(_PIECE):
        data = rest + piece
        found = end.search(data)
        if found is not None:
            stream.seek(found.start() - len(data), 1)
            return
        rest = data[-1:]
