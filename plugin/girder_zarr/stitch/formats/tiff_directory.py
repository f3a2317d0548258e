"""The directories of a TIFF or BigTIFF, counted before a library makes objects of them.

A directory is 6 bytes, so that a small file may hold a hundred thousand of them or a tag of millions of
values; TIFF 6.0, section 2, and the BigTIFF design of AWare Systems.
"""

from __future__ import annotations

import struct
from typing import IO

from girder_zarr.errors import UnsupportedFormatError

#: A patch is one page; beside it there may be copies of less resolution and masks.
MAX_DIRECTORIES = 64
#: Tags of one directory; files with everything that standards name have some 200.
MAX_TAGS = 1000
#: Values of one tag of numbers: offsets of strips of one row in the highest patch, and the values of a
#: private tag of some instrument.
MAX_VALUES = 2**17
#: Bytes of one tag of bytes or text, such as a profile or a description.
MAX_TAG_BYTES = 2**24
#: The types of one byte: BYTE, ASCII, SBYTE and UNDEFINED.
_BYTES = frozenset((1, 2, 6, 7))


def check_directories(stream: IO[bytes]) -> None:
    """Check the directories of a TIFF, from the first one along the chain.

    :raises UnsupportedFormatError: they are too many, or hold too many tags or values.
    :raises struct.error: the file ends too early.
    """
    stream.seek(0)
    head = stream.read(16)
    order = '<' if head[:2] == b'II' else '>'
    is_big = head[2:4] in {b'+\0', b'\0+'}
    count_form, entry_form, link_form = ('Q', 'HHQ', 'Q') if is_big else ('H', 'HHI', 'I')
    (place,) = struct.unpack_from(order + link_form, head, 8 if is_big else 4)
    seen: set[int] = set()
    while place:
        if place in seen or len(seen) >= MAX_DIRECTORIES:
            msg = f'The tiff has more than {MAX_DIRECTORIES} pages; a patch is one.'
            raise UnsupportedFormatError(msg)
        seen.add(place)
        stream.seek(place)
        (tags,) = struct.unpack(order + count_form, stream.read(struct.calcsize('=' + count_form)))
        if tags > MAX_TAGS:
            msg = f'The tiff has {tags} tags in a directory; at most {MAX_TAGS} are read.'
            raise UnsupportedFormatError(msg)
        size = 20 if is_big else 12
        entries = stream.read(tags * size)
        for number in range(tags):
            _check_tag(*struct.unpack_from(order + entry_form, entries, number * size))
        (place,) = struct.unpack(order + link_form, stream.read(struct.calcsize('=' + link_form)))


def _check_tag(tag: int, kind: int, count: int) -> None:
    most = MAX_TAG_BYTES if kind in _BYTES else MAX_VALUES
    if count > most:
        msg = f'The tag {tag} of the tiff has {count} values; at most {most} are read.'
        raise UnsupportedFormatError(msg)
