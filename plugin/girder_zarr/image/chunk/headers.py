"""The size stated in a compressed picture, for decoders that allocate before they compare it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

#: For each codec: where a size is stated, as a mark, and a struct with width and height counted from there.
_JPEG_FRAMES = tuple((b'\xff' + bytes([code]), '>5x2H') for code in (0xC0, 0xC1, 0xC2, 0xC3))
_STATED: dict[str, tuple[tuple[bytes, str], ...]] = {
    'ljpeg': _JPEG_FRAMES,  # ISO/IEC 10918-1, B.2.2
    'ultrahdr': _JPEG_FRAMES,
    'qoi': ((b'qoif', '>4x2I'),),  # qoiformat.org
}
#: ISO/IEC 15444-1, A.5.1: start of codestream, then the size of the grid, its offset, tiles, components.
_JPEG2K, _SIZ = b'\xff\x4f\xff\x51', struct.Struct('>8x8I H')


def check_stated_size(codec: str, data: Any, max_values: int) -> None:
    """Refuse a picture whose stated size is larger than its chunk.

    Every place that looks like a statement of size counts, so that none can be hidden behind another.

    :param codec: a name of :data:`.limits.IMAGE_CODECS`.
    :param data: the compressed picture.
    :param max_values: the numbers (width x height x bands) that the chunk has.
    :raises ValueError: it is larger, or says no size although all pictures of its kind do.
    """
    if codec not in _STATED and codec != 'jpeg2k':
        return
    data = bytes(data)
    sizes = list(_jpeg2k(data) if codec == 'jpeg2k' else _stated(codec, data))
    if not sizes:
        msg = f'it does not say its size, which a picture in {codec} does'
        raise ValueError(msg)
    if max(sizes) > max_values:
        msg = f'it says that it has {max(sizes)} pixels; at most {max_values} were expected'
        raise ValueError(msg)


def _places(data: bytes, mark: bytes) -> Iterator[int]:
    place = data.find(mark)
    while place >= 0:
        yield place
        place = data.find(mark, place + 1)


def _stated(codec: str, data: bytes) -> Iterator[int]:
    for mark, form in _STATED[codec]:
        for place in _places(data, mark):
            if place + struct.calcsize(form) <= len(data):
                width, height = struct.unpack_from(form, data, place)
                yield width * height


def _jpeg2k(data: bytes) -> Iterator[int]:
    for place in _places(data, _JPEG2K):
        if place + _SIZ.size <= len(data):
            right, bottom, left, top, *_, components = _SIZ.unpack_from(data, place)
            yield max(0, right - left) * max(0, bottom - top) * components
