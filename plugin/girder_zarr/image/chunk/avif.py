"""How large the pictures in an AVIF file are, from the AV1 data that a decoder is given.

What a file's boxes say of its size is no bound: libavif scales a larger picture down after it has made room
for it. Read are files as encoders write single pictures; sequences, grids and data in pieces are refused.

Specifications: ISO/IEC 14496-12 (boxes; 8.11.3 iloc, 8.11.6 iinf), AV1 image file format 1.1, AV1 bitstream
5.3 (OBUs) and 5.5 (sequence header).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Items that are no pictures.
_WORDS = (b'Exif', b'mime')
_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6


def frame_sizes(data: bytes) -> Iterator[int]:
    """Yield the pixels (width x height) of each picture in an AVIF file.

    :raises ValueError: it is damaged, or is not built as single pictures are.
    """
    try:
        meta = _only(b'meta', list(_boxes(data, 0, len(data))))
        inside = list(_boxes(data, meta[0] + 4, meta[1]))
        kinds = _kinds(data, *_only(b'iinf', inside))
        places = _places(data, *_only(b'iloc', inside))
        for number, kind in kinds.items():
            if kind == b'av01':
                start, stop = places[number]
                yield _frame_size(data[start:stop])
            elif kind not in _WORDS:
                raise _refused(f'it has an item of the kind {kind!r}')
    except (struct.error, IndexError, KeyError):
        raise _refused('it is damaged') from None


def _refused(what: str) -> ValueError:
    return ValueError(f'an AVIF file with one picture was expected; {what}')


def _boxes(data: bytes, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and stop of the contents of each box."""
    while start < stop:
        size, kind = struct.unpack_from('>I4s', data, start)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from('>Q', data, start + 8)
            head = 16
        end = start + size if size else stop
        if (size and size < head) or end > stop:
            raise _refused('it is damaged')
        if kind == b'moov':
            raise _refused('it has a sequence of them')
        yield kind, start + head, end
        start = end


def _only(kind: bytes, boxes: list[tuple[bytes, int, int]]) -> tuple[int, int]:
    found = [(start, stop) for name, start, stop in boxes if name == kind]
    if len(found) != 1:
        raise _refused(f'it has {len(found)} boxes {kind!r}')
    return found[0]


def _kinds(data: bytes, start: int, stop: int) -> dict[int, bytes]:
    """Return the kind of each item by its number."""
    found: dict[int, bytes] = {}
    for name, at, _ in _boxes(data, start + (8 if data[start] else 6), stop):
        if name != b'infe' or data[at] not in (2, 3):
            raise _refused('its list of items is of another version')
        number, _, kind = struct.unpack_from('>HH4s' if data[at] == 2 else '>IH4s', data, at + 4)
        if number in found:
            raise _refused('two items have the same number')
        found[number] = kind
    return found


def _places(data: bytes, start: int, stop: int) -> dict[int, tuple[int, int]]:
    """Return start and stop of the data of each item that lies in the file in one piece, by its number."""
    at = start + 4
    version = data[start]

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > stop:
            raise _refused('it is damaged')
        return int.from_bytes(data[at - size : at], 'big')

    sizes = number(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    wide = 4 if version == 2 else 2
    found: dict[int, tuple[int, int]] = {}
    for _ in range(number(wide)):
        item = number(wide)
        method = number(2) if version else 0
        number(2)
        base = number(base_size)
        if number(2) != 1 or method & 15 or item in found or version > 2:
            raise _refused('the data of an item are elsewhere or in pieces')
        number(index_size if version else 0)
        first = base + number(offset_size)
        length = number(length_size)
        if not length or first + length > len(data):
            raise _refused('it is damaged')
        found[item] = first, first + length
    return found


def _frame_size(data: bytes) -> int:
    """Return the pixels of the one frame in AV1 data, whose sequence headers say it."""
    sizes, frames, at = [], 0, 0
    while at < len(data):
        head = data[at]
        at += 2 if head & 4 else 1
        size = len(data) - at
        if head & 2:
            size, at = _leb128(data, at)
        kind = head >> 3 & 15
        if kind == _SEQUENCE_HEADER:
            sizes.append(_stated(data[at : at + size]))
        frames += kind in (_FRAME_HEADER, _FRAME)
        at += size
    if not sizes or frames != 1:
        raise _refused(f'it has {frames} frames and {len(sizes)} headers in one')
    return max(sizes)


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 56, 7):
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
    raise _refused('it is damaged')


def _stated(header: bytes) -> int:
    """Return the pixels of a still picture by its sequence header; in the short form no frame differs."""
    bits = int.from_bytes(header[:8].ljust(8, b'\0'), 'big')

    def take(start: int, count: int) -> int:
        return bits >> (64 - start - count) & ((1 << count) - 1)

    if take(3, 2) != 3:
        raise _refused('it has the header of a film')
    wide, high = take(10, 4) + 1, take(14, 4) + 1
    return (take(18, wide) + 1) * (take(18 + wide, high) + 1)
