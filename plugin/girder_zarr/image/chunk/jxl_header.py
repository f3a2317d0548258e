"""JPEG XL (ISO/IEC 18181-1 and -2): one image; size, bit depth and channels are in the first bytes."""

from __future__ import annotations

import io
import struct
from typing import IO

from .picture_header import PictureHeader, exactly

#: The first bytes of a container (ISO/IEC 18181-2) and of a bare code stream (18181-1).
CONTAINER = b'\0\0\0\x0cJXL \r\n\x87\n'
CODESTREAM = b'\xff\x0a'
#: Bytes of the code stream that are read: size, metadata and channels take less, names of channels included.
_HEAD = 4096
#: Width to height by the ratio field of the size header (18181-1, SizeHeader).
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
#: Values of the enumerations ColorSpace and ExtraChannelType.
_GRAY, _ALPHA = 1, 0


class _Bits:
    """The bits of a code stream, the lowest of a byte first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, 'little')
        self._left = len(data) * 8

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            msg = 'it ends too early.'
            raise EOFError(msg)
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        return value

    def flag(self) -> bool:
        return bool(self.take(1))

    def choice(self, *options: tuple[int, int]) -> int:
        """One of four (offset, bits): U32 of the standard."""
        offset, count = options[self.take(2)]
        return offset + self.take(count)

    def enum(self) -> int:
        return self.choice((0, 0), (1, 0), (2, 4), (18, 6))


def read_jxl(stream: IO[bytes]) -> PictureHeader:
    """Return what the size header and image metadata of a JPEG XL announce.

    :raises ValueError: it is animated, has an orientation or a preview, or channels besides gray
        or RGB and alpha.
    :raises EOFError: the file ends in its header.
    """
    bits = _Bits(_codestream(stream))
    if bits.take(16) != 0x0AFF:
        msg = 'the jxl has no code stream.'
        raise ValueError(msg)
    height, width = _size(bits)
    if bits.flag():
        return PictureHeader(height, width, 3)
    if bits.flag():
        _check_plain(bits)
    dtype = _dtype(bits)
    bits.take(1)
    extra = bits.choice((0, 0), (1, 0), (2, 4), (1, 12))
    if extra > 1 or (extra and not _is_alpha(bits)):
        msg = 'the jxl has channels besides gray or color and alpha.'
        raise ValueError(msg)
    bits.take(1)
    gray = False
    if not bits.flag():
        bits.take(1)
        gray = bits.enum() == _GRAY
    return PictureHeader(height, width, (1 if gray else 3) + extra, dtype)


def _codestream(stream: IO[bytes]) -> bytes:
    """Return the beginning of the code stream, taken out of its container if there is one."""
    stream.seek(0)
    if stream.read(2) == CODESTREAM:
        stream.seek(0)
        return stream.read(_HEAD)
    stream.seek(len(CONTAINER))
    found = io.BytesIO()
    while found.tell() < _HEAD:
        length, name = struct.unpack('>I4s', exactly(stream, 8))
        header = 8
        if length == 1:
            (length,) = struct.unpack('>Q', exactly(stream, 8))
            header = 16
        body = length - header if length else _HEAD
        if body < 0:
            msg = 'the jxl has a box without a length.'
            raise ValueError(msg)
        if name == b'jxlc':
            return stream.read(min(body, _HEAD))
        if name == b'jxlp':
            (index,) = struct.unpack('>I', exactly(stream, 4))
            found.write(stream.read(min(body - 4, _HEAD)))
            if index >> 31 or found.tell() >= _HEAD:
                break
        else:
            stream.seek(body, 1)
    return found.getvalue()


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.flag()

    def side() -> int:
        if small:
            return (bits.take(5) + 1) * 8
        return bits.choice((1, 9), (1, 13), (1, 18), (1, 30))

    height = side()
    ratio = bits.take(3)
    if not ratio:
        return height, side()
    over, under = _RATIOS[ratio]
    return height, height * over // under


def _check_plain(bits: _Bits) -> None:
    """Skip rare fields; refuse images that are not one upright picture."""
    turned = bits.take(3)
    if bits.flag():
        _size(bits)
    if turned or bits.flag() or bits.flag():
        msg = 'the jxl is animated, turned or has a preview; expected one upright image.'
        raise ValueError(msg)


def _dtype(bits: _Bits) -> str:
    if bits.flag():
        depth = bits.choice((32, 0), (16, 0), (24, 0), (1, 6))
        bits.take(4)
        return 'float16' if depth <= 16 else 'float32'
    depth = bits.choice((8, 0), (10, 0), (12, 0), (1, 6))
    return 'uint8' if depth <= 8 else 'uint16' if depth <= 16 else 'float32'


def _is_alpha(bits: _Bits) -> bool:
    """Skip the description of one extra channel and return whether it is alpha."""
    if bits.flag():
        return True
    kind = bits.enum()
    _dtype(bits)
    bits.choice((0, 0), (3, 0), (4, 0), (1, 3))
    for _ in range(bits.choice((0, 0), (0, 4), (16, 5), (48, 10))):
        bits.take(8)
    if kind == _ALPHA:
        bits.take(1)
    return kind == _ALPHA
